"""The report: its parts add up to the run's, and its causes are what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.compiler.networks import Builder
from zeroskip.accel_model.encoding import decode_all
from zeroskip.accel_model.isa import UNITS, Unit
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.program import Program
from zeroskip.accel_model.run import Run
from zeroskip.accel_model.spec import load_spec, targets
from zeroskip.compiler.lower import lower
from zeroskip.compiler.schedule import emit_region, plan_region
from zeroskip.runtime.report import CAUSES, LayerReport, RegionReport, region_report


def networks() -> dict[str, Builder]:
    """Graphs by what they have; each ends in a value ``y`` that is the graph's output."""
    made = {}
    b = made["convolutions"] = Builder(np.random.default_rng(0), 0.4)
    x = b.conv(b.input(3, 20, 20), 32, (3, 3), pad=(1,) * 4)
    x = b.sum(x, b.conv(x, 32, (3, 3), pad=(1,) * 4))
    b.dense(b.reshape(b.pool(x, "max", 2, 2), 3200), 10)
    b = made["channelwise"] = Builder(np.random.default_rng(1), 1.0)
    x = b.conv(b.input(24, 14, 14), 24, (3, 3), pad=(1,) * 4, groups=24)
    b.global_pool(b.sum(x, b.pool(x, "avg", 3, 1, 1)))
    b = made["moves"] = Builder(np.random.default_rng(2), 0.5)
    x = b.conv(b.input(16, 12, 12), 20, (1, 1))
    b.reshape(b.reshape(b.concat(x, x), 5760), 40, 12, 12)
    b = made["only moves"] = Builder(np.random.default_rng(3))
    b.reshape(b.input(8, 6, 6), 288)
    return made


def timed(builder: Builder, target: str) -> tuple[Run, Program]:
    spec = load_spec(target)
    region = lower(builder.graph(builder.nodes[-1].output))
    program = emit_region(region, spec, plan_region(region, spec))
    return Machine(spec).run(program, {}, numbers=False), program


CASES = [(name, target) for name in networks() for target in targets()]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def made(request: pytest.FixtureRequest) -> tuple[Run, Program, RegionReport]:
    name, target = request.param
    run, program = timed(networks()[name], target)
    return run, program, region_report(run, program)


def test_layers_add_up_to_the_run(made: tuple[Run, Program, RegionReport]) -> None:
    run, program, report = made
    assert sum(layer.cycles for layer in report.layers) == run.cycles == report.cycles
    assert sum(layer.dram_bytes for layer in report.layers) == run.totals["dram_bytes"]
    assert sum(layer.effectual for layer in report.layers) == run.totals["macs"]
    assert sum(layer.microjoules for layer in report.layers) == pytest.approx(run.picojoules / 1e6)
    assert [layer.node for layer in report.layers] == [each.node for each in program.layers]


def test_causes_add_up_to_each_layers_cycles(made: tuple[Run, Program, RegionReport]) -> None:
    for layer in made[2].layers:
        assert list(layer.stalls) == list(CAUSES)
        assert min(layer.stalls.values()) >= 0
        assert sum(layer.stalls.values()) == pytest.approx(layer.cycles, abs=1e-6)


def test_numbers_of_a_layer_fit_together(made: tuple[Run, Program, RegionReport]) -> None:
    spec = made[1].spec
    for layer, info in zip(made[2].layers, made[1].layers, strict=True):
        assert layer.bound == info.bound(spec.array.macs, spec.dram.bytes_per_cycle)
        assert layer.x_bound == layer.cycles / layer.bound
        assert 0 <= layer.utilisation <= 1
        assert layer.stalls["multiply"] == pytest.approx(layer.effectual / spec.array.macs)
        assert layer.cycles >= layer.effectual / spec.array.macs


def test_every_cycle_goes_where_it_is_said_to(made: tuple[Run, Program, RegionReport]) -> None:
    """The slow way: ask of each cycle what the array does, and if nothing, what comes next."""
    run, program, report = made
    counted = [0] * len(program.layers)
    for layer in owners(run, program):
        counted[layer] += 1
    assert counted == [layer.cycles for layer in report.layers]


def owners(run: Run, program: Program) -> list[int]:
    """The layer of each cycle."""
    stream = decode_all(program.words)
    layer_of, start, free, end = (values.tolist() for values in
                                  (program.layer_of, run.start, run.free, run.end))
    ahead = [pc for pc, one in enumerate(stream) if one.unit == Unit.COMPUTE]
    last = layer_of[ahead[-1]] if ahead else len(program.layers) - 1
    computing = {layer_of[pc] for pc in ahead}
    moves = sorted((pc for pc in range(len(stream)) if layer_of[pc] not in computing),
                   key=lambda pc: int(end[pc]))
    found: list[int] = []
    for cycle in range(run.cycles):
        while ahead and free[ahead[0]] <= cycle:
            del ahead[0]
        while moves and end[moves[0]] <= cycle:
            del moves[0]
        if ahead and start[ahead[0]] <= cycle:
            found.append(layer_of[ahead[0]])
        elif moves and (not ahead or end[moves[0]] <= start[ahead[0]]):
            found.append(layer_of[moves[0]])
        else:
            found.append(layer_of[ahead[0]] if ahead else last)
    return found


def layers(name: str, target: str) -> list[LayerReport]:
    return list(region_report(*timed(networks()[name], target)).layers)


def test_a_fused_addition_is_named() -> None:
    fused = [layer.fused for layer in layers("convolutions", "dense256") if layer.fused]
    assert fused == ["add2"]


def test_zero_weights_are_overhead_of_a_dense_array_only() -> None:
    dense, sparse = (layers("convolutions", target)[1].stalls for target in
                     ("dense256", "sparse256"))
    assert dense["multiply"] == sparse["multiply"]
    assert dense["overhead"] > dense["multiply"]
    assert sparse["overhead"] < 0.2 * sparse["multiply"]


def test_a_layer_that_only_moves_has_all_its_cycles_there() -> None:
    (layer,) = layers("only moves", "dense256")
    assert layer.stalls["move"] == layer.cycles > 0
    assert layer.utilisation == 0


def test_pools_are_channelwise() -> None:
    for layer in layers("channelwise", "pattern256"):
        working = layer.stalls["channelwise"] + layer.stalls["multiply"]
        assert working > 0
        assert layer.stalls["imbalance"] == layer.stalls["unused"] == 0


def test_waiting_for_the_first_load_is_charged_to_it() -> None:
    run, program = timed(networks()["convolutions"], "dense256")
    first = region_report(run, program).layers[0]
    computes = np.flatnonzero(run.unit == UNITS.index(Unit.COMPUTE))
    stream = decode_all(program.words)
    conv = next(pc for pc in computes if stream[pc].mnemonic == "conv")
    ready = int(run.start[conv])
    assert first.stalls["load"] >= ready - 20  # a few registers are set meanwhile


def test_the_report_is_json() -> None:
    report = region_report(*timed(networks()["moves"], "dense256"))
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(report)))["cycles"] == report.cycles
