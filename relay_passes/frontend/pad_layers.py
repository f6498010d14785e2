"""Pads that no window takes, in the form that layers have."""

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Index,
    Rewriter,
    attributes,
    input_name,
)
from zeroskip.relay_passes.frontend.pads import spatial_zeros

_MIRRORED = ("edge", "reflect", "wrap")
_RANKS = (3, 4, 5)  # [N, C, W], [N, C, H, W] and [N, C, D, H, W]


def as_pool(node: onnx.NodeProto, index: Index) -> onnx.NodeProto | None:
    """A Pad of a float tensor by zeros in space as an AveragePool of single pixels that counts its
    padding, for TVM, which has it as an operator; None of any other node. It is no ONNX that others
    run: there windows are larger than their padding."""
    if node.op_type != "Pad" or node.domain not in DEFAULT_DOMAINS:
        return None
    shape = _float_shape(node.input[0], index)
    amounts = None if shape is None else spatial_zeros(node, index)
    if shape is None or amounts is None or not any(amounts):
        return None
    return onnx.helper.make_node(
        "AveragePool",
        node.input[:1],
        node.output,
        node.name,
        kernel_shape=[1] * (len(shape) - 2),
        pads=amounts,
        count_include_pad=1,
    )


def _float_shape(name: str, index: Index) -> tuple[int, ...] | None:
    """The shape of a float tensor with channels and space; None of any other."""
    info, shape = index.infos.get(name), index.shape(name)
    if info is None or shape is None or len(shape) not in _RANKS:
        return None
    return shape if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT else None


def gather_mirrored_pads(model: onnx.ModelProto) -> bool:
    """Replace Pads of float tensors by other pixels (edge, reflect, wrap) with a Gather of each
    axis; True if there was one. Needs shapes."""
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.op_type != "Pad" or node.domain not in DEFAULT_DOMAINS:
            return False
        shape = _float_shape(node.input[0], rewriter.index)
        done = shape is not None and _mirrored(rewriter, node, shape)
        found.extend([node.name] * done)
        return done

    Rewriter(model).expand(rewrite)
    return bool(found)


def _mirrored(rewriter: Rewriter, node: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    mode = str(attributes(node).get("mode", "constant"))
    amounts = rewriter.index.constant(input_name(node, 1))
    if mode not in _MIRRORED or amounts is None or np.any(amounts < 0):
        return False
    axes = np.arange(len(shape))
    if input_name(node, 3):
        given = rewriter.index.constant(input_name(node, 3))
        if given is None:
            return False
        axes = given % len(shape)
    pairs = dict(zip(axes.tolist(), amounts.reshape(2, -1).T.tolist(), strict=True))
    padded = [axis for axis, pair in sorted(pairs.items()) if any(pair)]
    if not padded or padded[0] == 0:
        return False
    value = node.input[0]
    for axis in padded:
        last = axis == padded[-1]
        every = np.pad(np.arange(shape[axis]), pairs[axis], mode=mode)  # type: ignore[call-overload]  # one of three
        indices = rewriter.constant(f"indices{axis}", every.astype(np.int64))
        name, role = (node.output[0], "") if last else ("", f"axis{axis}")
        value = rewriter.make("Gather", [value, indices], role=role, output=name, axis=axis)
    return True
