"""How full each memory is over a run: rows that hold something still to be read.

A row is *live* from the start of the instruction that writes it to the end of the last one that
reads it before it is written anew. ACT and ACC rows are followed byte by byte and sum by sum: a row
is live while any part of it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.models import MODELS, accesses_of
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.access_check import Access
from zeroskip.accel_model.memory.memories import DRAM, NAMES, Memories
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import PAR_ROW_BYTES, WGT_WORD_BYTES

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Of one memory. rows, row_bytes: its size. cycle: int64 [n], ascending from 0, when the number
    of live rows changes; live: int64 [n], to what."""

    rows: int
    row_bytes: int
    cycle: Int64
    live: Int64


def occupancy(program: Program, run: Run) -> dict[str, Occupancy]:
    """The occupancy of ACT, WGT, ACC and PAR in a run of the program.

    The program must be one that runs without a fault; its instructions are walked through again,
    without numbers, for what each of them reads and writes.
    """
    spec = program.spec
    sizes = {
        "ACT": (spec.act_rows, spec.act_row_bytes),
        "WGT": (spec.wgt_rows, WGT_WORD_BYTES * spec.wgt_banks),
        "ACC": (spec.acc_rows, spec.acc_row_bytes),
        "PAR": (spec.par_rows, PAR_ROW_BYTES),
    }
    touched = _touched(program, run)
    live = {name: np.zeros(rows, np.uint16) for name, (rows, _) in sizes.items()}
    changes: dict[str, list[tuple[int, int]]] = {name: [] for name in sizes}
    # From the end to the start: what is read is live before, what is written is not. At the same
    # moment a write is the later one: it may take the rows that a read has just left.
    events = [(int(run.start[pc]), 1, pc) for pc in touched]
    events += [(int(run.free[pc]), 0, pc) for pc in touched]
    for moment, write, pc in sorted(events, reverse=True):
        for rows in touched[pc].written if write else touched[pc].read:
            if write and rows in touched[pc].read:
                continue  # a sum that is added to stays live
            grown = _set(live[rows.memory], rows.cells, rows.parts, not write)
            if grown:
                changes[rows.memory].append((moment, -grown))
    return {name: _steps(*sizes[name], changes[name]) for name in sizes}


class _Rows(NamedTuple):
    """Rows of a memory and, as bits, parts of each."""

    memory: str
    cells: AddressSet
    parts: int


class _Touched(NamedTuple):
    """What an instruction reads and writes on the chip."""

    read: list[_Rows]
    written: list[_Rows]


def _touched(program: Program, run: Run) -> dict[int, _Touched]:
    """By pc; instructions that touch nothing are left out."""
    stream = decode_all(program.words)
    memories = Memories.of(program.spec, program)
    for tensor in program.inputs:
        memories.give(tensor, None)
    state = State(program.spec, memories, None, value_bytes=program.value_bytes)
    found = {}
    # In the order of their start, which their tokens allow.
    for pc in np.lexsort((np.arange(len(stream)), run.start)).tolist():
        one = stream[pc]
        accesses = accesses_of(state, one)
        MODELS[type(one)].semantics(state, one)
        touched = _Touched(*(_on_chip(accesses, write) for write in (0, 1)))
        if touched.read or touched.written:
            found[pc] = touched
    return found


def _on_chip(accesses: list[Access], write: int) -> list[_Rows]:
    # A row of WGT or PAR has one part; what reads WGT names rows without parts.
    return [
        _Rows(NAMES[one.memory], one.cells, one.mask or 1)
        for one in accesses
        if one.write == write and one.memory != DRAM
    ]


def _set(live: npt.NDArray[np.uint16], cells: AddressSet, parts: int, on: bool) -> int:
    """Set or clear parts of rows; by how many rows the live ones grow."""
    rows: npt.NDArray[Any] = cells.of(live)
    before = int(np.count_nonzero(live))
    if on:
        rows |= np.uint16(parts)
    else:
        rows &= np.uint16(0xFFFF & ~parts)
    return int(np.count_nonzero(live)) - before


def _steps(rows: int, row_bytes: int, changes: list[tuple[int, int]]) -> Occupancy:
    """The changes of the live rows, summed up from cycle 0 on."""
    cycle, index = np.unique(
        np.array([0, *(moment for moment, _ in changes)], np.int64), return_inverse=True
    )
    grown = np.zeros(len(cycle), np.int64)
    np.add.at(grown, index[1:], [change for _, change in changes])
    return Occupancy(rows, row_bytes, cycle, np.cumsum(grown))
