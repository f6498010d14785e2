"""Dense layers that follow the channels of a convolution: exact, and their weights are hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.compiler.test_trailing import assert_exact
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.autotune import Tuning, tune_region
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.ir.tiles import Interval, intervals
from zeroskip.compiler.ir.trailing import due_steps, leader
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.fusion import FusionSearch, estimate
from zeroskip.compiler.scheduling.group_candidates import Tail

TARGETS = ("dense256", "sparse256", "pattern256", "systolic256", "diannao256", "scnn256")


def pooled(b: GraphBuilder) -> str:
    """Behind a global pool, as classifiers are; another reader of the map."""
    x = b.conv(b.input(16, 6, 5), 48, (3, 3), pad=(1, 1, 1, 1))
    x = b.conv(x, 100, (1, 1))
    return b.dense(b.dense(b.reshape(b.global_pool(x), 100), 130), 10)


def gated(b: GraphBuilder) -> str:
    """Squeeze and excite: behind a depthwise convolution, a table and a pool."""
    x = b.conv(b.input(16, 7, 7), 80, (1, 1))
    x = b.lookup(b.conv(x, 80, (3, 3), pad=(1, 1, 1, 1), groups=80))
    gate = b.lookup(b.conv(b.global_pool(x), 80, (1, 1)))
    return b.multiply(x, gate)


def mapped(b: GraphBuilder) -> str:
    """A whole map is looked at; a shortcut into the convolution that is followed."""
    x = b.conv(b.input(16, 9, 8), 80, (3, 3), pad=(1, 1, 1, 1))
    x = b.pool(b.sum(b.conv(x, 80, (3, 3), pad=(1, 1, 1, 1)), x), "max", 2, 2)
    return b.dense(b.reshape(x, 80 * 4 * 4), 90)


NETWORKS = {made.__name__: made for made in (pooled, gated, mapped)}


def network(name: str) -> tuple[GraphBuilder, LayerGraph, Region]:
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(NETWORKS[name](b))
    return b, graph, lower(graph)


def following(search: FusionSearch) -> Iterator[tuple[int, GroupPlan]]:
    """All groups of which an operation follows another, with their first operations."""
    for last in range(2, len(search.ops) + 1):
        lead, tail = leader(search.ops[:last]), Tail(search.ops, last, 1)
        for first in range(lead if lead is not None else -1, -1, -1):
            if not tail.reach(first):
                break
            for candidate in search._following(first, last, tail.planner):
                priced = search.priced(candidate)
                if priced is not None:
                    yield first, priced.plan


@pytest.mark.diagonal
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("act_bytes", [24 << 10, 1 << 18])
def test_every_group_with_a_layer_that_follows_is_exact(
    name: str, target: str, act_bytes: int
) -> None:
    b, graph, region = network(name)
    spec = load_spec(target)
    spec = replace(spec, sram=replace(spec.sram, act_bytes=act_bytes))
    search = FusionSearch(region, spec)
    every = [*following(search)]
    assert every
    assert all(group.follows and group.passes == 1 for _, group in every)
    assert_exact(b, graph, region, search, every)


@pytest.mark.parametrize(
    ("name", "at", "wanted"),
    [("pooled", 3, 1), ("pooled", 4, 3), ("gated", 3, 0), ("mapped", 3, 1)],
)
def test_the_convolution_that_is_followed(name: str, at: int, wanted: int) -> None:
    """Through what treats channels alike; a dense layer may follow a dense layer."""
    region = network(name)[2]
    assert leader(region.ops[: at + 1]) == wanted


def test_what_cannot_follow() -> None:
    region = network("pooled")[2]
    *others, dense = region.ops[:4]
    assert leader([*others, dense]) == 1
    several = replace(dense.x.value, images=2)  # each of them would have all the weights loaded
    assert leader([*others, replace(dense, x=replace(dense.x, value=several))]) is None
    assert leader(others) is None  # a pool
    assert leader([dense]) is None
    first, followed, pool = others
    part = replace(followed.y, channels=50)  # of what the pool reads
    assert leader([first, replace(followed, y=part), pool, dense]) is None


def weighty(b: GraphBuilder) -> str:
    """Weights of a classifier that take the bus longer than the array takes all else."""
    x = b.conv(b.conv(b.input(32, 12, 12), 96, (3, 3), pad=(1, 1, 1, 1)), 512, (1, 1))
    return b.dense(b.reshape(b.global_pool(x), 512), 1200)


@pytest.mark.parametrize("target", ["dense256", "sparse256", "diannao256"])
def test_weights_of_a_classifier_are_loaded_while_the_convolution_runs(target: str) -> None:
    """It is found, exact, faster than without, and takes about what was estimated."""
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(weighty(b))
    region, spec, data = lower(graph), load_spec(target), b.data()
    search = FusionSearch(region, spec)
    plans = search.best()
    assert plans[-1].follows
    program = emit_region(region, spec, plans)
    run = Machine(spec).run(program, data)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[program.outputs[0].name].reshape(wanted.shape), wanted)
    assert run.cycles == pytest.approx(search.cycles, rel=0.1)
    assert estimate(region, spec, plans) == pytest.approx(search.cycles)
    search._following = lambda *_: iter(())  # type: ignore[method-assign]
    apart = emit_region(region, spec, search.best())
    assert run.cycles < 0.95 * Machine(spec).run(apart, {}, numbers=False).cycles


def test_tuning_keeps_a_layer_that_follows_exact() -> None:
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    graph = b.graph(weighty(b))
    region, spec, data = lower(graph), load_spec("sparse256"), b.data()
    first, tried, machine = FusionSearch(region, spec).best(), list[Program](), Machine(spec)

    def measure(program: Program) -> int:
        tried.append(program)
        return machine.run(program, {}, numbers=False).cycles

    plans = tune_region(region, spec, first, Tuning(3, measure))
    tuned = emit_region(region, spec, plans)
    run = machine.run(tuned, data)
    assert run.cycles <= measure(emit_region(region, spec, first))
    assert any("channels outer" in layer.schedule for each in tried for layer in each.layers)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[tuned.outputs[0].name].reshape(wanted.shape), wanted)


@st.composite
def turns(draw: st.DrawFn) -> list[list[tuple[Interval, Interval]]]:
    """Channels of a leader's steps, of what is between, and of a dense layer's."""
    count = draw(st.integers(1, 12))
    size = st.integers(1, count)
    none = Interval(0, 0)
    leads = [
        (none, tile)
        for tile in intervals(count, draw(size))
        for _ in range(draw(st.integers(1, 3)))
    ]
    if draw(st.booleans()):  # pixels are its outer loop
        leads = leads[::2] + leads[1::2] if len(leads) > 2 else leads
    between = [
        [(each, each) for each in intervals(count, draw(size))]
        for _ in range(draw(st.integers(0, 2)))
    ]
    last = [
        (each, none)
        for each in intervals(count, draw(size))
        for _ in range(draw(st.integers(1, 4)))
    ]
    return [leads, *between, last]


@given(turns())
def test_steps_are_due_when_their_channels_are_there(
    channels: list[list[tuple[Interval, Interval]]],
) -> None:
    """All of them, in order, and none of what is between later than it could be."""
    due = np.array(due_steps(channels))
    assert due.shape == (len(channels[0]), len(channels) - 1)
    assert due.sum(axis=0).tolist() == [len(each) for each in channels[1:]]
    done = [range(1, len(due) + 1), *(list(accumulate(column)) for column in due.T.tolist())]
    for number, ((before, own), (made, taken)) in enumerate(
        zip(pairwise(channels), pairwise(done), strict=True)
    ):
        for have, did in zip(made, taken, strict=True):
            left = {at for _, later in before[have:] for at in range(later.start, later.end)}
            there = {at for _, one in before for at in range(one.start, one.end)} - left
            could = sum(set(range(read.end)) <= there for read, _ in own)
            assert did <= could
            assert did == could or number == len(due.T) - 1


def test_multiplies_are_spread_over_the_steps_that_make_the_next_channels() -> None:
    none, (one, two) = Interval(0, 0), intervals(8, 4)
    leads = [(none, tile) for tile in (one, two) for _ in range(3)]
    last = [(tile, none) for tile in (one, two) for _ in range(4)]
    assert due_steps([leads, last]) == [[0], [0], [2], [1], [1], [4]]
