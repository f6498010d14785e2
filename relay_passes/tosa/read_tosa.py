"""A text of TOSA to an integer model, held to what the text means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.tosa.build import Difference
from zeroskip.relay_passes.tosa.evaluate import evaluate
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import Module, read_module
from zeroskip.relay_passes.tosa.write import write_modules

Array = npt.NDArray[Any]
LEAST_DB = 15.0  # as of quantized models (``import_check``); chosen, not measured
_NAMED = 3  # layers in a warning


@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A network that is integers already.

    name: of the network. integer: as QuantizeInt8 leaves a module. floating: the same on real
    values, rounded nowhere, in units of each tensor's own step. differences: layers that are not
    the text's to the last step; with none, every integer is the text's. text: what the source
    means, for a check.
    """

    name: str
    integer: tvm.IRModule
    floating: tvm.IRModule
    differences: tuple[Difference, ...]
    text: Module

    def evaluate(self, inputs: Sequence[Array]) -> list[Array]:
        """What the text gives for int8 inputs, in numpy, operator by operator."""
        return evaluate(self.text, inputs)


def tosa_to_integer(text: str, where: str = "the TOSA text", *, name: str = "") -> IntegerModel:
    """The integer layers of a module in TOSA (1.0, generic or printed form), of one function.

    where: names the text in messages. name: of the network, else the function's. FrontError, with
    the line, for text that MLIR does not take and for operators that the accelerator has not.
    """
    return module_to_integer(read_module(text, where), name)


def module_to_integer(module: Module, name: str = "") -> IntegerModel:
    """A module that was read: ``tosa_to_integer``."""
    where = module.where
    if module.real:
        raise FrontError(
            f"{where} line {module.real[0]}: {module.real[1]} has a tensor of f32: layers are of int8; "
            "read it as a network of floats (tosa_to_onnx, or give zeroskip.compile the file), or "
            "quantize the network to int8, its inputs and outputs too, before it is written as TOSA"
        )
    try:
        reader = Reader(module)
        modules = write_modules(reader, module.main.inputs, module.main.outputs)
    except RecursionError:
        raise FrontError(f"{where}: its functions call each other without end") from None
    return IntegerModel(
        name or module.main.name, *modules, tuple(reader.building.differences), module
    )


def check_integers(model: IntegerModel) -> None:
    """FrontError unless the integer module, on TVM's CPU, gives what the text does for a random
    input: every bit, or, where layers are known to round otherwise, nearly."""
    rng = np.random.default_rng(0)
    sample = [
        rng.integers(0, 256, tuple(int(n) for n in param.ty.shape), np.uint8).view(
            str(param.ty.dtype)
        )
        for param in model.integer["main"].params
    ]
    results = run_cpu(compile_for_cpu(model.integer), "main", sample)
    for name, want, got in zip(
        model.text.main.outputs, model.evaluate(sample), results, strict=True
    ):
        own = want.view(got.dtype)
        level = snr_db([own.astype(np.float64)], [got.astype(np.float64)])
        if level < (LEAST_DB if model.differences else np.inf):
            raise FrontError(
                f"'{model.name}' is read as layers that do not give what its text does (output "
                f"'{name}'): write it with other operators."
            )


def told_differences(model: IntegerModel) -> str:
    """A sentence on the layers that round otherwise than the text."""
    found = model.differences
    named = "; ".join(f"'{each.label}' (line {each.line}: {each.how})" for each in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    once = any("DOUBLE_ROUND" in each.how for each in found)
    kernels = " TFLite's default kernels (XNNPACK) round once as well." if once else ""
    return (
        f"{len(found)} layers may be a step off what {model.text.where} says: {named}{more}; all "
        f"others are its very integers.{kernels}"
    )
