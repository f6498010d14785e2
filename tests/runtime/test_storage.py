"""The commands on targets that store 16 bits, against TVM's CPU."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.runtime.command import refused, zeroskip
from zeroskip.accel_model.spec import load_spec
from zeroskip.runtime.experiments.settings import with_settings
from zeroskip.runtime.experiments.sweep import sweep


def described(folder: Path, bits: str, name: str = "sparse256") -> Path:
    """A TOML file of a target that stores activations and weights in so many bits."""
    target = resources.files("zeroskip.accel_model.targets") / f"{name}.toml"
    path = folder / f"wide{bits}.toml"
    storage = f"\n[storage]\nactivation_bits = {bits}\nweight_bits = {bits}\n"
    path.write_text(target.read_text(encoding="utf-8") + storage)
    return path


def test_networks_and_their_levels_agree_with_tvm(compiled: Path, tmp_path: Path) -> None:
    """A file of levels packs their weights again when it is opened, 16 bits wide."""
    network, reports = tmp_path / "net.zsk", {}
    levels = ("unstructured:sparsity=0.5", "unstructured:sparsity=0.75")
    done = zeroskip(
        "compile",
        compiled / "net.onnx",
        *("-o", network, "--calibrate", compiled / "images.npz"),
        *("--target", described(tmp_path, "16")),
        *(word for level in levels for word in ("--level", level)),
    )
    assert done.exit_code == 0, done.output
    for level in ("0", "1"):
        chosen = (network, "--level", level)
        checked = zeroskip("validate", *chosen, "--input", compiled / "x.npz")
        assert checked.exit_code == 0, checked.output
        assert "1 of 1 regions bit-exact" in checked.stdout
        assert zeroskip("report", *chosen, "--json", tmp_path / "r.json").exit_code == 0
        reports[level] = json.loads((tmp_path / "r.json").read_text())
    assert reports["1"]["cycles"] < reports["0"]["cycles"]


def test_a_width_that_is_none_is_one_sentence(compiled: Path, tmp_path: Path) -> None:
    target = described(tmp_path, "12")
    done = zeroskip("compile", compiled / "net.onnx", "--target", target, "-o", tmp_path / "n.zsk")
    refused(done, "wide12.toml: storage.activation_bits = 12 must be a power of two")
    assert not (tmp_path / "n.zsk").exists()


def test_a_sweep_takes_widths(compiled: Path) -> None:
    """Also of a target that says nothing of them."""
    table = sweep(
        compiled / "net.onnx",
        calibrate=compiled / "images.npz",
        targets=["dense256"],
        settings={"storage.activation_bits": (8, 16), "storage.weight_bits": (16,)},
    )
    narrow, wide = table.rows
    assert [row["storage.activation_bits"] for row in (narrow, wide)] == [8, 16]
    assert narrow["failure"] is wide["failure"] is None
    assert narrow["cycles"] < wide["cycles"]
    assert narrow["area_mm2"] < wide["area_mm2"]


@pytest.mark.parametrize("bits", ["9", "4"])
def test_a_sweep_refuses_widths_that_are_none(compiled: Path, bits: str) -> None:
    words = ("--targets", "dense256", "--set", f"storage.weight_bits={bits}")
    refused(zeroskip("sweep", compiled / "net.onnx", *words), "storage.weight_bits")


def test_settings_of_storage_make_the_target_that_says_so() -> None:
    own = load_spec("dense256").table
    assert with_settings(own, {"storage.weight_bits": 16})["storage"] == {"weight_bits": 16}
    assert "storage" not in own
