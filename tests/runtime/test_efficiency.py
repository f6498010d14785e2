"""Area, power and rates of a run: sums over parts, and the definitions of each rate."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runtime.test_tables import cells, made
from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.lane_geometry import LANE_EVENTS, LaneEnergy
from zeroskip.accel_model.spec import load_spec
from zeroskip.runtime.analysis.efficiency import (
    FLOORPLAN,
    IDLE_DRAM,
    LEAKAGE,
    PARTS,
    Efficiency,
    efficiency,
)
from zeroskip.runtime.render.files import write_layers
from zeroskip.runtime.render.tables import efficiency_parts

SPENT = {event: float(number + 1) for number, event in enumerate(LANE_EVENTS)}  # 36 uJ


def found(target: str = "sparse256") -> Efficiency:
    """An image of 2 ms: 100 million multiplies in earnest, 400 million of the dense network."""
    result = efficiency(load_spec(target), 2.0, SPENT, 100_000_000, 400_000_000)
    assert result is not None
    return result


def test_every_event_and_every_part_is_somewhere_once() -> None:
    assert sorted(event for event, _ in PARTS.values()) == sorted(LANE_EVENTS)
    names = [name for _, group in PARTS.values() for name in group]
    assert len(set(names)) == len(names)
    for target in ("dense256", "sparse256", "pattern256"):
        assert {part.name for part in physics.parts(load_spec(target))} <= set(names)
        one = found(target)
        assert sum(one.area.values()) == pytest.approx(one.area_mm2)
        assert one.area_mm2 == physics.physics(load_spec(target)).area_mm2
        assert sum(one.energy.values()) == pytest.approx(one.microjoules)


def test_rates_are_what_their_names_say() -> None:
    one, chip = found(), physics.physics(load_spec("sparse256"))
    assert one.energy[LEAKAGE] == pytest.approx(2 * chip.leakage_mw)  # mW for 2 ms
    assert one.energy[IDLE_DRAM] == pytest.approx(2 * 75.75)
    assert one.area[FLOORPLAN] == chip.floorplan_mm2
    whole = sum(SPENT.values()) + 2 * chip.standing_mw
    assert one.microjoules == pytest.approx(whole)
    assert one.milliwatts == pytest.approx(whole / 2)
    assert one.edp == pytest.approx(whole * 2)
    assert one.images_a_second == 500
    assert one.peak_tops == pytest.approx(2 * 256 * 500e6 / 1e12)
    assert one.tops == pytest.approx(2 * 1e8 / 2e-3 / 1e12)
    assert one.dense_tops == pytest.approx(4 * one.tops)
    assert one.tops_a_watt == pytest.approx(2 * 1e8 / (whole * 1e-6) / 1e12)
    assert one.dense_tops_a_watt == pytest.approx(4 * one.tops_a_watt)
    assert one.peak_tops_a_watt == pytest.approx(2 / physics.energy(load_spec("sparse256")).mac)
    for name in ("tops", "dense_tops", "peak_tops"):
        density = getattr(one, f"{name}_a_mm2")
        assert density == pytest.approx(getattr(one, name) / chip.area_mm2)


def test_a_target_without_a_technology_and_a_network_on_the_cpu_have_none() -> None:
    spec = load_spec("sparse256")
    assert efficiency(spec, 0.0, SPENT, 0, 0) is None
    own = replace(spec, technology=None, energy=LaneEnergy(1, 1, 1, 1, 1, 1, 1, 1))
    assert efficiency(own, 1.0, SPENT, 1, 1) is None


def test_it_is_shown_in_two_lines_and_a_table() -> None:
    one = found()
    power, rates, table = efficiency_parts(one)
    assert f"{one.milliwatts:,.1f} mW, 500.0 images a second" in str(power)
    assert str(rates).startswith(
        "0.1000 TOPS without zeros and padding, 0.4000 as if dense, 0.2560"
    )
    columns = cells(table)
    assert columns["part"] == [*[*PARTS][:-1], FLOORPLAN, "DRAM", LEAKAGE, IDLE_DRAM, "all"]
    at = dict(zip(columns["part"], zip(columns["mm2"], columns["uJ"], strict=True), strict=True))
    assert at["ACT"] == (f"{one.area['ACT']:.3f}", f"{SPENT['act_row']:.1f}")
    assert at["DRAM"] == ("", f"{SPENT['dram_byte']:.1f}")
    assert at["all"] == (f"{one.area_mm2:.3f}", f"{one.microjoules:.1f}")


def test_layers_are_lines_of_a_table(tmp_path: Path) -> None:
    report = made()
    write_layers(tmp_path / "layers.csv", report)
    with (tmp_path / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.layers)
    for row, layer in zip(rows, report.layers, strict=True):
        assert row["node"] == layer.node
        assert int(row["cycles"]) == layer.cycles
        assert row["shape"] == "x".join(map(str, layer.shape))
        assert float(row["lost.zeros"]) == layer.lost["zeros"]
        assert int(row["traffic.weights.moved"]) == layer.traffic["weights"].moved
        assert float(row["energy.mac"]) == layer.energy["mac"]
    write_layers(tmp_path / "none.csv", replace(report, regions=()))
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "region\n"
