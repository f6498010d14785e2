"""The commands of docs/FLOW.md run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.markdown import text_of
from tests.relay_passes.relay_goldens import read
from tests.relay_passes.relay_goldens.arrays import drawn
from zeroskip.runtime.cli.main import main

CASE = "int8_nchw"
PAGE = text_of("docs/FLOW.md")


def commands(section: str) -> list[list[str]]:
    """The arguments of the indented commands of a section."""
    _, _, rest = PAGE.partition(f"\n## {section}\n")
    lines = re.findall(r"^    zeroskip (.*)$", rest.partition("\n## ")[0], re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_from_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled, run and validated: the integers are those that Relay itself computed."""
    monkeypatch.chdir(tmp_path)
    params = read.params("quantized", CASE)
    assert params is not None
    Path("net.relay").write_text(read.text("quantized", CASE), encoding="utf-8")
    Path("net.params").write_bytes(params)
    np.savez("x.npz", allow_pickle=False, input=drawn(CASE, "input", (1, 3, 12, 12), "int8"))
    compiling, running, validating = commands("From Relay")
    assert compiling[:4] == ["compile", "net.relay", "--params", "net.params"]
    for command in (compiling, running, validating):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    assert "bit-exact" in done.output
    with np.load("y.npz") as results:
        for position, golden in enumerate(read.outputs("quantized", CASE)):
            np.testing.assert_array_equal(results[f"output{position}"], golden)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["net.relay"], "line 3: qnn.conv2d reads its kernel from 'conv0_weight'"),
        (["net.relay", "--params", "x.npz"], "The parameters begin with another number"),
        (["net.relay", "--params", "none"], "'none' does not exist"),
        (["x.npz", "--params", "net.params"], "Parameters belong to Relay's text"),
    ],
)
def test_refusals(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.relay").write_text(read.text("quantized", CASE), encoding="utf-8")
    Path("net.params").write_bytes(read.params("quantized", CASE) or b"")
    np.savez("x.npz", allow_pickle=False, x=np.zeros(3))
    done = CliRunner().invoke(main, ["compile", *arguments, "-o", "net.zsk"])
    assert done.exit_code == 2, done.output
    assert sentence in done.output
    assert not Path("net.zsk").exists()
