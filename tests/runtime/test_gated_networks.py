"""The first blocks of networks with squeeze and excite: one region, every layer TVM's bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.onnx_graph import Graph
from models.zoo import MODELS
from zeroskip import compiler
from zeroskip.runtime.execution.validation import validate

SIDE = 24


@pytest.mark.parametrize(
    ("name", "blocks", "target"),
    [
        ("efficientnet_b0", 1, "sparse256"),
        pytest.param("mobilenet_v3", 4, "systolic256", marks=pytest.mark.slow),
    ],
)
def test_activations_and_gates_stay_on_the_accelerator(name: str, blocks: int, target: str) -> None:
    """SiLU, hard-swish, sigmoid and hard-sigmoid join the layers before them; nothing is left."""
    model = MODELS[name](image=SIDE, classes=10, blocks=blocks)
    images = np.random.default_rng(0).standard_normal((3, 3, SIDE, SIDE)).astype(np.float32)
    network = compiler.compile(model, target, calibrate={"image": images})
    assert network.cpu == {}
    (program,) = network.programs.values()
    kinds = {layer.kind for layer in program.layers}
    assert {"conv+lookup", "multiply"} <= kinds
    assert "lookup" not in kinds  # none is a pass of its own
    found = validate(network, {"image": images[:1]})
    assert found.exact, found.text()
    assert found.layers == found.of_layers
    assert found.snr_db["logits"] > 20


def _gelu(g: Graph, x: str) -> str:
    root, one, half = (
        g.tensor(name, np.array(v)) for name, v in (("r", 2**0.5), ("o", 1), ("h", 0.5))
    )
    above = g.node("Add", "above", g.node("Erf", "erf", g.node("Div", "scaled", x, root)), one)
    return g.node("Mul", "gelu", g.node("Mul", "both", x, above), half)


def _hardswish(g: Graph, x: str) -> str:
    three, zero, six = (g.tensor(name, np.array(v)) for name, v in (("t", 3), ("z", 0), ("s", 6)))
    above = g.node("Clip", "clip", g.node("Add", "above", x, three), zero, six)
    return g.node("Div", "hswish", g.node("Mul", "both", x, above), six)


def _one_slope(g: Graph, x: str) -> str:
    return g.node("PRelu", "prelu", x, g.tensor("slope", np.array([0.2])))


def _slopes(g: Graph, x: str) -> str:
    return g.node("PRelu", "prelu", x, g.tensor("slope", g.rng.uniform(0.05, 0.4, (8, 1, 1))))


def _norm_silu(g: Graph, x: str) -> str:
    """Behind a sum, as networks with activations first have it."""
    x = g.norm("before", g.relu("relu", g.node("Add", "sum", x, g.conv("side", x, 8, 8, 1))), 8)
    return g.node("Mul", "silu", x, g.node("Sigmoid", "sigmoid", x))


@pytest.mark.parametrize(
    ("activation", "kinds"),
    [
        (_gelu, ["conv+lookup", "conv"]),
        (_hardswish, ["conv+lookup", "conv"]),
        (_norm_silu, ["conv", "conv+add", "depthwise+lookup", "conv"]),
        (_one_slope, ["conv+lookup", "conv"]),
        (_slopes, ["conv", "avgpool", "avgpool", "depthwise+add", "conv"]),
    ],
)
def test_activations_that_are_written_out(
    activation: Callable[[Graph, str], str], kinds: list[str]
) -> None:
    """One table, whatever passes over constants made of the parts; a slope for each channel is
    none."""
    g = Graph(0)
    x = activation(g, g.norm("norm", g.conv("first", "image", 3, 8, 3), 8))
    g.pooled_classifier(g.conv("last", x, 8, 8, 3), 8, 10)
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    network = compiler.compile(g.model("net", 8, 10), "dense256", calibrate={"image": images})
    assert network.cpu == {}
    (program,) = network.programs.values()
    assert [layer.kind for layer in program.layers] == [*kinds, "avgpool", "conv"]
    found = validate(network, {"image": images[:1]})
    assert found.exact, found.text()
    assert found.snr_db["logits"] > 25


PAIRS = (("Max", "xp"), ("Min", "px"), ("Add", "px"), ("Sub", "px"), ("Sub", "xp"))


@pytest.mark.parametrize(
    "shape",
    [
        (8, 6, 6),
        (8, 1, 1),
        *(pytest.param(shape, marks=pytest.mark.matrix) for shape in ((1, 6, 6), (1, 1, 1))),
    ],
)
def test_the_second_of_two_tensors_spreads(shape: tuple[int, int, int]) -> None:
    """It has a value for each element, channel or pixel, or one, whichever stands first; all on the
    accelerator, to the bits of TVM's CPU."""
    g = Graph(0)
    x = g.conv("first", "image", 3, 8, 3)
    for number, (operator, order) in enumerate(PAIRS):
        p = g.conv(f"other{number}", "image", 3, shape[0], 3)
        if shape[1] == 1:
            p = g.node("GlobalAveragePool", f"mean{number}", p)
        both = {"x": x, "p": p}
        x = g.node(operator, f"pair{number}", *(both[each] for each in order))
    g.pooled_classifier(g.conv("last", x, 8, 8, 3), 8, 10)
    images = np.random.default_rng(0).standard_normal((4, 3, 6, 6)).astype(np.float32)
    network = compiler.compile(g.model("net", 6, 10), "sparse256", calibrate={"image": images})
    assert network.cpu == {}
    assert len(network.programs) == 1
    found = validate(network, {"image": images[:2]})
    assert found.exact, found.text()
    assert found.layers == found.of_layers
    assert found.snr_db["logits"] > 30
