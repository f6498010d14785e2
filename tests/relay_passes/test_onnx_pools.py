"""Reductions over pixels are pools."""

import numpy as np
import pytest

from tests.relay_passes.onnx_oracle import parse
from tests.relay_passes.test_onnx_layout import same_in_onnxruntime
from tests.relay_passes.test_onnx_normalise import ops
from zeroskip import compiler
from zeroskip.relay_passes.frontend.normalise import normalise_onnx


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("y = GlobalMaxPool(x)", ["MaxPool"]),
        ("y = ReduceMax<axes=[-1,2]>(x)", ["MaxPool"]),
        ("y = ReduceMax<axes=[2,3],keepdims=0>(x)", ["MaxPool", "Reshape"]),
        ("y = ReduceMean<axes=[3]>(x)", ["AveragePool"]),
        ("a = ReduceMean<axes=[2],keepdims=0>(x)  y = Relu(a)", ["AveragePool", "Relu", "Reshape"]),
        ("y = ReduceMean<axes=[2,3]>(x)", ["ReduceMean"]),
        ("y = ReduceMax<axes=[1]>(x)", ["ReduceMax"]),
        ("y = ReduceMax(x)", ["ReduceMax"]),
        # Channels last, as Keras writes its global pools.
        (
            "a = Transpose<perm=[0,2,3,1]>(x)  y = ReduceMax<axes=[1,2],keepdims=0>(a)",
            ["MaxPool", "Reshape"],
        ),
    ],
)
def test_they_compute_the_same(body: str, left: list[str]) -> None:
    model = parse(f"g (float[1,3,4,5] x) => (float y) {{ {body} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert sorted(ops(same_in_onnxruntime(model))) == sorted(left)


def test_integers_are_left() -> None:
    model = parse("g (int32[1,3,4,5] x) => (int32[1,3,1,1] y) { y = ReduceMax<axes=[2,3]>(x) }")
    assert ops(normalise_onnx(model)) == ["ReduceMax"]


def test_a_global_maximum_is_on_the_accelerator() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    model = parse(
        "g (float[1,3,8,8] x) => (float[1,4] y) { a = Conv(x, w) "
        "y = ReduceMax<axes=[2,3],keepdims=0>(a) }",
        w=weight,
    )
    net = compiler.compile(model, "dense256")
    assert not net.cpu
    assert net.placement.regions == 1
