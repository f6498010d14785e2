"""What the search expects of the array and of the bus, against the machine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from conftest import SEED
from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.arrays.base import Case
from zeroskip.accel_model.arrays.tile_counts import patch_window
from zeroskip.accel_model.formats import Shape
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import COMPUTE
from zeroskip.accel_model.spec import AccelSpec, equal_targets, load_spec
from zeroskip.accel_model.timing.shape import WindowShape
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import ConvPlan, GroupPlan
from zeroskip.compiler.ir.tiles import Interval
from zeroskip.compiler.ir.weight_packing import PackedWeights
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.conv_search import ConvSearch
from zeroskip.compiler.scheduling.cost_model import TileContext

SIZE = 28  # outputs of a row, which are no whole number of 16 or of 32 that a gang works on
PATCHES = [(1, 4), (1, 7), (1, 28), (2, 7), (3, 28), (14, 28), (28, 28)]
TOLERANCE = 0.12  # of an estimate, which is a straight line through a few patches


@cache
def convolution(channels: int, filters: int) -> tuple[Region, ops.ConvOp]:
    """3x3, a quarter of the weights left in any position."""
    b = GraphBuilder(np.random.default_rng(SEED), 0.25)
    region = lower(b.graph(b.conv(b.input(channels, SIZE, SIZE), filters, (3, 3), pad=(1,) * 4)))
    (op,) = region.ops
    assert isinstance(op, ops.ConvOp)
    return region, op


def whole(op: ops.ConvOp, spec: AccelSpec, channels: int) -> Case:
    """All outputs, from the first channels."""
    weights = PackedWeights(op, spec)
    filters = weights.filter_set(Interval(0, len(op.weight)), Interval(0, channels))
    window = WindowShape(SIZE, SIZE, SIZE, -1, -1, 3, 3, 1, 1, 1, 1, SIZE, SIZE)
    return Case(window, filters, spec.kind.modes(spec.array)[0], True, True)


@pytest.mark.parametrize("target", equal_targets())
def test_patches_are_priced_at_what_they_take(target: str) -> None:
    """Whatever share of a row they are: those of 7 columns were priced at three quarters, large
    ones at five quarters, where 12 groups were meant to be timed and were 14."""
    spec = load_spec(target)
    _, op = convolution(32, 64)
    case = whole(op, spec, 32)
    for high, wide in PATCHES:
        window = patch_window(case.window, high, wide)
        cycles = spec.kind.conv(spec, replace(case, window=window)).cycles
        price = spec.kind.price(spec, case).cycles_of(np.array([high]), np.array([wide]))
        assert float(price[0]) == pytest.approx(cycles, rel=TOLERANCE), (high, wide)


@pytest.mark.parametrize("target", equal_targets())
def test_the_bytes_of_weights_are_those_that_are_moved(target: str) -> None:
    """Zeros that fill a group or bridge a distance included: with those of nm256 left out, weights
    were read again for every patch, since that looked as fast (VGG-16 took 95 million cycles)."""
    spec, (region, op) = load_spec(target), convolution(96, 48)
    weights = PackedWeights(op, spec)
    for channels in (16, 32, 96):
        if not spec.kind.takes(spec.array, Shape(channels, 9)):
            continue
        plan = ConvPlan(spec.kind.modes(spec.array)[0], 48, 4, 7, channels, "chunks", False)
        stream = decode_all(emit_region(region, spec, [GroupPlan(1, (plan,))]).words)
        moved = sum(each.size for each in stream if isinstance(each, isa.LoadWeights))
        assert weights.packed_bytes(channels) == moved


def test_the_next_tile_of_filters_is_known_to_wait() -> None:
    """All chunks of a tile stay for the second patch, and two tiles do not fit: the next one comes
    in while the last patch uses the last chunk."""
    spec = load_spec("sparse256")
    b = GraphBuilder(np.random.default_rng(SEED), 0.25)
    region = lower(b.graph(b.conv(b.input(1024, 14, 14), 1024, (1, 1), stride=2)))
    (op,) = region.ops
    assert isinstance(op, ops.ConvOp)
    ranked = ConvSearch(op, spec).ranked(TileContext(7, 6000), 1000)
    waiting = [each for each in ranked if each.cost.waits]
    assert waiting
    for each in waiting[:3]:
        plan = each.plan
        assert isinstance(plan, ConvPlan)
        assert plan.outer == "weights"
        run = Machine(spec).run(
            emit_region(region, spec, [GroupPlan(1, (plan,))]), {}, numbers=False
        )
        taken = (run.free - run.start)[run.unit == COMPUTE].sum()
        began, ended = run.start[run.unit == COMPUTE].min(), run.free[run.unit == COMPUTE].max()
        assert each.cost.waits / 2.5 < ended - began - taken < each.cost.waits
