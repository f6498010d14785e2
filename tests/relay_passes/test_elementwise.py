"""Functions of one activation: found in float functions, and tabulated as their definition says."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser
from onnx.reference import ReferenceEvaluator
from tvm import relax

from tests.compiler.oracle import evaluate_layer
from tests.relay_passes.float_nets import RelaxNet
from tests.relay_passes.test_quantize import cpu_reasons, layers
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.integer.layers import BOUNDS, LookupLayer
from zeroskip.relay_passes.quantize.elementwise import Function, Step
from zeroskip.relay_passes.quantize.float_graph import FloatGraph, Group, Scale
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.to_integer import layers_of

Array = npt.NDArray[Any]
SHAPE = (1, 8, 6, 6)
# what each operator reads besides x
OPERATORS = {
    "Sigmoid": "Sigmoid(x)",
    "Tanh": "Tanh(x)",
    "HardSigmoid": "HardSigmoid<alpha=0.15, beta=0.4>(x)",
    "HardSwish": "HardSwish(x)",
    "Elu": "Elu<alpha=0.7>(x)",
    "Selu": "Selu(x)",
    "LeakyRelu": "LeakyRelu<alpha=0.2>(x)",
    "Gelu": "Gelu(x)",
    "Gelu by tanh": 'Gelu<approximate="tanh">(x)',
    "Mish": "Mish(x)",
    "Softplus": "Softplus(x)",
    "Softsign": "Softsign(x)",
    "Erf": "Erf(x)",
    "Exp": "Exp(x)",
    "Abs": "Abs(x)",
    "Neg": "Neg(x)",
    "Reciprocal": "Reciprocal(x)",
    "ThresholdedRelu": "ThresholdedRelu<alpha=0.3>(x)",
    "Floor": "Floor(x)",
    "Ceil": "Ceil(x)",
    "Round": "Round(x)",
    "Sign": "Sign(x)",
    "Sin": "Sin(x)",
}


def table_of(graph: FloatGraph, x: Scale, y: Scale) -> LookupLayer:
    """The only group of a function as a layer, its scales given."""
    (group,) = graph.groups.values()
    assert group.kind == "lookup"
    made = layers_of(
        group, dict.fromkeys((*group.inputs, group.output), SHAPE), scales(group, x, y)
    )
    assert not isinstance(made, str), made
    (call,) = made
    assert isinstance(call.layer, LookupLayer)
    return call.layer


def scales(group: Group, x: Scale, y: Scale) -> dict[str, Scale]:
    return {group.inputs[0]: x, group.output: y}


def reals(scale: Scale) -> Array:
    low, high = BOUNDS[scale.dtype]
    return (np.arange(low, high + 1.0) - scale.zero_point) * scale.scale


def rounded(values: Array, scale: Scale) -> Array:
    low, high = BOUNDS[scale.dtype]
    found: Array = np.clip(np.rint(values / scale.scale) + scale.zero_point, low, high)
    return found


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_table_is_the_operators_definition(name: str) -> None:
    """ONNX's own evaluator at the 256 values, in float32: a step at most where it is near a
    half."""
    head = '<ir_version: 9, opset_import: ["" : 20]>'
    model = parser.parse_model(
        f"{head} g (float[1,8,6,6] x) => (float[1,8,6,6] y) {{ y = {OPERATORS[name]} }}"
    )
    x, y = Scale(0.043, -17, "int8"), Scale(0.051, 9, "uint8")
    layer = table_of(read_graph(import_onnx(model)["main"]), x, y)
    function = ReferenceEvaluator(onnx.shape_inference.infer_shapes(model))
    values = np.resize(reals(x).astype(np.float32), SHAPE)
    want = function.run(None, {"x": values})[0].reshape(-1)[:256].astype(np.float64)
    steps = np.abs(layer.table - rounded(want, y))
    exact = np.abs(np.abs(want / y.scale) % 1 - 0.5) > 1e-3
    assert not steps[exact].any()
    assert steps.max(initial=0) <= 1
    assert len(set(layer.table.tolist())) > 1


DTYPES = st.sampled_from(["int8", "uint8"])


@st.composite
def scale(draw: st.DrawFn) -> Scale:
    dtype: Any = draw(DTYPES)
    zero = draw(st.integers(*BOUNDS[dtype]))
    return Scale(float(np.float32(draw(st.floats(1e-4, 10)))), zero, dtype)


@given(scale(), scale(), st.floats(-3, 3), st.sampled_from(["silu", "cubic", "steps"]))
def test_any_table_is_its_function_rounded_to_even(x: Scale, y: Scale, a: float, kind: str) -> None:
    net = RelaxNet(*SHAPE)
    number = net.const(a)
    float_a = float(np.float32(a))
    if kind == "silu":
        body = relax.op.multiply(net.x, net.op("s", relax.op.sigmoid(net.x)))
        want = reals(x) / (1 + np.exp(-np.clip(reals(x), -700, None)))
    elif kind == "cubic":
        square = net.op("square", relax.op.multiply(net.x, net.x))
        body = relax.op.multiply(net.op("shift", relax.op.add(net.x, number)), square)
        want = (reals(x) + float_a) * reals(x) ** 2
    else:
        above = net.op("above", relax.op.greater(net.x, number))
        body = relax.op.where(above, net.const(1.5), net.x)
        want = np.where(reals(x) > float_a, 1.5, reals(x))
    graph = read_graph(net.finish(net.op("y", body))["main"])
    assert np.array_equal(table_of(graph, x, y).table, rounded(want, y))


def kinds(*built: Any) -> list[str]:
    net, results = built[0], built[1:]
    return [group.kind for group in read_graph(net.finish(*results)["main"]).groups.values()]


def test_a_chain_is_one_table_from_what_is_stored_anyway() -> None:
    net = RelaxNet(*SHAPE)
    x = net.conv("conv", net.x, 8)
    a = net.op("tanh", relax.op.tanh(x))
    b = net.op("sum", relax.op.add(net.op("double", relax.op.multiply(a, net.const(2.0))), x))
    c = net.op("exp", relax.op.exp(b))
    graph = read_graph(net.finish(net.conv("last", c, 4), net.conv("other", b, 4))["main"])
    found = {name: group.inputs for name, group in graph.groups.items() if group.kind == "lookup"}
    assert found == {"sum": ("conv",), "exp": ("sum",)}
    assert graph.groups["sum"].members == ("tanh", "double", "sum")


def test_limits_and_biases_stay_with_their_layer() -> None:
    """They cost nothing there, and the table's argument is what is stored."""
    net = RelaxNet(*SHAPE)
    x = net.op("clip", relax.op.clip(net.conv("conv", net.x, 8), -1, 3))
    y = net.op("gate", relax.op.sigmoid(x))
    graph = read_graph(net.finish(net.conv("last", y, 4))["main"])
    assert [group.kind for group in graph.groups.values()] == ["conv", "lookup", "conv"]
    assert graph.groups["gate"].inputs == ("clip",)
    lonely = RelaxNet(*SHAPE)
    assert kinds(lonely, lonely.op("clip", relax.op.clip(lonely.x, -1, 3))) == ["requantise"]


