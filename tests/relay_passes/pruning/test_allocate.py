"""Budgets are kept, shared out as well as any choice could, and refused in one sentence."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay_passes.float_nets import RelaxNet
from tests.relay_passes.pruning.test_reconstruct import head
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter
from zeroskip.relay_passes.pruning.activations.statistics import layer_columns
from zeroskip.relay_passes.pruning.apply import prune
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.budget import allocate as allocation
from zeroskip.relay_passes.pruning.budget.allocate import Budget, allocate, choose
from zeroskip.relay_passes.pruning.budget.sensitivity import candidates, macs, output_error, weights
from zeroskip.relay_passes.pruning.reconstruction.reconstruct import Reconstruct
from zeroskip.relay_passes.pruning.schemes.recipe import parse_recipe, read_recipe

Layers = list[list[tuple[float, float]]]
UNSTRUCTURED = read_recipe("unstructured:skip_first=no")


def brute_force(layers: Layers, budget: float) -> float:
    """The least sum of errors of all choices that cost no more; infinite if there is none."""
    return min(
        (
            sum(one[0] for one in each)
            for each in product(*layers)
            if sum(one[1] for one in each) <= budget
        ),
        default=math.inf,
    )


OFFERS = st.lists(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60)), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)


@settings(max_examples=200)
@given(layers=OFFERS, budget=st.integers(1, 120))
def test_whole_numbers_are_shared_out_exactly(layers: Layers, budget: int) -> None:
    """Costs that are multiples of a bin: as good as the best of all choices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocation, "BINS", budget)
        chosen = choose(layers, budget)
    best = brute_force(layers, budget)
    assert (chosen is None) == math.isinf(best)
    if chosen is not None:
        took = [each[at] for each, at in zip(layers, chosen, strict=True)]
        assert sum(one[1] for one in took) <= budget
        assert sum(one[0] for one in took) == pytest.approx(best)


