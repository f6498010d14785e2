"""What is before the functions that hide differences, at the end of a network."""

from __future__ import annotations

import pytest
from onnx import parser

from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.saturation import before_saturation

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,4,2,2] x) => (%s y) { [conv] r = Relu(x)
%s
}
"""
SHAPE = "float[1,4,2,2]"


@pytest.mark.parametrize(
    ("shape", "nodes", "before"),
    [
        (SHAPE, "y = Softmax<axis=1>(r)", "softmax"),
        (SHAPE, "y = LogSoftmax<axis=1>(r)", "log-softmax"),
        (SHAPE, "y = Sigmoid(r)", "sigmoid"),
        (SHAPE, "y = Tanh(r)", "tanh"),
        ("int64[1,1,2,2]", "y = ArgMax<axis=1>(r)", "argmax"),
        ("float[1,16]", "s = Softmax<axis=1>(r) y = Flatten(s)", "softmax"),
        ("float[1,2,2,4]", "s = Sigmoid(r) y = Transpose<perm=[0,2,3,1]>(s)", "sigmoid"),
        (SHAPE, "two = Constant<value_float=2.0>() s = Sigmoid(r) y = Mul(s, two)", "sigmoid"),
        (
            SHAPE,
            "axes = Constant<value_ints=[1]>() e = Exp(r) t = ReduceSum<keepdims=1>(e, axes) "
            "y = Div(e, t)",
            "softmax",
        ),
        (SHAPE, "s = Softmax<axis=1>(r) y = Sigmoid(s)", "softmax"),  # of the innermost
    ],
)
def test_what_an_output_is_judged_by(shape: str, nodes: str, before: str) -> None:
    (found,) = before_saturation(
        import_onnx(normalise_onnx(parser.parse_model(TEXT % (shape, nodes))))["main"]
    )
    assert found is not None
    assert (found.names, found.words()) == (("conv",), before)


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Neg(r)",
        "s = Sigmoid(r) y = Mul(s, r)",
        "s = Softmax<axis=1>(r) y = Conv(s, x)",
    ],
)
def test_functions_within_the_network_do_not_count(nodes: str) -> None:
    """SiLU is one of them."""
    text = TEXT % (SHAPE, nodes)
    if "Conv" in nodes:
        text = text.replace(
            "y = Conv(s, x)", "y = AveragePool<kernel_shape=[2,2], pads=[0,0,1,1]>(s)"
        )
    module = import_onnx(normalise_onnx(parser.parse_model(text)))
    assert before_saturation(module["main"]) == [None]


def test_parts_of_an_output_are_judged_each_by_its_own() -> None:
    """As in a detector: boxes beside the sigmoid of scores."""
    text = TEXT % ("float[1,12,2,2]", "s = Sigmoid(r) t = Neg(r) y = Concat<axis=1>(s, t, x)")
    (found,) = before_saturation(import_onnx(normalise_onnx(parser.parse_model(text)))["main"])
    assert found is not None
    assert found.functions == ("sigmoid", "", "")
    assert (found.names[0], found.names[2], found.words()) == ("conv", "x", "sigmoid")
