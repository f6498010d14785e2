"""Pads that no window takes, in the form that layers have."""

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import DEFAULT_DOMAINS, Rewriter, attributes, input_name
from zeroskip.relay_passes.frontend.pads import spatial_zeros

_MIRRORED = ("edge", "reflect", "wrap")
_RANKS = (3, 4, 5)  # [N, C, W], [N, C, H, W] and [N, C, D, H, W]


def rewrite_pads(model: onnx.ModelProto) -> bool:
    """Replace Pads of float tensors by zeros in space with an AveragePool of single pixels that
    counts its padding, and those by other pixels (edge, reflect, wrap) with a Gather of each axis;
    True if there was one. Needs shapes."""
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.op_type != "Pad" or node.domain not in DEFAULT_DOMAINS:
            return False
        info = rewriter.index.infos.get(node.input[0])
        shape = rewriter.index.shape(node.input[0])
        if info is None or shape is None or len(shape) not in _RANKS:
            return False
        if info.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            return False
        done = _zeros(rewriter, node, len(shape) - 2) or _mirrored(rewriter, node, shape)
        found.extend([node.name] * done)
        return done

    Rewriter(model).expand(rewrite)
    return bool(found)


def _zeros(rewriter: Rewriter, node: onnx.NodeProto, rank: int) -> bool:
    amounts = spatial_zeros(node, rewriter.index)
    if amounts is None or not any(amounts):
        return False
    rewriter.make(
        "AveragePool",
        node.input[:1],
        output=node.output[0],
        kernel_shape=[1] * rank,
        pads=amounts,
        count_include_pad=1,
    )
    return True


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
