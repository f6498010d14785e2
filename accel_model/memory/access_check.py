"""What an instruction reads and writes, checked: bounds, poison and races.

Everything is checked before the instruction executes, so an instruction's semantics may rely on it.
"""

from __future__ import annotations

from typing import NamedTuple

from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.memory.address_sets import first_unwritten, last_access, set_bits, stamp
from zeroskip.accel_model.memory.memories import ACT, Int32, Int64
from zeroskip.accel_model.program.address_set import AddressSet

OK, BOUNDS, DUPLICATE, UNWRITTEN, RACE, SELF_OVERLAP = range(6)  # what ``check_and_record`` finds
STREAM_LENGTH = 0  # length of rows of WGT whose number only the streams say


class Access(NamedTuple):
    """Cells of a memory, and which of their parts are meant. write: 1 for a write. twice: 1 if a
    cell is named twice."""

    memory: int
    write: int
    mask: int
    duplicate: int
    cells: AddressSet

    @property
    def row(self) -> tuple[int, ...]:
        """As ``check_and_record`` takes it."""
        return self[:4] + self.cells

    @staticmethod
    def of(row: list[int], rows: int) -> Access:
        """The access of a row; ``rows``: of WGT if it is ``STREAM_LENGTH``."""
        cells = AddressSet(*row[4:])
        memory, write, mask, twice = row[:4]
        if cells.length == STREAM_LENGTH:
            cells = cells._replace(length=rows)
        return Access(memory, write, mask, twice, cells)


@njit_cached
def _cells(access: Int64, run: Int64) -> Int64:
    """The cells of an access; ``run``, moved there, if its length is that of the streams."""
    if access[5] != STREAM_LENGTH:
        return access[4:]
    run[0] = access[4]
    return run


@njit_cached
def _racing(
    records: Int32, place: Int64, cells: Int64, write: int, unit: int, known: Int32
) -> tuple[int, int]:
    """An access by another unit that is not known to be complete: its unit and its tick, or -1.

    A read must come after what was written, a write after what was read too.
    """
    for kind in range(1 + write):
        for other in range(3):
            if other != unit and (place[4 + kind] >> other) & 1:
                tick = last_access(records[1 + 3 * kind + other], cells, place)
                if tick > known[other]:
                    return other, tick
    return -1, 0


@njit_cached
def check_and_record(
    records: Int32, places: Int64, accesses: Int64, run: Int64, known: Int32, pc: int, unit: int
) -> tuple[int, int, int, int]:
    """Check and record what an instruction reads and then writes.

    records, places: of ``Memories``. accesses: int64 [n, 12], rows of ``Access``, reads first;
    run: int64 [8], cells of the ``STREAM_LENGTH``, which are moved. known: int32 [n, 3], what is
    complete when instruction ``pc`` of ``unit`` starts (tokens.py).

    Returns FINE or what is wrong, the number of the access, and: the cell that is UNWRITTEN; of a
    RACE the other unit and the number of its instruction, counted from 1.
    """
    for n in range(len(accesses)):
        cells = _cells(accesses[n], run)
        last = (
            cells[0]
            + (cells[6] - 1) * cells[7]
            + (cells[4] - 1) * cells[5]
            + (cells[2] - 1) * cells[3]
            + cells[1]
            - 1
        )
        if last >= places[accesses[n, 0], 0]:
            return BOUNDS, n, 0, 0
        if accesses[n, 1] and accesses[n, 3]:
            return DUPLICATE, n, 0, 0
    tick = known[pc, unit]
    for n in range(len(accesses)):
        memory, write, mask = accesses[n, 0], accesses[n, 1], accesses[n, 2]
        cells, place = _cells(accesses[n], run), places[memory]
        other, when = _racing(records, place, cells, write, unit, known[pc])
        if other >= 0:
            return RACE, n, other, when
        if write:
            if memory == ACT and last_access(records[4 + unit], cells, place) == tick:
                return SELF_OVERLAP, n, 0, 0
            stamp(records[1 + unit], cells, place, tick)
            set_bits(records[0], cells, place, mask)
        else:
            cell = first_unwritten(records[0], cells, place, mask)
            if cell >= 0:
                return UNWRITTEN, n, cell, 0
            stamp(records[4 + unit], cells, place, tick)
    return OK, 0, 0, 0
