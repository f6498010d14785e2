"""Networks as TOSA text whose words, numbers and lines were altered, in both of MLIR's forms."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.campaigns.hostile_mlir import WORDS, change_text
from tests.compiler.networks import GraphBuilder
from tests.relay_passes.float_texts import quantized_text
from tests.relay_passes.integer_texts import CLAMP, module, printed_conv
from zeroskip.compiler.mlir.tosa import region_text
from zeroskip.relay_passes.tosa.evaluate import evaluate
from zeroskip.relay_passes.tosa.read_tosa import module_to_integer
from zeroskip.relay_passes.tosa.syntax import read_module
from zeroskip.relay_passes.tosa.to_onnx import module_to_onnx

Rng = np.random.Generator
_COMPUTED = 0.05  # of the texts that are taken are computed too
_TOSA = [
    "tosa.conv2d", "tosa.rescale", "tosa.add", "tosa.concat", "tosa.clamp", "tosa.reshape",
    "tosa.transpose", "tosa.slice", "tosa.pad", "tosa.max_pool2d", "tosa.avg_pool2d", "tosa.table",
    "tosa.reduce_sum", "tosa.const", "linalg.generic", "func.call", "%x", "%y", "%x0", "DOUBLE_ROUND",
    "tosa.matmul", "tosa.cast", "tosa.mul", "tosa.select", "tosa.exp", "1.0e+40", "0.0 : f32", "f32",
    "dense_resource<w.int8>", "tensor<1x2x4x4xf32>", "!tosa.shape<4>", "tensor<1x4x4x2xi8>", "tensor<1x4x4x2xi32>", "tensor<0x4xi8>", "tensor<i8>",
    "array<i64: 0, 0>", "array<i64: 1, 1>", "array<i32: 0, 2, 3, 1>", "array<i64: -1, 3>", "i8", "ui8",
    "axis = 9 : i32", "loc(#loc1)", "loc(unknown)", "#loc1 = loc(\"a\")", "-128 : i8", "true", "false",
]  # fmt: skip


@cache
def bases() -> list[str]:
    """Every kind of layer as --emit=tosa writes it; in MLIR's printed form a network, and one of
    floats."""
    b = GraphBuilder(np.random.default_rng(3))
    x = b.conv(b.input(4, 6, 5), 4, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.sum(b.conv(x, 4, (3, 3), pad=(1, 1, 1, 1), groups=2), x)
    y = b.concat(b.pool(y, "max", 2, 1), b.pool(y, "avg", 2, 1))
    text = region_text(b.graph(b.dense(b.reshape(b.global_pool(y), 8), 3)))
    pool = (
        "{kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 2, 2>} : "
        "(tensor<1x4x4x2xi8>) -> tensor<1x2x2x2xi8>"
    )
    printed = (
        printed_conv().replace("%y =", "%r =")
        + f"\n%c = tosa.clamp %r {CLAMP}\n%y = tosa.max_pool2d %c {pool}"
    )
    return [text, module(printed, result="tensor<1x2x2x2xi8>"), quantized_text()]


def warm() -> None:
    for text in bases():
        _read(text, computed=True)


def altered_tosa(rng: Rng) -> str:
    """Read a text; a few of those that are accepted are computed."""
    text = change_text(rng, bases()[rng.integers(3)], [*WORDS, *_TOSA])
    return _read(text, computed=bool(rng.random() < _COMPUTED))


def _read(text: str, *, computed: bool) -> str:
    module_read = read_module(text, "net.mlir")
    if module_read.real:
        module_to_onnx(module_read)
        return "to its end"
    model = module_to_integer(module_read)
    if computed:
        inputs = [np.zeros(value.type.shape, np.int8) for value in model.text.main.block.params]
        evaluate(model.text, inputs)
    return "to its end"
