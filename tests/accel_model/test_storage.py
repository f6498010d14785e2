"""Activations and weights that lie in 16 bits: bytes, capacity, ports, area, and the same
numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from conftest import SEED
from tests.accel_model.test_spec import TEXT
from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.lanes import DENSE_LANES
from zeroskip.accel_model.conformance import failures
from zeroskip.accel_model.formats import (
    DENSE,
    FORMATS,
    FormatError,
    Shape,
    format_named,
    to_reduction_order,
)
from zeroskip.accel_model.formats.base import WeightFormat
from zeroskip.accel_model.formats.dense import Dense
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.assembly_program import read_source
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import (
    AccelSpec,
    SpecError,
    Storage,
    load_spec,
    parse_spec,
    spec_from_table,
    targets,
)

WIDE = Storage(16, 16)


def wide(target: str, activations: int = 16, weights: int = 16) -> AccelSpec:
    return replace(load_spec(target), storage=Storage(activations, weights))


# ----------------------------------------------------------------------------- the description


def test_a_description_says_nothing_or_either_width() -> None:
    plain = parse_spec(TEXT, "here.toml")
    assert plain.storage == Storage(8, 8)
    both = parse_spec(f"{TEXT}\n[storage]\nactivation_bits = 16\nweight_bits = 16\n", "here.toml")
    one = parse_spec(f"{TEXT}\n[storage]\nweight_bits = 16\n", "here.toml")
    assert (both.storage, one.storage) == (WIDE, Storage(8, 16))
    assert len({spec.fingerprint for spec in (plain, both, one)}) == 3
    for spec in (plain, both, one):
        assert spec_from_table(spec.table, "again") == spec


def test_storage_in_8_bits_is_the_same_target_said_or_not() -> None:
    """Files of targets that do not say it stay as they are, to the byte."""
    said = parse_spec(f"{TEXT}\n[storage]\nactivation_bits = 8\n", "here.toml")
    plain = parse_spec(TEXT, "here.toml")
    assert "storage" not in plain.table
    assert (said.table, said.fingerprint) == (plain.table, plain.fingerprint)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("activation_bits = 12", "storage.activation_bits = 12 must be a power of two"),
        ("weight_bits = 32", r"storage.weight_bits = 32 is outside 8\.\.16 \(bits that a weight"),
        ("weight_bits = 4", r"storage.weight_bits = 4 is outside 8\.\.16"),
        ('weight_bits = "16"', "storage.weight_bits must be a whole number"),
        ("bits = 16", "'storage.bits' is not a key .* activation_bits, weight_bits"),
    ],
)
def test_other_widths_are_refused(line: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=f"^here.toml: {sentence}"):
        parse_spec(f"{TEXT}\n[storage]\n{line}\n", "here.toml")


def test_a_format_without_wide_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plug-in's own may be."""

    class Narrow(Dense):
        name = "narrow"
        places = WeightFormat.places

    narrow = Narrow()
    monkeypatch.setattr(DENSE_LANES, "weights", narrow)
    table = load_spec("dense256").table
    with pytest.raises(
        SpecError,
        match=r"^here: storage.weight_bits = 16: the narrow format .* 8 bits only; set it",
    ):
        spec_from_table({**table, "storage": {"weight_bits": 16}}, "here")
    assert spec_from_table(table, "here").format is narrow


# ----------------------------------------------------------------------------------- capacity


def test_as_many_bytes_hold_half_as_many_activations() -> None:
    plain, double = load_spec("sparse256"), wide("sparse256")
    assert (plain.act_row_bytes, double.act_row_bytes) == (16, 32)
    assert double.act_rows == plain.act_rows // 2
    assert double.wgt_rows == plain.wgt_rows  # words of streams, which become longer
    assert double.array_bytes == 2 * plain.array_bytes  # windows
    assert wide("sparse256", 8, 16).array_bytes == plain.array_bytes


@pytest.mark.parametrize("target", targets())
def test_flows_are_of_one_unit_and_memories_of_whole_ones(target: str) -> None:
    spec = wide(target)
    units: dict[str, int] = {}
    for one in physics.resources(spec):
        for port in one.ports:
            assert one.width % port.unit == 0, one.name
            assert {units.setdefault(flow, port.unit) for flow in port.flows} <= {port.unit}
    assert {units[flow] for flow in ("act_fetched", "act_written", "staging_read", "added")} == {2}
    assert {units[flow] for flow in ("wgt_read", "wgt_loaded", "par_read")} == {1}