def test_two_activations_and_shapes_that_grow_are_no_function() -> None:
    net = RelaxNet(*SHAPE)
    x, y = net.conv("a", net.x, 8), net.conv("b", net.x, 8)
    end = net.op("product", relax.op.multiply(x, y))
    assert kinds(net, end) == ["conv", "conv", "multiply"]
    net = RelaxNet(1, 8, 1, 1)
    wide = net.const(np.ones((1, 8, 6, 6)))
    assert kinds(net, net.op("wide", relax.op.multiply(net.x, wide))) == []


def test_a_function_that_only_the_cpu_reads_stays_there() -> None:
    """At the end of a network float costs nothing and loses nothing."""
    net = RelaxNet(*SHAPE)
    end = net.op("gate", relax.op.sigmoid(net.conv("conv", net.x, 8)))
    made = QuantizeInt8(samples=net.samples())(net.finish(end))
    assert [layer.kind for found in layers(made).values() for layer in found] == ["conv"]
    assert cpu_reasons(made) == {"/gate": "no layer on the accelerator reads it"}


def test_a_function_without_a_value_stays_float() -> None:
    net = RelaxNet(*SHAPE)
    root = net.op("root", relax.op.sqrt(net.conv("conv", net.x, 8)))
    graph = read_graph(net.finish(net.conv("last", root, 4))["main"])
    group = graph.groups["root"]
    given = scales(group, Scale(0.1, 0, "int8"), Scale(0.1, 0, "int8"))
    found = layers_of(group, dict.fromkeys(given, SHAPE), given)
    assert found == "it is not a number at -12.8, which is within its input's quantized range"


def test_what_the_model_rounds_on_the_way_is_rounded() -> None:
    function = Function("x", (Step("a", np.tanh, ("x",)), Step("y", np.multiply, ("x", "a"))))
    x = np.linspace(-2, 2, 9)
    coarse = function(x, {"a": lambda values: np.rint(values * 2) / 2})
    assert np.array_equal(coarse, x * np.rint(np.tanh(x) * 2) / 2)
    assert np.array_equal(function(x, {}), x * np.tanh(x))


@pytest.mark.parametrize("operator", [relax.op.maximum, relax.op.minimum])
@pytest.mark.parametrize("zero", [-128, 3, 127])
def test_the_larger_of_two_is_chosen_exactly(operator: Any, zero: int) -> None:
    """Every int8 against every other of the same scale, within limits: no rounding."""
    net = RelaxNet(*SHAPE)
    both = net.conv("a", net.x, 8), net.conv("b", net.x, 8)
    (group,) = (
        each
        for each in read_graph(net.finish(net.op("y", operator(*both)))["main"]).groups.values()
        if each.kind == "extremum"
    )
    shape, scale = (1, 1, 256, 256), Scale(0.25, zero, "int8")
    names = (*group.inputs, group.output)
    made = layers_of(group, dict.fromkeys(names, shape), dict.fromkeys(names, scale))
    assert not isinstance(made, str), made
    every = np.arange(-128, 128, dtype=np.int8)
    values = [each.reshape(shape) for each in np.meshgrid(every, every)]
    pair = list(values)
    for call in made:
        values.append(evaluate_layer(call.layer, [values[at] for at in call.args]))
    want = np.maximum(*pair) if operator is relax.op.maximum else np.minimum(*pair)
    assert np.array_equal(values[-1], want)
