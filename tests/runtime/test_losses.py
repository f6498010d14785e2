"""The attribution of lost cycles: exact on any program, and what a look at every cycle finds."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accel_model.by_name import LANE_TARGETS, lanes, slots_at, with_lanes
from tests.accel_model.test_lanes import TARGETS
from tests.accel_model.test_timing import random_conv, timing_of
from tests.campaigns.fuzz_check import compile_graph
from tests.campaigns.fuzz_layers import build_graph
from tests.campaigns.fuzz_random import random_case
from tests.compiler.networks import GraphBuilder
from tests.runtime.causes import CAUSES
from tests.runtime.test_report import CASES, activity, networks, owners, timed
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import UNITS, Unit
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec, load_spec, targets
from zeroskip.accel_model.timing.lane_array import quad_conflicts
from zeroskip.accel_model.timing.shape import row_by_row
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import ConvLayer
from zeroskip.runtime.analysis.loss_breakdown import (
    ROWS,
    SAVED,
    Losses,
    causes_of,
    losses_of,
    parts,
    with_products,
)
from zeroskip.runtime.analysis.report import region_report

EXAMPLES = 8


def random_run(seed: int) -> tuple[Run, Program] | None:
    """A random network on random hardware; None if it does not fit there."""
    case = random_case(seed)
    try:
        program = compile_graph(build_graph(case), case.spec())
    except CompileError:
        return None
    return Machine(program.spec).run(program, {}, numbers=False), program


def check(run: Run, program: Program) -> None:
    """Everything that must hold for the losses of any run."""
    unit, spec = parts(program.spec), program.spec
    program = with_products(run, program)
    found = losses_of(run, program)
    assert sum(one.cycles for one in found) == run.cycles
    for info, one in zip(program.layers, found, strict=True):
        bound = info.bound(spec.array.macs, spec.dram.bytes_per_cycle)
        assert list(one.lost) == [cause.name for cause in causes_of(spec)]
        assert all(isinstance(lost, int) for lost in one.lost.values())
        assert sum(one.lost.values()) == unit * (one.cycles - bound)
        for cause, lost in one.lost.items():
            assert lost <= 0 if cause in SAVED else lost >= 0, (info.node, cause)
        needs = {
            "array": Fraction(info.real_macs, spec.array.macs),
            "bus": Fraction(
                info.input_bytes + info.output_bytes + info.weight_bytes, spec.dram.bytes_per_cycle
            ),
        }
        assert needs[one.limit] == max(needs.values())
        assert Fraction(one.lost["rounding"], unit) == needs[one.limit] - bound
        if one.limit == "array":  # it cannot be done before or after the layer's own time
            assert one.lost["overlap"] == one.lost["resident"] == one.lost["multiply"] == 0
    # Parts of a cycle are added up as whole numbers above; the report divides them, and an array of
    # 320 multipliers has tenths.
    report = region_report(run, program)
    near = pytest.approx
    assert sum(report.lost.values()) == near(report.cycles - report.bound, rel=1e-12)
    for cause in report.lost:
        assert report.lost[cause] == near(sum(layer.lost[cause] for layer in report.layers))
        assert report.lost[cause] == near(sum(one.lost[cause] for one in found) / unit, rel=1e-12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 1 << 40))
def test_losses_add_up_on_random_programs(seed: int) -> None:
    made = random_run(seed)
    if made is not None:
        run, program = made
        check(run, program)
        check(run, with_other_needs(program, np.random.default_rng(seed)))


@pytest.mark.parametrize("target", targets())
def test_multiplies_by_padding_are_lost_to_padding(target: str) -> None:
    """3 x 3 on 7 x 7: of 441 places a channel's taps look at, 80 are outside, 18.1 %. An array that
    skips zero inputs skips those, and lanes may pass over some (``test_padding.py``)."""
    spec = load_spec(target)
    if getattr(spec.array, "skip_padding", 0):
        spec = with_lanes(spec, skip_padding=0)
    b = GraphBuilder(np.random.default_rng(0), 2.0)
    b.conv(b.input(64, 7, 7), 64, (3, 3), pad=(1,) * 4)
    layer = b.nodes[0].layer
    assert isinstance(layer, ConvLayer)
    weight = layer.weight
    weight[weight == 0] = 1
    region = lower(b.graph(b.nodes[-1].output))
    spec = replace(spec, dram=replace(spec.dram, bytes_per_cycle=256, burst_bytes=256))
    program = emit_region(region, spec, plan_region(region, spec))
    run = Machine(spec).run(program, {}, numbers=False)
    (one,) = region_report(run, program).layers
    assert one.limit == "array"
    skipped = "inputs" in spec.kind.skips
    assert one.lost["padding"] == (0 if skipped else 64 * 64 * 80 / spec.array.macs)
    assert one.bound == math.ceil(64 * 64 * 361 / spec.array.macs)
    assert used(run, program)["padding"] == (0 if skipped else 64 * 64 * 80)
    check(run, program)


def with_other_needs(program: Program, rng: np.random.Generator) -> Program:
    """The program with compulsory bytes far below or above what moves, as if more moved twice or
    stayed on the chip."""

    def other(size: int) -> int:
        return int(size * rng.choice([0, 0.3, 1, 2, 5]))

    layers = tuple(
        replace(
            info,
            input_bytes=other(info.input_bytes),
            output_bytes=other(info.output_bytes),
            weight_bytes=other(info.weight_bytes),
        )
        for info in program.layers
    )
    return replace(program, layers=layers)


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> tuple[Run, Program]:
    return timed(networks()[request.param[0]], request.param[1])


def test_losses_add_up(made: tuple[Run, Program]) -> None:
    check(*made)


def bus(run: Run, program: Program) -> list[int | None]:
    """Of each cycle the layer whose transfer holds the bus."""
    found: list[int | None] = [None] * run.cycles
    for pc in np.flatnonzero(run.counters["dram_bytes"]):
        for cycle in range(int(run.start[pc]), int(run.free[pc])):
            assert found[cycle] is None
            found[cycle] = int(program.layer_of[pc])
    return found


def test_the_bus_is_what_each_cycle_says(made: tuple[Run, Program]) -> None:
    """The slow way: in a layer that the bus limits, cycles in which it moves other layers' bytes,
    its own, or none."""
    run, program = made
    unit, width = parts(program.spec), program.spec.dram.bytes_per_cycle
    found = losses_of(run, program)
    seen: Counter[tuple[int, str]] = Counter()
    for owner, mover in zip(owners(run, program), bus(run, program), strict=True):
        kind = "idle" if mover is None else "own" if mover == owner else "other"
        seen[owner, kind] += 1
    for index, (info, one) in enumerate(zip(program.layers, found, strict=True)):
        if one.limit != "bus":
            continue
        assert one.lost["neighbours"] == unit * seen[index, "other"]
        idle = [cause for cause in CAUSES if cause not in (*SAVED, "traffic", "neighbours")]
        assert sum(one.lost[cause] for cause in idle) == unit * seen[index, "idle"]
        needed = info.input_bytes + info.output_bytes + info.weight_bytes
        mine = (program.layer_of == index) & (run.counters["dram_bytes"] > 0)
        moved = width * int(run.counters["cycles"][mine].sum())
        share = min(Fraction(1), Fraction(needed, moved)) if moved else Fraction(1)
        compulsory = math.floor(unit * seen[index, "own"] * share)
        assert one.lost["traffic"] == unit * seen[index, "own"] - compulsory
        assert one.lost["resident"] == -max(0, needed - moved) * unit // width
        assert one.lost["overlap"] == -(min(needed, moved) * unit // width - compulsory)


def array_only(program: Program) -> Program:
    """The program with no byte that must move, so that the array limits every layer."""
    return replace(
        program,
        layers=tuple(
            replace(info, input_bytes=0, output_bytes=0, weight_bytes=0) for info in program.layers
        ),
    )


def test_the_array_is_what_each_cycle_says(made: tuple[Run, Program]) -> None:
    """The slow way: in a layer that the array limits, what it waits for in each idle cycle."""
    run, program = made
    check_waits(run, program)
    check_waits(run, array_only(program))


@pytest.mark.parametrize("target", ["dense256", "sparse256"])
def test_waits_go_to_the_unit_that_is_late(target: str) -> None:
    """Little memory, many outputs: the array waits for loads, and for stores before the end."""
    run, program = single(target, filters=128, size=24, sram__act_bytes=8192)
    seen = check_waits(run, array_only(program))
    assert min(seen[0, "load"], seen[0, "store"], seen[0, "tail"], seen[0, "prologue"]) > 0
    assert seen[0, "load"] not in (seen[0, "store"], seen[0, "store"] + seen[0, "tail"])
    for seed in range(3):  # tokens that come in another order than their transfers start
        took = np.random.default_rng(seed).integers(0, 5000, len(run.end))
        check_waits(replace(run, end=run.start + took), array_only(program))


def check_waits(run: Run, program: Program) -> Counter[tuple[int, str]]:
    """Of the layers that the array limits; the cycles of each layer by what is waited for."""
    stream, seen = decode_all(program.words), Counter[tuple[int, str]]()
    array = [pc for pc, one in enumerate(stream) if one.unit == Unit.COMPUTE]
    at, came = 0, last_givers(run, stream)
    started: set[int] = set()
    for cycle, (owner, does) in enumerate(activity(run, program)):
        while at < len(array) and run.free[array[at]] <= cycle:
            if stream[array[at]].mnemonic in ("conv", "depthwise", "maxpool", "avgpool", "add"):
                started.add(int(program.layer_of[array[at]]))
            at += 1
        if does == "waits":
            does = came[array[at]] if owner in started else "prologue"
        seen[owner, does] += 1
    unit = parts(program.spec)
    for index, one in enumerate(losses_of(run, program)):
        if one.limit == "array":
            assert one.lost["prologue"] == unit * seen[index, "prologue"]
            assert one.lost["load"] == unit * seen[index, "load"]
            assert one.lost["store"] == unit * (seen[index, "store"] + seen[index, "tail"])
            assert one.lost["move"] == unit * seen[index, "moves"]
    return seen


def last_givers(run: Run, stream: Sequence[isa.Instruction]) -> dict[int, str]:
    """Of each instruction of the array the unit whose token came last, the load unit's if both came
    together. Tokens queue up in order."""
    queues = {
        unit: deque(
            int(run.end[pc])
            for pc, one in enumerate(stream)
            if one.unit == unit and one.post & Unit.COMPUTE
        )
        for unit in (Unit.LOAD, Unit.STORE)
    }
    found = {}
    for pc, one in enumerate(stream):
        if one.unit == Unit.COMPUTE:
            came = {unit: queues[unit].popleft() if one.wait & unit else -1 for unit in queues}
            found[pc] = "load" if came[Unit.LOAD] >= came[Unit.STORE] else "store"
    return found


def test_the_guide_explains_every_cause() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "GUIDE.md").read_text(encoding="utf-8")
    table = guide[guide.index("to one of these causes") :]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    every = {*CAUSES, ROWS.name}
    assert sorted(rows[: len(every)]) == sorted(every)


# ------------------------------------------------------------------------------------- slots


def single(
    target: str,
    *,
    channels: int = 16,
    filters: int = 64,
    size: int = 8,
    kernel: int = 1,
    stride: int = 1,
    density: float = 1.0,
    **changes: object,
) -> tuple[Run, Program]:
    """One convolution, with other numbers of the accelerator ("sram.act_banks")."""
    spec = load_spec(target)
    for path, value in changes.items():
        section, key = path.split("__")
        spec = replace(spec, **{section: replace(getattr(spec, section), **{key: value})})
    b = GraphBuilder(np.random.default_rng(0), density)
    b.conv(b.input(channels, size, size), filters, (kernel, kernel), stride=stride)
    region = lower(b.graph(b.nodes[-1].output))
    program = emit_region(region, spec, plan_region(region, spec))
    return Machine(spec).run(program, {}, numbers=False), program


def used(run: Run, program: Program) -> dict[str, int]:
    """Slots of all compute instructions, by use."""
    array = np.flatnonzero(run.unit == UNITS.index(Unit.COMPUTE))
    uses = run.slots[array]
    assert (uses.sum(axis=1) == run.counters["cycles"][array] * program.spec.array.macs).all()
    assert uses.min(initial=0) >= 0
    names = [slot.name for slot in program.spec.kind.slots]
    return dict(zip(names, uses.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("target", LANE_TARGETS)
@pytest.mark.parametrize("name", ["convolutions", "channelwise"])
def test_each_count_of_an_instruction_has_its_use(name: str, target: str) -> None:
    """Slots by the counters that the machine has of each instruction."""
    run, program = timed(networks()[name], target)
    check_slots(run, program)


@pytest.mark.parametrize("target", LANE_TARGETS)
def test_slots_where_lanes_wait_for_much(target: str) -> None:
    """Few banks, windows that just fit, ragged groups: every kind of wait, each another number."""
    run, program = single(
        target,
        channels=48,
        filters=71,
        size=7,
        kernel=3,
        density=0.3,
        sram__act_banks=2,
        array__window_entries=256,
    )
    found = check_slots(run, program)
    waits = [found[use] for use in ("imbalance", "drain", "unused", "conflicts")]
    assert len(set(waits)) == 4
    assert min(found["drain"], found["unused"]) > 0
    if target != "dense256":
        assert found["imbalance"] > 0


def check_slots(run: Run, program: Program) -> dict[str, int]:
    """The sums over all compute instructions."""
    array = np.flatnonzero(run.unit == UNITS.index(Unit.COMPUTE))
    stream, spec = decode_all(program.words), program.spec
    for pc in array.tolist():
        found = slots_at(run, spec, pc)
        counts = {key: int(values[pc]) for key, values in run.counters.items()}
        assert found["multiply"] == counts["real_macs"]
        assert found["padding"] == counts["macs"] - counts["real_macs"]
        if isinstance(stream[pc], isa.Conv):
            assert sum(found.values()) == counts["cycles"] * spec.array.macs
            assert found["channelwise"] == found["setup"] == 0
        elif isinstance(stream[pc], isa.Depthwise | isa.MaxPool | isa.AvgPool | isa.Add):
            assert (
                found["multiply"] + found["padding"] + found["channelwise"] + found["conflicts"]
                == counts["cycles"] * spec.array.macs
            )
            assert found["channelwise"] > 0
        else:
            assert found["setup"] == counts["cycles"] * spec.array.macs
    return used(run, program)


def test_slots_of_a_full_dense_layer_are_multiplies() -> None:
    found = used(*single("dense256", channels=64, size=16))
    assert found["multiply"] > 0
    assert found["fragmentation"] == found["unused"] == found["conflicts"] == 0


def test_fragmentation_is_what_pixel_groups_lack() -> None:
    """7 x 7 outputs: the last group of 4 << mode lacks some, and each costs what others do."""
    run, program = single("sparse256", channels=64, size=7, density=0.5)
    array = np.flatnonzero(run.unit == UNITS.index(Unit.COMPUTE))
    stream = decode_all(program.words)
    lacking, outputs = 0, 0
    for pc in array.tolist():
        one = stream[pc]
        if isinstance(one, isa.Output):
            outputs = one.height * one.width
        if isinstance(one, isa.Conv):
            group = program.spec.array.pixels << one.mode
            missing = -outputs % group
            lacking += missing
            found = slots_at(run, program.spec, pc)
            each = Fraction(found["multiply"] + found["zeros"], outputs)
            assert found["fragmentation"] == missing * each
    assert lacking > 0


def test_unused_lanes_are_those_without_a_filter() -> None:
    found = used(*single("dense256", filters=48, size=2, channels=32))
    assert found["unused"] > 0.1 * sum(found.values())


def test_conflicts_are_what_fewer_banks_cost() -> None:
    """One bank for all rows: a fetch of four takes four cycles, three of them conflicts."""
    fast, slow = (
        used(*single("sparse256", density=0.1, size=16, sram__act_banks=banks)) for banks in (8, 1)
    )
    assert fast["conflicts"] == 0
    assert slow["conflicts"] == 3 * slow["fetch"] > 0


@pytest.mark.parametrize("kind", TARGETS)
def test_conflicts_are_the_fetch_units_cycles_beyond_one(kind: str) -> None:
    """Of the waits for it as large a part as of its cycles, the operand's fetches among them."""
    lost = residual = 0
    for seed in range(8):
        hand, made = random_conv(kind, seed)
        hand.spec = replace(hand.spec, sram=replace(hand.spec.sram, act_banks=2))
        run, program = Machine(hand.spec).run(hand.program(), hand.data), hand.program()
        timing = timing_of(kind, hand, made)
        assert timing.fetch_cycles == fetch_cycles(hand.spec, made, banks=2)
        assert timing.tap_fetches == fetch_cycles(hand.spec, made, banks=1 << 10)
        waits = timing.fetch_wait * hand.spec.array.pixels
        expected = waits * (timing.fetch_cycles - timing.tap_fetches) // timing.fetch_cycles
        assert used(run, program)["conflicts"] == expected
        lost += expected
        residual += made["operand_row"] is not None and expected > 0
    assert lost > 0
    assert residual > 0


