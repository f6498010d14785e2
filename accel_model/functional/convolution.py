"""The sums of a convolution: the inputs under the taps of its outputs, multiplied with the filters.

Inputs are laid out for a few columns of outputs at a time, or for a few images, which stay in the
processor's caches while all filters are multiplied with them. If a kernel moves down by as much as
its rows are apart, an output needs a *line* for each of its kernel rows, and all but the last of
these are lines of the output above: lines then hold a kernel row each and are laid out once.
Otherwise every output has a line of its own.

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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import FilterSet
from zeroskip.accel_model.functional.kernels import Bytes, Int8, Int32, Int64
from zeroskip.accel_model.io.jit import njit_cached, njit_cached_reassociating
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.operand_window import OperandWindow
from zeroskip.accel_model.program.tensor_layout import blocks

Float32 = npt.NDArray[np.float32]

EXACT = 1 << 24  # whole numbers that float32 holds
EXACT_WIDE = 1 << 53  # and float64
ROOM = 1 << 17  # inputs that are laid out at a time, if not more are needed for a column
TERMS = 16  # a reduction is made as long as a multiple of them: no vector is begun and not filled


class Lines(NamedTuple):
    """number: of a column of outputs. step: input rows between lines. tall: kernel rows of a line.
    terms: inputs of a line."""

    number: int
    step: int
    tall: int
    terms: int


def lines_of(window: OperandWindow, channels: int) -> Lines:
    """The lines of a column of outputs."""
    if window.row_stride == window.row_dilation:
        return Lines(
            window.out_height + window.rows - 1, window.row_stride, 1, window.cols * channels
        )
    return Lines(window.out_height, window.row_stride, window.rows, window.taps * channels)


def largest_array(window: OperandWindow, channels: int, filters: int, value_bytes: int) -> int:
    """Bytes of the largest array that ``Convolver`` needs."""
    lines, real = lines_of(window, channels), 4 * value_bytes
    return max(
        real * (max(ROOM, lines.number * lines.terms) + TERMS),
        filters * _filled(window.taps * channels),
        real * window.outputs * filters,
    )


class Convolver:
    """Makes the sums of convolutions; keeps the room for inputs from one to the next.

    sum_bits: that a sum has.
    """

    def __init__(self, sum_bits: int = 32) -> None:
        self._room = self._rows = np.zeros(0, np.float32)
        self._places = np.empty((2, 4), np.int64)
        self._sum_bits = sum_bits

    def sums(self, act: Bytes, window: OperandWindow, channels: int, filters: FilterSet) -> Int32:
        """int32 [N, blocks, outputs, 16], filters by their channel. Fault if a sum may not fit in
        its bits.

        act: uint8 [N, rows, 16], or uint16: then sums are int64.
        """
        lines, wide = lines_of(window, channels), act.dtype == np.uint16
        real = np.float64 if wide else np.float32
        weights, edges = _weights(filters, window, real, self._sum_bits)
        steps = (window.out_width - 1) * window.col_stride, (window.cols - 1) * window.col_dilation
        size = max(ROOM, lines.number * lines.terms)
        self._room = _at_least(self._room, size + TERMS, real)
        self._rows = _at_least(self._rows, 2 * BLOCK * (sum(steps) + 1), real)
        made = np.empty if len(weights) % BLOCK == 0 else np.zeros
        shape = len(act), blocks(len(weights)), window.outputs, BLOCK
        sums: Int32 = made(shape, np.int64 if wide else np.int32)
        rooms = self._room, self._rows, self._places
        _convolve(act, window, channels, lines, weights, edges, *rooms, sums)
        return sums


def _at_least(room: Float32, size: int, real: type) -> Float32:
    """Room for so many floats of a type, all of them finite: what there is, if it is enough."""
    return room if len(room) >= size and room.dtype == real else np.zeros(size, real)


def _filled(terms: int) -> int:
    """Terms of a reduction with the zeros behind it."""
    return -(-terms // TERMS) * TERMS


def _weights(
    filters: FilterSet, window: OperandWindow, real: type, sum_bits: int
) -> tuple[Int8, Int64]:
    """As ``_convolve`` takes them: int8 [F, E]; int64 [pieces + 1], where a reduction is cut."""
    key = (window.rows, window.cols, window.limits)
    found: tuple[Int8, Int64] | None = filters.memo.get(key)
    if found is None:
        check_fit(filters.matrix, *window.limits, sum_bits)
        made = _by_rows(filters, window.rows, window.cols)
        exact = EXACT if real is np.float32 else EXACT_WIDE
        found = filters.memo[key] = made, exact_pieces(made, *window.limits, exact)
    return found


def _by_rows(filters: FilterSet, rows: int, cols: int) -> Int8:
    """Weights as ``_columns`` counts them, int8 [F, E], filters by channel: kernel rows outermost,
    where the canonical order has blocks of 16 channels outermost; zeros to a multiple of
    ``TERMS``."""
    count, terms = filters.matrix.shape
    wide = filters.shape.channels * cols
    made = np.zeros((count, _filled(terms)), np.int8)
    lines = made[:, :terms].reshape(count, rows, wide)
    whole = wide - filters.shape.channels % BLOCK * cols
    for first, end, size in ((0, whole, BLOCK * cols), (whole, wide, wide - whole)):
        if first < end:
            given = filters.matrix[:, rows * first : rows * end].reshape(count, -1, rows, size)
            into = lines[:, :, first:end].reshape(count, rows, -1, size)
            into[filters.order] = given.swapaxes(1, 2)
    return made


def exact_pieces(weights: Int8, low: int, high: int, exact: int = EXACT) -> Int64:
    """int64 [pieces + 1]: edges of as few equal pieces of the terms of filters, int8 [F, E], as
    keep all sums within ``exact``."""
    terms, largest = weights.shape[1], 128 * max(-low, high)
    for pieces in range(1, terms + 1):
        size = -(-terms // pieces)
        edges = np.minimum(np.arange(0, terms + size, size), terms)
        if size * largest <= exact or all(
            _reach(weights, first, end, low, high) <= exact
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


# --------------------------------------------------------------------------------------- loops


@njit_cached
def _values(act: Bytes, w: OperandWindow, first: int, count: int, width: int, out: Float32) -> None:
    """``width`` channels of ``count`` neighbouring ACT rows."""
    flip, offset = act.dtype.type(w.flip), np.int32(w.offset)
    if width == 16:
        raw = act[first : first + count].reshape(count * 16)
        for i in range(len(raw)):
            out[i] = out.dtype.type(np.int32(raw[i] ^ flip) - offset)
    else:
        for x in range(count):
            for c in range(width):
                out[x * width + c] = out.dtype.type(np.int32(act[first + x, c] ^ flip) - offset)


@njit_cached
def _columns(
    act: Bytes,
    w: OperandWindow,
    channels: int,
    first_x: int,
    step: int,
    tall: int,
    rows: Float32,
    out: Float32,
) -> None:
    """The inputs under the taps of the outputs from column ``first_x`` on: float32
    [columns, lines, K].

    Line i begins ``step`` * i input rows below ``top``. K counts ``tall`` kernel rows, blocks of
    channels, kernel columns and channels; what is outside the tile is 0. rows: room for
    two rows of a block, as far as the taps reach.
    """
    left = w.left + first_x * w.col_stride
    reach = (len(out) - 1) * w.col_stride + (w.cols - 1) * w.col_dilation + 1
    low = min(max(0, -left), reach)
    high = max(low, min(reach, w.width - left))
    whole, tail = rows[: reach * 16], rows[reach * 16 : 2 * reach * 16]
    for k in range(reach * 16):
        whole[k] = tail[k] = out.dtype.type(0)
    together = w.cols if w.col_dilation == 1 else 1
    for i in range(out.shape[1]):
        e = 0
        for r in range(tall):
            y = w.top + step * i + r * w.row_dilation
            inside = 0 <= y < w.height
            for first in range(0, channels, 16):
                width = min(16, channels - first)
                row = whole if width == 16 else tail
                if inside:
                    at = w.act + first // 16 * w.block + y * w.row + left
                    _values(act, w, at + low, high - low, width, row[low * width :])
                for s in range(0, w.cols, together):
                    size = together * width
                    for x in range(len(out)):
                        at = (x * w.col_stride + s * w.col_dilation) * width
                        seen, line = row[at : at + size], out[x, i, e : e + size]
                        for k in range(len(line)):
                            line[k] = seen[k] if inside else out.dtype.type(0)
                    e += size


@njit_cached
def _reach(weights: Int8, first: int, end: int, low: int, high: int) -> int:
    """The greatest magnitude that a sum of some products of terms ``first..end`` of a filter can
    have if the inputs are ``low..high``, low <= 0 <= high. weights: int8 [F, E]."""
    most = 0
    for f in range(len(weights)):
        line, up, down = weights[f, first:end], np.int32(0), np.int32(0)
        for k in range(len(line)):
            up = np.int32(up + max(np.int32(line[k]), np.int32(0)))
            down = np.int32(down - min(np.int32(line[k]), np.int32(0)))
        most = max(most, int(up) * high - int(down) * low, int(down) * high - int(up) * low)
    return most


@njit_cached
def _dot(x: Float32, w: Int8, sums: Int32) -> int:
    """The sum of the products of an output and a filter, as integers such as sums are: for what is
    left over."""
    of = sums.dtype.type
    total = of(0)
    for k in range(len(w)):
        total = of(total + of(of(x[k]) * of(w[k])))
    return int(total)


@njit_cached
def _place(image: int, output: int, shape: tuple[int, int, int, int]) -> int:
    """Where the sum of an output and of filter 0 is, of all sums [N, blocks, outputs, 16]."""
    return (image * shape[1] * shape[2] + output) * 16


@njit_cached_reassociating
def _products(
    flat: Float32,
    columns: int,
    column: int,
    line_terms: int,
    weights: Int8,
    edges: Int64,
    first_x: int,
    width: int,
    places: Int64,
    sums: Int32,
) -> None:
    """``_convolve`` for the outputs from column ``first_x`` on, of ``width`` in a row.

    flat: float32, N * columns, each of ``column`` inputs, lines of ``line_terms``; an output takes
    its line and those after it, and what is behind them by weights that are 0. The sums of 4
    outputs and 4 filters are made together, in registers.
    """
    of, outputs = flat.dtype.type, sums.shape[2]
    tall, count = outputs // width, len(sums) * columns * (outputs // width)
    made, whole = sums.reshape(-1), len(weights) // 4 * 4
    at, place = places[0], places[1]
    for n in range(0, count, 4):
        together = min(4, count - n)
        for i in range(together):
            x, y = (n + i) // tall, (n + i) % tall
            at[i] = x * column + y * line_terms
            place[i] = _place(x // columns, y * width + first_x + x % columns, sums.shape)
        for piece in range(len(edges) - 1 if together == 4 else 0):
            first, end = edges[piece], edges[piece + 1]
            x0, x1 = flat[at[0] + first :], flat[at[1] + first :]
            x2, x3 = flat[at[2] + first :], flat[at[3] + first :]
            s0, s1, s2, s3 = made[place[0] :], made[place[1] :], made[place[2] :], made[place[3] :]
            for f in range(0, whole, 4):
                o = f // 16 * 16 * outputs + f % 16
                w0, w1 = weights[f, first:end], weights[f + 1, first:end]
                w2, w3 = weights[f + 2, first:end], weights[f + 3, first:end]
                a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = of(0)
                c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = of(0)
                for k in range(len(w0)):
                    p, q, r, s = x0[k], x1[k], x2[k], x3[k]
                    t, u = of(w0[k]), of(w1[k])
                    v, w = of(w2[k]), of(w3[k])
                    a0 += p * t
                    a1 += p * u
                    a2 += p * v
                    a3 += p * w
                    b0 += q * t
                    b1 += q * u
                    b2 += q * v
                    b3 += q * w
                    c0 += r * t
                    c1 += r * u
                    c2 += r * v
                    c3 += r * w
                    d0 += s * t
                    d1 += s * u
                    d2 += s * v
                    d3 += s * w
                for line, g0, g1, g2, g3 in (
                    (s0, a0, a1, a2, a3),
                    (s1, b0, b1, b2, b3),
                    (s2, c0, c1, c2, c3),
                    (s3, d0, d1, d2, d3),
                ):
                    line[o] = int(g0) + (line[o] if piece else 0)
                    line[o + 1] = int(g1) + (line[o + 1] if piece else 0)
                    line[o + 2] = int(g2) + (line[o + 2] if piece else 0)
                    line[o + 3] = int(g3) + (line[o + 3] if piece else 0)
        for i in range(together):
            for f in range(whole if together == 4 else 0, len(weights)):
                made[place[i] + f // 16 * 16 * outputs + f % 16] = _dot(
                    flat[at[i] :], weights[f], made
                )


@njit_cached
def _convolve(
    act: Bytes,
    w: OperandWindow,
    channels: int,
    lines: Lines,
    weights: Int8,
    edges: Int64,
    room: Float32,
    rows: Float32,
    places: Int64,
    sums: Int32,
) -> None:
    """Sums of the products of inputs and weights, int32 [N, blocks, outputs, 16]; they must fit.

    weights: int8 [F, E] as ``_by_rows`` makes them. edges: int64 [pieces + 1], where a reduction is
    cut so that floats are exact (``_reach``). room: float32 or float64, all finite, for one column
    of outputs and ``TERMS`` more at least. rows: for ``_columns``. places: int64 [2, 4], where four
    outputs have their inputs and sums.
    """
    size = lines.number * lines.terms
    columns_at_once = (len(room) - TERMS) // size
    wide = min(w.out_width, columns_at_once)
    together = max(1, columns_at_once // w.out_width)  # images
    for first in range(0, len(act), together):
        made = sums[first : first + together]
        for x in range(0, w.out_width, wide):
            columns = min(wide, w.out_width - x)
            count = len(made) * columns
            inputs = room[: count * size].reshape(count, lines.number, lines.terms)
            for i in range(len(made)):
                _columns(
                    act[first + i],
                    w,
                    channels,
                    x,
                    lines.step,
                    lines.tall,
                    rows,
                    inputs[i * columns : (i + 1) * columns],
                )
            _products(
                room, columns, size, lines.terms, weights, edges, x, w.out_width, places, made
            )
