"""Resize as a linear map of each axis, where TVM's importer would compute another one.

TVM keeps the sizes of a Resize alone: a scale that is not output / input, `antialias`,
`exclude_outside`, batch or channel axes and the symmetric half pixel are lost. A Resize is
separable and each axis is a constant matrix [out, in] (ONNX specification, Resize-19), so those
become MatMul, or Gather for the nearest.
"""

import math
from typing import Any

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import Array, Rewriter, attributes, input_name
from zeroskip.relay_passes.relax.interpolation import PLAIN, Doubles, axis_matrix


def rewrite_resizes(model: onnx.ModelProto) -> bool:
    """Replace every Resize with constant scales or sizes that TVM would import as another; True if
    there was one."""
    before = {node.name for node in model.graph.node if node.op_type == "Resize"}
    Rewriter(model).expand(_rewrite)
    return before != {node.name for node in model.graph.node if node.op_type == "Resize"}


def _rewrite(rewriter: Rewriter, node: onnx.NodeProto) -> bool:
    if node.op_type != "Resize" or node.domain not in ("", "ai.onnx"):
        return False
    attrs = attributes(node)
    shape = rewriter.index.shape(node.input[0])
    mode = attrs.get("coordinate_transformation_mode", "half_pixel")
    if shape is None or mode == "tf_crop_and_resize":
        return False
    scales = rewriter.index.constant(input_name(node, 2))
    sizes = rewriter.index.constant(input_name(node, 3))
    found = _factors(shape, scales, sizes, attrs)
    if found is None:
        return False
    factors, out = found
    if _is_imported_right(shape, factors, out, attrs):
        return False
    moved = [axis for axis, factor in enumerate(factors) if factor != 1 or out[axis] != shape[axis]]
    value = node.input[0]
    for axis in moved:
        last = axis == moved[-1]
        name = node.output[0] if last else ""
        role = "" if last else f"axis{axis}"
        matrix = axis_matrix(shape[axis], out[axis], factors[axis], attrs)
        if attrs.get("mode", "nearest") == "nearest":
            indices = rewriter.constant(f"indices{axis}", matrix.argmax(1).astype(np.int64))
            value = rewriter.make("Gather", [value, indices], role=role, output=name, axis=axis)
            continue
        value = _product(rewriter, matrix, value, axis, len(shape), role, name)
    if not moved:
        rewriter.make("Identity", [value], output=node.output[0])
    return True


def _product(
    rewriter: Rewriter, matrix: Doubles, value: str, axis: int, rank: int, role: str, output: str
) -> str:
    """The matrix times an axis of a tensor. The constant is the first operand: a second one would
    be a layer's weights, which are pruned."""
    weights = rewriter.constant(f"matrix{axis}", matrix.astype(np.float32))
    order = [*(a for a in range(rank) if a != axis)]
    order.insert(max(rank - 2, 0), axis)  # a product runs over the last axis but one
    if order == sorted(order):
        return rewriter.make("MatMul", [weights, value], role=role, output=output)
    turned = rewriter.make("Transpose", [value], role=f"axis{axis}/to_rows", perm=order)
    product = rewriter.make("MatMul", [weights, turned], role=f"axis{axis}/product")
    back = [order.index(a) for a in range(rank)]
    return rewriter.make("Transpose", [product], role=role, output=output, perm=back)


def _factors(
    shape: tuple[int, ...], scales: Array | None, sizes: Array | None, attrs: dict[str, Any]
) -> tuple[list[float], list[int]] | None:
    """Scale and output length of every axis; None when they are no constants."""
    given = scales if scales is not None and scales.size else sizes
    if given is None or not given.size:
        return None
    axes = [int(axis) % len(shape) for axis in attrs.get("axes", range(len(shape)))]
    if len(given) != len(axes):
        return None
    factors, out = [1.0] * len(shape), list(shape)
    policy = attrs.get("keep_aspect_ratio_policy", "stretch")
    ratios = [float(n) / shape[a] for n, a in zip(given, axes, strict=True)]
    common = min(ratios) if policy == "not_larger" else max(ratios)
    for value, ratio, axis in zip(given, ratios, axes, strict=True):
        if given is scales:
            factors[axis] = float(value)
            out[axis] = math.floor(np.float32(value) * np.float32(shape[axis]))
        elif policy == "stretch":
            factors[axis], out[axis] = ratio, int(value)
        else:
            factors[axis], out[axis] = common, math.floor(common * shape[axis] + 0.5)
    return (factors, out) if min(out) > 0 else None


def _is_imported_right(
    shape: tuple[int, ...], factors: list[float], out: list[int], attrs: dict[str, Any]
) -> bool:
    mode = attrs.get("mode", "nearest")
    if len(shape) != 4 or "axes" in attrs or attrs.get("antialias", 0):
        return False
    if mode not in ("nearest", "linear") or attrs.get("exclude_outside", 0):
        return False
    if out[:2] != list(shape[:2]):
        return False
    if attrs.get("coordinate_transformation_mode", "half_pixel") not in PLAIN:
        return False
    return all(
        b % a == 0 and abs(f * a - b) < 1e-6 for a, b, f in zip(shape, out, factors, strict=True)
    )
