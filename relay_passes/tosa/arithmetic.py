"""TOSA's rounding (specification 1.0, section "Rescaling operators"), and scalar bodies of
linalg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.layers import FRACTION
from zeroskip.relay_passes.tosa.syntax import Block, Operation

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

LEAST_SHIFT, MOST_SHIFT = 2, 62
_PLAIN = 31  # up to this shift both roundings are one


def scaled(values: Ints, mult: Array | int, shift: Array | int, double: bool = False) -> Ints:
    """``apply_scale_32``: ``(v * mult + (1 << (shift - 1))) >> shift`` in int64.

    double: what is rounded is moved by 2^30 away from zero before, where ``shift`` is above 31.
    """
    m, s = np.asarray(mult, np.int64), np.asarray(shift, np.int64)
    half = np.int64(1) << (s - 1)
    if double:
        half = half + np.where(s > _PLAIN, np.where(values >= 0, 1 << 30, -(1 << 30)), 0)
    return np.asarray((values * m + half) >> s)


def rounds_twice(shift: Array, double: bool) -> bool:
    """Whether DOUBLE_ROUND is another rounding than SINGLE_ROUND for any of these shifts."""
    return double and bool(np.any(np.asarray(shift) > _PLAIN))


def odds(shift: Array) -> str:
    """In how many sums DOUBLE_ROUND makes another integer of one, by the channels' shifts.

    What is moved by 2^30 passes a border between integers, 2^shift apart, in 2^(30 - shift) of all.
    """
    held = np.asarray(shift)[np.asarray(shift) > _PLAIN]
    least, most = (1 << (int(each) - 30) for each in (held.min(), held.max()))
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def evened(values: Ints, shift: int) -> Ints:
    """Halves to even, as ``integer/layers.py`` says it of averages and sums."""
    dropped = max(shift - FRACTION, 0)
    kept = shift - dropped
    t = (values + ((1 << dropped) >> 1)) >> dropped
    return np.asarray((t + (1 << (kept - 1)) - 1 + ((t >> kept) & 1)) >> kept)


def reciprocal(count: int) -> tuple[int, int]:
    """``(mult, shift)`` by which TOSA divides a sum of ``count`` elements."""
    k = (count - 1).bit_length()
    return (((1 << 30) + 1) << k) // count, 30 + k


def wrapped(values: Ints, element: str) -> Ints:
    """Values as two's complement of this signless type holds them."""
    kinds = {"i8": np.int8, "i16": np.int16, "i32": np.int32}
    return values.astype(kinds[element]).astype(np.int64) if element in kinds else values


def _shift_right(a: Ints, b: Ints) -> Ints:
    return np.asarray(a >> np.clip(b, 0, 63))


_SCALAR: dict[str, Callable[[Ints, Ints], Ints]] = {
    "arith.addi": np.add,
    "arith.subi": np.subtract,
    "arith.muli": np.multiply,
    "arith.shrsi": _shift_right,
    "arith.andi": np.bitwise_and,
    "arith.maxsi": np.maximum,
    "arith.minsi": np.minimum,
}


def run_body(block: Block, arguments: Sequence[Ints]) -> Ints:
    """What the body of a ``linalg.generic`` of whole numbers yields, for arrays of one shape.

    FrontError for an operation that is not integer arithmetic.
    """
    known: dict[Any, Ints] = dict(zip(block.params, arguments, strict=False))
    for op in block.ops:
        if any(each not in known for each in op.operands):
            op.refuse("reads what is no number of this body")
        known[op.result] = wrapped(_scalar(op, [known[each] for each in op.operands]), _kind(op))
    (result,) = block.results if len(block.results) == 1 else (None,)
    if result not in known:
        raise ValueError("a body yields one number that it has computed")
    return known[result]


def _kind(op: Operation) -> str:
    return op.result.type.element


def _scalar(op: Operation, operands: list[Ints]) -> Ints:
    if op.name == "arith.constant" and not operands:
        return np.asarray(op.number("value"), np.int64)
    if op.name in ("arith.extsi", "arith.trunci") and len(operands) == 1:
        return operands[0]
    compute = _SCALAR.get(op.name)
    if compute is None or len(operands) != 2:
        op.refuse("is not read within linalg.generic: the bodies that --emit=tosa writes are")
    with np.errstate(over="ignore"):
        return np.asarray(compute(*operands))
