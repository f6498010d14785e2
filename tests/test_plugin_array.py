"""A third party's array: its package is installed, conforms, and runs a real network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "examples" / "plugin_array"
QUIETLY = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as pip installs it."""
    work = tmp_path_factory.mktemp("plugin")
    source, folder = work / "source", work / "site"
    (source / "zeroskip_lockstep").mkdir(parents=True)
    for file in [PACKAGE / "pyproject.toml", *(PACKAGE / "zeroskip_lockstep").glob("*.*")]:
        (source / file.relative_to(PACKAGE)).write_bytes(file.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *QUIETLY, "--target", str(folder), str(source)],
        check=True,
        cwd=work,
    )
    return folder


def python(*arguments: str, path: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True
    )


def test_the_package_conforms(installed: Path) -> None:
    target = installed / "zeroskip_lockstep" / "lockstep256.toml"
    found = python("zeroskip.accel_model.conformance", str(target), path=installed)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count(" ok\n") == 7


@pytest.mark.slow
def test_a_network_runs_on_it_to_the_bit(installed: Path, tmp_path: Path) -> None:
    target = installed / "zeroskip_lockstep" / "lockstep256.toml"
    network, images = tmp_path / "net.zsk", tmp_path / "images.npz"
    calibration = ROOT / "models" / "fashion_calibration.npz"
    with np.load(calibration) as samples:
        np.savez(images, **{name: values[:1] for name, values in samples.items()})
    model = ROOT / "models" / "fashion_pattern.onnx"
    made = python(
        *("zeroskip", "compile", str(model), "--target", str(target), "-o", str(network)),
        *("--calibrate", str(calibration), "--method", "minmax"),
        path=installed,
    )
    assert made.returncode == 0, made.stderr
    judged = python("zeroskip", "validate", str(network), "--input", str(images), path=installed)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "1 of 1 regions bit-exact" in judged.stdout
    report = python("zeroskip", "report", str(network), path=installed)
    assert "filters waiting for the one with most weights in a block" in report.stdout
    without = python("zeroskip", "report", str(network), path=None)
    assert without.returncode == 2
    assert without.stderr.count("\n") == 1
    assert "the array kind 'lockstep' of the package zeroskip-lockstep" in without.stderr


def test_a_target_of_a_kind_that_is_not_installed() -> None:
    target = PACKAGE / "zeroskip_lockstep" / "lockstep256.toml"
    found = python("zeroskip.accel_model.conformance", str(target), path=None)
    assert found.returncode == 2
    assert "array kind 'lockstep' is not one of" in found.stderr
