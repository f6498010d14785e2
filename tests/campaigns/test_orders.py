"""Samples of the shuffled orders and of the round trips."""

from __future__ import annotations

import random

import pytest

from conftest import SEED
from tests.campaigns.programs import NETWORKS, TARGETS, sample, tiny
from tests.campaigns.roundtrips import (
    program_survives,
    random_instruction,
    random_word,
    survives,
    word_is_faithful,
)
from tests.campaigns.shuffles import differences
from zeroskip.accel_model.spec import load_spec


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_any_legal_order_gives_the_same_bits(name: str, target: str) -> None:
    one = sample(name, tiny(load_spec(target)), name, seed=0)
    assert differences(one.program, one.inputs[0], range(10)) == 0
    assert program_survives(one.program)


def test_instructions_come_back_the_same() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    assert all(survives(random_instruction(rng)) for _ in range(1000))
    seen = {word_is_faithful(random_word(rng)) for _ in range(1000)}
    assert seen == {"decoded", "refused"}
