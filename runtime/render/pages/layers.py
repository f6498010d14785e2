"""Bars for each layer: cycles by cause, and bytes on the bus."""

from __future__ import annotations

from collections.abc import Sequence

from zeroskip.runtime.analysis.report import MOVES, LayerReport, Report
from zeroskip.runtime.render.pages.bars import Bar, html_row, svg_rows
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import Element, figure, kib, legend, percent, tag
from zeroskip.runtime.render.pages.groups import (
    TRAFFIC_LABELS,
    CauseGroup,
    groups_of,
    listed,
    saved,
    spent,
)

MOST = 3.0  # times the bound that the relative scale shows
TRAFFIC_COLORS = [*((kind, TRAFFIC_LABELS[kind]) for kind in MOVES), ("mark", "compulsory")]


def cycles_figure(report: Report) -> Element:
    """Cycles of each layer: the bound that it paid for, what it lost, and what it saved."""
    longest = max((_length(layer) for layer in report.layers), default=1.0)
    most = min(MOST, max((_length(layer) / layer.bound for layer in report.layers), default=1.0))
    groups = groups_of(report.causes)
    return figure(
        "Cycles of each layer",
        "What the layer needs at least, then what it lost, by cause. The line is its bound: a bar "
        "that ends left of it beat it, because bytes moved before or after its own time or not at "
        "all.",
        legend(_colors(groups)),
        tag(
            "div",
            *_switch("cycles", "cycles", "relative", "relative to the bound"),
            tag(
                "ol",
                *(
                    html_row(
                        cycles_bar(layer, groups),
                        f"--long:{percent(_length(layer) / longest)};"
                        f"--wide:{percent(_length(layer) / layer.bound / most)}",
                    )
                    for layer in report.layers
                ),
                class_="bars",
            ),
        ),
        class_="cycles",
    )


def _switch(first: str, first_label: str, second: str, second_label: str) -> list[Element]:
    """Two scales to choose from; the style sheet looks at which is checked."""
    made = []
    for name, label, checked in ((first, first_label, "checked"), (second, second_label, None)):
        made += [
            tag("input", type="radio", name="scale", id=f"scale-{name}", checked=checked),
            tag("label", label, for_=f"scale-{name}"),
        ]
    return made


def _colors(groups: Sequence[CauseGroup]) -> list[tuple[str, str]]:
    return [
        ("paid", "work that the bound counts"),
        *((group.color, group.title) for group in groups),
        ("saved", "saved by overlap or residency"),
        ("mark", "bound"),
    ]


def _length(layer: LayerReport) -> float:
    return layer.cycles + saved(layer.lost)


def cycles_bar(layer: LayerReport, groups: Sequence[CauseGroup]) -> Bar:
    """The cycles of a layer: the bound that it paid for, what it lost by cause, what it saved."""
    return Bar(
        layer.title,
        [
            layer.title,
            f"{layer.cycles:,} cycles = {layer.x_bound:.3f} x bound",
            f"bound {layer.bound:,}, set by the {layer.limit}",
            *listed(layer.lost, layer.bound),
        ],
        [
            ("paid", layer.bound - saved(layer.lost)),
            *((group.color, spent(layer.lost, group)) for group in groups),
            ("saved", saved(layer.lost)),
        ],
        _length(layer) or 1.0,
        layer.bound,
        f"{layer.x_bound:.2f}x",
    )


def cycles_chart(report: Report) -> Chart:
    """``cycles_figure`` as a file."""
    groups = groups_of(report.causes)
    size, picture = svg_rows([cycles_bar(layer, groups) for layer in report.layers])
    title = f"{report.network} on {report.target}: cycles of each layer"
    return Chart("cycles", title, _colors(groups), size, picture)


def traffic_figure(report: Report) -> Element:
    """Bytes on the bus of each layer; the line is what is compulsory."""
    largest = max((max(layer.dram_bytes, _compulsory(layer)) for layer in report.layers), default=1)
    return figure(
        "DRAM traffic of each layer",
        "Bytes on the bus, whole bursts counted. The line is what is compulsory: inputs, weights "
        "and outputs once each.",
        legend(TRAFFIC_COLORS),
        tag(
            "ol",
            *(
                html_row(bar, f"--long:{percent(bar.length / max(largest, 1))}")
                for bar in map(traffic_bar, report.layers)
            ),
            class_="bars",
        ),
        class_="traffic",
    )


def traffic_chart(report: Report) -> Chart:
    """``traffic_figure`` as a file."""
    size, picture = svg_rows([traffic_bar(layer) for layer in report.layers])
    title = f"{report.network} on {report.target}: DRAM traffic of each layer"
    return Chart("traffic", title, TRAFFIC_COLORS, size, picture)


def traffic_bar(layer: LayerReport) -> Bar:
    """The bytes that a layer moved, by kind; the mark is what is compulsory."""
    compulsory = _compulsory(layer)
    tip = [layer.title, f"{kib(layer.dram_bytes)} moved, {kib(compulsory)} compulsory"]
    tip += [
        f"{TRAFFIC_LABELS[kind]}: {kib(moved.moved)} of {kib(moved.compulsory)} compulsory"
        for kind, moved in layer.traffic.items()
    ]
    return Bar(
        layer.title,
        tip,
        [(kind, float(moved.moved)) for kind, moved in layer.traffic.items()],
        max(layer.dram_bytes, 1),
        compulsory,
        kib(layer.dram_bytes),
    )


def _compulsory(layer: LayerReport) -> int:
    return sum(moved.compulsory for moved in layer.traffic.values())
