"""Small ONNX models, and running one through `onnx.reference` and its Relax module through TVM."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tvm
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator
from tvm import relax

from tests.compiled_once import by_tvm

Array = npt.NDArray[Any]


def parse(text: str, *, opset: int = 17, **constants: npt.ArrayLike) -> onnx.ModelProto:
    """A model from the graph's ONNX text, with named constants as initializers."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    model = parser.parse_model(header + text)
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def inputs_of(model: onnx.ModelProto, seed: int) -> dict[str, Array]:
    """Random values for every input: normal for floats, the whole range for integers."""
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for item in model.graph.input:
        shape = [dim.dim_value for dim in item.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
        if np.issubdtype(dtype, np.integer):
            info = np.iinfo(dtype)
            values[item.name] = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        else:
            values[item.name] = rng.standard_normal(shape).astype(dtype)
    return values


def reference(model: onnx.ModelProto, values: Mapping[str, Array]) -> list[Array]:
    return [np.asarray(out) for out in ReferenceEvaluator(model).run(None, dict(values))]


def run_tvm(mod: tvm.IRModule, values: Sequence[Array]) -> list[Array]:
    machine = relax.VirtualMachine(by_tvm(mod), tvm.cpu())
    result = machine["main"](*[tvm.runtime.tensor(value) for value in values])
    if isinstance(result, tvm.runtime.Tensor):
        return [result.numpy()]
    return [item.numpy() for item in result]


def assert_close(got: Sequence[Array], wanted: Sequence[Array], tolerance: float = 1e-4) -> None:
    """Every tensor agrees within `tolerance` of its largest magnitude, and in dtype and shape."""
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted, strict=True):
        assert left.shape == right.shape
        assert left.dtype == right.dtype
        scale = max(float(np.abs(right).max(initial=0)), 1e-6)
        error = np.abs(left.astype(np.float64) - right.astype(np.float64)).max(initial=0) / scale
        assert error <= tolerance, f"relative error {error:.2e}"


def pool(
    x: Array, kernel: int, stride: int, pads: Sequence[int], *, average: bool, counted: bool = False
) -> Array:
    """ONNX MaxPool or AveragePool of [N,C,H,W], one window at a time, from its definition;
    `onnx.reference` misreads asymmetric pads. `pads` are top, left, bottom, right."""
    top, left, bottom, right = pads
    margins = [(0, 0), (0, 0), (top, bottom), (left, right)]
    real = np.pad(np.ones(x.shape), margins)
    value = np.pad(x.astype(np.float64), margins)
    out = [(size - kernel) // stride + 1 for size in value.shape[2:]]
    y = np.zeros((*x.shape[:2], *out), np.float32)
    for row in range(out[0]):
        for col in range(out[1]):
            part = np.s_[:, :, row * stride :, col * stride :]
            window = value[part][:, :, :kernel, :kernel]
            inside = real[part][:, :, :kernel, :kernel]
            if average:
                count = kernel * kernel if counted else inside.sum((2, 3))
                y[:, :, row, col] = window.sum((2, 3)) / count
            else:
                y[:, :, row, col] = np.where(inside > 0, window, -np.inf).max((2, 3))
    return y


class NetBuilder:
    """A random convolutional network: each method adds a layer on the last value."""

    def __init__(self, seed: int, channels: int = 4, size: int = 12) -> None:
        self.rng = np.random.default_rng(seed)
        self.choose = random.Random(seed)
        self.shape: tuple[int, ...] = (1, channels, size, size)
        self.input = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.value = "x"

    def constant(self, array: npt.ArrayLike) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def add(self, op_type: str, *operands: str, **attrs: Any) -> None:
        name = f"{op_type.lower()}{len(self.nodes)}"
        output = f"{name}_out"
        inputs = [self.value, *operands]
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attrs))
        self.value = output

    def conv(self, channels: int, *, kernel: int = 3, group: int = 1, bias: bool = True) -> None:
        weight = self.rng.standard_normal((channels, self.shape[1] // group, kernel, kernel))
        operands = [self.constant(weight / np.sqrt(weight[0].size))]
        if bias:
            operands.append(self.constant(self.rng.standard_normal(channels)))
        pad = kernel // 2
        self.add("Conv", *operands, pads=[pad] * 4, group=group, kernel_shape=[kernel] * 2)
        self.shape = (1, channels, *self.shape[2:])

    def norm(self) -> None:
        channels = self.shape[1]
        gamma, beta, mean = self.rng.standard_normal((3, channels))
        var = self.rng.uniform(0.3, 2, channels)
        self.add("BatchNormalization", *map(self.constant, (gamma, beta, mean, var)))

    def per_channel(self, op_type: str) -> None:
        shape = self.choose.choice([(), (1,), (self.shape[1], 1, 1), (1, self.shape[1], 1, 1)])
        self.add(op_type, self.constant(self.rng.uniform(0.5, 2, shape)))

    def relu6(self) -> None:
        self.add("Clip", self.constant(0), self.constant(6))

    def residual(self) -> None:
        start = self.value
        self.conv(self.shape[1])
        self.norm()
        self.add("Add", start)
        self.add("Relu")

    def pool(self) -> None:
        op_type = self.choose.choice(["MaxPool", "AveragePool"])
        self.add(op_type, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        self.shape = (*self.shape[:2], *[(size + 1) // 2 for size in self.shape[2:]])

    def head(self, classes: int) -> None:
        self.add("GlobalAveragePool")
        self.add("Flatten")
        weight = self.rng.standard_normal((classes, self.shape[1]))
        self.add("Gemm", self.constant(weight), self.constant(weight[:, 0]), transB=1)

    def model(self) -> onnx.ModelProto:
        output = helper.make_tensor_value_info(self.value, onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [self.input], [output], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
