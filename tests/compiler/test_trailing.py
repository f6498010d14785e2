"""Dense layers that trail: exact in any number of bands, and in the instructions of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.autotune import Tuning, tune_region
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan, group_text, read_group
from zeroskip.compiler.ir.stripes import plan_stripes
from zeroskip.compiler.ir.trailing import can_trail, map_edges, rows_before
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.fusion import FusionSearch, estimate
from zeroskip.compiler.scheduling.group_candidates import PricedGroup

TARGETS = ("dense256", "sparse256", "pattern256", "systolic256", "diannao256", "scnn256")


def plain(b: GraphBuilder) -> str:
    x = b.conv(b.input(16, 20, 12), 32, (3, 3), pad=(1, 1, 1, 1))
    x = b.pool(b.conv(x, 48, (3, 3), pad=(1, 1, 1, 1)), "max", 2, 2)
    return b.dense(b.dense(b.reshape(x, 48 * 10 * 6), 200), 10)


def branched(b: GraphBuilder) -> str:
    x = b.conv(b.input(3, 15, 11), 32, (3, 3), stride=2, pad=(1, 1, 1, 1))
    y = b.conv(b.conv(x, 16, (1, 1)), 32, (3, 3), pad=(1, 1, 1, 1))
    x = b.conv(b.lookup(b.sum(y, x)), 32, (3, 3), pad=(1, 1, 1, 1), groups=32)
    return b.lookup(b.dense(b.reshape(b.pool(x, "avg", 3, 1), 32 * 6 * 4), 70))


NETWORKS = {made.__name__: made for made in (plain, branched)}


def network(name: str) -> tuple[GraphBuilder, LayerGraph, Region]:
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(NETWORKS[name](b))
    return b, graph, lower(graph)


def headed(b: GraphBuilder) -> str:
    """Weights of a dense layer that take the bus as long as the array takes all else, behind a
    convolution of too few filters to follow."""
    x = b.conv(b.input(64, 16, 16), 128, (3, 3), pad=(1, 1, 1, 1))
    x = b.pool(b.conv(x, 48, (3, 3), pad=(1, 1, 1, 1)), "max", 2, 2)
    return b.dense(b.dense(b.reshape(x, 48 * 8 * 8), 1024), 10)


def trailed(search: FusionSearch, at: int) -> list[tuple[int, GroupPlan]]:
    """All groups of which an operation trails the others, with their first operations."""
    candidates = [
        (first, candidate)
        for first in range(at)
        for stripes in range(2, search.ops[at].x.spatial[0] + 1)
        for candidate in search.trailed(first, at + 1, stripes)
    ]
    priced = [(first, search.priced(candidate)) for first, candidate in candidates]
    return [(first, found.plan) for first, found in priced if found is not None]


def trailing(region: Region) -> int:
    """The operation that can trail."""
    (found,) = (at for at, op in enumerate(region.ops) if can_trail(op))
    return found


@pytest.mark.diagonal
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("act_bytes", [24 << 10, 1 << 18])
def test_every_group_with_a_layer_that_trails_is_exact(
    name: str, target: str, act_bytes: int
) -> None:
    """In any number of bands, with values on chip and in DRAM; every run is audited."""
    b, graph, region = network(name)
    spec = load_spec(target)
    spec = replace(spec, sram=replace(spec.sram, act_bytes=act_bytes))
    search = FusionSearch(region, spec)
    every = trailed(search, trailing(region))
    assert len(every) > 8
    assert all(group.trails for _, group in every)
    assert_exact(b, graph, region, search, every)


def assert_exact(
    b: GraphBuilder,
    graph: LayerGraph,
    region: Region,
    search: FusionSearch,
    every: list[tuple[int, GroupPlan]],
) -> None:
    """Some of these groups, with their first operations, give the oracle's bits between the other
    operations by themselves, and come back from their text."""
    spec, data = search.spec, b.data()
    wanted = evaluate(graph, data)[graph.outputs[0]]
    single = [found(search.group(each, each + 1, 1)).plan for each in range(len(region.ops))]
    sampled = 2 if spec.name == "pattern256" else 5  # its tables are chosen for each program
    for seed, (first, group) in enumerate(every[:: max(1, len(every) // sampled)][:sampled]):
        assert read_group(group_text(group)) == group
        last = first + len(group.plans)
        program = emit_region(region, spec, [*single[:first], group, *single[last:]])
        run = Machine(spec).run(program, data, seed=seed)
        made = run.outputs[program.outputs[0].name].reshape(wanted.shape)
        assert np.array_equal(made, wanted), group


def found(one: PricedGroup | None) -> PricedGroup:
    assert one is not None
    return one


@pytest.mark.parametrize("name", NETWORKS)
def test_a_layer_that_trails_multiplies_each_row_after_the_band_that_makes_it(name: str) -> None:
    _, _, region = network(name)
    at = trailing(region)
    map_, rows = region.ops[at].x.value.name, region.ops[at].x.spatial[0]
    for stripes in range(2, rows + 1):
        plans, edges = plan_stripes(region.ops[: at + 1], stripes, True), map_edges(rows, stripes)
        multiplied = [rows_before(stripe, edges) for stripe in range(stripes + 1)]
        assert [row for each in multiplied for row in range(each.start, each.end)] == [*range(rows)]
        assert multiplied[1].size == min(each.size for each in multiplied[1:]) > 0
        of = plans[map_]
        for stripe, each in enumerate(multiplied):
            assert each.end <= of.made[stripe]
            assert not each.size or of.needed[stripe] <= each.start
        assert all(of.end[-1] == of.made[-1] for name, of in plans.items() if name == map_)


def test_a_batch_does_not_trail() -> None:
    """Each of its images would have all the weights loaded."""
    _, _, region = network("plain")
    op = region.ops[trailing(region)]
    several = replace(op.x.value, images=2)
    assert can_trail(op)
    assert not can_trail(replace(op, x=replace(op.x, value=several)))
    assert not can_trail(region.ops[trailing(region) + 1])  # of one row


@pytest.mark.parametrize("target", ["dense256", "sparse256", "diannao256"])
def test_weights_of_a_dense_layer_are_loaded_while_convolutions_run(target: str) -> None:
    """It is found, exact, faster than without, and takes about what was estimated."""
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(headed(b))
    region, spec, data = lower(graph), load_spec(target), b.data()
    search = FusionSearch(region, spec)
    plans = search.best()
    (trails,) = (plan for plan in plans if plan.trails)
    program = emit_region(region, spec, plans)
    run = Machine(spec).run(program, data)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[program.outputs[0].name].reshape(wanted.shape), wanted)
    assert run.cycles == pytest.approx(search.cycles, rel=0.1)
    assert estimate(region, spec, plans) == pytest.approx(search.cycles)
    parts = len(trails.plans)
    moved = [
        layer
        for layer, made in zip(program.layer_of, decode_all(program.words), strict=True)
        if isinstance(made, isa.Load)
    ]
    assert moved.count(parts - 1) <= trails.passes  # rows of the map, once in each
    others = [
        found(search.group(0, parts - 1, 1)).plan,
        found(search.group(parts - 1, parts, 1)).plan,
    ]
    apart = emit_region(region, spec, [*others, *plans[1:]])
    assert run.cycles < 0.95 * Machine(spec).run(apart, {}, numbers=False).cycles


def test_tuning_times_other_bands_and_tiles_and_keeps_what_is_exact() -> None:
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(headed(b))
    region, spec, data = lower(graph), load_spec("sparse256"), b.data()
    first, tried = FusionSearch(region, spec).best(), list[Program]()
    machine = Machine(spec)

    def measure(program: Program) -> int:
        tried.append(program)
        return machine.run(program, {}, numbers=False).cycles

    plans = tune_region(region, spec, first, Tuning(3, measure))
    tuned = emit_region(region, spec, plans)
    run = machine.run(tuned, data)
    assert run.cycles <= measure(emit_region(region, spec, first))
    assert any(plan.trails for plan in plans)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[tuned.outputs[0].name].reshape(wanted.shape), wanted)
    texts = {layer.schedule for program in tried for layer in program.layers}
    assert len({text.rpartition(" bands")[0][-1] for text in texts if "rows outer" in text}) > 1
