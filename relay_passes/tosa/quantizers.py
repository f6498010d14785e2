"""What torch-mlir makes of PyTorch's operators between integers and floats: many of TOSA's, which
are found again here, from the last of them back.

``quantize_per_tensor`` is a product with the reciprocal of its scale, rounded to even (by floor,
ceil and a choice: TOSA has no such rounding), a zero point, limits and a cast to int8;
``dequantize_per_tensor`` a cast, a difference and a product; a mean is sums and a product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.tosa.operators import slice_of
from zeroskip.relay_passes.tosa.syntax import Array, Block, Operation, Value, sizes

Floats = npt.NDArray[np.float32]
Check = Callable[[Value], bool]
BYTE = (-128, 127)
MOVES = ("tosa.transpose", "tosa.reshape", "tosa.slice")
_LEAST = 1e-30  # of a scale
_NEAR = 1e-6  # of a scale: that it is the reciprocal of another, in float32


@dataclass(frozen=True)
class Quantize:
    """``clip(round(x / scale) + zero)`` as int8. limits: of the clip."""

    x: Value
    scale: np.float32
    zero: int
    limits: tuple[int, int]


@dataclass(frozen=True)
class Dequantize:
    """``(x - zero) * scale`` of int8; scale and zero: as the text has them, to broadcast."""

    x: Value
    scale: Floats
    zero: Array


@dataclass(frozen=True)
class Mean:
    """Over these axes, which stay with the size 1."""

    x: Value
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """A constant, or the int8 numbers of one with their scales and zero points along an axis."""

    value: Array
    scale: Array | None = None
    zero: Array | None = None
    axis: int = 0


class Quantizers:
    """Finds them in a block."""

    def __init__(self, block: Block) -> None:
        self._makers: dict[Value, Operation] = {
            result: op for op in block.ops for result in op.results
        }
        self._held: dict[Value, Array | None] = {}
        self._scales: dict[Value, np.float32] = {}
        for op in block.ops:  # in order: no constant is looked for far back
            for result in op.results:
                self.constant(result)
        for op in block.ops:
            found = self.dequantize(op) if op.name == "tosa.mul" else None
            if found is not None and found.scale.size == 1:
                self._scales.setdefault(found.x, found.scale.reshape(-1)[0])

    def maker(self, value: Value) -> Operation | None:
        """The operation that makes a value; None of a parameter."""
        return self._makers.get(value)

    def constant(self, value: Value) -> Array | None:
        """Of a constant, moved or cast to other integers; None of what is computed."""
        if value not in self._held:
            self._held[value] = self._constant(value)
        return self._held[value]

    def _constant(self, value: Value) -> Array | None:
        op = self.maker(value)
        if op is None or len(op.results) != 1:
            return None
        if op.name in ("tosa.const", "tosa.const_shape"):
            held = op.attributes.get("values", op.attributes.get("value"))
            return held if isinstance(held, np.ndarray) else None
        integers = op.name == "tosa.cast" and op.result.type.element in ("i8", "i32", "i64")
        if not integers and op.name not in MOVES:
            return None
        held = self.constant(op.operand(0))
        if held is None or held.dtype.kind not in "if" or (integers and held.dtype.kind == "f"):
            return None
        return self.moved(op, held) if not integers else held.astype(np.int64)

    def moved(self, op: Operation, held: Array) -> Array:
        """What a transposition, a reshape or a slice makes of an array."""
        shape = op.result.type.shape
        if held.shape != op.operand(0).type.shape:
            op.refuse(f"takes {sizes(held.shape)} for {op.operand(0).type}")
        if op.name == "tosa.transpose":
            perms = op.attributes.get("perms")
            if not isinstance(perms, tuple) or sorted(perms) != list(range(held.ndim)):
                op.refuse(f"has no order of the {held.ndim} axes as perms: write TOSA 1.0")
            held = held.transpose(perms)
        elif op.name == "tosa.slice":
            start, size = slice_of(op, self.constant)
            held = held[tuple(slice(a, a + b) for a, b in zip(start, size, strict=True))]
        elif held.size == np.prod(shape, dtype=np.int64):
            held = held.reshape(shape)
        if held.shape != shape:
            op.refuse(f"makes {op.result.type} of {op.operand(0).type}")
        return held

    def number(self, value: Value) -> float | None:
        """Of a constant of one number."""
        held = self.constant(value)
        return None if held is None or held.size != 1 else float(held.reshape(()))

    def beside(self, op: Operation) -> tuple[Value, float | None]:
        """Of a sum or product the other operand, and the one number of the constant."""
        first, second = op.operand(0), op.operand(1)
        if self.number(first) is not None:
            first, second = second, first
        return first, self.number(second)

    def weight(self, op: Operation, at: int, turn: Callable[[Array], Array]) -> Weight | None:
        """An operand that is constant, quantized or not, as ``turn`` brings it about; None of one
        that is computed."""
        moves, value = [], op.operand(at)
        while self.constant(value) is None:
            maker = self.maker(value)
            if maker is None:
                return None
            if maker.name in MOVES:
                moves.append(maker)
                value = maker.operand(0)
                continue
            found = self.dequantize(maker) if maker.name == "tosa.mul" else None
            held = None if found is None else self.constant(found.x)
            if found is None or held is None:
                return None
            parts: list[Array] = []
            for each in (held, found.scale, found.zero):
                part: Array = np.broadcast_to(each, held.shape)
                for move in reversed(moves):
                    part = self.moved(move, part)
                parts.append(turn(part))
            scale, zero = (along(part, part.shape) for part in parts[1:])
            if scale is None or zero is None or zero[0].ndim:
                op.refuse("has weights with scales along more than one axis: give each filter one")
            zeros = np.broadcast_to(zero[0], scale[0].shape).astype(np.int8)
            return Weight(parts[0].astype(np.int8), scale[0].astype(np.float32), zeros, scale[1])
        plain = self.constant(value)
        for move in reversed(moves):
            plain = self.moved(move, plain) if plain is not None else None
        return None if plain is None else Weight(turn(plain))

    # Patterns

    def quantize(self, op: Operation) -> Quantize | None:
        """A cast to int8 with all that belongs to it."""
        limit = self._made(op.operand(0), "tosa.clamp")
        bounds = limit and (limit.attributes.get("min_val"), limit.attributes.get("max_val"))
        if not limit or not bounds or not all(isinstance(each, float) for each in bounds):
            return None
        low, high = (float(each) for each in bounds if isinstance(each, float))
        if (low, high) == (0.0, 255.0):
            op.refuse(
                "casts 0..255 to int8, which ends at 127: torch-mlir writes uint8 so; quantize "
                "activations to int8, or export ONNX or a .pt2 program"
            )
        value, zero = limit.operand(0), 0.0
        moved = self._made(value, "tosa.add")
        if moved is not None:
            value, number = self.beside(moved)
            zero = np.nan if number is None else number
        real = self.rounded(value)
        held = BYTE[0] <= zero <= BYTE[1] and BYTE[0] <= low <= high <= BYTE[1]
        if real is None or not held or any(each != int(each) for each in (zero, low, high)):
            return None
        product = self._made(real, "tosa.mul")
        x, by = self.beside(product) if product is not None else (real, 1.0)
        if by is None or not _LEAST < by < 1 / _LEAST:
            x, by = real, 1.0
        scale = np.float32(1) / np.float32(by)
        own = self._scales.get(op.result, scale)
        near = abs(float(own) * by - 1) < _NEAR
        return Quantize(x, own if near else scale, int(zero), (int(low), int(high)))

    def dequantize(self, op: Operation) -> Dequantize | None:
        """A product of integers, less their zero point, with their scale."""
        for at in range(2):
            scale = self.constant(op.operand(at))
            cast = self._made(op.operand(1 - at), "tosa.cast")
            if scale is None or cast is None or scale.dtype != np.float32:
                continue
            if not np.all((scale > _LEAST) & (scale < 1 / _LEAST)):
                continue
            x, zero = cast.operand(0), np.zeros((), np.int64)
            less = self._made(x, "tosa.sub")
            if less is not None:
                known = self.constant(less.operand(1))
                if known is None:
                    continue
                x, zero = less.operand(0), known.astype(np.int64)
            wide = self._made(x, "tosa.cast")
            if x.type.element == "i32" and wide is not None:
                x = wide.operand(0)
            if x.type.element != "i8" or np.any((zero < BYTE[0]) | (zero > BYTE[1])):
                continue
            if not _spread(x.type.shape, scale.shape, zero.shape):
                continue
            return Dequantize(x, scale, zero)
        return None

    def rounded(self, value: Value) -> Value | None:
        """What is rounded to even to make this."""
        op = self._made(value, "tosa.select")
        if op is None:
            return None
        condition, low, high = (op.operand(at) for at in range(3))
        floor, ceil = self._made(low, "tosa.floor"), self._made(high, "tosa.ceil")
        if floor is None or ceil is None or floor.operand(0) is not ceil.operand(0):
            return None
        real = floor.operand(0)

        def is_low(each: Value) -> bool:
            return each is low

        def fraction(each: Value) -> bool:
            return self._is(each, "tosa.sub", lambda x: x is real, is_low)

        def halved(each: Value) -> bool:
            return self._is(each, "tosa.mul", is_low, self._equals(0.5))

        def floored(each: Value) -> bool:
            return self._is(each, "tosa.floor", halved)

        def even(each: Value) -> bool:
            return self._is(each, "tosa.mul", floored, self._equals(2.0))

        def below(each: Value) -> bool:
            return self._is(each, "tosa.greater", self._equals(0.5), fraction)

        def tie(each: Value) -> bool:
            return self._is(
                each,
                "tosa.logical_and",
                lambda x: self._is(x, "tosa.equal", fraction, self._equals(0.5)),
                lambda x: self._is(x, "tosa.equal", is_low, even),
            )

        return real if self._is(condition, "tosa.logical_or", below, tie) else None

    def mean(self, op: Operation) -> Mean | None:
        """A product of sums with the reciprocal of how many they are."""
        value, number = self.beside(op)
        shaped = self._made(value, "tosa.reshape")
        value = shaped.operand(0) if shaped is not None else value
        axes: list[int] = []
        count = 1
        while (sums := self._made(value, "tosa.reduce_sum")) is not None:
            axes.append(sums.number("axis"))
            value = sums.operand(0)
            count *= value.type.shape[axes[-1]] if 0 <= axes[-1] < len(value.type.shape) else 0
        if not axes or number is None or not abs(number * count - 1) < _NEAR:
            return None
        return Mean(value, tuple(sorted(axes)))

    def _made(self, value: Value, name: str) -> Operation | None:
        op = self.maker(value)
        return op if op is not None and op.name == name else None

    def _is(self, value: Value, name: str, *checks: Check) -> bool:
        op = self._made(value, name)
        return op is not None and all(
            check(each) for check, each in zip(checks, op.operands, strict=False)
        )

    def _equals(self, number: float) -> Check:
        return lambda value: self.number(value) == number


def _spread(whole: tuple[int, ...], *shapes: tuple[int, ...]) -> bool:
    """Whether tensors of these shapes broadcast to the whole one."""
    try:
        return np.broadcast_shapes(whole, *shapes) == whole
    except ValueError:
        return False


def along(values: Any, shape: tuple[int, ...]) -> tuple[Array, int] | None:
    """One number for all, or for each place along one axis, and that axis; None of any more."""
    full = np.broadcast_to(values, shape)
    if full.size == 0 or np.all(full == full.flat[0]):
        return np.asarray(full.reshape(-1)[:1].reshape(())), 0
    for axis, size in enumerate(shape):
        rows = np.moveaxis(full, axis, 0).reshape(size, -1)
        if np.all(rows == rows[:, :1]):
            return np.ascontiguousarray(rows[:, 0]), axis
    return None
