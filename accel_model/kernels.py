"""The loops over pixels and channels, compiled.

act: uint8 [N, rows, 16], of N images, which all loops go through one after another. A byte b of an
int8 tensor is ``(b ^ 128) - 128``, so values are taken as ``(b ^ flip) - offset`` for both types
(``window.py``). Sums are int32 [N, outputs, channels], outputs row by row.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.headers import copy
from zeroskip.accel_model.native import native
from zeroskip.accel_model.window import Operand, Target, Window

Bytes = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

FINE, WIDE, SHIFT = range(3)  # what ``finish`` finds
MOST = (1 << 31) - 1  # of a sum
FRACTION = 16  # bits that ``even`` looks at
MAX_SHIFT = 62  # so that the rounding term and the product fit in int64 together


@native
def move(source: Bytes, into: Bytes, start: int, first: int, runs: Int64) -> None:
    """Copy runs of bytes of each image from ``source[:, start:]`` to ``into[:, first:]``.

    source: uint8 [N, bytes], or [1, bytes] for all images of ``into``. runs: int64 [10], the bytes
    of a run, then for each of three levels, innermost first, how many there are and the bytes
    between them in ``source`` and in ``into``.
    """
    size = runs[0]
    for i in range(len(into)):
        given, taken = source[min(i, len(source) - 1)], into[i]
        for b in range(runs[7]):
            for y in range(runs[4]):
                for x in range(runs[1]):
                    a = start + b * runs[8] + y * runs[5] + x * runs[2]
                    z = first + b * runs[9] + y * runs[6] + x * runs[3]
                    copy(given[a:], taken[z : z + size])


# -------------------------------------------------------------------------------- partial sums


@native
def add_up(sums: Int32, order: Int32, slots: int, acc: Int32, at: int, first: int, last: int
           ) -> int:
    """Unless ``first`` add what is in ACC to the sums, unless ``last`` put them there. The first
    image with a sum that does not fit in int32, or -1.

    acc: int32 [N, rows, 16]; from row ``at`` on each output has as many rows: a group of ``slots``
    streams has whole ones, and stream n holds the sum of channel order[n].
    """
    bad = -1
    rows = (slots + 15) // 16 * 16
    places = len(order) // slots * rows + (len(order) % slots + 15) // 16 * 16
    for i in range(len(sums) - 1, -1, -1):
        held = acc[i, at:].reshape(-1)
        for n in range(sums.shape[1]):
            for f in range(len(order)):
                place = n * places + f // slots * rows + f % slots
                total = int(sums[i, n, order[f]])
                if not first:
                    total += held[place]
                sums[i, n, order[f]] = total
                if not -MOST - 1 <= total <= MOST:
                    bad = i
                if not last:
                    held[place] = total
    return bad


# ----------------------------------------------------------------------------- channels alike


@native
def weighted_sums(act: Bytes, w: Window, weights: Int8, sums: Int32) -> None:
    """Sums over the taps, channel by channel: weights int8 [taps, channels]."""
    flip, offset = np.uint8(w.flip), np.int32(w.offset)
    for i in range(len(act)):
        image, made = act[i], sums[i]
        for n in range(len(made)):
            for k in range(made.shape[1]):
                made[n, k] = 0
            oy, ox = n // w.out_width, n % w.out_width
            for t in range(len(weights)):
                y = w.top + oy * w.row_stride + t // w.cols * w.row_dilation
                x = w.left + ox * w.col_stride + t % w.cols * w.col_dilation
                if not (0 <= y < w.height and 0 <= x < w.width):
                    continue
                for first in range(0, made.shape[1], 16):
                    pixel = image[w.act + first // 16 * w.block + y * w.row + x]
                    line, factors = made[n, first : first + 16], weights[t, first : first + 16]
                    for c in range(len(line)):
                        line[c] += (np.int32(pixel[c] ^ flip) - offset) * np.int32(factors[c])


@native
def maxima(act: Bytes, w: Window, most: Int32) -> bool:
    """Maxima over the taps within the tile, int32 [N, outputs, channels]; whether each has one."""
    flip, offset = np.uint8(w.flip), np.int32(w.offset)
    for i in range(len(act)):
        image, made = act[i], most[i]
        for n in range(len(made)):
            for k in range(made.shape[1]):
                made[n, k] = -(1 << 30)
            oy, ox = n // w.out_width, n % w.out_width
            for t in range(w.rows * w.cols):
                y = w.top + oy * w.row_stride + t // w.cols * w.row_dilation
                x = w.left + ox * w.col_stride + t % w.cols * w.col_dilation
                if not (0 <= y < w.height and 0 <= x < w.width):
                    continue
                for first in range(0, made.shape[1], 16):
                    pixel = image[w.act + first // 16 * w.block + y * w.row + x]
                    line = made[n, first : first + 16]
                    for c in range(len(line)):
                        line[c] = max(line[c], np.int32(pixel[c] ^ flip) - offset)
            if made[n, 0] == -(1 << 30):
                return False
    return True


# ------------------------------------------------------------------------------------ results


@native
def _parameters(rows: Bytes, bias: Int32, mult: Int32, shift: Int64) -> None:
    """Of channel k those in rows[9*(k//16) : +9]."""
    words = rows.reshape(-1).view(np.int32)
    for k in range(len(bias)):
        row, c = 9 * (k // 16), k % 16
        bias[k], mult[k] = words[4 * row + c], words[4 * row + 16 + c]
        shift[k] = rows[row + 8, c]


@native
def even(p: np.int64, shift: int) -> int:
    """int64 ``p / 2^shift``, halves to even, as isa.py says it; shift 1 to 62."""
    dropped = max(shift - FRACTION, 0)
    kept = shift - dropped
    t = (p + ((np.int64(1) << dropped) >> 1)) >> dropped
    return int((t + (np.int64(1) << (kept - 1)) - 1 + ((t >> kept) & 1)) >> kept)


@native
def _average(line: Int32, mult: int, shift: int, y: Target) -> None:
    """The scaled sums of an output, in place."""
    for k in range(len(line)):
        value = even(np.int64(line[k]) * np.int64(mult), shift) + y.zero_point
        line[k] = min(max(value, y.low), y.high)


@native
def _requantise(line: Int32, bias: Int32, mult: Int32, shift: Int64, zero_point: int, low: int,
                high: int) -> bool:
    """Q of the sums + bias of an output, in place; False if one does not fit in int32."""
    fits = True
    for k in range(len(line)):
        total = np.int64(line[k]) + np.int64(bias[k])
        v = np.int32(total)
        fits &= np.int64(v) == total
        half = np.int64(1) << (shift[k] - 1)
        y = ((np.int64(v) * np.int64(mult[k]) + half) >> shift[k]) + zero_point
        line[k] = min(max(y, low), high)
    return fits


@native
def _add(line: Int32, middle: int, act: Bytes, at: int, r: Operand, scale: tuple[int, int, int],
         y: Target) -> None:
    """The scaled sum of an output, less ``middle``, and of the operand's pixel at ACT row ``at``,
    in place."""
    mult_a, mult_b, shift = scale
    flip, offset = np.uint8(r.flip), np.int32(r.offset)
    for first in range(0, len(line), 16):
        pixel, part = act[at + first // 16 * r.block], line[first : first + 16]
        for c in range(len(part)):
            other = np.int64(np.int32(pixel[c] ^ flip) - offset)
            total = (np.int64(part[c]) - middle) * mult_a + other * mult_b
            value = even(total, shift) + y.zero_point
            part[c] = min(max(value, y.low), y.high)


@native
def _scale(row: Bytes) -> tuple[int, int, int]:
    """The two multipliers and the shift of an operand, uint8 [16]."""
    words = row.view(np.int32)
    return int(words[0]), int(words[1]), int(row[8])


@native
def _write(line: Int32, act: Bytes, at: int, block: int) -> None:
    """Write an output to the rows of ACT from ``at`` on."""
    for first in range(0, len(line), 16):
        pixel, part = act[at + first // 16 * block], line[first : first + 16]
        for c in range(len(part)):
            pixel[c] = np.uint8(part[c])


@native
def finish(sums: Int32, act: Bytes, rows: Bytes, y: Target, r: Operand, scale: Bytes
           ) -> tuple[int, int]:
    """Requantise sums, add the operand if there is one, and write the tile.

    rows: uint8 [n, 16], the parameters (``_parameters``). scale: uint8 [16], the operand's.
    Returns FINE and 0, SHIFT and one that means nothing, or WIDE and the first image with a sum
    that does not fit in int32.
    """
    bias, mult = np.empty(sums.shape[2], np.int32), np.empty(sums.shape[2], np.int32)
    shift = np.empty(sums.shape[2], np.int64)
    _parameters(rows, bias, mult, shift)
    for k in range(len(shift)):
        if shift[k] < 1 or shift[k] > MAX_SHIFT:
            return SHIFT, shift[k]
    scaled = _scale(scale)
    zero_point, low, high = y.zero_point, y.low, y.high
    if r.there:
        if not 1 <= scaled[2] <= MAX_SHIFT:
            return SHIFT, scaled[2]
        zero_point, low, high = r.mid_zero_point, r.mid_low, r.mid_high
    for i in range(len(sums)):
        fits = True
        for n in range(sums.shape[1]):
            line, row, x = sums[i, n], n // y.width, n % y.width
            fits &= _requantise(line, bias, mult, shift, zero_point, low, high)
            if r.there:
                _add(line, r.mid_zero_point, act[i], r.act + row * r.row + x, r, scaled, y)
            _write(line, act[i], y.act + row * y.row + x, y.block)
        if not fits:
            return WIDE, i
    return FINE, 0


@native
def finish_add(sums: Int32, act: Bytes, scale: Bytes, y: Target, r: Operand) -> tuple[int, int]:
    """Add the operand and write the tile; FINE and 0, or SHIFT and one that means nothing."""
    scaled = _scale(scale)
    if not 1 <= scaled[2] <= MAX_SHIFT:
        return SHIFT, scaled[2]
    for i in range(len(sums)):
        for n in range(sums.shape[1]):
            line, row, x = sums[i, n], n // y.width, n % y.width
            _add(line, 0, act[i], r.act + row * r.row + x, r, scaled, y)
            _write(line, act[i], y.act + row * y.row + x, y.block)
    return FINE, 0


@native
def finish_average(sums: Int32, act: Bytes, row: Bytes, y: Target) -> tuple[int, int]:
    """Scale the sums and write the tile; FINE and 0, or SHIFT and one that means nothing.

    row: uint8 [16], multiplier and shift.
    """
    mult, shift = int(row.view(np.int32)[0]), int(row[4])
    if not 1 <= shift <= MAX_SHIFT:
        return SHIFT, shift
    for i in range(len(sums)):
        for n in range(sums.shape[1]):
            line = sums[i, n]
            _average(line, mult, shift, y)
            _write(line, act[i], y.act + n // y.width * y.row + n % y.width, y.block)
    return FINE, 0


@native
def finish_max(most: Int32, act: Bytes, y: Target) -> None:
    """Clip maxima to the limits and write the tile."""
    for i in range(len(most)):
        for n in range(most.shape[1]):
            line = most[i, n]
            for k in range(len(line)):
                line[k] = min(max(line[k] + y.zero_point, y.low), y.high)
            _write(line, act[i], y.act + n // y.width * y.row + n % y.width, y.block)
