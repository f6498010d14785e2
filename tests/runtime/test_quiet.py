"""TVM's own warnings, which it writes past Python: not for users of the library or of the
command."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.relay_passes.onnx_oracle import parse
from tests.runtime.command import zeroskip
from zeroskip.relay_passes.relax.quiet import quiet
from zeroskip.relay_passes.relax.rewriting import function_in

WARNING = b"[10:20:30] /src/a.cc:12: Warning: of a compiler's insides\n"

SNIPPET = """
import sys, warnings
import numpy as np
import zeroskip

image = {"x": np.load("x.npy")}
network = zeroskip.compile("net.onnx", calibrate=image)
zeroskip.Session(network).run(image)
zeroskip.validate(network, image)
try:
    zeroskip.compile("refused.onnx")
except Exception as refusal:
    del refusal
print("ours", file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network that TVM warns of when it compiles it, one that it fails in the middle of, and an
    image."""
    warned = parse(
        "g (float[1,3,4,4] x) => (float[1,3,4,4] y) <float n = {3.0}> "
        "{ [p] y = LpPool<kernel_shape = [1, 1], p = 3>(x) }",
        opset=18,
    )
    refused = parse("g (int64[4] x) => (int64[4] y) <int64 n = {3}> { [power] y = Pow(x, n) }")
    onnx.save(warned, tmp_path / "net.onnx")
    onnx.save(refused, tmp_path / "refused.onnx")
    np.save(tmp_path / "x.npy", np.ones((1, 3, 4, 4), np.float32))
    np.savez(tmp_path / "x.npz", x=np.ones((1, 3, 4, 4), np.float32))
    return tmp_path


def said(folder: Path, *arguments: str) -> str:
    """Standard error of a Python process of its own."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "DEBUG": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_the_library_writes_nothing_of_tvms(folder: Path) -> None:
    assert said(folder, "-c", SNIPPET) == "ours\n"


def test_the_command_line_writes_nothing_of_tvms(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """DEBUG=1 shows the warnings."""
    command = "from zeroskip.runtime.cli.main import main; main()"
    arguments = ["compile", "net.onnx", "-o", "net.zsk", "--calibrate", "x.npz"]
    plain = said(folder, "-c", command, *arguments)
    assert "Warning: Detected pow" not in plain
    assert "stay on the CPU" in plain
    monkeypatch.chdir(folder)
    assert zeroskip(*arguments, environment={"DEBUG": "1"}).exit_code == 0
    assert "Warning: Detected pow" in capfd.readouterr().err


def test_what_is_no_warning_of_tvms_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, WARNING)
        os.write(2, b"Assertion failed\nhalf a line")
    assert capfd.readouterr().err == "Assertion failed\nhalf a line"


def test_the_last_thread_out_restores_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    inside, first_gone = threading.Event(), threading.Event()

    def second() -> None:
        with quiet():
            inside.set()
            first_gone.wait()
            os.write(2, WARNING)

    with quiet():
        other = threading.Thread(target=second)
        other.start()
        inside.wait()
    os.write(2, b"kept\n")
    first_gone.set()
    other.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "kept\nafter\n"


def test_an_error_restores_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quiet():
        raise ZeroDivisionError
    os.write(2, WARNING)
    assert capfd.readouterr().err == WARNING.decode()


def test_an_error_while_a_function_is_built_leaves_nothing_for_tvm_to_say(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from tvm import relax

    builder = relax.BlockBuilder()
    with (
        pytest.raises(ZeroDivisionError),
        function_in(builder, "main", []),
        builder.dataflow(),
    ):
        raise ZeroDivisionError
    del builder
    assert capfd.readouterr().err == ""
