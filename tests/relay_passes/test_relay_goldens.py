"""Converted Relay computes what Relay itself computed, when it was still alive."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import zeroskip
from tests.relay_passes.relay_goldens import read
from tests.relay_passes.relay_goldens.arrays import Array, drawn
from zeroskip.relay_passes import relay_to_onnx
from zeroskip.relay_passes.relay.operators.table import OPERATORS
from zeroskip.relay_passes.relay.parser import parse_function
from zeroskip.relay_passes.relay.syntax import Expr, Item, RelayCall, TupleOf

WEIGHTS = ("weight", "gamma", "beta", "mean", "var", "bias", "slope")
LARGE = ("densenet", "inception_v3", "resnet50", "vgg11", "vgg11_bn", "dcgan_nhwc")
QUICK = [case for case in read.cases("networks") if case not in LARGE]


def is_parameter(name: str) -> bool:
    return any(word in name for word in WEIGHTS)


def converted(kind: str, case: str) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The model, with drawn parameters, and its drawn inputs."""
    text = read.text(kind, case)
    function, _ = parse_function(text)
    arrays = {
        param.name: drawn(case, param.name, param.type.shape, param.type.dtype)
        for param in function.params
    }
    params = {name: array for name, array in arrays.items() if is_parameter(name)}
    model = relay_to_onnx(text, read.params(kind, case) or params)
    return model, {item.name: arrays[item.name] for item in model.graph.input}


def run(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Array]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [np.asarray(result) for result in session.run(None, inputs)]


def compare(kind: str, case: str, tolerance: float) -> None:
    """FrontError aside: every output within ``tolerance`` of the spread of its golden."""
    results = run(*converted(kind, case))
    goldens = read.outputs(kind, case)
    assert len(results) == len(goldens)
    for result, golden in zip(results, goldens, strict=True):
        same = read.like(result, golden)
        assert same.dtype == golden.dtype
        assert same.shape == golden.shape
        spread = np.ptp(golden.astype(np.float64)) or 1.0
        assert np.abs(same.astype(np.float64) - golden).max() <= tolerance * spread


@pytest.mark.parametrize("case", read.cases("operators"))
def test_operator(case: str) -> None:
    compare("operators", case, 2e-6)


@pytest.mark.parametrize("case", read.cases("imported"))
def test_imported_operator(case: str) -> None:
    """As Relay's ONNX importer writes it."""
    compare("imported", case, 2e-6)


@pytest.mark.parametrize("case", read.cases("ranks"))
def test_other_ranks(case: str) -> None:
    """Operators along one axis and in volumes; a network of volumes."""
    compare("ranks", case, 1e-4 if case == "resnet_3d" else 2e-6)


@pytest.mark.slow
def test_a_network_of_volumes_on_the_accelerator() -> None:
    model, inputs = converted("ranks", "resnet_3d")
    network = zeroskip.compile(model, "sparse256")
    assert zeroskip.validate(network, inputs).mismatch is None


@pytest.mark.parametrize("case", QUICK)
def test_network(case: str) -> None:
    compare("networks", case, 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE)
def test_large_network(case: str) -> None:
    compare("networks", case, 1e-4)


EXACT = ["uint8_nhwc", "int8_nchw", "int8_nhwc"]


@pytest.mark.parametrize("case", EXACT)
def test_quantized_network(case: str) -> None:
    """The very integers of Relay, of every layer that is an output."""
    results = run(*converted("quantized", case))
    for result, golden in zip(results, read.outputs("quantized", case), strict=True):
        np.testing.assert_array_equal(result, golden)


@pytest.mark.slow
@pytest.mark.parametrize("case", EXACT)
def test_quantized_network_on_the_accelerator(case: str) -> None:
    """There too, and TVM's CPU agrees; test_flow_page is the quick one of these."""
    model, inputs = converted("quantized", case)
    network = zeroskip.compile(model, "pattern256")
    results = zeroskip.Session(network).run(inputs)
    goldens = read.outputs("quantized", case)
    for item, golden in zip(model.graph.output, goldens, strict=True):
        np.testing.assert_array_equal(results[item.name], golden)
    assert zeroskip.validate(network, inputs).mismatch is None


def test_quantized_operators() -> None:
    """LeakyRelu within a step, which Relay computes in fixed point; the others exact."""
    results = run(*converted("quantized", "operators"))
    goldens = read.outputs("quantized", "operators")
    off = [
        np.abs(result.astype(np.int16) - golden)
        for result, golden in zip(results, goldens, strict=True)
    ]
    assert [int(steps.max()) for steps in off] == [0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("case", ["int8_nchw_add", "uint8_nhwc_add"])
def test_a_quantized_sum_is_a_step_off_at_most(case: str) -> None:
    """Relay rounds both operands to the scale of the sum, here the sum is rounded once."""
    _, first, second, total = run(*converted("quantized", case))
    _, *goldens = read.outputs("quantized", case)
    np.testing.assert_array_equal(first, goldens[0])
    np.testing.assert_array_equal(second, goldens[1])
    off = np.abs(total.astype(np.int16) - goldens[2])
    assert 0 < np.count_nonzero(off) < off.size / 5
    assert off.max() == 1


@pytest.mark.parametrize("case", ["qdq", "qdq_frozen"])
def test_a_network_between_scales(case: str) -> None:
    """Weights as parameters, and frozen into the metadata section."""
    model, inputs = converted("quantized", case)
    np.testing.assert_array_equal(run(model, inputs)[0], read.outputs("quantized", case)[0])


def test_a_network_made_integer_by_relay() -> None:
    """FakeQuantizationToInteger: biases are quantized in the text, a Relu is a maximum of sums."""
    model, inputs = converted("quantized", "qdq_integer_add")
    (golden,) = read.outputs("quantized", "qdq_integer_add")
    step = 0.314093  # of the last scale, as the text has it
    assert np.abs(run(model, inputs)[0] - golden).max() < 2.5 * step
    text = {node.op_type for node in model.graph.node}
    assert "Relu" in text


def called(expr: Expr) -> set[str]:
    """The operators of an expression."""
    match expr:
        case RelayCall():
            return {expr.op}.union(*map(called, expr.args))
        case TupleOf(fields):
            return set().union(*map(called, fields))
        case Item():
            return called(expr.whole)
    return set()


def test_every_operator_has_a_golden() -> None:
    seen: set[str] = set()
    for kind in read.KINDS:
        for case in read.cases(kind):
            function, _ = parse_function(read.text(kind, case))
            seen |= called(function.result).union(*(called(b.value) for b in function.bindings))
    assert OPERATORS.keys() - seen == {"qnn.batch_matmul"}  # which is refused