@pytest.mark.parametrize("storage", [(16, 8), (16, 16)], ids=str)
@pytest.mark.parametrize("target", ["dense256", "cambriconx256", "scnn256", "zhu256"])
def test_ports_pass_as_many_activations_as_before(target: str, storage: tuple[int, int]) -> None:
    for one, two in zip(
        physics.resources(load_spec(target)), physics.resources(wide(target, *storage)), strict=True
    ):
        if one.name.startswith("load"):  # as wide as the bus
            continue
        for port, other in zip(one.ports, two.ports, strict=True):
            if other.unit == 2 and "fifo" not in str(port.flows):
                assert one.per_cycle(port) == two.per_cycle(other) > 0, f"{port} of {one.name}"


def test_area_and_energy_follow() -> None:
    plain, activations, both = load_spec("dense256"), wide("dense256", 16, 8), wide("dense256")
    cells = [physics.named(spec, "multiplier cells") for spec in (plain, activations, both)]
    assert cells[0].area_mm2 < cells[1].area_mm2 < cells[2].area_mm2
    assert cells[2].read_pj > 1.5 * cells[0].read_pj
    areas = [physics.physics(spec).area_mm2 for spec in (plain, activations, both)]
    assert areas[0] < areas[1] < areas[2]
    prices = [physics.prices(spec) for spec in (plain, both)]
    assert prices[1]["act_row"].read > prices[0]["act_row"].read
    assert prices[1]["dram_byte"] == prices[0]["dram_byte"]


def test_a_bus_that_brings_all_operands_may_be_twice_as_wide() -> None:
    dram = load_spec("dense256").dram
    spec = replace(
        load_spec("dense256"), dram=replace(dram, bytes_per_cycle=1024, burst_bytes=1024)
    )
    assert any("brings more than 2 bytes" in one for one in physics.doubts(spec))
    assert not any("brings more" in one for one in physics.doubts(replace(spec, storage=WIDE)))


# ------------------------------------------------------------------------------------ streams


def random_weight(rng: np.random.Generator, name: str) -> npt.NDArray[np.int8]:
    """int8 [K, C, rows, cols]; of few patterns where the format is of patterns."""
    shape = (int(rng.integers(1, 9)), int(rng.integers(1, 40)), *[int(rng.choice([1, 3, 5]))] * 2)
    weight = rng.integers(-128, 128, shape)
    weight[rng.random(shape) >= rng.choice([0.0, 0.1, 0.5, 1.0])] = 0
    if name == "pattern":
        weight = weight * (rng.random((4, *shape[2:])) < 0.5)[rng.integers(0, 4, shape[:2])]
    return weight.astype(np.int8)


@pytest.mark.parametrize("name", FORMATS)
def test_streams_of_wide_weights_hold_the_same_filters(name: str) -> None:
    narrow = FORMATS[name]
    double = narrow.of_bytes(2)
    assert double.of_bytes(1).full_name == narrow.full_name == name
    assert format_named(double.full_name).__dict__ == double.__dict__
    for case in range(20):
        weight = random_weight(np.random.default_rng([SEED, case]), name)
        table, matrix = narrow.make_table(weight), to_reduction_order(weight)
        shape, order = Shape(weight.shape[1], weight[0, 0].size), np.arange(len(weight))[::-1]
        raw, words = double.pack(matrix, shape, order, table)
        found, same = (
            weights.unpack(weights.pack(matrix, shape, order, table)[0], len(weight), shape, table)
            for weights in (double, narrow)
        )
        where = f"seed {SEED}, case {case}"
        assert len(raw) == 4 * int(words.sum()), where
        assert np.array_equal(found.matrix, matrix), where
        assert np.array_equal(found.order, order), where
        assert np.array_equal(found.stored, same.stored), where
        assert double.least_bytes(weight, table) <= len(raw), where
        most = double.stream_words(matrix, shape, table)
        assert (most >= words).all() if name == "valued" else np.array_equal(most, words), where


@pytest.mark.parametrize(
    ("name", "bits"),
    [("dense", 16), ("step", 16 + 8), ("runs", 16 + 4), ("csc", 16 + 4), ("group16", 16 + 4)],
)
def test_only_weights_become_wider(name: str, bits: int) -> None:
    """Bits of a weight and what says its place, of 640 weights one after another."""
    weight = np.ones((1, 640, 1, 1), np.int8)
    narrow, double = FORMATS[name], FORMATS[name].of_bytes(2)
    shape, matrix = Shape(640, 1), to_reduction_order(weight)
    sizes = [len(each.pack(matrix, shape, [0])[0]) for each in (narrow, double)]
    assert sizes[1] - sizes[0] == 640
    assert 0 <= sizes[1] - 640 * bits // 8 <= 4 + 44  # a header, counts of columns


