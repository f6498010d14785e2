"""Memories, logic and DRAM: the tables' own points, their sources' figures, and what lies
between."""

from __future__ import annotations

import csv
from dataclasses import asdict, astuple
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from zeroskip.accel_model import technology
from zeroskip.accel_model.technology import Macro, TechnologyError, sram

ROOT = Path(__file__).parents[2]
TABLE = resources.files("zeroskip.accel_model.technology") / "sram.csv"
HELD_OUT = Path(__file__).with_name("sram_held_out.csv")
FIGURES = tuple(Macro.__dataclass_fields__)


def rows(text: str) -> list[tuple[Macro, tuple[str, int, int, str]]]:
    """What CACTI says of macros, and the arguments of ``sram`` that ask for them."""
    return [
        (
            Macro(*(float(row[name]) for name in FIGURES)),
            (f"{row['node_nm']}nm", int(row["bytes"]), int(row["width"]), row["ports"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]


def test_the_tables_points_are_given_back() -> None:
    points = rows(TABLE.read_text(encoding="utf-8"))
    assert {(asked[0], asked[3]) for _, asked in points} == {
        (node, ports) for node in technology.NODES for ports in technology.PORTS
    }
    for told, asked in points:
        assert astuple(sram(*asked)) == pytest.approx(astuple(told), rel=1e-9), asked


def test_a_window_bank_costs_what_cacti_says_of_it() -> None:
    bank = sram("45nm", 128, 4)
    assert (bank.read_pj, bank.write_pj) == pytest.approx((0.39110, 0.64360), rel=1e-4)
    assert 16 * bank.area_mm2 == pytest.approx(0.00844, rel=1e-2)
    assert sram("45nm", 2048, 4).area_mm2 == pytest.approx(0.00722, rel=1e-3)


def test_between_the_points_it_is_near_what_cacti_says() -> None:
    """Mean, ninth decile and largest deviation of each figure; docs/PHYSICS.md prints them."""
    pairs = [(told, sram(*asked)) for told, asked in rows(HELD_OUT.read_text(encoding="utf-8"))]
    told, given = (np.array([astuple(pair[side]) for pair in pairs]) for side in (0, 1))
    off = np.abs(given / told - 1)
    page = (ROOT / "docs" / "PHYSICS.md").read_text(encoding="utf-8")
    for name, column in zip(FIGURES, off.T, strict=True):
        ninth = np.sort(column)[int(0.9 * len(column))]
        line = f"| `{name}` | {column.mean():.1%} | {ninth:.1%} | {column.max():.1%} |"
        assert line in page
        assert column.mean() < 0.1


@pytest.mark.parametrize("node", technology.NODES)
@pytest.mark.parametrize("ports", technology.PORTS)
def test_twice_the_words_never_cost_less(node: str, ports: str) -> None:
    for width in (1, 2, 4, 16, 64):
        most = (1 << 20) // max(width, 4)
        sizes = [width << power for power in range(3, 20) if 1 << power <= most]
        macros = [sram(node, size, width, ports) for size in sizes]
        for name in ("read_pj", "write_pj", "leakage_mw", "area_mm2", "access_ns"):
            figures = [getattr(macro, name) for macro in macros]
            assert figures == sorted(figures), (width, name)


@pytest.mark.parametrize("node", technology.NODES)
def test_more_ports_take_more_area(node: str) -> None:
    for size, width in ((128, 4), (2304, 16), (22528, 16), (16384, 64)):
        one, both, two = (sram(node, size, width, ports) for ports in technology.PORTS)
        assert one.area_mm2 < min(both.area_mm2, two.area_mm2)


def test_below_cactis_least_the_rule_is_continuous() -> None:
    whole = sram("45nm", 64 * 4, 4)
    assert astuple(sram("45nm", 64 * 4 - 1, 4)) == pytest.approx(astuple(whole), rel=0.01)
    half = sram("45nm", 64 * 2, 2)
    assert half.read_pj == pytest.approx(whole.read_pj * (0.3 + 0.7 / 2))
    assert half.area_mm2 == pytest.approx(whole.area_mm2 / 2)
    few = sram("45nm", 16 * 4, 4)
    assert few.write_pj == pytest.approx(whole.write_pj * 0.25**0.78)
    assert few.access_ns == whole.access_ns


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("7nm", 1024, 4, "1rw"), "no figures for node '7nm'; it is one of 45nm, 22nm"),
        (("45nm", 1024, 4, "3rw"), "ports '3rw' are not one of 1rw, 1r1w, 2rw"),
        (("45nm", 1024, 0, "1rw"), "0 bytes wide is outside .* side by side"),
        (("45nm", 1 << 16, 128, "1rw"), "128 bytes wide is outside .* side by side"),
        (("45nm", 28, 4, "1rw"), "28 bytes, 4 wide, has less than 8 words; .* flip-flops"),
        (("45nm", 1 << 21, 4, "1rw"), "beyond the table .* split it into banks"),
        (("45nm", 1 << 19, 1, "1rw"), "beyond the table .* split it into banks"),
        (("45nm", 1000000, 6, "1rw"), "beyond the table; split it into banks"),
    ],
)
def test_what_is_not_in_the_table_is_refused(
    asked: tuple[str, int, int, str], sentence: str
) -> None:
    with pytest.raises(TechnologyError, match=sentence) as refusal:
        sram(*asked)
    assert "\n" not in str(refusal.value)


