"""Parameters of TOSA's operators, checked once: what reading and evaluating have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.tosa.arithmetic import LEAST_SHIFT, MOST_SHIFT
from zeroskip.relay_passes.tosa.syntax import Operation, Value, rounding, sizes

Array = npt.NDArray[Any]
Constant = Callable[[Value], Array | None]  # the value of a constant, None of what is computed
BYTE = {"i8": (-128, 127), "i32": (-(2**31), 2**31 - 1)}


@dataclass(frozen=True)
class Rescale:
    """``clip(scaled(x - zero_x) + zero_y)``. mult, shift: one number each, or one for each channel,
    the last axis. unsigned: of the input and of the output."""

    mult: Array
    shift: Array
    zero_x: int
    zero_y: int
    unsigned: tuple[bool, bool]
    double: bool
    low: int
    high: int


@dataclass(frozen=True)
class Window:
    """Of a convolution or pool on [N, H, W, C]. padding: top, bottom, left, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]

    def reach(self, axis: int) -> int:
        """Pixels that one window spans."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def out(self, size: int, axis: int) -> int:
        """Windows on so many pixels."""
        before, after = self.padding[2 * axis : 2 * axis + 2]
        return (size + before + after - self.reach(axis)) // self.strides[axis] + 1


def constant(op: Operation, at: int, what: str, known: Constant) -> Array:
    """An operand that must be a constant."""
    value = known(op.operand(at))
    if value is None:
        op.refuse(f"has {what} that is computed: the accelerator takes constants only there")
    return value


def zero_point(op: Operation, at: int, known: Constant, unsigned: bool = False) -> int:
    """An operand of one number; of an unsigned tensor its bits are those of a uint8."""
    value = constant(op, at, "a zero point", known)
    if value.size != 1:
        op.refuse(f"has {value.size} zero points: one is taken")
    number = int(value.reshape(()))
    return number & 0xFF if unsigned and value.dtype == np.int8 else number


def rescale(op: Operation, known: Constant) -> Rescale:
    """The parameters of ``tosa.rescale``."""
    x, y = op.operand(0).type, op.result.type
    if x.element not in BYTE or y.element not in BYTE:
        op.refuse(f"of {x} to {y}: 8 bits and sums of 32 bits are taken")
    if x.shape != y.shape:
        op.refuse(f"makes {y} of {x}")
    mult = constant(op, 1, "a multiplier", known).astype(np.int64).reshape(-1)
    shift = constant(op, 2, "a shift", known).astype(np.int64).reshape(-1)
    channels = x.shape[-1] if op.truth("per_channel") and x.shape else 1
    if mult.size != channels or shift.size != channels:
        op.refuse(f"has {mult.size} multipliers and {shift.size} shifts for {channels} channels")
    if np.any((mult < 0) | (mult >= 1 << 31)):
        op.refuse("has a multiplier below 0")
    if np.any((shift < LEAST_SHIFT) | (shift > MOST_SHIFT)):
        op.refuse(f"has a shift outside {LEAST_SHIFT}..{MOST_SHIFT}")
    unsigned = op.truth("input_unsigned"), op.truth("output_unsigned")
    if any(flag and kind.element != "i8" for flag, kind in zip(unsigned, (x, y), strict=True)):
        op.refuse("is unsigned of another type than 8 bits")
    low, high = (0, 255) if unsigned[1] else BYTE[y.element]
    return Rescale(
        mult, shift, zero_point(op, 3, known, unsigned[0]), zero_point(op, 4, known, unsigned[1]),
        unsigned, rounding(op) == "DOUBLE_ROUND", low, high,
    )  # fmt: skip


def window(op: Operation, kernel: tuple[int, ...]) -> Window:
    """The windows of a convolution or pool; refuses those that make another result than it has."""
    x, y = op.operand(0).type.shape, op.result.type.shape
    if len(x) != 4 or len(y) != 4:
        op.refuse(f"is of {sizes(x)}: four dimensions are taken, [N, H, W, C]")
    rows, columns = kernel
    dilation = op.numbers("dilation", 2, 1) if "dilation" in op.attributes else (1, 1)
    stride, pad = op.numbers("stride", 2, 1), op.numbers("pad", 4)
    found = Window(
        (rows, columns), (stride[0], stride[1]), (pad[0], pad[1], pad[2], pad[3]),
        (dilation[0], dilation[1]),
    )  # fmt: skip
    if min(kernel) < 1 or (found.out(x[1], 0), found.out(x[2], 1)) != y[1:3]:
        op.refuse(f"makes {sizes(y)} of {sizes(x)}, which its windows do not")
    return found


def bounds(op: Operation) -> tuple[int, int]:
    """Of ``tosa.clamp``."""
    found = op.number("min_val"), op.number("max_val")
    if found[0] > found[1]:
        op.refuse(f"has limits {found[0]}..{found[1]}")
    return found


def table(op: Operation, known: Constant) -> Array:
    """Of ``tosa.table``: what each of the 256 values from -128 on becomes, int8."""
    found = constant(op, 1, "a table", known)
    x, y = op.operand(0).type, op.result.type
    if found.shape != (256,) or found.dtype != np.int8 or x.element != "i8" or x != y:
        op.refuse(f"of {x} makes {y} by a table of {found.size}: 256 int8 values are taken")
    return found


def order(op: Operation) -> tuple[int, ...]:
    """The axes of ``tosa.transpose``, which must make its result's shape."""
    x, y = op.operand(0).type.shape, op.result.type.shape
    perms = op.attributes.get("perms")
    if not isinstance(perms, tuple) or sorted(map(str, perms)) != sorted(map(str, range(len(x)))):
        op.refuse(f"has no order of the {len(x)} axes as perms: write TOSA 1.0")
    if tuple(x[axis] for axis in perms) != y:
        op.refuse(f"makes {sizes(y)} of {sizes(x)} by {perms}")
    return perms