def test_a_wide_weight_of_more_than_8_bits_is_refused() -> None:
    shape = Shape(6, 1)
    raw, _ = DENSE.of_bytes(2).pack(np.array([[1, -2, 3, 4, 5, 6]], np.int8), shape, [0])
    values = raw[4:].view("<i2")
    assert values.tolist() == [1, -2, 3, 4, 5, 6]
    values[2] = 300
    with pytest.raises(FormatError, match="weight stream 0 has a weight that is not of 8 bits"):
        DENSE.of_bytes(2).unpack(raw, 1, shape)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_wide_streams_are_refused_or_read(name: str) -> None:
    """Never a crash: a changed byte makes another set of filters or a FormatError."""
    double, refused = FORMATS[name].of_bytes(2), 0
    for case in range(60):
        rng = np.random.default_rng([SEED, case, 1])
        weight = random_weight(rng, name)
        table, shape = double.make_table(weight), Shape(weight.shape[1], weight[0, 0].size)
        raw, _ = double.pack(to_reduction_order(weight), shape, np.arange(len(weight)), table)
        for _ in range(1 + int(rng.integers(3))):
            raw[rng.integers(len(raw))] ^= rng.integers(1, 256, dtype=np.uint8)
        end = len(raw) if rng.random() < 0.7 else int(rng.integers(len(raw) // 4 + 1)) * 4
        try:
            double.unpack(raw[:end].copy(), len(weight), shape, table)
        except FormatError:
            refused += 1
    assert refused > 10, f"seed {SEED}"


# ---------------------------------------------------------------------------------- the array


@pytest.mark.parametrize("storage", [(16, 8), (8, 16), (16, 16)], ids=str)
@pytest.mark.parametrize("target", sorted({load_spec(name).array.kind for name in targets()}))
def test_every_kind_conforms(target: str, storage: tuple[int, int]) -> None:
    name = next(name for name in targets() if load_spec(name).array.kind == target)
    assert not list(failures(wide(name, *storage), tiles=2, seed=SEED))


# --------------------------------------------------------------------------------- the machine

COPY = """
.target {target}
.input  x int8 3x2x2 0x40
.output y int8 3x2x2 0x80
loadshape dram_pixel={pixel} dram_row={row} dram_block=0 act_row=2 act_block=0
load act=0 dram={first} width=2 height=2 blocks=1 bytes=3 lane=0 post=store
storeshape dram_pixel={pixel} dram_row={row} dram_block=0 act_row=2 act_block=0 wait=load
store act=0 dram=0x80 width=2 height=2 blocks=1 bytes=3 lane=0
"""


def copied(folder: Path, pixel: int, row: int, first: int = 0x40) -> Program:
    """A program by hand that loads a tensor and stores it."""
    target = folder / "wide.toml"
    target.write_text(f"{TEXT}\n[storage]\nactivation_bits = 16\n")
    return read_source(COPY.format(target=target, pixel=pixel, row=row, first=first), "copy")


def test_addresses_are_bytes_and_a_pixel_has_two_for_each_channel(tmp_path: Path) -> None:
    program, x = copied(tmp_path, 6, 12), np.arange(-6, 6, dtype=np.int8).reshape(1, 3, 2, 2)
    assert [each.nbytes for each in program.inputs] == [24]
    run = Machine(program.spec).run(program, {"x": x})
    assert np.array_equal(run.outputs["y"], x)
    assert run.counters["useful_bytes"].tolist() == [0, 24, 0, 24]
    assert run.counters["act_loaded"].tolist() == [0, 64, 0, 0]  # activations of 4 rows


@pytest.mark.parametrize(("pixel", "row", "first"), [(6, 12, 0x41), (7, 14, 0x40)])
def test_half_an_activation_is_no_place(tmp_path: Path, pixel: int, row: int, first: int) -> None:
    program = copied(tmp_path, pixel, row, first)
    with pytest.raises(MachineError, match="moves activations of 2 bytes, of which DRAM byte "):
        Machine(program.spec).run(program, {"x": np.zeros((1, 3, 2, 2), np.int8)})