@settings(max_examples=200)
@given(
    layers=st.lists(
        st.lists(st.tuples(st.floats(0, 1), st.floats(0, 50)), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    ),
    budget=st.floats(0.1, 100),
)
def test_other_numbers_lose_at_most_a_bin_for_each_layer(layers: Layers, budget: float) -> None:
    chosen = choose(layers, budget)
    assert (chosen is None) == math.isinf(brute_force(layers, budget))
    if chosen is not None:
        took = [each[at] for each, at in zip(layers, chosen, strict=True)]
        assert sum(one[1] for one in took) <= budget
        less = budget * (1 - len(layers) / allocation.BINS)
        assert sum(one[0] for one in took) <= brute_force(layers, less) + 1e-9


def test_the_error_of_a_layer_is_what_reconstruction_leaves() -> None:
    net = RelaxNet(1, 6, 8, 8)
    dense, samples = net.finish(net.conv("conv", net.x, 8)), net.samples(30)
    pruned = tvm.transform.Sequential(parse_recipe("unstructured:sparsity=0.7"))(dense)
    [layer], [left] = (prunable_layers(mod["main"]) for mod in (dense, pruned))
    [(_, seen)] = layer_columns(dense, samples, [layer.var])
    made = Reconstruct(dense, samples)(pruned)
    [note] = (str(note) for note in made["main"].attrs["zeroskip.pruned"].values())
    assert output_error(layer, left.weight, seen) == pytest.approx(
        float(note.split("-> ")[1]), rel=0.02
    )


def test_stronger_pruning_costs_less_and_errs_more() -> None:
    dense, samples = head()
    found = candidates(dense, UNSTRUCTURED, samples, macs)
    assert list(found) == ["/c0", "/dw", "/c1", "/g", "/c2", "/fc"]
    assert len(found["/dw"]) == 1, "depthwise layers are not the scheme's"
    for offers in found.values():
        costs, errors = ([getattr(one, name) for one in offers] for name in ("cost", "error"))
        assert offers[0].options is None
        assert errors[0] == 0
        assert costs == sorted(costs, reverse=True)
        assert all(later >= earlier - 1e-3 for earlier, later in pairwise(errors))


@pytest.mark.parametrize("what", ["macs", "weights"])
def test_a_budget_is_kept_and_the_recipe_does_what_it_says(what: str) -> None:
    dense, samples = head()
    share = allocate(dense, Budget(what, 0.4), UNSTRUCTURED, samples)
    assert 0.3 < share.ratio <= 0.4
    made = tvm.transform.Sequential(parse_recipe(share.recipe))(dense)
    left, whole = (
        [
            layer.macs if what == "macs" else np.count_nonzero(layer.weight)
            for layer in prunable_layers(mod["main"])
        ]
        for mod in (made, dense)
    )
    assert sum(left) / sum(whole) == pytest.approx(share.ratio)
    text = str(share)
    assert text.startswith(f"budget {what}=0.4: 0.3")
    assert "  /dw: stays; error 0" in text
    assert "/c2: unstructured:sparsity=" in text


def test_a_layer_that_gains_nothing_is_left_alone() -> None:
    """A cost that does not fall with the weights, as of a layer bound by memory."""
    dense, samples = head()

    def cycles(site: Any, weight: np.ndarray) -> float:
        return 100.0 if site.layer.node == "/c2" else weights(site, weight)

    share = allocate(dense, Budget("cycles", 0.5), UNSTRUCTURED, samples, cycles=cycles)
    assert share.layers["/c2"].options is None
    assert share.ratio <= 0.5


def test_schemes_that_take_the_same_layer_are_alternatives() -> None:
    dense, samples = head()
    recipe = read_recipe("block:block=2x2+unstructured:skip_first=no")
    share = allocate(dense, Budget("weights", 0.5), recipe, samples)
    alone = allocate(dense, Budget("weights", 0.5), recipe[:1], samples)
    names = [str(one.layers) for one in share.recipe]
    assert len(names) == len(set(names))
    assert (
        sum(one.error for one in share.layers.values())
        <= sum(one.error for one in alone.layers.values()) + 1e-9
    )


@pytest.mark.parametrize("method", [None, "weights"])
def test_an_snr_is_measured_and_reached(method: str | None) -> None:
    dense, samples = head(images=40)
    share = allocate(dense, Budget("snr", 15), UNSTRUCTURED, samples, method=method)
    assert share.snr is not None
    assert share.snr >= 15
    assert share.ratio < 1
    known, held_back = ({"input": samples["input"][part]} for part in (slice(30), slice(30, None)))
    made = prune(dense, share.recipe, samples=known, method=method)
    outputs = (Interpreter(mod, held_back).run() for mod in (dense, made))
    assert snr_db(*outputs) == pytest.approx(share.snr, abs=0.01)
    assert " dB" in str(share).splitlines()[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("macs", "write macs=0.25"),
        ("macs=much", "write macs=0.25"),
        ("macs=0.2dB", "write macs"),
        ("mac=0.5", "did you mean 'macs'"),
        ("macs=0", "above 0 and at most 1"),
        ("cycles=1.5", "above 0 and at most 1"),
        ("weights=nan", "above 0 and at most 1"),
        ("snr=-3dB", "a number of dB above 0"),
        ("snr=dB", "write macs=0.25"),
    ],
)
def test_budgets_that_are_wrong(text: str, sentence: str) -> None:
    with pytest.raises(PassError, match=sentence):
        Budget.parse(text)


def test_budgets_that_are_right() -> None:
    assert Budget.parse("snr=20dB") == Budget("snr", 20.0) == Budget.parse("snr=20")
    assert [str(Budget.parse(text)) for text in ("macs=0.25", "snr=20")] == [
        "macs=0.25",
        "snr=20dB",
    ]


@pytest.mark.parametrize(
    ("budget", "recipe", "sentence"),
    [
        (
            "macs=0.02",
            "unstructured",
            r"macs=0.02 cannot be reached.*, 0\.\d+ of the dense network's "
            "macs are left",
        ),
        ("cycles=0.5", "unstructured", "needs a target whose cycles can be counted"),
        ("macs=0.5", "filters", "schemes that set weights to zero, and 'filters' does not"),
        (
            "macs=0.5",
            "unstructured:layers=/c9",
            "layers=/c9 matches no convolution or matmul of the "
            "model; names there are '/fc', '/c2', '/c1'",
        ),
        ("macs=0.5", "pattern:kernel=5x5", "nothing to share out: the recipe takes no layer"),
        ("snr=200dB", "unstructured:layers=/c0", "cannot be reached by pruning: "),
    ],
)
def test_budgets_that_cannot_be_shared_out(budget: str, recipe: str, sentence: str) -> None:
    dense, samples = head()
    with pytest.raises(PassError, match=sentence):
        allocate(dense, Budget.parse(budget), read_recipe(recipe), samples)
