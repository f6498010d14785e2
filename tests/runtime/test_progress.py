"""Progress: at once on a terminal, elsewhere only where it takes long; and true."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate
from zeroskip.runtime.progress import progress

Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def network() -> Network:
    return compile_network(small_net(cpu_node=True), "sparse256")


def inputs() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)}


def check(told: Told, regions: list[str]) -> None:
    """Each region's run is told of from its start on, in steps that grow."""
    for region in regions:
        steps = [(done, total) for what, done, total in told if what == region]
        assert steps[0][0] == 0
        assert len({total for _, total in steps}) == 1
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert max(done for done, _ in steps) < steps[0][1]


def test_the_machine_tells_how_many_instructions_are_done(network: Network) -> None:
    program = next(iter(network.programs.values()))
    told: list[tuple[int, int]] = []
    Machine(program.spec).run(program, {}, numbers=False, progress=lambda *step: told.append(step))
    assert told[0] == (0, len(program.words))
    assert [done for done, _ in told] == list(range(0, len(program.words), 64))


def test_sessions_tell_of_every_region(network: Network) -> None:
    told: Told = []
    session = Session(network, progress=lambda *step: told.append(step))
    session.time()
    check(told, list(network.programs))
    told.clear()
    session.run(inputs())
    check(told, list(network.programs))


def test_a_validation_tells_what_it_does(network: Network) -> None:
    told: Told = []
    validate(network, inputs(), lambda *step: told.append(step))
    check(told, list(network.programs))
    assert [what for what, _, total in told if what.startswith("TVM") and total > 1] == [
        f"TVM's CPU, {region}" for region in network.programs
    ]


def test_quick_work_shows_nothing_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("title") as on_progress:
        on_progress("what", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_compilation_tells_of_images_and_layers() -> None:
    told: Told = []
    compile_network(small_net(), "sparse256", progress=lambda *step: told.append(step))
    assert [what for what, _, _ in told if what.startswith("schedule ")] == [
        f"schedule {node}" for node in ("conv0", "conv1", "pool", "fc")
    ]
    images = [(done, total) for what, done, total in told if what == "calibrate"]
    assert images[-1][0] == images[-1][1] > 1


def test_a_terminal_is_shown_what_is_done(network: Network, tmp_path: Path) -> None:
    """Standard error is a terminal, standard output a pipe that gets nothing of it.

    What is shown in between depends on how fast it goes; the last thing is always shown.
    """
    network.save(tmp_path / "net.zsk")
    onnx.save(small_net(), tmp_path / "net.onnx")
    command = Path(sys.executable).with_name("zeroskip")
    cases: list[tuple[list[str | Path], str]] = [
        (["report", tmp_path / "net.zsk"], "timing net.zsk: report"),
        (["compile", tmp_path / "net.onnx", "-o", tmp_path / "n.zsk"], "compiling net.onnx: emit"),
    ]
    for arguments, last in cases:
        shown, out = in_a_terminal([command, *arguments])
        assert last in shown
        assert shown.index("\x1b[2K", shown.rindex(last))  # the line is erased at the end
        assert "\x1b" not in out
        assert last not in out


def in_a_terminal(command: list[str | Path]) -> tuple[str, str]:
    """What a command shows on a terminal as its standard error, without colours; its output."""
    mine, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, env=environment)
    os.close(its)
    shown = b""
    try:
        while some := os.read(mine, 4096):
            shown += some
    except OSError:  # closed by the child's end
        pass
    assert child.stdout is not None
    out = child.stdout.read().decode()
    assert child.wait() == 0
    os.close(mine)
    return re.sub(r"\x1b\[[\d;]*m", "", shown.decode()), out
