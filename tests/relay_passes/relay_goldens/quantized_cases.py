"""Quantized networks, in Relay's own Python. Needs TVM up to 0.19."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import TensorProto, helper, numpy_helper
from tvm import relay

Build = Callable[[], Any]
ZERO = relay.const(0)


class Net:
    """A network in the making: activations with their scales, parameters by name."""

    def __init__(self, seed: int, dtype: str, layout: str, by_channel: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.params: dict[str, Any] = {}
        self.dtype, self.layout, self.by_channel = dtype, layout, by_channel
        self.zero = 117 if dtype == "uint8" else -7

    def param(self, name: str, value: Any) -> Any:
        """A parameter of the network."""
        self.params[name] = value
        return relay.var(name, shape=value.shape, dtype=str(value.dtype))

    def layer(self, name: str, x: Any, scale: float, **form: Any) -> tuple[Any, float]:
        """Convolution or dense, bias, requantization; and the scale of the result."""
        shape, depthwise = form["shape"], form.get("depthwise", False)  # of the kernel, OIHW or OI
        filters = shape[0]
        kernel = self.rng.integers(-127, 128, shape).astype("int8")
        kernel_scale = (0.5 + self.rng.random(filters if self.by_channel else 1)) * 0.013
        kernel_scale = kernel_scale.astype("float32")
        if not self.by_channel:
            kernel_scale = kernel_scale.reshape(())
        fan_in = int(np.prod(shape[1:]))
        out_scale = float(np.float32(np.sqrt(fan_in) * scale * 0.013 * 74 * 74 / 48))
        nhwc = self.layout == "NHWC"
        common = {"kernel_size": shape[2:], "channels": filters} if len(shape) == 4 else {}
        if len(shape) == 4 and nhwc:
            kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
            common |= {"data_layout": "NHWC", "kernel_layout": "HWOI" if depthwise else "HWIO"}
        weight = self.param(f"{name}_weight", np.ascontiguousarray(kernel))
        zero = relay.const(self.zero)
        scales = relay.const(np.float32(scale)), relay.const(kernel_scale)
        if len(shape) == 4:
            common |= {key: form[key] for key in ("strides", "padding") if key in form}
            common |= {"groups": filters} if depthwise else {}
            sums = relay.qnn.op.conv2d(x, weight, zero, ZERO, *scales, **common)
        else:
            sums = relay.qnn.op.dense(x, weight, zero, ZERO, *scales, units=filters)
        axis = 3 if nhwc and len(shape) == 4 else 1
        bias = self.param(f"{name}_bias", self.rng.integers(-9000, 9000, filters).astype("int32"))
        sums = relay.nn.bias_add(sums, bias, axis=axis)
        sums_scale = relay.const((np.float32(scale) * kernel_scale).astype("float32"))
        y = relay.qnn.op.requantize(
            sums,
            sums_scale,
            ZERO,
            relay.const(np.float32(out_scale)),
            zero,
            axis=axis,
            out_dtype=self.dtype,
        )
        if form.get("relu", False):
            y = relay.clip(y, self.zero, np.iinfo(self.dtype).max)
        return y, out_scale

    def done(self, y: Any) -> tuple[Any, dict[str, Any]]:
        """The module and its parameters."""
        function = relay.Function(relay.analysis.free_vars(y), y)
        return tvm.IRModule.from_expr(function), self.params


def plain(dtype: str, layout: str, by_channel: bool, add: bool = False) -> Build:
    """Convolutions, depthwise too, a pool, a concatenation, a classifier; with ``add``, a residual
    sum, which Relay rounds twice."""

    def build() -> Any:
        net = Net(len(dtype + layout), dtype, layout, by_channel)
        shape = (1, 12, 12, 3) if layout == "NHWC" else (1, 3, 12, 12)
        channels = layout.index("C")
        zero, scale = relay.const(net.zero), 0.031
        x = relay.var("input", shape=shape, dtype=dtype)
        x, scale = net.layer("conv0", x, scale, shape=(8, 3, 3, 3), padding=(1, 1), relu=True)
        x, scale = net.layer(
            "conv1", x, scale, shape=(8, 1, 3, 3), depthwise=True, padding=(1, 1), relu=True
        )
        a, a_scale = net.layer("conv2", x, scale, shape=(8, 8, 1, 1), relu=True)
        scales = [relay.const(np.float32(s)) for s in (scale, a_scale)]
        if add:
            out = relay.const(np.float32(a_scale * 1.3))
            y = relay.qnn.op.add(x, a, scales[0], zero, scales[1], zero, out, zero)
            scale = a_scale * 1.3
        else:
            y = relay.qnn.op.concatenate(
                relay.Tuple([x, a]),
                relay.Tuple(scales),
                relay.Tuple([zero, zero]),
                scales[1],
                zero,
                axis=channels,
            )
            scale = a_scale
        joined = y
        y = relay.nn.max_pool2d(y, (2, 2), strides=(2, 2), layout=layout)
        width = 8 if add else 16
        y, scale = net.layer(
            "conv3", y, scale, shape=(4, width, 3, 3), strides=(2, 2), padding=(0, 0, 1, 1)
        )
        y = relay.reshape(y, (1, -1))
        y, scale = net.layer("fc", y, scale, shape=(10, 36))
        return net.done(relay.Tuple([y, x, a, joined]))

    return build


def _qdq_model() -> Any:
    """ONNX with QuantizeLinear and DequantizeLinear around float operators, float in and out."""
    rng = np.random.default_rng(5)
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def constant(name: str, value: Any) -> str:
        constants[name] = value
        return name

    def scale(name: str, value: float, zero: int) -> list[str]:
        return [
            constant(f"{name}_s", np.float32(value)),
            constant(f"{name}_z", np.int8(zero)),
        ]

    def node(op: str, inputs: list[str], output: str, **attrs: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def requantized(x: str, value: float, zero: int) -> str:
        form = scale(x, value, zero)
        return node(
            "DequantizeLinear", [node("QuantizeLinear", [x, *form], f"{x}_q"), *form], f"{x}_d"
        )

    def conv(name: str, x: str, shape: tuple[int, ...], **attrs: Any) -> str:
        kernel = rng.integers(-127, 128, shape).astype("int8")
        by_filter = ((0.5 + rng.random(shape[0])) * 0.004).astype("float32")
        operands = [
            constant(f"{name}_w", kernel),
            constant(f"{name}_ws", by_filter),
            constant(f"{name}_wz", np.zeros(shape[0], "int8")),
        ]
        weight = node("DequantizeLinear", operands, f"{name}_wd", axis=0)
        bias = constant(f"{name}_b", rng.standard_normal(shape[0]).astype("float32") * 0.1)
        return node("Conv", [x, weight, bias], name, **attrs)

    x = requantized("x", 0.0213317, 3)
    a = node("Relu", [conv("conv0", x, (8, 3, 3, 3), pads=[1] * 4)], "relu0")
    a = requantized(a, 0.0271833, -128)
    b = requantized(conv("conv1", a, (8, 8, 3, 3), pads=[1] * 4), 0.0914127, 5)
    c = requantized(node("Add", [a, b], "sum"), 0.1017321, 4)
    d = requantized(node("MaxPool", [c], "pool", kernel_shape=[2, 2], strides=[2, 2]), 0.1017321, 4)
    y = requantized(conv("conv2", d, (6, 8, 3, 3), strides=[2, 2]), 0.3140931, -2)
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 6, 2, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def _imported(freeze: bool, integer: bool) -> Build:
    """That model through Relay's ONNX importer. freeze: parameters into the metadata section.
    integer: floats between scales made the ``qnn`` dialect."""

    def build() -> Any:
        model = _qdq_model()
        onnx.checker.check_model(model)
        module, params = relay.frontend.from_onnx(model, freeze_params=freeze)
        if integer:
            module = relay.transform.FakeQuantizationToInteger()(
                relay.transform.InferType()(module)
            )
        return module, {name: value.numpy() for name, value in params.items()}

    return build


def operators() -> Build:
    """Operators of the dialect that the networks have not, on int8."""

    def build() -> Any:
        x, y = (relay.var(name, shape=(1, 4, 6, 8), dtype="int8") for name in ("x", "y"))
        qnn = relay.qnn.op
        form = relay.const(np.float32(0.0213)), relay.const(-3)
        other = relay.const(np.float32(0.0371)), relay.const(5)
        unit = relay.const(np.float32(0.0078)), relay.const(0)
        results = [
            qnn.subtract(x, y, *form, *other, *other),
            qnn.mul(x, y, *form, *other, *other),
            qnn.sigmoid(x, *form, *unit),
            qnn.tanh(x, *form, *unit),
            qnn.leaky_relu(x, 0.1, *form, *other),
            qnn.requantize(x, *form, *other, out_dtype="uint8"),
        ]
        return tvm.IRModule.from_expr(relay.Function([x, y], relay.Tuple(results))), {}

    return build


def quantized() -> dict[str, Build]:
    """By name; ``_add``: with a sum, which Relay rounds otherwise than integer layers do."""
    return {
        "uint8_nhwc": plain("uint8", "NHWC", by_channel=False),
        "int8_nchw": plain("int8", "NCHW", by_channel=True),
        "int8_nhwc": plain("int8", "NHWC", by_channel=True),
        "int8_nchw_add": plain("int8", "NCHW", by_channel=True, add=True),
        "uint8_nhwc_add": plain("uint8", "NHWC", by_channel=False, add=True),
        "operators": operators(),
        "qdq": _imported(freeze=False, integer=False),
        "qdq_frozen": _imported(freeze=True, integer=False),
        "qdq_integer_add": _imported(freeze=True, integer=True),
    }
