"""A sweep or a search as a page: for each network its Pareto fronts, parallel coordinates and the
points that no other beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zeroskip.runtime.experiments.metrics import METRICS, Metric, unbeaten
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.experiment_table import (
    figure_cells,
    front_metrics,
    quality_text,
    setting_text,
)
from zeroskip.runtime.render.pages.axes import BOTTOM, LEFT, RIGHT, TOP, Axis, LogAxis, grid
from zeroskip.runtime.render.pages.document import document
from zeroskip.runtime.render.pages.elements import (
    Element,
    figure,
    legend,
    scroller,
    short,
    tag,
)
from zeroskip.runtime.render.pages.palette import series_legend, series_of
from zeroskip.runtime.render.pages.parallel import parallel_figure

SIZES = {"wide": (620, 380), "narrow": (360, 300)}  # pixels, by the width of the screen
MOST = 2000  # points of a chart: more cannot be told apart, and make a page slow
ROWS = 200  # of the table
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


def experiment_page(
    table: Table, title: str, metrics: Sequence[Metric] | None = None, *, command: str = ""
) -> str:
    """The page as HTML. metrics: in which the points of the table's front are not beaten; those of
    ``front_metrics`` if they are left out. command: the one that made it."""
    content: list[Element] = []
    failed = sum(failure is not None for failure in table.columns["failure"])
    words = f"{len(table):,} points" + (f", of which {failed:,} have no figures" if failed else "")
    content.append(tag("p", words, class_="headline"))
    for network in table.networks:
        own = table.of(network)
        asked = front_metrics(own) if metrics is None else list(metrics)
        if not asked:
            continue
        best = own.front(*(metric.name for metric in asked))
        content.append(tag("h2", network, class_="network"))
        shown = _thinned(own, asked)
        if charts := _front_figures(own, shown):
            content.append(tag("div", *charts, class_="charts"))
        content += [*parallel_figure(shown, _schemes(own), asked), _table(own, best, asked)]
    scripts = ["tips.js", "scroll.js", "parallel.js"]
    return document(title, content, scripts, command=command)


def _schemes(table: Table) -> dict[str, int]:
    return series_of(table.columns["scheme"])


def _thinned(table: Table, metrics: Sequence[Metric]) -> Table:
    """As many points as are drawn: those of the front, and others at equal distances in the table."""
    if len(table) <= MOST:
        return table
    front = unbeaten(table.rows, metrics)[:MOST]
    step = len(table) / max(1, MOST - len(front))
    others = [int(number * step) for number in range(MOST - len(front))]
    return table.at(sorted({*front, *others}))


# ------------------------------------------------------------------------------- Pareto fronts


def _front_figures(own: Table, shown: Table) -> list[Element]:
    schemes, figures = _schemes(own), []
    quality = next((name for name in ("accuracy", "snr") if own.has(METRICS[name])), None)
    for names in PAIRS:
        x, y = (METRICS[name] for name in names)
        drawable = own.has(x) and own.has(y) and (y.best == "min" or y.name == quality)
        if drawable:
            figures.append(_front_figure(own, shown, x, y, schemes))
    return figures


def _front_figure(
    own: Table, shown: Table, x: Metric, y: Metric, schemes: Mapping[str, int]
) -> Element:
    corner = "up" if y.best == "max" else "down"
    less = "" if len(shown) == len(own) else f" {len(shown):,} of {len(own):,} points are drawn."
    note = (
        f"{corner.capitalize()} and to the left is better. Below the steps nothing was found that is "
        "as good in both."
        if y.best == "min"
        else f"{corner.capitalize()} and to the left is better. Above the steps nothing was found "
        "that is as good in both."
    )
    return figure(
        f"{y.label} against {x.label}",
        note + less,
        legend(series_legend(schemes)),
        *(_chart(own, shown, x, y, schemes, name, size) for name, size in SIZES.items()),
    )


def axis_of(metric: Metric, values: Sequence[float], first: float, last: float) -> Axis:
    """An axis with some room on both sides of the values."""
    low, high = min(values), max(values)
    if metric.name in _LINEAR or low <= 0:
        room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        return Axis(low - room, high + room, first, last)
    return LogAxis(low / 1.15, high * 1.15, first, last)


def _chart(
    own: Table,
    shown: Table,
    x: Metric,
    y: Metric,
    schemes: Mapping[str, int],
    name: str,
    size: tuple[int, int],
) -> Element:
    width, height = size
    points = [
        (at, up, row)
        for row in shown.rows
        if (at := x.value(row)) is not None and (up := y.value(row)) is not None
    ]
    across = axis_of(x, [at for at, _, _ in points], LEFT, width - RIGHT)
    upward = axis_of(y, [up for _, up, _ in points], height - BOTTOM, TOP)
    texts = [short(value) for value in across.ticks()], [_tick(y, v) for v in upward.ticks()]
    front = [(x.value(row), y.value(row)) for row in own.front(x.name, y.name).rows]
    steps = _steps(sorted((a, b) for a, b in front if a is not None and b is not None), y)
    line = " ".join(f"{across(a):.1f},{upward(b):.1f}" for a, b in steps)
    dots = [
        tag(
            "circle",
            cx=f"{across(at):.1f}",
            cy=f"{upward(up):.1f}",
            r=4,
            data_tip=tip_of(row, shown),
            class_=f"dot series-{schemes[row['scheme']]}",
        )
        for at, up, row in points
    ]
    return tag(
        "svg",
        *grid(across, upward, size, (x.label, y.label), texts),
        tag("polyline", points=line, class_="front"),
        *dots,
        viewBox=f"0 0 {width} {height}",
        class_=name,
        role="img",
        aria_label=f"{y.label} against {x.label}; the table below holds the numbers",
    )


def _tick(metric: Metric, value: float) -> str:
    return (
        f"{value:.0%}" if metric.name == "accuracy" else short(value) if value > 0 else f"{value:g}"
    )


def _steps(front: Sequence[tuple[float, float]], y: Metric) -> list[tuple[float, float]]:
    """The corners of the border of what was reached: between two points of a front there is none, so
    nothing is drawn straight from one to the other."""
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


def tip_of(row: Mapping[str, Any], table: Table) -> str:
    """What a point is, and its figures: the lines of a tip."""
    sparsity = "" if not row["sparsity"] else f" {row['sparsity']:.0%}"
    lines = [f"{row['scheme']}{sparsity} on {row['target']}"]
    lines += [f"{key} {setting_text(row[key])}" for key in table.settings]
    if len(set(table.columns["objective"])) > 1:
        lines.append(f"schedules by {row['objective']}")
    for metric in METRICS.values():
        value = metric.value(row)
        if value is not None and (metric.name != "cpu" or value):
            text = f"{value:.2%}" if metric.name in ("accuracy", "cpu") else f"{value:,.4g}"
            lines.append(f"{metric.label}: {text}")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------ the table


def _table(own: Table, best: Table, metrics: Sequence[Metric]) -> Element:
    order = next((each for each in metrics if each.best == "min"), metrics[0])
    rows = sorted(best.rows, key=lambda row: order.loss(row[order.column]))
    quality = next((METRICS[each] for each in ("accuracy", "snr") if own.has(METRICS[each])), None)
    names = ["scheme", "sparsity", "target", *own.settings, "objective"]
    figures = ["cycles", "ms", "uJ", "mm2", "KiB", "on CPU"]
    heads = [*names, *(() if quality is None else (quality.label,)), *figures]
    lines = [
        tag(
            "tr",
            tag("th", str(row["scheme"]), scope="row"),
            tag("td", f"{row['sparsity']:.1%}"),
            tag("td", str(row["target"]), class_="text"),
            *(tag("td", setting_text(row[key])) for key in own.settings),
            tag("td", str(row["objective"]), class_="text"),
            *(() if quality is None else (tag("td", quality_text(row, quality)),)),
            *(tag("td", cell) for cell in figure_cells(row)),
        )
        for row in rows[:ROWS]
    ]
    cut = f"; the first {ROWS} of {len(rows):,}" if len(rows) > ROWS else ""
    words = ", ".join(metric.name for metric in metrics)
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name) for name in heads))),
        tag("tbody", *lines),
        class_="schemes",
    )
    note = (
        f"Points that no other is as good as in {words}, by {order.label}{cut}. A point that leaves "
        "more multiplies to the CPU counts as beating none that leaves less."
    )
    return figure("In numbers", note, scroller(table))
