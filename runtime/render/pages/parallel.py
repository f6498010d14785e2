"""Parallel coordinates: an axis for each thing that was chosen and each figure, a line for each
point.

A range of an axis is chosen by dragging along it (``parallel.js``); lines outside of one fade.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroskip.runtime.experiments.metrics import METRICS, Metric, unbeaten
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.pages.axes import Axis
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import Element, figure, legend, scroller, tag
from zeroskip.runtime.render.pages.fronts import tick_texts
from zeroskip.runtime.render.pages.palette import series_legend
from zeroskip.runtime.render.pages.points import schemes_of, tip_of

HEIGHT, APART = 330, 118  # pixels of the picture, between two axes
TOP, BOTTOM, SIDE = 34, 28, 62  # margins
MOST_LABELS = 9  # of an axis
LETTERS = 15  # of a text, that have room between two axes
ROOM = 0.1  # of an axis, between the labels of its ends and others
TITLE = "Choices and figures"
FIGURES = ("accuracy", "snr", "time", "energy", "area", "bytes")


@dataclass(frozen=True)
class _Scale:
    """An axis. name: above it. places: of each point, 0 at the bottom to 1, None where it has none.
    labels: texts and their places."""

    name: str
    places: list[float | None]
    labels: list[tuple[str, float]]


def parallel_figure(own: Table, shown: Table, metrics: Sequence[Metric]) -> list[Element]:
    """The section; nothing where fewer than two things differ between points. own: the points of a
    network; shown: those that are drawn."""
    kept = _with_figures(shown)
    scales, schemes = _scales(kept), schemes_of(own)
    if len(scales) < 2:
        return []
    width = _width(scales)
    picture = tag(
        "svg",
        *_lines(kept, scales, schemes, metrics),
        *(part for at, scale in enumerate(scales) for part in (*_axis(scale, at), *_handles(at))),
        viewBox=f"0 0 {width} {HEIGHT}",
        style=f"min-width: {width}px",
        class_="parallel",
        role="img",
        aria_label="Choices and figures of each point; the table below holds the numbers",
    )
    note = (
        "A line for each point, through what was chosen and what came of it; strong lines are points "
        "that no other beats. Drag along an axis to keep a range of it, click it to take all again."
    )
    return [
        figure(
            TITLE,
            note,
            legend(series_legend(schemes)),
            scroller(picture, what="a picture that scrolls"),
        )
    ]


def parallel_charts(
    own: Table, shown: Table, metrics: Sequence[Metric], network: str
) -> list[Chart]:
    """The same as a file, ``NETWORK-parallel``; none where there is no section."""
    kept = _with_figures(shown)
    scales, schemes = _scales(kept), schemes_of(own)
    if len(scales) < 2:
        return []
    picture = [
        *_lines(kept, scales, schemes, metrics),
        *(part for at, scale in enumerate(scales) for part in _axis(scale, at)),
    ]
    title, size = f"{network}: {TITLE.lower()}", (_width(scales), HEIGHT)
    return [Chart(f"{network}-parallel", title, series_legend(schemes), size, picture)]


def _with_figures(table: Table) -> Table:
    return table.at([n for n, failure in enumerate(table.columns["failure"]) if failure is None])


def _scales(table: Table) -> list[_Scale]:
    """The axes: what differs between points."""
    every = (
        *(_choices(table, name) for name in _chosen(table)),
        *(_figures(table, METRICS[name]) for name in FIGURES),
    )
    return [scale for scale in every if scale is not None]


def _width(scales: Sequence[_Scale]) -> int:
    return 2 * SIDE + (len(scales) - 1) * APART


def _lines(
    table: Table, scales: Sequence[_Scale], schemes: Mapping[str, int], metrics: Sequence[Metric]
) -> list[Element]:
    """Of the points that have a place on every axis, the front on top."""
    front = set(unbeaten(table.rows, metrics))
    return [
        _line(table, number, scales, schemes, number in front)
        for number in sorted(range(len(table)), key=lambda number: number in front)
        if all(scale.places[number] is not None for scale in scales)
    ]


def _chosen(table: Table) -> list[str]:
    return ["scheme", "sparsity", *table.choices]


def _choices(table: Table, name: str) -> _Scale | None:
    """An axis of what was chosen: its values at equal distances; None if there is one only."""
    values = table.columns[name]
    if name == "sparsity":
        return _linear(name, values, lambda values: [f"{value:.0%}" for value in values])
    numbers = all(isinstance(value, int | float) for value in values)
    every = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    if len(every) < 2:
        return None
    place = {value: number / (len(every) - 1) for number, value in enumerate(every)}
    step = max(1, -(-len(every) // MOST_LABELS))
    labels = [(_cut(_text(value), begin=True), place[value]) for value in every[::step]]
    return _Scale(name, [place[value] for value in values], labels)


def _text(value: Any) -> str:
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return f"{value // 1024:,} Ki"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cut(text: str, *, begin: bool = False) -> str:
    """As much of a text as has room between two axes: its end, or what it begins with; the legend
    and tips have all of it."""
    if len(text) <= LETTERS:
        return text
    return f"{text[: LETTERS - 1]}…" if begin else f"…{text[1 - LETTERS :]}"


def _figures(table: Table, metric: Metric) -> _Scale | None:
    values = [metric.value(row) for row in table.rows]
    return _linear(metric.label, values, lambda values: tick_texts(metric, values))


def _linear(
    name: str, values: Sequence[float | None], texts: Callable[[Sequence[float]], list[str]]
) -> _Scale | None:
    """An axis from the least value to the largest, which are labelled, as are round ones between;
    None if there is one only."""
    known = [value for value in values if value is not None]
    if len(set(known)) < 2:
        return None
    axis = Axis(min(known), max(known), 0.0, 1.0)
    places = [None if value is None else axis(value) for value in values]
    between = [value for value in axis.ticks() if ROOM < axis(value) < 1 - ROOM]
    labelled = [axis.low, *between, axis.high]
    return _Scale(name, places, list(zip(texts(labelled), map(axis, labelled), strict=True)))


def _up(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def _line(
    table: Table, number: int, scales: Sequence[_Scale], schemes: Mapping[str, int], strong: bool
) -> Element:
    places = [scale.places[number] or 0.0 for scale in scales]
    points = " ".join(f"{SIDE + at * APART},{_up(place):.1f}" for at, place in enumerate(places))
    row = {name: values[number] for name, values in table.columns.items()}
    return tag(
        "polyline",
        points=points,
        data_places=" ".join(f"{place:.4f}" for place in places),
        data_tip=tip_of(row, table),
        class_=f"course series-{schemes[row['scheme']]}{' strong' if strong else ''}",
    )


def _axis(scale: _Scale, at: int) -> list[Element]:
    x = SIDE + at * APART
    return [
        tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="pole"),
        tag("text", _cut(scale.name), x=x, y=TOP - 16, class_="axis middle", data_tip=scale.name),
        *(
            tag("text", text, x=x + 5, y=f"{_up(place):.1f}", dy="0.35em", class_="tick haloed")
            for text, place in scale.labels
        ),
    ]


def _handles(at: int) -> list[Element]:
    """What is dragged along an axis, and the range that is kept then."""
    x = SIDE + at * APART
    return [
        tag("rect", x=x - 5, width=10, y=TOP, height=0, class_="range", data_axis=at),
        tag(
            "rect",
            x=x - 14,
            width=28,
            y=TOP - 6,
            height=HEIGHT - TOP - BOTTOM + 12,
            class_="handle",
            data_axis=at,
            data_top=TOP,
            data_bottom=HEIGHT - BOTTOM,
        ),
    ]
