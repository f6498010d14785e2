"""The packed function that TVM calls for an accelerator region: ``zeroskip.run``.

Importing this module registers it; ``zeroskip.runtime.register()`` does that.
``zeroskip.run(program, inputs..., outputs...)`` gets the program file as a uint8 tensor or as
bytes, runs it on the machine and writes the outputs in place.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tvm_ffi

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.machine.executor import Observer
from zeroskip.accel_model.machine.machine import Inputs, Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program, ProgramError
from zeroskip.accel_model.program.tensor_layout import split_images, stack_images
from zeroskip.relay_passes.attrs import PACKED
from zeroskip.runtime.execution import lockstep
from zeroskip.runtime.execution.lockstep import Call, called

T = TypeVar("T")

KEPT = 8  # programs that stay decoded


@dataclass(frozen=True)
class Hook:
    """Who wants to know of runs. seed: of the order in which the units take turns. observe: gives
    the observer of a run (machine.py). done: is told of every run with its inputs. progress: is
    told how far each is."""

    done: Callable[[Program, Inputs, Run], None]
    observe: Callable[[Program], Observer | None] = lambda program: None
    seed: int | None = None
    progress: Progress = no_progress


NO_HOOK = Hook(done=lambda program, inputs, run: None)

_programs: OrderedDict[str, Program] = OrderedDict()
_decoding = threading.Lock()
_here = threading.local()  # hook: of a thread, the innermost

for _error in (MachineError, ProgramError):
    tvm_ffi.register_error(_error)


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Within it, runs that this thread starts go by the hook."""
    outer = getattr(_here, "hook", NO_HOOK)
    _here.hook = hook
    try:
        yield
    finally:
        _here.hook = outer


@tvm_ffi.register_global_func(PACKED, override=True)  # type: ignore[untyped-decorator]  # no types
def run(blob: Any, *tensors: Any) -> None:
    """Run the program in ``blob`` on the inputs among ``tensors`` into the outputs after them."""
    program = _program(_raw(blob))
    arrays = [np.from_dlpack(tensor) for tensor in tensors]
    count = len(program.inputs)
    inputs = {
        tensor.name: stack_images(array, tensor, len(array))
        for tensor, array in zip(program.inputs, arrays[:count], strict=True)
    }
    hook: Hook = getattr(_here, "hook", NO_HOOK)
    result = called(Call(program, inputs, hook.observe(program)), partial(_execute, hook))
    for tensor, array in zip(program.outputs, arrays[count:], strict=True):
        array[...] = split_images(result.outputs[tensor.name], array.shape)
    hook.done(program, inputs, result)


def in_lockstep(
    images: Sequence[Callable[[], T]], seed: int | None = None, progress: Progress = no_progress
) -> Iterator[T]:
    """What a function of each image returns; their regions run together (lockstep.py). seed and
    progress: of a Hook, for all of them."""
    hook = replace(NO_HOOK, seed=seed, progress=progress)
    yield from lockstep.in_lockstep(images, partial(_execute, hook))


def _execute(hook: Hook, calls: Sequence[Call]) -> None:
    """Run a program for all who call it."""
    program = calls[0].program
    inputs = {
        tensor.name: np.concatenate([call.inputs[tensor.name] for call in calls])
        for tensor in program.inputs
    }
    observers = [call.observer for call in calls if call.observer is not None]
    run = Machine(program.spec).run(
        program,
        inputs,
        seed=hook.seed,
        observers=observers,
        progress=partial(hook.progress, program.name),
    )
    for number, call in enumerate(calls):
        call.run = run.of_image(number)


def _raw(blob: Any) -> np.ndarray:
    return np.frombuffer(blob, np.uint8) if isinstance(blob, bytes) else np.from_dlpack(blob)


def _program(raw: np.ndarray) -> Program:
    """The program in these bytes; decoded once for each content."""
    key = hashlib.sha256(raw.data).hexdigest()
    with _decoding:
        if key not in _programs:
            _programs[key] = Program.from_bytes(raw.tobytes())
            if len(_programs) > KEPT:
                _programs.popitem(last=False)
        _programs.move_to_end(key)
        return _programs[key]
