"""The command line: what it does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from tests.runtime.command import files, refused, zeroskip
from zeroskip.runtime.cli.guard import one_line
from zeroskip.runtime.cli.main import main


def test_help_imports_nothing_heavy() -> None:
    """Which makes it quick; how quick, `benchmarks/bench.py` measures."""
    code = (
        "import sys, zeroskip.runtime.cli.main; "
        "print([n for n in ('tvm', 'numpy', 'onnx', 'numba', 'rich') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_command_has_help() -> None:
    assert isinstance(main, click.Group)
    for name in main.commands:
        shown = zeroskip(name, "--help")
        assert shown.exit_code == 0
        assert "Usage:" in shown.stdout


def test_run_writes_outputs_and_trace(compiled: Path, tmp_path: Path) -> None:
    y, trace = tmp_path / "y.npz", tmp_path / "t.json"
    ran = zeroskip(
        "run", compiled / "net.zsk", "--input", compiled / "x.npz", "--output", y, "--trace", trace
    )
    assert ran.exit_code == 0, ran.output
    assert np.load(y)["y"].shape == (1, 10)
    slices = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    cycles = int(ran.stdout.splitlines()[1].split()[0].replace(",", ""))
    assert len({e["tid"] for e in slices}) == 3  # the units
    assert max(e["ts"] + e["dur"] for e in slices) <= cycles
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "y.npz"]


def test_the_order_of_units_does_not_change_results(compiled: Path, tmp_path: Path) -> None:
    results = []
    for seed in ("3", "4"):
        y = tmp_path / f"{seed}.npz"
        ran = zeroskip(
            "run",
            compiled / "net.zsk",
            "--input",
            compiled / "x.npz",
            "--output",
            y,
            "--seed",
            seed,
        )
        assert f"seed {seed}" in ran.stdout
        results.append(np.load(y)["y"])
    assert np.array_equal(*results)


def test_validate_agrees(compiled: Path) -> None:
    done = zeroskip("validate", compiled / "net.zsk", "--input", compiled / "x.npz")
    assert done.exit_code == 0, done.output
    assert "1 of 1 regions bit-exact" in done.stdout


def test_levels_are_compiled_together_and_chosen_by_number(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip(
        "compile",
        compiled / "net.onnx",
        "-o",
        tmp_path / "n.zsk",
        "--calibrate",
        compiled / "images.npz",
        "--target",
        "sparse256",
        "--level",
        "unstructured:sparsity=0.5",
        "--level",
        "unstructured:sparsity=0.75",
    )
    assert done.exit_code == 0, done.output
    there = "0: unstructured:sparsity=0.5, 1: unstructured:sparsity=0.75"
    cycles = []
    for level in (["--level", "1"], ["--level", "0"], []):
        ran = zeroskip("run", tmp_path / "n.zsk", "--input", compiled / "x.npz", *level)
        first, _, last = ran.stdout.splitlines()
        assert first == f"level {level[1] if level else 0} of {there}"
        cycles.append(int(last.split()[0].replace(",", "")))
    assert cycles[0] < cycles[1] == cycles[2]
    done = zeroskip("validate", tmp_path / "n.zsk", "--input", compiled / "x.npz", "--level", "1")
    assert done.exit_code == 0, done.output
    assert "1 of 1 regions bit-exact" in done.stdout
    shown = zeroskip("report", tmp_path / "n.zsk", "--level", "1", "--json", tmp_path / "r.json")
    assert shown.stdout.startswith(f"level 1 of {there}")
    assert json.loads((tmp_path / "r.json").read_text())["cycles"] == cycles[0]
    refused(
        zeroskip("run", tmp_path / "n.zsk", "--input", compiled / "x.npz", "--level", "2"),
        f"has no level 2; give one of {there}",
    )
    refused(
        zeroskip("report", compiled / "net.zsk", "--level", "1"), "holds one network without levels"
    )


def test_a_level_that_changes_tensors_is_refused(compiled: Path, tmp_path: Path) -> None:
    line = refused(
        zeroskip(
            "compile",
            compiled / "net.onnx",
            "-o",
            tmp_path / "n.zsk",
            "--level",
            "unstructured",
            "--level",
            "channels",
        ),
        "'channels'",
    )
    assert "give what changes tensors or values to --prune" in line
    assert files(tmp_path) == {}


def test_validate_fails_with_exit_code_1(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zeroskip.runtime.execution import validation

    wrong = validation.Mismatch("region", "conv0", (0, 1, 2, 3), 17, 5, 6)
    monkeypatch.setattr(
        validation, "validate", lambda *_, **__: validation.Validation(1, 0, 3, wrong, {}, {})
    )
    done = zeroskip("validate", compiled / "net.zsk", "--input", compiled / "x.npz")
    assert done.exit_code == 1
    assert "conv0" in done.stdout
    assert "[0, 1, 2, 3]" in done.stdout
    assert "pc 17" in done.stdout


def test_report_for_people_and_machines(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip(
        "report", compiled / "net.zsk", "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv"
    )
    assert done.exit_code == 0, done.output
    for word in (
        "conv1 + add",
        "x bound",
        "MACs used",
        "DRAM KiB",
        "uJ",
        "images a second",
        "TOPS/mm2",
        "lost, in % of the bound",
        "x the bound of the whole network",
    ):
        assert word in done.stdout
    table = json.loads((tmp_path / "r.json").read_text())
    layers = [layer for region in table["regions"] for layer in region["layers"]]
    assert sum(layer["cycles"] for layer in layers) == table["cycles"]
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1 + len(layers)
    assert table["efficiency"]["images_a_second"] == pytest.approx(1000 / table["milliseconds"])
    assert table["efficiency"]["microjoules"] > table["microjoules"]  # leakage and idle DRAM
    for one in (*layers, *table["regions"], table):
        assert sum(one["lost"].values()) == one["cycles"] - one["bound"]
    assert table["x_network_bound"] == table["cycles"] / table["network_bound"]


def test_report_as_a_page(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("report", compiled / "net.zsk", "--html", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"wrote {tmp_path / 'r.html'}"
    assert "<h1>net on pattern256</h1>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_report_of_the_worst_layers(compiled: Path, tmp_path: Path) -> None:
    """Those that lose most, in that order, and no others."""
    done = zeroskip("report", compiled / "net.zsk", "--worst", "2", "--json", tmp_path / "r.json")
    (region,) = json.loads((tmp_path / "r.json").read_text())["regions"]
    ranked = sorted(region["layers"], key=lambda layer: layer["bound"] - layer["cycles"])
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "the 2 of 4 layers that lose most"
    first = next(n for n, line in enumerate(lines) if line.startswith("─")) + 1
    shown = [line.split()[0] for line in lines[first : lines.index("", first)] if line[0] != " "]
    assert shown == [layer["node"] for layer in ranked[:2]]


def test_targets_shows_their_numbers() -> None:
    done = zeroskip("targets")
    assert done.exit_code == 0
    for word in ("dense256", "sparse256", "pattern256", "256", "500", "8"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("relax", ["@I.ir_module", "R.nn.conv2d", "zeroskip.schedule"]),
        ("layers", ["conv(", "# conv0", "add(", "maxpool("]),
        ("schedule", ["conv0: filters", "mode"]),
        ("asm", ["loadweights wgt=", "conv wgt=", "store act="]),
    ],
)
def test_emit_prints_each_stage(compiled: Path, stage: str, words: list[str]) -> None:
    done = zeroskip(
        "compile", compiled / "net.onnx", f"--emit={stage}", "--calibrate", compiled / "images.npz"
    )
    assert done.exit_code == 0, done.output
    for word in words:
        assert word in done.stdout


def test_a_float_model_without_calibration_is_warned_of(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("compile", compiled / "net.onnx", "-o", tmp_path / "n.zsk")
    assert done.exit_code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("zeroskip: warning: no --calibrate data")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = zeroskip("report", tmp_path / "none.zsk", environment={"DEBUG": "1"})
    assert type(done.exception).__name__ == "NetworkError"


def test_too_little_memory_is_a_sentence(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_path: Path, _level: int | None) -> None:
        raise MemoryError

    monkeypatch.setattr("zeroskip.compiler.artifact.network.Network.load", load)
    refused(zeroskip("report", compiled / "net.zsk"), "not enough memory")


def test_what_steers_a_terminal_is_a_question_mark() -> None:
    assert one_line("a\x1b[2J \n b\u202ec\x07") == "a?[2J b?c?"


def test_names_in_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    text = (resources.files("zeroskip.accel_model.targets") / "dense256.toml").read_text("utf-8")
    (tmp_path / "own.toml").write_text(text.replace("[dram]", '["\\u001b[2J\\u202e"]'), "utf-8")
    line = refused(
        zeroskip(
            "compile",
            tmp_path / "n.onnx",
            "-o",
            tmp_path / "n.zsk",
            "--target",
            tmp_path / "own.toml",
        ),
        "own.toml",
    )
    assert line.isprintable()


# ---------------------------------------------------------------------------- wrong usage


def test_run_of_a_program_in_assembly(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples" / "assembly" / "store.asm"
    x = np.arange(16 * 24, dtype=np.int16).reshape(1, 16, 4, 6).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=x)
    result = CliRunner().invoke(
        main,
        [
            "run",
            str(source),
            "--input",
            str(tmp_path / "x.npz"),
            "--output",
            str(tmp_path / "y.npz"),
            "--trace",
            str(tmp_path / "t.json"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "cycles on dense256" in result.output
    assert np.array_equal(np.load(tmp_path / "y.npz")["same"], x)
    for broken, message in (
        (b".target dense256\nfly", "line 2: 'fly' is not an instruction"),
        (b"\xff", "it is not UTF-8 text"),
    ):
        (tmp_path / "own.asm").write_bytes(broken)
        result = CliRunner().invoke(
            main, ["run", str(tmp_path / "own.asm"), "--input", str(tmp_path / "x.npz")]
        )
        assert result.exit_code == 2
        assert message in result.output


@pytest.mark.parametrize("option", ["--json", "--csv", "--html"])
def test_a_report_on_standard_output_is_that_of_the_file(
    compiled: Path, tmp_path: Path, option: str
) -> None:
    shown = zeroskip("report", compiled / "net.zsk", option, "-")
    written = zeroskip("report", compiled / "net.zsk", option, tmp_path / "file")
    assert shown.exit_code == written.exit_code == 0, shown.output
    made = re.sub(r'(<p class="made">).*?</p>', "", (tmp_path / "file").read_text())
    assert re.sub(r'(<p class="made">).*?</p>', "", shown.stdout).rstrip("\n") == made.rstrip("\n")
    assert "x bound" in written.stdout


def test_a_validation_on_standard_output_is_json_alone(compiled: Path) -> None:
    done = zeroskip("validate", compiled / "net.zsk", "--input", compiled / "x.npz", "--json", "-")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["exact"]


def test_standard_output_takes_one_file(compiled: Path) -> None:
    done = zeroskip("report", compiled / "net.zsk", "--json", "-", "--csv", "-")
    assert done.exit_code == 2
    assert "one file" in done.stderr
    assert done.stdout == ""


def test_a_page_has_the_command_that_made_it(compiled: Path, tmp_path: Path) -> None:
    page = tmp_path / "a page.html"
    done = zeroskip("report", compiled / "net.zsk", "--html", page)
    assert done.exit_code == 0, done.output
    assert f"zeroskip report {compiled}/net.zsk --html '{page}'</code>" in page.read_text()
