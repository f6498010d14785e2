"""The functional walk: executes the stream in an order that its tokens allow, and proves it safe.

Any such order computes the same if no two accesses race; every access is checked against the
vector clocks, so a race is found whatever the order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import isa
from zeroskip.accel_model.cells import latest
from zeroskip.accel_model.clocks import Clocks, record
from zeroskip.accel_model.faults import Fault, MachineError
from zeroskip.accel_model.footprint import FOOTPRINTS, Access, Footprint
from zeroskip.accel_model.isa import UNITS, Instruction, Unit
from zeroskip.accel_model.program import Program, Tile
from zeroskip.accel_model.semantics import SEMANTICS, result_channels, written_values
from zeroskip.accel_model.state import State
from zeroskip.accel_model.timing import TIMING, Cost

Observer: TypeAlias = Callable[[int, Tile, npt.NDArray[np.generic]], None]
Choice: TypeAlias = Callable[[Sequence[tuple[int, Unit]]], Unit]  # of (pc, unit) that could go on
Progress: TypeAlias = Callable[[int, int], None]  # instructions executed, instructions

TOLD_EVERY = 64  # instructions


def program_order(ready: Sequence[tuple[int, Unit]]) -> Unit:
    """The instruction that comes first in the program."""
    return min(ready)[1]


def shuffled(seed: int) -> Choice:
    """Any unit, for a few instructions at a time."""
    rng = random.Random(seed)
    burst: list[Unit] = []

    def choose(ready: Sequence[tuple[int, Unit]]) -> Unit:
        units = [unit for _, unit in ready]
        if not burst or burst[-1] not in units:
            burst[:] = [rng.choice(units)] * rng.randint(1, 6)
        return burst.pop()

    return choose


def last_of_all(unit: Unit) -> Choice:
    """``unit`` only if no other can go on: whatever is not ordered before it comes before it."""

    def choose(ready: Sequence[tuple[int, Unit]]) -> Unit:
        return min(ready, key=lambda each: (each[1] == unit, each))[1]

    return choose


class Walk:
    """One execution of a program."""

    def __init__(self, program: Program, stream: Sequence[Instruction], state: State,
                 observer: Observer | None = None) -> None:
        self.costs: list[Cost] = [Cost()] * len(stream)
        self._program, self._stream, self._state = program, stream, state
        self._observer = observer
        self._clocks = Clocks()
        self._pcs: dict[Unit, list[int]] = {
            unit: [pc for pc, one in enumerate(stream) if one.unit == unit] for unit in UNITS}
        self._at = dict.fromkeys(UNITS, 0)
        self._layer_of = program.layer_of.tolist()
        self._tile_of = program.tile_of.tolist()

    def run(self, choose: Choice, progress: Progress | None = None) -> None:
        """Execute everything; MachineError at the first instruction that must not run."""
        done = 0
        while waiting := self._next():
            if progress is not None and done % TOLD_EVERY == 0:
                progress(done, len(self._stream))
            done += 1
            ready = [(pc, unit) for pc, unit in waiting
                     if not self._clocks.missing(unit, self._stream[pc].wait)]
            if not ready:
                raise self._deadlock(waiting)
            unit = ready[0][1] if len(ready) == 1 else choose(ready)
            pc = self._pcs[unit][self._at[unit]]
            self._at[unit] += 1
            try:
                self._execute(pc, self._stream[pc])
            except Fault as fault:
                raise MachineError(f"{self.place(pc)}: {fault}", (pc,)) from None

    def _next(self) -> list[tuple[int, Unit]]:
        return [(self._pcs[unit][at], unit) for unit, at in self._at.items()
                if at < len(self._pcs[unit])]

    def _execute(self, pc: int, one: Instruction) -> None:
        unit, state, cls = one.unit, self._state, type(one)
        tick = self._clocks.begin(unit, one.wait)
        footprint = FOOTPRINTS[cls](state, one)
        self._check(pc, unit, tick, footprint)
        self.costs[pc] = TIMING[cls](state, one)
        SEMANTICS[cls](state, one)
        for access in footprint.writes:
            access.memory.set_written(access.cells, access.mask)
            record(unit, tick, access.memory, access.cells, True)
        if self._observer is not None and self._tile_of[pc] >= 0:
            self._observe(pc, self._observer)
        self._clocks.finish(unit, one.post)

    def _check(self, pc: int, unit: Unit, tick: int, footprint: Footprint) -> None:
        for access in footprint.reads:
            access.memory.check_bounds(access.cells, "reads")
        for access in footprint.writes:
            access.memory.check_bounds(access.cells, "writes")
            if access.cells.repeats():
                raise Fault(f"writes a {access.memory.cell} of {access.memory.name} twice")
        for access in footprint.reads:
            self._check_order(pc, unit, access, False)
            access.memory.check_written(access.cells, access.mask)
            record(unit, tick, access.memory, access.cells, False)
        for access in footprint.writes:
            self._check_order(pc, unit, access, True)
            own = access.memory.reads.get(unit)
            if own is not None and access.memory.name == "ACT" and latest(
                    own, access.cells, 0) == tick:
                raise Fault("writes ACT rows that it reads itself")

    def _check_order(self, pc: int, unit: Unit, access: Access, write: bool) -> None:
        found = self._clocks.unordered(unit, access.memory, access.cells, write)
        if found is not None:
            other, tick = found
            first = self._pcs[other][tick - 1]
            raise MachineError(
                f"race: {self.place(min(pc, first))} and {self.place(max(pc, first))} touch the "
                f"same {access.memory.name} {access.memory.cell}s and no token orders them",
                (min(pc, first), max(pc, first)), race=True)

    def _observe(self, pc: int, observer: Observer) -> None:
        tile = self._program.tiles[self._tile_of[pc]]
        channels = result_channels(self._stream[pc])
        y = self._state.register(isa.Output)
        if (channels, y.height * y.width) != (tile.channels, prod(tile.size)):
            raise Fault(f"writes {channels} channels of {y.height} x {y.width} pixels, but is "
                        f"said to write {tile.channels} of {' x '.join(map(str, tile.size))}")
        values = written_values(self._state, tile.channels)
        observer(pc, tile, values.reshape(1, tile.channels, *tile.size))

    def place(self, pc: int) -> str:
        """pc, mnemonic and layer of an instruction."""
        layer = self._layer_of[pc]
        known = 0 <= layer < len(self._program.layers)
        node = f" of '{self._program.layers[layer].node}'" if known else ""
        return f"pc {pc} {self._stream[pc].mnemonic}{node}"

    def _deadlock(self, waiting: Sequence[tuple[int, Unit]]) -> MachineError:
        stuck = []
        for pc, unit in waiting:
            missing = self._clocks.missing(unit, self._stream[pc].wait)
            names = " and ".join(str(other.name).lower() for other in missing)
            stuck.append(f"{str(unit.name).lower()} at {self.place(pc)} waits for {names}")
        return MachineError(f"deadlock: {'; '.join(stuck)}", tuple(pc for pc, _ in waiting))

