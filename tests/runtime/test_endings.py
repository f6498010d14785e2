"""How commands end (internal errors, interrupts, closed pipes) and what they say meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.runtime.command import PROGRESS, files, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler import driver
from zeroskip.runtime import progress as progress_module
from zeroskip.runtime.progress import progress

COMMAND = str(Path(sys.executable).with_name("zeroskip"))

# A command that says "here" when it is in the middle of its work, and then goes on for a minute.
_SLOW = """
import sys, time
from zeroskip.{module} import {name} as place
real = place.{function}
def slow(*args, **kwargs):
    print("here", flush=True)
    time.sleep(60)
    return real(*args, **kwargs)
place.{function} = slow
from zeroskip.runtime.cli.main import main
main(sys.argv[1:])
"""


def test_an_error_of_our_own_asks_to_be_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise AttributeError("no such thing\nwith a second line")

    onnx.save(small_net(), tmp_path / "net.onnx")
    monkeypatch.setattr(driver, "import_float", broken)
    before = files(tmp_path)
    done = zeroskip("compile", tmp_path / "net.onnx", "-o", tmp_path / "net.zsk")
    assert done.exit_code == 3
    assert done.stderr.count("\n") == 1
    assert "internal error, please report it" in done.stderr
    assert "AttributeError: no such thing" in done.stderr
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("module", "name", "function", "number", "code"),
    [
        ("compiler", "driver", "import_float", signal.SIGINT, 130),
        ("accel_model.machine", "machine", "Machine.run", signal.SIGTERM, 143),
        pytest.param(
            *("compiler", "driver", "import_float"), signal.SIGTERM, 143, marks=pytest.mark.slow
        ),
        pytest.param(
            *("accel_model.machine", "machine", "Machine.run"),
            signal.SIGINT,
            130,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_interrupt_ends_in_silence(
    tmp_path: Path, number: signal.Signals, code: int, module: str, name: str, function: str
) -> None:
    """Also within a call of TVM, which turns exceptions into its own."""
    onnx.save(small_net(), tmp_path / "net.onnx")
    arguments = ["compile", "net.onnx", "-o", "out.zsk"]
    if name == "machine":
        driver.compile(small_net(cpu_node=True), "sparse256").save(tmp_path / "net.zsk")
        x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
        np.savez(tmp_path / "x.npz", x=x)
        arguments = ["validate", "net.zsk", "--input", "x.npz"]
    before = files(tmp_path)
    script = _SLOW.format(module=module, name=name, function=function)
    child = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    heard = [line for line in err.splitlines() if not PROGRESS.fullmatch(line)]
    assert (child.returncode, out, heard) == (code, "", [])
    assert files(tmp_path) == before


def test_output_that_nobody_reads_is_no_difference() -> None:
    child = subprocess.Popen(
        [COMMAND, "schemes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.wait(30) == 141
    assert child.stderr.read() == ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], pytest.param(["compile", "--help"], marks=pytest.mark.matrix), ["schemes"]],
)
def test_a_full_disk_behind_the_output_is_one_sentence(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("zeroskip: error: the output")
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_that_nobody_reads_ends_as_all_output_does() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([COMMAND, "--help"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
def test_streams_that_are_closed_or_full_change_nothing(tmp_path: Path) -> None:
    """What is written next would have the number of a closed one, and get what others print."""
    onnx.save(small_net(), tmp_path / "net.onnx")
    driver.compile(tmp_path / "net.onnx", "dense256").save(tmp_path / "want.zsk")
    for number, streams in enumerate((">&- 2>&- <&-", "2>/dev/full")):
        line = f'exec "$0" compile net.onnx -o {number}.zsk {streams}'
        done = subprocess.run(
            ["sh", "-c", line, COMMAND], cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / f"{number}.zsk").read_bytes() == (tmp_path / "want.zsk").read_bytes()


def test_long_work_without_a_terminal_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in (("_QUIET", 0.1), ("_APART", 0.02), ("_SILENCE", 0.2)):
        monkeypatch.setattr(progress_module, name, seconds)
    with progress("compiling") as on_progress:
        on_progress("import", 0, 1)
        assert capsys.readouterr().err == ""
        time.sleep(0.5)
        on_progress("calibrate", 3, 8)
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("compiling: import, ") for line in lines) >= 2  # not silent for long
    assert any(line.startswith("compiling: calibrate (3 of 8), ") for line in lines)
    with progress("quick") as on_progress:
        on_progress("import", 0, 1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress_module, "_QUIET", 600.0)
    with progress("told at once", quiet=0):
        time.sleep(0.1)
    assert capsys.readouterr().err.startswith("told at once: 0 s")
