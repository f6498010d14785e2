"""The sums of a convolution: the inputs under the taps of its outputs, multiplied with the filters.

Inputs are converted to floats once, one row of all channels for each pixel, and gathered for a few
outputs at a time (im2col), which stay in the processor's caches while BLAS multiplies them with all
filters.

Products are summed in float32, and that is exact: it holds every whole number up to 2**24, inputs
and products are such numbers, and in whatever order products are added up, what is ever held is the
sum of some products of a filter. How far those can go follows from the filters at hand: with inputs
from ``low`` to ``high`` (low <= 0 <= high), a filter whose positive weights add up to P and whose
negative ones to -N stays within

    max(P * high - N * low, N * high - P * low).

A reduction that reaches beyond 2**24 is cut into pieces that do not; they are added up as integers.
Inputs of 16 bits are summed in float64, in which that is 2**53.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import FilterSet
from zeroskip.accel_model.formats import from_reduction_order
from zeroskip.accel_model.functional.kernels import Bytes, Int8, Int32, Int64
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.operand_window import OperandWindow
from zeroskip.accel_model.program.tensor_layout import blocks

Floats = npt.NDArray[Any]  # float32, or float64 for inputs of 16 bits

EXACT = 1 << 24  # whole numbers that float32 holds
EXACT_WIDE = 1 << 53  # and float64
ROOM = 1 << 18  # inputs that are gathered at a time, if one output does not need more


def largest_array(window: OperandWindow, channels: int, filters: int, value_bytes: int) -> int:
    """Bytes of the largest array that ``Convolver`` needs."""
    real, terms = 4 * value_bytes, window.taps * channels
    return max(
        real * (window.height * window.width + 1) * channels,
        real * max(ROOM, terms),
        real * filters * terms,
        8 * window.outputs * window.taps,
    )


class Convolver:
    """Makes the sums of convolutions; keeps the last filters as floats.

    sum_bits: that a sum has.
    """

    def __init__(self, sum_bits: int = 32) -> None:
        self._sum_bits = sum_bits
        self._last: tuple[Int8, Floats] | None = None

    def sums(self, act: Bytes, window: OperandWindow, channels: int, filters: FilterSet) -> Int32:
        """int32 [N, blocks, outputs, 16], filters by their channel. Fault if a sum may not fit in
        its bits.

        act: uint8 [N, rows, 16], or uint16: then sums are int64.
        """
        wide = act.dtype == np.uint16
        real = np.float64 if wide else np.float32
        weights, edges = self._weights(filters, window, real)
        seen, places = _places(window)
        terms, count = weights.shape[1], len(seen) + 1
        together = max(1, ROOM // max(count * channels, terms))  # images
        made = np.empty if len(weights) % BLOCK == 0 else np.zeros
        shape = len(act), blocks(len(weights)), window.outputs, BLOCK
        sums: Int32 = made(shape, np.int64 if wide else np.int32)
        for first in range(0, len(act), together):
            some = act[first : first + together]
            pixels, into = _pixels(some, window, channels, seen, real), sums[first:]
            step = max(1, ROOM // (terms * len(some)))  # outputs
            for n in range(0, window.outputs, step):
                inputs = pixels.take(places[n : n + step], axis=1).reshape(-1, terms)
                _multiply(inputs, weights, edges, into[: len(some), :, n : n + step])
        return sums

    def _weights(
        self, filters: FilterSet, window: OperandWindow, real: type
    ) -> tuple[Floats, Int64]:
        """Floats [F, taps * channels] by channel of the output, taps outermost; int64 [pieces + 1],
        where a reduction is cut."""
        key = (window.limits, real)
        if key not in filters.memo:
            check_fit(filters.matrix, *window.limits, self._sum_bits)
            by_taps, exact = _by_taps(filters), EXACT if real is np.float32 else EXACT_WIDE
            filters.memo[key] = by_taps, exact_pieces(by_taps, *window.limits, exact)
        by_taps, edges = filters.memo[key]
        if self._last is None or self._last[0] is not by_taps:
            self._last = by_taps, by_taps.astype(real)
        return self._last[1], edges


def _by_taps(filters: FilterSet) -> Int8:
    """int8 [F, taps * channels], filters by their channel, taps outermost."""
    matrix, shape = filters.matrix, filters.shape
    weight = from_reduction_order(matrix, shape.channels, (shape.taps,))
    made = np.empty_like(matrix)
    made[filters.order] = weight.swapaxes(1, 2).reshape(matrix.shape)
    return made


def _places(window: OperandWindow) -> tuple[Int64, Int64]:
    """What outputs look at: int64 [P], the rows of ACT in a block of channels, from the window's
    first on; int64 [outputs, taps], which of them each tap of an output is, P of padding."""
    down, y = _along(
        window.top,
        window.row_stride,
        window.out_height,
        window.row_dilation,
        window.rows,
        window.height,
    )
    right, x = _along(
        window.left,
        window.col_stride,
        window.out_width,
        window.col_dilation,
        window.cols,
        window.width,
    )
    seen = (down[:, np.newaxis] * window.row + right).reshape(-1)
    y, x = y[:, np.newaxis, :, np.newaxis], x[np.newaxis, :, np.newaxis, :]
    places = np.where((y < 0) | (x < 0), len(seen), y * len(right) + x)
    return seen, places.reshape(window.outputs, window.taps)


def _along(
    first: int, stride: int, outputs: int, dilation: int, taps: int, size: int
) -> tuple[Int64, Int64]:
    """Along an axis: positions that some tap sees, ascending; int64 [outputs, taps], which of them
    each tap sees, -1 of padding."""
    at = first + stride * np.arange(outputs)[:, np.newaxis] + dilation * np.arange(taps)
    inside = (at >= 0) & (at < size)
    seen = np.flatnonzero(np.bincount(at[inside], minlength=1))
    return seen, np.where(inside, np.searchsorted(seen, at), -1)


def _pixels(act: Bytes, w: OperandWindow, channels: int, seen: Int64, real: type) -> Floats:
    """Floats [N, P + 1, channels]: the inputs that are seen, and a row of padding."""
    count, whole = len(act), channels // BLOCK
    pixels: Floats = np.empty((count, len(seen) + 1, channels), real)
    pixels[:, -1] = 0
    rows = w.act + w.block * np.arange(blocks(channels))[:, np.newaxis] + seen
    raw = act.take(rows, axis=1).swapaxes(1, 2)  # [N, P, blocks, 16]
    if w.flip:
        raw ^= act.dtype.type(w.flip)
    head = pixels[:, :-1, : whole * BLOCK].reshape(count, len(seen), whole, BLOCK)
    head[:] = raw[:, :, :whole]
    pixels[:, :-1, whole * BLOCK :] = raw[:, :, -1, : channels % BLOCK]
    if w.offset:
        pixels[:, :-1] -= real(w.offset)
    return pixels


def _multiply(inputs: Floats, weights: Floats, edges: Int64, sums: Int32) -> None:
    """Sums of products into int [N, blocks, outputs, 16], exact in each piece of the reduction.

    inputs: [N * outputs, E]. weights: [F, E].
    """
    images, _, outputs, _ = sums.shape
    filters = len(weights)
    whole = filters // BLOCK
    for first, end in pairwise(edges.tolist()):
        made = (inputs[:, first:end] @ weights[:, first:end].T).astype(sums.dtype)
        made = made.reshape(images, outputs, filters)
        head = made[..., : whole * BLOCK].reshape(images, outputs, whole, BLOCK).swapaxes(1, 2)
        parts = [(sums[:, :whole], head)]
        if filters % BLOCK:
            parts.append((sums[:, -1, :, : filters % BLOCK], made[..., whole * BLOCK :]))
        for into, part in parts:
            if first:
                into += part
            else:
                into[:] = part


def exact_pieces(weights: Int8, low: int, high: int, exact: int = EXACT) -> Int64:
    """int64 [pieces + 1]: edges of as few equal pieces of the terms of filters, int8 [F, E], as
    keep all sums within ``exact``."""
    terms, largest = weights.shape[1], 128 * max(-low, high)
    for pieces in range(1, terms + 1):
        size = -(-terms // pieces)
        edges = np.minimum(np.arange(0, terms + size, size), terms)
        if size * largest <= exact or all(
            _reach(weights[:, first:end], low, high) <= exact
            for first, end in pairwise(edges.tolist())
        ):
            break
    return edges


def check_fit(matrix: Int8, low: int, high: int, sum_bits: int) -> None:
    """Fault if a sum of products of a filter, int8 [F, E], with ``low..high`` may not fit in its
    bits.

    low <= 0 <= high; then sums of some of the products may not either.
    """
    largest, most = max(-low, high), (1 << (sum_bits - 1)) - 1
    if (
        matrix.shape[1] * 128 * largest > most
        and int(np.abs(matrix.astype(np.int64)).sum(axis=1).max()) * largest > most
    ):
        raise InstructionFault(f"has a filter whose sum may not fit in int{sum_bits}")


def _reach(weights: Int8, low: int, high: int) -> int:
    """The greatest magnitude that a sum of some products of a filter, int8 [F, E], can have if the
    inputs are ``low..high``, low <= 0 <= high."""
    up = np.maximum(weights, 0).sum(axis=1, dtype=np.int64)
    down = up - weights.sum(axis=1, dtype=np.int64)
    return int(max((up * high - down * low).max(), (down * high - up * low).max()))
