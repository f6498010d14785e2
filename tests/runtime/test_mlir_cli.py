"""The commands that print programs as MLIR text and take the text back."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.command import refused, zeroskip
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.mlir.program_text import programs_text


@pytest.fixture(scope="module")
def emitted(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with program.mlir, the text of the network's program."""
    done = zeroskip(
        "compile",
        compiled / "net.onnx",
        "--target",
        "pattern256",
        "--calibrate",
        compiled / "images.npz",
        "--emit=mlir",
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path_factory.mktemp("emitted")
    (folder / "program.mlir").write_text(done.stdout, encoding="utf-8")
    return folder


def test_the_text_is_that_of_the_networks_programs(compiled: Path, emitted: Path) -> None:
    programs = Network.load(compiled / "net.zsk").programs.values()
    assert (emitted / "program.mlir").read_text(encoding="utf-8") == programs_text(programs)


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_network_takes_the_text_of_its_programs(
    compiled: Path, emitted: Path, command: str
) -> None:
    given = (command, compiled / "net.zsk", "--input", compiled / "x.npz")
    plain, own = zeroskip(*given), zeroskip(*given, "--program", emitted / "program.mlir")
    assert own.exit_code == 0, own.output
    assert own.stdout == plain.stdout


def test_what_was_changed_in_the_text_is_what_runs(
    compiled: Path, emitted: Path, tmp_path: Path
) -> None:
    text = (emitted / "program.mlir").read_text(encoding="utf-8")
    place = re.search(r'"zeroskip\.output".* zero_point = (-?\d+) :', text)
    assert place is not None
    start, end = place.span(1)
    changed = f"{text[:start]}{int(place[1]) + 1}{text[end:]}"
    (tmp_path / "p.mlir").write_text(changed, encoding="utf-8")
    done = zeroskip(
        "validate", compiled / "net.zsk", "--input", compiled / "x.npz",
        "--program", tmp_path / "p.mlir", "--json", tmp_path / "v.json",
    )  # fmt: skip
    assert done.exit_code == 1, done.output
    assert "first difference: region" in done.stdout


def test_a_program_runs_alone(compiled: Path, emitted: Path, tmp_path: Path) -> None:
    (program,) = Network.load(compiled / "net.zsk").programs.values()
    (tensor,) = program.inputs
    np.savez(
        tmp_path / "q.npz",
        allow_pickle=False,
        **{tensor.name: np.zeros((2, tensor.channels, *tensor.spatial), tensor.dtype)},
    )
    done = zeroskip(
        "run", emitted / "program.mlir", "--input", tmp_path / "q.npz",
        "--output", tmp_path / "y.npz",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "cycles on pattern256" in done.stdout
    assert np.load(tmp_path / "y.npz")[program.outputs[0].name].shape[0] == 2


def test_programs_that_do_not_fit_are_refused(
    compiled: Path, emitted: Path, tmp_path: Path
) -> None:
    text = (emitted / "program.mlir").read_text(encoding="utf-8")
    name = re.search(r"func\.func @(\w+)", text)
    assert name is not None
    for altered, words in (
        (text.replace(f"@{name[1]}", "@other"), "holds program 'other'; the network's regions are"),
        (text.replace('"clock_mhz" = 500.0', '"clock_mhz" = 501.0'), "another accelerator"),
        (text.replace('"channels" = 3', '"channels" = 4', 1), "has the inputs"),
        (text.replace('"places" = [', '"places" = [{"value" = "x", "offset" = 0, "channels" = 1}, '),
         "where they are"),
        (text + text, "program.mlir line"),
        (text.replace('"zeroskip.', '"other.', 1), "instruction 0, other."),
    ):  # fmt: skip
        (tmp_path / "program.mlir").write_text(altered, encoding="utf-8")
        done = zeroskip(
            "run", compiled / "net.zsk", "--input", compiled / "x.npz",
            "--program", tmp_path / "program.mlir",
        )  # fmt: skip
        refused(done, words)
    (tmp_path / "two.mlir").write_text(text + text.replace(f"@{name[1]}", "@other"))
    refused(
        zeroskip("run", tmp_path / "two.mlir", "--input", compiled / "x.npz"),
        "holds 2 programs", "--program",
    )  # fmt: skip


def test_options_that_do_not_go_together(compiled: Path, emitted: Path) -> None:
    text = emitted / "program.mlir"
    for more in (("--level", "0"), ("--program", str(text))):
        done = zeroskip("run", text, "--input", compiled / "x.npz", *more)
        assert done.exit_code == 2
        assert f"leave {more[0]} out" in done.stderr


def test_an_oracle_without_its_extra_is_named(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlir.ir", None)
    done = zeroskip(
        "validate", compiled / "net.zsk", "--input", compiled / "x.npz", "--oracle", "mlir"
    )
    refused(done, "--oracle=mlir needs MLIR", "pip install 'zeroskip[oracle]'")
