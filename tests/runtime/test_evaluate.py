"""`zeroskip evaluate`: what is right is counted right, pictures become the inputs that are
described."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper

from conftest import SEED
from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import SHAPE, of_batch
from zeroskip.compiler.artifact.inputs import DataError
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.accuracy import accuracy, bootstrap_interval, wilson
from zeroskip.runtime.execution.evaluation import evaluate
from zeroskip.runtime.execution.preprocessing import Preprocessing, preprocessing_from
from zeroskip.runtime.execution.session import Session

COUNT = 10

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def data() -> dict[str, Array]:
    rng = np.random.default_rng(5)
    images = rng.standard_normal((COUNT, *SHAPE[1:])).astype(np.float32)
    return {"x": images, "labels": rng.integers(0, 10, COUNT)}


@pytest.fixture(scope="module")
def scores(compiled: Path, data: dict[str, Array]) -> Array:
    """[n, 10], image by image."""
    session = Session(Network.load(compiled / "net.zsk"))
    return np.concatenate([session.run({"x": image[None]})["y"] for image in data["x"]])


# ------------------------------------------------------------------------------------ counting


@given(
    hnp.arrays(
        np.int8, st.tuples(st.integers(1, 12), st.integers(2, 8)), elements=st.integers(-4, 4)
    ),
    st.data(),
)
def test_counts_are_those_of_a_count_by_hand(scores: Array, draw: st.DataObject) -> None:
    count, width = scores.shape
    labels = draw.draw(hnp.arrays(np.int64, count, elements=st.integers(0, width - 1)))
    found = accuracy(scores, labels)
    top1 = top5 = 0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(width), key=lambda each: (-row[each], each))
        top1 += ranked[0] == label
        top5 += label in ranked[:5]
        assert found.confusion[label, ranked[0]] > 0
    assert (found.top1, found.top5, found.samples) == (top1, top5, count)
    assert int(np.trace(found.confusion)) == top1
    assert sum(samples for _, samples, _ in found.by_class()) == count
    assert sum(right for _, _, right in found.by_class()) == top1
    assert sum(times for _, _, times in found.confused(width * width)) == count - top1


def test_mistakes_are_named_most_frequent_first() -> None:
    scores = np.eye(3)[[0, 1, 1, 1, 2, 0]]
    found = accuracy(scores, np.array([0, 0, 0, 2, 2, 1]), ("cat", "dog", "owl"))
    assert found.confused(2) == [("cat", "dog", 2), ("dog", "cat", 1)]
    assert found.by_class() == [("cat", 3, 1), ("dog", 1, 0), ("owl", 2, 1)]


def test_intervals_are_those_of_the_books() -> None:
    low, high = wilson(81, 263)  # Newcombe, Statistics in Medicine 17, 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20)[0] == 0
    assert wilson(0, 20)[1] == pytest.approx(0.1611, abs=5e-5)
    # Of three degrees of freedom, t = 3.182.
    assert bootstrap_interval(2.0, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(
        (-2.1085, 6.1085), abs=1e-4
    )
    assert bootstrap_interval(0.5, [0.7, 0.7]) == (0.5, 0.5)


@pytest.mark.parametrize("draws", [2, 5, 25])
def test_an_estimate_lies_in_its_interval_as_often_as_it_says(draws: int) -> None:
    """Means of 60 normal samples, whose true value is known: 0 is within 95 % of the intervals,
    however many draws there are."""
    rng, count, times = np.random.default_rng(SEED), 60, 2000
    print(f"seed {SEED}")
    within = 0
    for _ in range(times):
        samples = rng.standard_normal(count)
        means = samples[rng.integers(0, count, (draws, count))].mean(axis=1)
        low, high = bootstrap_interval(float(samples.mean()), means.tolist())
        within += low <= 0 <= high
    assert within / times == pytest.approx(0.95, abs=0.03)  # six deviations of such a count


# ----------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_the_answers_are_those_of_single_runs(
    compiled: Path, data: dict[str, Array], scores: Array, batch: int
) -> None:
    found = evaluate(Network.load(compiled / "net.zsk"), data, batch=batch)
    want = accuracy(scores, data["labels"])
    np.testing.assert_array_equal(found.accuracy.confusion, want.confusion)
    assert (found.accuracy.top1, found.accuracy.top5) == (want.top1, want.top5)
    assert 0 < found.accuracy.top5 < COUNT  # of random labels some are hit


@pytest.mark.parametrize("mixed", [False, True])
def test_a_model_of_several_images_takes_as_many_as_there_are(
    data: dict[str, Array], mixed: bool
) -> None:
    """mixed: images depend on each other, so pairs stay pairs in whatever batch."""
    model = of_batch(2)
    if mixed:
        model.graph.node[-1].output[0] = "logits"
        model.graph.node.append(helper.make_node("Softmax", ["logits"], ["y"], "mix", axis=0))
    network = compile_network(model, "dense256")
    count = COUNT if mixed else COUNT - 1
    images = {"x": data["x"][:count]}
    want = accuracy(Session(replace(network, batch=1)).run(images)["y"], data["labels"][:count])
    found = evaluate(network, {**images, "labels": data["labels"][:count]}, batch=3)
    np.testing.assert_array_equal(found.accuracy.confusion, want.confusion)


def test_the_command_says_and_writes_what_was_found(
    compiled: Path, data: dict[str, Array], scores: Array, tmp_path: Path
) -> None:
    labels = scores.argmax(axis=1)
    labels[0] = (labels[0] + 1) % 10
    np.savez(tmp_path / "d.npz", x=data["x"], labels=labels)
    done = zeroskip(
        "evaluate",
        compiled / "net.zsk",
        "--data",
        tmp_path / "d.npz",
        "--json",
        tmp_path / "a.json",
        "--csv",
        tmp_path / "a.csv",
    )
    assert done.exit_code == 0, done.output
    assert "top-1 90.00% of 10 samples" in done.stdout
    assert f"{labels[0]} taken for {scores[0].argmax()}: 1" in done.stdout
    table = json.loads((tmp_path / "a.json").read_text())
    assert (table["top1"], table["samples"], table["target"]) == (0.9, 10, "pattern256")
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert rows[0] == ["label", *map(str, range(10))]
    assert [row[1:] for row in rows[1:]] == [[str(n) for n in row] for row in table["confusion"]]
    shown = zeroskip("evaluate", compiled / "net.zsk", "--data", tmp_path / "d.npz", "--json", "-")
    assert json.loads(shown.stdout) == table


# --------------------------------------------------------------------------------- what is refused

REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no labels": ({"labels": None}, ["labels"]),
    "few": ({"labels": np.zeros(3, np.int64)}, ["labels", "each of the 10"]),
    "not whole": ({"labels": np.zeros(COUNT)}, ["float64"]),
    "another class": ({"labels": np.full(COUNT, 10)}, ["10 to 10", "0 to 9"]),
    "below": ({"labels": np.full(COUNT, -1)}, ["-1", "0 to 9"]),
    "channels": ({"x": np.zeros((COUNT, 1, 16, 16), np.float32)}, ["'x'", "[samples, 3, 16, 16]"]),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_data_that_do_not_fit_are_one_sentence(
    compiled: Path, data: dict[str, Array], tmp_path: Path, case: str
) -> None:
    other, words = REFUSED[case]
    arrays = {name: array for name, array in {**data, **other}.items() if array is not None}
    np.savez(tmp_path / "d.npz", allow_pickle=False, **arrays)
    before = files(tmp_path)
    refused(
        zeroskip(
            "evaluate", compiled / "net.zsk", "--data", tmp_path / "d.npz", "--json", tmp_path / "a"
        ),
        *words,
    )
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sise = 4", ["'sise'", "size"]),
        ("size = 0", ["size = 0", "pixels"]),
        ("size = [4, 4, 4]", ["size", "height and width"]),
        ("size = 32", ["[32, 32]", "[16, 16]", "--shape"]),
        ('channels = "L"', ["channels L", "takes 3"]),
        ('channels = "CMYK"', ["CMYK", "RGB"]),
        ("mean = [1, 2]\nchannels = 'RGB'", ["mean", "2 numbers"]),
        ("deviation = 0", ["deviation", "above 0"]),
        ("mean = nan", ["mean"]),
        ("scale = true", ["scale"]),
        ("resize = 8\nsize = 16", ["resize 8"]),
        ("resize = 8", ["resize 8"]),  # less than the input's
        ("mean = [1, 2]", ["mean", "2 numbers"]),
        ("layout = 'CHW'", ["layout", "NCHW"]),
        ("size = [", ["TOML"]),
    ],
)
def test_a_preprocessing_that_makes_no_sense_is_one_sentence(
    compiled: Path, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "p.toml").write_text(text)
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 16, 16, 3), np.uint8), labels=np.zeros(2, int))
    refused(
        zeroskip(
            "evaluate",
            compiled / "net.zsk",
            "--data",
            tmp_path / "d.npz",
            "--preprocess",
            tmp_path / "p.toml",
        ),
        *words,
    )


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], ["no folders", "each class"]),
        (["cat/"], ["no pictures"]),
        ([f"{number}/x.png" for number in range(10)], ["zeroskip[images]"]),  # not installed
        (["99999999999/x.png"], ["zeroskip[images]"]),  # no number: a name
    ],
    ids=["empty", "no-pictures", "no-pillow", "long-number"],
)
def test_folders_that_cannot_be_read_are_one_sentence(
    compiled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paths: list[str],
    words: list[str],
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "d").mkdir()
    for path in paths:
        (tmp_path / "d" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / path.split("/")[0]).mkdir(exist_ok=True)
        if not path.endswith("/"):
            (tmp_path / "d" / path).write_bytes(b"no picture")
    refused(zeroskip("evaluate", compiled / "net.zsk", "--data", tmp_path / "d"), *words)


def test_samples_need_a_size(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "p.toml").write_text("scale = 1")
    arguments: list[str | Path] = ["samples", tmp_path / "d", "-o", tmp_path / "s.npz"]
    refused(zeroskip(*arguments, "--preprocess", tmp_path / "p.toml"), "`size`")
    (tmp_path / "p.toml").write_text("size = 16")
    refused(zeroskip(*arguments, "--preprocess", tmp_path / "p.toml"), "d: has no pictures")
    (tmp_path / "d").rmdir()
    refused(zeroskip(*arguments, "--preprocess", tmp_path / "p.toml"), "d: is no folder")
    done = zeroskip(*arguments)
    assert done.exit_code == 2
    assert "--preprocess" in done.stderr
    assert not (tmp_path / "s.npz").exists()


# -------------------------------------------------------------------------------- preprocessing


def test_pixels_are_scaled_and_arranged_as_described() -> None:
    pixels = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
    given = preprocessing_from(
        {"scale": 10, "mean": [0.1, 0.2, 0.3], "deviation": [1, 2, 4], "channels": "RGB"}, "p"
    )
    made = given.for_shape((1, 3, 2, 2)).arranged(pixels)
    want = (pixels / 10 - [0.1, 0.2, 0.3]) / [1, 2, 4]
    np.testing.assert_allclose(made, want.transpose(2, 0, 1), rtol=1e-6)
    assert made.dtype == np.float32
    np.testing.assert_allclose(given.for_shape((1, 2, 2, 3)).arranged(pixels), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "channels", "layout", "size"),
    [
        ((1, 3, 8, 9), "RGB", "NCHW", (8, 9)),
        ((1, 1, 8, 9), "L", "NCHW", (8, 9)),
        ((1, 8, 9, 3), "RGB", "NHWC", (8, 9)),
        ((1, 3, 3, 3), "RGB", "NCHW", (3, 3)),
    ],
)
def test_what_is_left_out_follows_from_the_input(
    shape: tuple[int, ...], channels: str, layout: str, size: tuple[int, int]
) -> None:
    made = Preprocessing().for_shape(shape)
    assert (made.channels, made.layout, made.size) == (channels, layout, size)


@pytest.mark.parametrize("shape", [(1, 10), (1, 4, 8, 8), (1, 3, 4, 8, 8)])
def test_inputs_that_are_no_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="no pictures"):
        Preprocessing().for_shape(shape)


def test_pictures_of_an_npz_are_what_they_are_prepared_to(compiled: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (6, 16, 16, 3)).astype(np.uint8)
    given = Preprocessing(mean=(0.4,), deviation=(0.2,)).for_shape(SHAPE)
    ready = np.stack([given.arranged(each) for each in pixels])
    network, labels = Network.load(compiled / "net.zsk"), rng.integers(0, 10, 6)
    found = evaluate(network, {"pixels": pixels, "labels": labels}, preprocessing=given)
    want = evaluate(network, {"x": ready, "labels": labels})
    np.testing.assert_array_equal(found.accuracy.confusion, want.accuracy.confusion)


# ------------------------------------------------------------------- folders of pictures (Pillow)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Class folders 0 to 9 with one or two pictures each, 16 x 16, and their pixels."""
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(9)
    for number in range(10):
        (tmp_path / "d" / str(number)).mkdir(parents=True)
        for name in ("a.png", "b.PNG")[: 1 + number % 2]:
            pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "d" / str(number) / name)
            np.save(tmp_path / f"{number}{name}.npy", pixels)
    return tmp_path


