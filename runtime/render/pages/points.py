"""A point of a sweep or a search on a page: its colour, and what is told of it beside the
pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroskip.runtime.experiments.metrics import METRICS
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.experiment_table import setting_text
from zeroskip.runtime.render.pages.palette import series_of


def schemes_of(table: Table) -> dict[str, int]:
    """The number of each scheme's colour."""
    return series_of(table.columns["scheme"])


def tip_of(row: Mapping[str, Any], table: Table) -> str:
    """What a point is, and its figures: the lines of a tip."""
    sparsity = "" if not row["sparsity"] else f" {row['sparsity']:.0%}"
    lines = [f"{row['scheme']}{sparsity} on {row['target']}"]
    lines += [f"{key} {setting_text(row[key])}" for key in table.settings]
    lines += [f"{name} {row[name]}" for name in table.compiled]
    for metric in METRICS.values():
        value = metric.value(row)
        if value is not None and (metric.name != "cpu" or value):
            text = f"{value:.2%}" if metric.name in ("accuracy", "cpu") else f"{value:,.4g}"
            lines.append(f"{metric.label}: {text}")
    return "\n".join(lines)
