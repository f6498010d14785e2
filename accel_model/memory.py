"""Memories of the machine: rows that know whether they were written, and who used them last.

Memory is poisoned: a cell knows which of its parts were ever written (a bit for each byte of an
ACT row or each sum of an ACC row, one bit for the others), and reading anything else is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import isa
from zeroskip.accel_model.cells import Cells, Ticks, add_bits, lacking
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.isa import Unit
from zeroskip.accel_model.program import Program
from zeroskip.accel_model.spec import AccelSpec

GRANULE_BITS = 4  # DRAM accesses are ordered in granules of 16 bytes
WHOLE_ROW = 0xFFFF


@dataclass(eq=False)
class Memory:
    """One memory. ``data`` is [cells, ...], ``written`` [cells] a bit mask.

    writes, reads: for each unit that may write or read it, when it last did so with each granule
    of ``1 << shift`` cells: the count of the unit's own instructions, 0 for never.
    """

    name: str
    cell: str
    data: npt.NDArray[Any]
    written: npt.NDArray[Any]
    writers: tuple[Unit, ...]
    readers: tuple[Unit, ...]
    shift: int = 0
    writes: dict[Unit, Ticks] = field(init=False)
    reads: dict[Unit, Ticks] = field(init=False)

    def __post_init__(self) -> None:
        granules = (len(self.written) >> self.shift) + 1
        self.writes = {unit: np.zeros(granules, np.int32) for unit in self.writers}
        self.reads = {unit: np.zeros(granules, np.int32) for unit in self.readers}

    def check_bounds(self, cells: Cells, verb: str) -> None:
        """Fault if an address is beyond the memory."""
        if cells.last >= len(self.written):
            raise Fault(f"{verb} {self.name} {self.cell}s {cells.first}..{cells.last}, "
                        f"but there are {len(self.written)}")

    def check_written(self, cells: Cells, mask: int) -> None:
        """Fault if a bit of ``mask`` is missing in a cell."""
        missing = lacking(self.written, cells, mask)
        if missing >= 0:
            part = "" if int(self.written[missing]) == 0 else " in part"
            raise Fault(f"reads {self.name} {self.cell} {missing}, "
                        f"which was never written{part}")

    def set_written(self, cells: Cells, mask: int) -> None:
        add_bits(self.written, cells, mask)


@dataclass(frozen=True)
class Memories:
    """act uint8 [rows, 16]; wgt uint32 [rows, lanes]; acc int32 [rows, 16]; par uint8 [rows, 16];
    dram uint8 [bytes]. wgt_words bool [rows, lanes]: the words of WGT that were written."""

    act: Memory
    wgt: Memory
    acc: Memory
    par: Memory
    dram: Memory
    wgt_words: npt.NDArray[np.bool_]
    image_bytes: int

    @staticmethod
    def of(spec: AccelSpec, program: Program) -> Memories:
        """Empty memories; DRAM holds the program's image."""
        load, compute, store = isa.UNITS
        dram = np.zeros(program.dram_bytes, np.uint8)
        dram[: len(program.image)] = program.image
        known = np.zeros(program.dram_bytes, np.uint8)
        known[: len(program.image)] = 1
        lanes = spec.array.lanes
        return Memories(
            act=Memory("ACT", "row", np.zeros((spec.act_rows, 16), np.uint8),
                       np.zeros(spec.act_rows, np.uint16), (load, compute), (compute, store)),
            wgt=Memory("WGT", "row", np.zeros((spec.wgt_rows, lanes), np.uint32),
                       np.zeros(spec.wgt_rows, np.uint8), (load,), (compute,)),
            acc=Memory("ACC", "row", np.zeros((spec.acc_rows, 16), np.int32),
                       np.zeros(spec.acc_rows, np.uint16), (compute,), (compute,)),
            par=Memory("PAR", "row", np.zeros((spec.par_rows, 16), np.uint8),
                       np.zeros(spec.par_rows, np.uint8), (load,), (compute,)),
            dram=Memory("DRAM", "byte", dram, known, (store,), (load,), GRANULE_BITS),
            wgt_words=np.zeros((spec.wgt_rows, lanes), np.bool_),
            image_bytes=len(program.image),
        )
