"""The report: its parts add up to the run's, and its causes are what they say."""
# What the causes add up to on random programs: test_losses.py.

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.accel_model.by_name import LANE_TARGETS
from tests.compiler.least import needs, weight_bytes
from tests.compiler.networks import GraphBuilder
from tests.runtime.causes import CAUSES
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import Unit
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.runtime.analysis.loss_breakdown import losses_of
from zeroskip.runtime.analysis.report import LayerReport, RegionReport, region_report


def networks() -> dict[str, GraphBuilder]:
    """Graphs by what they have; each ends in a value ``y`` that is the graph's output."""
    made = {}
    b = made["convolutions"] = GraphBuilder(np.random.default_rng(0), 0.4)
    x = b.conv(b.input(3, 20, 20), 32, (3, 3), pad=(1,) * 4)
    x = b.sum(x, b.conv(x, 32, (3, 3), pad=(1,) * 4))
    b.dense(b.reshape(b.pool(x, "max", 2, 2), 3200), 10)
    b = made["channelwise"] = GraphBuilder(np.random.default_rng(1), 1.0)
    x = b.conv(b.input(24, 14, 14), 24, (3, 3), pad=(1,) * 4, groups=24)
    b.global_pool(b.sum(x, b.pool(x, "avg", 3, 1, 1)))
    b = made["moves"] = GraphBuilder(np.random.default_rng(2), 0.5)
    x = b.conv(b.input(16, 12, 12), 20, (1, 1))
    b.reshape(b.reshape(b.concat(x, x), 5760), 40, 12, 12)
    b = made["only moves"] = GraphBuilder(np.random.default_rng(3))
    b.reshape(b.input(8, 6, 6), 288)
    return made


def timed(builder: GraphBuilder, target: str) -> tuple[Run, Program]:
    spec = load_spec(target)
    region = lower(builder.graph(builder.nodes[-1].output))
    program = emit_region(region, spec, plan_region(region, spec))
    return Machine(spec).run(program, {}, numbers=False), program


Made = tuple[Run, Program, RegionReport]
CASES = [  # each network on one target, and on the others too in ``make test-matrix``
    pytest.param(
        (name, target),
        id=f"{name}-{target}",
        marks=() if i % len(LANE_TARGETS) == j else pytest.mark.matrix,
    )
    for i, name in enumerate(networks())
    for j, target in enumerate(LANE_TARGETS)
]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


@pytest.fixture(scope="module")
def made(case: tuple[str, str]) -> Made:
    name, target = case
    run, program = timed(networks()[name], target)
    return run, program, region_report(run, program)


def test_layers_add_up_to_the_run(made: Made) -> None:
    run, program, report = made
    assert sum(layer.cycles for layer in report.layers) == run.cycles == report.cycles
    assert sum(layer.dram_bytes for layer in report.layers) == run.totals["dram_bytes"]
    effectual = sum(layer.effectual for layer in report.layers)
    assert effectual == run.totals["macs"] + run.totals["passed_over"]
    assert sum(layer.microjoules for layer in report.layers) == pytest.approx(run.picojoules / 1e6)
    assert [layer.node for layer in report.layers] == [each.node for each in program.layers]


def test_causes_add_up_to_what_is_above_the_bound(made: Made) -> None:
    """Exactly, in the numbers that the JSON has."""
    report = made[2]
    rows: list[LayerReport | RegionReport] = [*report.layers, report]
    for one in rows:
        assert list(one.lost) == list(CAUSES)
        assert sum(one.lost.values()) == one.cycles - one.bound


def test_numbers_of_a_layer_fit_together(made: Made) -> None:
    spec = made[1].spec
    for layer, info in zip(made[2].layers, made[1].layers, strict=True):
        assert layer.bound == info.bound(spec.array.macs, spec.dram.bytes_per_cycle)
        assert layer.x_bound == layer.cycles / layer.bound
        assert 0 <= layer.utilisation <= 1
        assert layer.cycles >= layer.effectual / spec.array.macs
        assert list(layer.traffic) == ["inputs", "weights", "outputs"]
        assert sum(one.moved for one in layer.traffic.values()) == layer.dram_bytes
        assert layer.utilisation == layer.real_macs / (layer.cycles * spec.array.macs)
        assert sum(layer.energy.values()) == layer.microjoules


