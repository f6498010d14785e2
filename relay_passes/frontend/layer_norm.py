"""LayerNormalization in the operators that it stands for (ONNX specification,
LayerNormalization-17).

TVM computes its first result alone; and of channels last, over which most of them normalise, the
layout of layers, channels second, has no LayerNormalization.
"""

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Rewriter,
    attributes,
    input_name,
    opset,
)

_AXES_ARE_INPUT = 18  # ReduceMean's, from this operator set on


def rewrite_layer_norms(model: onnx.ModelProto) -> bool:
    """Write out every LayerNormalization over one axis, or of which more than the first result is
    read; True if there was one. Needs inferred shapes."""
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.op_type != "LayerNormalization" or node.domain not in DEFAULT_DOMAINS:
            return False
        others = [
            name
            for name in node.output[1:]
            if name in rewriter.index.readers or name in rewriter.index.outputs
        ]
        shape = rewriter.index.shape(node.input[0])
        if shape is None or len(shape) < 2:
            return False
        if not others and int(attributes(node).get("axis", -1)) % len(shape) != len(shape) - 1:
            return False
        _write_out(rewriter, node, len(shape))
        found.append(node.name)
        return True

    Rewriter(model).expand(rewrite)
    return bool(found)


def _write_out(rewriter: Rewriter, node: onnx.NodeProto, rank: int) -> None:
    """``mean = E[x]``, ``inverse = 1 / sqrt(E[(x - mean)^2] + epsilon)`` over the last axes,
    ``y = (x - mean) * inverse * scale + bias``."""
    attrs = attributes(node)
    axes = list(range(int(attrs.get("axis", -1)) % rank, rank))
    x, scale, bias = node.input[0], node.input[1], input_name(node, 2)
    _, mean_name, inverse_name = (*node.output, "", "")[:3]

    def average(value: str, role: str, output: str = "") -> str:
        if opset(rewriter.model) >= _AXES_ARE_INPUT:
            listed = rewriter.constant(f"{role}/axes", np.asarray(axes, np.int64))
            return rewriter.make("ReduceMean", [value, listed], role=role, output=output)
        return rewriter.make("ReduceMean", [value], role=role, output=output, axes=axes)

    mean = average(x, "mean", mean_name)
    less = rewriter.make("Sub", [x, mean], role="less")
    square = rewriter.make("Mul", [less, less], role="square")
    epsilon = rewriter.constant("epsilon", np.float32(attrs.get("epsilon", 1e-5)))
    variance = rewriter.make("Add", [average(square, "variance"), epsilon], role="positive")
    deviation = rewriter.make("Sqrt", [variance], role="deviation")
    inverse = rewriter.make("Reciprocal", [deviation], role="inverse", output=inverse_name)
    normal = rewriter.make("Mul", [less, inverse], role="normal")
    if not bias:
        rewriter.make("Mul", [normal, scale], output=node.output[0])
        return
    scaled = rewriter.make("Mul", [normal, scale], role="scaled")
    rewriter.make("Add", [scaled, bias], output=node.output[0])
