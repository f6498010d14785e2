"""float16 and double networks: float32 within, their own types at the border."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests.relay_passes.onnx_oracle import parse
from zeroskip import compiler
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

CODES = {"float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE}
ALL = {**CODES, "float32": TensorProto.FLOAT}


def typed_net(dtype: str) -> onnx.ModelProto:
    """As exporters write it: weights, a Constant node, a Cast to the type, a second output."""
    rng, code = np.random.default_rng(0), ALL[dtype]

    def tensor(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.standard_normal(shape).astype(dtype), name)

    nodes = [
        helper.make_node(
            "Constant",
            [],
            ["half"],
            "constant",
            value=numpy_helper.from_array(np.array(0.5, dtype)),
        ),
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Cast", ["half"], ["same"], "cast", to=code),
        helper.make_node("Mul", ["r", "same"], ["y"], "scale"),
        helper.make_node("GlobalAveragePool", ["y"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "v", "b"], ["z"], "fc"),
    ]
    graph = helper.make_graph(
        nodes,
        "typed",
        [helper.make_tensor_value_info("x", code, [1, 3, 8, 8])],
        [
            helper.make_tensor_value_info("y", code, [1, 8, 6, 6]),
            helper.make_tensor_value_info("z", code, [1, 4]),
        ],
        [tensor("w", 8, 3, 3, 3), tensor("v", 8, 4), tensor("b", 4)],
        value_info=[helper.make_tensor_value_info("c", code, [1, 8, 6, 6])],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def answers(model: onnx.ModelProto, x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """By ONNX's own reference: onnxruntime has no convolution of doubles."""
    made: Any = ReferenceEvaluator(model).run(None, {"x": x})
    return [np.asarray(each) for each in made]


@pytest.mark.parametrize("dtype", list(CODES))
def test_within_all_is_float32_and_computes_the_same(dtype: str) -> None:
    model, x = typed_net(dtype), np.random.default_rng(1).standard_normal((1, 3, 8, 8))
    made = normalise_onnx(model)
    ends = {each.name for each in (*made.graph.input, *made.graph.output)}
    assert {each.data_type for each in made.graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }
    kinds = {
        each.name: each.type.tensor_type.elem_type
        for each in (*made.graph.input, *made.graph.output, *made.graph.value_info)
    }
    assert all(
        kind == (CODES[dtype] if name in ends else TensorProto.FLOAT)
        for name, kind in kinds.items()
    )
    for want, got in zip(
        answers(model, x.astype(dtype)), answers(made, x.astype(dtype)), strict=True
    ):
        assert got.dtype == want.dtype == np.dtype(dtype)
        np.testing.assert_allclose(
            got,
            want,
            rtol=2e-2 if dtype == "float16" else 1e-5,
            atol=2e-2 if dtype == "float16" else 1e-5,
        )


@pytest.mark.parametrize("dtype", list(CODES))
def test_all_multiplies_are_on_the_accelerator(dtype: str) -> None:
    images = np.random.default_rng(2).standard_normal((4, 3, 8, 8)).astype(dtype)
    net = compiler.compile(typed_net(dtype), "dense256", calibrate={"x": images})
    twin = compiler.compile(typed_net("float32"), "dense256")
    assert net.placement.macs_on_cpu == twin.placement.macs_on_cpu == 0
    assert net.placement.crossing == twin.placement.crossing
    assert net.placement.nodes_on_cpu == twin.placement.nodes_on_cpu + 3  # casts at the border
    assert [port.dtype for port in (*net.inputs, *net.outputs)] == [dtype] * 3
    x = {"x": images[:1]}
    assert validate(net, x).exact
    wanted = answers(typed_net(dtype), images[:1])
    for want, got in zip(wanted, Session(net).run(x).values(), strict=True):
        assert got.dtype == want.dtype
        noise = np.square(want.astype(float) - got).sum()
        assert 10 * np.log10(np.square(want.astype(float)).sum() / noise) > 25


def test_doubles_out_of_range_stay_finite() -> None:
    model = typed_net("float64")
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.full(4, 1e300), "b"))
    (bias,) = [each for each in normalise_onnx(model).graph.initializer if each.name == "b"]
    assert np.array_equal(numpy_helper.to_array(bias), np.full(4, np.finfo(np.float32).max))


def test_inputs_and_outputs_of_bfloat16_are_float32_arrays() -> None:
    text = "g (%s[1,3,6,6] x) => (%s[1,4,6,6] y) { [conv] a = Conv(x, w)\n [act] y = Relu(a) }"
    weight = np.random.default_rng(0).integers(-8, 8, (4, 3, 1, 1)).astype(np.float32) / 8
    narrow, wide = (parse(text % (kind, kind)) for kind in ("bfloat16", "float"))
    exact = onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, weight.shape, weight.ravel())
    narrow.graph.initializer.append(exact)
    wide.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    image = {"x": np.random.default_rng(1).standard_normal((1, 3, 6, 6)).astype(np.float32)}
    found, same = (compiler.compile(each, "sparse256", calibrate=image) for each in (narrow, wide))
    assert [port.dtype for port in (*found.inputs, *found.outputs)] == ["float32"] * 2
    assert found.cpu == {}
    np.testing.assert_array_equal(Session(found).run(image)["y"], Session(same).run(image)["y"])