def test_bounds_are_what_the_layers_need(case: tuple[str, str], made: Made) -> None:
    """Counted from the graph, place by place."""
    run, program, report = made
    builder, spec = networks()[case[0]], program.spec
    graph = builder.graph(builder.nodes[-1].output)
    nodes = {node.node: node for node in graph.nodes}
    multiplies = weights = 0
    for layer in report.layers:
        node = nodes.get(layer.node)
        if layer.kind in ("copy", "reshape") or node is None:
            real, moved = 0, 2 * layer.traffic["outputs"].compulsory
        else:
            real, moved = needs(graph, spec.array.kind, node, nodes.get(layer.fused))
            weights += weight_bytes(node.layer, spec.array.kind)
        assert layer.real_macs == real
        times = {"array": real / spec.array.macs, "bus": moved / spec.dram.bytes_per_cycle}
        assert layer.bound == max(1, math.ceil(max(times.values())))
        assert times[layer.limit] == max(times.values())
        multiplies += real
    assert sum(run.counters["real_macs"]) == multiplies
    ends = [graph.tensors[name].shape for name in (*graph.inputs, *graph.outputs)]
    moved = weights + sum(math.prod(shape) for shape in ends)  # all of the inputs is looked at
    assert report.network_bound == math.ceil(
        max(multiplies / spec.array.macs, moved / spec.dram.bytes_per_cycle)
    )
    assert report.network_bound <= min(report.bound, report.cycles)


def test_every_cycle_goes_where_it_is_said_to(made: Made) -> None:
    """The slow way: ask of each cycle what the array does, and if nothing, what comes next."""
    run, program, report = made
    counted = [0] * len(program.layers)
    for layer in owners(run, program):
        counted[layer] += 1
    assert counted == [layer.cycles for layer in report.layers]


def test_moves_count_in_the_order_of_their_ends() -> None:
    """Not in that of their starts: the two units' moves may end in any order."""
    run, program = timed(networks()["moves"], "dense256")
    for seed in range(3):
        took = np.random.default_rng(seed).integers(0, 400, len(run.end))
        late = replace(run, end=np.minimum(run.start + took, run.cycles))
        counted = Counter(owners(late, program))
        assert [one.cycles for one in losses_of(late, program)] == [
            counted[layer] for layer in range(len(program.layers))
        ]


def owners(run: Run, program: Program) -> list[int]:
    """The layer of each cycle."""
    return [layer for layer, _ in activity(run, program)]


def activity(run: Run, program: Program) -> list[tuple[int, str]]:
    """Of each cycle its layer, and whether the array is "busy", "waits", "moves" (it idles for a
    layer that only moves data) or is done: "tail"."""
    stream = decode_all(program.words)
    layer_of, start, free, end = (
        values.tolist() for values in (program.layer_of, run.start, run.free, run.end)
    )
    ahead = [pc for pc, one in enumerate(stream) if one.unit == Unit.COMPUTE]
    last = layer_of[ahead[-1]] if ahead else len(program.layers) - 1
    computing = {layer_of[pc] for pc in ahead}
    moves = sorted(
        (pc for pc in range(len(stream)) if layer_of[pc] not in computing),
        key=lambda pc: int(end[pc]),
    )
    found: list[tuple[int, str]] = []
    for cycle in range(run.cycles):
        while ahead and free[ahead[0]] <= cycle:
            del ahead[0]
        while moves and end[moves[0]] <= cycle:
            del moves[0]
        if ahead and start[ahead[0]] <= cycle:
            found.append((layer_of[ahead[0]], "busy"))
        elif moves and (not ahead or end[moves[0]] <= start[ahead[0]]):
            found.append((layer_of[moves[0]], "moves"))
        else:
            found.append((layer_of[ahead[0]], "waits") if ahead else (last, "tail"))
    return found


def layers(name: str, target: str) -> list[LayerReport]:
    return list(region_report(*timed(networks()[name], target)).layers)


def test_a_fused_addition_is_named() -> None:
    fused = [layer.fused for layer in layers("convolutions", "dense256") if layer.fused]
    assert fused == ["add2"]


def test_zero_weights_cost_a_dense_array_only() -> None:
    dense, sparse = (layers("convolutions", target)[1] for target in ("dense256", "sparse256"))
    assert dense.lost["zeros"] > dense.effectual / 256
    assert sparse.lost["zeros"] < 0.2 * sparse.effectual / 256


def test_a_layer_that_only_moves_waits_for_nothing_else() -> None:
    (layer,) = layers("only moves", "dense256")
    lost = {cause for cause, cycles in layer.lost.items() if cycles > 0}
    assert lost <= {"move", "traffic"}
    assert layer.limit == "bus"
    assert layer.utilisation == 0


def test_pools_are_channelwise() -> None:
    for layer in layers("channelwise", "pattern256"):
        assert layer.lost["channelwise"] > 0
        assert layer.lost["imbalance"] == layer.lost["unused"] == 0


def test_the_report_is_json() -> None:
    report = region_report(*timed(networks()["moves"], "dense256"))
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(report)))["cycles"] == report.cycles
