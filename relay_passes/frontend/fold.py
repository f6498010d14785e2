"""Evaluation of what depends on constants only, and removal of nodes that do nothing."""

import math

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Array,
    Index,
    attributes,
    drop_unused,
    input_name,
    names_in_use,
    opset,
    rename_reads,
    replace_nodes,
)
from zeroskip.relay_passes.frontend.qdq import quantized_constant
from zeroskip.relay_passes.names import unused_name

# Elements of a folded tensor, and of all of them; what is larger (a broadcast grid, say) is left to
# run time.
_LARGEST = 1 << 24
_LARGEST_SUM = 1 << 26
# Their results may be larger than any of their operands.
_GROWING = {"ConstantOfShape", "Expand", "Pad", "Range", "Resize", "Tile", "Upsample", "OneHot"}
# Dequantizers stay: their scales and int8 weights are what later passes read. Of quantizers see
# `quantized_constant`. Random ones are not constants.
_NEVER_FOLDED = {
    "DequantizeLinear",
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


def hoist_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes into initializers, except those that make an output of the graph."""
    index = Index.of(model)
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        value = None if index.outputs.intersection(node.output) else _held(node)
        if value is None:
            kept.append(node)
        else:
            value.name = node.output[0]
            model.graph.initializer.append(value)
    replace_nodes(model, kept)


def _held(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """A copy of the tensor that a Constant node holds; None for any other node, and for
    strings and sparse tensors."""
    if node.op_type != "Constant" or node.domain not in DEFAULT_DOMAINS:
        return None
    held = attributes(node)
    if len(held) != 1:
        raise FrontError(
            f"Node '{node.name}' (Constant) holds {len(held)} values: export the model again."
        )
    [(kind, value)] = held.items()
    result = onnx.TensorProto()
    if kind == "value":
        result.CopyFrom(value)
    elif kind in ("value_int", "value_ints"):
        result.CopyFrom(numpy_helper.from_array(np.asarray(value, np.int64)))
    elif kind in ("value_float", "value_floats"):
        result.CopyFrom(numpy_helper.from_array(np.asarray(value, np.float32)))
    else:
        return None
    return result


def fold_constants(model: onnx.ModelProto) -> bool:
    """Turn every node whose inputs are constants, and every Shape or Size of a tensor of known
    shape, into constants; True if any was.

    Each is evaluated by itself with `onnx.reference`. What is an output of the graph becomes an
    Identity of a constant, with the node's name.
    """
    index = Index.of(model)
    known: dict[str, Array] = {}
    kept: list[onnx.NodeProto] = []
    taken = names_in_use(model)
    left, changed = _LARGEST_SUM, False
    for node in model.graph.node:
        values = None if node.op_type == "Identity" else _fold(node, index, known, opset(model))
        size = sum(value.size for value in values or ())
        if values is None or size > left:
            kept.append(node)
            continue
        left -= size
        for name, value in zip(node.output, values, strict=False):
            known[name] = value
            held = name
            if name in index.outputs:
                held = unused_name(f"{name}_value", taken)
                kept.append(_copy_of(node, held, name))
            model.graph.initializer.append(numpy_helper.from_array(value, held))
            changed = True
    if changed:
        replace_nodes(model, kept)
        drop_unused(model)
    return changed


def _copy_of(node: onnx.NodeProto, source: str, result: str) -> onnx.NodeProto:
    """An Identity that stands for the node."""
    copy = helper.make_node("Identity", [source], [result], name=node.name)
    copy.metadata_props.extend(node.metadata_props)
    return copy


def _fold(
    node: onnx.NodeProto, index: Index, known: dict[str, Array], version: int
) -> list[Array] | None:
    """The node's outputs, None unless they are constants of a bounded size."""
    if node.domain in DEFAULT_DOMAINS and node.op_type == "QuantizeLinear":
        integers = quantized_constant(
            node, index, known, lambda maker, operands: _evaluate(maker, operands, version)
        )
        return None if integers is None else [integers]
    if node.domain not in DEFAULT_DOMAINS or node.op_type in _NEVER_FOLDED:
        return None
    if node.op_type in ("Shape", "Size"):
        shape = index.shape(node.input[0])
        if shape is None and node.input[0] in known:
            shape = known[node.input[0]].shape
        return None if shape is None else [_shape_or_size(node, shape)]
    inputs: dict[str, Array] = {}
    for name in filter(None, node.input):
        value = known[name] if name in known else index.constant(name)
        if value is None:
            return None
        inputs[name] = value
    shapes = [index.shape(name) for name in node.output]
    if node.op_type == "ConstantOfShape":  # ONNX leaves out its shape where a dimension is 0
        shapes = [tuple(int(size) for size in inputs[node.input[0]])]
    if any(
        node.op_type in _GROWING if shape is None else math.prod(shape) > _LARGEST
        for shape in shapes
    ):
        return None
    return _evaluate(node, inputs, version)


def _shape_or_size(node: onnx.NodeProto, shape: tuple[int, ...]) -> Array:
    if node.op_type == "Size":
        return np.asarray(int(np.prod(shape)), np.int64)
    attrs = attributes(node)
    return np.asarray(shape[attrs.get("start", 0) : attrs.get("end", len(shape))], np.int64)


def _evaluate(node: onnx.NodeProto, inputs: dict[str, Array], version: int) -> list[Array] | None:
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in inputs.items()
    ]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "fold", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    try:
        values = [np.asarray(value) for value in ReferenceEvaluator(model).run(None, inputs)]
    except Exception:
        # onnx.reference lacks some versions of some operators: those are left to the importer.
        return None
    return values if all(value.size <= _LARGEST for value in values) else None


