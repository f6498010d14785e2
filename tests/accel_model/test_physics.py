"""Parts, area, standing power and energy of events: they follow from the target's sizes."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, cast

import pytest

from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.lane_geometry import LaneEnergy
from zeroskip.accel_model.physics import Part, PartPort
from zeroskip.accel_model.physics.lane_array import BESIDE_LANES
from zeroskip.accel_model.physics.page import manual
from zeroskip.accel_model.physics.part import memory
from zeroskip.accel_model.physics.selection import prefix_sums
from zeroskip.accel_model.spec import (
    AccelSpec,
    SpecError,
    Sram,
    Technology,
    equal_targets,
    load_spec,
    parse_spec,
    targets,
)
from zeroskip.accel_model.technology import dram, logic, sram
from zeroskip.accel_model.technology.logic import CLOCK_POWER, Cell, Logic

TARGETS = Path(__file__).parents[2] / "accel_model" / "targets"
READ, WRITE, EITHER = PartPort("one", "r"), PartPort("other", "w"), PartPort("both", "rw")
EVENTS = [field.name for field in fields(LaneEnergy)]


def built(target: str = "sparse256", node: str = "45nm", kind: str = "lpddr4") -> AccelSpec:
    """A target made in a node, its energy following from it."""
    return replace(load_spec(target), technology=Technology(node, kind), energy=None)


def resized(spec: AccelSpec, **sizes: int) -> AccelSpec:
    """The target with other sizes."""
    arrays: dict[str, Any] = {
        name: size for name, size in sizes.items() if hasattr(spec.array, name)
    }
    srams: dict[str, Any] = {
        name: size for name, size in sizes.items() if name in Sram.__dataclass_fields__
    }
    return replace(
        spec, array=replace(cast(Any, spec.array), **arrays), sram=replace(spec.sram, **srams)
    )


def coarse() -> AccelSpec:
    """Few large banks of ACT, which need two ports, and large windows."""
    return resized(built(), act_bytes=180224, act_banks=8, window_entries=512)


def part(spec: AccelSpec, name: str) -> Part:
    return next(one for one in physics.parts(spec) if one.name == name)


@pytest.mark.parametrize(
    ("ports", "period", "build", "accesses"),
    [
        ((READ, WRITE), 2.0, "1rw", 2),  # 0.49 ns: twice a cycle
        ((READ, WRITE), 0.6, "1r1w", 1),
        ((EITHER,), 0.5, "1rw", 1),
        ((READ, EITHER), 0.6, "2rw", 1),  # a read port cannot serve "either"
        ((READ, READ), 0.6, "2rw", 1),
        ((PartPort("four", "r", 4), WRITE), 2.5, "1rw", 5),
        ((PartPort("four", "r", 4), WRITE), 2.3, "1r1w", 4),
        ((PartPort("quarter", "r", 0.25), WRITE), 1.0, "1rw", 2),
    ],
)
def test_a_memory_is_the_smallest_macro_that_serves_its_ports(
    ports: tuple[PartPort, ...], period: float, build: str, accesses: int
) -> None:
    bank = memory("45nm", period, "bank", 3, 128, 4, ports)
    assert (bank.build, bank.accesses) == (build, accesses)
    macro = sram("45nm", 128, 4, build)
    assert bank.least_period_ns == accesses * macro.cycle_ns <= period
    assert (bank.read_pj, bank.write_pj) == (macro.read_pj, macro.write_pj)
    assert (bank.area_mm2, bank.leakage_mw) == (3 * macro.area_mm2, 3 * macro.leakage_mw)


def test_where_none_is_fast_enough_it_is_the_fastest() -> None:
    bank = memory("45nm", 0.1, "bank", 1, 128, 4, (READ, WRITE))
    assert (bank.build, bank.accesses) == ("1r1w", 1)
    assert bank.least_period_ns > 0.1


def test_a_small_memory_is_flip_flops() -> None:
    cells = logic("45nm")
    bank = memory("45nm", 2.0, "bank", 2, 28, 4, (READ, WRITE))
    assert (bank.build, bank.least_period_ns) == ("flip-flops", 0)
    assert bank.write_pj == pytest.approx(cells.register(32).pj)
    assert bank.read_pj == pytest.approx(cells.mux(7, 32).pj)
    stored = cells.register(8 * 28).area_mm2 + cells.mux(7, 32).area_mm2
    assert bank.area_mm2 == pytest.approx(2 * stored)
    assert memory("45nm", 2.0, "bank", 1, 64, 16, (READ,)).build == "flip-flops"  # four words
    assert memory("45nm", 2.0, "bank", 1, 32, 4, (READ,)).build == "1rw"


def test_the_windows_of_skipping_lanes_are_sixteen_banks_of_each_lane() -> None:
    bank = part(coarse(), "windows")
    assert (bank.count, bank.bytes, bank.width, bank.build) == (64 * 16, 128, 4, "1rw")
    assert (bank.read_pj, bank.write_pj) == pytest.approx((0.391, 0.644), abs=0.001)
    dense = part(built("dense256"), "windows")
    assert (dense.count, dense.bytes, dense.build) == (16 * 16, 8, "flip-flops")  # gangs of 16


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
@pytest.mark.parametrize("node", ["45nm", "22nm"])
def test_every_memory_of_the_built_in_targets_holds_its_bytes_and_is_in_time(
    target: str, node: str
) -> None:
    spec = built(target, node)
    physics.check(spec)
    sizes = {one.name: one.count * one.bytes for one in physics.parts(spec) if one.bytes}
    assert sizes == {
        "ACT": spec.sram.act_bytes,
        "WGT": spec.sram.wgt_bytes,
        "ACC": spec.sram.acc_bytes,
        "PAR": spec.sram.par_bytes,
        "staging": spec.sram.staging_bytes,
        "result tables": 32 * 256,
        "windows": spec.array_bytes,
    }
    for one in physics.parts(spec):
        assert one.least_period_ns <= 1000 / spec.clock_mhz
        assert bool(one.ports) == bool(one.width) >= bool(one.bytes)


def test_energy_of_an_event_is_its_parts() -> None:
    spec = built()
    cost = {one.name: one for one in physics.parts(spec)}
    found, clocked = physics.energy(spec), 1 / (1 - CLOCK_POWER)
    assert clocked == pytest.approx(1.373, abs=0.001)
    prices = physics.prices(spec)
    for way in ("read", "write"):
        mine = {name: getattr(one, f"{way}_pj") for name, one in cost.items()}
        path = mine["fetch crossbar"] if way == "read" else 0
        now = {event: getattr(price, way) for event, price in prices.items()}
        assert now["acc_row"] == pytest.approx(clocked * mine["ACC"])
        wire = logic("45nm").wire_pj * 128 * math.sqrt(physics.physics(spec).area_mm2)
        assert now["act_row"] == pytest.approx(clocked * (mine["ACT"] + path + wire))
        buffer = logic("45nm").register(128).pj if way == "read" else 0
        assert now["wgt_word"] == pytest.approx(clocked * (mine["WGT"] + buffer) / 4)
    assert found.acc_row == pytest.approx((prices["acc_row"].read + prices["acc_row"].write) / 2)
    lanes = sum(one.area_mm2 for one in cost.values() if one.name in BESIDE_LANES)
    broadcast = logic("45nm").wire_pj * 32 * math.sqrt(lanes / (1 - 0.0227 - 0.2685)) * (8 + 2)
    window, path = cost["windows"], cost["window multiplexers"]
    assert prices["window_byte"].read == pytest.approx(
        clocked * (window.read_pj + path.read_pj) / 4
    )
    assert prices["window_byte"].write == pytest.approx(
        clocked * (window.write_pj + broadcast / 64) / 4
    )
    multiply = 0.2247 + 0.1 + 0.0325 + 0.009 * (9 + 17 + 32 + 8 / 4)
    assert found.mac == pytest.approx(clocked * multiply, rel=1e-3)
    staged = cost["staging"].read_pj + cost["staging"].write_pj
    results = cost["requantize units"].read_pj + cost["PAR"].read_pj + staged
    assert found.requantise == pytest.approx(clocked * results)
    table, path = cost["result tables"], cost["result multiplexers"]
    assert (table.count, path.count) == (32, 32)  # a drain of 32
    assert prices["lookup"].read == pytest.approx(clocked * (table.read_pj + path.read_pj))
    assert prices["lookup"].write == pytest.approx(clocked * table.write_pj)
    assert found.dram_byte == 64
    for kind in ("ddr4", "hbm2"):
        memory_of = dram(kind)
        assert physics.energy(built(kind=kind)).dram_byte == pytest.approx(
            (memory_of.read_pj + memory_of.write_pj) / 2
        )


@pytest.mark.parametrize(
    ("size", "factor", "event"),
    [
        ("act_bytes", 0.5, "act_row"),
        ("window_entries", 0.25, "window_byte"),
        ("wgt_bytes", 0.5, "wgt_word"),
        ("acc_bytes", 0.5, "acc_row"),
        ("par_bytes", 0.5, "requantise"),
        ("staging_bytes", 0.5, "requantise"),
    ],
)
def test_a_smaller_memory_costs_less(size: str, factor: float, event: str) -> None:
    spec = coarse()
    now = getattr(spec.sram, size, None) or getattr(spec.array, size)
    less = resized(spec, **{size: int(now * factor)})
    before, after = physics.energy(spec), physics.energy(less)
    assert getattr(after, event) < getattr(before, event)
    assert physics.physics(less).area_mm2 < physics.physics(spec).area_mm2
    assert after.mac == before.mac


def test_the_entry_of_a_dense_array_goes_from_one_window_to_all_lanes() -> None:
    cost = {one.name: one for one in physics.parts(built("dense256"))}
    lanes = sum(one.area_mm2 for one in cost.values() if one.name in BESIDE_LANES)
    broadcast = logic("45nm").wire_pj * 32 * math.sqrt(lanes / (1 - 0.0227 - 0.2685)) * 9
    read = cost["windows"].read_pj + cost["window multiplexers"].read_pj + broadcast
    found, clocked = physics.prices(built("dense256"))["window_byte"], 1 / (1 - CLOCK_POWER)
    assert found.read == pytest.approx(clocked * read / 4)
    assert found.write == pytest.approx(clocked * cost["windows"].write_pj / 4)


@pytest.mark.parametrize(("drain_width", "banks"), [(4, 2), (16, 2), (32, 4)])
def test_acc_has_banks_for_all_that_is_drained_in_a_cycle(drain_width: int, banks: int) -> None:
    """Sums are read and written in the same cycle, 4 bytes each."""
    spec = resized(built(), drain_width=drain_width)
    acc = part(spec, "ACC")
    assert acc.count == banks
    assert acc.count * acc.width >= 2 * 4 * drain_width
    assert part(spec, "requantize units").count == max(16, drain_width)


def test_load_and_store_move_a_quad_or_what_the_bus_brings() -> None:
    for width, banks, rows in ((4, 8, 4), (16, 8, 4), (16, 4, 2), (16, 1, 1), (128, 16, 8)):
        dram_of = replace(built().dram, bytes_per_cycle=width)
        spec = replace(resized(built(), act_banks=banks, act_bytes=32768), dram=dram_of)
        assert part(spec, "load and store row buffers").width == 16 * rows


def test_a_newer_node_costs_less_and_more_lanes_cost_more() -> None:
    spec, newer = built(), built(node="22nm")
    old, new = asdict(physics.energy(spec)), asdict(physics.energy(newer))
    for event in EVENTS:
        assert new[event] < old[event] or event == "dram_byte"
    assert physics.physics(newer).area_mm2 < physics.physics(spec).area_mm2 / 3
    wider = resized(spec, lanes=128, wgt_bytes=2 * spec.sram.wgt_bytes)
    assert physics.physics(wider).area_mm2 > 1.25 * physics.physics(spec).area_mm2


def test_area_is_the_parts_and_the_floorplan() -> None:
    chip = physics.physics(built())
    inside = sum(one.area_mm2 for one in chip.parts)
    assert inside / chip.area_mm2 == pytest.approx(1 - 0.0227 - 0.2685)
    assert 3 < chip.area_mm2 < 5
    assert chip.channels == 2  # 8 GB/s of LPDDR4-3200, 16 bits
    assert chip.dram_mw == pytest.approx(2 * 37.875)
    assert chip.standing_mw == chip.leakage_mw + chip.dram_mw
    assert chip.leakage_mw == pytest.approx(sum(one.leakage_mw for one in chip.parts))


def test_own_constants_win_and_need_no_technology() -> None:
    own = LaneEnergy(**{event: float(number) for number, event in enumerate(EVENTS)})
    assert physics.energy(replace(built(), energy=own)) == own
    bare = replace(built(), technology=None, energy=own)
    assert physics.energy(bare) == own
    physics.check(bare)
    with pytest.raises(SpecError, match=r"target 'sparse256' names no node .* section \[techn"):
        physics.parts(bare)


def test_a_memory_that_is_too_slow_is_refused() -> None:
    fast = replace(coarse(), clock_mhz=1000.0)
    with pytest.raises(
        SpecError,
        match=r"target 'sparse256': ACT cannot be built at 45nm for 1000 MHz: .* up to 7\d\d MHz",
    ):
        physics.check(fast)
    physics.check(replace(built(node="22nm"), clock_mhz=1000.0))
    physics.check(resized(fast, act_banks=32, acc_bytes=8192))


def test_reads_that_take_longer_than_the_pipeline_are_refused() -> None:
    spec = replace(coarse(), clock_mhz=720.0)  # ACT: 1.41 ns of 1.39
    physics.check(spec)
    with pytest.raises(SpecError, match=r"pipeline_cycles = 0 is less than the 1 cycles .* ACT"):
        physics.check(resized(spec, pipeline_cycles=0))


def test_act_has_a_bank_for_each_row_that_moves_in_a_cycle() -> None:
    spec = resized(built(), act_bytes=32768, act_banks=4)
    physics.check(
        replace(spec, dram=replace(spec.dram, bytes_per_cycle=32))
    )  # write-back and bus: 2 rows each
    with pytest.raises(SpecError, match=r"act_banks = 4 take .* a bus of 64 bytes move 6; give"):
        physics.check(replace(spec, dram=replace(spec.dram, bytes_per_cycle=64)))


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
def test_the_built_in_targets_make_sense(target: str) -> None:
    assert not list(physics.doubts(load_spec(target)))


ODD: dict[str, tuple[dict[str, int], int]] = {  # sentence: sizes, bytes of the bus in a cycle
    r"dram.bytes_per_cycle = 64 brings more than 2 bytes a cycle for each of 16 mult": (
        {"lanes": 16, "pixels": 1},
        64,
    ),
    r"dram.bytes_per_cycle = 1 is too narrow for 1,024 multipliers: .* at most \d\d% of them": (
        {"pixels": 16, "act_banks": 16},
        1,
    ),
    r"1,\d+ KiB of SRAM are for 16 multipliers, more than 64 KiB each; take smaller": (
        {"lanes": 16, "pixels": 1, "act_bytes": 1 << 20},
        16,
    ),
    r"array.pixels = 16 rows of ACT are fetched together from sram.act_banks = 8, so every": (
        {"pixels": 16, "act_banks": 8},
        16,
    ),
    r"the bus of 64 GB/s needs \d\d channels of lpddr4, more than 8; take a narrower bus": (
        {},
        128,
    ),
}


@pytest.mark.parametrize("sentence", ODD)
def test_what_makes_no_sense_is_said(sentence: str) -> None:
    """One sentence each, and a little less of it is none."""
    sizes, bus = ODD[sentence]
    spec = resized(replace(built(), dram=replace(built().dram, bytes_per_cycle=bus)), **sizes)
    (found,) = physics.doubts(spec)
    assert re.match(sentence, found)
    with (
        pytest.warns(RuntimeWarning, match=rf"target 'sparse256': {sentence}"),
        suppress(SpecError),
    ):
        physics.check(spec)


def test_a_memory_beyond_the_table_is_refused_with_its_name() -> None:
    with (
        pytest.warns(RuntimeWarning, match="more than 64 KiB each"),
        pytest.raises(SpecError, match=r"target 'sparse256': WGT: an SRAM of 2097152 bytes, .* sp"),
    ):
        physics.check(resized(built(), wgt_bytes=64 << 21))


def test_the_page_has_the_parts_of_the_built_in_targets() -> None:
    page = (Path(__file__).parents[2] / "docs" / "PHYSICS.md").read_text(encoding="utf-8")
    assert manual(page, [load_spec(name) for name in targets()]) == page, "print it: make docs"


def test_every_built_in_target_names_its_technology_and_no_constants() -> None:
    published = ("scnn_isca2017", "sparten_micro2019")  # of another node: no area, own energies
    for name in targets():
        spec = load_spec(name)
        assert (spec.technology is not None and spec.energy is None) or name in published


@pytest.mark.parametrize(
    ("target", "size", "event"),
    [
        ("scnn256", "accumulators", "accumulate"),
        ("scnn256", "fifo_bytes", "weight_vector"),
        ("scnn256", "act_bytes", "input_vector"),
        ("dcnn256", "act_bytes", "input_vector"),
        ("sparten256", "chunk", "join"),
        ("sparten256", "unit_bytes", "unit"),
        ("eyeriss256", "pad_bytes", "pad"),
        ("zhu256", "block_pixels", "generated"),
        ("abm256", "window_entries", "window_byte"),
        *((name, "act_bytes", "act_row") for name in equal_targets()),
        *((name, "acc_bytes", "acc_row") for name in equal_targets()),
    ],
)
def test_halves_of_memories_cost_less_on_every_array(target: str, size: str, event: str) -> None:
    spec = load_spec(target)
    now = getattr(spec.sram, size, None) or getattr(spec.array, size)
    less = resized(spec, **{size: now // 2})
    assert getattr(physics.energy(less), event) < getattr(physics.energy(spec), event)
    assert physics.physics(less).area_mm2 < physics.physics(spec).area_mm2


def test_a_unit_without_room_for_chunks_is_refused() -> None:
    text = (TARGETS / "sparten256.toml").read_text(encoding="utf-8")
    less = text.replace("unit_bytes = 512", "unit_bytes = 16")
    with pytest.raises(SpecError, match=r"array\.unit_bytes = 16 leaves no room for chunks beside"):
        parse_spec(less, "own.toml")
    spec = parse_spec(text.replace("unit_bytes = 512", "unit_bytes = 17"), "own.toml")
    assert physics.prices(spec)["unit"].mean > 0


def test_every_event_of_every_array_has_a_price() -> None:
    for name in equal_targets():
        spec = load_spec(name)
        for event, price in physics.prices(spec).items():
            assert min(price.read, price.write) > 0 or event == "row_byte", (name, event)
        assert {*physics.prices(spec)} == {*spec.kind.events}


@pytest.mark.parametrize("levels", range(1, 9))
def test_prefix_sums_are_the_network_of_the_fewest_adders(levels: int) -> None:
    bits = 1 << levels

    class Counting(Logic):
        def adder(self, bits: int) -> Cell:
            return Cell(0.0, 1.0, float(bits))

    made = prefix_sums(Counting(1.0, 1.0, 1.0), bits)
    assert made.area_mm2 == 2 * bits - 2 - levels
