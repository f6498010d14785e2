"""A large network's file refers to the model for its float weights; all but they works without
it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.campaigns.hostile_networks import close_network, open_network
from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip import compiler
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.compiler.artifact import float_source
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.runtime.execution.float_weights import with_float_weights
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

X = {"x": np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)}


@pytest.fixture(autouse=True)
def every_network_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_source, "LARGE", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    onnx.save(small_net(cpu_node=True), folder / "net.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(float_source, "LARGE", 1)
        compiler.compile(folder / "net.onnx", "sparse256").save(folder / "out.zsk")
    (folder / "net.onnx").rename(folder / "kept.onnx")
    return folder


@pytest.fixture
def files(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A model, and the file of the network that it was compiled into, elsewhere."""
    shutil.copy(made / "kept.onnx", tmp_path / "net.onnx")
    shutil.copy(made / "out.zsk", tmp_path / "out.zsk")
    return tmp_path / "net.onnx", tmp_path / "out.zsk"


def test_the_weights_are_those_of_the_model(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = files
    small = path.stat().st_size
    found = validate(Network.load(path), X)
    assert found.exact
    assert not found.no_floats
    monkeypatch.setattr(float_source, "LARGE", 1 << 40)
    whole = compiler.compile(model, "sparse256")
    assert whole.source is None
    assert validate(whole, X).snr_db == found.snr_db
    whole.save(path)
    weights = sum(init.raw_data.__len__() for init in small_net(cpu_node=True).graph.initializer)
    assert path.stat().st_size - small > 0.9 * weights


def test_without_the_model_all_else_is_checked(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, path = files
    want = Session(path).run(X)["y"]
    model.rename(tmp_path / "moved.onnx")
    assert Session(path).run(X)["y"].tobytes() == want.tobytes()
    np.savez(tmp_path / "x.npz", x=X["x"])
    done = zeroskip("validate", path, "--input", tmp_path / "x.npz")
    assert done.exit_code == 0, done.output
    assert "2 of 2 regions bit-exact" in done.stdout
    assert "not compared with the float network: " in done.stdout
    assert "'net.onnx', which is at neither" in done.stdout
    assert "signal-to-noise" not in done.stdout
    assert zeroskip("report", path).exit_code == 0
    for command in (
        ("validate", "--input", tmp_path / "x.npz", "--layers"),
        ("report", "--weights", "--json", tmp_path / "r.json"),
    ):
        done = zeroskip(command[0], path, *command[1:])
        assert done.exit_code == 2
        assert "give the model that it was compiled from with --model" in done.stderr
        assert not (tmp_path / "r.json").exists()
        done = zeroskip(command[0], path, *command[1:], "--model", tmp_path / "moved.onnx")
        assert done.exit_code == 0, done.output


def test_a_model_is_found_where_it_was(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "out.zsk", tmp_path / "out.zsk")
    network = Network.load(tmp_path / "out.zsk")
    assert network.source is not None
    assert Path(network.source.model) == made / "net.onnx"
    with pytest.raises(ZeroskipError, match="is at neither"):
        with_float_weights(network)
    shutil.copy(made / "kept.onnx", made / "net.onnx")
    assert with_float_weights(network).source is None
    (made / "net.onnx").unlink()


def test_another_model_is_refused(files: tuple[Path, Path]) -> None:
    model, path = files
    other = onnx.load(model)
    weight = next(init for init in other.graph.initializer if init.name == "conv1.w")
    weight.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(weight), "conv1.w"))
    onnx.save(other, model)
    found = validate(Network.load(path), X)
    assert found.exact
    assert "1 of 4 of them are others there" in found.no_floats
    with pytest.raises(ZeroskipError, match=r"net\.onnx' is not: 1 of 4"):
        with_float_weights(Network.load(path), model)
    model.write_bytes(b"no model")
    with pytest.raises(ZeroskipError, match=r"net\.onnx"):
        with_float_weights(Network.load(path), model)


def test_what_was_pruned_stays_in_the_file(files: tuple[Path, Path]) -> None:
    model, _ = files
    assert compiler.compile(model, "sparse256", prune="unstructured:sparsity=0.5").source is None
    assert compiler.compile(onnx.load(model), "sparse256").source is None


def test_a_network_that_refers_is_not_saved_without_its_weights(files: tuple[Path, Path]) -> None:
    _, path = files
    with pytest.raises(ZeroskipError, match="has not been read"):
        Network.load(path).save(path)
    with_float_weights(Network.load(path)).save(path)
    assert Network.load(path).source is None


@pytest.mark.parametrize("table", [{}, {"file": 3, "shapes": {}, "weights": []}, 7])
def test_a_reference_that_is_none_is_refused(
    files: tuple[Path, Path], table: object, tmp_path: Path
) -> None:
    head, members = open_network(files[1].read_bytes())
    head["model"] = table
    (tmp_path / "bad.zsk").write_bytes(close_network(head, members))
    with pytest.raises(NetworkError, match="compile it again"):
        Network.load(tmp_path / "bad.zsk")
