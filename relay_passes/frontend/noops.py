"""Removal of nodes that change nothing: casts to the same type, arithmetic with 1 or 0, slices of
all, pads of nothing, lists of one, limits within limits, outputs that nobody reads."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Index,
    Rewriter,
    attributes,
    drop_unused,
    input_name,
    rename_reads,
)
from zeroskip.relay_passes.frontend.fold import remove_identities

_Source: TypeAlias = Callable[[onnx.NodeProto, Index], str | None]
# Their results are not negative.
_POSITIVE = {"Relu", "Sigmoid", "Abs", "Exp", "Softmax", "Softplus", "HardSigmoid"}


def remove_noops(model: onnx.ModelProto) -> None:
    """Make what reads a node without effect read that node's source. Needs inferred shapes.

    A node without effect that makes an output of the graph becomes an Identity, where what it
    reads cannot bear the output's name.
    """
    _merge_limits(model)
    index = Index.of(model)
    source: dict[str, str] = {}
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS or not node.output:
            continue
        _drop_unread_indices(node, index)
        find = SOURCES.get(node.op_type)
        found = None if find is None or sum(map(bool, node.output)) != 1 else find(node, index)
        if found is None:
            continue
        if node.output[0] in index.outputs:
            node.op_type, node.input[:] = "Identity", [found]
            del node.attribute[:]
        else:
            source[node.output[0]] = source.get(found, found)
    rename_reads(model, source)
    drop_unused(model)
    remove_identities(model)


def _same_type(node: onnx.NodeProto, index: Index) -> str | None:
    return _if(_type(node.input[0], index) == attributes(node)["to"], node)


def _only(node: onnx.NodeProto, _index: Index) -> str | None:
    return _if(len(node.input) == 1, node)


def _same_shape(node: onnx.NodeProto, index: Index) -> str | None:
    """Of what can only change a tensor by changing its shape."""
    shape = index.shape(node.input[0])
    return _if(shape is not None and shape == index.shape(node.output[0]), node)


def _whole_slice(node: onnx.NodeProto, index: Index) -> str | None:
    steps = index.constant(input_name(node, 4)) if input_name(node, 4) else np.ones(1)
    return _same_shape(node, index) if steps is not None and np.all(steps == 1) else None


def _no_pad(node: onnx.NodeProto, index: Index) -> str | None:
    amounts = index.constant(input_name(node, 1))
    return _if(amounts is not None and not amounts.any(), node)


def _no_resize(node: onnx.NodeProto, index: Index) -> str | None:
    attrs, scales = attributes(node), index.constant(input_name(node, 2))
    crops = attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    given = scales is not None and scales.size
    kept = not given or (scales is not None and np.all(scales == 1))
    return None if crops or not kept else _same_shape(node, index)


def _all_in_order(node: onnx.NodeProto, index: Index) -> str | None:
    shape, picked = index.shape(node.input[0]), index.constant(node.input[1])
    if not shape or picked is None or picked.ndim != 1:
        return None
    size = shape[attributes(node).get("axis", 0)]
    return _if(picked.size == size and np.array_equal(picked % size, np.arange(size)), node)


def _single_window(node: onnx.NodeProto, index: Index) -> str | None:
    attrs = attributes(node)
    ones = [*attrs["kernel_shape"], *attrs.get("strides", [])]
    plain = set(ones) == {1} and not any(attrs.get("pads", []))
    return _same_shape(node, index) if plain else None


def _neutral(number: float, places: tuple[int, ...]) -> _Source:
    """Of an operator with two operands, one of which, at these places, has no effect if it is this
    number throughout."""

    def find(node: onnx.NodeProto, index: Index) -> str | None:
        shape = index.shape(node.output[0])
        for place in places:
            value = index.constant(node.input[place])
            other = node.input[1 - place]
            if (
                value is not None
                and np.all(value == number)
                and shape is not None
                and index.shape(other) == shape
            ):
                return str(other)
        return None

    return find


def _if(holds: object, node: onnx.NodeProto) -> str | None:
    return str(node.input[0]) if holds else None


SOURCES: dict[str, _Source] = {
    "Cast": _same_type,
    **dict.fromkeys(("Concat", "Max", "Mean", "Min", "Sum"), _only),
    **dict.fromkeys(
        (
            "Expand",
            "Tile",
            "Split",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
        ),
        _same_shape,
    ),
    **dict.fromkeys(("AveragePool", "MaxPool"), _single_window),
    "Add": _neutral(0, (0, 1)),
    "Sub": _neutral(0, (1,)),
    "Mul": _neutral(1, (0, 1)),
    "Div": _neutral(1, (1,)),
    "Pow": _neutral(1, (1,)),
    "Slice": _whole_slice,
    "Pad": _no_pad,
    "Resize": _no_resize,
    "Gather": _all_in_order,
}


def _type(name: str, index: Index) -> int | None:
    if name in index.constants:
        return int(index.constants[name].data_type)
    return int(index.infos[name].type.tensor_type.elem_type) if name in index.infos else None


def _drop_unread_indices(node: onnx.NodeProto, index: Index) -> None:
    """Take from a MaxPool the output of indices that nothing reads."""
    if node.op_type == "MaxPool" and len(node.output) > 1:
        name = node.output[1]
        if name not in index.readers and name not in index.outputs:
            del node.output[1:]


def _merge_limits(model: onnx.ModelProto) -> None:
    """Let a Relu or Clip behind another one read that one's source, within both limits."""
    limits: dict[str, tuple[str, float, float]] = {}  # result -> source, and the bounds of both

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.domain not in DEFAULT_DOMAINS or node.op_type not in ("Clip", "Relu"):
            return False
        own, index = _bounds(node, rewriter.index), rewriter.index
        if own is None:
            return False
        maker = index.producer.get(node.input[0])
        if node.op_type == "Relu" and maker is not None and maker.op_type in _POSITIVE:
            rewriter.make("Identity", node.input, output=node.output[0])
            limits[node.output[0]] = limits.get(node.input[0], (node.input[0], *own))
            return True
        before = limits.get(node.input[0])
        source = node.input[0] if before is None else before[0]
        low, high = own if before is None else (float(np.clip(bound, *own)) for bound in before[1:])
        limits[node.output[0]] = (source, low, high)
        if before is None:
            return False
        if (low, high) == (0, np.inf):
            rewriter.make("Relu", [source], output=node.output[0])
            return True
        bounds = [
            rewriter.constant(role, np.float32(bound)) if np.isfinite(bound) else ""
            for role, bound in (("low", low), ("high", high))
        ]
        rewriter.make("Clip", [source, *bounds], output=node.output[0])
        return True

    Rewriter(model).expand(rewrite)
    drop_unused(model)
    remove_identities(model)


def _bounds(node: onnx.NodeProto, index: Index) -> tuple[float, float] | None:
    """Between which numbers a Relu or Clip leaves float32 as they are; None if unknown."""
    if _type(node.input[0], index) != onnx.TensorProto.FLOAT:
        return None
    if node.op_type == "Relu":
        return 0.0, np.inf
    found: list[float] = []
    for place, default in ((1, -np.inf), (2, np.inf)):
        name = input_name(node, place)
        value = index.constant(name) if name else np.asarray(default)
        if value is None or value.size != 1:
            return None
        found.append(float(value.reshape(())))
    return (found[0], found[1]) if found[0] <= found[1] else None
