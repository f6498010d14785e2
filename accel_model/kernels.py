"""The loops over pixels and channels, compiled.

act: int8 or uint8 [rows, 16]. Sums are int64 [outputs, columns]; a column is a channel, or for
``conv`` a stream whose channel is ``order[column]``.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.native import native
from zeroskip.accel_model.window import Window

Act: TypeAlias = npt.NDArray[np.int8] | npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@native
def columns(act: Act, w: Window, channels: int, out: npt.NDArray[np.int16]) -> None:
    """The inputs of every output: int16 [batches, channels * taps, batch], canonical order.

    Output n is number n % batch of its batch.
    """
    batch = out.shape[2]
    for n in range(w.out_height * w.out_width):
        oy, ox = n // w.out_width, n % w.out_width
        inputs, p = out[n // batch], n % batch
        e = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            base = w.act + first // 16 * w.block
            for r in range(w.rows):
                y = w.top + oy * w.row_stride + r * w.row_dilation
                for s in range(w.cols):
                    x = w.left + ox * w.col_stride + s * w.col_dilation
                    if 0 <= y < w.height and 0 <= x < w.width:
                        pixel = act[base + y * w.row + x]
                        for c in range(width):
                            inputs[e + c, p] = np.int16(pixel[c]) - w.zero_point
                    else:
                        inputs[e : e + width, p] = 0
                    e += width


@native
def filter_sums(inputs: npt.NDArray[np.int16], starts: Int64, entries: Int32,
                weights: npt.NDArray[np.int16], sums: Int64) -> None:
    """Multiply the weights that are not zero with ``columns``: int64 [outputs, F].

    Filter f has weights[starts[f] : starts[f+1]], a multiple of four of them, at ``entries``. The
    sums must fit in int32.
    """
    batch = inputs.shape[2]
    acc = np.zeros(batch, np.int32)
    for b in range(inputs.shape[0]):
        for f in range(len(starts) - 1):
            acc[:] = 0
            for i in range(starts[f], starts[f + 1], 4):
                x0, x1 = inputs[b, entries[i]], inputs[b, entries[i + 1]]
                x2, x3 = inputs[b, entries[i + 2]], inputs[b, entries[i + 3]]
                w0, w1 = np.int32(weights[i]), np.int32(weights[i + 1])
                w2, w3 = np.int32(weights[i + 2]), np.int32(weights[i + 3])
                for p in range(batch):
                    acc[p] += (w0 * np.int32(x0[p]) + w1 * np.int32(x1[p])
                               + w2 * np.int32(x2[p]) + w3 * np.int32(x3[p]))
            for p in range(min(batch, sums.shape[0] - b * batch)):
                sums[b * batch + p, f] = acc[p]


@native
def weighted_sums(act: Act, w: Window, weights: npt.NDArray[np.int8], sums: Int64) -> None:
    """Sum over the taps, channel by channel: weights int8 [taps, channels]."""
    channels = weights.shape[1]
    for oy in range(w.out_height):
        for ox in range(w.out_width):
            line = sums[oy * w.out_width + ox]
            line[:] = 0
            for r in range(w.rows):
                y = w.top + oy * w.row_stride + r * w.row_dilation
                for s in range(w.cols):
                    x = w.left + ox * w.col_stride + s * w.col_dilation
                    if not (0 <= y < w.height and 0 <= x < w.width):
                        continue
                    for first in range(0, channels, 16):
                        pixel = act[w.act + first // 16 * w.block + y * w.row + x]
                        for c in range(min(16, channels - first)):
                            value = np.int32(pixel[c]) - w.zero_point
                            line[first + c] += value * np.int32(weights[r * w.cols + s, first + c])


@native
def maxima(act: Act, w: Window, channels: int, most: Int64) -> bool:
    """Maximum over the taps within the tile; whether each output has one."""
    for oy in range(w.out_height):
        for ox in range(w.out_width):
            line = most[oy * w.out_width + ox]
            line[:] = -(1 << 32)
            for r in range(w.rows):
                y = w.top + oy * w.row_stride + r * w.row_dilation
                for s in range(w.cols):
                    x = w.left + ox * w.col_stride + s * w.col_dilation
                    if not (0 <= y < w.height and 0 <= x < w.width):
                        continue
                    for first in range(0, channels, 16):
                        pixel = act[w.act + first // 16 * w.block + y * w.row + x]
                        for c in range(min(16, channels - first)):
                            line[first + c] = max(line[first + c],
                                                  np.int64(pixel[c]) - w.zero_point)
            if line[0] < -(1 << 31):
                return False
    return True


@native
def operand_values(act: Act, first: int, row: int, block: int, zero_point: int, width: int,
                   order: Int32, values: Int64) -> None:
    """The operand's pixels, in the columns' order."""
    for n in range(values.shape[0]):
        base = first + n // width * row + n % width
        for k in range(values.shape[1]):
            channel = order[k]
            values[n, k] = np.int64(act[base + channel // 16 * block, channel % 16]) - zero_point


@native
def requantise(sums: Int64, bias: Int64, mult: Int64, shift: Int64, zero_point: int, low: int,
               high: int) -> bool:
    """Q of sums + bias, in place, parameters by column; False if a sum does not fit in int32."""
    fits = True
    for n in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            v = sums[n, k]
            total = v + bias[k]
            fits &= -(1 << 31) <= v < 1 << 31 and -(1 << 31) <= total < 1 << 31
            half = np.int64(1) << (shift[k] - 1)
            y = ((total * mult[k] + half) >> shift[k]) + zero_point
            sums[n, k] = min(max(y, low), high)
    return fits


@native
def add_scaled(sums: Int64, operand: Int64, offset: int, mult_a: int, mult_b: int, shift: int,
               zero_point: int, low: int, high: int) -> None:
    """``clip((((sums - offset)*mult_a + operand*mult_b + half) >> shift) + zero_point)``."""
    half = np.int64(1) << (shift - 1)
    for n in range(sums.shape[0]):
        for k in range(sums.shape[1]):
            total = (sums[n, k] - offset) * mult_a + operand[n, k] * mult_b
            sums[n, k] = min(max(((total + half) >> shift) + zero_point, low), high)


@native
def write_tile(act: npt.NDArray[np.uint8], first: int, row: int, block: int, width: int,
               order: Int32, values: Int64) -> None:
    """Write finished values, in the columns' order, to an output tile."""
    for n in range(values.shape[0]):
        base = first + n // width * row + n % width
        for k in range(values.shape[1]):
            channel = order[k]
            act[base + channel // 16 * block, channel % 16] = np.uint8(values[n, k] & 255)
