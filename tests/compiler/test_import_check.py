"""A wrong import is refused at compile with the node's name; what cannot be checked is said."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper, parser

from zeroskip import compiler
from zeroskip.relay_passes import import_check
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend import to_relax
from zeroskip.relay_passes.import_check import agreement

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = %s(x) }
"""


def model(operator: str) -> Any:
    result = parser.parse_model(TEXT % operator)
    result.graph.node[0].name = "activate"
    return result


def test_a_wrong_import_is_refused_with_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    real = to_relax._convert_node

    def wrong(of: Any, node: Any) -> None:
        node.op_type = "Relu"
        real(of, node)

    monkeypatch.setattr(to_relax, "_convert_node", wrong)
    with pytest.raises(FrontError, match="'activate' does not give what onnxruntime gives"):
        compiler.compile(model("Abs"), "dense256")


DEEP = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,4,4] x) => (float[1,2,4,4] y) {
    [first] a = Sigmoid(x)
    [wrong] b = Abs(a)
    [third] c = Add(b, x)
    [last] y = Tanh(c)
}
"""


@pytest.mark.parametrize("batch", [1, 2])
def test_the_first_node_that_differs_is_named(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Not the one that makes the output, three nodes behind it."""
    falsify(monkeypatch)
    with pytest.raises(FrontError, match="Node 'wrong' does not give what onnxruntime gives"):
        compiler.compile(parser.parse_model(DEEP.replace("[1,", f"[{batch},")), "dense256")


CUBE = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,4,4] x) => (float[1,4,4,4] y) {
    [turned] t = Transpose<perm = [0, 2, 3, 1]>(x)
    [moved] a = Sigmoid(t)
    [back] b = Transpose<perm = [0, 3, 1, 2]>(a)
    [wrong] y = Abs(b)
}
"""


def test_a_cube_in_another_layout_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its transpositions 'moved' has the shape that it had, and its numbers elsewhere."""
    falsify(monkeypatch)
    with pytest.raises(FrontError, match="Node 'wrong' does not give"):
        compiler.compile(parser.parse_model(CUBE), "dense256")


def test_a_right_import_is_not_refused() -> None:
    compiler.compile(model("Abs"), "dense256")


def test_agreement_sees_shapes_and_places_of_nan() -> None:
    x = np.array([1, np.nan, 3], np.float32)
    assert agreement(x, x) == np.inf
    assert agreement(x, x[::-1][:2]) == -np.inf
    assert agreement(x, np.array([np.nan, 1, 3], np.float32)) == -np.inf
    assert agreement(x, np.array([1, np.nan, 2.7], np.float32)) == pytest.approx(20.5, abs=0.1)


@pytest.mark.parametrize("limit", [import_check.FLOAT_DB, import_check.QUANTIZED_DB])
def test_half_precision_is_asked_for_less(limit: float) -> None:
    want = np.linspace(-1, 1, 1000, dtype=np.float32)
    rounded = want.astype(np.float16)
    assert import_check._level(want, rounded, limit) == (agreement(want, rounded), limit)
    half = min(limit, import_check.HALF_DB)
    assert import_check._level(rounded, want, limit) == (agreement(rounded, want), half)


def test_agreement_sees_infinities_and_what_is_small() -> None:
    x = np.array([1, np.inf, 3], np.float32)
    assert agreement(x, np.array([1, -np.inf, 3], np.float32)) == -np.inf
    assert agreement(x, x) == np.inf
    small = np.array([1e-3, -1e-3], np.float32)
    assert agreement(small, -small) == pytest.approx(-6, abs=0.1)  # twice the signal is noise
    assert agreement(np.zeros(2, np.float32), np.full(2, 1e-7, np.float32)) == np.inf


CONV = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,6,6] x) => (float[1,8,4,4] y) {
    [conv] c = Conv(x, w)
    [wrong] y = Abs(c)
}
"""


def conv_net(dtype: str = "float32") -> Any:
    text = CONV.replace("float[", "double[") if dtype == "float64" else CONV
    result = parser.parse_model(text)
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(dtype)
    result.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return result


def compile_pruned(model: Any) -> None:
    compiler.compile(model, "dense256", prune="unstructured:sparsity=0.5")


def compile_nested(model: Any) -> None:
    compiler.compile_levels(
        model, "dense256", ["unstructured:sparsity=0.5", "unstructured:sparsity=0.75"]
    )


@pytest.mark.parametrize("make", [compile_pruned, compile_nested])
def test_the_import_is_compared_before_it_is_pruned(
    make: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(conv_net())
    falsify(monkeypatch)
    with pytest.raises(FrontError, match="Node 'wrong' does not give what onnxruntime gives"):
        make(conv_net())


def test_a_network_of_doubles_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime has no convolution of doubles: it gets the model with float32 within."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        compiler.compile(conv_net("float64"), "dense256")
    falsify(monkeypatch)
    with pytest.raises(FrontError, match="Node 'wrong' does not give what onnxruntime gives"):
        compiler.compile(conv_net("float64"), "dense256")


def test_a_large_model_is_handed_over_by_its_weights_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What onnxruntime computes is the same."""
    model, x = conv_net(), np.ones((1, 4, 6, 6), np.float32)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(
            np.random.default_rng(1).standard_normal((64, 4, 3, 3)).astype(np.float32), "w"
        )
    )
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    want = import_check._run_model(model, {"x": x}, ["y"], 1)["y"]
    monkeypatch.setattr(import_check, "LARGE", 0)
    real, given = import_check._run, []

    def run(source: str | bytes, *rest: Any) -> dict[str, Any]:
        given.append(source)
        return real(source, *rest)

    monkeypatch.setattr(import_check, "_run", run)
    assert np.array_equal(import_check._run_model(model, {"x": x}, ["y"], 1)["y"], want)
    (path,) = given
    assert isinstance(path, str)
    assert not Path(path).exists()


def falsify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import Abs as Neg."""
    real = to_relax._convert_node

    def wrong(of: Any, node: Any) -> None:
        if node.op_type == "Abs":
            node.op_type = "Neg"
        real(of, node)

    monkeypatch.setattr(to_relax, "_convert_node", wrong)
