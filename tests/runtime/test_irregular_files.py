"""Devices, pipes, links, archives that inflate, names without end: what is not a plain file."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.io.atomic_write import write_whole
from zeroskip.compiler.artifact import inputs
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.cli.options import read_list
from zeroskip.runtime.execution.session import Session


def test_a_device_stays_one(tmp_path: Path) -> None:
    """A node of its own: as root, replacing /dev/null would break the machine."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except OSError:
        device = Path("/dev/null")  # which only root could replace
    write_whole(device, lambda out: out.write(b"gone"))
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_pipe_is_written_into_once_it_is_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refusal = "cannot be written"
    with pytest.raises(Exception, match=refusal):  # nobody reads: refused, not waited for
        write_whole(tmp_path / "pipe", lambda out: out.write(b"lost"))
    got: list[bytes] = []
    read = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(read, True)
    reader = threading.Thread(target=lambda: got.append(os.read(read, 100)))
    write_whole(tmp_path / "pipe", lambda out: out.write(b"whole"))
    reader.start()
    reader.join()
    os.close(read)
    assert got == [b"whole"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", lambda out: out.write(b"new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["compile", "P", "-o", "out.zsk"],
        ["compile", "net.onnx", "-o", "out.zsk", "--calibrate", "P"],
        ["compile", "net.onnx", "-o", "out.zsk", "--prune", "P.toml"],
        ["compile", "net.onnx", "-o", "out.zsk", "--target", "P.toml"],
        ["run", "P", "--input", "x.npz"],
        ["run", "P.asm", "--input", "x.npz"],
        ["report", "P"],
        ["validate", "P", "--input", "x.npz"],
        ["prune", "P", "--detect"],
    ],
)
def test_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(small_net(), "net.onnx")
    np.savez("x.npz", x=np.zeros(SHAPE, np.float32))
    for name in ("P", "P.toml", "P.asm"):
        os.mkfifo(name)
    refused(zeroskip(*command), "P", "is a pipe")
    assert not Path("out.zsk").exists()


def test_an_archive_that_inflates_to_gigabytes_is_not_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (1 << 28, *SHAPE[1:])}
    )
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("x.npy", head.getvalue() + bytes(1 << 20))
    (tmp_path / "bomb.npy").write_bytes(head.getvalue())
    for name in ("bomb.npz", "bomb.npy"):
        refused(
            zeroskip(
                "compile",
                tmp_path / "net.onnx",
                "-o",
                tmp_path / "out.zsk",
                "--calibrate",
                tmp_path / name,
            ),
            name,
            "GiB",
            "fewer samples",
        )
    monkeypatch.setattr(inputs, "MAX_BYTES", 1000)
    np.savez(tmp_path / "two.npz", a=np.zeros(600, np.int8), b=np.zeros(600, np.int8))
    with pytest.raises(inputs.DataError, match="fewer samples"):  # the sum counts
        inputs.load_arrays(tmp_path / "two.npz")


def test_names_of_any_length_come_back(tmp_path: Path) -> None:
    model = small_net()
    for node in model.graph.node:
        node.name += "n" * 5000
    compile_network(model, "sparse256").save(tmp_path / "net.zsk")
    program = next(iter(Network.load(tmp_path / "net.zsk").programs.values()))
    assert program.layers[0].node.endswith("n" * 5000)


def test_what_cannot_be_loaded_again_is_not_written(tmp_path: Path) -> None:
    model = small_net()
    model.graph.node[0].name = "n" * 100_000
    network = compile_network(model, "sparse256")
    with pytest.raises(NetworkError, match="not written"):
        network.save(tmp_path / "net.zsk")
    assert files(tmp_path) == {}


@pytest.mark.parametrize("arguments", [["net.onnx", "-o", ""], ["", "-o", "out.zsk"]])
def test_an_empty_path_is_not_the_folder(arguments: list[str]) -> None:
    done = zeroskip("compile", *arguments)
    assert done.exit_code == 2
    assert "it is empty; give the path of a file" in done.stderr


def test_names_of_any_characters_are_told_apart(tmp_path: Path) -> None:
    """Slashes, dots, quotes, letters of all scripts; names that differ in one of them."""
    model = small_net(cpu_node=True)
    odd = {"x": "../../x", "y": "/y/ä€😀", "a": "t/1", "b": "t_1", "c": "t.1", "d": "T_1"}
    for node in model.graph.node:
        node.name = f'"{node.name}"/../%s'
        node.input[:] = [odd.get(name, name) for name in node.input]
        node.output[:] = [odd.get(name, name) for name in node.output]
    for item in (*model.graph.input, *model.graph.output):
        item.name = odd[item.name]
    onnx.save(model, tmp_path / "net.onnx")
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    np.savez(tmp_path / "x.npz", **{"../../x": x})  # type: ignore[arg-type]  # numpy has it so
    for command in (
        ["compile", "net.onnx", "-o", "net.zsk", "--calibrate", "x.npz"],
        ["run", "net.zsk", "--input", "x.npz", "--output", "y.npz"],
    ):
        done = zeroskip(*(tmp_path / each if "." in each else each for each in command))
        assert done.exit_code == 0, done.stderr
    plain = compile_network(small_net(cpu_node=True), "dense256", calibrate={"x": x})
    with np.load(tmp_path / "y.npz") as outputs:
        assert outputs.files == ["/y/ä€😀"]
        np.testing.assert_array_equal(outputs["/y/ä€😀"], Session(plain).run({"x": x})["y"])


def test_an_output_that_is_named_twice_is_written_once(tmp_path: Path) -> None:
    model = small_net()
    model.graph.output.append(model.graph.output[0])
    onnx.save(model, tmp_path / "net.onnx")
    recipe = "unstructured:sparsity=0.5"
    done = zeroskip("prune", tmp_path / "net.onnx", "-o", tmp_path / "out.onnx", "--prune", recipe)
    assert done.exit_code == 0, done.stderr
    assert [each.name for each in onnx.load(tmp_path / "out.onnx").graph.output] == ["y"]


def test_a_name_of_several_nodes_does_not_lend_its_operator(tmp_path: Path) -> None:
    """Why one stays on the CPU was said of the last one's operator."""
    model = small_net(cpu_node=True)
    for node in model.graph.node:
        node.name = "same"
    onnx.save(model, tmp_path / "net.onnx")
    done = zeroskip("compile", tmp_path / "net.onnx", "-o", tmp_path / "net.zsk")
    assert "1 node ('same'): no int8 form of softmax" in done.stderr


def test_nothing_is_sent_to_the_makers_of_onnxruntime(tmp_path: Path) -> None:
    """It keeps an identifier in the user's cache folder as soon as it is loaded."""
    code = "import zeroskip.relay_passes.import_check"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_lists_of_schemes_and_targets_are_written_alike() -> None:
    def read(*values: str) -> tuple[str, ...]:
        return read_list(None, None, values)  # type: ignore[arg-type]  # which are not looked at

    assert read("dense256,sparse256", "pattern256") == read("dense256 sparse256  pattern256")
    assert read("unstructured, nm:m=8,n=2 pattern") == read("unstructured", "nm:m=8,n=2", "pattern")
    assert read("channels:ratio=0.25+pattern:patterns=8,layers=conv*,nm") == (
        "channels:ratio=0.25+pattern:patterns=8,layers=conv*",
        "nm",
    )
