"""The Python of docs/FLOW.md, section "From TVM", runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tvm
from tvm import relax

import zeroskip
from tests.markdown import text_of
from tests.runtime.nets import SHAPE, small_net

SECTION = text_of("docs/FLOW.md").partition("\n## From TVM\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tvm")
    rng = np.random.default_rng(0)
    onnx.save(small_net(), made / "net.onnx")
    np.savez(made / "images.npz", x=rng.standard_normal((4, *SHAPE[1:])).astype(np.float32))
    return made


def executed(block: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a block leaves."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[block], f"docs/FLOW.md, block {block}", "exec"), names)
    return names


def result(library: Any, images: np.ndarray) -> np.ndarray:
    vm = relax.VirtualMachine(library, tvm.cpu())
    made: np.ndarray = vm["main"](tvm.runtime.tensor(images[:1])).numpy()
    return made


def test_every_way_gives_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first two are one network, pruned, in memory and loaded; the others are not pruned."""
    assert len(BLOCKS) == 5
    with np.load(folder / "images.npz") as data:
        images = data["x"]
    executed(0, folder, monkeypatch)
    shown = capsys.readouterr().out
    executed(1, folder, monkeypatch)
    assert capsys.readouterr().out == shown
    pipeline, codegen, compiled = (executed(block, folder, monkeypatch) for block in (2, 3, 4))
    want = result(pipeline["library"], images)
    assert np.array_equal(result(codegen["library"], images), want)
    (got,) = zeroskip.Session(compiled["network"]).run({"x": images[:1]}).values()
    assert np.array_equal(got, want)
    assert (folder / "net.zsk").exists()
