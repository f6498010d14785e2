"""A small network of floats in TOSA, quantized as torch-mlir writes it."""

from __future__ import annotations

MAP, PLANES, FLAGS = "tensor<1x2x4x4xf32>", "tensor<1x4x4x2xf32>", "tensor<1x2x4x4xi1>"
_ONE = "tensor<1x1x1x1xf32>"


def const(name: str, value: object, kind: str = _ONE) -> str:
    return f'%{name} = "tosa.const"() <{{values = dense<{value}> : {kind}}}> : () -> {kind}'


def op(y: str, name: str, operands: str, kinds: str, made: str, attributes: str = "") -> str:
    held = f" {{{attributes}}}" if attributes else ""
    return f"%{y} = tosa.{name} {operands}{held} : ({kinds}) -> {made}"


def quantized(x: str, y: str, by: float = 20.0, limits: str = "-128 127") -> list[str]:
    """``quantize_per_tensor`` of a map: its scale is ``1 / by``, its zero point 3."""
    low, high = limits.split()
    pair, shift = f"{MAP}, {_ONE}", "tensor<1xi8>"
    return [
        const(f"{y}by", by),
        op(f"{y}0", "mul", f"%{x}, %{y}by, %shift", f"{pair}, {shift}", MAP),
        op(f"{y}1", "floor", f"%{y}0", MAP, MAP),
        op(f"{y}2", "sub", f"%{y}0, %{y}1", f"{MAP}, {MAP}", MAP),
        op(f"{y}3", "ceil", f"%{y}0", MAP, MAP),
        op(f"{y}4", "mul", f"%{y}1, %half, %shift", f"{pair}, {shift}", MAP),
        op(f"{y}5", "floor", f"%{y}4", MAP, MAP),
        op(f"{y}6", "mul", f"%{y}5, %two, %shift", f"{pair}, {shift}", MAP),
        op(f"{y}7", "equal", f"%{y}1, %{y}6", f"{MAP}, {MAP}", FLAGS),
        op(f"{y}8", "equal", f"%{y}2, %half", pair, FLAGS),
        op(f"{y}9", "greater", f"%half, %{y}2", f"{_ONE}, {MAP}", FLAGS),
        op(f"{y}a", "logical_and", f"%{y}8, %{y}7", f"{FLAGS}, {FLAGS}", FLAGS),
        op(f"{y}b", "logical_or", f"%{y}9, %{y}a", f"{FLAGS}, {FLAGS}", FLAGS),
        op(f"{y}c", "select", f"%{y}b, %{y}1, %{y}3", f"{FLAGS}, {MAP}, {MAP}", MAP),
        op(f"{y}d", "add", f"%{y}c, %three", pair, MAP),
        op(f"{y}e", "clamp", f"%{y}d", MAP, MAP, f"max_val = {high}.0 : f32, min_val = {low}.0 : f32"),
        op(y, "cast", f"%{y}e", MAP, MAP.replace("f32", "i8")),
    ]  # fmt: skip


def dequantized(x: str, y: str, scale: float = 0.05) -> list[str]:
    """``dequantize_per_tensor`` of what ``quantized`` made."""
    byte, wide = MAP.replace("f32", "i8"), MAP.replace("f32", "i32")
    return [
        const(f"{y}s", scale),
        op(f"{y}0", "cast", f"%{x}", byte, wide),
        op(f"{y}1", "sub", f"%{y}0, %zero", f"{wide}, tensor<1x1x1x1xi32>", wide),
        op(f"{y}2", "cast", f"%{y}1", wide, MAP),
        op(y, "mul", f"%{y}2, %{y}s, %shift", f"{MAP}, {_ONE}, tensor<1xi8>", MAP),
    ]


def convolved(x: str, y: str) -> list[str]:
    """A convolution of 1 x 1 with int8 weights, and a ReLU."""
    turn, back = ("perms = array<i32: 0, 2, 3, 1>", "perms = array<i32: 0, 3, 1, 2>")
    weight, held = "tensor<2x1x1x2xf32>", "tensor<2x1x1x2xi8>"
    window = (
        "acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, "
        "stride = array<i64: 1, 1>"
    )
    kinds = f"{PLANES}, {weight}, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>"
    return [
        f'%w = "tosa.const"() <{{values = dense_resource<w.int8> : {held}}}> : () -> {held}',
        const("ws", 0.02),
        const("b", "[0.5, -0.25]", "tensor<2xf32>"),
        const("none", 0.0, "tensor<1xf32>"),
        op(f"{y}0", "cast", "%w", held, weight),
        op(f"{y}1", "mul", f"%{y}0, %ws, %shift", f"{weight}, {_ONE}, tensor<1xi8>", weight),
        op(f"{y}2", "transpose", f"%{x}", MAP, PLANES, turn),
        op(f"{y}3", "conv2d", f"%{y}2, %{y}1, %b, %none, %none", kinds, PLANES, window),
        op(f"{y}4", "transpose", f"%{y}3", PLANES, MAP, back),
        op(y, "clamp", f"%{y}4", MAP, MAP, "max_val = 3.40282347E+38 : f32, min_val = 0.0 : f32"),
    ]


def float_module(*lines: str, result: str = MAP) -> str:
    """A function of ``%x``, a map of floats; its last line makes ``%y``."""
    held = [
        const("shift", 0, "tensor<1xi8>"), const("half", 0.5), const("two", 2.0),
        const("three", 3.0), const("zero", 3, "tensor<1x1x1x1xi32>"),
    ]  # fmt: skip
    body = "\n".join(f"    {line}" for line in (*held, *lines))
    resource = '{-#\n  dialect_resources: {\n    builtin: {\n      w.int8: "0x01000000017F81FE"\n    }\n  }\n#-}\n'
    return (
        f"module {{\n  func.func @main(%x: {MAP}) -> {result} {{\n{body}\n"
        f"    return %y : {result}\n  }}\n}}\n\n{resource}"
    )


def quantized_text() -> str:
    """An input, a convolution with a ReLU, and its result, quantized to int8."""
    return float_module(
        *quantized("x", "q"), *dequantized("q", "r"), *convolved("r", "c"),
        *quantized("c", "p"), *dequantized("p", "y"),
    )  # fmt: skip
