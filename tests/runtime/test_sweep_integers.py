"""Integer models (TOSA, TFLite) as points: compiled as they are, and pruned by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import zeroskip
from tests.runtime.command import refused
from tests.runtime.command import zeroskip as command
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import lower
from zeroskip.compiler.passes import tosa_text
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate
from zeroskip.runtime.experiments import sources
from zeroskip.runtime.experiments.sources import Source
from zeroskip.runtime.experiments.table import Table

GOLDENS = Path(__file__).parents[1] / "relay_passes" / "tflite_goldens"
TARGETS = ("sparse256", "scnn256")  # the second looks at activations
SAMPLES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With net.onnx, its integers as net.mlir, and samples of these with what they are taken
    for."""
    made = tmp_path_factory.mktemp("integers")
    onnx.save(small_net(), made / "net.onnx")
    stages = lower(str(made / "net.onnx"), load_spec("sparse256"))
    (made / "net.mlir").write_text(tosa_text(stages.partitioned), encoding="utf-8")
    network = zeroskip.compile(made / "net.mlir", "sparse256")
    (name,) = [port.name for port in network.inputs]
    images = np.random.default_rng(3).integers(-128, 128, (SAMPLES, *SHAPE[1:])).astype(np.int8)
    (scores,) = Session(network).run({name: images}).values()
    labels = scores.argmax(axis=1)
    labels[0] = (labels[0] + 1) % scores.shape[1]
    np.savez(made / "images.npz", **{name: images, "labels": labels})
    return made


def inputs(folder: Path) -> Mapping[str, Any]:
    with np.load(folder / "images.npz") as arrays:
        return {name: arrays[name] for name in arrays if name != "labels"}


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return zeroskip.sweep(
        folder / "net.mlir",
        targets=TARGETS,
        data=folder / "images.npz",
        schemes=["unstructured", "dense"],
        sparsities=[0.5],
        reconstruct="weights",
    )


def rows(table: Table, scheme: str) -> list[dict[str, Any]]:
    return [row for row in table.rows if row["scheme"] == scheme]


def test_cycles_are_those_of_compile(folder: Path, table: Table) -> None:
    dense = rows(table, "dense")
    assert [row["failure"] for row in dense] == [None, None]
    for row in dense:
        network = zeroskip.compile(folder / "net.mlir", row["target"])
        session = Session(network)
        session.run({name: values[:4] for name, values in inputs(folder).items()})
        runs = [run.all_cycles for run in session.runs.values()]
        images = [sum(cycles) for cycles in zip(*runs, strict=True)]
        assert row["cycles"] == round(sum(images) / len(images))
        assert row["stored_bytes"] == sum(len(each.image) for each in network.programs.values())
        assert (row["cpu_share"], row["sparsity"], row["recipe"]) == (0.0, 0.0, "")
    assert len({row["cycles"] for row in dense}) == 2


def test_quality_is_what_the_integers_lose_to_real_values(folder: Path, table: Table) -> None:
    row, other = rows(table, "dense")
    network = zeroskip.compile(folder / "net.mlir", "sparse256")
    found = validate(network, inputs(folder))
    (level,) = found.snr_db.values()
    assert row["snr_db"] == pytest.approx(level, abs=0.01)
    assert row["accuracy"] == (SAMPLES - 1) / SAMPLES
    assert (other["snr_db"], other["accuracy"]) == (row["snr_db"], row["accuracy"])


def test_weights_are_those_of_the_integers(folder: Path, table: Table) -> None:
    """What the float network has and rounding makes zero is not among them."""
    own = zeroskip.sweep(folder / "net.onnx")
    for row in rows(table, "dense"):
        assert 0.98 * own.columns["weights"][0] < row["weights"] <= own.columns["weights"][0]
        assert 0.98 * own.columns["macs"][0] < row["macs"] <= own.columns["macs"][0]


def test_where_a_scheme_would_prune_them_the_sentence_stays(table: Table) -> None:
    pruned = rows(table, "unstructured")
    assert len(pruned) == len(TARGETS)
    for row in pruned:
        assert "'net' is integers already" in row["failure"]
        assert "prune and compare the float network" in row["failure"]
        assert row["cycles"] is None


def test_what_is_a_step_off_is_noted_whichever_point_comes_first() -> None:
    made = zeroskip.sweep(
        GOLDENS / "mobile.mlir", schemes=["unstructured", "dense"], sparsities=[0.5]
    )
    refusal, dense = made.rows
    assert refusal["failure"] is not None
    assert "14 layers may be a step off" in dense["notes"]
    assert dense["failure"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shape", "x0=2,3,16,16"], ("integers already", "write it with the sizes")),
        (["--calibrate", "floats.npz"], ("float32", "takes int8")),
        (["--schemes", "nm"], ("integers already", "prune and compare the float network")),
    ],
)
def test_the_command_refuses_what_would_choose_other_integers(
    arguments: list[str], words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (name,) = inputs(folder)
    floats: dict[str, Any] = {name: np.zeros((2, *SHAPE[1:]), np.float32)}
    np.savez("floats.npz", **floats)
    done = command("sweep", "net.mlir", "--workers", "1", "--store", "s.sqlite", *arguments)
    refused(done, "points has figures", *words)


def test_networks_of_files_that_are_called_alike_stay_apart(folder: Path, tmp_path: Path) -> None:
    made = zeroskip.sweep([folder / "net.onnx", folder / "net.mlir"])
    assert made.networks == ["net.onnx", "net.mlir"]
    assert len(made.front("time")) == 2  # one of each
    apart = sources.told_apart([Source(Path("a/net.onnx")), Source(Path("b/net.onnx"))])
    assert [each.name for each in apart] == ["a/net.onnx", "b/net.onnx"]
    same = Source(Path("net.onnx"))
    assert sources.told_apart([same, same]) == (same, same)


def test_another_version_of_the_reader_is_another_point(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [folder / "net.mlir", folder / "net.onnx"]
    before = [Source(model).digest for model in models]
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9" if name == "xdsl" else version(name))
    after = [Source(model).digest for model in models]
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.tflite
def test_a_file_of_tflite_is_a_point() -> None:
    made = zeroskip.sweep([GOLDENS / "mobile.tflite", GOLDENS / "mobile.mlir"], targets=TARGETS)
    assert made.columns["failure"] == [None] * 4
    own, text = (made.of(f"mobile.{ending}") for ending in ("tflite", "mlir"))
    assert own.columns["cycles"] == text.columns["cycles"]
