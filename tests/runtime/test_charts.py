"""Charts as files: SVG that any program draws, PNG, and what a page's colours and names keep."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.command import files, refused, zeroskip
from tests.runtime.nets import small_net
from tests.runtime.whole_svg import SVG, check_whole
from zeroskip.accel_model.machine.run import Run
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.report import Report, report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.pages import bars, palette, timeline_chart
from zeroskip.runtime.render.pages.chart import Chart, svg_file
from zeroskip.runtime.render.pages.elements import tag
from zeroskip.runtime.render.pages.labels import HEIGHT, Box, Dot, along, placed
from zeroskip.runtime.render.pages.report import report_charts
from zeroskip.runtime.render.pages.timeline_chart import WIDTH

Case = tuple[Report, dict[str, Run], dict[str, Chart]]


@pytest.fixture(scope="module")
def case() -> Case:
    network = compile_network(small_net(cpu_node=True), "sparse256")
    runs = Session(network).time()
    made = report(network, runs)
    charts = report_charts(made, runs, network.programs)
    return made, runs, {chart.name: chart for chart in charts}


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(svg_file(chart))


# --------------------------------------------------------------------------------------- files


def test_every_chart_is_a_whole_svg_that_needs_nothing_else(case: Case) -> None:
    _, _, charts = case
    assert list(charts) == ["causes", "roofline", "cycles", "traffic", "timeline"]
    for chart in charts.values():
        check_whole(chart)


def test_bars_of_a_file_are_those_of_the_report(case: Case) -> None:
    made, _, charts = case
    rows = [
        each
        for each in drawn(charts["cycles"]).iter(f"{SVG}g")
        if each.find(f"{SVG}title") is not None
    ]
    assert len(rows) == len(made.layers)
    lengths = [
        sum(
            float(part.get("width", 0))
            for part in row.iter(f"{SVG}rect")
            if part.get("class") != "saved"
        )
        for row in rows
    ]
    # All on one scale: pixels of what a layer took, for each of its cycles.
    scales = [length / layer.cycles for length, layer in zip(lengths, made.layers, strict=True)]
    assert scales == pytest.approx([scales[0]] * len(scales), rel=0.01)
    causes = [
        each.text
        for row in drawn(charts["causes"]).iter(f"{SVG}g")
        for each in row.findall(f"{SVG}text")
    ]
    for cause in made.causes:
        if round(made.lost[cause.name]):
            assert cause.name in causes


def test_parts_of_a_bar_lie_beside_each_other() -> None:
    parts = [("paid", 2.0), ("zeros", 0.0), ("drain", 3.0), ("saved", 1.0)]
    _, (row,) = bars.svg_rows([bars.Bar("conv", [], parts, 6, 2.0, "5")])
    scale = bars.TRACK / 6
    places = [
        (float(part.get("x", 0)) - bars.NAME, float(part.get("width", 0)))
        for part in row.iter("rect")
    ]
    wanted = [(0, 2 * scale), (2 * scale, 3 * scale), (5 * scale, scale)]
    np.testing.assert_allclose(places, wanted, atol=0.02)


def test_long_names_keep_their_end() -> None:
    bar = bars.Bar("a/very/long/name/of/a/layer/in/a/network", [], [("paid", 2)], 2, None, "2")
    _, (row,) = bars.svg_rows([bar])
    text = row[0].text or ""
    assert text.startswith("…")
    assert bar.title.endswith(text[1:])
    assert len(text) * bars.LETTER <= bars.NAME


def test_the_timeline_of_a_file_covers_what_the_units_did(case: Case) -> None:
    made, runs, charts = case
    paths = [each for each in charts["timeline"].picture if each.tag == "path"]
    grounds = [
        each
        for each in charts["timeline"].picture
        if each.get("height") and each.tag == "rect" and each.get("width") == str(WIDTH)
    ]
    assert len(paths) == len(grounds) == 3 + 4
    for number, (path, ground) in enumerate(zip(paths[:3], grounds, strict=False)):
        busy = sum(
            int((run.free - run.start)[(run.unit == number) & (run.free - run.start > 1)].sum())
            for run in runs.values()
        )
        bottom, height = (
            float(ground.get("y", 0)) + float(ground.get("height", 0)),
            float(ground.get("height", 0)),
        )
        steps = np.array(re.findall(r"H([\d.]+)V([\d.]+)", path.get("d", "")), float)
        widths = np.diff(steps[:, 0])  # the last one goes down to the ground
        filled = (widths * (bottom - steps[:-1, 1])).sum() / (WIDTH * height)
        assert filled == pytest.approx(busy / made.cycles, abs=0.01)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=1, max_size=30))
def test_means_of_columns_keep_the_whole(steps: list[tuple[int, int]]) -> None:
    start = np.cumsum([0, *(length for length, _ in steps)])
    values = [float(value) for _, value in steps]
    means = timeline_chart._means(int(start[-1]), start[:-1].astype(float), values)
    whole = sum(length * value for length, value in steps)
    assert means.mean() * start[-1] == pytest.approx(whole)


def test_the_command_writes_charts(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("report", compiled / "net.zsk", "--svg", tmp_path / "a" / "b")
    assert done.exit_code == 0, done.output
    written = sorted((tmp_path / "a" / "b").iterdir())
    assert [path.name for path in written] == [
        "causes.svg",
        "cycles.svg",
        "roofline.svg",
        "timeline.svg",
        "traffic.svg",
    ]
    for path in written:
        assert f"wrote {path}" in done.stdout
        ElementTree.parse(path)


@pytest.mark.pages
def test_the_command_writes_pngs(compiled: Path, tmp_path: Path) -> None:
    done = zeroskip("report", compiled / "net.zsk", "--png", tmp_path)
    assert done.exit_code == 0, done.output
    for path in tmp_path.glob("*.png"):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert int.from_bytes(content[16:20], "big") > 1000  # twice the SVG's size
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--png", "out"], ["zeroskip[png]", "--svg"]),
        (["--svg", "net.txt/below"], ["net.txt/below", "cannot be made"]),
    ],
)
def test_charts_that_cannot_be_written(
    compiled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "resvg_py", None)  # not installed
    (tmp_path / "net.txt").write_text("a file")
    before = files(tmp_path)
    refused(zeroskip("report", compiled / "net.zsk", *arguments), *words)
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------- colours


def lab(color: str) -> tuple[float, float, float]:
    """CIE L*a*b* of sRGB, white D65."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = ((p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4) for p in parts)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("colors", [palette.REPORT, palette.COMPARISON], ids=["report", "compare"])
