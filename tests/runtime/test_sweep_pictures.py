"""Pictures as the data of sweeps, searches and comparisons: folders, or pixels and a
preprocessing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.artifact.inputs import DataError
from zeroskip.runtime.compare import compare
from zeroskip.runtime.execution.preprocessing import Preprocessing, read_preprocessing
from zeroskip.runtime.experiments.search import search
from zeroskip.runtime.experiments.sources import Source
from zeroskip.runtime.experiments.space import read_space
from zeroskip.runtime.experiments.sweep import sweep

GIVEN = Preprocessing(mean=(0.5,), deviation=(0.25,))
DESCRIPTION = "mean = 0.5\ndeviation = 0.25\n"
COMMANDS = (("sweep",), ("search", "--goals", "cycles"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With net.onnx, p.toml, and pixels.npz: 10 samples of uint8 with labels."""
    onnx.save(small_net(), tmp_path / "net.onnx")
    (tmp_path / "p.toml").write_text(DESCRIPTION)
    rng = np.random.default_rng(7)
    np.savez(
        tmp_path / "pixels.npz",
        pixels=rng.integers(0, 256, (10, *SHAPE[2:], 3)).astype(np.uint8),
        labels=np.arange(10),
    )
    return tmp_path


def of_pictures(folder: Path) -> Path:
    """d: a folder of one picture for each class, the pixels of pixels.npz."""
    image = pytest.importorskip("PIL.Image")
    with np.load(folder / "pixels.npz") as data:
        for number, pixels in enumerate(data["pixels"]):
            (folder / "d" / str(number)).mkdir(parents=True)
            image.fromarray(pixels).save(folder / "d" / str(number) / "a.png")
    return folder / "d"


def test_quality_is_that_of_the_arrays_the_description_makes(folder: Path) -> None:
    with np.load(folder / "pixels.npz") as data:
        whole = GIVEN.for_shape(SHAPE)
        arrays = np.stack([whole.arranged(each) for each in data["pixels"]])
        np.savez(folder / "arrays.npz", x=arrays, labels=data["labels"])
    found = [
        sweep(folder / "net.onnx", targets=["dense256"], **options).rows
        for options in (
            {"data": folder / "arrays.npz"},
            {"data": folder / "pixels.npz", "preprocessing": GIVEN},
        )
    ]
    assert found[0] == found[1]
    made = compare(
        folder / "net.onnx",
        ["nm"],
        ["dense256"],
        sparsities=[0.5],
        data=folder / "pixels.npz",
        preprocessing=GIVEN,
    )
    (row,) = found[1]
    assert (row["snr_db"], row["accuracy"]) == (made.entries[0].snr_db, made.entries[0].accuracy)


@pytest.mark.pages
def test_a_folder_is_the_npz_of_its_pictures(folder: Path) -> None:
    rows = [
        sweep(folder / "net.onnx", targets=["dense256"], data=data, preprocessing=GIVEN).rows
        for data in (folder / "pixels.npz", of_pictures(folder))
    ]
    assert rows[0] == rows[1]
    assert rows[0][0]["accuracy"] is not None
    found = search(
        folder / "net.onnx",
        ["accuracy"],
        trials=1,
        targets=["dense256"],
        data=folder / "d",
        preprocessing=GIVEN,
    )
    assert found.best.rows[0]["accuracy"] == rows[0][0]["accuracy"]


def test_commands_and_files_have_the_description_too(folder: Path) -> None:
    (folder / "space.toml").write_text(
        'networks = ["net.onnx"]\ndata = "pixels.npz"\npreprocess = "p.toml"\n'
    )
    (source,) = read_space(folder / "space.toml").sources
    assert source == Source(
        folder / "net.onnx",
        data=folder / "pixels.npz",
        preprocessing=read_preprocessing(folder / "p.toml"),
    )
    done = zeroskip(
        *("sweep", folder / "net.onnx", "--data", folder / "pixels.npz"),
        *("--preprocess", folder / "p.toml", "--store", folder / "s.sqlite", "--workers", "1"),
    )
    assert done.exit_code == 0, done.output
    again = zeroskip(
        *("search", "--space", folder / "space.toml", "--goals", "accuracy,cycles"),
        *("--trials", "1", "--store", folder / "s.sqlite", "--workers", "1"),
    )
    assert again.exit_code == 0, again.output
    assert "1 of 1 points are known" in again.stdout


def written(folder: Path, content: dict[str, bytes]) -> Path:
    """Files by their path in a folder, which is made."""
    for path, text in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)
    return folder


