"""The cases that ONNX's own generator makes, in two forms: as they are, and with inputs frozen.

In a network that a user brings, all but one input of a node are mostly weights: the frozen form of
a case keeps its first input of floats (or its first one) and makes the others initializers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

Kind = Literal["node", "simple", "pytorch-converted", "pytorch-operator"]
Form = Literal["as is", "frozen"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FORMS: tuple[Form, ...] = get_args(Form)
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


class BackendRequest(NamedTuple):
    """A case by what makes it."""

    kind: Kind
    name: str
    form: Form


@dataclass(frozen=True)
class Example:
    """A model, what it is given and what it must give. A value is an array, or whatever stands for
    a sequence or an optional."""

    model: onnx.ModelProto
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    rtol: float
    atol: float


@cache
def _cases(kind: Kind) -> dict[str, TestCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generator divides by zero, and means to
        made = load_model_tests(kind=kind)
    return {case.name: case for case in sorted(made, key=lambda case: str(case.name))}


def every(kinds: tuple[Kind, ...] = KINDS) -> list[BackendRequest]:
    """All cases. Of one with a single input there is no frozen form."""
    return [
        BackendRequest(kind, name, form)
        for kind in kinds
        for name in _cases(kind)
        for form in FORMS
        if form == "as is" or frozen(example(kind, name)) is not None
    ]


@cache
def example(kind: Kind, name: str) -> Example:
    """A case as it is."""
    case = _cases(kind)[name]
    model, (inputs, outputs) = case.model, (case.data_sets or [((), ())])[0]
    if model is None:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        inputs, outputs = (
            _stored(folder / "test_data_set_0", side, infos)
            for side, infos in (("input", _free(model)), ("output", list(model.graph.output)))
        )
    # What the generator leaves out of a case has no name.
    return Example(
        model,
        _named(_free(model), inputs),
        _named(model.graph.output, outputs),
        case.rtol,
        case.atol,
    )


def form_of(wanted: BackendRequest) -> Example:
    """A case in the form that is wanted."""
    made = example(wanted.kind, wanted.name)
    if wanted.form == "as is":
        return made
    other = frozen(made)
    assert other is not None, wanted
    return other


def frozen(case: Example) -> Example | None:
    """The case with all inputs but one as initializers; None if that is nothing else, or cannot be
    as one of them is no tensor."""
    free = _free(case.model)
    if len(free) < 2:
        return None
    kept = next((item for item in free if item.type.tensor_type.elem_type in _FLOATS), free[0])
    others = [item for item in free if item.name != kept.name]
    if not all(isinstance(case.inputs[item.name], np.ndarray) for item in others):
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.ir_version = max(model.ir_version, 4)  # before, initializers were inputs as well
    del model.graph.input[:]
    model.graph.input.append(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(case.inputs[item.name], item.name) for item in others
    )
    return Example(model, {kept.name: case.inputs[kept.name]}, case.outputs, case.rtol, case.atol)


def _free(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are not initializers."""
    held = {item.name for item in model.graph.initializer}
    return [item for item in model.graph.input if item.name not in held]


def _named(infos: Any, values: Any) -> dict[str, Any]:
    return {info.name: _plain(value) for info, value in zip(infos, values, strict=False)}


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value if value is None or isinstance(value, list) else np.asarray(value)


def _stored(folder: Path, side: str, infos: list[onnx.ValueInfoProto]) -> list[Any]:
    """What the files of a case hold."""
    made: list[Any] = []
    for number, info in enumerate(infos):
        data = (folder / f"{side}_{number}.pb").read_bytes()
        if info.type.WhichOneof("value") == "sequence_type":
            made.append(list(numpy_helper.to_list(onnx.SequenceProto.FromString(data))))
        else:
            made.append(numpy_helper.to_array(onnx.TensorProto.FromString(data)))
    return made
