"""Open pages: transfers by hand, what a description may say of them, and that nothing leaks from
one transfer to the next. Random ones against the clock: tests/campaigns/test_cycles.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.campaigns.cycles import fast
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.spec import AccelSpec, SpecError, load_spec, parse_spec, spec_from_table
from zeroskip.accel_model.technology import DRAM_TIMINGS
from zeroskip.accel_model.timing.dram_rows import RowTiming, busy_cycles, row_timing

EXAMPLE = Path(__file__).parents[2] / "examples" / "sparse256_lpddr4.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
SPEC = parse_spec(TEXT, "example")
FLAT = load_spec("sparse256")
# bursts of 64 bytes, 4 cycles; pages of 256 bytes in 2 banks
SMALL = RowTiming(
    burst=64, beats=4, page=256, banks=2, queue=2, rcd=9, rp=8, ras=21, rrd=5, recovery=0,
    refresh=10, interval=1000,
)  # fmt: skip


def busy(timing: RowTiming, *cells: AddressSet) -> int:
    (one,) = cells
    return busy_cycles(np.array(one), timing)


def test_a_burst_opens_its_row_and_closes_it() -> None:
    assert busy(SMALL, AddressSet(0, 64)) == 21 + 8  # a row is open for tRAS at least
    assert busy(SMALL._replace(ras=0), AddressSet(0, 64)) == 9 + 4 + 8
    assert busy(SMALL._replace(ras=0, recovery=7), AddressSet(0, 64)) == 9 + 4 + 7 + 8


def test_hits_follow_each_other_and_the_next_bank_is_opened_ahead() -> None:
    assert busy(SMALL, AddressSet(0, 256)) == 9 + 16 + 8
    # page 1 is in the other bank: opened when the burst three before its first begins, 12 cycles
    assert busy(SMALL._replace(queue=3), AddressSet(0, 512)) == 9 + 32 + 8
    # two before: 8 of the 9 cycles are hidden; one before: 4
    assert busy(SMALL, AddressSet(0, 512)) == 9 + 16 + 1 + 16 + 8
    assert busy(SMALL._replace(queue=1), AddressSet(0, 512)) == 9 + 16 + 5 + 16 + 8


def test_a_conflict_waits_for_its_bank() -> None:
    """Bytes 0 and 512 are in different rows of one bank: the first is open for 21 cycles, closes in
    8, the second opens in 9."""
    apart = AddressSet(0, 64, width=2, pixel=512)
    assert busy(SMALL, apart) == 21 + 8 + 21 + 8
    assert busy(SMALL._replace(ras=0), apart) == 9 + 4 + 8 + 9 + 4 + 8
    # in two banks only the openings are apart, by tRRD
    assert busy(SMALL, AddressSet(0, 64, width=2, pixel=256)) == 5 + 21 + 8


def test_short_and_strided_runs_are_dearer_than_long_ones() -> None:
    timing = row_timing(SPEC, writes=False)
    long = busy(timing, AddressSet(0, 64 * 64))
    near = busy(timing, AddressSet(0, 64, width=64, pixel=128))
    far = busy(timing, AddressSet(0, 64, width=64, pixel=timing.page))
    same_bank = busy(timing, AddressSet(0, 64, width=64, pixel=timing.page * timing.banks))
    assert long == 9 + 256 + 9
    assert long <= near < far < same_bank
    assert same_bank == 64 * (timing.ras + timing.rp)


def test_times_are_rounded_up_to_clocks() -> None:
    load, store = (row_timing(SPEC, writes=writes) for writes in (False, True))
    assert load == (64, 4, 4096, 8, 16, 9, 9, 21, 5, 0, 9 + 140 + 9, 1952)
    assert store == load._replace(recovery=9)
    slower = row_timing(replace(SPEC, clock_mhz=300.0), writes=False)
    assert (slower.rcd, slower.ras, slower.rrd) == (6, 13, 3)  # 5.4, 12.6, 3


def transfers() -> Iterator[tuple[Any, ...]]:
    shape = {"dram_pixel": 16, "dram_row": 999, "dram_block": 7000, "act_row": 0, "act_block": 0}
    moved = {"act": 0, "width": 3, "height": 4, "blocks": 2, "bytes": 16, "lane": 0}
    for dram in (0, 60, 5000):
        yield isa.LoadWeights(wgt=0, dram=dram, size=4000, mode=0), ()
        yield isa.LoadParams(par=0, dram=dram, rows=9), ()
        yield isa.Load(dram=dram, **moved), (isa.LoadShape(**shape),)
        yield isa.Store(dram=dram, **moved), (isa.StoreShape(**shape),)


def test_rows_cost_time_and_nothing_else() -> None:
    for one, registers in transfers():
        flat, rows = (fast(spec, one, *registers) for spec in (FLAT, SPEC))
        assert rows._replace(cycles=flat.cycles) == flat
        assert rows.cycles > flat.cycles


def test_refreshes_are_charged_in_proportion() -> None:
    one = isa.LoadWeights(wgt=0, dram=0, size=64_000, mode=0)
    timing = row_timing(SPEC, writes=False)
    spent = busy(timing, AddressSet(0, 64_000))
    assert fast(SPEC, one).cycles == spent + -(-spent * 158 // (1952 - 158))


def test_without_rows_a_description_is_what_it_was() -> None:
    assert FLAT.dram.timing is None
    assert "timing" not in FLAT.table["dram"]
    assert FLAT.fingerprint != replace(FLAT, dram=SPEC.dram).fingerprint


@pytest.mark.parametrize("spec", [SPEC, FLAT], ids=["rows", "flat"])
def test_a_spec_is_the_same_again_from_its_table(spec: AccelSpec) -> None:
    again = spec_from_table(json.loads(json.dumps(spec.table)), "the program")
    assert again == spec
    assert again.fingerprint == spec.fingerprint


@pytest.mark.parametrize("kind", DRAM_TIMINGS)
def test_a_kind_gives_what_is_not_given(kind: str) -> None:
    text = TEXT.replace("lpddr4-3200", kind).replace("channels = 2", "channels = 2\ntras_ns = 99.5")
    timing = parse_spec(text, "here").dram.timing
    assert timing is not None
    for name, value in DRAM_TIMINGS[kind].items():
        assert getattr(timing, name) == (99.5 if name == "tras_ns" else value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('kind = "lpddr4-3200"', 'kind = "ddr9"', "dram.timing.kind = 'ddr9' is not one of lpddr4"),
        ('kind = "lpddr4-3200"', "kind = 3", "dram.timing.kind = 3 is not one of lpddr4-3200"),
        (
            'kind = "lpddr4-3200"',
            "banks = 8",
            r"dram.timing.page_bytes is missing \(bytes of a row",
        ),
        ("channels = 2", "", r"dram.timing.channels is missing \(channels in lock-step"),
        ("channels = 2", "channels = 3", "dram.timing.channels = 3 must be a power of two"),
        ("channels = 2", "channels = 2\ntrc = 1", "'dram.timing.trc' is not a key"),
        ("channels = 2", "channels = 2\ntrcd_ns = '18 ns'", "dram.timing.trcd_ns must be a number"),
        ("channels = 2", "channels = 2\ntrefi_ns = 300", "trefi_ns leaves no time between refresh"),
        ("channels = 2", "channels = 1\npage_bytes = 64", None),
        ("burst_bytes = 64", "burst_bytes = 4096", None),
        ("burst_bytes = 64", "burst_bytes = 4096\ntiming = 3", "is not valid TOML"),
        ("channels = 2", "channels = 1\npage_bytes = 64\n[dram.timing.x]", "is not a key"),
    ],
)
def test_mistakes_are_one_sentence(old: str, new: str, sentence: str | None) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new)
    if sentence is None:
        assert parse_spec(text, "here.toml").dram.timing is not None
        return
    with pytest.raises(SpecError, match=sentence) as refusal:
        parse_spec(text, "here.toml")
    assert str(refusal.value).startswith("here.toml: ")
    assert "\n" not in str(refusal.value)


def test_a_page_holds_a_burst() -> None:
    text = TEXT.replace("burst_bytes = 64", "burst_bytes = 4096").replace(
        "channels = 2", "channels = 1"
    )
    with pytest.raises(SpecError, match=r"page_bytes of 1 channels is less than dram.burst_bytes"):
        parse_spec(text, "here.toml")


def test_a_value_instead_of_the_section_is_refused() -> None:
    table = SPEC.table
    table["dram"]["timing"] = "lpddr4-3200"
    with pytest.raises(
        SpecError, match=r"dram\.timing must be a section with kind or numbers, not"
    ):
        spec_from_table(table, "here.toml")
