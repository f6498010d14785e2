"""`zeroskip compare`: its numbers are those of the other commands; its page and table hold them."""

from __future__ import annotations

import base64
import csv
import json
import struct
import sys
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import COUNT, SHAPE, small_net
from tests.runtime.parsed_page import Page
from zeroskip.compiler.artifact.placement import Placement
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.apply import layer_changes, prune
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.match_sparsity import at_sparsity, sparsity_of
from zeroskip.relay_passes.pruning.schemes.recipe import read_recipe
from zeroskip.runtime.analysis.accuracy import bootstrap_interval
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Gain
from zeroskip.runtime.compare import CompareError, compare
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.comparison_table import comparison_parts
from zeroskip.runtime.render.pages.comparison import comparison_charts, comparison_page
from zeroskip.runtime.render.pages.masks import LEFT, mask_pixels, png

TARGETS = ("dense256", "sparse256")
WHOLE = Placement(1, 1, 0, 0, 1, 0, 1, 0)
SCHEMES = ("unstructured", "nm:m=8", "channels:ratio=0.25+unstructured:sparsity=0.6")

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def made(images: Array, answers: Array) -> Comparison:
    data = {"x": images, "labels": answers.argmax(1)}
    return compare(small_net(), SCHEMES, TARGETS, sparsities=(0.5, 0.75), data=data)


def test_networks_are_those_that_were_asked_for(made: Comparison) -> None:
    assert [entry.scheme for entry in made.entries] == [
        DENSE,
        "unstructured",
        "unstructured",
        "nm:m=8",
        "nm:m=8",
        SCHEMES[2],
    ]
    assert made.samples == COUNT
    for entry, sparsity in zip(made.entries[1:5], (0.5, 0.75) * 2, strict=True):
        assert entry.sparsity == pytest.approx(sparsity, abs=0.01)
    assert all(one.weights < made.entries[0].weights for one in made.entries[1:])
    dense = made.entries[0]
    assert dense.weights == 16 * 27 + 16 * 144 + 10 * 1024
    assert dense.macs == 256 * (16 * 27 + 16 * 144) + 10 * 1024


@pytest.mark.parametrize("number", [0, 2, 5])
def test_numbers_are_those_of_compiled_networks(
    made: Comparison, images: Array, answers: Array, number: int
) -> None:
    """Compiled anew for each target, and run image by image."""
    entry = made.entries[number]
    for target in TARGETS:
        network = compile_network(
            small_net(), target, prune=entry.recipe or None, calibrate={"x": images}
        )
        session = Session(network)
        outputs = np.concatenate([session.run({"x": image[None]})["y"] for image in images])
        gain = entry.gains[target]
        assert gain.cycles == sum(run.cycles for run in session.runs.values())
        assert gain.stored_bytes == sum(len(each.image) for each in network.programs.values())
        assert gain.microjoules == pytest.approx(
            sum(run.picojoules for run in session.runs.values()) / 1e6, rel=1e-3
        )
        assert entry.accuracy == np.mean(outputs.argmax(1) == answers.argmax(1))
        assert entry.snr_db == pytest.approx(snr_db([answers], [outputs]), abs=1e-4)


def test_without_labels_quality_is_noise(images: Array) -> None:
    made = compare(
        small_net(),
        ["unstructured"],
        ["sparse256"],
        sparsities=(0.75,),
        data={"x": images},
        reconstruct="weights",
    )
    plain = compare(
        small_net(), ["unstructured"], ["sparse256"], sparsities=(0.75,), data={"x": images}
    )
    assert not made.labelled
    assert made.entries[1].quality == made.entries[1].snr_db > plain.entries[1].snr_db
    assert made.entries[0] == plain.entries[0]