def test_a_key_is_of_pictures_classes_and_description(folder: Path) -> None:
    content = {"0/a.png": b"one", "0/b.png": b"two", "1/c.png": b"three"}
    others = (
        {**content, "1/c.png": b"another"},
        {"0/a.png": b"one", "1/b.png": b"two", "1/c.png": b"three"},
        {"cat/a.png": b"one", "cat/b.png": b"two", "dog/c.png": b"three"},
        {**content, "1/d.png": b"more"},
    )
    source = Source(folder / "net.onnx", data=written(folder / "d", content))
    digests = {source.digest}
    for number, other in enumerate(others):
        digests.add(replace(source, data=written(folder / f"d{number}", other)).digest)
    digests.add(replace(source, preprocessing=GIVEN).digest)
    digests.add(replace(source, preprocessing=replace(GIVEN, mean=(0.4,))).digest)
    assert len(digests) == 1 + len(others) + 2
    renamed = {"0/x.png": b"one", "0/y.png": b"two", "1/z.png": b"three", "1/notes.txt": b""}
    assert replace(source, data=written(folder / "e", renamed)).digest == source.digest


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ({}, [], ["d: has no folders", "each class"]),
        ({"cat/notes.txt": b""}, [], ["d: its folders have no pictures", ".png"]),
        ({"0/a.png": b""}, ["--preprocess", "none.toml"], ["none.toml"]),
        ({"0/a.png": b""}, ["--preprocess", "bad.toml"], ["bad.toml", "'sise' is not known"]),
    ],
    ids=["no-classes", "no-pictures", "no-description", "unknown-key"],
)
def test_what_cannot_be_read_is_refused_before_anything_is_measured(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    content: dict[str, bytes],
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(folder)
    (folder / "bad.toml").write_text("sise = 3")
    (folder / "d").mkdir()
    written(folder / "d", content)
    before = files(folder)
    refused(zeroskip(*command, "net.onnx", "--data", "d", *arguments), *words)
    assert files(folder) == before


@pytest.mark.parametrize("command", [*COMMANDS, ("compare", "--schemes", "nm")], ids=lambda c: c[0])
def test_a_description_of_no_data_is_refused(folder: Path, command: tuple[str, ...]) -> None:
    done = zeroskip(*command, folder / "net.onnx", "--preprocess", folder / "p.toml")
    refused(done, "preprocessing is of data", "--data")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("size", "description", "words"),
    [
        (20, DESCRIPTION, ["uint8 [samples, 16, 16, 3]", "[10, 20, 20, 3]"]),
        (16, "size = 20", ["size [20, 20]", "takes [16, 16]"]),
        (16, "channels = 'L'", ["channels L", "takes 3"]),
    ],
    ids=["pixels", "size", "channels"],
)
def test_pictures_of_another_size_are_one_sentence(
    folder: Path, command: tuple[str, ...], size: int, description: str, words: list[str]
) -> None:
    np.savez(folder / "other.npz", p=np.zeros((10, size, size, 3), np.uint8))
    (folder / "p.toml").write_text(description)
    done = zeroskip(
        *command,
        *(folder / "net.onnx", "--data", folder / "other.npz", "--workers", "1"),
        *("--preprocess", folder / "p.toml", "--store", folder / "s.sqlite"),
        *("--csv", folder / "t.csv"),
    )
    refused(done, *words)
    assert not (folder / "t.csv").exists()


def refused_of(folder: Path, *words: str) -> None:
    done = zeroskip(
        *("sweep", folder / "net.onnx", "--data", folder / "d", "--workers", "1"),
        *("--store", folder / "s.sqlite"),
    )
    refused(done, *words)


def test_without_pillow_folders_are_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "d", {f"{number}/a.png": b"" for number in range(10)})
    monkeypatch.setitem(sys.modules, "PIL", None)
    refused_of(folder, "zeroskip[images]")


@pytest.mark.pages
def test_a_picture_that_cannot_be_read_is_named_and_may_be_mended(folder: Path) -> None:
    picture = of_pictures(folder) / "4" / "a.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:40])
    refused_of(folder, "4/a.png", "cannot be read as a picture")
    picture.write_bytes(whole)
    done = zeroskip(
        *("sweep", folder / "net.onnx", "--data", folder / "d", "--workers", "1"),
        *("--store", folder / "s.sqlite"),
    )
    assert done.exit_code == 0, done.output
    assert "1 measured now" in done.stdout


def test_another_pillow_reads_pictures_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zeroskip.runtime.experiments import sources

    written(folder / "d", {"0/a.png": b"one"})
    of_folder = Source(folder / "net.onnx", data=folder / "d")
    of_file = Source(folder / "net.onnx", data=folder / "pixels.npz")
    before = [each.digest for each in (of_folder, of_file)]
    version: Callable[..., Any] = sources._versions
    monkeypatch.setattr(
        sources, "_versions", lambda names: {**version(names), **dict.fromkeys(names, "other")}
    )
    after = [replace(each).digest for each in (of_folder, of_file)]
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_python_names_the_folder_too(folder: Path) -> None:
    (folder / "d").mkdir()
    with pytest.raises(DataError, match="d: has no folders"):
        sweep(folder / "net.onnx", data=folder / "d")
