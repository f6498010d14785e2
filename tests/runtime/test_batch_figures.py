"""Batches in compare, sweep and search: figures of an image of a program of several."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.runtime.command import refused, zeroskip
from tests.runtime.nets import SHAPE, of_batch, small_net
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.compare import compare
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.experiments.search import search
from zeroskip.runtime.experiments.sweep import sweep
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.measure import TIMED

IMAGES = np.random.default_rng(3).standard_normal((6, *SHAPE[1:])).astype(np.float32)
TARGETS = ("sparse256", "scnn256")  # scnn256: time depends on activations


def mean_of_an_image(target: str, batch: int, **net: Any) -> tuple[float, float]:
    """Cycles and microjoules by the compiled network, of the images that are timed."""
    network = compile_network(small_net(**net), target, calibrate={"x": IMAGES}, batch=batch)
    session, runs = Session(network), -(-TIMED // batch)
    session.run({"x": np.stack([*islice(cycle(IMAGES[:TIMED]), runs * batch)])})
    each: list[Run] = [run.of_image(n) for run in session.runs.values() for n in range(run.images)]
    whole = sum(run.cycles for run in each), sum(run.picojoules for run in each) / 1e6
    return whole[0] / (runs * batch), whole[1] / (runs * batch)


@pytest.mark.parametrize(
    "batch",
    [pytest.param(1, marks=pytest.mark.matrix), 3, pytest.param(8, marks=pytest.mark.matrix)],
)
def test_a_comparison_has_figures_of_an_image(batch: int) -> None:
    net = {"cpu_node": batch == 3}
    one, many = (
        compare(
            small_net(**net),
            ["nm"],
            TARGETS,
            sparsities=[0.5],
            data={"x": IMAGES, "labels": np.arange(6)},
            batch=each,
        )
        for each in (None, batch)
    )
    for alone, together in zip(one.entries, many.entries, strict=True):
        assert (together.snr_db, together.accuracy) == (alone.snr_db, alone.accuracy)
        assert (together.weights, together.macs) == (alone.weights, alone.macs)
        for target in TARGETS:
            assert together.gains[target].placement == alone.gains[target].placement
            assert together.gains[target].cycles <= alone.gains[target].cycles
    dense = many.entries[0].gains
    for target in TARGETS:
        cycles, microjoules = mean_of_an_image(target, batch, **net)
        gain, of = dense[target], dense[target].efficiency
        assert gain.cycles == round(cycles)
        assert gain.microjoules == pytest.approx(microjoules)
        alone_of = one.entries[0].gains[target].efficiency
        assert of is not None
        assert alone_of is not None
        assert of.images_a_second == pytest.approx(load_spec(target).clock_mhz * 1e6 / cycles)
        macs = alone_of.dense_tops / alone_of.images_a_second
        assert of.dense_tops / of.images_a_second == pytest.approx(macs)
    words = f"of an image, {batch} of which one program computes"
    assert words in many.explanations()[1]
    assert many.to_table()["batch"] == batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("batches")
    onnx.save(small_net(), made / "net.onnx")
    np.savez(made / "images.npz", x=IMAGES)
    return made


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    """Three batches on two targets."""
    return sweep(
        folder / "net.onnx",
        data=folder / "images.npz",
        targets=TARGETS,
        batches=[1, 3, 8],
        store=folder / "s.sqlite",
    )


def test_a_sweep_ranges_over_batches(table: Table, folder: Path) -> None:
    assert table.columns["batch"] == [1, 3, 8] * 2
    assert len(set(table.columns["snr_db"])) == 1
    for row in table.rows:
        cycles, _ = mean_of_an_image(row["target"], row["batch"])
        assert row["cycles"] == round(cycles)
        assert row["milliseconds"] == pytest.approx(1000 / row["images_a_second"], rel=1e-3)
    alone = sweep(folder / "net.onnx", data=folder / "images.npz", targets=TARGETS)
    assert alone.columns["batch"] == [None, None]
    assert alone.columns["cycles"] == table.columns["cycles"][::3]


def test_a_search_chooses_among_batches(table: Table, folder: Path) -> None:
    options: dict[str, Any] = {
        "data": folder / "images.npz",
        "targets": TARGETS,
        "store": folder / "s.sqlite",
    }
    found = search(folder / "net.onnx", ["cycles"], trials=6, batches=[8, 3, 1], **options)
    assert sorted(found.table.columns["batch"]) == [1, 1, 3, 3, 8, 8]
    assert found.best.columns["cycles"] == [min(table.columns["cycles"])]


def test_commands_and_files_have_batches_too(table: Table, folder: Path) -> None:
    (folder / "space.toml").write_text(
        'networks = ["net.onnx"]\ndata = "images.npz"\ntargets = ["sparse256", "scnn256"]\n'
        "batches = [1, 3, 8]\n"
    )
    store = ("--store", folder / "s.sqlite", "--workers", "1")
    of_options = ("--data", folder / "images.npz", "--targets", ",".join(TARGETS))
    for space in (
        (folder / "net.onnx", "--batch", "1,3,8", *of_options),
        ("--space", folder / "space.toml"),
    ):
        done = zeroskip("sweep", *space, *store, "--html", folder / "net.html")
        assert done.exit_code == 0, done.output
        assert "6 points: 6 were in" in done.stdout
        assert " batch " in done.stdout
        assert "batch 8." in (folder / "net.html").read_text()  # of all that no other beats
    done = zeroskip("sweep", *space, *store, "--json", "-")
    assert json.loads(done.stdout) == table.rows


def test_a_point_that_cannot_be_a_batch_is_a_failure(tmp_path: Path) -> None:
    model = of_batch(2)
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.append(helper.make_node("Softmax", ["logits"], ["y"], "mix", axis=0))
    onnx.save(model, tmp_path / "mixed.onnx")
    alone, together = sweep(tmp_path / "mixed.onnx", batches=[None, 2]).rows
    assert alone["failure"] is None
    assert "'mix' (Softmax) makes the images of a batch depend" in together["failure"]
    with pytest.raises(ZeroskipError, match="'mix'"):
        compare(tmp_path / "mixed.onnx", ["nm"], ["dense256"], sparsities=[0.5], batch=2)


@pytest.mark.parametrize("batch", [0, 1025, 2.0, True, "4"])
def test_what_is_no_batch_is_refused(folder: Path, batch: Any) -> None:
    with pytest.raises(ZeroskipError, match="is no number of images; give 1 to 1024"):
        sweep(folder / "net.onnx", batches=[batch])


@pytest.mark.parametrize("given", ["0", "4,x", "", "1.5"])
@pytest.mark.parametrize("command", [("sweep",), ("search", "--goals", "cycles")])
def test_the_command_explains_batches(folder: Path, command: tuple[str, ...], given: str) -> None:
    done = zeroskip(*command, folder / "net.onnx", "--batch", given)
    assert done.exit_code == 2
    assert "is not of the form 1,4,8" in done.stderr


def test_too_large_a_batch_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "s.sqlite")
    refused(zeroskip("sweep", folder / "net.onnx", "--batch", "2000", *store), "2000", "1 to 1024")
    assert not (tmp_path / "s.sqlite").exists()
    done = zeroskip("compare", folder / "net.onnx", "--schemes", "nm", "--batch", "2000")
    refused(done, "2000", "1 to 1024")
