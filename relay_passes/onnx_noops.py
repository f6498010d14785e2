"""Removal of nodes that change nothing: casts to the same type, permutations and reshapes that
cancel, outputs that nobody reads."""

import onnx

from zeroskip.relay_passes.onnx_graph import (
    DEFAULT_DOMAINS,
    Index,
    attributes,
    drop_unused,
    rename_reads,
    set_attributes,
)

_RESHAPES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")


def remove_noops(model: onnx.ModelProto) -> None:
    """Make what reads a node without effect read that node's source; merge chained Transposes.

    Needs inferred shapes. A node that makes an output of the graph stays, with its name.
    """
    _merge_transposes(model)
    index = Index.of(model)
    source: dict[str, str] = {}
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS or not node.output:
            continue
        _drop_unread_indices(node, index)
        found = _source(node, index)
        if found is not None and node.output[0] not in index.outputs:
            source[node.output[0]] = source.get(found, found)
    rename_reads(model, source)
    drop_unused(model)


def _merge_transposes(model: onnx.ModelProto) -> None:
    """Let a Transpose of a Transpose read the first one's input, by the product of both."""
    index = Index.of(model)
    for node in model.graph.node:
        perm = _permutation(node)
        before = index.producer.get(node.input[0]) if perm else None
        first = _permutation(before) if before is not None else None
        if perm and first and before is not None:
            set_attributes(node, perm=[first[axis] for axis in perm])
            node.input[0] = before.input[0]
    drop_unused(model)


def _permutation(node: onnx.NodeProto) -> list[int] | None:
    if node.op_type != "Transpose" or node.domain not in DEFAULT_DOMAINS:
        return None
    perm = attributes(node).get("perm")
    return None if perm is None else [int(axis) for axis in perm]


def _source(node: onnx.NodeProto, index: Index) -> str | None:
    """The tensor that the node's result equals, None if it is none but its own."""
    if node.op_type == "Cast":
        same = _type(node.input[0], index) == attributes(node)["to"]
        return str(node.input[0]) if same else None
    perm = _permutation(node)
    if perm is not None:
        return str(node.input[0]) if perm == sorted(perm) else None
    shape = index.shape(node.output[0])
    at: onnx.NodeProto | None = node
    found = None
    while at is not None and at.op_type in _RESHAPES and at.domain in DEFAULT_DOMAINS:
        if shape is not None and index.shape(at.input[0]) == shape:
            found = str(at.input[0])
        at = index.producer.get(at.input[0])
    return found


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
