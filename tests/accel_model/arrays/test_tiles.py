"""A sample of random tiles: fast models against those that step clock by clock (``make
cycles``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conftest import SEED
from tests.accel_model.arrays.tiles import SMALL, compared, difference, random_tile

TILES = 40


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_fast_and_stepped_agree(kind: str) -> None:
    for case in range(TILES):
        found = difference(np.random.default_rng([SEED, case]), kind)
        assert not found, f"seed {SEED}, case {case}: {found}"


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_a_difference_is_seen(kind: str) -> None:
    """The fast model with a cycle more at the end than the reference."""
    tile = random_tile(np.random.default_rng(7), kind)
    assert not compared(tile, tile.spec)
    array: Any = tile.spec.array
    array = replace(array, pipeline_cycles=tile.spec.array.pipeline_cycles + 1)
    found = compared(tile, replace(tile.spec, array=array))
    assert "cycles" in found
    assert "drain" in found
