"""Sweeps that are killed at any moment go on to the same table."""

from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import onnx
import pytest

from benchmarks.killed_sweep import begin, killed_twice, known, left_over, whole, write_space
from conftest import SEED
from tests.runtime.nets import small_net

MODELS = Path(__file__).parents[2] / "models"
POINTS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(small_net(), tmp_path / "small.onnx")
    for name, there in (
        ("dense.onnx", "fashion_dense.onnx"),
        ("pattern.onnx", "fashion_pattern.onnx"),
        ("images.npz", "fashion_calibration.npz"),
    ):
        (tmp_path / name).symlink_to(MODELS / there)
    samples = {"small.onnx": None, "dense.onnx": "images.npz", "pattern.onnx": "images.npz"}
    assert write_space(tmp_path, samples) == POINTS
    return tmp_path


@pytest.mark.sweep
def test_a_sweep_killed_twice_gives_the_same_table(folder: Path) -> None:
    print(f"seed {SEED}")
    first, second, last = killed_twice(folder, POINTS, SEED)
    print(first, second, last)
    assert (first.how, first.code) == (signal.SIGKILL, -signal.SIGKILL)
    assert (second.how, second.code) == (signal.SIGTERM, 128 + signal.SIGTERM)
    assert first.asked <= first.known <= second.known < POINTS
    assert second.asked <= second.known
    assert last.known == whole(folder, "whole.sqlite", POINTS).known == POINTS
    tables = [(folder / f"{name}.sqlite.csv").read_text() for name in ("killed", "whole")]
    assert tables[0] == tables[1]
    rows = list(csv.DictReader(tables[0].splitlines()))
    assert len(rows) == POINTS
    assert not any(row["failure"] for row in rows)


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
