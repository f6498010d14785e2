"""A few random networks, and the cases that fuzzing found; ``make fuzz`` runs more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.campaigns.fuzz import FuzzRequest, cases
from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, dump_case, found_cases, parse_case
from tests.campaigns.fuzz_check import judge, multiplies
from tests.campaigns.fuzz_coverage import CHANNELS, features
from tests.campaigns.fuzz_layers import build_graph
from tests.campaigns.fuzz_random import ARRAYS, LANES, TARGETS, random_case, random_changes
from tests.campaigns.fuzz_shrink import shrink
from tests.campaigns.fuzz_smallest import GRAIN, squeeze
from tests.campaigns.fuzz_weights import SCHEMES
from zeroskip.compiler.lowering import lower

FIRST = 1_000_700
KINDS_OF_LAYERS = (
    *("conv", "dense", "add", "multiply", "maxpool", "avgpool", "requantise", "lookup"),
    *("concat", "reshape", "gather", "depth2space"),
)


@pytest.mark.parametrize("path", found_cases(), ids=lambda path: path.stem)
def test_what_was_found_stays_mended(path: Path) -> None:
    verdict = judge(parse_case(path.read_text(encoding="utf-8")))
    assert verdict.outcome != "failed", verdict.message


@pytest.mark.parametrize(
    ("first", "number"),
    [
        (FIRST, 3),
        pytest.param(FIRST + 3, 17, marks=pytest.mark.matrix),
        pytest.param(FIRST + 20, 20, marks=pytest.mark.slow),
    ],
)
def test_random_networks_are_exact(first: int, number: int) -> None:
    """One of them against TVM too; now and then an ONNX model."""
    wanted = cases(number, tvm=1, onnx=int(first % 40 == 0), seed=first)
    for one in wanted:
        print(one)
        verdict = judge(one.case(smallest=0))
        assert verdict.outcome != "failed", f"{one}: {verdict.message}"


def test_the_smallest_memories_are_tight() -> None:
    """A little less of the memory that was squeezed does not do."""
    case = replace(random_case(FIRST), changes={}, target="dense256")
    small = squeeze(case, np.random.default_rng(0))
    assert judge(small).outcome == "exact"
    for name, size in small.changes.items():
        less = replace(small, changes={**small.changes, name: size - GRAIN})
        assert judge(less).outcome != "exact"


@pytest.mark.slow
def test_a_wrong_bit_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that swaps the operands' scales of fused additions."""
    monkeypatch.setattr(lower, "_swapped", lambda total: total)

    def fails(case: FuzzCase) -> bool:
        return "differ" in judge(case).what

    seeds = range(FIRST, FIRST + 200)
    case = next(case for case in map(random_case, seeds) if fails(case))
    small = shrink(case, fails, seconds=20)
    assert fails(small)
    assert [step.kind for step in small.steps] == ["conv", "add"]
    assert small.changes == {}


def test_a_case_survives_its_file() -> None:
    for seed in range(20):
        case = random_case(seed)
        assert parse_case(dump_case(case)) == case


def test_a_case_is_its_seed() -> None:
    wanted = FuzzRequest("layers", FIRST, tvm=False)
    assert dump_case(wanted.case()) == dump_case(wanted.case())


def test_steps_that_no_output_needs_are_dropped() -> None:
    steps = tuple(
        FuzzStep("requantise", (x,), y) for x, y in (("a", "v0"), ("b", "v1"), ("v0", "v2"))
    )
    case = FuzzCase(
        "layers", "dense256", {"a": {"shape": [1, 1]}, "b": {"shape": [1, 1]}}, steps, ("v2",)
    )
    assert [step.output for step in case.trimmed().steps] == ["v0", "v2"]
    assert list(replace(case, outputs=("v1",)).trimmed().inputs) == ["b"]


def test_tvm_cases_are_spread_evenly() -> None:
    found = [wanted.tvm for wanted in cases(100, tvm=25, onnx=0, seed=7)]
    assert np.flatnonzero(found).tolist() == list(range(3, 100, 4))


def test_the_generator_draws_every_parameter() -> None:
    """What is promised of the networks and the hardware, each at least five times in 400 cases."""
    drawn = Counter(
        feature for seed in range(FIRST, FIRST + 400) for feature in features(random_case(seed))
    )
    wanted = {
        "target": TARGETS,
        "bus, bytes a cycle": (4, 8, 16, 32, 64),
        "array": ("64x4", "16x16"),
        "layers": ("1", "2 to 4", "5 to 8", "9 to 12"),
        "outputs": ("one", "several"),
        "inputs": ("one", "several"),
        "convolution, kernel": range(1, 8),
        "convolution, stride": (1, 2, 3),
        "convolution, dilation": (1, 2, 3),
        "convolution, padding": ("none", "symmetric", "asymmetric"),
        "convolution, groups": ("one", "several", "depthwise"),
        "zeros": (*SCHEMES, "none"),
        "density of weights": (0, 0.05, 0.25, 0.5, 0.9, 1),
        "type": ("int8", "uint8"),
        "spatial": ("vector", "1-D", "1x1", "odd", "other 2-D"),
        "channels": [name for _, name in CHANNELS],
        "layer": KINDS_OF_LAYERS,
        "structure": (
            "residual",
            "shared tensor",
            "output that is read on",
            "concatenation of 2",
            "concatenation of 3",
            "concatenation of 4",
        ),
        "pool, kernel": range(1, 8),
        "pool, padding": ("none", "symmetric", "asymmetric"),
        "bits stored": ("8 x 8", "8 x 16", "16 x 8", "16 x 16"),
        "ACT memory": ("8 to 32 KiB", "more"),
        "WGT memory": ("below 8 KiB", "more"),
    }
    for parameter, values in wanted.items():
        for value in values:
            assert drawn[parameter, str(value)] >= 5, f"{parameter} {value}"


def test_multiplies_are_counted_from_the_layers() -> None:
    graph, first = next(
        (graph, node.layer)
        for graph in (build_graph(random_case(seed)) for seed in count(FIRST))
        for node in graph.nodes
        if hasattr(node.layer, "weight")
    )
    rest = replace(graph, nodes=tuple(node for node in graph.nodes if node.layer is not first))
    outputs = int(np.prod(first.y.shape[2:]))
    assert multiplies(graph) - multiplies(rest) == np.count_nonzero(first.weight) * outputs


@pytest.mark.parametrize("target", [*LANES, *ARRAYS])
def test_changed_hardware_is_taken(target: str) -> None:
    """Where it is refused the target is run as it is, so a key that it lacks would go unseen."""
    drawn = [random_changes(np.random.default_rng(seed), target) for seed in range(30)]
    assert sum(any(name.startswith("array.") for name in each) for each in drawn) > 3
    for changes in drawn:
        FuzzCase("layers", target, {}, (), (), changes).spec()
