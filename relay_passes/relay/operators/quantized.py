"""The ``qnn`` dialect, as operators on real values between DequantizeLinear and QuantizeLinear.

A convolution or matrix product is an ``Accumulator`` until it is requantized by a scale that must
be the product of its operands' scales. The text has six digits of each of the three; the one that
requantizes decides, as in TVM, and the weights get what is left of it. TVM rounds requantized sums
half up in fixed point of 31 bits, which is what integer layers here do too; ``qnn.add`` rounds each
operand to the result's scale before it adds, integer layers round their sum once.
"""

import numpy as np

from zeroskip.relay_passes.relay.operators.convolution import check_dense, conv_attrs, filters_first
from zeroskip.relay_passes.relay.operators.layout import (
    as_it_was,
    channels_first,
    data_layout,
    order,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.syntax import Array
from zeroskip.relay_passes.relay.types import DTYPES
from zeroskip.relay_passes.relay.values import Accumulator, RelayTensor, Value

_BYTES = ("int8", "uint8")
_CLOSE = 3e-5  # relative, of a product of two scales, all three printed with six digits


def _scale(op: Operation, position: int, what: str) -> Array:
    """A scale of one number, or one for each channel."""
    scale = op.constant(position, what)
    if scale.dtype.kind != "f" or scale.ndim > 1 or not scale.size:
        raise op.refuse(f"has a {what} of {scale.dtype} and shape {list(scale.shape)}")
    if not np.all((scale > 0) & np.isfinite(scale)):
        raise op.refuse(f"has a {what} that is not positive: quantize the model again")
    return scale.astype(np.float32)


def _zero(op: Operation, position: int, dtype: str, count: int) -> Array:
    """A zero point of this type, one number or as many as there are scales."""
    zero = op.constant(position, "zero point")
    bounds = np.iinfo(DTYPES[dtype])
    if zero.dtype.kind not in "iu" or zero.size not in (1, count):
        raise op.refuse(f"has zero points of {zero.dtype} and shape {list(zero.shape)}")
    if np.any((zero < bounds.min) | (zero > bounds.max)):
        raise op.refuse(f"has a zero point that {dtype} does not hold: quantize the model again")
    flat = np.broadcast_to(zero.reshape(-1), count)
    return flat.astype(DTYPES[dtype]).reshape(() if count == 1 and zero.ndim == 0 else (count,))


def _bytes_of(op: Operation, position: int) -> RelayTensor:
    tensor = op.tensor(position)
    if tensor.dtype not in _BYTES:
        raise op.refuse(f"of {tensor.dtype} is taken of int8 and uint8 only: quantize to 8 bits")
    return tensor


def _operands(scale: Array, zero: Array) -> tuple[Array, Array]:
    """One shape for both: a scalar, or a number for each channel."""
    if scale.size == 1:
        return scale.reshape(()), zero.reshape(())
    return scale, np.broadcast_to(zero.reshape(-1), scale.shape)


def _real(op: Operation, data: RelayTensor, scale: Array, zero: Array, axis: int) -> RelayTensor:
    """DequantizeLinear of a tensor."""
    number, offset = _operands(scale, zero)
    if number.ndim and data.shape[axis : axis + 1] != number.shape:
        raise op.refuse(f"has {number.size} scales for axis {axis} of {data.type}: print it again")
    operands = [op.const(number, "float32")]
    if data.dtype != "int32":
        operands.append(op.const(offset, data.dtype))
    elif np.any(offset):
        raise op.refuse("has an int32 operand whose zero point is not 0: requantize it before")
    along = axis if number.ndim else None
    role = "" if op.op == "qnn.dequantize" else "dequantize"
    return op.emit("DequantizeLinear", data, *operands, axis=along, role=role)


def _integer(op: Operation, real: RelayTensor, scale: Array, zero: Array, axis: int) -> RelayTensor:
    """QuantizeLinear of a tensor."""
    number, offset = _operands(scale, zero)
    if number.ndim and real.shape[axis : axis + 1] != number.shape:
        raise op.refuse(f"has {number.size} scales for axis {axis} of {real.type}: print it again")
    operands = op.const(number, "float32"), op.const(offset, offset.dtype.name)
    along = axis if number.ndim else None
    role = "" if op.op in ("qnn.quantize", "qnn.requantize") else "quantize"
    return op.emit("QuantizeLinear", real, *operands, axis=along, role=role)


def _scaled_operand(op: Operation, data: int, scale: int, zero: int) -> tuple[RelayTensor, Array]:
    """The real values of an activation with one scale, and the scale."""
    return _scaled(op, _bytes_of(op, data), scale, zero)


def _scaled(op: Operation, tensor: RelayTensor, scale: int, zero: int) -> tuple[RelayTensor, Array]:
    """The real values of this tensor, whose scale and zero point are operands, and the scale."""
    number = _scale(op, scale, "scale")
    if number.size != 1:
        raise op.refuse("has an activation with several scales: requantize it by one")
    return _real(op, tensor, number, _zero(op, zero, tensor.dtype, 1), 0), number


def _kernel_scale(op: Operation, filters: int) -> Array:
    """The scale of the weights, of one number or one for each filter."""
    scale = _scale(op, 5, "kernel_scale")
    if scale.size not in (1, filters):
        raise op.refuse(f"has {scale.size} scales for {filters} filters: print it again")
    return scale


def _weights(op: Operation, kernel: RelayTensor, scale: Array) -> RelayTensor:
    """The real values of weights [filters, ...]. scale: of one number or one for each filter."""
    zero = _zero(op, 3, kernel.dtype, scale.size)
    return _real(op, kernel, scale, zero, 0)


def _kernel(op: Operation) -> RelayTensor:
    _bytes_of(op, 1)
    if op.dtype("out_dtype", "int32") != "int32":
        raise op.refuse("has another out_dtype than int32: leave it out")
    return op.static(1, "kernel")


def _conv2d(op: Operation) -> Accumulator:
    layout = data_layout(op, "data_layout")
    integers = _bytes_of(op, 0)
    image, attrs = channels_first(op, integers, layout), conv_attrs(op)
    kernel = filters_first(op, _kernel(op), image.shape[1], op.integer("groups", 1))
    # Turned as integers: a layer's input then is what a DequantizeLinear makes.
    turned, scale = _scaled(op, image, 4, 2)
    by_filter = _kernel_scale(op, kernel.shape[0])

    def write(sums: Array, bias: RelayTensor | None) -> RelayTensor:
        with op.builder.as_of(op.op, op.label, op.line):
            weight = _weights(op, kernel, _quotient(sums, scale))
            return as_it_was(op, op.emit("Conv", turned, weight, bias, **attrs), layout)

    example = op.const(np.zeros(kernel.shape), "float32")
    shape = op.builder.type_of("Conv", [turned, example], **attrs).shape
    shape = tuple(shape[i] for i in order("NCHW", layout))
    return Accumulator(write, scale * by_filter, layout.index("C"), shape)


def _dense(op: Operation) -> Accumulator:
    data, kernel = _bytes_of(op, 0), _kernel(op)
    check_dense(op, data, kernel)
    if data.rank != 2:
        raise op.refuse(f"of {data.type} is taken of 2 dimensions only: reshape before it")
    real, scale = _scaled_operand(op, 0, 4, 2)
    by_filter = _kernel_scale(op, kernel.shape[0])

    def write(sums: Array, bias: RelayTensor | None) -> RelayTensor:
        with op.builder.as_of(op.op, op.label, op.line):
            weight = _weights(op, kernel, _quotient(sums, scale))
            return op.emit("Gemm", real, weight, bias, transB=1)

    return Accumulator(write, scale * by_filter, 1, (data.shape[0], kernel.shape[0]))


def _quotient(sums: Array, scale: Array) -> Array:
    """The scale of weights whose product with an activation's is that of the sums."""
    return (sums.astype(np.float64) / scale.astype(np.float64)).astype(np.float32)


def _real_sums(op: Operation, sums: Accumulator, scale: Array) -> RelayTensor:
    """The real values of sums of this scale: their layer, with its bias, and the limit at 0."""
    bias = None
    if sums.bias is not None:
        stored = op.const(sums.bias, "int32")
        by_filter = np.broadcast_to(scale.reshape(-1), sums.bias.shape)
        bias = _real(op, stored, by_filter, np.zeros(by_filter.shape, np.int32), 0)
    real = sums.write(scale, bias)
    return op.emit("Relu", real, role="relu") if sums.relu else real


def _any_real(op: Operation, scale: int, zero: int) -> RelayTensor:
    """The real values of the first operand, which may be sums of a layer."""
    value, given = op.args[0], _scale(op, scale, "input scale")
    if isinstance(value, Accumulator):
        if np.any(op.constant(zero, "zero point")):
            raise op.refuse("gives int32 sums a zero point that is not 0: quantize again")
        along = op.attr("axis", -1)
        same = given.size in (1, sums_channels(value)) and np.allclose(
            given, value.scale, rtol=_CLOSE, atol=0
        )
        if not same or (given.size > 1 and along % len(value.shape) != value.axis):
            raise op.refuse(
                "reads sums by another scale than the product of their operands': quantize again"
            )
        return _real_sums(op, value, given)
    data = op.tensor(0)
    if data.dtype not in (*_BYTES, "int32"):
        raise op.refuse(f"of {data.dtype} is taken of int8, uint8 and int32: quantize to 8 bits")
    axis = op.axis(data.rank) if given.size > 1 else 0
    return _real(op, data, given, _zero(op, zero, data.dtype, given.size), axis)


def sums_channels(sums: Accumulator) -> int:
    """How many channels they have."""
    return sums.shape[sums.axis]


def _target(op: Operation, scale: int, zero: int, dtype: str) -> tuple[Array, Array]:
    """Scale and zero point of a result."""
    if dtype not in _BYTES:
        raise op.refuse(f"makes {dtype}: taken are int8 and uint8; quantize to 8 bits")
    number = _scale(op, scale, "output scale")
    return number, _zero(op, zero, dtype, number.size)


def _quantize(op: Operation) -> RelayTensor:
    real = op.reals(0)
    op.integer("axis", -1)
    if op.attr("out_dtype") == "int32":
        return _quantized_bias(op, real)
    scale, zero = _target(op, 1, 2, op.dtype("out_dtype", "int8"))
    return _integer(op, real, scale, zero, op.axis(real.rank) if scale.size > 1 else 0)


def _quantized_bias(op: Operation, real: RelayTensor) -> RelayTensor:
    """The int32 bias that FakeQuantizationToInteger makes of a constant, rounded as TVM rounds:
    half away from zero."""
    value, scale = op.known(real, "bias"), _scale(op, 1, "output scale")
    if value.ndim > 1 or scale.size not in (1, value.size) or np.any(op.constant(2, "zero point")):
        raise op.refuse("makes int32 of more than a bias: quantize activations to 8 bits")
    steps = value.astype(np.float32) / scale
    steps = np.copysign(np.floor(np.abs(steps) + np.float32(0.5)), steps)
    bounds = np.iinfo(np.int32)
    if not np.all(np.abs(steps) < bounds.max):
        raise op.refuse("has a bias that int32 does not hold: quantize the model again")
    return op.const(steps, "int32")


def _dequantize(op: Operation) -> RelayTensor:
    op.integer("axis", -1)
    if op.dtype("out_dtype", "float32") != "float32":
        raise op.refuse("makes another type than float32: cast behind it")
    return _any_real(op, 1, 2)


def _requantize(op: Operation) -> RelayTensor:
    op.choice("rounding", "None", "None", "UPWARD", "TONEAREST")
    op.choice("compute_dtype", "None", "None", "int64", "float32", "float64")
    op.integer("axis", -1)
    scale, zero = _target(op, 3, 4, op.dtype("out_dtype", "int8"))
    if scale.size != 1:
        raise op.refuse("has a result with several scales: give it one")
    return _integer(op, _any_real(op, 1, 2), scale, zero, 0)


def _binary(name: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        op.integer("lhs_axis", -1)
        op.integer("rhs_axis", -1)
        a, b = _scaled_operand(op, 0, 2, 3)[0], _scaled_operand(op, 1, 4, 5)[0]
        scale, zero = _target(op, 6, 7, op.tensor(0).dtype)
        return _integer(op, op.emit(name, a, b), scale, zero, 0)

    return Rule(convert, 8)


def _concatenate(op: Operation) -> RelayTensor:
    parts, scales, zeros = (op.tensors(i) for i in range(3))
    if not len(parts) == len(scales) == len(zeros):
        raise op.refuse("has not a scale and a zero point for each of its tensors: print it again")
    reals: list[RelayTensor] = []
    for operands in zip(parts, scales, zeros, strict=True):
        part = Operation(op.builder, op.op, op.label, op.line, operands, {})
        reals.append(_scaled_operand(part, 0, 1, 2)[0])
    axis = op.axis(parts[0].rank, default=0)
    scale, zero = _target(op, 3, 4, parts[0].dtype)
    return _integer(op, op.emit("Concat", *reals, axis=axis), scale, zero, 0)


def _unary(name: str) -> Rule:
    """An operator on one activation: operand, scale, zero point, output scale, zero point."""

    def convert(op: Operation) -> RelayTensor:
        attrs = {"alpha": op.number("alpha", 0.25)} if name == "LeakyRelu" else {}
        real = _scaled_operand(op, 0, 1, 2)[0]
        scale, zero = _target(op, 3, 4, op.tensor(0).dtype)
        return _integer(op, op.emit(name, real, **attrs), scale, zero, 0)

    return Rule(convert, 5)


def _batch_matmul(op: Operation) -> Value:
    raise op.refuse(
        "multiplies two activations, which the accelerator has not: dequantize before it and "
        "use nn.batch_matmul"
    )


TABLE = {
    "qnn.conv2d": Rule(_conv2d, 6),
    "qnn.dense": Rule(_dense, 6),
    "qnn.quantize": Rule(_quantize, 3),
    "qnn.dequantize": Rule(_dequantize, 3),
    "qnn.requantize": Rule(_requantize, 5),
    "qnn.add": _binary("Add"),
    "qnn.subtract": _binary("Sub"),
    "qnn.mul": _binary("Mul"),
    "qnn.concatenate": Rule(_concatenate, 5),
    "qnn.sigmoid": _unary("Sigmoid"),
    "qnn.tanh": _unary("Tanh"),
    "qnn.leaky_relu": _unary("LeakyRelu"),
    "qnn.batch_matmul": Rule(_batch_matmul, 6),
}
