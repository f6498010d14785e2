"""Arrays that look at activations: what they know of them, in a tile and in whole programs.

That their times are those of the stepped hardware is ``tests/campaigns/test_cycles.py``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import cast

import numpy as np
import pytest

from conftest import SEED
from tests.accel_model.arrays.input_kinds import RANDOM
from tests.accel_model.arrays.input_tiles import difference, fast, priced, random_tile
from tests.campaigns.programs import NETWORKS, sample
from zeroskip.accel_model.arrays.scnn import ScnnGeometry
from zeroskip.accel_model.arrays.sparten import SPARTEN
from zeroskip.accel_model.conformance import failures
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import PRODUCTS
from zeroskip.accel_model.spec import load_spec

TARGETS = ("scnn256", "eyeriss256", "sparten256", "zhu256", "abm256", "dcnn256")
PAIRS = [*zip([*NETWORKS][::2], [*NETWORKS][1::2], strict=True)]


@pytest.mark.parametrize("kind", RANDOM)
def test_knowing_the_inputs_never_makes_an_array_slower(kind: str) -> None:
    for case in range(8):
        rng = np.random.default_rng([SEED, case])
        tile = random_tile(rng, RANDOM[kind](rng))
        known, unknown = fast(tile), fast(tile, known=False)
        assert known.cycles <= unknown.cycles
        assert (known.cycles == unknown.cycles) or "inputs" in tile.spec.kind.skips
        assert known.slots["multiply"] <= unknown.slots["multiply"]


@pytest.mark.parametrize("kind", RANDOM)
def test_more_zeros_in_the_inputs_are_fewer_products_where_they_are_skipped(kind: str) -> None:
    for case in range(8):
        rng = np.random.default_rng([SEED, case])
        tile = random_tile(rng, RANDOM[kind](rng))
        fewer = np.where(rng.random(tile.image.shape) < 0.7, 0, tile.image)
        images = (tile.image, fewer, np.zeros_like(fewer))
        dense, sparse, none = (fast(replace(tile, image=each)).slots["multiply"] for each in images)
        if "inputs" in tile.spec.kind.skips:
            assert dense >= sparse >= none == 0, f"seed {SEED}, case {case}"
        else:
            assert dense == sparse == none, f"seed {SEED}, case {case}"


@pytest.mark.parametrize("kind", [kind for kind in RANDOM if kind.startswith("sparten")])
def test_spartens_price_is_its_time_without_zeros_in_inputs(kind: str) -> None:
    """Padding, imbalance of units and drains of every output are in it: tiles of few outputs at a
    time with many rows of ACT to fetch were priced at a half and less."""
    for case in range(40):
        rng = np.random.default_rng([SEED, case])
        tile = random_tile(rng, RANDOM[kind](rng))
        assert priced(tile) == fast(tile, known=False).cycles, f"seed {SEED}, case {case}"


def test_what_no_output_looks_at_does_not_matter() -> None:
    """ACT may hold anything there."""
    for kind in ("scnn", "eyeriss_v2", "sparten", "zhu"):
        rng = np.random.default_rng([SEED, len(kind)])
        tile = random_tile(rng, RANDOM[kind](rng))
        window = tile.window._replace(top=1, left=1, rows=1, cols=1, row_stride=2, col_stride=2)
        window = window._replace(out_height=2, out_width=2, row_dilation=1, col_dilation=1)
        tile = replace(tile, window=window, weight=tile.weight[:, :, :1, :1], operand_row=None)
        seen = np.zeros(tile.image.shape[1:], np.bool_)
        seen[1:4:2, 1:4:2] = True
        other = replace(tile, image=np.where(seen, tile.image, 7))
        assert fast(tile) == fast(other), kind


def test_a_difference_between_fast_and_stepped_is_seen() -> None:
    rng = np.random.default_rng(1)
    tile = random_tile(rng, RANDOM["scnn"](rng))
    slower = replace(
        cast(ScnnGeometry, tile.spec.array), pipeline_cycles=tile.spec.array.pipeline_cycles + 1
    )
    assert not difference(tile)
    assert "cycles" in difference(replace(tile, spec=replace(tile.spec, array=slower)), tile)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 40, 63, 64, 65, 100, 129])
def test_greedy_balancing_pairs_the_most_with_the_fewest(count: int) -> None:
    geometry = load_spec("sparten256").array
    work = np.random.default_rng(count).permutation(count).astype(np.int64)
    order = SPARTEN.order(geometry, work)  # type: ignore[arg-type]
    assert sorted(order.tolist()) == list(range(count))
    for first in range(0, count, 64):
        group = work[order[first : first + 64]]
        pairs = [int(a + b) for a, b in zip(group[:32], group[32:], strict=False)]
        assert len(set(pairs)) <= 2 or max(pairs) - min(pairs) <= 1
    if count > 64:
        alone = work[order[count - count % 64 or 64 :]]
        assert len(alone) <= 64


@pytest.mark.parametrize(
    ("target", "names"),
    [
        *zip(TARGETS, cycle(PAIRS), strict=False),
        *(pytest.param(target, tuple(NETWORKS), marks=pytest.mark.matrix) for target in TARGETS),
    ],
)
def test_a_program_computes_the_same_and_takes_each_images_own_time(
    target: str, names: tuple[str, ...]
) -> None:
    spec = load_spec(target)
    differ = False
    for name in names:
        made, dense = (sample(name, each, name, 3) for each in (spec, load_spec("dense256")))
        rng = np.random.default_rng(SEED)
        images = {
            key: np.concatenate([values, np.where(rng.random(values.shape) < 0.7, point, values)])
            for key, values in made.inputs[0].items()
            for point in [np.asarray(made.graph.tensors[key].zero_point, values.dtype)]
        }
        run = Machine(spec).run(made.program, images)
        expected = Machine(dense.program.spec).run(dense.program, images).outputs
        for key, values in expected.items():
            assert np.array_equal(run.outputs[key], values), (target, name)
        if not spec.kind.looks_at_inputs:
            assert not run.each
            continue
        for number, own in enumerate(run.each):
            alone = Machine(spec).run(
                made.program, {key: values[number : number + 1] for key, values in images.items()}
            )
            assert own.cycles == alone.cycles
            assert all((own.counters[n] == v).all() for n, v in alone.counters.items())
        unknown = Machine(spec).run(made.program, {}, numbers=False)
        if "inputs" in spec.kind.skips:
            # More zeros in an image need not be more zeros in later layers: only the bound holds.
            products = [int(own.counters[PRODUCTS].sum()) for own in run.each]
            assert max(products) <= int(unknown.counters[PRODUCTS].sum())
            differ |= products[0] != products[1]
        else:
            assert set(run.all_cycles) == {unknown.cycles}
    assert differ == ("inputs" in spec.kind.skips)


@pytest.mark.parametrize("target", TARGETS)
def test_targets_conform(target: str) -> None:
    assert list(failures(load_spec(target), tiles=3, seed=SEED)) == []
