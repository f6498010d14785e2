"""The search's answer against every schedule in its space, each emitted and timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry
from zeroskip.accel_model.arrays.lanes import BITMAP_LANES
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.conv import steps
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.schedule import ConvPlan, GroupPlan
from zeroskip.compiler.ir.tiles import Interval
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.conv_search import LOOPS, ConvSearch
from zeroskip.compiler.scheduling.cost_model import CostEstimates, TileContext, Tilings
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.execution.tuning import tuning

Layer: TypeAlias = tuple[int, int, int, int, int, float]

# (channels, size, filters, kernel, stride, density) of small layers
LAYERS = [
    (16, 14, 32, 3, 1, 1.0),
    (3, 24, 16, 5, 2, 0.6),
    (24, 13, 24, 3, 2, 0.2),
    (100, 1, 64, 1, 1, 0.4),
]
MORE = [
    (48, 6, 48, 3, 1, 0.3),
    (64, 8, 64, 1, 1, 0.5),
    (130, 5, 17, 1, 1, 0.1),
    (1, 28, 16, 3, 1, 0.9),
]  # whose schedules are many


def space(search: ConvSearch) -> Iterator[ConvPlan]:
    """Every combination of weights, patches and loops, whether it is estimated to fit or not."""
    high, wide = search.conv.y.value.spatial
    cuts = Tilings.of(high, wide)
    for mapping in range(len(search.mappings())):
        gang, filters, channels = search.mappings().sizes(mapping)
        for rows, cols in zip(cuts.rows.most.tolist(), cuts.cols.most.tolist(), strict=True):
            for outer, keep in LOOPS:
                yield ConvPlan(gang, filters, rows, cols, channels, outer, keep)


def count(conv: ops.ConvOp, plan: ConvPlan) -> int:
    """Steps of a schedule: each takes ``pipeline_cycles`` at least."""
    return len(list(steps(conv, plan, Interval(0, conv.y.value.spatial[0]))))


def timed(layer: Layer, target: str) -> tuple[dict[ConvPlan, int], list[ConvPlan]]:
    """Cycles of every schedule of a layer that can run, and those that are ranked, best first."""
    channels, size, filters, kernel, stride, density = layer
    spec = load_spec(target)
    b = GraphBuilder(np.random.default_rng(filters), density)
    x = b.conv(
        b.input(channels, size, size),
        filters,
        (kernel, kernel),
        stride=stride,
        pad=(kernel // 2,) * 4,
    )
    region = lower(b.graph(x))
    op = region.ops[0]
    assert isinstance(op, ops.ConvOp)
    search = ConvSearch(op, spec)
    every = set(space(search))
    place = TileContext(op.y.value.spatial[0], spec.act_rows, ends=1.0)
    ranked = [each.plan for each in search.ranked(place, len(every))]
    assert [GroupPlan(1, (ranked[0],))] == plan_region(region, spec)
    measure = tuning(1).measure
    cycles: dict[ConvPlan, int] = {}
    for plan in sorted(every, key=lambda plan: (count(op, plan), str(plan))):
        if cycles and count(op, plan) * spec.array.pipeline_cycles > min(cycles.values()):
            break  # so many steps cannot be faster, whatever is in them
        try:
            cycles[plan] = measure(emit_region(region, spec, [GroupPlan(1, (plan,))]))
        except (CompileError, MachineError):
            assert plan not in ranked  # those must run
    assert all(isinstance(plan, ConvPlan) for plan in ranked)
    return cycles, [plan for plan in ranked if isinstance(plan, ConvPlan)]


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("dense256", marks=pytest.mark.slow),
        pytest.param("sparse256", marks=pytest.mark.slow),
        pytest.param("pattern256", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "layers",
    [pytest.param(LAYERS, id="few"), pytest.param(LAYERS + MORE, id="all", marks=pytest.mark.slow)],
)
def test_the_answer_is_near_the_best_of_all(target: str, layers: list[Layer]) -> None:
    found_total = tuned_total = best_total = 0
    for layer in layers:
        cycles, ranked = timed(layer, target)
        best, found = min(cycles.values()), cycles[ranked[0]]
        tuned = min(cycles[plan] for plan in ranked[:8])
        print(
            f"{layer}: {len(cycles)} schedules, {len(ranked)} ranked, best {best}, "
            f"found {found / best:.3f}, best of 8 {tuned / best:.3f}, "
            f"worst {max(cycles.values()) / best:.1f}"
        )
        assert len(cycles) > 4
        assert found <= 1.1 * best
        found_total, best_total = found_total + found, best_total + best
        tuned_total += tuned
    print(f"all: {found_total / best_total:.3f}, best of 8 {tuned_total / best_total:.3f}")
    assert found_total <= 1.04 * best_total
    assert tuned_total <= 1.025 * best_total


def one_layer(channels: int, size: int, filters: int) -> ops.ConvOp:
    """A 3x3 convolution without a zero."""
    b = GraphBuilder(np.random.default_rng(0), density=1.0)
    x = b.conv(b.input(channels, size, size), filters, (3, 3), pad=(1,) * 4)
    (op,) = lower(b.graph(x)).ops
    assert isinstance(op, ops.ConvOp)
    return op


def test_the_tiles_of_two_steps_are_in_act_together() -> None:
    spec = load_spec("dense256")
    spec = replace(spec, sram=replace(spec.sram, act_bytes=2048))
    search = ConvSearch(one_layer(64, 14, 64), spec)
    ranked = search.ranked(TileContext(14, spec.act_rows), 1 << 20)
    assert len(ranked) > 4
    assert max(2 * each.cost.act for each in ranked) <= spec.act_rows == 128


def test_weights_that_do_not_stay_are_loaded_for_each_patch() -> None:
    """Half a megabyte of them, for the same rows whole and cut."""
    spec = load_spec("dense256")
    search = ConvSearch(one_layer(512, 7, 96), spec)
    costs = {each.plan: each.cost for each in search.ranked(TileContext(7, spec.act_rows), 1 << 20)}
    seen = 0
    for plan, cost in costs.items():
        assert isinstance(plan, ConvPlan)
        whole = costs.get(replace(plan, rows=7, cols=7))
        if plan.outer == "pixels" and whole is not None and cost.all_rows > spec.wgt_rows:
            assert cost.weights >= whole.weights * -(-7 // plan.rows) * -(-7 // plan.cols)
            seen += plan.rows < 7
    assert seen


def test_the_slower_of_array_and_bus_decides() -> None:
    """The first schedule computes for longer than the second one moves."""
    zero = np.zeros(2)
    costs = CostEstimates(
        array=np.array([90.0, 10]),
        waits=np.array([10.0, 0]),
        loads=np.array([10.0, 95]),
        weights=zero,
        stores=zero,
        tile=zero,
        first=zero,
        last=zero,
        rows=zero,
        all_rows=zero,
        act=zero,
        energy=zero,
        fits=np.ones(2, np.bool_),
    )
    assert costs.order(2, None) == [1, 0]


@pytest.mark.parametrize(("drain_width", "columns"), [(4, 16), (16, 16), (32, 32)])
def test_neighbouring_filters_have_similar_work(drain_width: int, columns: int) -> None:
    """The more of two of a residue first, residues modulo the columns of staging in turn."""
    array = load_spec("sparse256").array
    assert isinstance(array, LaneGeometry)
    array = replace(array, drain_width=drain_width)
    order = BITMAP_LANES.order(array, np.arange(2 * columns))
    assert order.tolist() == [*range(columns, 2 * columns), *range(columns)]
