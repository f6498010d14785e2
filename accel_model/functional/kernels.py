"""The loops over pixels and channels, compiled.

act: uint8 [N, rows, 16], of N images, which all loops go through one after another. A byte b of an
int8 tensor is ``(b ^ 128) - 128``, so values are taken as ``(b ^ flip) - offset`` for both types
(``operand_window.py``). Sums are int32 [N, blocks, outputs, 16], as tiles are: blocks of 16
channels, outputs row by row. Of activations of 16 bits act is uint16, a value ``(b ^ 32768) -
32768``, and sums are int64: the loops are compiled once more, for these types. So inputs, operands,
sums and results of a row are neighbours, and loops are long. Sums of channels that are not there
may be anything that fits.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.stream_header import copy
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.memory.operand_window import OperandWindow, ResidualOperand, Target

Bytes = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Whole = TypeVar("Whole", np.int64, Int64)  # a number, or an array of them

FINE, WIDE, SHIFT, SCALE = range(4)  # what ``finish`` finds
MOST = (1 << 31) - 1  # of a sum of int8 and uint8
MOST_PRODUCT = 1 << 62  # leaves room for the rounding term in int64
FRACTION = 16  # bits that ``even`` looks at
MAX_SHIFT = 62  # so that the rounding term and a product fit in int64 together


@njit_cached
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


@njit_cached
def add_up(
    sums: Int32, order: Int32, slots: int, acc: Int32, at: int, first: int, last: int, largest: int
) -> int:
    """Unless ``first`` add what is in ACC to the sums, unless ``last`` put them there. The first
    image with a sum beyond -largest - 1 .. largest, or -1.

    acc: int32 [N, rows, 16]; from row ``at`` on each output has as many rows: a group of ``slots``
    streams has whole ones, and stream n holds the sum of channel order[n].
    """
    bad = -1
    rows = (slots + 15) // 16 * 16
    places = len(order) // slots * rows + (len(order) % slots + 15) // 16 * 16
    for i in range(len(sums) - 1, -1, -1):
        held = acc[i, at:].reshape(-1)
        for n in range(sums.shape[2]):
            for f in range(len(order)):
                place, channel = n * places + f // slots * rows + f % slots, order[f]
                total = int(sums[i, channel // 16, n, channel % 16])
                if not first:
                    total += held[place]
                sums[i, channel // 16, n, channel % 16] = total
                if not -largest - 1 <= total <= largest:
                    bad = i
                if not last:
                    held[place] = total
    return bad


# ----------------------------------------------------------------------------- channels alike


@njit_cached
def _inside(w: OperandWindow, s: int) -> tuple[int, int, int]:
    """The first and the end of the outputs of a row whose tap in kernel column ``s`` is within the
    tile, and the input column of the first."""
    left, step = w.left + s * w.col_dilation, w.col_stride
    low = min(w.out_width, max(0, (step - 1 - left) // step))
    high = min(w.out_width, max(low, (w.width - 1 - left) // step + 1))
    return low, high, left + low * step


@njit_cached
def _run(rows: Bytes, at: int, count: int, step: int, room: Bytes) -> Bytes:
    """``count`` rows of 16 from ``at`` on, ``step`` apart: uint8 [16 * count]."""
    if step == 1:
        return rows[at : at + count].reshape(-1)
    for x in range(count):
        copy(rows[at + x * step], room[16 * x : 16 * x + 16])
    return room[: 16 * count]


@njit_cached
def weighted_sums(
    act: Bytes, w: OperandWindow, weights: Int8, room: Bytes, factors: Int32, sums: Int32
) -> None:
    """Add up over the taps, channel by channel: weights int8 [taps, channels].

    room, factors: of the type of ``act`` and int32, [16 * out_width], which may hold anything.
    """
    flip, offset = act.dtype.type(w.flip), np.int32(w.offset)
    for b in range(sums.shape[1]):
        for t in range(len(weights)):
            low, high, column = _inside(w, t % w.cols)
            _repeat(weights[t, 16 * b : 16 * b + 16], factors)
            for i in range(len(act) if low < high else 0):
                rows = act[i, w.act + b * w.block :]
                for oy in range(w.out_height):
                    y = w.top + oy * w.row_stride + t // w.cols * w.row_dilation
                    if not 0 <= y < w.height:
                        continue
                    seen = _run(rows, y * w.row + column, high - low, w.col_stride, room)
                    line = sums[i, b, oy * w.out_width + low :].reshape(-1)
                    for k in range(len(seen)):
                        line[k] += (np.int32(seen[k] ^ flip) - offset) * factors[k]


@njit_cached
def _repeat(values: Int8, into: Int32) -> None:
    """Put up to 16 values and zeros at the beginning of each 16 of ``into``."""
    for c in range(16):
        into[c] = values[c] if c < len(values) else 0
    for first in range(16, len(into), 16):
        line = into[first : first + 16]
        for c in range(len(line)):
            line[c] = into[c]


# ------------------------------------------------------------------------------------ results


@njit_cached
def _parameters(words: Int32, bias: Int32, mult: Int32, shift: Int64) -> None:
    """Of a block of channels, int32 [36], again for each of a row of outputs: biases, multipliers,
    and shifts of a byte each."""
    for n in range(0, len(bias), 16):
        for c in range(16):
            bias[n + c], mult[n + c] = words[c], words[16 + c]
            shift[n + c] = (words[32 + c // 4] >> (c % 4 * 8)) & 255


@njit_cached
def _scale(words: Int32) -> tuple[int, int, int]:
    """The two multipliers and the shift of an operand, of its row of PAR, int32 [4]."""
    return int(words[0]), int(words[1]), int(words[2] & 255)


def half_even(p: Whole, shift: int) -> Whole:
    """int64 ``p / 2^shift``, halves to even, as isa.py says it; shift 1 to 62."""
    dropped = max(shift - FRACTION, 0)
    kept = shift - dropped
    t = (p + ((np.int64(1) << dropped) >> 1)) >> dropped
    return (t + (np.int64(1) << (kept - 1)) - 1 + ((t >> kept) & 1)) >> kept


even = njit_cached(half_even)


@njit_cached
def _requantize(
    line: Int32,
    bias: Int32,
    mult: Int32,
    shift: Int64,
    limits: tuple[int, int, int],
    largest: int,
) -> bool:
    """Q of the sums + bias of an output, in place; False if one is beyond -largest - 1 .. largest.

    limits: zero point, least and greatest value. largest: 2^n - 1.
    """
    zero_point, low, high = limits
    least, outside = np.int64(largest + 1), ~np.int64(2 * largest + 1)
    beyond = np.int64(0)
    for k in range(len(line)):
        total = np.int64(line[k]) + np.int64(bias[k])
        v = line.dtype.type(total)
        beyond |= (total + least) & outside
        half = np.int64(1) << (shift[k] - 1)
        y = ((np.int64(v) * np.int64(mult[k]) + half) >> shift[k]) + zero_point
        line[k] = min(max(y, low), high)
    return bool(beyond == 0)


@njit_cached
def _add(
    line: Int32,
    middle: int,
    other: Bytes,
    r: ResidualOperand,
    scale: tuple[int, int, int],
    y: Target,
) -> None:
    """The scaled sum of outputs, less ``middle``, and of the operand's pixels, in place."""
    mult_a, mult_b, shift = scale
    flip, offset = other.dtype.type(r.flip), np.int32(r.offset)
    for k in range(len(line)):
        value = np.int64(np.int32(other[k] ^ flip) - offset)
        total = (np.int64(line[k]) - middle) * mult_a + value * mult_b
        line[k] = min(max(int(even(total, shift)) + y.zero_point, y.low), y.high)


