"""Hardware descriptions: the built-in ones, and every kind of mistake in one."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.arrays.lane_geometry import LaneEnergy
from zeroskip.accel_model.spec import (
    AccelSpec,
    SpecError,
    Technology,
    load_spec,
    parse_spec,
    spec_from_table,
    targets,
)

TARGET = (resources.files("zeroskip.accel_model.targets") / "sparse256.toml").read_text(
    encoding="utf-8"
)
OWN_ENERGY = """
[energy]
mac = 0.3
window_byte = 0.6
act_row = 40.0
wgt_word = 5.0
acc_row = 80.0
requantise = 3.2
lookup = 0.9
dram_byte = 162.5
"""
TEXT = TARGET + OWN_ENERGY


def altered(old: str, new: str) -> str:
    """The description of sparse256 with a line changed."""
    lines = [
        new if one.split(" =")[0] == old.split(" =")[0] or one == old else one
        for one in TEXT.splitlines()
    ]
    assert lines != TEXT.splitlines(), old
    return "\n".join(lines)


def test_targets_share_their_interface_and_budget() -> None:
    specs = {name: load_spec(name) for name in targets()}
    assert {"dense256", "sparse256", "pattern256"} <= set(specs)
    for name in ("dense256", "sparse256", "pattern256"):
        assert specs[name].name == name
        assert specs[name].array.macs == 256
        assert specs[name].sram_bytes <= 512 * 1024
        assert specs[name].dram == specs["dense256"].dram
    assert len({spec.fingerprint for spec in specs.values()}) == len(specs)


def test_rows_are_bytes_over_row_sizes() -> None:
    spec = parse_spec(TEXT, "here.toml")
    assert spec.act_rows == 278528 // 16
    assert spec.wgt_rows == 147456 // 4 // 64
    assert spec.acc_rows == 32768 // 64
    assert spec.par_rows == 16384 // 16
    assert spec.array_bytes == 64 * 4 * 128
    assert load_spec("dense256").array_bytes == 16 * 4 * 32  # a gang has up to 16 lanes
    assert spec.sram_bytes == 278528 + 147456 + 32768 + 16384 + 16384 + spec.array_bytes


def test_fingerprint_changes_with_any_number() -> None:
    base = parse_spec(TEXT, "a.toml").fingerprint
    assert parse_spec(TEXT + "\n# a comment", "b.toml").fingerprint == base
    assert parse_spec(altered("pipeline_cycles =", "pipeline_cycles = 9"), "").fingerprint != base
    assert parse_spec(altered("mac =", "mac = 0.31"), "").fingerprint != base


def test_a_file_is_read_like_a_target(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(TARGET, encoding="utf-8")
    assert load_spec(str(file)) == load_spec("sparse256")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "lanes =",
            "lanes = '64 lanes'",
            "array.lanes must be a whole number without a unit "
            r"\(filters in flight.*, not '64 lanes'",
        ),
        ("clock_mhz =", "clock_mhz = '500 MHz'", r"clock_mhz must be a number without a unit"),
        ("lanes =", "lanes = 64.0", "array.lanes must be a whole number"),
        ("lanes =", "lanes = true", "array.lanes must be a whole number"),
        ("lanes =", "lanes = -64", r"array.lanes = -64 is outside 16\.\.256"),
        ("lanes =", "lanes = 8", r"array.lanes = 8 is outside 16\.\.256"),
        ("lanes =", "lanes = 48", "array.lanes = 48 must be a power of two"),
        ("mac =", "mac = -0.1", r"energy.mac = -0.1 is outside 0\.\."),
        ("mac =", "mac = nan", "energy.mac = nan is outside"),
        ("mac =", "mac = inf", "energy.mac = inf is outside"),
        ("lanes =", "", r"array.lanes is missing \(filters in flight"),
        (
            "lanes =",
            "lanes = 64\nfoo = 1",
            "'array.foo' is not a key .* keys there are kind, lanes",
        ),
        ("clock_mhz =", "clock_mhz = 5\nspeed = 1", r"here.toml: 'speed' is not a key"),
        ("clock_mhz =", "clock_mhz = 5\n[cache]", r"here.toml: 'cache' is not a key"),
        ("name =", "name = 7", "name must be a line of text of up to 200 characters, not 7"),
        ("name =", f"name = '{'a' * 9999}'", "name must be a line of text .*, not 'aaa"),
        ("name =", 'name = "two\\nlines"', r"name must be a line of text .*, not 'two\\nlines'"),
        ("lanes =", f"lanes = '{'a' * 9999}'", "array.lanes must be a whole number .* not 'aaa"),
        ("lanes =", f"lanes = 1{'0' * 4200}", "array.lanes = a number beyond 2.64 is outside"),
        ("lanes =", f"lanes = 1{'0' * 9999}", "is not valid TOML: Exceeds the limit"),
        ("lanes =", f"lanes = 0x1{'0' * 9999}", "array.lanes = a number beyond 2.64 is outside"),
        ("lanes =", f'lanes = 64\n"{"a" * 9999}\\n" = 1', "'array.aaa.* is not a key"),
        ("[energy]", "", "is not a key|is missing"),
        (
            "kind =",
            "kind = 'csc'",
            "array kind 'csc' is not one of dense, bitmap, pattern.*install the package",
        ),
        ("node =", 'node = "7nm"', "technology.node = '7nm' is not one of 45nm, 22nm"),
        ("node =", "node = 45", "technology.node must be a line of text"),
        ("node =", "", r"technology.node is missing \(one of 45nm, 22nm\)"),
        ("dram =", 'dram = "ddr9"', "technology.dram = 'ddr9' is not one of lpddr4, ddr4, hbm2"),
        ("max_gang =", "max_gang = 7", "array.max_gang = 7 gangs more than the 64 lanes"),
        (
            "max_gang =",
            "max_gang = 0",
            "array.fetch_quads = 2 quads are more than a gang has lanes",
        ),
        ("burst_bytes =", "burst_bytes = 8", "dram.burst_bytes is less than dram.bytes_per_cycle"),
        ("act_bytes =", "act_bytes = 99999999", "sram.act_bytes = 99999999 is outside"),
        ("lanes =", "lanes = ", "is not valid TOML"),
        ("lanes =", "lanes = 64\nlanes = 64", "is not valid TOML"),
    ],
)
def test_mistakes_are_one_sentence_with_the_key(old: str, new: str, sentence: str) -> None:
    if "[energy]" in old:
        text = "\n".join("" if one.startswith(old) else one for one in TEXT.splitlines())
    else:
        text = altered(old, new)
    with pytest.raises(SpecError, match=sentence) as refusal:
        parse_spec(text, "here.toml")
    assert str(refusal.value).startswith("here.toml: ")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_energy_is_the_technologys_or_the_files_own() -> None:
    both = parse_spec(TEXT, "here.toml")
    assert both.technology == Technology("45nm", "lpddr4")
    assert both.energy == LaneEnergy(0.3, 0.6, 40.0, 5.0, 80.0, 3.2, 0.9, 162.5)
    assert parse_spec(TARGET, "here.toml").energy is None
    own = TEXT.replace("[technology]", "").replace('node = "45nm"', "")
    own = own.replace('dram = "lpddr4"', "")
    assert parse_spec(own, "here.toml").technology is None
    with pytest.raises(SpecError, match=r"section \[technology\] is missing .*, or \[energy\] wi"):
        parse_spec(own.split("[energy]")[0], "here.toml")


@pytest.mark.parametrize("spec_text", [TEXT, TARGET])
def test_a_spec_is_the_same_again_from_its_table(spec_text: str) -> None:
    spec = parse_spec(spec_text, "here.toml")
    assert spec_from_table(json.loads(json.dumps(asdict(spec))), "the program") == spec


@pytest.mark.parametrize("name", ["dram", "sram", "array"])
def test_every_missing_section_is_named(name: str) -> None:
    parts = [part for part in TEXT.split("\n[") if not part.startswith(f"{name}]")]
    with pytest.raises(SpecError, match=rf"section \[{name}\] is missing"):
        parse_spec("\n[".join(parts), "here.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"target 'sparse' is not known; it is one of .*sparse256"):
        load_spec("sparse")
    with pytest.raises(SpecError, match=r"none\.toml: cannot be read: No such file"):
        load_spec(str(tmp_path / "none.toml"))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load_spec(str(folder))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="it is not UTF-8 text"):
        load_spec(str(binary))
    empty = tmp_path / "empty.toml"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(SpecError, match=r"section \[dram\] is missing"):
        load_spec(str(empty))


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_is_a_spec_or_a_spec_error(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    size = data.draw(st.integers(0, 30))
    text = TEXT[:at] + data.draw(st.text(max_size=5)) + TEXT[at + size :]
    try:
        found: AccelSpec | str = parse_spec(text, "x.toml")
    except SpecError as problem:
        found = str(problem)
    assert isinstance(found, AccelSpec) or found.startswith("x.toml: ")
