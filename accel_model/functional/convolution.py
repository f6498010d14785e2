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
SHORT = 32  # terms below which a reduction is not worth vectors of terms


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
        real * max(ROOM, lines.number * lines.terms),
        filters * window.taps * channels,
        real * window.outputs * filters,
    )


class Convolver:
    """Makes the sums of convolutions; keeps the room for inputs from one to the next.

    sum_bits: that a sum has.
    """

    def __init__(self, sum_bits: int = 32) -> None:
        self._room = self._rows = self._totals = np.empty(0, np.float32)
        self._places = np.empty((2, 4), np.int64)
        self._sum_bits = sum_bits

    def sums(self, act: Bytes, window: OperandWindow, channels: int, filters: FilterSet) -> Int32:
        """int32 [N, blocks, outputs, 16], filters by their channel. Fault if a sum may not fit in
        its bits.

        act: uint8 [N, rows, 16], or uint16: then sums are int64.
        """
        lines, wide = lines_of(window, channels), act.dtype == np.uint16
        real = np.float64 if wide else np.float32
        weights, terms, edges = _weights(filters, window, real, self._sum_bits)
        steps = (window.out_width - 1) * window.col_stride, (window.cols - 1) * window.col_dilation
        self._room = _at_least(self._room, max(ROOM, lines.number * lines.terms), real)
        self._rows = _at_least(self._rows, 2 * BLOCK * (sum(steps) + 1), real)
        self._totals = _at_least(self._totals, 4 * terms.shape[1], real)
        made = np.empty if len(weights) % BLOCK == 0 else np.zeros
        shape = len(act), blocks(len(weights)), window.outputs, BLOCK
        sums: Int32 = made(shape, np.int64 if wide else np.int32)
        rooms = self._room, self._rows, self._totals, self._places
        _convolve(act, window, channels, lines, weights, terms, edges, *rooms, sums)
        return sums


def _at_least(room: Float32, size: int, real: type) -> Float32:
    """Room for so many floats of a type: what there is, if it is enough."""
    return room if len(room) >= size and room.dtype == real else np.empty(size, real)


def _weights(
    filters: FilterSet, window: OperandWindow, real: type, sum_bits: int
) -> tuple[Int8, Float32, Int64]:
    """As ``_convolve`` takes them: int8 [F, E]; float32 [E, F], of short reductions, or as ``real``
    is; int64 [pieces + 1], where a reduction is cut."""
    key = (window.rows, window.cols, window.limits)
    found: tuple[Int8, Float32, Int64] | None = filters.memo.get(key)
    if found is None:
        check_fit(filters.matrix, *window.limits, sum_bits)
        made = np.empty_like(filters.matrix)
        _by_rows(filters.matrix, filters.order, window.rows, window.cols, made)
        short = made.T if made.shape[1] < SHORT else np.empty((0, 0))
        exact = EXACT if real is np.float32 else EXACT_WIDE
        edges = exact_pieces(made, *window.limits, exact)
        found = filters.memo[key] = made, np.ascontiguousarray(short, real), edges
    return found


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
def _by_rows(matrix: Int8, order: Int32, rows: int, cols: int, out: Int8) -> None:
    """Weights as ``_columns`` counts them: int8 [F, E], kernel rows outermost, filters by channel.

    matrix: int8 [F, E], canonical order of ``rows`` x ``cols`` taps; filter f is channel order[f].
    """
    channels = matrix.shape[1] // (rows * cols)
    for f in range(len(matrix)):
        e = 0
        for first in range(0, channels, 16):
            size = min(16, channels - first) * cols
            for r in range(rows):
                at = (r * channels + first) * cols
                line, given = out[order[f], at : at + size], matrix[f, e:]
                for k in range(len(line)):
                    line[k] = given[k]
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
    inputs: Float32,
    columns: int,
    weights: Int8,
    edges: Int64,
    first_x: int,
    width: int,
    places: Int64,
    sums: Int32,
) -> None:
    """``_convolve`` for the outputs from column ``first_x`` on, of ``width`` in a row.

    inputs: float32 [N * columns, lines, K]; an output takes its line and those after it. The sums
    of 4 outputs and 4 filters are made together, in registers.
    """
    of = inputs.dtype.type
    lines, terms, outputs = inputs.shape[1], inputs.shape[2], sums.shape[2]
    tall, count = outputs // width, len(sums) * columns * (outputs // width)
    flat, made, whole = inputs.reshape(-1), sums.reshape(-1), len(weights) // 4 * 4
    at, place = places[0], places[1]
    for n in range(0, count, 4):
        together = min(4, count - n)
        for i in range(together):
            x, y = (n + i) // tall, (n + i) % tall
            at[i] = (x * lines + y) * terms
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