@njit_cached
def _look_up(line: Int32, r: ResidualOperand) -> None:
    """What the table has for outputs before the operand is added, in place."""
    for k in range(len(line)):
        found = np.int32(r.mid_table[np.uint8(line[k])])
        line[k] = found if r.mid_unsigned or found < 128 else found - 256


@njit_cached
def _pixels(act: Bytes, at: int, width: int) -> Bytes:
    """Pixels of a block that are neighbours: uint8 [width * 16]."""
    return act[at : at + width].reshape(-1)


@njit_cached
def _others(act: Bytes, r: ResidualOperand, b: int, y: int, width: int, room: Bytes) -> Bytes:
    """The operand's values of a row of outputs of a block: uint8 [width * 16], in ``room`` where
    they are not neighbours in ACT."""
    at = r.act + b * r.block + y * r.row
    if r.step and not r.spread:
        return _pixels(act, at, width)
    for x in range(width):
        pixel = act[at + x * r.step]
        for c in range(16):
            room[16 * x + c] = pixel[0 if r.spread else c]
    return room


@njit_cached
def _multiply(
    line: Int32, other: Bytes, r: ResidualOperand, scale: tuple[int, int, int], y: Target
) -> None:
    """The scaled products of outputs and of the operand's values, in place."""
    mult, _, shift = scale
    flip, offset = other.dtype.type(r.flip), np.int32(r.offset)
    for k in range(len(line)):
        product = np.int64(line[k]) * np.int64(np.int32(other[k] ^ flip) - offset)
        line[k] = min(max(int(even(product * mult, shift)) + y.zero_point, y.low), y.high)


