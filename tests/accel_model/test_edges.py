"""Edges of the machine that ordinary programs never come near."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.accel_model.programs import Hand
from zeroskip.accel_model import physics
from zeroskip.accel_model.functional.kernels import MOST, _requantize, add_up
from zeroskip.accel_model.io.archive import write_zip
from zeroskip.accel_model.machine.run import energy
from zeroskip.accel_model.program.program import LayerInfo, Program, ProgramError, Tile
from zeroskip.accel_model.spec import load_spec


@pytest.mark.parametrize(("sign", "there"), [(1, 1), (-1, -1)])
def test_a_partial_sum_beyond_32_bits_is_seen(sign: int, there: int) -> None:
    last = MOST if sign > 0 else -MOST - 1
    order = np.zeros(1, np.int32)
    for values, bad in ([last - there], -1), ([last], 0), ([0, 0, last, last], 2):
        acc = np.full((len(values), 3, 16), there, np.int32)
        sums = np.zeros((len(values), 1, 1, 16), np.int32)
        sums[:, 0, 0, 0] = values
        assert add_up(sums, order, 16, acc, 1, 0, 1, MOST) == bad


def test_halves_of_a_convolution_go_up() -> None:
    sums = np.array([-3, -2, -1, 0, 1, 2, 3], np.int32)
    zeros = np.zeros(len(sums), np.int32)
    half, shift = zeros + np.int32(1 << 30), zeros + np.int64(31)
    assert _requantize(sums, zeros, half, shift, (0, -128, 127), MOST)
    assert sums.tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_each_event_costs_its_own_energy() -> None:
    spec = load_spec("dense256")
    counted = {
        "macs": 2,
        "window_bytes": 3,
        "act_rows": 5,
        "wgt_words": 7,
        "acc_rows": 11,
        "requantised": 13,
        "lookups": 19,
        "dram_bytes": 17,
        "row_bytes": 23,
    }
    events = (
        *("mac", "window_byte", "act_row", "wgt_word", "acc_row", "requantise", "lookup"),
        "dram_byte",
    )
    written = {"window_written": 1, "act_written": 2 * 16, "act_loaded": 16, "wgt_loaded": 4 * 4}
    written |= {"acc_written": 6 * 16, "table_written": 3 * 16, "dram_written": 9}
    written |= {"row_written": 10}
    flows = dict.fromkeys(physics.flows(spec), 0) | written
    found = energy(spec, {name: np.array([n]) for name, n in {**counted, **flows}.items()})
    writes = {"window_byte": 1, "act_row": 3, "wgt_word": 4, "acc_row": 6}
    writes |= {"lookup": 3, "dram_byte": 9, "row_byte": 10}
    assert found == {
        event: pytest.approx(
            physics.prices(spec)[event].read * (count - writes.get(event, 0))
            + physics.prices(spec)[event].write * writes.get(event, 0)
        )
        for event, count in zip((*events, "row_byte"), counted.values(), strict=True)
    }


def altered(raw: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A program's file with another member, whose checksum in the zip is right."""
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        members = {each: box.read(each) for each in box.namelist()}
    members[name] = change(members[name])
    out = io.BytesIO()
    write_zip(out, {each: [data] for each, data in members.items()})
    return out.getvalue()


def sealed() -> Program:
    info = LayerInfo("n", "n", "conv", (1, 1, 1, 1), 1, 1, 1, 1, 1, 1, "")
    return replace(
        Hand(load_spec("dense256")).program(),
        layers=(info,),
        tiles=(Tile(0, 0, 1, (0, 0), (1, 1)),),
    )


def test_a_manifest_that_its_seal_does_not_fit_is_refused() -> None:
    """Every array is as it was; only a number of the manifest is another."""

    def longer(raw: bytes) -> bytes:
        head = json.loads(raw)
        return json.dumps({**head, "dram_bytes": head["dram_bytes"] + 64}, indent=1).encode()

    raw = sealed().to_bytes()
    assert Program.from_bytes(raw).to_bytes() == raw
    with pytest.raises(ProgramError, match="altered after it was written"):
        Program.from_bytes(altered(raw, "manifest.json", longer))


def test_an_array_that_its_digest_does_not_fit_is_refused() -> None:
    """The manifest is as it was; the tile has an origin that would do as well."""

    def moved(raw: bytes) -> bytes:
        return raw[:-1] + bytes([raw[-1] ^ 1])

    with pytest.raises(ProgramError, match="altered after it was written"):
        Program.from_bytes(altered(sealed().to_bytes(), "tiles.npy", moved))
