"""examples/cpp_host: an exported network run by C++ gives the bits that Python gave, by the
commands of docs/FLOW.md; what that page says of a program's file."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

import zeroskip
from tests.markdown import ROOT, command_of, table_of
from tests.runtime.nets import SHAPE, small_net

EXAMPLE = ROOT / "examples" / "cpp_host"
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
IMAGES = np.random.default_rng(3).standard_normal((2, *SHAPE[1:])).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> tvm.IRModule:
    zeroskip.register()
    return zeroskip.partition_for_zeroskip(from_onnx(small_net()), "pattern256", {"x": IMAGES})


def lines(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^    (.*cpp_host.*)$", text, re.MULTILINE)
    return [line.strip() for line in found]


def test_both_pages_have_the_same_commands() -> None:
    assert len(lines("docs/FLOW.md")) == 3
    assert lines("examples/cpp_host/README.md") == lines("docs/FLOW.md")


@pytest.mark.cpp
@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler is installed")
def test_host(network: tvm.IRModule, tmp_path: Path) -> None:
    folder = tmp_path / "examples" / "cpp_host"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "host"))
    library = tvm.compile(network, "llvm")
    library.export_library(str(tmp_path / "net.so"))
    np.save(tmp_path / "images.npy", IMAGES)
    IMAGES[1].tofile(tmp_path / "x.bin")
    record, make, host = (shlex.split(line) for line in lines("docs/FLOW.md"))
    assert record[0] == "python"

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run([sys.executable, *record[1:]])
    assert "2 runs of programs recorded" in done.stdout, done.stderr
    done = run([*make, f"PYTHON={sys.executable}"])
    assert done.returncode == 0, done.stderr
    done = run(host)
    assert done.returncode == 0, done.stderr
    want = relax.VirtualMachine(library, tvm.cpu())["main"](tvm.runtime.tensor(IMAGES[1:])).numpy()
    assert np.array_equal(np.fromfile(tmp_path / "y.bin", np.float32), want.reshape(-1))

    (IMAGES[1] + 1).tofile(tmp_path / "x.bin")
    done = run(host)
    assert done.returncode == 1
    assert "no run with these inputs was recorded" in done.stderr


def test_the_layout_of_a_program(network: tvm.IRModule) -> None:
    """The page names every member of the file that is a constant of the module, and the manifest's
    tensors are the arguments of the call."""
    blobs: list[bytes] = []
    calls: list[relax.Call] = []

    def look(node: object) -> None:
        if isinstance(node, relax.Call) and getattr(node.op, "name", "") == "relax.call_dps_packed":
            calls.append(node)
            blobs.append(node.args[1].fields[0].value.numpy().tobytes())

    relax.analysis.post_order_visit(network["main"], look)
    (blob,), (call,) = blobs, calls
    with zipfile.ZipFile(io.BytesIO(blob)) as file:
        assert all(each.compress_type == zipfile.ZIP_STORED for each in file.infolist())
        members = set(file.namelist())
        head = json.loads(file.read("manifest.json"))
        words = np.load(io.BytesIO(file.read("words.npy")))
    table = table_of("docs/FLOW.md", "member", "what it is")
    assert {name for row in table.rows for name in re.findall(r"[\w.]+", row[0])} == members
    assert words.dtype == np.uint8
    assert words.shape[1] == 16
    assert len(head["inputs"]) == len(call.args[1].fields) - 1
    assert len(head["outputs"]) == len(call.ty_args)
    assert {"dram_bytes", "spec", "sha256"} <= head.keys()
    assert command_of("docs/FLOW.md", "make", "-C") == ["make", "-C", "examples/cpp_host"]
