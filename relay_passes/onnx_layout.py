"""Transposes moved past elementwise nodes to the Transpose that follows, where they merge."""

import numpy as np
import onnx
from onnx import helper

from zeroskip.relay_passes.onnx_graph import (
    DEFAULT_DOMAINS,
    Index,
    Rewriter,
    attributes,
    input_name,
)

_UNARY = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "HardSwish", "Clip", "Cast")
_BINARY = ("Add", "Sub", "Mul", "Div")


def move_transposes(model: onnx.ModelProto) -> None:
    """Move every Transpose that reaches another one through elementwise nodes next to it,
    permuting the constants of those nodes. Tensors keep the names that others read."""
    while _move_one_step(model):
        pass


def _move_one_step(model: onnx.ModelProto) -> bool:
    index = Index.of(model)
    for node in model.graph.node:
        before = next((index.producer[name] for name in node.input if name in index.producer
                       and index.producer[name].op_type == "Transpose"), None)
        if before is None or not _moves(node, before.output[0], index):
            continue
        perm = attributes(before).get("perm")
        if perm is None or before.domain not in DEFAULT_DOMAINS or not _meets(node, index):
            continue
        _swap(model, node, before, [int(axis) for axis in perm])
        return True
    return False


def _moves(node: onnx.NodeProto, data: str, index: Index) -> bool:
    """Whether the node is elementwise on `data`, which it alone reads."""
    if node.domain not in DEFAULT_DOMAINS or index.only_reader(data) is None:
        return False
    if node.op_type in _UNARY:
        return input_name(node, 0) == data
    if node.op_type not in _BINARY:
        return False
    others = [name for name in node.input if name != data]
    rank = len(index.shape(data) or ())
    return len(others) == 1 and others[0] in index.constants and rank >= len(
        index.shape(others[0]) or ())


def _meets(node: onnx.NodeProto, index: Index) -> bool:
    """Whether elementwise nodes lead from this one to a Transpose."""
    at = index.only_reader(node.output[0])
    while at is not None and at.op_type != "Transpose":
        data = node.output[0]
        if not _moves(at, data, index):
            return False
        node, at = at, index.only_reader(at.output[0])
    return at is not None


def _swap(model: onnx.ModelProto, node: onnx.NodeProto, before: onnx.NodeProto,
          perm: list[int]) -> None:
    inverse = [int(axis) for axis in np.argsort(perm)]

    def rewrite(rewriter: Rewriter, each: onnx.NodeProto) -> bool:
        if each.name != node.name:
            return False
        inputs = list(each.input)
        for position, name in enumerate(inputs):
            value = rewriter.index.constant(name)
            if name == before.output[0]:
                inputs[position] = before.input[0]
            elif value is not None and each.op_type in _BINARY:
                full = value.reshape((1,) * (len(perm) - value.ndim) + value.shape)
                inputs[position] = rewriter.constant("permuted", full.transpose(inverse))
        attrs = {item.name: helper.get_attribute_value(item) for item in each.attribute}
        made = rewriter.make(each.op_type, inputs, **attrs)
        rewriter.make("Transpose", [made], role="Transpose", output=each.output[0], perm=perm)
        return True

    Rewriter(model).expand(rewrite)
