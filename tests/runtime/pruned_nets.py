"""ONNX networks with every kind of layer that a scheme prunes or a removed channel goes through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class OnnxBuilder:
    """Nodes and weights of a network."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def const(self, name: str, *shape: int, scale: float = 1.0) -> str:
        values = (self.rng.standard_normal(shape) * scale).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def conv(
        self,
        name: str,
        x: str,
        filters: int,
        channels: int,
        kernel: Sequence[int],
        relu: bool = True,
        **attributes: int,
    ) -> str:
        inside = channels // attributes.get("group", 1)
        fan_in = inside * int(np.prod(kernel))
        w = self.const(f"{name}.w", filters, inside, *kernel, scale=fan_in**-0.5)
        b = self.const(f"{name}.b", filters, scale=0.1)
        made = self.node(
            "Conv", name, x, w, b, pads=[size // 2 for size in kernel] * 2, **attributes
        )
        return self.node("Relu", f"{name}.relu", made) if relu else made

    def dense(self, name: str, x: str, outputs: int, inputs: int) -> str:
        return self.node(
            "Gemm",
            name,
            x,
            self.const(f"{name}.w", inputs, outputs, scale=inputs**-0.5),
            self.const(f"{name}.b", outputs, scale=0.1),
        )

    def model(self, shape: Sequence[int], outputs: int) -> onnx.ModelProto:
        """What the last node makes is the output ``y``, [1, outputs]."""
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs])],
            self.weights,
        )
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


IMAGE = (1, 3, 12, 12)
VIDEO = (1, 3, 6, 8, 8)


def image_net(seed: int = 0) -> onnx.ModelProto:
    """3x3, 1x1, 5x5, 1x3, grouped and depthwise convolutions, an addition, a concatenation, a batch
    normalisation, a pool and two matmuls; channel counts that are no multiple of 16 or 4."""
    net = OnnxBuilder(seed)
    x = net.conv("stem", "x", 20, 3, (3, 3))
    y = net.conv("wide", x, 26, 20, (5, 5))
    y = net.conv("depth", y, 26, 26, (3, 3), group=26)
    y = net.conv("point", y, 20, 26, (1, 1), relu=False)
    norm = [net.const(f"norm.{part}", 20, scale=0.1) for part in ("scale", "bias", "mean")]
    net.weights.append(numpy_helper.from_array(np.ones(20, np.float32), "norm.var"))
    y = net.node("BatchNormalization", "norm", y, *norm, "norm.var")
    x = net.node("Add", "add", x, y)
    a = net.conv("three", x, 24, 20, (3, 3))
    b = net.conv("flat", net.conv("groups", x, 24, 20, (3, 3), group=2), 18, 24, (1, 3))
    x = net.node("Concat", "cat", a, b, axis=1)
    x = net.node("MaxPool", "pool", x, kernel_shape=[3, 3], strides=[3, 3])
    x = net.node("Flatten", "flatten", x)
    x = net.node("Relu", "hidden.relu", net.dense("hidden", x, 30, 42 * 16))
    net.dense("last", x, 10, 30)
    return net.model(IMAGE, 10)


def video_net(seed: int = 0) -> onnx.ModelProto:
    """3-D convolutions and a classifier."""
    net = OnnxBuilder(seed)
    x = net.conv("stem", "x", 12, 3, (3, 3, 3))
    x = net.conv("body", x, 18, 12, (3, 3, 3))
    x = net.conv("point", x, 16, 18, (1, 1, 1))
    x = net.node("GlobalAveragePool", "mean", x)
    net.dense("last", net.node("Flatten", "flatten", x), 10, 16)
    return net.model(VIDEO, 10)
