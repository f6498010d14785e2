"""The command line: what it does, and that every bad input is one sentence and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.box import write_zip
from zeroskip.runtime.cli import main

SMALL_TARGET = "tiny.toml"


def zeroskip(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Result:
    return CliRunner(env=environment).invoke(main, [str(one) for one in arguments])


def refused(result: Result, *words: str) -> str:
    """Asserts one sentence on standard error and exit code 2; gives the sentence."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("zeroskip: error: ")
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""
    return lines[0]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with net.onnx, x.npz and net.zsk; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("compiled")
    onnx.save(small_net(), folder / "net.onnx")
    rng = np.random.default_rng(1)
    np.savez(folder / "x.npz", x=rng.standard_normal(SHAPE).astype(np.float32))
    np.savez(folder / "images.npz", x=rng.standard_normal((4, *SHAPE[1:])).astype(np.float32))
    done = zeroskip("compile", folder / "net.onnx", "-o", folder / "net.zsk",
                    "--target", "pattern256", "--calibrate", folder / "images.npz")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return folder


# ------------------------------------------------------------------------------- what it does


def test_help_imports_nothing_heavy() -> None:
    """Which makes it quick; how quick, `benchmarks/bench.py` measures."""
    code = ("import sys, zeroskip.runtime.cli; "
            "print([n for n in ('tvm', 'numpy', 'onnx', 'numba', 'rich') if n in sys.modules])")
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
    ran = zeroskip("run", compiled / "net.zsk", "--input", compiled / "x.npz", "--output", y,
                   "--trace", trace)
    assert ran.exit_code == 0, ran.output
    assert np.load(y)["y"].shape == (1, 10)
    slices = [e for e in json.loads(trace.read_text())["traceEvents"] if e["ph"] == "X"]
    cycles = int(ran.stdout.splitlines()[1].split()[0].replace(",", ""))
    assert {e["tid"] for e in slices} == {0, 1, 2}
    assert max(e["ts"] + e["dur"] for e in slices) <= cycles
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.json", "y.npz"]


def test_the_order_of_units_does_not_change_results(compiled: Path, tmp_path: Path) -> None:
    results = []
    for seed in ("3", "4"):
        y = tmp_path / f"{seed}.npz"
        ran = zeroskip("run", compiled / "net.zsk", "--input", compiled / "x.npz", "--output", y,
                       "--seed", seed)
        assert f"seed {seed}" in ran.stdout
        results.append(np.load(y)["y"])
    assert np.array_equal(*results)


def test_validate_agrees(compiled: Path) -> None:
    done = zeroskip("validate", compiled / "net.zsk", "--input", compiled / "x.npz")
    assert done.exit_code == 0, done.output
    assert "1 of 1 regions bit-exact" in done.stdout