def fetch_cycles(spec: AccelSpec, made: dict[str, Any], banks: int) -> int:
    """Cycles in which the fetch unit reads for a convolution of ``random_conv``, ACT in so many
    banks."""
    array, (filters, channels) = lanes(spec), made["weight"].shape[:2]
    at = {"banks": banks, "pixels": array.pixels}
    stride = {"row_stride": made["stride"], "col_stride": made["stride"]}
    fetched = {"banks": banks, "pixels": array.pixels * array.together(made["gang"])}
    down, right = row_by_row(5, 6)
    inputs = quad_conflicts(down, right, row=made["row"], top=-1, **stride, **fetched).sum()
    passes = -(-filters // (array.lanes >> made["gang"]))
    found: int = passes * 9 * blocks(channels) * int(inputs)
    if made["operand_row"] is not None:
        found += blocks(filters) * int(
            quad_conflicts(down, right, row=made["operand_row"], **at).sum()
        )
    return found


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("kind", ["pool", "addition", "depthwise", "depthwise and addition"])
def test_channelwise_work_loses_what_conflicts_cost_it(kind: str, by_rows: bool) -> None:
    """The difference between the cycles with one bank and with enough of them is exact, with and
    without row registers."""
    found, groups = {}, None
    for banks in (16, 1):
        spec = load_spec("dense256")
        spec = replace(spec, sram=replace(spec.sram, act_banks=banks))
        if not by_rows:
            spec = replace(spec, array=replace(lanes(spec), row_pixels=0))
        b = GraphBuilder(np.random.default_rng(0), 1.0)
        x = b.input(16, 12, 12)
        if kind == "pool":
            b.pool(x, "max", 3, 1, 1)
        elif kind == "addition":
            b.sum(x, b.input(16, 12, 12))
        else:
            made = b.conv(x, 16, (3, 3), pad=(1,) * 4, groups=16)
            if kind != "depthwise":
                b.sum(made, b.input(16, 12, 12))
        region = lower(b.graph(b.nodes[-1].output))
        groups = plan_region(region, spec) if groups is None else groups
        program = emit_region(region, spec, groups)
        run = Machine(spec).run(program, {}, numbers=False)
        cycles = int(run.counters["cycles"][run.unit == 1].sum())
        found[banks] = (cycles, used(run, program))
    macs = load_spec("dense256").array.macs
    assert found[16][1]["conflicts"] == 0
    assert found[1][1]["conflicts"] == (found[1][0] - found[16][0]) * macs > 0


def test_waiting_for_the_first_load_is_prologue() -> None:
    run, program = single("dense256", channels=64, size=16, kernel=3)
    (one,) = losses_of(run, program)
    conv = next(
        pc for pc, each in enumerate(decode_all(program.words)) if isinstance(each, isa.Conv)
    )
    assert one.limit == "array"
    registers = 10  # cycles in which some are set meanwhile
    assert 0 <= int(run.start[conv]) - one.lost["prologue"] / parts(program.spec) <= registers


def test_a_memory_bound_layer_loses_nothing_while_the_bus_works() -> None:
    """A 1x1 layer of few filters: hardly any cycle in which the bus does not move its bytes."""
    run, program = single("dense256", channels=32, filters=16, size=32)
    (one,) = losses_of(run, program)
    assert isinstance(one, Losses)
    assert one.limit == "bus"
    bound = program.layers[0].bound(256, 16)
    assert sum(one.lost.values()) == 256 * (one.cycles - bound)
    assert one.lost["overlap"] == 0  # nothing before or after it
