"""The page of a sweep: every point is in every chart, the steps are the front, the table holds
it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.experiment_rows import ACT, row, table_of
from tests.runtime.parsed_page import Page
from tests.runtime.whole_svg import SVG, check_whole
from zeroskip.runtime.experiments.metrics import METRICS
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.experiment_files import write_experiment_page
from zeroskip.runtime.render.pages import experiments
from zeroskip.runtime.render.pages.axes import RIGHT
from zeroskip.runtime.render.pages.experiments import experiment_charts, experiment_page
from zeroskip.runtime.render.pages.fronts import SIZES, tick_texts

CHARTS = ("snr-time", "snr-energy", "snr-area", "energy-time", "area-time")


@pytest.fixture(scope="module")
def table() -> Table:
    axes = itertools.product(("dense", "nm & more"), (65536, 131072))
    rows = [row("net<1>", scheme, act, n) for n, (scheme, act) in enumerate(axes)]
    failed = {"network": "net<1>", "scheme": "dense", "target": "t", ACT: 1, "objective": "cycles"}
    rows += [{**failed, "failure": "no room"}, row("other", "dense", 65536, 0)]
    return table_of(rows)


@pytest.fixture(scope="module")
def page(table: Table) -> Page:
    return Page(experiment_page(table, "Sweep <of> two"))


def elements(page: Page, tag: str, class_: str = "") -> list[dict[str, Any]]:
    return [
        each
        for each in page.elements
        if each["tag"] == tag and (not class_ or class_ in each["class"].split())
    ]


def test_every_point_is_in_every_chart(page: Page) -> None:
    titles = [each["text"] for each in elements(page, "h2")]
    charts = [title for title in titles if " against " in title]
    assert (
        charts
        == [
            "SNR, dB against time, ms",
            "SNR, dB against energy, uJ",
            "SNR, dB against area, mm2",
            "energy, uJ against time, ms",
            "area, mm2 against time, ms",
        ]
        * 2
    )
    assert len(elements(page, "circle")) == 2 * 5 * (4 + 1)  # two widths; the failed one has none
    assert len(elements(page, "circle", "series-1")) == 2 * 5 * 2
    assert "6 points, of which 1 have no figures" in elements(page, "p", "headline")[0]["text"]


def test_the_steps_are_the_front(page: Page) -> None:
    """SNR falls with time, so all four are unbeaten: three steps of two corners each, and on to the
    right edge, where what is slower is beaten by the last."""
    line = elements(page, "polyline", "front")[0]["points"].split()
    corners = [tuple(map(float, each.split(","))) for each in line]
    assert len(corners) == 8
    assert corners[-1] == (SIZES["wide"][0] - RIGHT, corners[-2][1])
    for (x, y), (x2, y2) in itertools.pairwise(corners):
        assert (x == x2) != (y == y2)  # along one axis: nothing between two points is claimed
        assert x2 >= x
        assert y2 <= y


def test_the_table_holds_the_points_that_no_other_beats(page: Page, table: Table) -> None:
    front = table.of("net<1>").front("snr", "time", "energy", "area")
    rows = [each for each in elements(page, "tr") if "tbody" in each["within"]]
    assert len(rows) == len(front) + 1
    assert f"{front.columns['cycles'][0]:,}" in " ".join(each["text"] for each in rows)


def test_lines_go_through_what_differs(page: Page) -> None:
    (first,) = elements(page, "svg", "parallel")  # of one point there is nothing to compare
    names = [each["text"] for each in elements(page, "text", "axis") if "text" in each["tag"]]
    for name in ("scheme", ACT, "SNR, dB", "time, ms", "energy, uJ", "area, mm2"):
        assert name in names
    assert "objective" not in names
    lines = [each for each in elements(page, "polyline") if "data-places" in each]
    assert len(lines) == 4
    places = [list(map(float, each["data-places"].split())) for each in lines]
    assert {min(column) for column in zip(*places, strict=True)} == {0.0}
    assert {max(column) for column in zip(*places, strict=True)} == {1.0}
    assert first["aria-label"]


def test_the_charts_of_the_page_are_files(table: Table) -> None:
    charts = experiment_charts(table)
    assert [chart.name for chart in charts] == [
        *(f"net<1>-{name}" for name in CHARTS),
        "net<1>-parallel",
        *(f"other-{name}" for name in CHARTS),
    ]
    roots = {chart.name: check_whole(chart) for chart in charts}
    for name in CHARTS:
        assert len(list(roots[f"net<1>-{name}"].iter(f"{SVG}circle"))) == 4
    lines = list(roots["net<1>-parallel"].iter(f"{SVG}polyline"))
    assert len(lines) == 4
    assert all("SNR, dB: " in (line.findtext(f"{SVG}title") or "") for line in lines)
    classes = {each.get("class") for each in roots["net<1>-parallel"].iter()}
    assert not {"handle", "range"} & classes  # nothing is dragged in a file


def test_axes_say_round_values_with_as_many_digits_as_tell_them_apart(page: Page) -> None:
    assert tick_texts(METRICS["accuracy"], [0.2, 0.4]) == ["20%", "40%"]
    assert tick_texts(METRICS["accuracy"], [0.92, 0.925, 0.93]) == ["92.0%", "92.5%", "93.0%"]
    assert tick_texts(METRICS["accuracy"], [0.9212, 0.9214]) == ["92.12%", "92.14%"]
    assert tick_texts(METRICS["cycles"], [1500.0, 2e6]) == ["1.50 k", "2.00 M"]
    ticks = [each["text"] for each in elements(page, "text", "haloed")]
    snr = ["17", "17.5", "18", "18.5", "19", "19.5", "20"]  # its ends, and what is round between
    first = ticks.index("17")
    assert ticks[first : first + len(snr)] == snr


def test_names_that_have_no_room_are_cut_and_told_beside_the_pointer() -> None:
    names = ("dense", "pattern:connectivity=0.5")
    table = table_of([row("net", scheme, 65536, n) for n, scheme in enumerate(names)])
    table = Table({**table.columns, "dram.latency_cycles": [0, 10]}, (ACT, "dram.latency_cycles"))
    page = Page(experiment_page(table, "Sweep"))
    (axis,) = [each for each in elements(page, "text", "axis") if each["text"].startswith("…")]
    assert axis["text"] == "…latency_cycles"
    assert axis["data-tip"] == "dram.latency_cycles"
    ticks = [each["text"] for each in elements(page, "text", "haloed")]
    assert "pattern:connec…" in ticks
    assert names[1] in [each["text"] for each in elements(page, "li")]


def test_what_is_the_same_for_all_is_said_once(table: Table) -> None:
    page = Page(experiment_page(table.of("net<1>"), "Sweep"))
    heads = [each["text"] for each in elements(page, "th") if "thead" in each["within"]]
    assert heads[:4] == ["scheme", "sparsity", ACT, "SNR, dB"]
    assert "objective" not in heads
    notes = [each["text"] for each in elements(page, "p", "note")]
    assert any("All have target <sparse256>; objective cycles." in note for note in notes)
    none = table.at([0, 1])
    none.columns["snr_db"][0] = none.columns["milliseconds"][1] = None  # no point has both
    assert not elements(Page(experiment_page(none, "Sweep")), "table")
    alone = Page(experiment_page(table.at([0]), "Sweep"))
    heads = [each["text"] for each in elements(alone, "th") if "thead" in each["within"]]
    assert heads[2:5] == ["target", ACT, "objective"]  # of one point nothing is left out


def test_texts_are_texts_and_nothing_is_fetched(table: Table, tmp_path: Path) -> None:
    write_experiment_page(tmp_path / "p.html", table, "Sweep <of> two", command="zeroskip <x>")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<of>" not in text
    assert "zeroskip &lt;x&gt;" in text
    assert "net<1>" not in text
    assert "<sparse256>" not in text
    assert not re.findall(r"(?:src|href)=|https?://(?!www\.w3\.org)", text)
    assert "default-src 'none'" in text


def test_of_many_points_the_front_and_some_others_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(experiments, "MOST", 20)
    rows = [row("net", "dense", 65536, 0, snr_db=float(n % 7), milliseconds=9.0) for n in range(99)]
    rows[50] |= {"snr_db": 50.0, "milliseconds": 1.0}
    page = Page(experiment_page(table_of(rows), "Sweep"))
    circles = elements(page, "circle")
    charts = len([each for each in elements(page, "h2") if " against " in each["text"]])
    assert len(circles) <= 2 * charts * 20
    assert any("SNR, dB: 50" in each["data-tip"] for each in circles)
    assert "of 99 points are drawn" in " ".join(each["text"] for each in elements(page, "p"))


def test_goals_of_a_search_say_what_is_best(table: Table) -> None:
    page = Page(experiment_page(table, "Search for area", [METRICS["area"]]))
    rows = [each for each in elements(page, "tr") if "tbody" in each["within"]]
    assert len(rows) == 2  # the smallest of each network


def test_a_page_of_failures_is_a_page(table: Table) -> None:
    page = Page(experiment_page(table.at([4]), "Sweep"))
    assert not elements(page, "svg")
    assert "1 points, of which 1 have no figures" in elements(page, "p", "headline")[0]["text"]
