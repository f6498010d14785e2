"""What no model may be: beyond all size, empty, or full of numbers that are none."""

import math
from collections.abc import Callable, Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

import numpy as np
import onnx

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import DEFAULT_DOMAINS, Array, Index, input_name
from zeroskip.relay_passes.frontend.load import NUMBERS, refused_type

MAX_NODES = 10_000  # some 45 s and 1.5 GiB to compile
MAX_ELEMENTS = 1 << 28  # of a tensor: 1 GiB of float32

_CONTAINERS = {
    "sequence_type": "a sequence",
    "map_type": "a map",
    "optional_type": "an optional",
    "sparse_tensor_type": "a sparse tensor",
}
_Function: TypeAlias = tuple[str, str, str]  # domain, name, overload
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization")
_SCALED = ("QuantizeLinear", "DequantizeLinear")
_VARIANCE = 4  # among BatchNormalization's inputs


def refuse_many_nodes(model: onnx.ModelProto) -> None:
    """FrontError for more than ``MAX_NODES``, those within the model's own functions counted as
    often as they are called."""
    bodies = {(each.domain, each.name, each.overload): each.node for each in model.functions}
    calls = {key: {_called(node) for node in body} & bodies.keys() for key, body in bodies.items()}
    sizes: dict[_Function, int] = {}

    def count(nodes: Iterable[onnx.NodeProto]) -> int:
        return min(sum(sizes.get(_called(node), 1) for node in nodes), MAX_NODES + 1)

    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = count(bodies[key])
    except CycleError:
        raise FrontError("The model has functions that call themselves: export it again.") from None
    if count(model.graph.node) > MAX_NODES:
        raise FrontError(f"The model has more than {MAX_NODES} nodes: compile a part of it.")


def _called(node: onnx.NodeProto) -> _Function:
    return node.domain, node.op_type, node.overload


def refuse_missing_ends(model: onnx.ModelProto) -> None:
    """FrontError for a model without inputs or without outputs."""
    for side, items in (("input", model.graph.input), ("output", model.graph.output)):
        if not items:
            raise FrontError(f"The model has no {side}: export it again.")


def refuse_sizes(model: onnx.ModelProto) -> None:
    """FrontError for an input or a result of a node that has no elements or more than
    ``MAX_ELEMENTS``, as far as shapes are known."""
    makers = {name: node.name for node in model.graph.node for name in node.output}
    for item in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        dims = [
            dim.dim_value for dim in item.type.tensor_type.shape.dim if dim.HasField("dim_value")
        ]
        place = f"Node '{makers[item.name]}'" if item.name in makers else f"Tensor '{item.name}'"
        if 0 in dims:
            raise FrontError(
                f"{place} has shape {dims}, which holds nothing: export the model again."
            )
        if math.prod(dims) > MAX_ELEMENTS:
            raise FrontError(
                f"{place} has shape {dims}, more than {MAX_ELEMENTS} elements: give "
                "smaller inputs with --shape."
            )


def refuse_types(model: onnx.ModelProto) -> None:
    """FrontError for an input or a result of a node that is no tensor, or one of a type that no
    layer takes, as far as types are known."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for item in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        node, what = makers.get(item.name), item.type.WhichOneof("value")
        place = f"Node '{node.name}' ({node.op_type})" if node else f"Input '{item.name}'"
        if what not in (None, "tensor_type"):
            raise FrontError(
                f"{place} {'makes' if node else 'is'} {_CONTAINERS.get(what, what)}, "
                "where layers here take tensors: export the model with tensors only."
            )
        number = item.type.tensor_type.elem_type
        if number and number not in (*NUMBERS, onnx.TensorProto.BFLOAT16):
            made = "makes a tensor" if node else "is"
            raise FrontError(f"{place} {made} {refused_type(number)}")


def refuse_domains(model: onnx.ModelProto) -> None:
    """FrontError for an operator that is neither ONNX's nor onnxruntime's."""
    for node in model.graph.node:
        if node.domain not in (*DEFAULT_DOMAINS, "com.microsoft"):
            raise FrontError(
                f"Node '{node.name}' has operator {node.domain}.{node.op_type}, which "
                "TVM cannot import: replace it by other ONNX operators before export."
            )


def refuse_numbers(model: onnx.ModelProto) -> None:
    """FrontError for constants with which a layer computes nothing: weights that are not finite,
    a negative variance, a scale of quantization that is not positive."""
    index = Index.of(model)
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            continue
        if node.op_type in _WEIGHTED:
            for name in node.input:
                _refuse_unless(np.isfinite, "not finite", node, name, index)
        if node.op_type == "BatchNormalization":
            _refuse_unless(
                lambda value: value >= 0,
                "a negative variance",
                node,
                input_name(node, _VARIANCE),
                index,
            )
        if node.op_type in _SCALED:
            _refuse_unless(
                lambda value: (value > 0) & np.isfinite(value),
                "a scale that is not positive",
                node,
                input_name(node, 1),
                index,
            )


def _refuse_unless(
    holds: Callable[[Array], Any], fault: str, node: onnx.NodeProto, name: str, index: Index
) -> None:
    value = index.constant(name)
    if value is None or value.dtype.kind != "f":
        return
    at = np.argwhere(~holds(value))
    if len(at):
        worst = value[tuple(at[0])]
        raise FrontError(
            f"Node '{node.name}' ({node.op_type}) has {worst:g} in its constant "
            f"'{name}', {fault}: export the model again."
        )