def test_logic_is_horowitzs_table_at_45_nm() -> None:
    logic = technology.logic("45nm")
    energies = {8: 0.03, 16: 0.05, 32: 0.1}
    assert {bits: logic.adder(bits).pj for bits in energies} == pytest.approx(energies)
    assert logic.multiplier(8, 8).pj == pytest.approx(0.2)
    assert logic.multiplier(32, 32).pj == pytest.approx(3.1)
    assert logic.multiplier(8, 8).area_mm2 == pytest.approx(282e-6)
    assert 0.2 < logic.multiplier(8, 9).pj < 0.25
    assert logic.multiplier(16, 16).pj == pytest.approx(0.787, abs=0.001)
    assert logic.register(32).pj == pytest.approx(0.288)
    assert logic.adder(24).pj == pytest.approx(0.075)
    assert logic.mux(1, 32).pj == logic.mux(1, 32).area_mm2 == 0
    assert logic.mux(16, 8).area_mm2 == pytest.approx(15 * 8 * 1.862e-6)


def test_logic_shrinks_as_published() -> None:
    """Stillmaker and Baas: 22 nm lies between their factors for 32 and 20 nm."""
    logic = technology.logic("22nm")
    assert 0.21 < logic.area < 0.46
    assert 0.15 / 0.8443 < logic.energy < 0.457 / 0.8443
    assert technology.logic("45nm").wire_pj == pytest.approx(0.121, rel=0.05)
    assert 0.078 < logic.wire_pj < 0.121
    half = logic.adder(32) + logic.register(32) * 2
    assert half.pj == pytest.approx((0.1 + 2 * 0.288) * logic.energy)
    leaks = 0.08 / 6350 * (137 + 2 * 32 * 5.98)  # of Aladdin's multiplier, mW a um2
    assert half.leakage_mw == pytest.approx(leaks * logic.energy)
    assert half.area_mm2 == pytest.approx((137 + 2 * 32 * 5.98) * 1e-6 * logic.area)


def test_dram_is_the_sources_figures() -> None:
    assert technology.dram("lpddr4").read_pj == 8 * 8
    assert technology.dram("hbm2").write_pj == 6.25 * 8
    ddr4 = technology.dram("ddr4")
    assert ddr4.read_pj == pytest.approx((184.5 - 44) * 1.2 / 2.4 + 1.44, abs=0.01)
    assert ddr4.read_pj > ddr4.write_pj
    assert ddr4.background_mw == pytest.approx(8 * 44 * 1.2)
    assert technology.dram("lpddr4").channels(8.0) == 2
    assert technology.dram("lpddr4").channels(6.4) == 1
    with pytest.raises(TechnologyError, match="DRAM 'ddr9'; it is one of lpddr4, ddr4, hbm2"):
        technology.dram("ddr9")


def test_every_figure_is_a_positive_number() -> None:
    for kind in technology.DRAM_KINDS:
        assert all(value >= 0 for value in asdict(technology.dram(kind)).values())
    for node in technology.NODES:
        logic = technology.logic(node)
        for cell in (logic.multiplier(8, 9), logic.adder(5), logic.register(1), logic.mux(4, 1)):
            assert min(astuple(cell)) > 0
