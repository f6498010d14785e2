"""Edges of the machine that ordinary programs never come near."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.accel_model.programs import Hand
from zeroskip.accel_model.box import write_zip
from zeroskip.accel_model.kernels import MOST, add_up
from zeroskip.accel_model.program import LayerInfo, Program, ProgramError, Tile
from zeroskip.accel_model.spec import load_spec, targets

ENERGY = {  # 45 nm, M. Horowitz, "Computing's energy problem", ISSCC 2014, fig. 1.1.9
    "mac": 0.3, "act_row": 40.0, "wgt_word": 5.0, "acc_row": 80.0,
    "requantise": 3.2, "dram_byte": 162.5}
WINDOW_BYTE = {"dense256": 0.06, "sparse256": 0.6, "pattern256": 0.6}  # shared, or one a lane


@pytest.mark.parametrize(("sign", "there"), [(1, 1), (-1, -1)])
def test_a_partial_sum_beyond_32_bits_is_seen(sign: int, there: int) -> None:
    last = MOST if sign > 0 else -MOST - 1
    order = np.zeros(1, np.int32)
    for values, bad in ([last - there], -1), ([last], 0), ([0, 0, last, last], 2):
        acc = np.full((len(values), 3, 16), there, np.int32)
        sums = np.zeros((len(values), 1, 1, 16), np.int32)
        sums[:, 0, 0, 0] = values
        assert add_up(sums, order, 16, acc, 1, 0, 1) == bad


@pytest.mark.parametrize("target", targets())
def test_energies_are_the_published_ones(target: str) -> None:
    found = asdict(load_spec(target).energy)
    assert {name: found[name] for name in ENERGY} == ENERGY
    assert found["window_byte"] == WINDOW_BYTE[target]


def test_a_manifest_that_its_seal_does_not_fit_is_refused() -> None:
    """Every array is as it was; only a number of the manifest is another."""
    info = LayerInfo("n", "n", "conv", (1, 1, 1, 1), 1, 1, 1, 1, 1, "")
    made = replace(Hand(load_spec("dense256")).program(), layers=(info,),
                   tiles=(Tile(0, 0, 1, (0, 0), (1, 1)),))
    raw = made.to_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        members = {name: box.read(name) for name in box.namelist()}
    head = json.loads(members["manifest.json"])
    head["dram_bytes"] += 64
    members["manifest.json"] = json.dumps(head, indent=1).encode()
    out = io.BytesIO()
    write_zip(out, {name: [data] for name, data in members.items()})
    assert Program.from_bytes(raw).dram_bytes == head["dram_bytes"] - 64
    with pytest.raises(ProgramError, match="altered after it was written"):
        Program.from_bytes(out.getvalue())
