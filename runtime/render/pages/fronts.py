"""Pareto fronts of a sweep or a search: pairs of metrics, a dot for each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from zeroskip.runtime.experiments.metrics import METRICS, Metric
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.pages.axes import BOTTOM, LEFT, RIGHT, TOP, Axis, LogAxis, grid
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import Element, figure, legend, short, tag
from zeroskip.runtime.render.pages.palette import series_legend
from zeroskip.runtime.render.pages.points import schemes_of, tip_of

SIZES = {"wide": (620, 380), "narrow": (360, 300)}  # pixels, by the width of the screen
PAIRS = (  # x, y: those are drawn that have figures
    ("time", "accuracy"),
    ("time", "snr"),
    ("energy", "accuracy"),
    ("energy", "snr"),
    ("area", "accuracy"),
    ("area", "snr"),
    ("time", "energy"),
    ("time", "area"),
)
_LINEAR = ("accuracy", "snr", "area", "cpu")  # metrics whose axes are not logarithmic
Pair = tuple[Metric, Metric]


def front_figures(own: Table, shown: Table) -> list[Element]:
    """A section for each pair. own: the points of a network; shown: those that are drawn."""
    less = "" if len(shown) == len(own) else f" {len(shown):,} of {len(own):,} points are drawn."
    return [
        figure(
            _title(pair),
            _note(pair[1]) + less,
            legend(series_legend(schemes_of(own))),
            *(
                tag(
                    "svg",
                    *_picture(own, shown, pair, size),
                    viewBox="0 0 {} {}".format(*size),
                    class_=name,
                    role="img",
                    aria_label=f"{_title(pair)}; the table below holds the numbers",
                )
                for name, size in SIZES.items()
            ),
        )
        for pair in _pairs(own, shown)
    ]


def front_charts(own: Table, shown: Table, network: str) -> list[Chart]:
    """The same as files, ``NETWORK-snr-time``."""
    return [
        Chart(
            f"{network}-{y.name}-{x.name}",
            f"{network}: {_title((x, y))}",
            series_legend(schemes_of(own)),
            SIZES["wide"],
            _picture(own, shown, (x, y), SIZES["wide"]),
        )
        for x, y in _pairs(own, shown)
    ]


def _pairs(own: Table, shown: Table) -> list[Pair]:
    """Those of which a point that is drawn has both."""
    quality = next((name for name in ("accuracy", "snr") if own.has(METRICS[name])), None)
    pairs, rows = [(METRICS[x], METRICS[y]) for x, y in PAIRS], shown.rows
    return [
        (x, y)
        for x, y in pairs
        if (y.best == "min" or y.name == quality)
        and any(x.value(row) is not None and y.value(row) is not None for row in rows)
    ]


def _title(pair: Pair) -> str:
    x, y = pair
    return f"{y.label} against {x.label}"


def _note(y: Metric) -> str:
    where, side = ("Down", "Below") if y.best == "min" else ("Up", "Above")
    return (
        f"{where} and to the left is better. {side} the steps nothing was found that is as good in "
        "both."
    )


def axis_of(metric: Metric, values: Sequence[float], first: float, last: float) -> Axis:
    """An axis with some room on both sides of the values."""
    low, high = min(values), max(values)
    if metric.name in _LINEAR or low <= 0:
        return Axis.around(values, first, last)
    return LogAxis(low / 1.15, high * 1.15, first, last)


def _picture(own: Table, shown: Table, pair: Pair, size: tuple[int, int]) -> list[Element]:
    (x, y), (width, height), schemes = pair, size, schemes_of(own)
    points = [
        (at, up, row)
        for row in shown.rows
        if (at := x.value(row)) is not None and (up := y.value(row)) is not None
    ]
    across = axis_of(x, [at for at, _, _ in points], LEFT, width - RIGHT)
    upward = axis_of(y, [up for _, up, _ in points], height - BOTTOM, TOP)
    texts = tick_texts(x, across.ticks()), tick_texts(y, upward.ticks())
    front = [(x.value(row), y.value(row)) for row in own.front(x.name, y.name).rows]
    steps = _steps(sorted((a, b) for a, b in front if a is not None and b is not None), y)
    corners = [(across(a), upward(b)) for a, b in steps]
    corners += [(width - RIGHT, up) for _, up in corners[-1:]]  # what is worse in x is there too
    return [
        *grid(across, upward, size, (x.label, y.label), texts),
        tag("polyline", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in corners), class_="front"),
        *(
            tag(
                "circle",
                cx=f"{across(at):.1f}",
                cy=f"{upward(up):.1f}",
                r=4,
                data_tip=tip_of(row, shown),
                class_=f"dot series-{schemes[row['scheme']]}",
            )
            for at, up, row in points
        ),
    ]


def tick_texts(metric: Metric, values: Sequence[float]) -> list[str]:
    """What is written at the values of an axis, with as many digits as tell them apart."""
    if metric.name == "accuracy":
        apart = min((b - a for a, b in pairwise(values)), default=1.0)
        digits = max(0, math.ceil(-math.log10(apart) - 2 - 1e-9))
        return [f"{value:.{digits}%}" for value in values]
    return [short(value) if value > 0 else f"{value:g}" for value in values]


def _steps(front: Sequence[tuple[float, float]], y: Metric) -> list[tuple[float, float]]:
    """The corners of the border of what was reached: between two points of a front there is none,
    so nothing is drawn straight from one to the other."""
    corners: list[tuple[float, float]] = []
    best: float | None = None
    for at, up in front:
        if best is not None and y.loss(up) >= y.loss(best):
            continue  # it leaves less to the CPU
        if best is not None:
            corners.append((at, best))
        corners.append((at, up))
        best = up
    return corners