def remove_identities(model: onnx.ModelProto) -> None:
    """Remove Identity and (inference) Dropout nodes, wherever they stand.

    One that copies an input or a constant of the graph to an output stays, as an Identity.
    FrontError for a Dropout in training mode or one whose mask is read.
    """
    index = Index.of(model)
    source: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if not _passes_through(node, index):
            kept.append(node)
        elif node.output[0] in index.outputs:
            name = node.name
            identity = helper.make_node("Identity", node.input[:1], node.output[:1], name=name)
            identity.metadata_props.extend(node.metadata_props)
            kept.append(identity)
        else:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
    replace_nodes(model, kept)
    rename_reads(model, source)
    _remove_identities_before_outputs(model)


def _passes_through(node: onnx.NodeProto, index: Index) -> bool:
    if node.domain not in DEFAULT_DOMAINS or node.op_type not in ("Identity", "Dropout"):
        return False
    if node.op_type == "Dropout":
        mask = node.output[1] if len(node.output) > 1 else ""
        if mask in index.readers or mask in index.outputs:
            raise FrontError(
                f"Node '{node.name}' (Dropout) has a mask that is read: "
                "export the model in inference mode (model.eval())."
            )
        training = input_name(node, 2)
        if training and not (training in index.constants and not np.any(index.constant(training))):
            raise FrontError(
                f"Node '{node.name}' (Dropout) is in training mode: "
                "export the model in inference mode (model.eval())."
            )
    return True


def _remove_identities_before_outputs(model: onnx.ModelProto) -> None:
    index = Index.of(model)
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type != "Identity" or node.output[0] not in index.outputs:
            continue
        source = node.input[0]
        if source in index.producer and source not in index.outputs and source not in renamed:
            renamed[source] = node.output[0]
    kept = [
        node
        for node in model.graph.node
        if renamed.get(input_name(node, 0)) is None
        or node.op_type != "Identity"
        or renamed[node.input[0]] != node.output[0]
    ]
    for node in kept:
        for position, name in enumerate(node.output):
            node.output[position] = renamed.get(name, name)
    replace_nodes(model, kept)
    rename_reads(model, renamed)
