"""ONNX's operators by their definition where ``onnx.reference`` misreads it: pools (uneven pads,
pads of one dimension, rounding up, the greatest of one dimension) and resizes to corners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as ReferenceResize

Array = npt.NDArray[Any]


def run_reference(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of a model."""
    evaluator = ReferenceEvaluator(model, new_ops=[MaxPool, AveragePool, GlobalMaxPool, Resize])
    return [np.asarray(value) for value in evaluator.run(None, dict(inputs))]


def windows(node: OpRun, x: Array, fill: float, around: float) -> Array:
    """[N, C, *outputs, *kernel]: ``fill`` in the pads, ``around`` beyond them.

    A window that starts in the pads behind the image is none.
    """
    kernel = node.kernel_shape
    rank = len(kernel)
    strides = getattr(node, "strides", None) or [1] * rank
    dilations = getattr(node, "dilations", None) or [1] * rank
    pads = getattr(node, "pads", None) or [0] * 2 * rank
    padded = np.pad(
        x, [(0, 0)] * 2 + list(zip(pads[:rank], pads[rank:], strict=True)), constant_values=fill
    )
    reach = [(k - 1) * dilation + 1 for k, dilation in zip(kernel, dilations, strict=True)]
    outputs, beyond = [], []
    for axis in range(rank):
        rest = padded.shape[2 + axis] - reach[axis]
        steps = rest // strides[axis]
        if getattr(node, "ceil_mode", 0) and rest % strides[axis]:
            steps += (steps + 1) * strides[axis] < x.shape[2 + axis] + pads[axis]
        outputs.append(steps + 1)
        beyond.append(max(0, steps * strides[axis] - rest))
    padded = np.pad(padded, [(0, 0)] * 2 + [(0, size) for size in beyond], constant_values=around)
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, tuple(range(2, 2 + rank)))
    every = [
        slice(0, count * stride, stride) for count, stride in zip(outputs, strides, strict=True)
    ]
    return view[(slice(None), slice(None), *every, *(slice(None, None, d) for d in dilations))]


class Pool(OpRun):  # type: ignore[misc]  # mypy does not follow onnx: its classes are Any
    """What the three share."""


class MaxPool(Pool):
    """The greatest of each window; of a window without a pixel, the least number there is."""

    def _run(self, x: Array, **_: Any) -> tuple[Array]:
        least = float(np.finfo(x.dtype).min)
        seen = windows(self, x, least, least)
        return (seen.max(axis=tuple(range(x.ndim, seen.ndim))).astype(x.dtype),)


class AveragePool(Pool):
    """The mean of each window's pixels, or with ``count_include_pad`` of its pads, too."""

    def _run(self, x: Array, **_: Any) -> tuple[Array]:
        total = windows(self, x.astype(np.float64), 0, 0)
        counted = float(bool(getattr(self, "count_include_pad", 0)))
        count = windows(self, np.ones(x.shape), counted, 0)
        axes = tuple(range(x.ndim, total.ndim))
        return ((total.sum(axis=axes) / count.sum(axis=axes)).astype(x.dtype),)


class GlobalMaxPool(Pool):
    """The greatest of all."""

    def _run(self, x: Array, **_: Any) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class Resize(ReferenceResize):  # type: ignore[misc]  # as above
    """Corners are those of the result ("length_resized"), as onnxruntime has it; the reference
    takes those of the size before it is rounded down."""

    def _run(self, x: Array, *given: Array | None, **options: Any) -> tuple[Array]:
        roi, scales, sizes = (*given, None, None, None)[:3]
        if options["coordinate_transformation_mode"] == "align_corners" and sizes is None:
            scales, sizes = None, np.floor(x.shape * np.asarray(scales)).astype(np.int64)
        resized: tuple[Array] = super()._run(x, roi, scales, sizes, **options)
        return resized
