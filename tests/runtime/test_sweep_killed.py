"""Sweeps that are killed at any moment go on to the same table."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest

from conftest import SEED
from tests.runtime.nets import small_net
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.store import Store

MODELS = Path(__file__).parents[2] / "models"
POINTS = 60
SPACE = """
schemes = ["dense", "unstructured"]
sparsities = [0.75]
targets = ["sparse256"]

[set]
"sram.act_bytes" = {from = "32KiB", to = "512KiB", times = 2}
"array.kind" = ["bitmap", "dense"]

[[network]]
model = "small.onnx"
[[network]]
model = "dense.onnx"
calibrate = "images.npz"
[[network]]
model = "pattern.onnx"
calibrate = "images.npz"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(small_net(), tmp_path / "small.onnx")
    for name, there in (
        ("dense.onnx", "fashion_dense.onnx"),
        ("pattern.onnx", "fashion_pattern.onnx"),
        ("images.npz", "fashion_calibration.npz"),
    ):
        (tmp_path / name).symlink_to(MODELS / there)
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path


def begin(folder: Path, store: str, workers: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zeroskip", "sweep", "--space", "space.toml"]
    command += ["--store", store, "--csv", f"{store}.csv", "--workers", str(workers)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "ZEROSKIP_CACHE": str(folder / f"{store}.schedules")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def known(folder: Path, store: str) -> int:
    try:
        with Store(folder / store) as opened:
            return len(opened)
    except ExperimentError:  # not made yet
        return 0


def kill_at(process: subprocess.Popen[str], folder: Path, store: str, count: int, how: int) -> int:
    """Kill it once the store knows so many points; how many there are then."""
    while known(folder, store) < count:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate(timeout=60)
    return known(folder, store)


def left_over(session: int) -> list[int]:
    """Processes that a command started and that outlive it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, of = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(entry.parent.name))
    return found


@pytest.mark.sweep
def test_a_sweep_killed_twice_gives_the_same_table(folder: Path) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    first, second = sorted(rng.sample(range(3, POINTS - 6), 2))
    before = 0
    for count, how in ((first, signal.SIGKILL), (second, signal.SIGTERM)):
        process = begin(folder, "killed.sqlite")
        there = kill_at(process, folder, "killed.sqlite", count, how)
        print(f"killed by {signal.Signals(how).name} at {there} points, asked for {count}")
        assert before <= there < POINTS
        assert process.returncode == (-how if how == signal.SIGKILL else 128 + how)
        before = there
        deadline = time.monotonic() + 30
        while left_over(process.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left_over(process.pid)
        assert not (folder / "killed.sqlite.csv").exists()
    process = begin(folder, "killed.sqlite")
    text, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert (
        f"{POINTS} points: {before} were in killed.sqlite, {POINTS - before} measured now" in text
    )
    whole = begin(folder, "whole.sqlite")
    text, errors = whole.communicate(timeout=900)
    assert whole.returncode == 0, errors
    tables = [(folder / f"{name}.sqlite.csv").read_text() for name in ("killed", "whole")]
    assert tables[0] == tables[1]
    assert len(list(csv.DictReader(tables[0].splitlines()))) == POINTS


@pytest.mark.sweep
def test_an_interrupt_at_a_terminal_is_silent(folder: Path) -> None:
    process = begin(folder, "interrupted.sqlite")
    while known(folder, "interrupted.sqlite") < 1:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers hear it too
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert text == ""
    assert all(line.startswith("sweeping: ") for line in errors.splitlines()), errors
    assert not left_over(process.pid)
