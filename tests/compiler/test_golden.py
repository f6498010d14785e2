"""The text of each level for one small network; ``pytest --update-golden`` writes it anew."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.dump import describe_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.mlir.tosa import region_text
from zeroskip.compiler.passes import assembly_text, graph_text
from zeroskip.compiler.scheduling.region import plan_region

FOLDER = Path(__file__).parent / "golden"


def _plain(b: GraphBuilder) -> LayerGraph:
    x = b.conv(b.input(3, 12, 12), 32, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.sum(b.conv(x, 32, (3, 3), pad=(1, 1, 1, 1)), x)
    return b.graph(b.dense(b.reshape(b.global_pool(y), 32), 10))


def _gated(b: GraphBuilder) -> LayerGraph:
    """Tables before and behind an addition, squeeze and excite."""
    x = b.lookup(b.conv(b.input(3, 6, 6), 16, (3, 3), stride=2, pad=(1, 1, 1, 1)))
    x = b.sum(b.lookup(b.conv(x, 16, (1, 1))), x)
    gate = b.lookup(b.conv(b.global_pool(x), 16, (1, 1)))
    return b.graph(b.multiply(x, gate))


def _headed(b: GraphBuilder) -> LayerGraph:
    """A dense layer whose weights are loaded while the convolutions before it run."""
    x = b.conv(b.input(64, 16, 16), 96, (3, 3), pad=(1, 1, 1, 1))
    x = b.pool(b.conv(x, 48, (3, 3), pad=(1, 1, 1, 1)), "max", 2, 2)
    return b.graph(b.dense(b.reshape(x, 48 * 8 * 8), 512))


def _pooled(b: GraphBuilder) -> LayerGraph:
    """A dense layer that follows the channels of a convolution through a global pool."""
    x = b.conv(b.input(128, 14, 14), 256, (1, 1))
    return b.graph(b.dense(b.reshape(b.global_pool(x), 256), 1200))


GRAPHS = {"": _plain, "gated_": _gated, "headed_": _headed, "pooled_": _pooled}
LEVELS = ("layers", "schedule", "asm", "tosa")


def _text(level: str, network: str) -> str:
    graph = GRAPHS[network](GraphBuilder(np.random.default_rng(11)))
    if level == "layers":
        return graph_text(graph)
    if level == "tosa":
        return region_text(graph)
    spec = load_spec("sparse256")
    region = lower(graph)
    plans = plan_region(region, spec)
    if level == "schedule":
        return "".join(f"{line}\n" for line in describe_region(region, plans))
    return assembly_text(emit_region(region, spec, plans))


@pytest.mark.parametrize(
    ("network", "level"),
    [*product(("", "gated_"), LEVELS), ("headed_", "schedule"), ("pooled_", "schedule")],
)
def test_golden(network: str, level: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{network}{level}.txt"
    found = _text(level, network)
    if request.config.getoption("--update-golden"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing; run pytest --update-golden and look at it"
    assert found == path.read_text(encoding="utf-8"), (
        "the text changed; if that is meant, run pytest --update-golden and look at the change"
    )
