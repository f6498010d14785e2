"""Floats of other widths become float32, the type that ranges are measured and layers computed in.

A model's inputs and outputs keep their types: a Cast stands at each. Those of bfloat16, for which
numpy has no type, become float32 themselves.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zeroskip.relay_passes.frontend.editing import names_in_use
from zeroskip.relay_passes.names import unused_name

OTHERS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_TYPED = ("to", "dtype", "output_datatype", "stash_type")  # attributes that name a type
_LARGEST = float(np.finfo(np.float32).max)


def cast_floats(model: onnx.ModelProto) -> bool:
    """Make everything between inputs and outputs that is float16, bfloat16 or double float32; True
    if anything was.

    Doubles beyond float32's range become its largest numbers; infinities stay what they are.
    """
    graph = model.graph
    tensors = [each for each in _tensors(graph) if each.data_type in OTHERS]
    ends = [
        each for each in (*graph.input, *graph.output) if each.type.tensor_type.elem_type in OTHERS
    ]
    typed = [
        each
        for node in graph.node
        for each in node.attribute
        if each.name in _TYPED and each.i in OTHERS
    ]
    if not (tensors or ends or typed):
        return False
    for end in ends:
        if end.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            end.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in tensors:
        tensor.CopyFrom(
            numpy_helper.from_array(_narrowed(numpy_helper.to_array(tensor)), tensor.name)
        )
    for attribute in typed:
        attribute.i = TensorProto.FLOAT
    for info in graph.value_info:
        if info.type.tensor_type.elem_type in OTHERS:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    _cast_ends(graph, names_in_use(model) | {node.name for node in graph.node})
    return True


def _narrowed(value: np.ndarray) -> np.ndarray:
    """float32, finite where the value is."""
    wide = value.astype(np.float64)
    finite = np.isfinite(wide)
    return np.where(finite, np.clip(wide, -_LARGEST, _LARGEST), wide).astype(np.float32)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _cast_ends(graph: onnx.GraphProto, taken: set[str]) -> None:
    """A Cast behind each input and before each output of another float type."""
    first: list[onnx.NodeProto] = []
    last: list[onnx.NodeProto] = []
    # What nodes call the tensor within, by its name at the border.
    inside: dict[str, str] = {}
    for item in graph.input:
        if item.type.tensor_type.elem_type in OTHERS:
            inside[item.name] = unused_name(f"{item.name}_float32", taken)
            first.append(_cast(item.name, inside[item.name], TensorProto.FLOAT, taken))
    for item in graph.output:
        kind = item.type.tensor_type.elem_type
        if kind in OTHERS:
            if item.name not in inside:
                inside[item.name] = unused_name(f"{item.name}_float32", taken)
            last.append(_cast(inside[item.name], item.name, kind, taken))
    for node in graph.node:
        node.input[:] = [inside.get(name, name) for name in node.input]
        node.output[:] = [inside.get(name, name) for name in node.output]
    for info in graph.value_info:
        info.name = inside.get(info.name, info.name)
    for tensor in graph.initializer:
        tensor.name = inside.get(tensor.name, tensor.name)
    nodes = [*first, *graph.node, *last]
    del graph.node[:]
    graph.node.extend(nodes)


def _cast(source: str, result: str, kind: int, taken: set[str]) -> onnx.NodeProto:
    name = unused_name(f"Cast_{result}", taken)
    return helper.make_node("Cast", [source], [result], name, to=kind)
