"""What integer layers need and TOSA has no form for, as ``linalg``: rounding to even, dilated
pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from zeroskip.compiler.mlir.operations import MlirValue, Operations
from zeroskip.relay_passes.integer.layers import BOUNDS, FRACTION

LEAST = BOUNDS["int8"][0]


def rounded_to_even(
    emit: Operations,
    terms: Sequence[tuple[MlirValue, int, int]],
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> MlirValue:
    """``clip(even(sum of (x - zero) * mult, shift) + zero_point, low, high)`` of each element in
    int64, for terms (x, zero, mult): the first of the result's shape, another of it or of size 1
    along some axes; ``even`` is that of ``integer/layers.py``."""
    values = [x for x, _, _ in terms]
    shape = values[0].shape
    empty = emit("tensor.empty", (), shape, "i8")
    axes = [f"d{axis}" for axis in range(len(shape))]
    reads = [
        [
            axis if own == size else "0"
            for axis, own, size in zip(axes, each.shape, shape, strict=True)
        ]
        for each in (*values, empty)
    ]
    maps = ", ".join(f"affine_map<({', '.join(axes)}) -> ({', '.join(own)})>" for own in reads)
    kinds = ", ".join(["#linalg.iterator_type<parallel>"] * len(shape))
    return emit(
        "linalg.generic",
        [*values, empty],
        shape,
        "i8",
        region=list(_even(terms, shift, zero_point, low, high)),
        indexing_maps=f"[{maps}]",
        iterator_types=f"[{kinds}]",
        operandSegmentSizes=f"array<i32: {len(terms)}, 1>",
    )


def _even(
    terms: Sequence[tuple[MlirValue, int, int]], shift: int, zero_point: int, low: int, high: int
) -> Iterator[str]:
    arguments = [f"%e{i}: {x.element}" for i, (x, _, _) in enumerate(terms)]
    yield f"^bb0({', '.join([*arguments, '%out: i8'])}):"
    body = _LinalgBody()
    total = None
    for number, (x, zero, mult) in enumerate(terms):
        wide = body.line(f'"arith.extsi"(%e{number}) : ({x.element}) -> i64')
        term = body.op("muli", body.op("subi", wide, body.number(zero)), body.number(mult))
        total = term if total is None else body.op("addi", total, term)
    assert total is not None
    dropped = max(shift - FRACTION, 0)
    kept = body.number(shift - dropped)
    t = body.op("addi", total, body.number((1 << dropped) >> 1))
    t = body.op("shrsi", t, body.number(dropped))
    odd = body.op("andi", body.op("shrsi", t, kept), body.number(1))
    t = body.op("addi", t, body.number((1 << (shift - dropped - 1)) - 1))
    t = body.op("shrsi", body.op("addi", t, odd), kept)
    t = body.op("addi", t, body.number(zero_point))
    t = body.op("minsi", body.op("maxsi", t, body.number(low)), body.number(high))
    narrow = body.line(f'"arith.trunci"({t}) : (i64) -> i8')
    yield from body.lines
    yield f'"linalg.yield"({narrow}) : (i8) -> ()'


class _LinalgBody:
    """Lines of scalar arithmetic in i64."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> str:
        name = f"%s{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name

    def number(self, value: int) -> str:
        return self.line(f'"arith.constant"() <{{value = {value} : i64}}> : () -> i64')

    def op(self, name: str, a: str, b: str) -> str:
        return self.line(f'"arith.{name}"({a}, {b}) : (i64, i64) -> i64')


def largest_of_windows(
    emit: Operations,
    x: MlirValue,
    padding: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    out: Sequence[int],
) -> MlirValue:
    """The maximum over windows of an int8 [N, H, W, C]; padding (top, bottom, left, right) never
    wins. ``tosa.max_pool2d`` knows no dilation, and no padding as wide as its kernel."""
    top, bottom, left, right = padding
    sizes = (x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3])
    amounts = emit.shape((0, 0, top, bottom, left, right, 0, 0))
    padded = emit("tosa.pad", [x, amounts, emit.number(LEAST, "int8")], sizes, "i8")
    window = emit("tensor.empty", (), kernel, "i8")
    shape = (x.shape[0], *out, x.shape[3])
    least = emit.constant(np.full(shape, LEAST, np.int8))
    return emit(
        "linalg.pooling_nhwc_max",
        [padded, window, least],
        shape,
        "i8",
        region=[
            "^bb0(%e: i8, %w: i8, %most: i8):",
            '%s0 = "arith.maxsi"(%most, %e) : (i8, i8) -> i8',
            '"linalg.yield"(%s0) : (i8) -> ()',
        ],
        dilations=f"dense<[{', '.join(map(str, dilation))}]> : tensor<2xi64>",
        operandSegmentSizes="array<i32: 2, 1>",
        strides=f"dense<[{', '.join(map(str, strides))}]> : tensor<2xi64>",
    )
