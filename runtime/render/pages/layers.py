"""Bars for each layer: cycles by cause, and bytes on the bus."""

from __future__ import annotations

from collections.abc import Sequence

from zeroskip.runtime.analysis.report import MOVES, LayerReport, Report
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


def cycles_figure(report: Report) -> Element:
    """Cycles of each layer: the bound that it paid for, what it lost, and what it saved."""
    longest = max((_length(layer) for layer in report.layers), default=1.0)
    most = min(MOST, max((_length(layer) / layer.bound for layer in report.layers), default=1.0))
    groups = groups_of(report.causes)
    colors = [
        ("paid", "work that the bound counts"),
        *((group.color, group.title) for group in groups),
        ("saved", "saved by overlap or residency"),
        ("mark", "bound"),
    ]
    return figure(
        "Cycles of each layer",
        "What the layer needs at least, then what it lost, by cause. The line is its bound: a bar "
        "that ends left of it beat it, because bytes moved before or after its own time or not at "
        "all.",
        legend(colors),
        tag(
            "div",
            *_switch("cycles", "cycles", "relative", "relative to the bound"),
            tag(
                "ol",
                *(_cycles_row(layer, groups, longest, most) for layer in report.layers),
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


def _length(layer: LayerReport) -> float:
    return layer.cycles + saved(layer.lost)


def _cycles_row(
    layer: LayerReport, groups: Sequence[CauseGroup], longest: float, most: float
) -> Element:
    length = _length(layer) or 1.0
    paid = layer.bound - saved(layer.lost)
    parts = [
        ("paid", paid),
        *((group.color, spent(layer.lost, group)) for group in groups),
        ("saved", saved(layer.lost)),
    ]
    tip = [
        layer.title,
        f"{layer.cycles:,} cycles = {layer.x_bound:.3f} x bound",
        f"bound {layer.bound:,}, set by the {layer.limit}",
        *listed(layer.lost, layer.bound),
    ]
    return _row(
        layer.title,
        tip,
        parts,
        length,
        layer.bound / length,
        f"--long:{percent(length / longest)};--wide:{percent(length / layer.bound / most)}",
        f"{layer.x_bound:.2f}x",
    )


def traffic_figure(report: Report) -> Element:
    """Bytes on the bus of each layer; the line is what is compulsory."""
    largest = max((max(layer.dram_bytes, _compulsory(layer)) for layer in report.layers), default=1)
    return figure(
        "DRAM traffic of each layer",
        "Bytes on the bus, whole bursts counted. The line is what is compulsory: inputs, weights "
        "and outputs once each.",
        legend([*((kind, TRAFFIC_LABELS[kind]) for kind in MOVES), ("mark", "compulsory")]),
        tag(
            "ol", *(_traffic_row(layer, max(largest, 1)) for layer in report.layers), class_="bars"
        ),
        class_="traffic",
    )


def _compulsory(layer: LayerReport) -> int:
    return sum(moved.compulsory for moved in layer.traffic.values())


def _traffic_row(layer: LayerReport, largest: int) -> Element:
    length, compulsory = max(layer.dram_bytes, 1), _compulsory(layer)
    parts = [(kind, float(moved.moved)) for kind, moved in layer.traffic.items()]
    tip = [layer.title, f"{kib(layer.dram_bytes)} moved, {kib(compulsory)} compulsory"]
    tip += [
        f"{TRAFFIC_LABELS[kind]}: {kib(moved.moved)} of {kib(moved.compulsory)} compulsory"
        for kind, moved in layer.traffic.items()
    ]
    return _row(
        layer.title,
        tip,
        parts,
        length,
        compulsory / length,
        f"--long:{percent(length / largest)}",
        kib(layer.dram_bytes),
    )


def _row(
    title: str,
    tip: Sequence[str],
    parts: Sequence[tuple[str, float]],
    length: float,
    mark: float,
    scale: str,
    number: str,
) -> Element:
    """A layer's name, its bar in parts of ``length`` with a mark at a share of it, a number."""
    segments = [
        tag("i", class_=color, style=f"width:{percent(size / length)}")
        for color, size in parts
        if size > 0
    ]
    bar = tag("span", *segments, tag("b", style=f"left:{percent(mark)}"), class_="bar", style=scale)
    return tag(
        "li",
        tag("span", title, class_="name"),
        tag("span", bar, class_="track"),
        tag("span", number, class_="number"),
        data_tip="\n".join(tip),
    )