@njit_cached_reassociating
def _short_products(
    inputs: Float32,
    columns: int,
    terms: Float32,
    first_x: int,
    width: int,
    totals: Float32,
    places: Int64,
    sums: Int32,
) -> None:
    """``_products`` of reductions of few terms, float32 [E, F]: vectors are of filters."""
    lines, size, outputs = inputs.shape[1], inputs.shape[2], sums.shape[2]
    tall, count = outputs // width, len(sums) * columns * (outputs // width)
    flat, made = inputs.reshape(-1), sums.reshape(-1)
    of, filters = totals.dtype.type, terms.shape[1]
    t0, t1 = totals[:filters], totals[filters : 2 * filters]
    t2, t3 = totals[2 * filters : 3 * filters], totals[3 * filters : 4 * filters]
    at, place = places[0], places[1]
    for i in range(4):
        at[i] = 0
    for n in range(0, count, 4):
        together = min(4, count - n)  # of fewer than 4 the others are old ones again
        for i in range(together):
            x, y = (n + i) // tall, (n + i) % tall
            at[i] = (x * lines + y) * size
            place[i] = _place(x // columns, y * width + first_x + x % columns, sums.shape)
        for f in range(len(t0)):
            t0[f] = t1[f] = t2[f] = t3[f] = of(0)
        x0, x1, x2, x3 = flat[at[0] :], flat[at[1] :], flat[at[2] :], flat[at[3] :]
        for e in range(0, len(terms) - 2, 3):
            u, v, w = terms[e], terms[e + 1], terms[e + 2]
            a0, a1, a2, b0, b1, b2 = x0[e], x0[e + 1], x0[e + 2], x1[e], x1[e + 1], x1[e + 2]
            c0, c1, c2, d0, d1, d2 = x2[e], x2[e + 1], x2[e + 2], x3[e], x3[e + 1], x3[e + 2]
            for f in range(len(u)):
                t0[f] += a0 * u[f] + a1 * v[f] + a2 * w[f]
                t1[f] += b0 * u[f] + b1 * v[f] + b2 * w[f]
                t2[f] += c0 * u[f] + c1 * v[f] + c2 * w[f]
                t3[f] += d0 * u[f] + d1 * v[f] + d2 * w[f]
        for e in range(len(terms) // 3 * 3, len(terms)):
            u, a0, b0, c0, d0 = terms[e], x0[e], x1[e], x2[e], x3[e]
            for f in range(len(u)):
                t0[f] += a0 * u[f]
                t1[f] += b0 * u[f]
                t2[f] += c0 * u[f]
                t3[f] += d0 * u[f]
        for i in range(together):
            for first in range(0, filters, 16):
                line, total = made[place[i] + first * outputs :], totals[i * filters + first :]
                for c in range(min(16, filters - first)):
                    line[c] = int(total[c])


@njit_cached
def _convolve(
    act: Bytes,
    w: OperandWindow,
    channels: int,
    lines: Lines,
    weights: Int8,
    terms: Float32,
    edges: Int64,
    room: Float32,
    rows: Float32,
    totals: Float32,
    places: Int64,
    sums: Int32,
) -> None:
    """Sums of the products of inputs and weights, int32 [N, blocks, outputs, 16]; they must fit.

    weights: int8 [F, E] as ``_by_rows`` makes them. terms: of the type of ``room``, [E, F], the
    same, or nothing. edges: int64 [pieces + 1], where a reduction is cut so that floats are exact
    (``_reach``). room: float32 or float64, for one column of outputs at least. rows, totals:
    for ``_columns`` and 4 * F. places: int64 [2, 4], where four outputs have their inputs and sums.
    """
    size = lines.number * lines.terms
    wide = min(w.out_width, len(room) // size)
    together = max(1, len(room) // (size * w.out_width))  # images
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
            if len(terms):
                _short_products(inputs, columns, terms, x, w.out_width, totals, places, made)
            else:
                _products(inputs, columns, weights, edges, x, w.out_width, places, made)
