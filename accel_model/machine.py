"""The machine: runs a program, computing the numbers and the time from the same instructions.

Two walks over one stream. The functional walk (``walk.py``) executes it, proves it free of races,
deadlocks and reads of unwritten memory, and finds what each instruction costs from the weights that
it decodes. The timing walk (``timeline.py``) makes start and end of every instruction out of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import tokens
from zeroskip.accel_model.faults import MachineError
from zeroskip.accel_model.isa import IsaError
from zeroskip.accel_model.layout import Tensor, from_dram, to_dram
from zeroskip.accel_model.limits import Limits
from zeroskip.accel_model.memory import Memories
from zeroskip.accel_model.numbers import Numbers
from zeroskip.accel_model.program import Program
from zeroskip.accel_model.run import Run, audit, counters, energy
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.state import State
from zeroskip.accel_model.stream import Stream, stream_of
from zeroskip.accel_model.timeline import timeline
from zeroskip.accel_model.timing import Cost
from zeroskip.accel_model.walk import Observer, Progress, Walk

Inputs = Mapping[str, npt.NDArray[np.generic]]


class Machine:
    """An accelerator as its description says. It may run any number of programs.

    limits: what a program may ask of this computer.
    """

    def __init__(self, spec: AccelSpec, limits: Limits | None = None) -> None:
        self.spec, self.limits = spec, limits or Limits()

    def run(self, program: Program, inputs: Inputs, *, numbers: bool = True,
            seed: int | None = None, observer: Observer | None = None,
            progress: Progress | None = None) -> Run:
        """Run a program.

        inputs: [1, C, *spatial] of the program's types, by name; without ``numbers`` only time and
        safety are computed and they are not looked at. seed: of the order in which the units take
        turns; None for program order. The result does not depend on it. ``observer(pc, tile,
        values, before)`` sees what each final compute instruction wrote, [1, channels, *tile.size],
        and what that was before a fused addition (None: there is none); with it the run has
        ``moved`` too.
        ``progress(done, total)`` is told now and then how many instructions were executed.

        MachineError if the program is for another description or must not run as it is: a race,
        a deadlock, memory read before it was written, an address or a register that is not there.
        """
        stream = self._check(program)
        state, walk = self._walk(program, stream, inputs, numbers, observer)
        try:
            walk.run(tokens.program_order(stream.unit) if seed is None else
                     tokens.shuffled(stream.unit, seed), progress)
        except MachineError as problem:
            raise self._diagnose(program, stream, inputs, numbers, problem, seed) from None
        run = self._time(program, stream, state, walk.costs, seed, observer is not None)
        audit(self.spec, program, run)
        return run

    def _check(self, program: Program) -> Stream:
        if program.fingerprint != self.spec.fingerprint:
            raise MachineError(f"program '{program.name}' was made for {program.target} with "
                               "another description; compile it again")
        behind = program.dram_bytes - len(program.image)
        if behind > self.limits.dram_bytes:
            raise MachineError(f"program '{program.name}' asks for {behind} bytes of DRAM behind "
                               f"its image, and the limit is {self.limits.dram_bytes}; run it "
                               "with higher limits")
        for tensors in (program.outputs, program.moved):
            if sum(tensor.nbytes for tensor in set(tensors)) > program.dram_bytes:
                raise MachineError(f"program '{program.name}' has outputs that do not fit in its "
                                   "DRAM together; compile it again")
        try:
            stream = stream_of(program.words.tobytes(), self.spec, program.dram_bytes,
                               len(program.image))
        except IsaError as problem:
            raise MachineError(f"program '{program.name}' is not one: {problem}") from None
        count = len(stream.steps)
        ends = [(program.layer_of, len(program.layers)), (program.tile_of, len(program.tiles))]
        if any(len(of) != count or int(of.max(initial=-1)) >= end or int(of.min(initial=-1)) < -1
               for of, end in ends):
            raise MachineError(f"program '{program.name}' has instructions of unknown origin; "
                               "compile it again")
        for tensor in (*program.inputs, *program.outputs, *program.moved):
            if tensor.address + tensor.nbytes > program.dram_bytes:
                raise MachineError(f"tensor '{tensor.name}' of program '{program.name}' is not "
                                   "within its DRAM; compile it again")
        return stream

    def _walk(self, program: Program, stream: Stream, inputs: Inputs, numbers: bool,
              observer: Observer | None = None) -> tuple[State, Walk]:
        """Everything as it is before the first instruction."""
        memories = Memories.of(self.spec, program)
        for tensor in program.inputs:
            memories.give(tensor, to_dram(_input(tensor, inputs)) if numbers else None)
        state = State(self.spec, memories,
                      Numbers(memories, observer is not None) if numbers else None,
                      limits=self.limits)
        return state, Walk(program, stream, state, observer if numbers else None)

    def _diagnose(self, program: Program, stream: Stream, inputs: Inputs,
                  numbers: bool, problem: MachineError, seed: int | None) -> MachineError:
        """The error to report: the same for every seed, and a race rather than what it led to.

        Instructions that race may show as a read of unwritten memory or as weights that make no
        sense if they happen in the wrong order, so another order is tried in which they do not.
        """
        if seed is not None:
            order = tokens.program_order(stream.unit)
            problem = self._fails(program, stream, inputs, numbers, order) or problem
        if not problem.race and problem.pcs:
            late = tokens.last_of_all(stream.unit, int(stream.unit[problem.pcs[0]]))
            other = self._fails(program, stream, inputs, numbers, late)
            if other is not None and other.race:
                return other
        return problem

    def _fails(self, program: Program, stream: Stream, inputs: Inputs,
               numbers: bool, priority: npt.NDArray[np.int64]) -> MachineError | None:
        """What stops the program when it is run in this order."""
        try:
            self._walk(program, stream, inputs, numbers)[1].run(priority)
        except MachineError as problem:
            return problem
        return None

    def _time(self, program: Program, stream: Stream, state: State,
              costs: Sequence[Cost], seed: int | None, watched: bool) -> Run:
        found = counters(costs)
        when = timeline(stream.unit, stream.wait, stream.post, found["cycles"], stream.on_bus,
                        self.spec.dram.latency_cycles)
        outputs, moved = ({tensor.name: _output(tensor, state.memories) for tensor in tensors}
                          for tensors in (program.outputs, program.moved if watched else ()))
        numbers = state.numbers is not None
        return Run(outputs=outputs if numbers else {}, moved=moved if numbers else {},
                   cycles=int(when.end.max(initial=0)), unit=stream.unit, ready=when.ready,
                   start=when.start, free=when.free, end=when.end, counters=found,
                   energy=energy(self.spec, found), seed=seed)


def _input(tensor: Tensor, inputs: Inputs) -> npt.NDArray[np.generic]:
    if tensor.name not in inputs:
        raise MachineError(f"input '{tensor.name}' is missing; give it as {tensor.dtype} "
                           f"[1, {tensor.channels}, {', '.join(map(str, tensor.spatial))}]")
    given = np.asarray(inputs[tensor.name])
    fits = (given.shape[:2] == (1, tensor.channels) and given.size == tensor.nbytes
            and str(given.dtype) == tensor.dtype)
    if not fits:
        raise MachineError(f"input '{tensor.name}' is {given.dtype} {list(given.shape)}; give it "
                           f"as {tensor.dtype} "
                           f"[1, {tensor.channels}, {', '.join(map(str, tensor.spatial))}]")
    return given.reshape(1, tensor.channels, *tensor.spatial)


def _output(tensor: Tensor, memories: Memories) -> npt.NDArray[np.generic]:
    missing = memories.missing(tensor)
    if missing >= 0:
        raise MachineError(f"output '{tensor.name}' is not complete: its byte {missing} was never "
                           "written")
    return from_dram(memories.dram.read(tensor.address, tensor.nbytes), tensor)
