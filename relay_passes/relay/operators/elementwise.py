"""Operators on single elements, with NumPy's broadcasting on both sides."""

import math

import numpy as np

from zeroskip.relay_passes.relay.operators.layout import per_channel
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.types import DTYPES
from zeroskip.relay_passes.relay.values import Accumulator, RelayTensor, Value

_UNARY = {  # Relay's operator -> ONNX's, which compute the same
    "abs": "Abs",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "negative": "Neg",
    "sigmoid": "Sigmoid",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "logical_not": "Not",
    "copy": "Identity",
    "annotation.stop_fusion": "Identity",
}
_BINARY = {
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "minimum": "Min",
    "power": "Pow",
    "equal": "Equal",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
}


def _unary(name: str) -> Rule:
    return Rule(lambda op: op.emit(name, op.tensor(0)), 1)


def _binary(name: str) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        a, b = op.tensor(0), op.tensor(1)
        if a.dtype != b.dtype:
            raise op.refuse(f"has operands of {a.dtype} and {b.dtype}: cast one of them")
        return op.emit(name, a, b)

    return Rule(convert, 2)


def _add(op: Operation) -> Value:
    """A sum; that of int32 sums and a constant by channel is a bias, on whichever side it
    stands."""
    for sums, other in ((0, 1), (1, 0)):
        value = op.args[sums]
        if isinstance(value, Accumulator):
            bias = op.constant(other, "bias")
            return _with_bias(op, value, bias, value.axis - len(value.shape) + bias.ndim)
    return _binary("Add").convert(op)


def _maximum(op: Operation) -> Value:
    """The larger of two; of int32 sums and constant zeros, which is how a Relu of them is
    written."""
    for sums, other in ((0, 1), (1, 0)):
        value = op.args[sums]
        if isinstance(value, Accumulator):
            if np.any(op.constant(other, "limit")):
                raise op.refuse("limits int32 sums to other numbers than 0: requantize before it")
            return value.rectified()
    return _binary("Max").convert(op)


def _with_bias(
    op: Operation, sums: Accumulator, bias: np.ndarray, axis: int
) -> Accumulator:  # axis: the bias's own
    channels = sums.shape[sums.axis]
    along = bias.shape[axis] if 0 <= axis < bias.ndim else 1
    if bias.dtype != np.int32 or bias.size != along or along not in (1, channels):
        raise op.refuse(
            f"adds {bias.dtype} of shape {list(bias.shape)} to int32 sums of {channels} channels: "
            "taken is an int32 constant by channel; requantize before other sums"
        )
    return sums.plus(np.broadcast_to(bias.reshape(-1), channels))


def _bias_add(op: Operation) -> Value:
    value, bias = op.args[0], op.static(1, "bias")
    if bias.rank != 1:
        raise op.refuse(f"has a bias of {bias.rank} dimensions where 1 should be")
    if isinstance(value, Accumulator):
        if op.axis(len(value.shape), default=1) != value.axis:
            raise op.refuse("adds along another axis than that of the channels: print it again")
        return _with_bias(op, value, op.known(bias, "bias"), 0)
    data = op.tensor(0)
    axis = op.axis(data.rank, default=1)
    if axis == data.rank - 1:
        return op.emit("Add", data, bias)
    return op.emit("Add", data, op.reshape(bias, per_channel(bias.shape, axis, data.rank)))


def _relu(op: Operation) -> Value:
    value = op.args[0]
    if isinstance(value, Accumulator):
        return value.rectified()
    data = op.tensor(0)
    if data.dtype.startswith("float"):
        return op.emit("Relu", data)
    return op.emit("Max", data, op.const(0, data.dtype))


def _clip(op: Operation) -> RelayTensor:
    data, low, high = op.tensor(0), op.number("a_min"), op.number("a_max")
    if math.isnan(low) or math.isnan(high) or low > high:
        raise op.refuse(f"has limits {low:g} and {high:g}: print the module again")
    if data.dtype == "bool":
        raise op.refuse("of bool has no limits: cast before it")
    if not data.dtype.startswith("float"):
        bounds = np.iinfo(DTYPES[data.dtype])
        low, high = (min(max(limit, bounds.min), bounds.max) for limit in (low, high))
        low, high = math.ceil(low), math.floor(high)
    return op.emit("Clip", data, op.const(low, data.dtype), op.const(high, data.dtype))


def _round(op: Operation) -> RelayTensor:
    """Half away from zero, as TVM rounds; ONNX's Round is half to even."""
    data = op.reals(0)
    up = op.emit("Add", op.emit("Abs", data), op.const(0.5, data.dtype))
    return op.emit("Mul", op.emit("Sign", data), op.emit("Floor", up))


def _rsqrt(op: Operation) -> RelayTensor:
    return op.emit("Reciprocal", op.emit("Sqrt", op.tensor(0)))


def _leaky_relu(op: Operation) -> RelayTensor:
    return op.emit("LeakyRelu", op.reals(0), alpha=op.number("alpha", 0.25))


def _prelu(op: Operation) -> RelayTensor:
    data, slope = op.reals(0), op.tensor(1)
    axis = op.axis(data.rank, default=1)
    if slope.rank != 1:
        raise op.refuse(f"has slopes of {slope.rank} dimensions where 1 should be")
    return op.emit("PRelu", data, op.reshape(slope, per_channel(slope.shape, axis, data.rank)))


def _cast(op: Operation) -> RelayTensor:
    data = op.tensor(0)
    to = op.dtype("dtype", data.dtype)
    value = op.builder.value(data)
    if value is not None and value.dtype.kind in "iub":
        return op.const(value, to)
    return op.emit("Cast", data, to=op.builder.number_of(to))


def _where(op: Operation) -> RelayTensor:
    return op.emit("Where", op.tensor(0), op.tensor(1), op.tensor(2))


def _like(value: float) -> Rule:
    def convert(op: Operation) -> RelayTensor:
        data = op.tensor(0)
        return op.const(np.full(data.shape, value), data.dtype)

    return Rule(convert, 1)


def _dropout(op: Operation) -> Value:
    """Of inference: the data, and a mask that is all ones."""
    data = op.tensor(0)
    op.number("rate", 0.5)
    return data, op.const(np.ones(data.shape), data.dtype)


TABLE = {
    **{name: _unary(onnx_op) for name, onnx_op in _UNARY.items()},
    **{name: _binary(onnx_op) for name, onnx_op in _BINARY.items()},
    "add": Rule(_add, 2),
    "maximum": Rule(_maximum, 2),
    "nn.bias_add": Rule(_bias_add, 2),
    "nn.relu": Rule(_relu, 1),
    "clip": Rule(_clip, 1),
    "round": Rule(_round, 1),
    "rsqrt": Rule(_rsqrt, 1),
    "nn.leaky_relu": Rule(_leaky_relu, 1),
    "nn.prelu": Rule(_prelu, 2),
    "cast": Rule(_cast, 1),
    "where": Rule(_where, 3),
    "zeros_like": _like(0),
    "ones_like": _like(1),
    "nn.dropout": Rule(_dropout, 1),
}
