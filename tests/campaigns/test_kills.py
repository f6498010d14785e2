"""A sample of the kills, and disks that are full."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from conftest import SEED
from tests.campaigns.kills import OLD, Writers, found, kill_a_writer
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.driver import compile as compile_network


def test_a_killed_writer_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    seen = set()
    for name, (write, read) in Writers().each().items():
        for number in range(6):
            path = tmp_path / f"{number}.{name}"
            if number % 2:
                path.write_bytes(OLD)
            kill_a_writer(write, path, float(rng.uniform(0, 0.03)))
            seen.add(found(path, read))
            assert "broken" not in seen, path
    assert seen & {"nothing", "older file"}


def test_a_part_of_a_file_would_be_seen(tmp_path: Path) -> None:
    for name, (write, read) in Writers().each().items():
        path = tmp_path / name
        write(path)
        assert found(path, read) == "whole file"
        path.write_bytes(path.read_bytes()[:-9])
        assert found(path, read) == "broken"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    onnx.save(small_net(), folder / "net.onnx")
    np.savez(folder / "x.npz", x=np.zeros(SHAPE, np.float32))
    compile_network(folder / "net.onnx").save(folder / "net.zsk")
    return folder


def zeroskip(
    folder: Path, *arguments: str, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command where files may have ``limit`` bytes, as on a disk that is full then."""

    def small_disk() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [Path(sys.executable).with_name("zeroskip"), *arguments],
        cwd=folder,
        text=True,
        capture_output=True,
        preexec_fn=small_disk,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("compile", "net.onnx", "-o", "out", "--no-cache"), marks=pytest.mark.slow),
        ("compile", "net.onnx", "-o", "out", "--target", "sparse256"),
        ("run", "net.zsk", "--input", "x.npz", "--output", "out"),
        pytest.param(
            ("run", "net.zsk", "--input", "x.npz", "--trace", "out"), marks=pytest.mark.matrix
        ),
        pytest.param(("report", "net.zsk", "--json", "out"), marks=pytest.mark.matrix),
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[-2:]),
)
def test_a_full_disk(compiled: Path, arguments: tuple[str, ...]) -> None:
    before = sorted(compiled.iterdir())
    done = zeroskip(compiled, *arguments, limit=100)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("zeroskip: warning")]
    assert done.returncode == 2, done.stderr
    assert lines == ["zeroskip: error: out: cannot be written: File too large"]
    assert sorted(compiled.iterdir()) == before
