"""Start and end of instructions, what they count, and the audit's sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.accel_model.by_name import (
    conv_cycles,
    lane_cycles,
    lanes,
    slots_at,
    with_lanes,
    work_matrix,
)
from tests.accel_model.by_name import stages as format_stages
from tests.accel_model.programs import Hand, par_rows, scalar_row
from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.lane_geometry import LANE_EVENTS, LANE_SPLITS, LaneEnergy
from zeroskip.accel_model.formats import make_table, to_reduction_order
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import LayerInfo
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import load_spec
from zeroskip.accel_model.timing import lane_array
from zeroskip.accel_model.timing.row_unit import row_timing, strip_of
from zeroskip.accel_model.timing.shape import WindowShape, row_by_row
from zeroskip.accel_model.timing.timeline import timeline

LOAD, COMPUTE, STORE = range(3)
TARGETS = {"dense": "dense256", "bitmap": "sparse256", "pattern": "pattern256"}


def walk(rows: list[tuple[int, str, str, int, bool]], latency: int = 10) -> dict[str, list[int]]:
    """Timeline of (unit, waits for, posts to, cycles, on the bus); units as letters l, c, s."""
    bits = {"l": 1, "c": 2, "s": 4}
    unit, wait, post, cycles, bus = zip(*rows, strict=True)
    found = timeline(
        np.array(unit),
        np.array([sum(bits[c] for c in each) for each in wait]),
        np.array([sum(bits[c] for c in each) for each in post]),
        np.array(cycles),
        np.array(bus),
        latency,
    )
    return {name: values.tolist() for name, values in found._asdict().items()}


def test_transfers_pipeline_and_complete_after_the_latency() -> None:
    found = walk([(LOAD, "", "", 4, True), (LOAD, "", "c", 6, True), (COMPUTE, "l", "", 3, False)])
    assert found["start"] == [0, 4, 20]
    assert found["free"] == [4, 10, 23]
    assert found["end"] == [14, 20, 23]
    assert found["ready"] == [0, 0, 20]


def test_bus_goes_to_the_earlier_and_to_load_at_a_tie() -> None:
    found = walk(
        [
            (COMPUTE, "", "s", 5, False),
            (LOAD, "", "", 8, True),
            (LOAD, "", "", 7, True),
            (STORE, "c", "", 2, True),
            (LOAD, "", "", 1, True),
        ]
    )
    assert found["start"] == [0, 0, 8, 16, 15]  # at 8 and at 15 both could go on
    assert found["ready"][3] == 5
    found = walk(
        [
            (COMPUTE, "", "sl", 5, False),
            (COMPUTE, "", "l", 1, False),
            (STORE, "c", "", 4, True),
            (LOAD, "c", "", 3, True),
            (LOAD, "c", "", 2, True),
        ]
    )
    assert found["start"] == [0, 5, 10, 5, 8]
    found = walk(
        [
            (COMPUTE, "", "s", 5, False),
            (COMPUTE, "", "l", 1, False),
            (STORE, "c", "", 4, True),
            (LOAD, "c", "", 3, True),
        ]
    )
    assert found["start"] == [0, 5, 5, 9]


def test_registers_take_a_cycle_and_no_bus() -> None:
    found = walk(
        [
            (LOAD, "", "", 8, True),
            (STORE, "", "", 1, False),
            (STORE, "", "", 2, True),
            (LOAD, "", "c", 1, False),
            (COMPUTE, "l", "", 1, False),
        ]
    )
    assert found["start"] == [0, 0, 8, 8, 18]  # units complete in order
    assert found["end"][3] == 18


def test_tokens_queue_up() -> None:
    found = walk(
        [
            (LOAD, "", "c", 1, True),
            (LOAD, "", "c", 1, True),
            (LOAD, "c", "", 1, True),
            (COMPUTE, "l", "", 20, False),
            (COMPUTE, "l", "l", 5, False),
        ],
        0,
    )
    assert found["start"] == [0, 1, 26, 1, 21]


def random_conv(kind: str, seed: int, skip_padding: int = 0) -> tuple[Hand, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    hand = Hand(with_lanes(load_spec(TARGETS[kind]), skip_padding=skip_padding))
    channels, filters, gang = int(rng.integers(1, 70)), int(rng.integers(1, 90)), seed % 3
    stride, residual = seed % 2 + 1, int(seed % 4 == 1)
    out = (5, 6)
    shape = (stride * 4 + 3, stride * 5 + 3)
    weight = rng.integers(-127, 128, (filters, channels, 3, 3)).astype(np.int8)
    weight[rng.random(weight.shape) < 0.7] = 0
    order = rng.permutation(filters)
    here, result = hand.room(channels, shape, gap=1), hand.room(filters, out)
    hand.load(hand.input("x", np.zeros((1, channels, *shape), np.int8)), here)
    par = hand.params(par_rows(np.zeros(filters), np.ones(filters), np.ones(filters)))
    table = hand.patterns(weight) if kind == "pattern" else None
    wgt = hand.weights(weight, order, gang, kind, table)
    hand.add(
        isa.Kernel(
            rows=3, cols=3, row_stride=stride, col_stride=stride, row_dilation=1, col_dilation=1
        )
    )
    hand.set_input(here, shape, 0, 0, -1, 0)
    hand.set_output(result, out, 0, -128, 127, 0)
    there = hand.room(filters, out, gap=2)
    if residual:
        hand.load(hand.input("r", np.zeros((1, filters, *out), np.int8)), there)
        hand.add(
            isa.Operand(
                act=there.act,
                row=there.row,
                block=there.block,
                zero_point=0,
                unsigned=0,
                par=hand.params(scalar_row(1, 1, shift=1)),
            )
        )
    above = int(np.count_nonzero(weight[:, :, 0])) * out[1]  # of the first row of outputs
    real = int(np.count_nonzero(weight)) * 30 - above
    hand.layers.append(
        LayerInfo(
            "conv1",
            "conv1",
            "conv",
            (1, filters, *out),
            0,
            int(np.count_nonzero(weight)) * 30,
            real,
            1,
            1,
            1,
            "",
        )
    )
    pc = hand.add(
        isa.Conv(
            wgt=wgt,
            par=par,
            acc=0,
            filters=filters,
            channels=channels,
            mode=gang,
            first=1,
            last=1,
            residual=residual,
        )
    )
    hand.store(hand.output("y", filters, out, "int8"), result)
    return hand, {
        "weight": weight[order],
        "order": order,
        "gang": gang,
        "pc": pc,
        "row": here.row,
        "stride": stride,
        "operand_row": there.row if residual else None,
    }


def timing_of(kind: str, hand: Hand, made: dict[str, Any]) -> lane_array.ConvTiming:
    """What the lanes take for a convolution of ``random_conv``."""
    weight, gang, array = made["weight"], made["gang"], lanes(hand.spec)
    together = array.together(gang)
    filters, channels = weight.shape[:2]
    table = make_table(weight) if kind == "pattern" else None
    banks = hand.spec.sram.act_banks
    outputs = row_by_row(5, 6)
    conflicts = lane_array.quad_conflicts(
        *outputs,
        row=made["row"],
        top=-1,
        left=0,
        row_stride=made["stride"],
        col_stride=made["stride"],
        banks=banks,
        pixels=array.pixels * together,
    )
    operand = None
    if made["operand_row"] is not None:
        found = lane_array.quad_conflicts(
            *outputs, row=made["operand_row"], banks=banks, pixels=array.pixels
        )
        operand = lane_array.tile_fetch(found, 1 << gang)
    return conv_cycles(
        array,
        kind,
        work_matrix(kind, to_reduction_order(weight), channels, 9, table),
        made["order"].astype(np.int32),
        format_stages(kind, channels, 9),
        lane_array.tile_fetch(conflicts, (1 << gang) // together),
        lane_array.group_pixels(30, array.pixels << gang),
        operand,
        gang,
        blocks(filters),
        True,
        banks=banks,
        fetched=array.pixels * together,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", TARGETS)
def test_conv_takes_what_the_lanes_take(kind: str, seed: int) -> None:
    hand, made = random_conv(kind, seed)
    run = Machine(hand.spec).run(hand.program(), hand.data)
    filters, pc, array = len(made["weight"]), made["pc"], lanes(hand.spec)
    timing = timing_of(kind, hand, made)
    taken = {name: int(values[pc]) for name, values in run.counters.items()}
    assert taken["cycles"] == timing.cycles == run.free[pc] - run.start[pc]
    spent = lane_cycles(hand.spec, slots_at(run, hand.spec, pc))
    for name in ("lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused"):
        assert spent[name] == getattr(timing, name)
    assert sum(spent.values()) == timing.cycles * array.lanes
    assert taken["macs"] == np.count_nonzero(made["weight"]) * 30
    assert taken["real_macs"] == taken["macs"] - np.count_nonzero(made["weight"][:, :, 0]) * 6
    assert taken["requantised"] == 30 * filters * (1 if made["operand_row"] is None else 2)
    assert run.cycles == int(run.end.max())


@pytest.mark.parametrize("row_pixels", [0, 16])
@pytest.mark.parametrize("name", ["depthwise", "maxpool", "avgpool", "add", "multiply"])
def test_simple_instructions_take_what_their_timing_says(name: str, row_pixels: int) -> None:
    """By rows where there are row registers, else tap by tap; an addition and a multiplication
    always tap by tap."""
    hand = Hand(with_lanes(load_spec("pattern256"), row_pixels=row_pixels))
    channels, shape, taps = 40, (9, 7), 1 if name in ("add", "multiply") else 9
    here, result = hand.room(channels, shape, gap=3), hand.room(channels, shape)
    there = hand.room(channels, shape, gap=1)
    hand.load(hand.input("x", np.ones((1, channels, *shape), np.int8)), here)
    hand.load(hand.input("r", np.ones((1, channels, *shape), np.int8)), there)
    side = 1 if name in ("add", "multiply") else 3
    hand.add(
        isa.Kernel(
            rows=side, cols=side, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1
        ),
        isa.Operand(
            act=there.act,
            row=there.row,
            block=there.block,
            zero_point=0,
            unsigned=0,
            par=hand.params(scalar_row(1, 1, shift=1)),
        ),
    )
    hand.set_input(here, shape, 0, 0, -(side // 2), -(side // 2))
    hand.set_output(result, shape, 0, -128, 127, 0)
    made: dict[str, isa.Instruction] = {
        "depthwise": isa.Depthwise(
            wgt=hand.weights(
                np.ones((channels, 1, 3, 3), np.int8), np.arange(channels), 0, "dense"
            ),
            par=hand.params(par_rows(np.zeros(40), np.ones(40), np.ones(40))),
            channels=channels,
            residual=1,
        ),
        "maxpool": isa.MaxPool(channels=channels),
        "avgpool": isa.AvgPool(channels=channels, par=hand.params(scalar_row(1, shift=1))),
        "add": isa.Add(channels=channels),
        "multiply": isa.Multiply(channels=channels),
    }
    pc = hand.add(made[name])
    array, banks = hand.spec.array, hand.spec.sram.act_banks
    run = run_of(hand)
    at = {"banks": banks, "pixels": array.pixels}
    down, right = row_by_row(*shape)
    own = lane_array.quad_conflicts(
        down, right, row=here.row, top=-(side // 2), left=-(side // 2), **at
    )
    other = lane_array.quad_conflicts(down, right, row=there.row, **at)
    added, deep = name in ("depthwise", "add", "multiply"), 3
    cycles = lane_array.simple_cycles(
        array, deep, taps, own, 63, other if added else None, written=2
    )
    fetched = deep * 63 * (taps + added)
    unit = hand.spec.kind.row_unit(hand.spec)
    if unit is not None and taps > 1:
        window = WindowShape(here.row, *shape, -1, -1, 3, 3, 1, 1, 1, 1, *shape)
        weighted = name == "depthwise"
        strip = strip_of(unit, window, weighted)
        assert strip == (5, 3)
        timing = row_timing(unit, window, strip, deep, 4 * weighted, added)
        cycles, fetched = timing.cycles + array.pipeline_cycles, timing.fetched
        assert fetched == deep * (11 * (7 + 4) + 63 * added)  # strips of 5 and 2 columns
    assert run.counters["cycles"][pc] == cycles
    assert run.counters["macs"][pc] == (channels * 9 * 63 if name == "depthwise" else 0)
    assert run.counters["act_rows"][pc] == fetched + deep * 63


def run_of(hand: Hand) -> Run:
    return Machine(hand.spec).run(hand.program(), hand.data)


def test_patterns_take_two_cycles_for_each_slab() -> None:
    hand = Hand(load_spec("pattern256"))
    hand.patterns(np.ones((2, 3, 5, 7), np.int8))
    run = run_of(hand)
    assert run.counters["cycles"][-1] == 1 + 2 * 3


def test_events_count_and_cost_energy() -> None:
    assert set(LANE_EVENTS) == set(LaneEnergy.__dataclass_fields__)
    hand, made = random_conv("bitmap", 1)
    run = Machine(hand.spec).run(hand.program(), hand.data)
    totals, energy = run.totals, physics.energy(hand.spec)
    assert run.energy["mac"] == pytest.approx(energy.mac * np.count_nonzero(made["weight"]) * 30)
    assert run.energy["dram_byte"] == pytest.approx(energy.dram_byte * totals["dram_bytes"])
    prices = physics.prices(hand.spec)
    spent = {event: prices[event].read * totals[name] for event, name in LANE_EVENTS.items()}
    for event, split in LANE_SPLITS.items():
        read, written = (sum(totals[flow] for flow in way) for way in (split.reads, split.writes))
        assert split.unit * totals[LANE_EVENTS[event]] == read + written
        spent[event] = (prices[event].read * read + prices[event].write * written) / split.unit
    assert run.energy == pytest.approx(spent)
    filters, channels = made["weight"].shape[:2]
    slots, gang, pc = 64 >> made["gang"], made["gang"], made["pc"]
    groups = -(-filters // slots)
    count = {name: int(values[pc]) for name, values in run.counters.items()}
    assert count["act_rows"] == 30 * (groups * 9 * blocks(channels) + 2 * blocks(filters))
    assert count["window_bytes"] == 30 * (filters * channels * 9 + np.count_nonzero(made["weight"]))
    words = int(run.counters["wgt_words"][run.unit == LOAD].sum())
    assert count["wgt_words"] == words * -(-30 // (4 << gang))
    assert count["acc_rows"] == 0


def test_partial_sums_move_through_acc() -> None:
    hand, made = random_conv("bitmap", 0)
    pc = made["pc"]
    first = replace(hand.stream[pc], last=0)
    hand.stream[pc : pc + 1] = [first, replace(first, first=0, last=1)]
    hand.layers[0] = replace(
        hand.layers[0],
        effectual=2 * hand.layers[0].effectual,
        real_macs=2 * hand.layers[0].real_macs,
    )
    run = run_of(hand)
    rows = 30 * -(-made["weight"].shape[0] // 16)
    assert run.counters["acc_rows"][pc : pc + 2].tolist() == [rows, rows]
    assert run.counters["requantised"][pc] == 0
