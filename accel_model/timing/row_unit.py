"""Time of instructions that treat channels alike where row registers serve all taps of a kernel
row.

The rules are those of docs/ARRAYS.md, "Row registers"; ``reference/rows.py`` steps the same unit
clock by clock. Here only the moments are computed at which an image row is fetched or multiplied,
and a row of outputs written.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached_scalar
from zeroskip.accel_model.timing.shape import WindowShape

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class RowUnit(NamedTuple):
    """The numbers of an array's row registers on which time depends.

    multipliers: of a channel, each with two accumulators.
    register: pixels of an image row that a register holds.
    fetch: neighbouring pixels that are fetched together.
    banks: of ACT, each of which gives one of them a cycle.
    written: rows of ACT written in a cycle.
    kernel: weights of a channel that are held.
    """

    multipliers: int
    register: int
    fetch: int
    banks: int
    written: int
    kernel: int

    def fetch_cycles(self, pixels: int) -> int:
        """Cycles to fetch so many neighbouring pixels of an image row."""
        groups, rest = divmod(pixels, self.fetch)
        return groups * -(-self.fetch // self.banks) + -(-rest // self.banks)


def kernel_cycles(taps: int, weight_bytes: int = 1) -> int:
    """Cycles in which WGT gives a channel's dense stream, the header included: a word of 4 bytes in
    each, or two of 16-bit weights."""
    words = 1 + -(-taps * weight_bytes // 4)
    return -(-words // weight_bytes)


class Strip(NamedTuple):
    """How outputs are cut into strips of columns.

    pixels: outputs in a row of a strip; the last strip may have fewer.
    group: multipliers of each of them, whose accumulators take its sums in turn.
    """

    pixels: int
    group: int


class RowTiming(NamedTuple):
    """cycles: until the last row is written. fetched: rows of ACT read, the operand's included."""

    cycles: int
    fetched: int


@lru_cache(maxsize=4096)
def strip_of(unit: RowUnit, window: WindowShape, weighted: bool) -> Strip | None:
    """The strips that an instruction is worked on in; None: tap by tap, without row registers.

    weighted: whether it has weights, which must be held too, each kernel row in a power of two of
    weights.
    """
    reach = (window.cols - 1) * window.col_dilation + 1
    if window.taps == 1 or window.cols > unit.multipliers or reach > unit.register:
        return None
    held = window.rows * (1 << (window.cols - 1).bit_length())
    if weighted and held > unit.kernel:
        return None
    tall = (window.rows - 1) * window.row_dilation + 1
    summed = min(-(-tall // window.row_stride), window.out_height)
    group = max(window.cols, -(-(summed + 1) // 2))
    pixels = min(
        unit.multipliers // group,
        (unit.register - reach) // window.col_stride + 1,
        window.out_width,
    )
    looked, products = (pixels - 1) * window.col_stride + reach, pixels * window.cols
    if pixels < 1 or -(-looked // unit.fetch) > -(-products // unit.fetch):
        return None
    if products < min(unit.fetch, window.outputs):
        return None
    return Strip(pixels, group)


@lru_cache(maxsize=4096)
def row_timing(
    unit: RowUnit, window: WindowShape, strip: Strip, blocks: int, words: int, operand: bool
) -> RowTiming:
    """Time of an instruction on ``blocks`` channel blocks, the pipeline's cycles not included.

    words: cycles in which a channel's stream comes from WGT (``kernel_cycles``); 0: no weights.
    operand: whether a second operand is added.
    """
    uses, starts, ends = _image_rows(
        window.out_height, window.rows, window.row_stride, window.row_dilation
    )
    reach = (window.cols - 1) * window.col_dilation + 1
    count = -(-window.out_width // strip.pixels)
    widths = np.full(count, strip.pixels, np.int64)
    widths[-1] = window.out_width - (count - 1) * strip.pixels
    looked = [int(width - 1) * window.col_stride + reach for width in widths]
    added = [int(width) * operand for width in widths]
    cycles = _simulate(
        blocks,
        uses,
        starts,
        ends,
        np.array([unit.fetch_cycles(pixels) for pixels in looked], np.int64),
        np.array([unit.fetch_cycles(pixels) for pixels in added], np.int64),
        -(-widths // unit.written),
        words,
        *np.zeros((3, 6 + 2 * strip.group), np.int64),
    )
    fetched = sum(looked) * len(uses) + sum(added) * window.out_height
    return RowTiming(int(cycles), blocks * fetched)


@lru_cache(maxsize=1024)
def _image_rows(outputs: int, rows: int, stride: int, dilation: int) -> tuple[Int32, Int32, Int32]:
    """int32 [image rows that are looked at] each: kernel rows that use it, and whether a row of
    outputs starts and ends with it."""
    first = np.arange(outputs) * stride
    size = (outputs - 1) * stride + (rows - 1) * dilation + 1
    uses, starts, ends = (np.zeros(size, np.int32) for _ in range(3))
    for row in range(rows):
        uses[first + row * dilation] += 1
    starts[first] = 1
    ends[first + (rows - 1) * dilation] = 1
    looked = uses > 0
    return uses[looked], starts[looked], ends[looked]


@njit_cached_scalar
def _simulate(
    blocks: int,
    uses: Int32,
    starts: Int32,
    ends: Int32,
    fetch: Int64,
    operand: Int64,
    write: Int64,
    words: int,
    written: Int64,
    state: Int64,
    mark: Int64,
) -> int:
    """When the last row of outputs is written.

    fetch, operand, write: int64 [strips], cycles for an image row, for a row of the operand and of
    outputs. written, state, mark: zeros, 6 more than rows of outputs that accumulators have room
    for. Blocks are alike: once one takes up where it began, so do all that follow.
    """
    places = len(state) - 6
    fetched, done, before = 0, 0, 0  # ends of the latest fetch and of the two latest image rows
    filled, block_end, block_before = 0, 0, 0
    count, started = 0, 0  # rows of outputs so far, which are ``written`` in turn
    latest, earlier = 0, 0  # of ``written``, the two latest
    block = 0
    while block < blocks:
        filled = max(filled, block_before) + words
        ready = filled
        for strip in range(len(fetch)):
            for row in range(len(uses)):
                fetched = max(fetched, before)
                if ends[row] and operand[strip] > 0:
                    fetched = max(fetched, earlier) + operand[strip]
                fetched += fetch[strip]
                begin = max(fetched, done, ready)
                if starts[row]:
                    begin = max(begin, written[started % places])
                    started += 1
                before, done = done, begin + uses[row]
                if ends[row]:
                    earlier, latest = latest, max(latest, done) + write[strip]
                    written[count % places] = latest
                    count += 1
        block_before, block_end = block_end, done
        block += 1
        state[0], state[1], state[2] = fetched - done, before - done, filled - done
        state[3], state[4], state[5] = block_before - done, latest - done, earlier - done
        for place in range(places):
            state[6 + place] = written[(count + place) % places] - done
        alike = block > 1
        for at in range(len(state)):
            alike &= state[at] == mark[at]
            mark[at] = state[at]
        if alike:
            return int(latest + (blocks - block) * (block_end - block_before))
    return int(latest)
