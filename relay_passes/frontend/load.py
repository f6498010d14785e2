"""Reading an ONNX file, refusing what is not one before anything else looks at it."""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper
from onnx.external_data_helper import load_external_data_for_model

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.torch_names import name_by_modules

NUMBERS = {  # ONNX's types that layers take
    number: dtype
    for number in onnx.TensorProto.DataType.values()
    if number not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
    and (dtype := helper.tensor_dtype_to_np_dtype(number)).isbuiltin == 1
    and dtype.kind in "biuf"
}


def load_onnx(path: str | Path) -> onnx.ModelProto:
    """The model in the file, with its external data, checked against the ONNX specification.

    FrontError when the file is missing or unreadable, is not ONNX or is cut short, lacks its
    external data, or breaks the specification.
    """
    file = Path(path)
    model = _parse(file)
    try:
        load_external_data_for_model(model, str(file.parent))
    except (OSError, onnx.checker.ValidationError, ValueError) as error:
        raise FrontError(
            f"'{file}' keeps weights in a file beside it that cannot be read "
            f"({first_line(error)}): put that file into '{file.parent}'."
        ) from error
    check_model(model, f"'{file}'")
    name_by_modules(model)
    return model


def check_model(model: onnx.ModelProto, where: str = "The model") -> None:
    """FrontError for what is no model, breaks ONNX's specification or fails `check_constants`.
    where: what it is, in messages."""
    if not isinstance(model, onnx.ModelProto):
        raise FrontError(
            f"A {type(model).__name__} is no model: give the path of an ONNX file, a ModelProto or "
            "TVM's IRModule."
        )
    check_constants(model, where)
    try:
        onnx.checker.check_model(_with_shapes(model))
    except onnx.checker.ValidationError as error:
        raise FrontError(
            f"{where} breaks the ONNX specification ({first_line(error)}): export it again."
        ) from error
    except UnicodeDecodeError as error:
        raise FrontError(
            f"{where} breaks the ONNX specification (a name in it is not UTF-8): export it again."
        ) from error
    except ValueError as error:
        raise FrontError(
            f"{where} is larger than ONNX's checker takes, 2 GiB: use a smaller model."
        ) from error


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which inputs and outputs have a shape, if one has none: that is for later stages to
    ask for, or to infer."""
    ends = (*model.graph.input, *model.graph.output)
    if all(
        each.type.tensor_type.HasField("shape")
        for each in ends
        if each.type.HasField("tensor_type")
    ):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for each in (*made.graph.input, *made.graph.output):
        if each.type.HasField("tensor_type"):
            each.type.tensor_type.shape.SetInParent()
    return made


def check_constants(model: onnx.ModelProto, where: str = "The model") -> None:
    """FrontError for a constant that is kept in a file which was not loaded, of a type without
    numbers, or of other than as many as its shape says. where: what holds them, in messages."""
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise FrontError(
                f"{where} keeps the constant '{tensor.name}' in a file that was not "
                "loaded: give the model's path, or load it with its external data."
            )
        _check_tensor(tensor, where)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of the model's graph, without those of subgraphs."""
    yield from model.graph.initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def refused_type(number: int) -> str:
    """What is wrong with a type that is not one of ``NUMBERS``, and the remedy."""
    kinds = {number: word for word, number in onnx.TensorProto.DataType.items()}
    return (
        f"of type {kinds.get(number, number)}, which no layer here takes: export it with "
        "floats or integers of 8 to 64 bits."
    )


def _check_tensor(tensor: onnx.TensorProto, where: str) -> None:
    """FrontError for a type that has no numbers, or other than as many as its shape says."""
    name = tensor.name or "without a name"
    dtype = NUMBERS.get(tensor.data_type)
    if tensor.data_type == onnx.TensorProto.BFLOAT16:  # `onnx_floats` makes them float32
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if dtype is None:
        raise FrontError(f"{where} holds a constant '{name}' {refused_type(tensor.data_type)}")
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data) / dtype.itemsize
    else:
        held = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
    if min(tensor.dims, default=0) < 0 or held != math.prod(tensor.dims):
        raise FrontError(
            f"{where} holds {held:g} numbers for the constant '{name}' of shape "
            f"{list(tensor.dims)}: export or copy it again."
        )


def first_line(error: BaseException) -> str:
    """The first sentence of a library's message, to stand inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__


def _parse(file: Path) -> onnx.ModelProto:
    refuse_irregular(file)
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise FrontError(f"'{file}' does not exist: give the path of an ONNX model.") from error
    except OSError as error:
        raise FrontError(f"'{file}' cannot be read ({error.strerror}).") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise FrontError(
            f"'{file}' is not an ONNX model or is cut short: export or copy it again."
        ) from error
    if not model.graph.node and not model.graph.output:
        raise FrontError(f"'{file}' holds no ONNX graph: export or copy it again.")
    return model
