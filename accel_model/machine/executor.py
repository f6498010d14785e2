"""The functional walk: executes the stream in an order that its tokens allow, and proves it safe.

Any such order computes the same if no two accesses race; every access is checked against the
vector clocks, so a race is found whatever the order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.model import Cost, Footprint, InstructionModel
from zeroskip.accel_model.execute.models import MODELS
from zeroskip.accel_model.execute.results import written_values
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine import tokens
from zeroskip.accel_model.machine.decoded_stream import DecodedInstruction, DecodedProgram
from zeroskip.accel_model.memory import access_check
from zeroskip.accel_model.memory.access_check import Access
from zeroskip.accel_model.memory.faults import InstructionFault, MachineError
from zeroskip.accel_model.memory.memories import CELLS, NAMES, out_of_bounds
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import Program, Tile

Values: TypeAlias = npt.NDArray[np.generic]
Observer: TypeAlias = Callable[[int, Tile, Values, tuple[Values, ...]], None]  # see machine.py
InstructionProgress: TypeAlias = Callable[[int, int], None]  # instructions executed, instructions
Int64 = npt.NDArray[np.int64]

TOLD_EVERY = 64  # instructions


class FunctionalExecutor:
    """One execution of a program."""

    def __init__(
        self,
        program: Program,
        stream: DecodedProgram,
        state: State,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.costs: list[Cost] = [Cost()] * len(stream.steps)
        self._program, self._stream, self._state = program, stream, state
        self._observers = observers
        self._units = stream.unit.tolist()
        self._tile_of = program.tile_of.tolist()
        self._run = np.array(AddressSet(0, 0))

    def run(self, priority: Int64, progress: InstructionProgress | None = None) -> None:
        """Execute everything; MachineError at the first instruction that must not run.

        priority: int64 [n], of the instructions that the tokens allow the least goes on.
        """
        stream = self._stream
        order = tokens.follow(stream.unit, stream.wait, stream.post, priority)
        for done, pc in enumerate(order.pcs.tolist()):
            if progress is not None and done % TOLD_EVERY == 0:
                progress(done, len(stream.steps))
            try:
                self._execute(pc, stream.steps[pc], order.known)
            except InstructionFault as fault:
                raise MachineError(f"{self.place(pc)}: {fault}", (pc,), image=fault.image) from None
        if len(order.pcs) < len(stream.steps):
            raise self._deadlock(order.pcs)

    def _execute(self, pc: int, step: DecodedInstruction, known: npt.NDArray[np.int32]) -> None:
        state, one = self._state, step.one
        model = MODELS[type(one)]
        footprint = step.footprint
        if footprint is None:
            footprint = step.footprint = model.footprint(state, one)
        if footprint.accesses is not None:
            self._touch(pc, model, footprint, footprint.accesses, known)
        cost = step.cost
        if cost is None:
            cost = model.cost(state, one)
            if not model.weighted:
                step.cost = cost
        self.costs[pc] = cost
        if state.numbers is not None:
            state.numbers.forget()
        model.semantics(state, one)
        if self._observers and self._tile_of[pc] >= 0:
            self._observe(pc)

    def _touch(
        self,
        pc: int,
        model: InstructionModel,
        footprint: Footprint,
        accesses: Int64,
        known: npt.NDArray[np.int32],
    ) -> None:
        """Check and record what the instruction reads and writes."""
        state = self._state
        state.spend(footprint.work, footprint.largest)
        rows = model.stream_rows(state, self._stream.steps[pc].one)
        memories, self._run[1] = state.memories, rows
        found, number, what, tick = access_check.check_and_record(
            memories.records, memories.places, accesses, self._run, known, pc, self._units[pc]
        )
        if found == access_check.OK:
            return
        memory, write, _, _, cells = Access.of(accesses[number].tolist(), rows)
        if found == access_check.BOUNDS:
            raise out_of_bounds(memory, write, cells, int(memories.places[memory, 0]))
        if found == access_check.UNWRITTEN:
            raise memories.never_written(memory, what)
        if found == access_check.RACE:
            raise self._race(pc, what, tick, memory)
        if found == access_check.DUPLICATE:
            raise InstructionFault(f"writes a {CELLS[memory]} of {NAMES[memory]} twice")
        raise InstructionFault(f"writes {NAMES[memory]} {CELLS[memory]}s that it reads itself")

    def _race(self, pc: int, unit: int, tick: int, memory: int) -> MachineError:
        """Between ``pc`` and the tick-th instruction of a unit."""
        first, second = sorted((pc, int(np.flatnonzero(self._stream.unit == unit)[tick - 1])))
        return MachineError(
            f"race: {self.place(first)} and {self.place(second)} touch the same {NAMES[memory]} "
            f"{CELLS[memory]}s and no token orders them",
            (first, second),
            race=True,
        )

    def _observe(self, pc: int) -> None:
        tile = self._program.tiles[self._tile_of[pc]]
        one = self._stream.steps[pc].one
        channels = MODELS[type(one)].result(one)
        y = self._state.register(isa.Output)
        if (channels, y.height * y.width) != (tile.channels, prod(tile.size)):
            raise InstructionFault(
                f"writes {channels} channels of {y.height} x {y.width} pixels, but is "
                f"said to write {tile.channels} of {' x '.join(map(str, tile.size))}"
            )
        values = written_values(self._state, tile.channels)
        before = () if self._state.numbers is None else self._state.numbers.before
        shape = (1, tile.channels, *tile.size)
        for image, observer in enumerate(self._observers):
            observer(
                pc,
                tile,
                values[image].reshape(shape),
                tuple(stage[image].reshape(shape) for stage in before),
            )

    def place(self, pc: int) -> str:
        """pc, mnemonic and layer of an instruction."""
        layer = int(self._program.layer_of[pc])
        known = 0 <= layer < len(self._program.layers)
        node = f" of '{self._program.layers[layer].node}'" if known else ""
        return f"pc {pc} {self._stream.steps[pc].one.mnemonic}{node}"

    def _deadlock(self, pcs: Int64) -> MachineError:
        stream = self._stream
        names = [str(unit.name).lower() for unit in UNITS]
        stuck = tokens.stuck(stream.unit, stream.wait, stream.post, pcs)
        sentences = [
            f"{names[int(stream.unit[pc])]} at {self.place(pc)} waits for "
            f"{' and '.join(names[giver] for giver in missing)}"
            for pc, missing in stuck
        ]
        return MachineError(f"deadlock: {'; '.join(sentences)}", tuple(pc for pc, _ in stuck))