def axis_of(op: Operation) -> int:
    """An axis of the first operand."""
    axis, rank = op.number("axis"), len(op.operand(0).type.shape)
    if not 0 <= axis < rank:
        op.refuse(f"has axis {axis} of {rank} dimensions")
    return axis


def shape_operand(op: Operation, at: int, count: int, known: Constant) -> tuple[int, ...]:
    """A constant of TOSA's type of shapes."""
    value = constant(op, at, "a shape", known)
    if value.ndim != 1 or value.size != count or np.any((value < 0) | (value >= 1 << 31)):
        op.refuse(f"has not {count} sizes as operand {at}")
    return tuple(int(each) for each in value)


def taken_rows(op: Operation, known: Constant) -> tuple[int, ...]:
    """Which of the K rows of [1, K, C] ``tosa.gather`` takes."""
    x, y, at = op.operand(0).type.shape, op.result.type.shape, constant(op, 1, "indices", known)
    if len(x) != 3 or x[0] != 1 or at.ndim != 2 or y != (1, at.size, x[2]):
        op.refuse(f"makes {sizes(y)} of {sizes(x)}: rows of [1, K, C] are taken, by [1, W]")
    if not at.size or np.any((at < 0) | (at >= x[1])):
        op.refuse(f"reads none or outside the {x[1]} rows that there are")
    return tuple(int(each) for each in at.reshape(-1))


def slice_of(op: Operation, known: Constant) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Starts and sizes of ``tosa.slice``."""
    x = op.operand(0).type.shape
    start, size = (shape_operand(op, at, len(x), known) for at in (1, 2))
    fits = all(a + b <= c and b > 0 for a, b, c in zip(start, size, x, strict=True))
    if not fits or size != op.result.type.shape:
        op.refuse(f"takes {sizes(size)} at {sizes(start)} of {sizes(x)}")
    return start, size


def pads_of(op: Operation, known: Constant) -> tuple[tuple[tuple[int, int], ...], int]:
    """Elements before and after each axis, and the value of them, of ``tosa.pad``."""
    return padded_axes(op, known), zero_point(op, 2, known)


def padded_axes(op: Operation, known: Constant) -> tuple[tuple[int, int], ...]:
    """Elements before and after each axis of ``tosa.pad``."""
    x = op.operand(0).type.shape
    flat = shape_operand(op, 1, 2 * len(x), known)
    pads = tuple(zip(flat[::2], flat[1::2], strict=True))
    if tuple(a + sum(b) for a, b in zip(x, pads, strict=True)) != op.result.type.shape:
        op.refuse(f"makes {sizes(op.result.type.shape)} of {sizes(x)}")
    return pads


def weights(op: Operation, known: Constant) -> tuple[Array, Array, int]:
    """Of a convolution: int8 weights [K, C, rows, columns] (depthwise: [C, M, rows, columns]),
    int32 biases of each result channel, and the zero point of the input."""
    depthwise = op.name == "tosa.depthwise_conv2d"
    weight = constant(op, 1, "a weight", known)
    bias = constant(op, 2, "a bias", known)
    zero = zero_point(op, 3, known)
    if zero_point(op, 4, known):
        op.refuse("has weights with a zero point: quantize weights symmetrically")
    x, y = op.operand(0).type, op.result.type
    if x.element != "i8" or weight.dtype != np.int8 or y.element != "i32":
        op.refuse(f"of {x} makes {y}: int8 with sums of int32 is taken")
    if weight.ndim != 4 or len(x.shape) != 4 or len(y.shape) != 4:
        op.refuse(f"has weights of {weight.ndim} dimensions: four are taken")
    weight = weight.transpose(2, 3, 0, 1) if depthwise else weight.transpose(0, 3, 1, 2)
    channels = weight.shape[0] if depthwise else weight.shape[1]
    results = weight.shape[0] * (weight.shape[1] if depthwise else 1)
    if channels != x.shape[3] or results != y.shape[3] or x.shape[0] != y.shape[0]:
        op.refuse(f"makes {sizes(y.shape)} of {sizes(x.shape)} by weights {sizes(weight.shape)}")
    if bias.dtype != np.int32 or bias.size not in (1, results):
        op.refuse(f"has {bias.size} biases of {bias.dtype} for {results} channels")
    if not -128 <= zero <= 127:
        op.refuse(f"has the zero point {zero} of int8")
    return weight, np.broadcast_to(bias.reshape(-1), results).astype(np.int32), zero
