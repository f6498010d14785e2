"""The instruction stream under construction: places the tokens that make it safe.

Instructions are appended in an order in which they could run one by one. Each is appended with the
memory it reads and writes; where that meets memory last touched by another unit, the two must be
ordered, and if no earlier token orders them already, the earlier one posts and the later one waits.
Posts and waits on a queue come in the same order, so counting queues pair them as intended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.instructions import UNITS, Instruction
from zeroskip.compiler.codegen.rows import Rows

Ticks = npt.NDArray[np.int32]


class InstructionStream:
    """Instructions in program order with their tokens."""

    def __init__(self, sizes: dict[str, int]) -> None:
        """``sizes``: rows of each memory, by the name that ``Rows`` uses."""
        self._made: list[Instruction] = []
        self._layers: list[int] = []
        self._tiles: list[int] = []
        self._pcs: list[list[int]] = [[] for _ in UNITS]
        self._clocks: list[list[int]] = [[0, 0, 0] for _ in UNITS]
        self._history: list[list[tuple[int, ...]]] = [[] for _ in UNITS]
        self._written = {name: [np.zeros(n, np.int32) for _ in UNITS] for name, n in sizes.items()}
        self._read = {name: [np.zeros(n, np.int32) for _ in UNITS] for name, n in sizes.items()}
        self._registers: dict[type, dict[str, int]] = {}
        self.layer = -1

    def set(self, cls: type[Instruction], **fields: int) -> None:
        """Append a register-setting instruction unless the register holds these values already."""
        if self._registers.get(cls) != fields:
            self._registers[cls] = fields
            self.add(cls(**fields))

    def add(
        self,
        made: Instruction,
        reads: Sequence[Rows] = (),
        writes: Sequence[Rows] = (),
        tile: int = -1,
    ) -> None:
        """Append an instruction that reads and writes these rows; ``tile`` is its provenance."""
        me = UNITS.index(made.unit)
        needed = self._needed(me, reads, writes)
        clock = self._clocks[me]
        wait = 0
        for other in range(len(UNITS)):
            if other != me and needed[other] > clock[other]:
                wait |= int(UNITS[other])
                self._post(other, needed[other], int(made.unit))
                past = self._history[other][needed[other] - 1]
                clock[:] = map(max, clock, past)
        self._pcs[me].append(len(self._made))
        clock[me] = len(self._pcs[me])
        self._history[me].append(tuple(clock))
        self._made.append(replace(made, wait=wait) if wait else made)
        self._layers.append(self.layer)
        self._tiles.append(tile)
        for rows in reads:
            rows.of(self._read[rows.memory][me])[...] = clock[me]
        for rows in writes:
            rows.of(self._written[rows.memory][me])[...] = clock[me]

    def _needed(self, me: int, reads: Sequence[Rows], writes: Sequence[Rows]) -> list[int]:
        """Per unit, how many of its instructions must have completed before this one."""
        needed = [0, 0, 0]
        for rows in (*reads, *writes):
            end = len(self._read[rows.memory][0])
            if rows.start < 0 or rows.last >= end:
                raise IndexError(f"{rows} is outside the {end} rows of {rows.memory}")
        for other in range(len(UNITS)):
            if other == me:
                continue
            for rows in reads:
                last = int(rows.of(self._written[rows.memory][other]).max())
                needed[other] = max(needed[other], last)
            for rows in writes:
                for ticks in (self._written, self._read):
                    last = int(rows.of(ticks[rows.memory][other]).max())
                    needed[other] = max(needed[other], last)
        return needed

    def _post(self, unit: int, tick: int, to: int) -> None:
        pc = self._pcs[unit][tick - 1]
        self._made[pc] = replace(self._made[pc], post=self._made[pc].post | to)

    @property
    def instructions(self) -> list[Instruction]:
        return self._made

    @property
    def layer_of(self) -> npt.NDArray[np.int32]:
        return np.array(self._layers, np.int32)

    @property
    def tile_of(self) -> npt.NDArray[np.int32]:
        return np.array(self._tiles, np.int32)
