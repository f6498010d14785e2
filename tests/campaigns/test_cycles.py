"""A sample of what is stepped clock by clock, and that the comparison sees a difference."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from conftest import SEED
from tests.campaigns.cycles import CycleKind, difference, kinds, network
from tests.campaigns.programs import NETWORKS, TARGETS, sample, tiny
from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.reference.convolution import Outcome
from zeroskip.accel_model.spec import Storage, load_spec


@pytest.mark.parametrize(
    "kind", [kind for kind in kinds() if kind.sample], ids=lambda kind: kind.name
)
def test_times_and_counts_are_those_of_the_stepped_hardware(kind: CycleKind) -> None:
    for case in range(kind.sample):
        found = kind.check(np.random.default_rng([SEED, case]))
        assert not found, f"seed {SEED}, case {case}: {found}"


@pytest.mark.diagonal
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_in_every_moment(name: str, target: str) -> None:
    assert not network(sample(name, tiny(load_spec(target)), name, seed=SEED % 100).program)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(name, target, marks=pytest.mark.matrix)
        if name == "reduction"
        else (name, target)
        for name, target in zip(NETWORKS, cycle(TARGETS), strict=False)
    ],
)
def test_networks_of_16_bits_agree_in_every_moment(name: str, target: str) -> None:
    """Each on one target; ``make cycles`` has every pair."""
    spec = replace(tiny(load_spec(target)), storage=Storage(16, 16))
    assert not network(sample(name, spec, name, seed=SEED % 100).program)


def test_a_difference_is_seen() -> None:
    outcome = Outcome()
    outcome.events.update(cycles=5, macs=7)
    assert not difference(Cost(cycles=5, macs=7), outcome)
    assert difference(Cost(cycles=5, macs=8), outcome) == "macs 8, stepped 7"
    assert (
        difference(Cost(cycles=5, macs=7, events={"act_rows": 1}), outcome)
        == "act_rows 1, stepped 0"
    )
