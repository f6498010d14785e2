"""Texts of TOSA for tests: small modules, and what the layers read from one compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from tests.compiler.oracle import evaluate_layer
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.write import tensors_of

Array = npt.NDArray[Any]
CLAMP = "{max_val = 127 : i8, min_val = 0 : i8} : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>"


def module(lines: str, kind: str = "tensor<1x4x4x2xi8>", result: str = "") -> str:
    """A function of an int8 tensor ``%x``; its last line makes ``%y``."""
    body = "\n".join(f"    {line.strip()}" for line in lines.strip().splitlines())
    return (
        f"module {{\n  func.func @main(%x: {kind}) -> {result or kind} {{\n{body}\n"
        f"    return %y : {result or kind}\n  }}\n}}\n"
    )


def number(name: str, value: int, element: str = "i8", count: int = 1) -> str:
    kind = f"tensor<{count}x{element}>"
    return f'%{name} = "tosa.const"() <{{values = dense<{value}> : {kind}}}> : () -> {kind}'


def rescale(
    y: str, x: str, given: str, made: str, names: str = "%m, %s, %zx, %zy", **changes: str
) -> str:
    attributes = {
        "input_unsigned": "false",
        "output_unsigned": "false",
        "per_channel": "false",
        "rounding_mode": "SINGLE_ROUND",
        "scale32": "true",
    } | changes
    held = ", ".join(f"{key} = {value}" for key, value in attributes.items())
    operands = [kind for kind in (names.split(", "))]
    elements = {"%m": "i32", "%s": "i8", "%wide": "i32"}
    kinds = ", ".join(f"tensor<1x{elements.get(each, 'i8')}>" for each in operands)
    return f"%{y} = tosa.rescale %{x}, {names} {{{held}}} : ({given}, {kinds}) -> {made}"


def printed_conv(rounding: str = "SINGLE_ROUND", shift: int = 38) -> str:
    """A convolution of 1 x 1, two filters."""
    x, wide = "tensor<1x4x4x2xi8>", "tensor<1x4x4x2xi32>"
    weight = '%w = "tosa.const"() <{values = dense<"0x0102FF03"> : tensor<2x1x1x2xi8>}> : () -> tensor<2x1x1x2xi8>'
    lines = [
        number("m", 1518500250, "i32"), number("s", shift), number("wide", 0, "i32"),
        number("zx", 3), number("zy", -7), number("zw", 0), number("b", 11, "i32", 2), weight,
        "%a = tosa.conv2d %x, %w, %b, %zx, %zw {acc_type = i32, dilation = array<i64: 1, 1>, "
        "pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : "
        f"({x}, tensor<2x1x1x2xi8>, tensor<2xi32>, tensor<1xi8>, tensor<1xi8>) -> {wide}",
        rescale("y", "a", wide, x, "%m, %s, %wide, %zy", rounding_mode=rounding),
    ]  # fmt: skip
    return "\n".join(lines)


def run_layers(reader: Reader, inputs: Sequence[Array]) -> list[Array]:
    """What the layers that were read compute, by the dense oracle."""
    known = {each: x.view(each.dtype) for each, x in zip(reader.inputs, inputs, strict=True)}
    for made in reader.building.made:
        given = [known[each] for each in made.sources]
        if made.layer is not None:
            known[made] = evaluate_layer(tensors_of(made), given)
            continue
        (moved,) = given
        for kind, numbers in made.steps:
            moved = moved.transpose(numbers) if kind == "turn" else moved.reshape(numbers)
        known[made] = moved
    return [known[each] for each in reader.outputs]