def test_draws_of_the_samples_give_intervals(images: Array, answers: Array) -> None:
    data = {"x": images, "labels": answers.argmax(1)}
    made = compare(
        small_net(),
        ["unstructured"],
        ["sparse256"],
        sparsities=(0.75,),
        data=data,
        calibrate={"x": images},
        reconstruct="weights",
        seeds=3,
    )
    plain = compare(
        small_net(),
        ["unstructured"],
        ["sparse256"],
        sparsities=(0.75,),
        data=data,
        calibrate={"x": images},
        reconstruct="weights",
    )
    for one, other in zip(made.entries, plain.entries, strict=True):
        assert replace(one, repeats=()) == other  # the rest is measured as without
        low, high = bootstrap_interval(one.quality, one.repeats)
        assert one.interval == (max(0.0, low), min(1.0, high))
        assert other.interval is None
    pruned = made.entries[1]
    assert len(set(pruned.repeats)) > 1  # other samples, another fit
    # The dense network's first by hand: ranges of as many samples, drawn with replacement.
    drawn = images[np.random.default_rng(0).integers(0, COUNT, COUNT)]
    session = Session(compile_network(small_net(), "sparse256", calibrate={"x": drawn}))
    found = session.run({"x": images})["y"].argmax(1)
    assert made.entries[0].repeats[0] == np.mean(found == answers.argmax(1))
    low, high = pruned.interval or (0, 0)
    assert f"[{low:.2%}, {high:.2%}]" in pruned.quality_text
    assert "seeds 0 to 2" in made.explanations()[0]
    text = comparison_page(made)
    assert text.count('class="interval"') == 2 * 2  # two networks on two sizes of screen
    assert "interval" not in [each["class"] for each in Page(comparison_page(plain)).elements]


def test_draws_need_samples() -> None:
    with pytest.raises(CompareError, match="--calibrate or --data"):
        compare(small_net(), ["unstructured"], ["sparse256"], seeds=2)
    one = {"x": np.zeros((1, *SHAPE[1:]), np.float32)}
    with pytest.raises(CompareError, match="every draw is the same: give more of them"):
        compare(small_net(), ["unstructured"], ["sparse256"], calibrate=one, seeds=2)
    with pytest.raises(CompareError, match="two times at least"):
        compare(small_net(), ["unstructured"], ["sparse256"], calibrate=one, seeds=1)


def entry(scheme: str, quality: float, cycles: int) -> Entry:
    return Entry(scheme, "", 0.5, 1, 1, quality, None, {"t": Gain(cycles, 1, 1.0, WHOLE)})


def test_names_do_not_lie_on_intervals() -> None:
    """A step goes to the right of the fastest one's dot, so that its name would stand above it."""
    entries = tuple(
        replace(entry(scheme, quality, cycles), repeats=(quality - 0.2, quality + 0.2))
        for scheme, quality, cycles in (
            ("dense", 93.8, 47478),
            ("unstructured", 92.1, 16735),
            ("pattern", 92.5, 12907),
        )
    )
    (chart,) = comparison_charts(Comparison("m", 1, ("t",), entries, "conv", {}))
    lines = [each for each in chart.picture if each.get("class") == "interval"]
    names = [each for each in chart.picture if each.get("class") == "label middle"]
    assert len(lines) == len(entries)
    assert "pattern 50%" in [name.text for name in names]
    for name in names:
        x, half = float(name.get("x", 0)), 3 * len(name.text or "")  # a letter is wider than that
        for line in lines:
            assert not x - half < float(line.get("x1", 0)) < x + half


@pytest.mark.parametrize("quality", [39.1, 0.0, -2.5])
def test_an_axis_of_equal_qualities_tells_its_values_apart(quality: float) -> None:
    entries = (entry("dense", quality, 4377), entry("nm", quality, 2719))
    (chart,) = comparison_charts(Comparison("m", 1, ("t",), entries, "conv", {}))
    ticks = [each.text for each in chart.picture if each.get("class") == "tick end"]
    assert len(ticks) == len(set(ticks)) >= 3
    assert max(len(text or "") for text in ticks) <= 5
    dots = [each for each in chart.picture if each.get("class", "").startswith("dot")]
    assert len({each.get("cy") for each in dots}) == 1