def test_levels_are_compiled_together_and_chosen_by_number(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("compile", compiled / "net.onnx", "-o", tmp_path / "n.zsk", "--calibrate",
                    compiled / "images.npz", "--target", "sparse256",
                    "--level", "unstructured:sparsity=0.5", "--level", "unstructured:sparsity=0.75")
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
    refused(zeroskip("run", tmp_path / "n.zsk", "--input", compiled / "x.npz", "--level", "2"),
            f"has no level 2; give one of {there}")
    refused(zeroskip("report", compiled / "net.zsk", "--level", "1"),
            "holds one network without levels")


def test_a_level_that_changes_tensors_is_refused(compiled: Path, tmp_path: Path) -> None:
    line = refused(zeroskip("compile", compiled / "net.onnx", "-o", tmp_path / "n.zsk",
                            "--level", "unstructured", "--level", "channels"), "'channels'")
    assert "give what changes tensors or values to --prune" in line
    assert files(tmp_path) == {}


def test_validate_fails_with_exit_code_1(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zeroskip.runtime import validation

    wrong = validation.Mismatch("region", "conv0", (0, 1, 2, 3), 17, 5, 6)
    monkeypatch.setattr(validation, "validate", lambda *_: validation.Validation(
        1, 0, 3, wrong, {}, {}))
    done = zeroskip("validate", compiled / "net.zsk", "--input", compiled / "x.npz")
    assert done.exit_code == 1
    assert "conv0" in done.stdout
    assert "[0, 1, 2, 3]" in done.stdout
    assert "pc 17" in done.stdout


def test_report_for_people_and_machines(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("report", compiled / "net.zsk", "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    for word in ("conv1 + add", "x bound", "MACs used", "DRAM KiB", "uJ", "lost, in % of the bound",
                 "x the bound of the whole network"):
        assert word in done.stdout
    table = json.loads((tmp_path / "r.json").read_text())
    layers = [layer for region in table["regions"] for layer in region["layers"]]
    assert sum(layer["cycles"] for layer in layers) == table["cycles"]
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


@pytest.mark.parametrize(("stage", "words"), [
    ("relax", ["@I.ir_module", "R.nn.conv2d", "zeroskip.schedule"]),
    ("layers", ["conv(", "# conv0", "add(", "maxpool("]),
    ("schedule", ["conv0: filters", "gang"]),
    ("asm", ["loadweights wgt=", "conv wgt=", "store act="]),
])
def test_emit_prints_each_stage(compiled: Path, stage: str, words: list[str]) -> None:
    done = zeroskip("compile", compiled / "net.onnx", f"--emit={stage}",
                    "--calibrate", compiled / "images.npz")
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

    monkeypatch.setattr("zeroskip.compiler.network.Network.load", load)
    refused(zeroskip("report", compiled / "net.zsk"), "not enough memory")


def test_names_in_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    text = (resources.files("zeroskip.accel_model.targets") / "dense256.toml").read_text("utf-8")
    (tmp_path / "own.toml").write_text(text.replace("[dram]", '["\\u001b[2J\\u202e"]'), "utf-8")
    line = refused(zeroskip("compile", tmp_path / "n.onnx", "-o", tmp_path / "n.zsk", "--target",
                            tmp_path / "own.toml"), "own.toml")
    assert line.isprintable()


# ---------------------------------------------------------------------------- wrong usage


@pytest.mark.parametrize("arguments", [
    ["compile", "net.onnx"],
    ["compile", "net.onnx", "-o", "n.zsk", "--shape", "x=1,a"],
    ["compile", "net.onnx", "-o", "n.zsk", "--shape", "1,3,16,16"],
    ["compile", "net.onnx", "-o", "n.zsk", "--shape", "x=1,0"],
    ["compile", "net.onnx", "-o", "n.zsk", "--method", "guess"],
    ["compile", "net.onnx", "--emit", "tir"],
    ["compile", "net.onnx", "--emit", "asm", "--level", "unstructured"],
    ["run", "net.asm", "--input", "x.npz", "--level", "0"],
    ["run", "net.zsk", "--input", "x.npz", "--level", "-1"],
    ["run", "net.zsk"],
    ["frobnicate"],
])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = zeroskip(*arguments)
    assert done.exit_code == 2
    assert "Error:" in done.stderr


# ------------------------------------------------------------------------------- bad models


def compiling(tmp_path: Path, model: Path, *options: str | Path) -> Result:
    """Compiles, and asserts that nothing is written."""
    before = files(tmp_path)
    done = zeroskip("compile", model, "-o", tmp_path / "out.zsk", *options)
    assert files(tmp_path) == before
    return done


@pytest.mark.parametrize(("content", "word"), [
    (b"this is not a network", "not an ONNX"), (b"", "no ONNX graph"), (bytes(1000), "ONNX"),
])
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    refused(compiling(tmp_path, tmp_path / "bad.onnx"), "bad.onnx", word)


def test_a_missing_model(tmp_path: Path) -> None:
    refused(compiling(tmp_path, tmp_path / "none.onnx"), "none.onnx", "does not exist")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_onnx(compiled: Path, tmp_path: Path, part: float) -> None:
    whole = (compiled / "net.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: int(len(whole) * part)])
    refused(compiling(tmp_path, tmp_path / "cut.onnx"), "cut.onnx")


def test_dynamic_shapes_need_shape(tmp_path: Path) -> None:
    model = small_net()
    for axis, name in ((0, "batch"), (2, "height")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, tmp_path / "open.onnx")
    refused(compiling(tmp_path, tmp_path / "open.onnx"), "'x'", "--shape")
    refused(compiling(tmp_path, tmp_path / "open.onnx", "--shape", "z=1,3,16,16"), "z")
    refused(compiling(tmp_path, tmp_path / "open.onnx", "--shape", "x=1,3,16"), "x")
    done = zeroskip("compile", tmp_path / "open.onnx", "--shape", "x=1,3,16,16",
                    "-o", tmp_path / "n.zsk")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("recipe", [
    "pattern:connectivity=1.5", "pattern:connectivity=-1", "pattern:connectivity=many",
    "channels:ratio=1", "nosuch:ratio=0.5", "pattern:nosuch=1", ":", "pattern:connectivity",
])
def test_a_pruning_option_out_of_range(compiled: Path, tmp_path: Path, recipe: str) -> None:
    refused(compiling(tmp_path, compiled / "net.onnx", "--prune", recipe))


# ------------------------------------------------------------------------------ bad targets


def dense_toml() -> str:
    file = resources.files("zeroskip.accel_model.targets") / "dense256.toml"
    return file.read_text(encoding="utf-8")


def test_an_unknown_target(compiled: Path, tmp_path: Path) -> None:
    refused(compiling(tmp_path, compiled / "net.onnx", "--target", "dense512"), "dense512",
            "pattern256")
    refused(compiling(tmp_path, compiled / "net.onnx", "--target", "none.toml"), "none.toml")


@pytest.mark.parametrize(("old", "new", "word"), [
    ("clock_mhz = 500", 'clock_mhz = "500 MHz"', "clock_mhz"),
    ("clock_mhz = 500", "clock_mhz = -500", "clock_mhz"),
    ("act_bytes = 262144", 'act_bytes = "256 KiB"', "act_bytes"),
    ("act_bytes = 262144", "", "act_bytes"),
    ("act_bytes = 262144", "act_kib = 256", "act_"),
    ("bytes_per_cycle = 16", "bytes_per_cycle = -16", "bytes_per_cycle"),
    ("mac = 0.3", "mac = nan", "mac"),
    ("[sram]", "[", "TOML"),
])
def test_a_toml_with_a_wrong_unit_or_a_missing_or_negative_number(
    compiled: Path, tmp_path: Path, old: str, new: str, word: str
) -> None:
    text = dense_toml()
    assert old in text
    (tmp_path / "own.toml").write_text(text.replace(old, new, 1))
    refused(compiling(tmp_path, compiled / "net.onnx", "--target", tmp_path / "own.toml"),
            "own.toml", word)


def test_a_layer_whose_smallest_tile_does_not_fit(compiled: Path, tmp_path: Path) -> None:
    small = dense_toml().replace("act_bytes = 262144", "act_bytes = 256")
    (tmp_path / SMALL_TARGET).write_text(small)
    refused(compiling(tmp_path, compiled / "net.onnx", "--target", tmp_path / SMALL_TARGET),
            "'conv", "256", "bytes", "SRAM")


# --------------------------------------------------------------------------------- bad data


def images(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(("shape", "value", "word"), [
    ((4, 3, 16, 15), 0.0, "shape"), ((3, 16, 16), 0.0, "shape"), ((0, 3, 16, 16), 0.0, "shape"),
    ((4, 3, 16, 16), np.nan, "NaN"), ((4, 3, 16, 16), np.inf, "infinity"),
])
def test_calibration_data_of_wrong_shape_or_with_nan(
    compiled: Path, tmp_path: Path, shape: tuple[int, ...], value: float, word: str
) -> None:
    data = images(tmp_path, x=np.full(shape, value, np.float32))
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", data), "'x'", word)


def test_calibration_data_that_are_no_arrays(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no")
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", tmp_path / "a.npz"), "a.npz")
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", tmp_path / "b.npz"), "b.npz")


@pytest.mark.parametrize(("name", "array", "word"), [
    ("x", np.zeros((1, 3, 16, 17), np.float32), "shape"),
    ("x", np.zeros((2, 3, 16, 16), np.float32), "shape"),
    ("x", np.zeros(SHAPE, np.complex64), "complex64"),
    ("x", np.full(SHAPE, "a"), "<U1"),
    ("x", np.full(SHAPE, np.nan, np.float32), "NaN"),
])
@pytest.mark.parametrize("command", ["run", "validate"])
def test_inputs_of_wrong_shape_or_type(compiled: Path, tmp_path: Path, command: str, name: str,
                                       array: np.ndarray, word: str) -> None:
    data = images(tmp_path, **{name: array})
    output = ["--output", tmp_path / "y.npz"] if command == "run" else []
    refused(zeroskip(command, compiled / "net.zsk", "--input", data, *output), "'x'", word)
    assert list(files(tmp_path)) == [str(data)]


def test_inputs_of_wrong_name(compiled: Path, tmp_path: Path) -> None:
    good = np.zeros(SHAPE, np.float32)
    both = images(tmp_path, x=good, image=good)
    refused(zeroskip("run", compiled / "net.zsk", "--input", both), "'image'", "'x'")


def test_inputs_that_claim_to_be_larger_than_memory(compiled: Path, tmp_path: Path) -> None:
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as box:
        box.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    refused(zeroskip("run", compiled / "net.zsk", "--input", tmp_path / "x.npz"), "x.npz",
            "larger than this computer's memory")


# ------------------------------------------------------------------------- bad network files


@pytest.mark.parametrize("command", ["report", "run"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_network(compiled: Path, tmp_path: Path, command: str, part: float) -> None:
    whole = (compiled / "net.zsk").read_bytes()
    (tmp_path / "cut.zsk").write_bytes(whole[: int(len(whole) * part)])
    refused(reading(command, tmp_path / "cut.zsk", compiled), "cut.zsk")


def reading(command: str, network: Path, compiled: Path) -> Result:
    inputs = ["--input", compiled / "x.npz"] if command == "run" else []
    return zeroskip(command, network, *inputs)


def test_a_network_altered_by_one_byte(compiled: Path, tmp_path: Path) -> None:
    whole = (compiled / "net.zsk").read_bytes()
    rng = np.random.default_rng(5)
    wrong = tmp_path / "wrong.zsk"
    for at in rng.integers(0, len(whole), 40).tolist():
        wrong.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        result = reading("report", wrong, compiled)
        assert result.exit_code == 2, f"byte {at}"
        refused(result, "wrong.zsk")


def test_a_network_made_for_another_spec(compiled: Path, tmp_path: Path) -> None:
    """The accelerator's numbers are changed and sealed again; its programs are for the old ones."""
    import hashlib
    import zipfile

    with zipfile.ZipFile(compiled / "net.zsk") as box:
        members = {name: box.read(name) for name in box.namelist()}
    head = json.loads(members["manifest.json"])
    head["spec"]["array"]["pipeline_cycles"] += 1
    head.pop("seal")
    head["seal"] = hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()
    members["manifest.json"] = json.dumps(head).encode()
    with (tmp_path / "other.zsk").open("wb") as out:
        write_zip(out, {name: [raw] for name, raw in members.items()})
    for command in ("report", "run"):
        refused(reading(command, tmp_path / "other.zsk", compiled), "other.zsk", "description")


# ------------------------------------------------------------------------- nothing is written


def test_outputs_that_cannot_be_written(compiled: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "file"
    net, x = compiled / "net.zsk", compiled / "x.npz"
    refused(zeroskip("compile", compiled / "net.onnx", "-o", nowhere,
                     "--calibrate", compiled / "images.npz"), "file")
    refused(zeroskip("report", net, "--json", nowhere), "file")
    refused(zeroskip("report", net, "--html", nowhere), "file")
    refused(zeroskip("run", net, "--input", x, "--output", nowhere), "file")
    refused(zeroskip("run", net, "--input", x, "--trace", nowhere), "file")
    assert files(tmp_path) == {}


def test_a_refused_compile_keeps_the_file_that_was_there(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "out.zsk").write_bytes(b"precious")
    refused(compiling(tmp_path, tmp_path / "none.onnx"))
    assert (tmp_path / "out.zsk").read_bytes() == b"precious"


def test_an_operator_that_the_front_end_does_not_know(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="odd", equation="bi,ij->bj")
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    graph = helper.make_graph(
        [node], "odd", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])], [weight])
    onnx.save(helper.make_model(graph, ir_version=9,
                                opset_imports=[helper.make_opsetid("com.example", 1)]),
              tmp_path / "odd.onnx")
    refused(compiling(tmp_path, tmp_path / "odd.onnx"))


def test_installed_command_exits_with_2(tmp_path: Path) -> None:
    """The entry point itself, outside of click's test runner."""
    command = Path(sys.executable).with_name("zeroskip")
    done = subprocess.run([command, "compile", tmp_path / "none.onnx", "-o", tmp_path / "n.zsk"],
                          capture_output=True, text=True, env={**os.environ, "DEBUG": ""})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_run_of_a_program_in_assembly(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "examples" / "assembly" / "store.asm"
    x = np.arange(16 * 24, dtype=np.int16).reshape(1, 16, 4, 6).astype(np.int8)
    np.savez(tmp_path / "x.npz", x=x)
    result = CliRunner().invoke(main, ["run", str(source), "--input", str(tmp_path / "x.npz"),
                                       "--output", str(tmp_path / "y.npz"),
                                       "--trace", str(tmp_path / "t.json")])
    assert result.exit_code == 0, result.output
    assert "cycles on dense256" in result.output
    assert np.array_equal(np.load(tmp_path / "y.npz")["same"], x)
    for broken, message in ((b".target dense256\nfly", "line 2: 'fly' is not an instruction"),
                            (b"\xff", "it is not UTF-8 text")):
        (tmp_path / "own.asm").write_bytes(broken)
        result = CliRunner().invoke(main, ["run", str(tmp_path / "own.asm"), "--input",
                                           str(tmp_path / "x.npz")])
        assert result.exit_code == 2
        assert message in result.output
