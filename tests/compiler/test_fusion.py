"""Groups of operations: every one is exact, and those that are found are near the best of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import LOAD, STORE
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.ir.stripes import plan_stripes
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.fusion import FusionSearch
from zeroskip.compiler.scheduling.group_candidates import PricedGroup
from zeroskip.compiler.scheduling.overlap_model import (
    ARRAY,
    COLUMNS,
    FIRST_TILE,
    LOADS,
    NO_PREFETCH_ROOM,
    pipelined_cycles,
)
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.execution.tuning import tuning

STRIPE_COUNTS = (1, 2, 3, 7)


def small(spec: AccelSpec, act_bytes: int) -> AccelSpec:
    return replace(spec, sram=replace(spec.sram, act_bytes=act_bytes))


def chain(b: GraphBuilder) -> str:
    x = b.conv(b.input(16, 20, 12), 48, (3, 3), pad=(1, 1, 1, 1))
    x = b.conv(x, 24, (3, 3), pad=(0, 1, 1, 0))
    return b.conv(b.conv(x, 40, (1, 1)), 16, (5, 3), stride=2, pad=(2, 1, 2, 1))


def residual(b: GraphBuilder) -> str:
    x = b.pool(b.conv(b.input(16, 21, 13), 32, (3, 3), pad=(1, 1, 1, 1)), "max", 3, 2, 1)
    y = b.conv(b.conv(x, 16, (1, 1)), 32, (3, 3), pad=(1, 1, 1, 1))
    return b.pool(b.sum(y, x), "avg", 3, 1)


def inverted(b: GraphBuilder) -> str:
    x = b.conv(b.input(3, 23, 17), 24, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.conv(b.conv(x, 48, (1, 1)), 48, (3, 3), pad=(1, 1, 1, 1), groups=48)
    return b.sum(b.conv(y, 24, (1, 1)), x)


def joined(b: GraphBuilder) -> str:
    x = b.conv(b.input(16, 11, 9), 16, (1, 1))
    y = b.concat(b.conv(x, 32, (3, 3), pad=(1, 1, 1, 1)), b.conv(x, 16, (1, 1)))
    return b.conv(y, 24, (3, 3), pad=(1, 1, 1, 1))


NETWORKS = {made.__name__: made for made in (chain, residual, inverted, joined)}


def network(name: str) -> tuple[GraphBuilder, LayerGraph, Region]:
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(NETWORKS[name](b))
    return b, graph, lower(graph)


@pytest.mark.diagonal
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("target", "act_bytes"), [("dense256", 24 << 10), ("pattern256", 1 << 18)])
def test_every_group_in_any_number_of_bands_is_exact(
    name: str, target: str, act_bytes: int
) -> None:
    """One group among single operations, each in turn; weights, inputs and outputs still move."""
    spec = small(load_spec(target), act_bytes)
    b, graph, region = network(name)
    search, data = FusionSearch(region, spec), b.data()
    wanted = evaluate(graph, data)[graph.outputs[0]]
    alone = [found(search.group(at, at + 1, 1)).plan for at in range(len(region.ops))]
    seen = 0
    for first in range(len(region.ops)):
        for last in range(first + 2, len(region.ops) + 1):
            for stripes in STRIPE_COUNTS:
                group = search.group(first, last, stripes)
                if group is None:
                    continue
                program = emit_region(region, spec, [*alone[:first], group.plan, *alone[last:]])
                run = Machine(spec).run(program, data, seed=seen)
                made = run.outputs[program.outputs[0].name].reshape(wanted.shape)
                assert np.array_equal(made, wanted), group.plan
                seen += 1
    assert seen > 10


def found(one: PricedGroup | None) -> PricedGroup:
    assert one is not None
    return one


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("stripes", STRIPE_COUNTS)
def test_bands_make_every_row_once_and_look_only_at_rows_that_are_there(
    name: str, stripes: int
) -> None:
    """Row by row, against the windows."""
    _, _, region = network(name)
    steps = region.ops
    stripe_plans = plan_stripes(steps, stripes)
    for op in steps:
        mine = stripe_plans[op.y.value.name]
        ends = [0, *mine.end.tolist()]
        assert mine.made.tolist() == ends[:-1]
        assert ends == sorted(ends)
        assert ends[-1] == op.y.value.spatial[0]
    for stripe in range(stripes):
        for op in steps:
            made = range(
                int(stripe_plans[op.y.value.name].made[stripe]),
                int(stripe_plans[op.y.value.name].end[stripe]),
            )
            for number, view in enumerate(op.reads):
                if view.value.name not in stripe_plans:
                    continue  # an input: all of it is in DRAM
                of, window = stripe_plans[view.value.name], getattr(op, "window", None)
                looked = {
                    row
                    for out in made
                    for row in (
                        [out]
                        if number or window is None
                        else [
                            out * window.stride[0] - window.pad[0] + tap * window.dilation[0]
                            for tap in range(window.kernel[0])
                        ]
                    )
                    if 0 <= row < view.value.spatial[0]
                }
                assert all(of.needed[stripe] <= row < of.end[stripe] for row in looked)
                late = {row for row in looked if row < of.made[stripe]}  # made by earlier stripes
                for row in late:
                    maker = next(n for n in range(stripes) if row < of.end[n])
                    assert row >= of.carried[maker]


def compositions(region: Region, search: FusionSearch) -> Iterator[list[PricedGroup]]:
    """All ways to cut a region into groups, each in every number of stripes that fits."""
    count = len(region.ops)

    @cache
    def options(first: int, last: int) -> list[PricedGroup]:
        return [
            group
            for stripes in ((1,) if last - first == 1 else (1, 2, 3, 4, 5, 6, 7, 8))
            if (group := search.group(first, last, stripes)) is not None
        ]

    def rest(first: int) -> Iterator[list[PricedGroup]]:
        if first == count:
            yield []
        for last in range(first + 1, count + 1):
            for group in options(first, last):
                yield from ([group, *after] for after in rest(last))

    return rest(0)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(target, marks=pytest.mark.slow)
        for target in ("dense256", "sparse256", "pattern256")
    ],
)
def test_the_groups_that_are_found_are_near_the_best_of_all(target: str) -> None:
    measure = tuning(1).measure
    found_total = best_total = alone_total = 0
    for name in NETWORKS:
        _, _, region = network(name)
        for act_bytes in (12 << 10, 64 << 10):
            spec = small(load_spec(target), act_bytes)
            search = FusionSearch(region, spec)
            plans = plan_region(region, spec)
            every = {
                tuple(group.plan for group in groups): sum(group.cycles for group in groups)
                for groups in compositions(region, search)
            }
            assert every[tuple(plans)] == min(every.values())  # by the estimate
            ranked = sorted(every, key=every.__getitem__)
            cycles = {
                each: measure(emit_region(region, spec, each))
                for each in [*ranked[:20], *ranked[20::10]]
            }
            mine, best = cycles[tuple(plans)], min(cycles.values())
            alone = measure(emit_region(region, spec, single(region, search)))
            print(
                f"{name}, {act_bytes} bytes: {len(every)} ways, found {mine / best:.3f}, "
                f"alone {alone / best:.3f}"
            )
            assert mine <= 1.15 * best
            found_total, best_total = found_total + mine, best_total + best
            alone_total += alone
    print(f"all: found {found_total / best_total:.3f}, alone {alone_total / best_total:.3f}")
    assert found_total <= 1.05 * best_total
    assert found_total < 0.95 * alone_total


def single(region: Region, search: FusionSearch) -> list[GroupPlan]:
    return [found(search.group(at, at + 1, 1)).plan for at in range(len(region.ops))]


def test_what_stays_on_chip_is_not_moved() -> None:
    """A chain that fits: only the input, the weights and the output cross the bus."""
    spec = load_spec("dense256")
    _, _, region = network("chain")
    program = emit_region(region, spec, plan_region(region, spec))
    run = Machine(spec).run(program, {}, numbers=False)
    moved = run.counters["useful_bytes"]
    weights = sum(layer.weight_bytes for layer in program.layers)
    given = sum(value.channels * value.pixels for value in region.inputs)
    assert moved[run.unit == STORE].sum() == sum(
        value.channels * value.pixels for value in region.outputs
    )
    assert given + weights <= moved[run.unit == LOAD].sum() <= given + 1.15 * weights


@pytest.mark.parametrize(("late", "cycles"), [(0, 110), (1, 160)])
def test_the_bus_works_ahead_where_there_is_room(late: int, cycles: int) -> None:
    """50 cycles of activations for an operation of 10, while the one before computes for 100."""
    works = np.zeros((2, COLUMNS))
    works[0, ARRAY], works[1, ARRAY] = 100, 10
    works[1, FIRST_TILE] = works[1, LOADS] = 50
    works[1, NO_PREFETCH_ROOM] = late
    assert pipelined_cycles(works, 10, 0) == cycles
