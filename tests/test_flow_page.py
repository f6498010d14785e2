"""The commands of docs/FLOW.md run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.compiler.mlir_texts import ROOT, mlir_opt
from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.artifact.network import Network

PAGE = (ROOT / "docs" / "FLOW.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^    ((?:zeroskip|mlir-opt) .*)$", PAGE[PAGE.index("## To MLIR") :], re.MULTILINE
)
EXTRA = [line for line in COMMANDS if line.startswith("mlir-opt") or "--oracle" in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With net.onnx, net.zsk, what the commands read, and what they have written."""
    made = tmp_path_factory.mktemp("flow")
    rng = np.random.default_rng(0)
    onnx.save(small_net(), made / "net.onnx")
    np.savez(made / "x.npz", x=rng.standard_normal(SHAPE).astype(np.float32))
    np.savez(made / "images.npz", x=rng.standard_normal((2, *SHAPE[1:])).astype(np.float32))
    done = zeroskip(
        "compile", made / "net.onnx", "-o", made / "net.zsk", "--calibrate", made / "images.npz"
    )
    assert done.exit_code == 0, done.output
    (program,) = Network.load(made / "net.zsk").programs.values()
    (tensor,) = program.inputs
    zeros = np.zeros((1, tensor.channels, *tensor.spatial), tensor.dtype)
    np.savez(made / "quantized.npz", allow_pickle=False, **{tensor.name: zeros})
    for line in COMMANDS:
        if line not in EXTRA:
            run(line, made)
    return made


def run(line: str, folder: Path) -> str:
    """What a command of the page prints; written to a file where the page says so."""
    command, _, file = line.partition(" > ")
    tool, *arguments = shlex.split(command)
    before = Path.cwd()
    os.chdir(folder)
    try:
        if tool == "mlir-opt":
            text = (folder / arguments.pop()).read_text(encoding="utf-8")
            done = mlir_opt(text, *(each.replace("docs/", f"{ROOT}/docs/") for each in arguments))
            assert done.returncode == 0, done.stderr[:1000]
            return done.stdout
        shown = zeroskip(*arguments)
        assert shown.exit_code == 0, f"{line}: {shown.output}"
        if file:
            Path(file).write_text(shown.stdout, encoding="utf-8")
        return shown.stdout
    finally:
        os.chdir(before)


def test_commands_run(folder: Path) -> None:
    assert len(COMMANDS) - len(EXTRA) == 5
    assert "zeroskip.conv" in (folder / "program.mlir").read_text(encoding="utf-8")
    assert "tosa.conv2d" in (folder / "layers.mlir").read_text(encoding="utf-8")
    assert (folder / "y.npz").exists()


@pytest.mark.mlir
@pytest.mark.parametrize("line", EXTRA)
def test_commands_that_need_mlir_run(folder: Path, line: str) -> None:
    assert run(line, folder)
