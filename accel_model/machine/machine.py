"""The machine: runs a program, computing the numbers and the time from the same instructions.

Two walks over one stream. The functional walk (``executor.py``) executes it, proves it free of
races, deadlocks and reads of unwritten memory, and finds what each instruction costs from the
weights that it decodes. The timing walk (``timeline.py``) makes start and end of every instruction
out of that.

Several images go through a program in one functional walk. Addresses, weights, parameters, checks
and times do not depend on the values of activations, so all that is done once; ``activations.py``
then computes the values of all images, which have an axis of their own in front in the memories
that hold activations. What comes out is what each image has by itself, to the bit, errors too: when
a walk of several is stopped, the first image that is stopped by itself is looked for. A program
that loads weights or parameters from where activations may be is walked for each image by itself.
So is every program on an array that looks at activations: ``Run.each`` has the times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.functional.activations import ActivationMath
from zeroskip.accel_model.isa.instructions import IsaError
from zeroskip.accel_model.machine import tokens
from zeroskip.accel_model.machine.audit import audit
from zeroskip.accel_model.machine.decoded_stream import DecodedProgram, decode_program
from zeroskip.accel_model.machine.executor import FunctionalExecutor, InstructionProgress, Observer
from zeroskip.accel_model.machine.run import Run, counters, energy, joined
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.memory.limits import ResourceLimits
from zeroskip.accel_model.memory.memories import Memories
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import Tensor, from_dram, to_dram
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.timeline import timeline

Inputs = Mapping[str, npt.NDArray[np.generic]]


MOST_IMAGES = 128  # in a walk: what is done once for all of them is next to nothing then


class Machine:
    """An accelerator as its description says. It may run any number of programs, and keeps the
    room for activations of several images from one walk to the next.

    limits: what a program may ask of this computer.
    """

    def __init__(self, spec: AccelSpec, limits: ResourceLimits | None = None) -> None:
        self.spec, self.limits = spec, limits or ResourceLimits()
        self._spare: Memories | None = None

    def run(
        self,
        program: Program,
        inputs: Inputs,
        *,
        numbers: bool = True,
        seed: int | None = None,
        observers: Sequence[Observer] = (),
        progress: InstructionProgress | None = None,
    ) -> Run:
        """Run a program on one image or on several, each as if it were the only one.

        inputs: [N, C, *spatial] of the program's types, by name, of N images; without ``numbers``
        only time and safety are computed and they are not looked at. seed: of the order in which
        the units take turns; None for program order. The result does not depend on it. observers:
        one for each image; ``observer(pc, tile, values, before)`` sees what each final compute
        instruction wrote, [1, channels, *tile.size], and what that was on the way: before a fused
        addition and before a table, in this order, as far as there are any; with them the run has
        ``moved`` too. ``progress(done, total)`` is told now and then how many instructions were
        executed.

        MachineError if the program is for another description or must not run as it is: a race,
        a deadlock, memory read before it was written, an address or a register that is not there.
        """
        stream = self._check(program)
        task = Task(
            program,
            stream,
            numbers,
            seed,
            observers,
            _inputs(program, inputs) if numbers else {},
            progress,
        )
        if task.images == 1:
            return self._run(task)
        runs: list[Run] = []
        together = self._together(program) if _alike(program, stream) else 1
        for images in task.parts(together):
            runs += self._run_together(task, images)
        return joined(program, runs)

    def _together(self, program: Program) -> int:
        """How many images a walk takes: one where time is each image's own, else as many as have
        memories within the limit of DRAM."""
        if self.spec.kind.looks_at_inputs:
            return 1
        behind = program.dram_bytes - len(program.image)
        act, acc = (np.dtype(each).itemsize for each in (program.act_type, program.sum_type))
        each = behind + self.spec.act_rows * 16 * act + self.spec.acc_rows * 16 * acc
        return max(1, min(MOST_IMAGES, self.limits.dram_bytes // each))

    def _run_together(self, task: Task, images: slice) -> list[Run]:
        """The runs of neighbouring images: one, if their walk is one."""
        part = task.of(images)
        if part.images == 1:
            return [self._run_alone(task, images.start)]
        try:
            return [self._run(part)]
        except MachineError as problem:
            stopped = images.start + (problem.image or 0)
            if problem.image:  # one before it may be stopped by a later instruction
                self._run_together(task, slice(images.start, stopped))
            self._run_alone(task, stopped)
            raise

    def _run_alone(self, task: Task, image: int) -> Run:
        try:
            return self._run(task.of(slice(image, image + 1)))
        except MachineError as problem:
            if problem.image is None:
                raise
            raise MachineError(f"image {image}: {problem}", problem.pcs, image=image) from None

    def _run(self, task: Task) -> Run:
        """One walk."""
        state, walk = self._walk(task)
        try:
            walk.run(
                tokens.program_order(task.stream.unit)
                if task.seed is None
                else tokens.shuffled(task.stream.unit, task.seed),
                task.progress,
            )
        except MachineError as problem:
            raise (self._diagnose(task, problem) if task.images == 1 else problem) from None
        run = self._time(task, state, walk.costs)
        self._spare = state.memories if task.images > 1 else None
        audit(self.spec, task.program, run)
        return run

    def _check(self, program: Program) -> DecodedProgram:
        if program.fingerprint != self.spec.fingerprint:
            raise MachineError(
                f"program '{program.name}' was made for {program.target} with "
                "another description; compile it again"
            )
        behind = program.dram_bytes - len(program.image)
        if behind > self.limits.dram_bytes:
            raise MachineError(
                f"program '{program.name}' asks for {behind} bytes of DRAM behind "
                f"its image, and the limit is {self.limits.dram_bytes}; run it "
                "with higher limits"
            )
        for tensors in (program.outputs, program.moved):
            if sum(tensor.nbytes for tensor in set(tensors)) > program.dram_bytes:
                raise MachineError(
                    f"program '{program.name}' has outputs that do not fit in its "
                    "DRAM together; compile it again"
                )
        try:
            stream = decode_program(
                program.words.tobytes(), self.spec, program.dram_bytes, len(program.image)
            )
        except IsaError as problem:
            raise MachineError(f"program '{program.name}' is not one: {problem}") from None
        count = len(stream.steps)
        ends = [(program.layer_of, len(program.layers)), (program.tile_of, len(program.tiles))]
        if any(
            len(of) != count or int(of.max(initial=-1)) >= end or int(of.min(initial=-1)) < -1
            for of, end in ends
        ):
            raise MachineError(
                f"program '{program.name}' has instructions of unknown origin; compile it again"
            )
        for tensor in (*program.inputs, *program.outputs, *program.moved):
            if tensor.address + tensor.nbytes > program.dram_bytes:
                raise MachineError(
                    f"tensor '{tensor.name}' of program '{program.name}' is not "
                    "within its DRAM; compile it again"
                )
        return stream

    def _walk(self, task: Task) -> tuple[State, FunctionalExecutor]:
        """Everything as it is before the first instruction."""
        program = task.program
        spare, self._spare = self._spare, None
        memories = Memories.of(self.spec, program, task.images, spare)
        for tensor in program.inputs:
            memories.give(tensor, to_dram(task.inputs[tensor.name]) if task.numbers else None)
        watched = bool(task.observers)
        state = State(
            self.spec,
            memories,
            ActivationMath(memories, watched) if task.numbers else None,
            limits=self.limits,
            value_bytes=program.value_bytes,
        )
        return state, FunctionalExecutor(
            program, task.stream, state, task.observers if task.numbers else ()
        )

    def _diagnose(self, task: Task, problem: MachineError) -> MachineError:
        """The error to report: the same for every seed, and a race rather than what it led to.

        Instructions that race may show as a read of unwritten memory or as weights that make no
        sense if they happen in the wrong order, so another order is tried in which they do not.
        """
        unit = task.stream.unit
        if task.seed is not None:
            problem = self._fails(task, tokens.program_order(unit)) or problem
        if not problem.race and problem.pcs:
            other = self._fails(task, tokens.last_of_all(unit, int(unit[problem.pcs[0]])))
            if other is not None and other.race:
                return other
        return problem

    def _fails(self, task: Task, priority: npt.NDArray[np.int64]) -> MachineError | None:
        """What stops the program when it is run in this order."""
        try:
            self._walk(replace(task, observers=()))[1].run(priority)
        except MachineError as problem:
            return problem
        return None

    def _time(self, task: Task, state: State, costs: Sequence[Cost]) -> Run:
        stream = task.stream
        found, slots = counters(self.spec, costs)
        when = timeline(
            stream.unit,
            stream.wait,
            stream.post,
            found["cycles"],
            stream.on_bus,
            self.spec.dram.latency_cycles,
        )
        outputs, moved = (
            {tensor.name: _output(tensor, state.memories) for tensor in tensors}
            for tensors in (task.program.outputs, task.program.moved if task.observers else ())
        )
        numbers = state.numbers is not None
        return Run(
            outputs=outputs if numbers else {},
            moved=moved if numbers else {},
            images=task.images,
            cycles=int(when.end.max(initial=0)),
            unit=stream.unit,
            ready=when.ready,
            start=when.start,
            free=when.free,
            end=when.end,
            counters=found,
            slots=slots,
            energy=energy(self.spec, found),
            seed=task.seed,
        )


@dataclass(frozen=True, eq=False)
class Task:
    """A program to be run on images. inputs: [N, C, *spatial] by name; empty without numbers."""

    program: Program
    stream: DecodedProgram
    numbers: bool = False
    seed: int | None = None
    observers: Sequence[Observer] = ()
    inputs: Inputs = field(default_factory=dict)
    progress: InstructionProgress | None = None

    @property
    def images(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.inputs else 1

    def parts(self, together: int) -> Iterator[slice]:
        """The images, at most ``together`` at a time."""
        for first in range(0, self.images, together):
            yield slice(first, min(first + together, self.images))

    def of(self, images: slice) -> Task:
        """The same of some of the images."""
        return replace(
            self,
            observers=self.observers[images],
            progress=self._progress(images),
            inputs={name: values[images] for name, values in self.inputs.items()},
        )

    def _progress(self, images: slice) -> InstructionProgress | None:
        """Tells of these images as a part of all."""
        progress, count = self.progress, self.images
        if progress is None:
            return None
        return lambda done, total: progress(
            images.start * total + (images.stop - images.start) * done, count * total
        )


def _alike(program: Program, stream: DecodedProgram) -> bool:
    """Whether weights and parameters are surely the same for all images."""
    image = len(program.image)
    return stream.constants <= image and all(each.address >= image for each in program.inputs)


def _inputs(program: Program, inputs: Inputs) -> dict[str, npt.NDArray[np.generic]]:
    """[N, C, *spatial] by name, of as many images each."""
    found = {tensor.name: _input(tensor, inputs) for tensor in program.inputs}
    counts = {name: len(values) for name, values in found.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise MachineError(f"the inputs are of different numbers of images: {said}")
    return found


def _input(tensor: Tensor, inputs: Inputs) -> npt.NDArray[np.generic]:
    wanted = f"{tensor.dtype} [1, {tensor.channels}, {', '.join(map(str, tensor.spatial))}]"
    if tensor.name not in inputs:
        raise MachineError(f"input '{tensor.name}' is missing; give it as {wanted}")
    given = np.asarray(inputs[tensor.name])
    fits = (
        given.ndim > 1
        and given.shape[0] > 0
        and given.shape[1] == tensor.channels
        and given.size == given.shape[0] * tensor.size
        and str(given.dtype) == tensor.dtype
    )
    if not fits:
        raise MachineError(
            f"input '{tensor.name}' is {given.dtype} {list(given.shape)}; give it "
            f"as {wanted}, or several of these along the first axis"
        )
    return given.reshape(-1, tensor.channels, *tensor.spatial)


def _output(tensor: Tensor, memories: Memories) -> npt.NDArray[np.generic]:
    missing = memories.missing(tensor)
    if missing >= 0:
        raise MachineError(
            f"output '{tensor.name}' is not complete: its byte {missing} was never written"
        )
    return from_dram(memories.elements(tensor), tensor)
