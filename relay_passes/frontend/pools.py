"""Reductions over pixels in the form that layers have: pools whose window is what is reduced."""

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import DEFAULT_DOMAINS, Rewriter, attributes, input_name

_POOLS = {"GlobalMaxPool": "MaxPool", "ReduceMax": "MaxPool", "ReduceMean": "AveragePool"}
_RANKS = (3, 4, 5)  # [N, C, W], [N, C, H, W] and [N, C, D, H, W]


def make_pools(model: onnx.ModelProto) -> bool:
    """Replace maxima over pixels of float tensors, and means over some of the axes of pixels, by
    pools; True if there was one. A mean over all of them is a layer as it is. Needs shapes."""
    found: list[str] = []

    def rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
        if node.op_type not in _POOLS or node.domain not in DEFAULT_DOMAINS:
            return False
        shape = rewriter.index.shape(node.input[0])
        axes = _axes(rewriter, node, len(shape or ()))
        info = rewriter.index.infos.get(node.input[0])
        if (
            shape is None
            or axes is None
            or info is None
            or (info.type.tensor_type.elem_type != onnx.TensorProto.FLOAT)
        ):
            return False
        spatial = list(range(2, len(shape)))
        if (
            len(shape) not in _RANKS
            or not set(axes) <= set(spatial)
            or (node.op_type == "ReduceMean" and axes == spatial)
        ):
            return False
        found.append(node.name)
        kernel = [shape[axis] if axis in axes else 1 for axis in spatial]
        kept = node.op_type == "GlobalMaxPool" or attributes(node).get("keepdims", 1)
        pool = rewriter.make(
            _POOLS[node.op_type],
            node.input[:1],
            kernel_shape=kernel,
            role="" if kept else "pool",
            output=node.output[0] if kept else "",
        )
        if not kept:
            left = [size for axis, size in enumerate(shape) if axis not in axes]
            rewriter.make(
                "Reshape",
                [pool, rewriter.constant("shape", np.asarray(left, np.int64))],
                output=node.output[0],
            )
        return True

    Rewriter(model).expand(rewrite)
    return bool(found)


def _axes(rewriter: Rewriter, node: onnx.NodeProto, rank: int) -> list[int] | None:
    """What is reduced, in order; None for all and for none."""
    if node.op_type == "GlobalMaxPool":
        return list(range(2, rank))
    listed = attributes(node).get("axes")
    value = rewriter.index.constant(input_name(node, 1)) if listed is None else np.asarray(listed)
    if value is None or not value.size or not rank:
        return None
    return sorted({int(axis) % rank for axis in value.reshape(-1)})