def test_front_is_what_no_other_beats() -> None:
    entries = (
        entry("dense", 30, 100),
        entry("worse", 20, 90),
        entry("fast", 20, 50),
        entry("as fast", 20, 50),
        entry("slow", 30, 101),
        entry("least", 1, 49),
    )
    made = Comparison("m", 1, ("t",), entries, "conv", {})
    assert [one.scheme for one in made.front("t")] == ["dense", "fast", "as fast", "least"]


def test_faster_is_how_many_times_as_fast_as_the_dense_network() -> None:
    entries = (entry("dense", 30, 100), entry("fast", 20, 50), entry("nothing there", 20, 0))
    made = Comparison("m", 1, ("t",), entries, "conv", {})
    assert [made.faster(one, "t") for one in entries[:2]] == [1, 2]
    assert np.isnan(made.faster(entries[2], "t"))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=8))
def test_front_rises(points: list[tuple[int, int]]) -> None:
    made = Comparison("m", 1, ("t",), tuple(entry("s", *each) for each in points), "conv", {})
    front = sorted({(one.gains["t"].cycles, one.quality) for one in made.front("t")})
    assert front
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(front))
    for quality, cycles in points:
        assert any(c <= cycles and q >= quality for c, q in front)


def test_the_front_is_drawn_in_steps(made: Comparison) -> None:
    """Between two networks there is none: in so many cycles the best is the one before."""
    line = next(
        each.get("points", "")
        for each in comparison_charts(made)[1].picture
        if each.get("class") == "front"
    )
    points = [tuple(map(float, each.split(","))) for each in line.split()]
    assert len(points) == 2 * len(
        {(one.gains[TARGETS[1]].cycles, one.quality) for one in made.front(TARGETS[1])}
    )
    for (x1, y1), (x2, y2) in pairwise(points):
        assert x2 >= x1
        assert y2 <= y1
        assert x1 == x2 or y1 == y2


def test_table_and_json_hold_every_network(made: Comparison) -> None:
    table = comparison_parts(made)[0]
    assert not isinstance(table, str)
    cells = [list(column.cells) for column in table.columns]
    assert cells[0][::2] == [one.scheme for one in made.entries]
    cycles = [gain.cycles for one in made.entries for gain in one.gains.values()]
    assert [int(str(cell).rstrip(" *").replace(",", "")) for cell in cells[6]] == cycles
    held = json.loads(json.dumps(made.to_table()))
    assert [one["gains"]["sparse256"]["cycles"] for one in held["entries"]] == cycles[1::2]
    assert held["front"]["sparse256"] == [one.title for one in made.front("sparse256")]


def test_page_fetches_nothing_and_has_a_dot_for_each_network(made: Comparison) -> None:
    text = comparison_page(made)
    page = Page(text)
    assert not [each for each in page.elements if each["tag"] in ("link", "iframe", "object")]
    assert all(each["src"].startswith("data:") for each in page.elements if "src" in each)
    assert "http://" not in text
    assert "https://" not in text
    for size in ("wide", "narrow"):
        assert len(page.all("svg", size)) == len(TARGETS)
    dots = [each for each in page.all("circle") if "data-tip" in each]
    assert len(dots) == 2 * len(TARGETS) * len(made.entries)
    numbers = [each["text"] for each in page.all("td")]
    for one in made.entries:
        assert f"{one.gains['sparse256'].cycles:,}" in numbers
    assert len(page.all("img")) == len(made.entries)