@njit_cached
def _write(line: Int32, pixels: Bytes, channels: int, table: Bytes) -> None:
    """Write outputs, int32 [width * 16], to their pixels: of each the first ``channels`` values, or
    what a table has for them."""
    if len(table) > 0:
        for first in range(0, len(line), 16):
            for c in range(min(channels, 16)):
                pixels[first + c] = table[np.uint8(line[first + c])]
    elif channels >= 16:
        for k in range(len(line)):
            pixels[k] = pixels.dtype.type(line[k])
    else:
        for first in range(0, len(line), 16):
            for c in range(channels):
                pixels[first + c] = pixels.dtype.type(line[first + c])


@njit_cached
def finish(
    sums: Int32,
    act: Bytes,
    channels: int,
    words: Int32,
    y: Target,
    r: ResidualOperand,
    scale: Int32,
    bias: Int32,
    mult: Int32,
    shift: Int64,
    largest: int,
) -> tuple[int, int]:
    """Requantize sums, add the operand if there is one, and write the tile.

    words: int32 [36 * blocks], the parameters (isa.Conv). scale: int32 [4], the operand's, with the
    zero point of a convolution's own result behind the table (isa.Operand). bias, mult, shift:
    [16 * width], room for those of a row of outputs. Returns FINE and 0, SHIFT and one that means
    nothing, SCALE and a multiplier whose product with a sum may not fit in int64, or WIDE and the
    first image with a sum beyond -largest - 1 .. largest.
    """
    size, wide = 16 * y.width, len(sums)
    scaled = _scale(scale)
    limits = y.zero_point, y.low, y.high
    if r.there:
        limits = r.mid_zero_point, r.mid_low, r.mid_high
    for b in range(sums.shape[1]):
        _parameters(words[36 * b :], bias, mult, shift)
        for c in range(16):
            if c + 16 * b >= channels:
                for k in range(c, size, 16):
                    bias[k], mult[k], shift[k] = 0, 0, 1
            elif not 1 <= shift[c] <= MAX_SHIFT:
                return SHIFT, shift[c]
            elif abs(np.int64(mult[c])) > MOST_PRODUCT // (largest + 1):
                return SCALE, mult[c]
        if r.there and not 1 <= scaled[2] <= MAX_SHIFT:
            return SHIFT, scaled[2]
        for i in range(len(sums)):
            for row in range(sums.shape[2] // y.width):
                line = sums[i, b, row * y.width : (row + 1) * y.width].reshape(-1)
                if not _requantize(line, bias, mult, shift, limits, largest):
                    wide = min(wide, i)
                if r.there:
                    other = _pixels(act[i], r.act + b * r.block + row * r.row, y.width)
                    middle = r.mid_zero_point
                    if len(r.mid_table) > 0:
                        middle = int(scale[2]) >> 16
                        _look_up(line, r)
                    _add(line, middle, other, r, scaled, y)
                _write(
                    line,
                    _pixels(act[i], y.act + b * y.block + row * y.row, y.width),
                    channels - 16 * b,
                    y.table,
                )
    return (FINE, 0) if wide == len(sums) else (WIDE, wide)


@njit_cached
def finish_pair(
    sums: Int32,
    act: Bytes,
    channels: int,
    scale: Int32,
    y: Target,
    r: ResidualOperand,
    product: bool,
    room: Bytes,
) -> tuple[int, int]:
    """Add the operand, or multiply by it, and write the tile; FINE and 0, or SHIFT and one that
    means nothing.

    scale: int32 [4], the operand's. room: of the type of ``act``, [16 * width], which may hold
    anything.
    """
    scaled = _scale(scale)
    if not 1 <= scaled[2] <= MAX_SHIFT:
        return SHIFT, scaled[2]
    for i in range(len(sums)):
        for b in range(sums.shape[1]):
            for row in range(sums.shape[2] // y.width):
                line = sums[i, b, row * y.width : (row + 1) * y.width].reshape(-1)
                other = _others(act[i], r, b, row, y.width, room)
                if product:
                    _multiply(line, other, r, scaled, y)
                else:
                    _add(line, 0, other, r, scaled, y)
                _write(
                    line,
                    _pixels(act[i], y.act + b * y.block + row * y.row, y.width),
                    channels - 16 * b,
                    y.table,
                )
    return FINE, 0
