"""Tuning never makes a schedule worse, gives the same again, and keeps every bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.autotune import Tuning, tune_region
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.execution.tuning import tuning


def network(seed: int) -> tuple[GraphBuilder, LayerGraph]:
    b = GraphBuilder(np.random.default_rng(seed), density=0.3)
    x = b.conv(b.input(24, 15, 15), 40, (3, 3), pad=(1, 1, 1, 1))
    y = b.conv(x, 40, (1, 1))
    y = b.sum(b.conv(y, 40, (3, 3), pad=(1, 1, 1, 1)), x)
    return b, b.graph(b.dense(b.reshape(b.global_pool(y), 40), 10))


@pytest.mark.parametrize(
    "target", ["dense256", "sparse256", pytest.param("pattern256", marks=pytest.mark.matrix)]
)
def test_never_worse_the_same_again_and_exact(target: str) -> None:
    spec = load_spec(target)
    b, graph = network(3)
    region = lower(graph)
    plans = plan_region(region, spec)
    effort = tuning(6)
    tuned = tune_region(region, spec, plans, effort)
    assert tuned == tune_region(region, spec, plans, tuning(6))
    before = effort.measure(emit_region(region, spec, plans))
    program = emit_region(region, spec, tuned)
    assert effort.measure(program) <= before
    data = b.data()
    run = Machine(spec).run(program, data)
    wanted = evaluate(graph, data)[graph.outputs[0]]
    assert np.array_equal(run.outputs[program.outputs[0].name].reshape(wanted.shape), wanted)


@pytest.mark.parametrize("beside", [False, True])
def test_what_is_better_only_alone_is_not_taken(beside: bool) -> None:
    """beside: or only with its neighbours."""
    whole = load_spec("sparse256")
    spec = replace(whole, sram=replace(whole.sram, act_bytes=4096))
    _, graph = network(4)
    region = lower(graph)
    plans = plan_region(region, spec)
    assert len(plans) > 1  # groups, or there would be no neighbourhood

    untouched = emit_region(region, spec, plans).words.tobytes()
    falling = count(1 << 20, -1)

    def measure(program: Program) -> int:
        if len(program.layers) < len(region.ops):  # the last tried, or the longest, seems fastest
            return -len(program.words) if beside else next(falling)
        return 100 if program.words.tobytes() == untouched else 101

    assert tune_region(region, spec, plans, Tuning(4, measure)) == plans


def test_at_least_one_schedule() -> None:
    with pytest.raises(CompileError, match="at least one"):
        tuning(0)
