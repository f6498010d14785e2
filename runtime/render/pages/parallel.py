"""Parallel coordinates: an axis for each thing that was chosen and each figure, a line for each point.

A range of an axis is chosen by dragging along it (``parallel.js``); lines outside of one fade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zeroskip.runtime.experiments.metrics import METRICS, Metric, unbeaten
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.pages.elements import Element, figure, scroller, short, tag

HEIGHT, APART = 330, 118  # pixels of the picture, between two axes
TOP, BOTTOM, SIDE = 34, 28, 62  # margins
MOST_LABELS = 9  # of an axis
FIGURES = ("accuracy", "snr", "time", "energy", "area", "bytes")


@dataclass(frozen=True)
class _Scale:
    """An axis. name: above it. places: of each point, 0 at the bottom to 1, None where it has none.
    labels: texts and their places."""

    name: str
    places: list[float | None]
    labels: list[tuple[str, float]]


def parallel_figure(
    table: Table, schemes: Mapping[str, int], metrics: Sequence[Metric]
) -> list[Element]:
    """The section; nothing where fewer than two things differ between points."""
    kept = table.at([n for n, failure in enumerate(table.columns["failure"]) if failure is None])
    scales = [
        scale
        for scale in (
            *(_choices(kept, name) for name in _chosen(kept)),
            *(_figures(kept, METRICS[name]) for name in FIGURES),
        )
        if scale is not None
    ]
    if len(scales) < 2:
        return []
    front = set(unbeaten(kept.rows, metrics))
    order = sorted(range(len(kept)), key=lambda number: number in front)  # the front lies on top
    width = 2 * SIDE + (len(scales) - 1) * APART
    picture = tag(
        "svg",
        *(
            _line(kept, number, scales, schemes, number in front)
            for number in order
            if all(scale.places[number] is not None for scale in scales)
        ),
        *(part for at, scale in enumerate(scales) for part in _axis(scale, at)),
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
    return [figure("Choices and figures", note, scroller(picture))]


def _chosen(table: Table) -> list[str]:
    return ["scheme", "sparsity", "target", *table.settings, "objective"]


def _choices(table: Table, name: str) -> _Scale | None:
    """An axis of what was chosen: its values at equal distances; None if there is one only."""
    values = table.columns[name]
    if name == "sparsity":
        return _linear(name, values, lambda value: f"{value:.0%}")
    numbers = all(isinstance(value, int | float) for value in values)
    every = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    if len(every) < 2:
        return None
    place = {value: number / (len(every) - 1) for number, value in enumerate(every)}
    step = max(1, -(-len(every) // MOST_LABELS))
    labels = [(_text(value), place[value]) for value in every[::step]]
    return _Scale(name, [place[value] for value in values], labels)


def _text(value: Any) -> str:
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return f"{value // 1024:,} Ki"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(table: Table, metric: Metric) -> _Scale | None:
    values = [metric.value(row) for row in table.rows]
    percent = metric.name == "accuracy"
    return _linear(metric.label, values, lambda value: f"{value:.0%}" if percent else short(value))


def _linear(name: str, values: Sequence[float | None], text: Any) -> _Scale | None:
    known = [value for value in values if value is not None]
    if len(set(known)) < 2:
        return None
    low, high = min(known), max(known)
    places = [None if value is None else (value - low) / (high - low) for value in values]
    labels = [(text(low + part * (high - low)), part) for part in (0, 0.25, 0.5, 0.75, 1)]
    return _Scale(name, places, labels)


def _up(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def _line(
    table: Table, number: int, scales: Sequence[_Scale], schemes: Mapping[str, int], strong: bool
) -> Element:
    places = [scale.places[number] or 0.0 for scale in scales]
    points = " ".join(f"{SIDE + at * APART},{_up(place):.1f}" for at, place in enumerate(places))
    row = {name: values[number] for name, values in table.columns.items()}
    lines = [f"{row['scheme']} {row['sparsity']:.0%} on {row['target']}"]
    lines += [f"{key} {_text(row[key])}" for key in table.settings]
    return tag(
        "polyline",
        points=points,
        data_places=" ".join(f"{place:.4f}" for place in places),
        data_tip="\n".join(lines),
        class_=f"series-{schemes[row['scheme']]}{' strong' if strong else ''}",
    )


def _axis(scale: _Scale, at: int) -> list[Element]:
    x = SIDE + at * APART
    return [
        tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="pole"),
        tag("text", scale.name, x=x, y=TOP - 16, class_="axis middle"),
        *(
            tag("text", text, x=x + 5, y=f"{_up(place):.1f}", dy="0.35em", class_="tick")
            for text, place in scale.labels
        ),
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
