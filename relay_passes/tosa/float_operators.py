"""TOSA's operators on floats as ONNX's, one rule each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.quantizers import BYTE, Weight
from zeroskip.relay_passes.tosa.syntax import Array, Operation

if TYPE_CHECKING:
    from zeroskip.relay_passes.tosa.to_onnx import Conversion

_LARGEST = float(np.finfo(np.float32).max)  # a limit that is none


def _pairwise(kind: str) -> Callable[[Conversion, Operation], str]:
    def rule(to: Conversion, op: Operation) -> str:
        return to.emit(op, kind, [to.tensor(op.operand(at)) for at in range(2)])

    return rule


def _single(kind: str) -> Callable[[Conversion, Operation], str]:
    return lambda to, op: to.emit(op, kind, [to.tensor(op.operand(0))])


def _conv(to: Conversion, op: Operation) -> str:
    deep = op.name == "tosa.depthwise_conv2d"
    if len(op.operand(0).type.shape) != 4 or len(op.operand(1).type.shape) != 4:
        op.refuse("is of [N, H, W, C] with weights of four dimensions")

    def turned(weight: Array) -> Array:
        """[H, W, C, M] or [O, H, W, C] as [O, C, H, W]."""
        if not deep:
            return weight.transpose(0, 3, 1, 2)
        return weight.transpose(2, 3, 0, 1).reshape(-1, 1, *weight.shape[:2])

    weight, bias = _filters(to, op, turned)
    window = of.window(op, weight.value.shape[2:])
    top, bottom, left, right = window.padding
    made = to.emit(
        op,
        "Conv",
        [to.planes(op), to.held_weight(op, weight), bias],
        strides=window.strides,
        pads=[top, left, bottom, right],
        dilations=window.dilation,
        kernel_shape=window.kernel,
        group=op.operand(0).type.shape[3] if deep else 1,
    )
    return to.pixels(op, made)


def _filters(to: Conversion, op: Operation, turned: Callable[[Array], Array]) -> tuple[Weight, str]:
    """Weights and biases of a convolution."""
    weight, bias = to.find.weight(op, 1, turned), to.find.constant(op.operand(2))
    if weight is None or bias is None:
        op.refuse("has a weight or a bias that is computed: constants are taken")
    to.no_zero(op, 3, 4)
    count = op.result.type.shape[-1]
    if bias.size not in (1, count) or bias.dtype != np.float32:
        op.refuse(f"has {bias.size} biases of {bias.dtype} for {count} channels")
    return weight, to.hold(np.broadcast_to(bias.reshape(-1), count).copy(), op)


def _transposed(to: Conversion, op: Operation) -> str:
    if len(op.operand(0).type.shape) != 4 or len(op.operand(1).type.shape) != 4:
        op.refuse("is of [N, H, W, C] with weights of four dimensions")
    weight, bias = _filters(to, op, lambda held: held.transpose(3, 0, 1, 2))
    more = op.numbers("out_pad", 4, -(1 << 20))
    if max(more) > 0:
        op.refuse("has an out_pad above 0: leave output_padding out")
    made = to.emit(
        op,
        "ConvTranspose",
        [to.planes(op), to.held_weight(op, weight), bias],
        strides=op.numbers("stride", 2, 1),
        pads=[-more[at] for at in (0, 2, 1, 3)],
        kernel_shape=weight.value.shape[2:],
    )
    return to.pixels(op, made)


def _pool(kind: str) -> Callable[[Conversion, Operation], str]:
    def rule(to: Conversion, op: Operation) -> str:
        window = of.window(op, op.numbers("kernel", 2, 1))
        if kind == "AveragePool":
            to.no_zero(op, 1, 2)
        top, bottom, left, right = window.padding
        pads = [top, left, bottom, right]
        made = to.emit(
            op, kind, [to.planes(op)], kernel_shape=window.kernel, strides=window.strides, pads=pads
        )
        return to.pixels(op, made)

    return rule


def _matmul(to: Conversion, op: Operation) -> str:
    to.no_zero(op, 2, 3)
    x, y = op.operand(0).type.shape, op.result.type.shape
    if len(x) != 3 or len(op.operand(1).type.shape) != 3:
        op.refuse("is of tensors of three dimensions")
    weight = (
        to.find.weight(op, 1, lambda held: held[0]) if op.operand(1).type.shape[0] == 1 else None
    )
    if weight is None or x[0] != 1:
        return to.emit(op, "MatMul", [to.tensor(op.operand(0)), to.tensor(op.operand(1))])
    flat = to.reshaped(op, to.tensor(op.operand(0)), x[1:])
    made = to.emit(op, "MatMul", [flat, to.held_weight(op, weight)])
    return to.reshaped(op, made, y)


def _clamp(to: Conversion, op: Operation) -> str:
    low, high = op.attributes.get("min_val"), op.attributes.get("max_val")
    kind = np.float32 if op.result.type.element == "f32" else np.int8
    if not all(isinstance(each, int | float) for each in (low, high)):
        op.refuse("needs numbers as min_val and max_val")
    low, high = float(low), float(high)  # type: ignore[arg-type]
    if kind == np.float32 and low == 0 and high >= _LARGEST:
        return to.emit(op, "Relu", [to.tensor(op.operand(0))])
    if kind == np.int8 and not (BYTE[0] <= low <= high <= BYTE[1]):
        op.refuse("has limits outside int8")
    limits = [to.hold(kind(each), op) for each in (low, high)]
    return to.emit(op, "Clip", [to.tensor(op.operand(0)), *limits])


def _limit(kind: str, end: int) -> Callable[[Conversion, Operation], str]:
    """The larger or smaller of two tensors; of a tensor and one number a limit."""

    def rule(to: Conversion, op: Operation) -> str:
        x, number = to.find.beside(op)
        if number is None or x.type != op.result.type:
            return to.emit(op, kind, [to.tensor(op.operand(at)) for at in range(2)])
        if (number, end) == (0, 0):
            return to.emit(op, "Relu", [to.tensor(x)])
        limits = ["", ""]
        limits[end] = to.hold(np.float32(number), op)
        return to.emit(op, "Clip", [to.tensor(x), *limits[: end + 1]])

    return rule


def _reduce(kind: str) -> Callable[[Conversion, Operation], str]:
    def rule(to: Conversion, op: Operation) -> str:
        axis = of.axis_of(op)
        if kind == "ReduceSum":
            axes = to.hold(np.array([axis], np.int64), op)
            return to.emit(op, kind, [to.tensor(op.operand(0)), axes], keepdims=1)
        return to.emit(op, kind, [to.tensor(op.operand(0))], axes=[axis], keepdims=1)

    return rule


def _rsqrt(to: Conversion, op: Operation) -> str:
    root = to.emit(op, "Sqrt", [to.tensor(op.operand(0))], part="sqrt")
    return to.emit(op, "Reciprocal", [root])


def _concat(to: Conversion, op: Operation) -> str:
    return to.emit(op, "Concat", [to.tensor(each) for each in op.operands], axis=of.axis_of(op))


def _pad(to: Conversion, op: Operation) -> str:
    fill = to.find.constant(op.operand(2))
    if fill is None or fill.size != 1:
        op.refuse("pads with what is no constant of one number")
    pads = of.padded_axes(op, to.find.constant)
    flat = np.array([*(a for a, _ in pads), *(b for _, b in pads)], np.int64)
    return to.emit(
        op, "Pad", [to.tensor(op.operand(0)), to.hold(flat, op), to.hold(fill.reshape(()), op)]
    )


def _slice(to: Conversion, op: Operation) -> str:
    start, size = of.slice_of(op, to.find.constant)
    ends = [a + b for a, b in zip(start, size, strict=True)]
    bounds = [to.hold(np.array(each, np.int64), op) for each in (start, ends)]
    return to.emit(op, "Slice", [to.tensor(op.operand(0)), *bounds])


RULES: dict[str, Callable[[Conversion, Operation], str]] = {
    "tosa.conv2d": _conv,
    "tosa.depthwise_conv2d": _conv,
    "tosa.transpose_conv2d": _transposed,
    "tosa.select": lambda to, op: to.emit(
        op, "Where", [to.tensor(op.operand(at)) for at in range(3)]
    ),
    "tosa.matmul": _matmul,
    "tosa.max_pool2d": _pool("MaxPool"),
    "tosa.avg_pool2d": _pool("AveragePool"),
    "tosa.clamp": _clamp,
    "tosa.reduce_sum": _reduce("ReduceSum"),
    "tosa.reduce_max": _reduce("ReduceMax"),
    "tosa.rsqrt": _rsqrt,
    "tosa.concat": _concat,
    "tosa.pad": _pad,
    "tosa.slice": _slice,
    "tosa.reshape": lambda to, op: to.reshaped(op, to.tensor(op.operand(0))),
    "tosa.transpose": lambda to, op: to.turned(op, to.tensor(op.operand(0)), of.order(op)),
    "tosa.maximum": _limit("Max", 0),
    "tosa.minimum": _limit("Min", 1),
    **{
        f"tosa.{name}": _pairwise(kind)
        for name, kind in (
            ("add", "Add"), ("sub", "Sub"), ("mul", "Mul"), ("pow", "Pow"), ("equal", "Equal"),
            ("greater", "Greater"), ("greater_equal", "GreaterOrEqual"), ("logical_and", "And"),
            ("logical_or", "Or"),
        )
    },
    **{
        f"tosa.{name}": _single(kind)
        for name, kind in (
            ("abs", "Abs"), ("ceil", "Ceil"), ("erf", "Erf"), ("exp", "Exp"), ("floor", "Floor"),
            ("identity", "Identity"), ("log", "Log"), ("logical_not", "Not"), ("negate", "Neg"),
            ("reciprocal", "Reciprocal"), ("sigmoid", "Sigmoid"), ("tanh", "Tanh"),
        )
    },
}  # fmt: skip