@pytest.mark.pages
def test_a_folder_is_the_npz_of_its_pictures(compiled: Path, folder: Path) -> None:
    pairs = [
        (number, name) for number in range(10) for name in ("a.png", "b.PNG")[: 1 + number % 2]
    ]
    pixels = np.stack([np.load(folder / f"{number}{name}.npy") for number, name in pairs])
    labels = np.array([number for number, _ in pairs])
    given = Preprocessing(channels="BGR", mean=(0.5,))
    network = Network.load(compiled / "net.zsk")
    found = evaluate(network, folder / "d", preprocessing=given, batch=4)
    want = evaluate(network, {"p": pixels[..., ::-1], "labels": labels}, preprocessing=given)
    np.testing.assert_array_equal(found.accuracy.confusion, want.accuracy.confusion)


@pytest.mark.pages
def test_names_of_folders_are_classes_in_their_order(compiled: Path, folder: Path) -> None:
    for number in range(10):
        (folder / "d" / str(number)).rename(folder / "d" / f"class {9 - number}")
    done = zeroskip("evaluate", compiled / "net.zsk", "--data", folder / "d", "--csv", "-")
    assert done.exit_code == 0, done.output
    rows = list(csv.reader(done.stdout.splitlines()))
    assert rows[0][1:] == [f"class {number}" for number in range(10)]
    assert [sum(map(int, row[1:])) for row in rows[1:]] == [2, 1] * 5
    (folder / "d" / "class 3" / "a.png").unlink()
    (folder / "d" / "class 3").rmdir()
    refused(
        zeroskip("evaluate", compiled / "net.zsk", "--data", folder / "d"), "9 classes", "for 10"
    )


