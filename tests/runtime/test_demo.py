"""The demonstration, on some of its images."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.runtime.command import PROGRESS, zeroskip
from tests.runtime.parsed_page import Page
from zeroskip.runtime.cli import demo
from zeroskip.runtime.cli.main import main

MODELS = Path(__file__).parent.parent.parent / "models"
IMAGES = 50


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    for path in MODELS.glob("fashion_*"):
        shutil.copy(path, tmp_path)
    with np.load(MODELS / "fashion_test.npz") as test:
        assert len(test["labels"]) >= 1000
        np.savez(tmp_path / "fashion_test.npz", **{name: test[name][:IMAGES] for name in test})
    done = CliRunner().invoke(
        main, ["demo", "--models", str(tmp_path), "--output", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert "4 of 4 regions bit-exact" in done.stdout
    shares = [float(share) for share in re.findall(r"(\d+\.\d)%", done.stdout)]
    assert len(shares) == 6
    assert min(shares) > 80  # 50 images: a few per cent more or less than the 92.7 of all
    assert Page((tmp_path / "out" / "report.html").read_text()).all("canvas")
    compared = Page((tmp_path / "out" / "compare.html").read_text())
    cells = {each["text"] for each in compared.all("td")}
    assert {f"{share:.2f}%" for share in (shares[1], shares[4])} <= cells
    assert {"45,790", "11,276"} <= cells
    for name in ("report.html", "compare.html", "timeline.json"):
        assert f"open {tmp_path / 'out' / name}: " in done.stdout
    said = [line for line in done.stderr.splitlines() if PROGRESS.fullmatch(line)]
    assert any(line.startswith("compiling fashion_dense") for line in said)
    commands = re.findall(r"^    zeroskip (.*)$", done.stdout, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        arguments = shlex.split(command.replace("YOUR.onnx", str(tmp_path / "fashion_dense.onnx")))
        assert zeroskip(*arguments).exit_code == 0, command
    events = json.loads((tmp_path / "out" / "timeline.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert len({event["tid"] for event in slices}) == 3  # the units
    graph = onnx.load(MODELS / "fashion_pattern.onnx").graph
    for node in graph.node:
        if node.op_type == "Conv":
            assert any(event["name"].startswith(f"{node.name} conv") for event in slices), node.name


def test_demo_without_its_files(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["demo", "--models", str(tmp_path)])
    assert done.exit_code == 2
    assert f"not in '{tmp_path}'" in done.stderr
    assert "--models" in done.stderr


def test_the_demonstration_finds_its_files_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo._folder(None).samefile(MODELS)
    (tmp_path / "models").mkdir()
    shutil.copy(MODELS / demo.IMAGES, tmp_path / "models")
    assert demo._folder(None) == Path("models")
