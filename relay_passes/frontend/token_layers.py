"""Dense layers on every token of [N, T, C], or pixel of [N, H, W, C], as convolutions of one pixel.

A product by a constant matrix sums over the last axis, a convolution over the second: a Transpose
before it and one behind, which ``onnx_layout`` then moves to where they meet others.
"""

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import DEFAULT_DOMAINS, Rewriter

_RANKS = (3, 4)  # of what becomes [N, C, W] and [N, C, H, W]


def make_token_layers(model: onnx.ModelProto) -> bool:
    """Replace float products of tensors of three or four dimensions by constant matrices [C, K] by
    convolutions; True if there was one. Needs inferred shapes."""
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.op_type != "MatMul" or node.domain not in DEFAULT_DOMAINS:
            return False
        shape, weight = rewriter.index.shape(node.input[0]), rewriter.index.constant(node.input[1])
        if shape is None or weight is None or len(shape) not in _RANKS or weight.ndim != 2:
            return False
        if weight.dtype != np.float32 or 0 in (*shape, *weight.shape):
            return False
        rank = len(shape)
        kernel = weight.T.reshape(*weight.shape[::-1], *(1,) * (rank - 2))
        first = [0, rank - 1, *range(1, rank - 1)]
        data = rewriter.make("Transpose", node.input[:1], role="channels_first", perm=first)
        held = rewriter.constant("kernel", np.ascontiguousarray(kernel))
        result = rewriter.make("Conv", [data, held], role="layer")
        last = [int(axis) for axis in np.argsort(first)]
        rewriter.make("Transpose", [result], output=node.output[0], perm=last)
        found.append(node.name)
        return True

    Rewriter(model).expand(rewrite)
    return bool(found)
