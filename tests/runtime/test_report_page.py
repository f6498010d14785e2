"""The page: one file that fetches nothing, with every layer and the numbers of the JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.runtime.causes import CAUSES, SLOTS
from tests.runtime.nets import small_net
from tests.runtime.parsed_page import Page
from zeroskip.accel_model.machine.run import Run
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.loss_breakdown import SAVED
from zeroskip.runtime.analysis.report import Report, report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.pages.axes import LogAxis
from zeroskip.runtime.render.pages.elements import kib, short, tag
from zeroskip.runtime.render.pages.groups import groups_of
from zeroskip.runtime.render.pages.report import report_page


class PageCase:
    """A network of two regions with a node between them that stays on the CPU."""

    def __init__(self) -> None:
        self.network: Network = compile_network(small_net(cpu_node=True), "sparse256")
        self.runs: dict[str, Run] = Session(self.network).time()
        self.report: Report = report(self.network, self.runs)
        self.text = report_page(self.report, self.runs, self.network.programs)
        self.page = Page(self.text)
        self.table = json.loads(json.dumps(self.report.to_table()))
        self.layers = [layer for region in self.table["regions"] for layer in region["layers"]]


@pytest.fixture(scope="module")
def case() -> PageCase:
    return PageCase()


def test_it_fetches_nothing(case: PageCase) -> None:
    for each in case.page.elements:
        assert each["tag"] not in ("link", "img", "iframe", "base", "object", "embed")
        assert not {"src", "href", "action", "srcset"} & set(each)
    assert "url(" not in case.text
    assert "@import" not in case.text
    assert re.findall(r"https?://\S*", case.text) == []
    policy = next(
        each
        for each in case.page.all("meta")
        if "content" in each and each.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy["content"].startswith("default-src 'none'")


def test_every_layer_is_there_with_the_numbers_of_the_json(case: PageCase) -> None:
    titles = [
        layer["node"] + (f" + {layer['fused']}" if layer["fused"] else "") for layer in case.layers
    ]
    heads = [each["data-v"] for each in case.page.all("th") if "data-v" in each]
    assert heads == titles
    columns = [
        each["text"]
        for each in case.page.all("button")
        if each.get("type") == "button" and "thead" in each["within"]
    ]
    cells = [each for each in case.page.all("td") if "data-v" in each]
    width = len(columns) - 1
    keys = {
        "cycles": "cycles",
        "bound": "bound",
        "x bound": "x_bound",
        "uJ": "microjoules",
        "MACs used": "utilisation",
        "DRAM KiB": "dram_bytes",
        "effectual M": "effectual",
        "real M": "real_macs",
        "MACs M": "macs",
        "kind": "kind",
        "set by": "limit",
        "schedule": "schedule",
    }
    assert set(keys) <= set(columns)
    for number, layer in enumerate(case.layers):
        row = dict(zip(columns[1:], cells[number * width : (number + 1) * width], strict=True))
        for column, key in keys.items():
            shown = row[column]["data-v"]
            assert shown == (layer[key] if isinstance(layer[key], str) else repr(layer[key]))
        assert float(row["lost"]["data-v"]) == sum(layer["lost"].values())


def test_bars_are_drawn_to_scale(case: PageCase) -> None:
    rows = case.page.all("li")
    bars = [each for each in rows if "data-tip" in each]
    assert len(bars) == 2 * len(case.layers)  # cycles and traffic
    for row, layer in zip(bars, case.layers, strict=False):
        assert f"{layer['cycles']:,} cycles" in row["data-tip"]
        for cause, lost in layer["lost"].items():
            if abs(lost) >= max(1, 0.001 * layer["bound"]):
                assert f"{cause} {lost:+,.0f}" in row["data-tip"]
    inside: list[float] = []
    for each in case.page.elements:
        if "bar" in each["class"].split():
            inside.append(0.0)
        elif (
            each["tag"] == "i"
            and inside
            and "width" in each.get("style", "")
            and "length" not in each["class"].split()
        ):
            width = re.search(r"width:([\d.]+)%", each["style"])
            assert width is not None
            inside[-1] += float(width.group(1))
    assert len(inside) == 1 + 2 * len(case.layers)
    moved = [100.0 * (layer["dram_bytes"] > 0) for layer in case.layers]  # nothing: all on chip
    assert inside == pytest.approx([100.0] * (1 + len(case.layers)) + moved, abs=0.05)


def test_every_cause_is_explained(case: PageCase) -> None:
    text = next(each["text"] for each in case.page.all("table", "causes"))
    for cause, lost in case.table["lost"].items():
        if round(lost):
            assert CAUSES[cause] in text
            assert f"{lost:+,.0f}" in text
    assert f"{case.table['cycles']:,}" in text
    assert f"{case.table['bound']:,}" in text


def test_every_cause_has_one_colour() -> None:
    grouped = Counter(cause for group in groups_of(SLOTS) for cause in group.causes)
    assert set(grouped) | set(SAVED) == set(CAUSES)
    assert set(grouped.values()) == {1}
    assert not set(grouped) & set(SAVED)


def test_the_roofline_has_a_dot_for_each_layer_that_multiplies(case: PageCase) -> None:
    multiplying = sum(layer["real_macs"] > 0 for layer in case.layers)
    for size in ("wide", "narrow"):
        (chart,) = case.page.all("svg", size)
        at = case.page.elements.index(chart)
        others = [
            n for n, each in enumerate(case.page.elements) if n > at and "svg" not in each["within"]
        ]
        dots = [each for each in case.page.elements[at : others[0]] if each["tag"] == "circle"]
        assert len(dots) == multiplying > 0
        _, _, width, height = map(float, chart["viewbox"].split())
        assert all(0 < float(dot["cx"]) < width and 0 < float(dot["cy"]) < height for dot in dots)


def test_the_timeline_is_the_run(case: PageCase) -> None:
    data = json.loads(
        next(each["text"] for each in case.page.all("script") if each.get("id") == "timeline-data")
    )
    assert data["cycles"] == case.report.cycles
    assert data["layers"] == [layer.title for layer in case.report.layers]
    owned = Counter[int]()
    for layer, length in zip(data["owners"]["layer"], data["owners"]["length"], strict=True):
        owned[layer] += length
    assert [owned[n] for n in range(len(case.layers))] == [each["cycles"] for each in case.layers]
    for number, (_, slices) in enumerate(data["units"].items()):
        lengths = [(run.free - run.start)[run.unit == number] for run in case.runs.values()]
        whole = np.concatenate(lengths)
        assert sum(slices["length"]) == int(whole[whole > 1].sum())
        ends = np.add(slices["start"], slices["length"])
        assert (np.diff(slices["start"]) > 0).all()
        assert ends.max() <= case.report.cycles
    assert list(data["memories"]) == ["ACT", "WGT", "ACC", "PAR"]
    for memory in data["memories"].values():
        assert 0 <= min(memory["live"]) <= max(memory["live"]) <= memory["rows"]
    assert max(data["memories"]["ACT"]["live"]) > 0


def test_names_cannot_break_the_page(case: PageCase) -> None:
    name = "</script><b>&\"'"
    made = replace(
        case.report,
        network=name,
        cpu={name: name},
        regions=tuple(
            replace(region, layers=tuple(replace(layer, node=name) for layer in region.layers))
            for region in case.report.regions
        ),
    )
    page = Page(report_page(made, case.runs, case.network.programs))
    assert next(each["text"] for each in page.all("h1")) == f"{name} on sparse256"
    assert Counter(each["tag"] for each in page.elements)["script"] == 5
    data = next(each["text"] for each in page.all("script") if each.get("id") == "timeline-data")
    assert json.loads(data)["layers"][0].startswith(name)


def test_a_network_without_regions(case: PageCase) -> None:
    empty = replace(case.report, regions=(), cycles=0, bound=0, network_bound=0)
    page = Page(report_page(empty, {}, {}))
    assert not page.all("canvas")
    assert "sigmoid" in next(each["text"] for each in page.all("main"))


def test_elements_escape_texts_and_name_attributes() -> None:
    made = tag("p", "a ", tag("b", "c"), " d", None, class_="x", data_tip="1\n2", id=None)
    assert (made.text, made[0].tail) == ("a ", " d")
    assert made.attrib == {"class": "x", "data-tip": "1\n2"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.66, "0.66"),
        (5, "5"),
        (999, "999"),
        (1234, "1.23 k"),
        (20_030, "20.0 k"),
        (999_499, "999 k"),
        (999_600, "1.00 M"),
        (4_986_984, "4.99 M"),
        (1.02e9, "1.02 G"),
        (1.2e13, "12,000 G"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text


def test_sizes() -> None:
    assert kib(1536) == "1.5 KiB"
    assert kib(3 * 2**20) == "3.00 MiB"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.5, 30, [0.5, 1, 2, 5, 10, 20]), (0.03, 2000, [0.1, 1, 10, 100, 1000])],
)
def test_ticks_of_a_logarithmic_axis(low: float, high: float, ticks: list[float]) -> None:
    axis = LogAxis(low, high, 100, 0)
    assert axis.ticks() == pytest.approx(ticks)
    assert (axis(low), axis(high)) == (100, 0)
    assert axis((low * high) ** 0.5) == pytest.approx(50)
