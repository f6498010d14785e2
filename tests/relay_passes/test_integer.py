"""Integer layers: the round trip through Relax, and TVM's bits against an int64 numpy oracle."""

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.relay_passes.integer_oracle import evaluate, random_input, random_layer
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.relax_functions import (
    KINDS,
    ConvLayer,
    DenseLayer,
    Layer,
    QTensor,
    RequantizeLayer,
    build,
    is_integer_layer,
    quantize_multiplier,
    read_layer,
)
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

Arrays = list[npt.NDArray[np.integer]]


def tvm_result(layer: Layer, inputs: Arrays) -> npt.NDArray[np.integer]:
    function = build(layer, "node").without_attr("Composite")
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    (result,) = run_cpu(compile_for_cpu(module), "main", inputs)
    return result


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
@settings(max_examples=100)
def test_read_layer_inverts_build(seed: int, kind: type[Layer]) -> None:
    layer = random_layer(np.random.default_rng(seed), kind)
    function = build(layer, "conv/1")
    assert read_layer(function) == layer
    assert is_integer_layer(function)
    assert function.attrs["Composite"] == f"zeroskip.{kind.kind}"
    assert function.attrs["zeroskip.node"] == "conv/1"


@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS))
@settings(max_examples=40)
def test_tvm_agrees_with_numpy_bit_for_bit(seed: int, kind: type[Layer]) -> None:
    rng = np.random.default_rng(seed)
    layer = random_layer(rng, kind)
    inputs = [random_input(rng, x) for x in layer.inputs]
    np.testing.assert_array_equal(tvm_result(layer, inputs), evaluate(layer, inputs))


def test_halves_of_the_reference() -> None:
    """Of sums of products they go up, of everything else to the even neighbour."""
    x = np.arange(-128, 128, dtype=np.int8).reshape(256, 1)
    tensor, one = QTensor((256, 1), "int8", 0), np.ones(1, np.int32)
    limits = {"lo": -128, "hi": 127}
    dense = DenseLayer(
        x=tensor,
        y=tensor,
        weight=np.ones((1, 1), np.int8),
        bias=0 * one,
        mult=one << 30,
        shift=31 * one,
        **limits,
    )
    scaled = RequantizeLayer(x=tensor, y=tensor, mult=1 << 30, shift=31, **limits)
    np.testing.assert_array_equal(tvm_result(dense, [x]), np.floor(x / 2 + 0.5))
    np.testing.assert_array_equal(tvm_result(scaled, [x]), np.rint(x / 2))


@pytest.mark.parametrize("shift", [1, 2, 31, 61, 62])
def test_extreme_products_do_not_wrap(shift: int) -> None:
    tensor = QTensor((1, 256), "int8", -128)
    layer = RequantizeLayer(x=tensor, y=tensor, mult=2**31 - 1, shift=shift, lo=-128, hi=127)
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
    np.testing.assert_array_equal(tvm_result(layer, [x]), evaluate(layer, [x]))


def test_layers_differ_when_one_weight_does() -> None:
    layer = random_layer(np.random.default_rng(1), KINDS[0])
    other = random_layer(np.random.default_rng(1), KINDS[0])
    assert layer == other
    assert isinstance(other, ConvLayer)
    other.weight.flat[0] ^= 1
    assert layer != other


def test_a_rewritten_body_is_refused() -> None:
    layer = random_layer(np.random.default_rng(2), RequantizeLayer)
    function = build(layer, "relu/3")
    params, block = function.params, function.body.blocks[0]
    shorter = relax.DataflowBlock([*block.bindings[:-2], block.bindings[-1]])
    broken = relax.Function(
        params, relax.SeqExpr([shorter], function.body.body), function.ret_ty
    ).with_attrs(dict(function.attrs))
    with pytest.raises(PassError, match="relu/3"):
        read_layer(broken)


def test_other_functions_are_refused() -> None:
    layer = random_layer(np.random.default_rng(3), RequantizeLayer)
    with pytest.raises(PassError, match="not an integer layer"):
        read_layer(build(layer, "n").with_attr("Composite", "other.conv"))


@given(st.floats(2.0**-32, 2.0**28))
def test_multipliers_are_normalised_and_accurate(real: float) -> None:
    mult, shift = quantize_multiplier(real)
    assert 2**30 <= mult < 2**31
    assert 1 <= shift <= 62
    assert abs(mult / 2**shift - real) <= real * 2.0**-31


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 1)),
        (2.0**-40, (0, 1)),
        (0.5, (2**30, 31)),
        (1.0, (2**30, 30)),
        (1 - 2.0**-40, (2**30, 30)),
    ],
)
def test_multipliers_at_the_edges(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize("real", [-1.0, float("nan"), float("inf"), 2.0**29])
def test_impossible_multipliers_are_refused(real: float) -> None:
    with pytest.raises(PassError, match="fixed-point"):
        quantize_multiplier(real)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mult": 2**31}, "multiplier"),
        ({"mult": -1}, "multiplier"),
        ({"shift": 0}, "shift"),
        ({"shift": 63}, "shift"),
        ({"lo": -129}, "clip"),
        ({"lo": 5, "hi": 4}, "clip"),
    ],
)
def test_parameters_out_of_range_are_refused(change: dict[str, int], message: str) -> None:
    tensor = QTensor((1, 4), "int8", 0)
    good = {"mult": 2**30, "shift": 30, "lo": -128, "hi": 127}
    with pytest.raises(PassError, match=message):
        RequantizeLayer(x=tensor, y=tensor, **(good | change))
