"""The command line: every bad input is one sentence and exit code 2, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.io.archive import write_zip

SMALL_TARGET = "tiny.toml"


@pytest.mark.parametrize(
    "arguments",
    [
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
    ],
)
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


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"this is not a network", "not an ONNX"),
        (b"", "no ONNX graph"),
        (bytes(1000), "ONNX"),
    ],
)
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
    done = zeroskip(
        "compile", tmp_path / "open.onnx", "--shape", "x=1,3,16,16", "-o", tmp_path / "n.zsk"
    )
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "recipe",
    [
        "pattern:connectivity=1.5",
        "pattern:connectivity=-1",
        "pattern:connectivity=many",
        "channels:ratio=1",
        "nosuch:ratio=0.5",
        "pattern:nosuch=1",
        ":",
        "pattern:connectivity",
    ],
)
def test_a_pruning_option_out_of_range(compiled: Path, tmp_path: Path, recipe: str) -> None:
    refused(compiling(tmp_path, compiled / "net.onnx", "--prune", recipe))


# ------------------------------------------------------------------------------ bad targets


def dense_toml() -> str:
    file = resources.files("zeroskip.accel_model.targets") / "dense256.toml"
    return file.read_text(encoding="utf-8")


def test_an_unknown_target(compiled: Path, tmp_path: Path) -> None:
    refused(
        compiling(tmp_path, compiled / "net.onnx", "--target", "dense512"), "dense512", "pattern256"
    )
    refused(compiling(tmp_path, compiled / "net.onnx", "--target", "none.toml"), "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("clock_mhz = 500", 'clock_mhz = "500 MHz"', "clock_mhz"),
        ("clock_mhz = 500", "clock_mhz = -500", "clock_mhz"),
        ("act_bytes = 294912", 'act_bytes = "256 KiB"', "act_bytes"),
        ("act_bytes = 294912", "", "act_bytes"),
        ("act_bytes = 294912", "act_kib = 256", "act_"),
        ("bytes_per_cycle = 16", "bytes_per_cycle = -16", "bytes_per_cycle"),
        ('node = "45nm"', "node = nan", "node"),
        ("[sram]", "[", "TOML"),
    ],
)
def test_a_toml_with_a_wrong_unit_or_a_missing_or_negative_number(
    compiled: Path, tmp_path: Path, old: str, new: str, word: str
) -> None:
    text = dense_toml()
    assert old in text
    (tmp_path / "own.toml").write_text(text.replace(old, new, 1))
    refused(
        compiling(tmp_path, compiled / "net.onnx", "--target", tmp_path / "own.toml"),
        "own.toml",
        word,
    )


def test_a_layer_whose_smallest_tile_does_not_fit(compiled: Path, tmp_path: Path) -> None:
    small = dense_toml().replace("wgt_bytes = 143360", "wgt_bytes = 256")
    (tmp_path / SMALL_TARGET).write_text(small)
    model, output, target = compiled / "net.onnx", tmp_path / "out.zsk", tmp_path / SMALL_TARGET
    result = zeroskip("compile", model, "-o", output, "--target", target)
    assert result.exit_code == 0, result.output
    assert "bytes of WGT" in result.stderr  # it stays on the CPU, with the reason


# --------------------------------------------------------------------------------- bad data


def images(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "data.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


@pytest.mark.parametrize(
    ("shape", "value", "word"),
    [
        ((4, 3, 16, 15), 0.0, "shape"),
        ((3, 16, 16), 0.0, "shape"),
        ((0, 3, 16, 16), 0.0, "shape"),
        ((4, 3, 16, 16), np.nan, "NaN"),
        ((4, 3, 16, 16), np.inf, "infinity"),
    ],
)
def test_calibration_data_of_wrong_shape_or_with_nan(
    compiled: Path, tmp_path: Path, shape: tuple[int, ...], value: float, word: str
) -> None:
    data = images(tmp_path, x=np.full(shape, value, np.float32))
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", data), "'x'", word)


def test_calibration_data_that_are_no_arrays(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 no")
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", tmp_path / "a.npz"), "a.npz")
    refused(compiling(tmp_path, compiled / "net.onnx", "--calibrate", tmp_path / "b.npz"), "b.npz")


@pytest.mark.parametrize(
    ("name", "array", "word"),
    [
        ("x", np.zeros((1, 3, 16, 17), np.float32), "shape"),
        ("x", np.zeros((0, 3, 16, 16), np.float32), "shape"),
        ("x", np.zeros(SHAPE, np.complex64), "complex64"),
        ("x", np.full(SHAPE, "a"), "<U1"),
        ("x", np.full(SHAPE, np.nan, np.float32), "NaN"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate"])
def test_inputs_of_wrong_shape_or_type(
    compiled: Path, tmp_path: Path, command: str, name: str, array: np.ndarray, word: str
) -> None:
    data = images(tmp_path, **{name: array})
    output: list[str | Path] = ["--output", tmp_path / "y.npz"] if command == "run" else []
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
    refused(
        zeroskip("run", compiled / "net.zsk", "--input", tmp_path / "x.npz"),
        "x.npz",
        "more than the 4 GiB that are read",
    )


# ------------------------------------------------------------------------- bad network files


@pytest.mark.parametrize("command", ["report", "run"])
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.9999])
def test_a_truncated_network(compiled: Path, tmp_path: Path, command: str, part: float) -> None:
    whole = (compiled / "net.zsk").read_bytes()
    (tmp_path / "cut.zsk").write_bytes(whole[: int(len(whole) * part)])
    refused(reading(command, tmp_path / "cut.zsk", compiled), "cut.zsk")


def reading(command: str, network: Path, compiled: Path) -> Result:
    inputs: list[str | Path] = ["--input", compiled / "x.npz"] if command == "run" else []
    return zeroskip(command, network, *inputs)


def test_a_network_altered_by_one_byte(compiled: Path, tmp_path: Path) -> None:
    whole = (compiled / "net.zsk").read_bytes()
    rng = np.random.default_rng(5)
    wrong = tmp_path / "wrong.zsk"
    for at in rng.integers(0, len(whole), 12).tolist():
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
    refused(
        zeroskip(
            "compile", compiled / "net.onnx", "-o", nowhere, "--calibrate", compiled / "images.npz"
        ),
        "file",
    )
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
        [node],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    onnx.save(
        helper.make_model(
            graph, ir_version=9, opset_imports=[helper.make_opsetid("com.example", 1)]
        ),
        tmp_path / "odd.onnx",
    )
    refused(compiling(tmp_path, tmp_path / "odd.onnx"))


def test_installed_command_exits_with_2(tmp_path: Path) -> None:
    """The entry point itself, outside of click's test runner."""
    command = Path(sys.executable).with_name("zeroskip")
    done = subprocess.run(
        [command, "compile", tmp_path / "none.onnx", "-o", tmp_path / "n.zsk"],
        capture_output=True,
        text=True,
        env={**os.environ, "DEBUG": ""},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
