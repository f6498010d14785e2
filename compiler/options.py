"""The options of a compile, declared once: ``compile``, ``compile_levels`` and their stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy.typing as npt

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.program.program import VALUE_TYPES
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.autotune import Tuning
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.relay_passes.integer.fixed_point import ActivationType
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe
from zeroskip.relay_passes.quantize.calibrate import Method
from zeroskip.relay_passes.read_model import Params

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
First: TypeAlias = Callable[[list[Any], dict[str, Any]], None]  # inputs, activations by variable


class CompileOptions(TypedDict, total=False):
    """Keywords of ``compile``; each may be left out.

    params: of Relay's text, the path of a file, bytes or arrays (``relay_passes.read_model``).
    example: of a torch module, its inputs or their shape (``relay_passes.pytorch.torch_to_onnx``).
    prune: a recipe: a text such as ``pattern:connectivity=0.5``, the path of a TOML file or option
        values (``relay_passes.pruning.schemes.recipe``).
    calibrate: an .npz path or arrays, one for each input, whose leading axis counts samples; None:
        a few random ones, good for cycles and bits but not for accuracy; of a model that has
        scales, what it gives none stays float.
    method: ``auto``, ``minmax``, ``percentile`` or ``mse`` (``relay_passes.quantize.calibrate``);
        random inputs are no ground to choose by, there ``auto`` is ``minmax``, as it is with 16-bit
        activations, which need no range cut.
    activation_bits: 8, or 16: int16 activations beside int8 weights, as TFLite's 16 x 8, on a
        target whose [storage] activation_bits is 16. What would take a table of results stays on
        the CPU.
    float_nodes: ONNX nodes, or globs of their names, that stay in float on the CPU.
    shapes: sizes of inputs that the model leaves open.
    batch: images that one program computes, its weights read once for all; inputs and outputs then
        have them along their first axis. None: one, whatever the model's batch.
    cache: a folder in which schedules are looked up and kept.
    tune: ``runtime.tuning(n)`` times n schedules of each layer and keeps the fastest; the result is
        never slower than without.
    objective: ``cycles``, ``energy`` or ``edp`` (energy x time of each region): what schedules are
        chosen by, as estimated (``compiler.scheduling.objective``); not with ``tune``.
    progress: told what is being done, steps done, and steps.
    first: gets inputs and float activations of the first calibration image
        (``runtime.execution.losing_layers``).
    """

    params: Params | None
    example: Any
    prune: Recipe | None
    calibrate: str | Path | Arrays | None
    method: Method
    activation_bits: int
    float_nodes: Sequence[str]
    shapes: Mapping[str, Sequence[int]] | None
    batch: int | None
    cache: str | Path | None
    tune: Tuning | None
    objective: Goal
    progress: Progress | None
    first: First | None


def checked(options: CompileOptions) -> CompileOptions:
    """The options; TypeError for a name that is none of them, as for any function's keyword."""
    for name in options:
        if name not in CompileOptions.__annotations__:
            known = ", ".join(CompileOptions.__annotations__)
            raise TypeError(f"compile takes no option {name!r}; its options are {known}")
    return options


def activation_type(options: CompileOptions, spec: AccelSpec) -> ActivationType:
    """The type of activations that is asked for; CompileError if the target has no room for it, or
    the method chooses ranges for another."""
    bits = options.get("activation_bits", 8)
    if bits not in VALUE_TYPES:
        raise CompileError(f"activations have 8 or 16 bits, not {bits}")
    stored = spec.storage.activation_bits
    if bits > stored:
        raise CompileError(
            f"target '{spec.name}' stores activations in {stored} bits: take sparse256_int16, or a "
            f"description with [storage] activation_bits = {bits}, for activations of {bits} bits"
        )
    if bits == 16 and options.get("method") == "mse":
        raise CompileError(
            "method mse chooses ranges by the error of 8-bit values: take minmax or percentile for "
            "activations of 16 bits"
        )
    return "int16" if bits == 16 else "int8"


def progress_of(options: CompileOptions) -> Progress:
    """Who is told of progress; nobody unless given."""
    return options.get("progress") or no_progress
