"""A plain CNN as Keras 3 exports it: channels last, a Transpose before and behind every layer that
ONNX has for channels first alone, a Cast to the type it has before every other node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

CASTS = 51
TRANSPOSES = 18
_PLANAR, _LAST = [0, 3, 1, 2], [0, 2, 3, 1]


class _Exporter:
    """Adds nodes one behind the other; each method takes and returns a tensor's name."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.casts = 0

    def constant(self, value: npt.ArrayLike) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op_type: str, inputs: Sequence[str], **attrs: Any) -> str:
        inputs = list(inputs)
        if op_type not in ("Cast", "Transpose") and self.casts < CASTS:
            self.casts += 1
            inputs[0] = self.add("Cast", inputs[:1], to=TensorProto.FLOAT)
        name = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [f"{name}:0"], name, **attrs))
        return f"{name}:0"

    def planar(self, op_type: str, x: str, *operands: str, **attrs: Any) -> str:
        """An operator of channels first between two Transposes."""
        before = self.add("Transpose", [x], perm=_PLANAR)
        made = self.add(op_type, [before, *operands], **attrs)
        return self.add("Transpose", [made], perm=_LAST)

    def conv(
        self,
        x: str,
        outs: int,
        ins: int,
        *,
        kernel: int = 3,
        pad: int | None = None,
        strides: int = 1,
        group: int = 1,
    ) -> str:
        """With the bias as an Add behind it."""
        weight = self.rng.standard_normal((outs, ins // group, kernel, kernel))
        each = kernel // 2 if pad is None else pad
        y = self.planar(
            "Conv",
            x,
            self.constant(weight / np.sqrt(weight[0].size)),
            pads=[each] * 4,
            strides=[strides] * 2,
            group=group,
        )
        return self.add("Add", [y, self.constant(self.rng.standard_normal((1, 1, 1, outs)) / 4)])

    def norm(self, x: str, channels: int) -> str:
        """BatchNormalization in three steps."""
        mean, beta = self.rng.standard_normal((2, channels)) / 4
        scale = self.rng.uniform(0.5, 1.5, channels)
        x = self.add("Sub", [x, self.constant(mean)])
        x = self.add("Mul", [x, self.constant(scale.reshape(1, 1, 1, -1))])
        return self.add("Add", [x, self.constant(beta.reshape(1, 1, 1, -1))])

    def relu(self, x: str) -> str:
        return self.add("Relu", [x])


def keras_net(seed: int = 0, classes: int = 10) -> onnx.ModelProto:
    """51 Casts without effect and 18 Transposes around nine layers."""
    net = _Exporter(seed)
    pads = net.constant(np.asarray([0, 1, 1, 0, 0, 1, 1, 0], np.int64))
    x = net.add("Pad", ["image", pads])
    x = net.relu(net.norm(net.conv(x, 16, 3, pad=0, strides=2), 16))
    branch = net.relu(net.norm(net.conv(x, 16, 16), 16))
    branch = net.norm(net.conv(branch, 16, 16), 16)
    x = net.relu(net.add("Add", [branch, x]))
    x = net.planar("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    left = net.relu(net.conv(x, 24, 16))
    right = net.relu(net.norm(net.conv(x, 8, 16, kernel=1), 8))
    x = net.add("Concat", [left, right], axis=3)
    x = net.norm(net.conv(x, 32, 32, group=32), 32)
    x = net.add("Clip", [x, net.constant(np.float32(0)), net.constant(np.float32(6))])
    x = net.planar("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.relu(net.norm(net.conv(x, 32, 32, kernel=1), 32))
    axes = net.constant(np.asarray([1, 2], np.int64))
    x = net.add("ReduceMean", [x, axes], keepdims=0)
    x = net.add("Reshape", [x, net.constant(np.asarray([-1, 32], np.int64))])
    x = net.add("MatMul", [x, net.constant(net.rng.standard_normal((32, classes)) / 4)])
    x = net.add("Add", [x, net.constant(net.rng.standard_normal(classes))])
    x = net.add("Softmax", [x], axis=-1)
    while net.casts < CASTS:
        net.casts += 1
        x = net.add("Cast", [x], to=TensorProto.FLOAT)
    graph = helper.make_graph(
        net.nodes,
        "keras",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 32, 32, 3])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, classes])],
        net.constants,
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
