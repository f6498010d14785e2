"""Layers on volumes [1, C, D, H, W], drawn and judged: onnxruntime's float operators give the sums
and maxima, which are exact in float32 as long as weights are small."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from hypothesis import assume
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.compiler.fields import Shape
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evened, per_channel, requantize
from zeroskip.relay_passes.integer.layers import AvgPoolLayer, ConvLayer, MaxPoolLayer

Array = npt.NDArray[Any]
VolumeLayer = ConvLayer | MaxPoolLayer | AvgPoolLayer
SMALL_WEIGHT = 3


@dataclass(frozen=True)
class VolumeWindow:
    """What slides over frames, rows and columns; padding: all begins, then all ends."""

    size: Shape
    kernel: Shape
    strides: Shape
    padding: Shape
    dilation: Shape

    @property
    def outputs(self) -> Shape:
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        return tuple(
            (size + self.padding[axis] + self.padding[axis + 3] - reach[axis]) // self.strides[axis]
            + 1
            for axis, size in enumerate(self.size)
        )


@st.composite
def windows(draw: st.DrawFn, most_padding: int | None = None, dilated: bool = True) -> VolumeWindow:
    """Any that fits somewhere. most_padding: None: up to the kernel less one, as pools have it."""
    kernel = draw(_three(4))
    dilation = draw(_three(3)) if dilated else (1, 1, 1)
    limits = [k - 1 for k in kernel] if most_padding is None else [most_padding] * 3
    padding = tuple(draw(st.integers(0, limit)) for limit in limits * 2)
    made = VolumeWindow(draw(_three(7)), kernel, draw(_three(3)), padding, dilation)
    assume(min(made.outputs) > 0)
    return made


def _three(most: int) -> st.SearchStrategy[Shape]:
    """Of frames, rows and columns."""
    one = st.integers(1, most)
    return st.tuples(one, one, one)


def conv_layer(
    b: GraphBuilder, window: VolumeWindow, groups: int, per_in: int, per_out: int
) -> ConvLayer:
    """A convolution of so many groups, with channels and filters of each; its input is x."""
    x = b.tensors[b.input(groups * per_in, *window.size)]
    filters = groups * per_out
    y = b.tensor((1, filters, *window.outputs))
    weight = b.rng.integers(-SMALL_WEIGHT, SMALL_WEIGHT + 1, (filters, per_in, *window.kernel))
    weight[b.rng.random(weight.shape) >= b.density] = 0
    return ConvLayer(
        x=x,
        y=y,
        weight=weight.astype(np.int8),
        strides=window.strides,
        padding=window.padding,
        dilation=window.dilation,
        groups=groups,
        **b.scales(filters, prod(weight.shape[1:]) // 20),
        **b.limits(y),
    )


def max_layer(b: GraphBuilder, window: VolumeWindow, channels: int) -> MaxPoolLayer:
    x = b.tensors[b.input(channels, *window.size)]
    y = b.tensor((1, channels, *window.outputs), x)
    return MaxPoolLayer(
        x=x,
        y=y,
        kernel=window.kernel,
        strides=window.strides,
        padding=window.padding,
        dilation=window.dilation,
        **b.limits(y),
    )


def average_layer(b: GraphBuilder, window: VolumeWindow, channels: int) -> AvgPoolLayer:
    x = b.tensors[b.input(channels, *window.size)]
    y = b.tensor((1, channels, *window.outputs))
    return AvgPoolLayer(
        x=x,
        y=y,
        kernel=window.kernel,
        strides=window.strides,
        padding=window.padding,
        **b.scale(1 / prod(window.kernel)),
        **b.limits(y),
    )


def wanted(layer: VolumeLayer, x: Array) -> Array:
    """The layer's result by onnxruntime's operator on the real numbers of ``x``."""
    window: dict[str, Any] = {"strides": layer.strides, "pads": layer.padding}
    real = x.astype(np.float32) - np.float32(layer.x.zero_point)
    if isinstance(layer, ConvLayer):
        window |= {"dilations": layer.dilation, "group": layer.groups}
        sums = _onnx("Conv", [real, layer.weight.astype(np.float32)], window)
        return requantize(
            sums.astype(np.int64) + per_channel(layer.bias, 5),
            per_channel(layer.mult, 5),
            per_channel(layer.shift, 5),
            layer.y.zero_point,
            layer.lo,
            layer.hi,
        )
    window |= {"kernel_shape": layer.kernel}
    if isinstance(layer, MaxPoolLayer):
        largest = _onnx("MaxPool", [real], window | {"dilations": layer.dilation})
        return np.clip(largest.astype(np.int64) + layer.y.zero_point, layer.lo, layer.hi)
    means = _onnx("AveragePool", [real], window | {"count_include_pad": 1})
    return evened(np.rint(means * prod(layer.kernel)).astype(np.int64) * layer.mult, layer)


def _onnx(operator: str, tensors: list[Array], attributes: dict[str, Any]) -> Array:
    """What onnxruntime makes of an operator on float tensors, the first one its input."""
    names = ["x", "w"][: len(tensors)]
    shapes = [TensorProto.FLOAT, list(tensors[0].shape)]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", *shapes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(each, "w") for each in tensors[1:]],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    [made] = session.run(None, {"x": tensors[0]})
    return np.asarray(made)