@pytest.mark.pages
def test_a_picture_that_cannot_be_read_is_named(compiled: Path, folder: Path) -> None:
    (folder / "d" / "4" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    refused(
        zeroskip("evaluate", compiled / "net.zsk", "--data", folder / "d"), "4/a.png", "picture"
    )


@pytest.mark.pages
def test_pictures_are_scaled_and_the_middle_is_cut_out(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    from zeroskip.runtime.execution.labelled_data import read_picture

    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 200  # the middle of the longer side
    image.fromarray(pixels).save(tmp_path / "p.png")
    cut = read_picture(tmp_path / "p.png", Preprocessing(size=(10, 10), resize=20, channels="RGB"))
    assert cut.shape == (10, 10, 3)
    assert (cut == 200).all()
    whole = read_picture(tmp_path / "p.png", Preprocessing(size=(10, 10), channels="L"))
    assert whole.shape == (10, 10, 1)
    assert whole[5, 0, 0] == 0
    assert whole[5, 5, 0] == 200


@pytest.mark.pages
def test_samples_of_a_folder_calibrate(compiled: Path, folder: Path) -> None:
    (folder / "p.toml").write_text("size = 16\nmean = 0.5\ndeviation = 0.25\n")
    done = zeroskip(
        "samples",
        folder / "d",
        "-o",
        folder / "s.npz",
        "--count",
        "5",
        "--preprocess",
        folder / "p.toml",
    )
    assert done.exit_code == 0, done.output
    made = np.load(folder / "s.npz")["image"]
    assert made.shape == (5, 3, 16, 16)
    again = zeroskip(
        "compile", compiled / "net.onnx", "-o", folder / "n.zsk", "--calibrate", folder / "s.npz"
    )
    assert again.exit_code == 0, again.output
