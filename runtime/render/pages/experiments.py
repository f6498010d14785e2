"""A sweep or a search as a page: for each network its Pareto fronts, parallel coordinates and the
points that no other beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from zeroskip.runtime.experiments.metrics import METRICS, Metric, unbeaten
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.experiment_table import (
    figure_cells,
    front_metrics,
    quality_text,
    setting_text,
)
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.document import document
from zeroskip.runtime.render.pages.elements import Element, figure, scroller, tag
from zeroskip.runtime.render.pages.fronts import front_charts, front_figures
from zeroskip.runtime.render.pages.parallel import parallel_charts, parallel_figure

MOST = 2000  # points of a chart: more cannot be told apart, and make a page slow
ROWS = 200  # of the table


class _Network(NamedTuple):
    """The points of a network. metrics: in which those of its front are not beaten. shown: points
    that are drawn."""

    name: str
    own: Table
    metrics: list[Metric]
    shown: Table


def experiment_page(
    table: Table, title: str, metrics: Sequence[Metric] | None = None, *, command: str = ""
) -> str:
    """The page as HTML. metrics: in which the points of the table's front are not beaten; those of
    ``front_metrics`` if they are left out. command: the one that made it."""
    content: list[Element] = []
    failed = sum(failure is not None for failure in table.columns["failure"])
    words = f"{len(table):,} points" + (f", of which {failed:,} have no figures" if failed else "")
    content.append(tag("p", words, class_="headline"))
    for network, own, asked, shown in _networks(table, metrics):
        best = own.front(*(metric.name for metric in asked))
        content.append(tag("h2", network, class_="network"))
        if charts := front_figures(own, shown):
            content.append(tag("div", *charts, class_="charts"))
        content += parallel_figure(own, shown, asked)
        if len(best):
            content.append(_table(own, best, asked))
    scripts = ["tips.js", "scroll.js", "parallel.js"]
    return document(title, content, scripts, command=command)


def experiment_charts(table: Table, metrics: Sequence[Metric] | None = None) -> list[Chart]:
    """The page's charts as files: of each network its Pareto fronts, then parallel coordinates."""
    return [
        chart
        for network, own, asked, shown in _networks(table, metrics)
        for chart in (
            *front_charts(own, shown, network),
            *parallel_charts(own, shown, asked, network),
        )
    ]


def _networks(table: Table, metrics: Sequence[Metric] | None) -> Iterator[_Network]:
    """The networks that have figures."""
    for network in table.networks:
        own = table.of(network)
        asked = front_metrics(own) if metrics is None else list(metrics)
        if asked:
            yield _Network(network, own, asked, _thinned(own, asked))


def _thinned(table: Table, metrics: Sequence[Metric]) -> Table:
    """As many points as are drawn: those of the front, and others at equal distances in the
    table."""
    if len(table) <= MOST:
        return table
    front = unbeaten(table.rows, metrics)[:MOST]
    step = len(table) / max(1, MOST - len(front))
    others = [int(number * step) for number in range(MOST - len(front))]
    return table.at(sorted({*front, *others}))


# ------------------------------------------------------------------------------------ the table


def _table(own: Table, best: Table, metrics: Sequence[Metric]) -> Element:
    order = next((each for each in metrics if each.best == "min"), metrics[0])
    rows = sorted(best.rows, key=lambda row: order.loss(row[order.column]))
    quality = next((METRICS[each] for each in ("accuracy", "snr") if own.has(METRICS[each])), None)
    choices = own.choices
    alike = [name for name in choices if len(rows) > 1 and len(set(best.columns[name])) == 1]
    several = [name for name in choices if name not in alike]
    names = ["scheme", "sparsity", *several]
    texts = {name for name in several if isinstance(best.columns[name][0], str)}
    sides = dict.fromkeys(texts, "text")  # on the left; numbers are on the right
    figures = ["cycles", "ms", "uJ", "mm2", "KiB", "on CPU"]
    heads = [*names, *(() if quality is None else (quality.label,)), *figures]
    lines = [
        tag(
            "tr",
            tag("th", str(row["scheme"]), scope="row"),
            tag("td", f"{row['sparsity']:.1%}"),
            *(tag("td", setting_text(row[name]), class_=sides.get(name)) for name in several),
            *(() if quality is None else (tag("td", quality_text(row, quality)),)),
            *(tag("td", cell) for cell in figure_cells(row)),
        )
        for row in rows[:ROWS]
    ]
    cut = f"; the first {ROWS} of {len(rows):,}" if len(rows) > ROWS else ""
    words = ", ".join(metric.name for metric in metrics)
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, class_=sides.get(name)) for name in heads))),
        tag("tbody", *lines),
        class_="schemes",
    )
    same = "; ".join(f"{name} {setting_text(best.columns[name][0])}" for name in alike)
    note = (
        f"Points that no other is as good as in {words}, by {order.label}{cut}. A point that leaves "
        "more multiplies to the CPU counts as beating none that leaves less."
        + (f" All have {same}." if same else "")
    )
    return figure("In numbers", note, scroller(table))
