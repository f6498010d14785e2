"""Every array whose time depends on activations, fast against stepped, to the cycle.

ZEROSKIP_TILES=n runs n random tiles of each kind (40 without it) and ZEROSKIP_SEED starts the
random numbers elsewhere.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.accel_model.arrays.input_kinds import RANDOM
from tests.accel_model.arrays.input_tiles import difference, random_tile

TILES = int(os.environ.get("ZEROSKIP_TILES", "40"))
SEED = int(os.environ.get("ZEROSKIP_SEED", "20260101"))


@pytest.mark.parametrize("kind", RANDOM)
def test_fast_is_stepped(kind: str) -> None:
    for case in range(TILES):
        rng = np.random.default_rng([SEED, case])
        tile = random_tile(rng, RANDOM[kind](rng))
        assert not difference(tile), f"{kind}, case {case}: {difference(tile)}"
