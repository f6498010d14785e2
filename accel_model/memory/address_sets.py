"""Sets of addresses: strided runs of cells, and what is done to the records of cells over them.

A cell is a row of an SRAM or a byte of DRAM. Neighbouring cells may have a record in common. The
compiled loops take ``AddressSet`` and ``ShadowLayout`` as rows of int64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached

Int32 = npt.NDArray[np.int32]
Row = npt.NDArray[np.int64]


class AddressSet(NamedTuple):
    """``first + b*block + y*row + x*pixel + i``: b < blocks, y < height, x < width, i < length.

    Strides are not negative, so ``first`` is the lowest address.
    """

    first: int
    length: int
    width: int = 1
    pixel: int = 0
    height: int = 1
    row: int = 0
    blocks: int = 1
    block: int = 0

    @property
    def last(self) -> int:
        """The highest address."""
        return (
            self.first
            + (self.blocks - 1) * self.block
            + (self.height - 1) * self.row
            + (self.width - 1) * self.pixel
            + self.length
            - 1
        )

    @property
    def total(self) -> int:
        """Cells named, those named twice counted twice."""
        return self.length * self.width * self.height * self.blocks

    def joined(self) -> AddressSet:
        """The same cells in the longest runs: neighbours that touch become one run."""
        length = self.length
        left: list[tuple[int, int]] = []
        for size, stride in (
            (self.width, self.pixel),
            (self.height, self.row),
            (self.blocks, self.block),
        ):
            if size == 1:
                continue
            if not left and stride == length:
                length *= size
            else:
                left.append((size, stride))
        left += [(1, 0)] * (3 - len(left))
        (width, pixel), (height, row), (blocks, block) = left
        return AddressSet(self.first, length, width, pixel, height, row, blocks, block)

    def of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View [blocks, height, width, length, ...] of an array [cells, ...]; must be in bounds."""
        step = array.strides[0]
        return np.lib.stride_tricks.as_strided(
            array[self.first :],
            (self.blocks, self.height, self.width, self.length, *array.shape[1:]),
            (self.block * step, self.row * step, self.pixel * step, *array.strides),
        )

    def repeats(self) -> bool:
        """Whether an address is named twice."""
        axes = [
            (stride, size)
            for stride, size in (
                (1, self.length),
                (self.pixel, self.width),
                (self.row, self.height),
                (self.block, self.blocks),
            )
            if size > 1
        ]
        reach = 0
        for stride, size in sorted(axes):
            if stride <= reach:
                break
            reach += stride * (size - 1)
        else:
            return False
        span = self.last - self.first + 1
        if self.total > span:
            return True
        names = self._replace(first=0).of(np.arange(span))
        return len(np.unique(names)) < names.size


# ------------------------------------------------------------------------------------ records


class ShadowLayout(NamedTuple):
    """Where the records of a memory's cells are, as a row of int64.

    cells: how many there are. fixed: of those, at the start, without records. granule: log2 of the
    cells with records in common. offset: the record of cell c is ``offset + (c >> granule)``.
    writers, readers: units that may use the memory, as bits.
    """

    cells: int
    fixed: int
    granule: int
    offset: int
    writers: int
    readers: int


@njit_cached
def _span(at: int, length: int, place: Row) -> tuple[int, int]:
    """First record of a run of cells and the one behind its last; none: the run has no records."""
    first = max(at, place[1])
    if at + length <= first:
        return 0, 0
    return place[3] + (first >> place[2]), place[3] + ((at + length - 1) >> place[2]) + 1


@njit_cached
def _edges(at: int, length: int, place: Row) -> tuple[int, int]:
    """Bits of the cells of a run in its first record and in its last."""
    low, high = max(at, place[1]) & 15, (at + length - 1) & 15
    return (0xFFFF << low) & 0xFFFF, 0xFFFF >> (15 - high)


@njit_cached
def last_access(ticks: Int32, cells: Row, place: Row) -> int:
    """The greatest record over the cells."""
    most = 0
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                start, end = _span(at, cells[1], place)
                part = ticks[start:end]
                for i in range(len(part)):
                    most = max(most, part[i])
    return most


@njit_cached
def stamp(ticks: Int32, cells: Row, place: Row, tick: int) -> None:
    """Set the records of the cells."""
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                start, end = _span(at, cells[1], place)
                part = ticks[start:end]
                for i in range(len(part)):
                    part[i] = tick


@njit_cached
def _run_lacks(part: Int32, mask: int, low: int, high: int) -> bool:
    """Whether a bit is missing: of ``mask``; in the first record also of ``low`` only, in the last
    of ``high`` only."""
    if len(part) == 1:
        return bool(part[0] & (mask & low & high) != mask & low & high)
    common = part[0] | ~(mask & low)
    for i in range(1, len(part) - 1):
        common &= part[i]
    common &= part[len(part) - 1] | ~(mask & high)
    return bool(common & mask != mask)


@njit_cached
def first_unwritten(written: Int32, cells: Row, place: Row, mask: int) -> int:
    """The first cell in which a bit of ``mask`` is not set, or -1; where cells have a record in
    common, it has a bit for each and the mask is of all."""
    low = high = 0xFFFF
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                start, end = _span(at, cells[1], place)
                if place[2]:
                    low, high = _edges(at, cells[1], place)
                if start < end and _run_lacks(written[start:end], mask, low, high):
                    for cell in range(max(at, place[1]), at + cells[1]):
                        one = 1 << (cell & 15) if place[2] else mask
                        if written[place[3] + (cell >> place[2])] & one != one:
                            return cell
    return -1


@njit_cached
def set_bits(written: Int32, cells: Row, place: Row, mask: int) -> None:
    """Set the bits of ``mask`` in the cells."""
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                start, end = _span(at, cells[1], place)
                if start == end:
                    continue
                low, high = _edges(at, cells[1], place) if place[2] else (0xFFFF, 0xFFFF)
                part = written[start:end]
                if len(part) == 1:
                    part[0] |= mask & low & high
                    continue
                part[0] |= mask & low
                part[len(part) - 1] |= mask & high
                inner = part[1 : len(part) - 1]
                for i in range(len(inner)):
                    inner[i] |= mask


@njit_cached
def bursts(cells: Row, size: int) -> int:
    """Aligned bursts of ``size`` bytes that the runs touch; each run pays its own."""
    total = 0
    for b in range(cells[6]):
        for y in range(cells[4]):
            for x in range(cells[2]):
                at = cells[0] + b * cells[7] + y * cells[5] + x * cells[3]
                total += (at + cells[1] - 1) // size - at // size + 1
    return total