def unpacked(picture: bytes) -> npt.NDArray[np.uint8]:
    """The numbers of the colours of a PNG with a palette whose lines have no filter."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, content = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length)[0] == zlib.crc32(kind + content)
        chunks[kind], at = content, at + 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=5, max_side=5)))
def test_a_mask_is_drawn_a_pixel_a_weight(mask: npt.NDArray[np.bool_]) -> None:
    pixels = mask_pixels(mask)
    assert int((pixels == LEFT).sum()) == int(mask.sum())
    np.testing.assert_array_equal(unpacked(png(pixels)), pixels)


def test_the_masks_are_those_of_the_networks(made: Comparison) -> None:
    assert made.layer == "conv1"  # the convolution with the most weights
    page = Page(comparison_page(made))
    for picture, mask in zip(page.all("img"), made.masks.values(), strict=True):
        pixels = unpacked(base64.b64decode(picture["src"].partition(",")[2]))
        assert int((pixels == LEFT).sum()) == int(mask.sum()) > 0


@pytest.mark.parametrize(
    "scheme",
    [
        "unstructured",
        "unstructured:scope=global",
        "pattern:skip=yes",
        "shape",
        "block",
        "channels",
        "filters",
        "lowrank:skip=yes",
    ],
)
@pytest.mark.parametrize("wanted", [0.6, 0.8])
def test_schemes_are_brought_to_a_sparsity(scheme: str, wanted: float) -> None:
    """As near as the scheme's steps allow: a filter, a position, a block of these small layers."""
    module = import_float(small_net(), {})
    (options,) = read_recipe(scheme)
    assert isinstance(options, Options)
    found = at_sparsity(module, options, wanted)
    assert found.sparsity == sparsity_of(layer_changes(module, prune(module, (found.options,))))
    assert found.sparsity == pytest.approx(wanted, abs=0.07)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--schemes", "patern"], ["patern", "pattern"]),
        (["--schemes", "pattern", "--targets", "sparse255"], ["sparse255", "sparse256"]),
        (["--schemes", "pattern", "--layer", "conv9"], ["conv9", "conv0"]),
        (["--schemes", "nm:layers=none"], ["none"]),
        (["--schemes", "unstructured", "--data", "few.npz"], ["labels", "24"]),
        (["--schemes", "unstructured", "--data", "other.npz"], ["'x'", "3, 16, 16"]),
        (["--schemes", "unstructured", "--data", "missing.npz"], ["missing.npz"]),
        (["--schemes", "unstructured", "--png", "out"], ["zeroskip[png]", "--svg"]),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path,
    images: Array,
    arguments: list[str],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "resvg_py", None)  # not installed: asked before all else
    onnx.save(small_net(), "net.onnx")
    np.savez("few.npz", x=images, labels=np.zeros(3, np.int64))
    np.savez("other.npz", x=images[:, :2])
    before = files(tmp_path)
    refused(
        zeroskip("compare", "net.onnx", "--html", "c.html", "--json", "c.json", *arguments), *words
    )
    assert files(tmp_path) == before


@pytest.mark.parametrize("ratios", ["", "0.5,", "50", "1", "0", "nan"])
def test_sparsities_are_ratios(ratios: str) -> None:
    done = zeroskip("compare", "net.onnx", "--schemes", "pattern", "--sparsity", ratios)
    assert done.exit_code == 2
    assert "ratios above 0, below 1" in " ".join(done.stderr.split())


def test_the_command_writes_table_page_and_json(tmp_path: Path, images: Array) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=images)
    done = zeroskip(
        "compare",
        tmp_path / "net.onnx",
        "--schemes",
        "unstructured nm",
        "--sparsity",
        "0.5",
        "--targets",
        "pattern256",
        "--calibrate",
        tmp_path / "x.npz",
        "--html",
        tmp_path / "c.html",
        "--json",
        tmp_path / "c.json",
        "--csv",
        tmp_path / "c.csv",
        "--svg",
        tmp_path,
    )
    assert done.exit_code == 0, done.output
    assert "no --data" in done.stderr
    held = json.loads((tmp_path / "c.json").read_text())
    for one in held["entries"]:
        assert f"{one['gains']['pattern256']['cycles']:,}" in done.stdout
    assert Page((tmp_path / "c.html").read_text()).all("img")
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert [int(row["cycles"]) for row in rows] == [
        one["gains"]["pattern256"]["cycles"] for one in held["entries"]
    ]
    chart = (tmp_path / "front-pattern256.svg").read_text()
    assert chart.count("<circle") == len(rows)
