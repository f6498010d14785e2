"""A compiled network for the tests of the command line, and images and what the small network
answers to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.runtime.command import said, zeroskip
from tests.runtime.nets import COUNT, SHAPE, small_net
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.runtime import progress

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="session", autouse=True)
def _nothing_takes_long() -> None:
    """On a busy machine commands would say what they do, which is another test's concern."""
    progress._QUIET = 600.0


@pytest.fixture(scope="session")
def images() -> Array:
    """``COUNT`` images for ``small_net``."""
    return np.random.default_rng(3).standard_normal((COUNT, *SHAPE[1:])).astype(np.float32)


@pytest.fixture(scope="session")
def answers(images: Array) -> Array:
    """[n, 10]: what the dense float ``small_net`` answers to them."""
    executable = compile_for_cpu(import_float(small_net(), {}))
    return np.concatenate([run_cpu(executable, "main", [image[None]])[0] for image in images])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.onnx, x.npz and net.zsk; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("compiled")
    onnx.save(small_net(), folder / "net.onnx")
    rng = np.random.default_rng(1)
    np.savez(folder / "x.npz", x=rng.standard_normal(SHAPE).astype(np.float32))
    np.savez(folder / "images.npz", x=rng.standard_normal((4, *SHAPE[1:])).astype(np.float32))
    done = zeroskip(
        "compile",
        folder / "net.onnx",
        "-o",
        folder / "net.zsk",
        "--target",
        "pattern256",
        "--calibrate",
        folder / "images.npz",
    )
    assert done.exit_code == 0, done.output
    assert said(done) == []
    return folder
