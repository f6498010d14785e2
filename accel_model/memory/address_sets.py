"""What is done to the records of cells over sets of addresses.

Neighbouring cells may have a record in common. The compiled loops take ``AddressSet`` and
``ShadowLayout`` as rows of int64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached

Int32 = npt.NDArray[np.int32]
Row = npt.NDArray[np.int64]


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


def bursts(cells: Row, size: int) -> int:
    """Aligned bursts of ``size`` bytes that the runs touch; each run pays its own."""
    at, length, columns, column, rows, row, blocks, block = cells.tolist()
    if not (column % size or row % size or block % size):  # all begin at the same place of a burst
        return int(columns * rows * blocks * ((at + length - 1) // size - at // size + 1))
    first = at + np.add.outer(
        np.add.outer(np.arange(blocks) * block, np.arange(rows) * row), np.arange(columns) * column
    )
    return int(((first + length - 1) // size - first // size + 1).sum())
