"""A wrong import is refused at compile with the node's name; what cannot be checked is said."""

from typing import Any

import numpy as np
import pytest
from onnx import parser

from zeroskip import compiler
from zeroskip.relay_passes import importer
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.import_check import agreement

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = %s(x) }
"""


def model(operator: str) -> Any:
    result = parser.parse_model(TEXT % operator)
    result.graph.node[0].name = "activate"
    return result


def test_a_wrong_import_is_refused_with_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importer._convert_node

    def wrong(of: Any, node: Any) -> None:
        node.op_type = "Relu"
        real(of, node)

    monkeypatch.setattr(importer, "_convert_node", wrong)
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
    real = importer._convert_node

    def wrong(of: Any, node: Any) -> None:
        if node.op_type == "Abs":
            node.op_type = "Neg"
        real(of, node)

    monkeypatch.setattr(importer, "_convert_node", wrong)
    with pytest.raises(FrontError, match="Node 'wrong' does not give what onnxruntime gives"):
        compiler.compile(parser.parse_model(DEEP.replace("[1,", f"[{batch},")), "dense256")


def test_a_right_import_is_not_refused() -> None:
    compiler.compile(model("Abs"), "dense256")


def test_agreement_sees_shapes_and_places_of_nan() -> None:
    x = np.array([1, np.nan, 3], np.float32)
    assert agreement(x, x) == np.inf
    assert agreement(x, x[::-1][:2]) == -np.inf
    assert agreement(x, np.array([np.nan, 1, 3], np.float32)) == -np.inf
    assert agreement(x, np.array([1, np.nan, 2.7], np.float32)) == pytest.approx(20.5, abs=0.1)