def test_no_colour_of_a_page_has_two_meanings(
    colors: dict[str, tuple[str, str]], theme: int
) -> None:
    """Any two are further apart than neighbours in a legend need (CIE76, 10 and more)."""
    for (one, first), (other, second) in combinations(colors.items(), 2):
        apart = np.linalg.norm(np.subtract(lab(first[theme]), lab(second[theme])))
        assert apart > 10, (one, other, apart)


# ---------------------------------------------------------------------------------------- names

PLACES = st.tuples(st.floats(20, 380), st.floats(20, 280), st.floats(2, 20))


@given(st.lists(PLACES, min_size=1, max_size=12))
def test_names_lie_on_nothing_and_within_the_room(places: list[tuple[float, float, float]]) -> None:
    room = Box(0, 0, 400, 300)
    line = along([(0, 0), (400, 300)])
    dots = [Dot(*place, f"layer {number}") for number, place in enumerate(places)]
    names = placed(dots, room, line)
    boxes = []
    for name in names:
        x, y, wide = float(name.get("x", 0)), float(name.get("y", 0)), 6 * len(name.text or "")
        boxes.append(Box(x - wide / 2, y - HEIGHT / 2 + 1, x + wide / 2, y + HEIGHT / 2 - 1))
    for number, box in enumerate(boxes):
        assert box.within(room)
        assert not any(map(box.meets, [*boxes[:number], *(dot.box for dot in dots), *line]))


def test_no_more_names_than_wanted_and_the_first_ones() -> None:
    dots = [Dot(50, 40 * number, 4, f"layer {number}") for number in (1, 2, 3, 4)]
    names = placed(
        [Dot(399, 1, 4, "too long for this corner" * 9), *dots], Box(0, 0, 400, 300), (), 2
    )
    assert [name.text for name in names] == ["layer 1", "layer 2"]


def test_the_roofline_names_what_is_far_below_the_roof(case: Case) -> None:
    made, _, charts = case
    names = [
        each.text for each in charts["roofline"].picture if each.get("class") == "label middle"
    ]
    far = {f"{layer.node} {layer.x_bound:.2g}x" for layer in made.layers if layer.x_bound >= 1.2}
    assert names
    assert set(names) <= far


def test_a_dot_alone_has_its_name_on_the_right() -> None:
    (name,) = placed([Dot(100, 100, 5, "conv")], Box(0, 0, 400, 300))
    assert float(name.get("x", 0)) > 105
    assert name.get("y") == "100.0"


def test_tips_become_titles() -> None:
    chart = Chart("c", "t", [], (10, 10), [tag("g", tag("rect", data_tip="what it is"))])
    (title,) = drawn(chart).iter(f"{SVG}title")
    assert title.text == "what it is"
