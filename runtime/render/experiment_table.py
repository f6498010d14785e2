"""What a sweep or a search found, as tables for terminals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table as Columns

from zeroskip.compiler.artifact.placement import percent
from zeroskip.runtime.experiments.metrics import METRICS, Metric
from zeroskip.runtime.experiments.search import Found
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.tables import plain_table

SHOWN = 20  # points of a network
REASONS = 5  # sentences of failures
QUALITY = ("accuracy", "snr")  # the first that there is
HARDWARE = ("time", "energy", "area")  # of a front, beside quality
_FIGURES = ("cycles", "ms", "uJ", "mm2", "KiB", "on CPU")


def front_metrics(table: Table) -> list[Metric]:
    """What the points of a table are ranked by: quality, time, energy and area, as far as they have
    figures of these."""
    quality = [METRICS[name] for name in QUALITY if table.has(METRICS[name])][:1]
    return quality + [METRICS[name] for name in HARDWARE if table.has(METRICS[name])]


def sweep_parts(table: Table, shown: int = SHOWN) -> list[Columns | str]:
    """For each network, the points that no other beats in ``front_metrics``; then why points
    failed."""
    metrics, parts = front_metrics(table), []
    for network in table.networks if metrics else ():
        own = table.of(network)
        front = own.front(*(metric.name for metric in metrics))
        title = f"{len(front):,} of {len(own):,} points are beaten by no other"
        parts += _front_parts(title, front, own.compiled, metrics, shown)
    return [*parts, *_failures(table)]


def found_parts(found: Found, shown: int = SHOWN) -> list[Columns | str]:
    """The best points of a search, or that there are none; then why points failed."""
    best, metrics = found.best, list(found.wish.goals)
    if not len(best):
        return [found.nearest_miss(), *_failures(found.table)]
    budgets = " and ".join(map(str, found.wish.budgets))
    title = "the best point" if len(best) == 1 else f"{len(best):,} points are beaten by no other"
    title = f"{title}{f' with {budgets}' if budgets else ''}"
    parts = _front_parts(title, best, found.table.compiled, metrics, shown)
    return [*parts, *_failures(found.table)]


def _front_parts(
    title: str, front: Table, compiled: tuple[str, ...], metrics: list[Metric], shown: int
) -> list[Columns | str]:
    """A table of points, in the order of the first metric that has to be small. compiled: of how
    they are compiled what differs, of these or others."""
    if not len(front):
        return []
    order = next((each for each in metrics if each.best == "min"), metrics[0])
    rows = sorted(front.rows, key=lambda row: order.loss(row[order.column]))
    names = [metric.name for metric in metrics]
    words = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    cut = f"; the first {shown} of them" if len(rows) > shown else ""
    table = plain_table(f"{escape(front.networks[0])}: {escape(title)} in {words}{cut}")
    quality = next((METRICS[name] for name in QUALITY if front.has(METRICS[name])), None)
    table.add_column("scheme", overflow="fold", max_width=30)
    for name in ("sparsity", "target", *front.settings, *compiled):
        table.add_column(name, justify="left" if name == "target" else "right", overflow="fold")
    for name in (*(() if quality is None else (quality.label,)), *_FIGURES):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows[:shown]:
        table.add_row(
            escape(str(row["scheme"])),
            f"{row['sparsity']:.1%}",
            escape(str(row["target"])),
            *(setting_text(row[name]) for name in front.settings),
            *(str(row[name]) for name in compiled),
            *(() if quality is None else (quality_text(row, quality),)),
            *figure_cells(row),
        )
    return [table, ""]


def setting_text(value: Any) -> str:
    """A value of a key of hardware."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def quality_text(row: Mapping[str, Any], quality: Metric) -> str:
    """``92.10%`` or ``20.3``."""
    value = quality.value(row)
    if value is None:
        return ""
    return f"{value:.2%}" if quality.name == "accuracy" else f"{value:.1f}"


def figure_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Cycles, time, energy, area, bytes and the CPU's share of a point; "" where it has none."""

    def cell(value: float | None, form: str, scale: float = 1.0) -> str:
        return "" if value is None else format(value * scale, form)

    return (
        cell(row["cycles"], ",.0f"),
        cell(row["milliseconds"], ",.3f" if (row["milliseconds"] or 0) >= 0.1 else ".3g"),
        cell(row["microjoules"], ",.1f"),
        cell(row["area_mm2"], ".2f"),
        cell(row["stored_bytes"], ",.1f", 1 / 1024),
        percent(row["cpu_share"]),
    )


def _failures(table: Table) -> list[Columns | str]:
    """The sentences of points without figures, the most frequent first."""
    failures = Counter(each for each in table.columns["failure"] if each is not None)
    if not failures:
        return []
    parts: list[Columns | str] = [
        f"{failures.total():,} of {len(table):,} points failed; --retry-failed tries them again:"
    ]
    parts += [f"  {count:,}: {escape(words)}" for words, count in failures.most_common(REASONS)]
    if len(failures) > REASONS:
        parts.append(f"  and {len(failures) - REASONS:,} other reasons, in the table's last column")
    return parts
