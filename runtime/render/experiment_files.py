"""Tables of experiments as files, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zeroskip.accel_model.io.atomic_write import write_whole
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.metrics import Metric
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.files import write_chart_files, write_text
from zeroskip.runtime.render.pages.experiments import experiment_charts, experiment_page


def write_csv(path: str | Path, table: Table) -> None:
    """A line for each point; what it has not is empty. The path -: standard output, as of JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*table.columns.values(), strict=True))
    write_text(path, text.getvalue())


def write_json(path: str | Path, table: Table) -> None:
    """A list with an object for each point."""
    write_text(path, json.dumps(table.rows, indent=1))


def write_experiment_page(
    path: str | Path,
    table: Table,
    title: str,
    metrics: Sequence[Metric] | None = None,
    command: str = "",
) -> None:
    """One HTML file with fronts, parallel coordinates and the points that no other beats. metrics:
    in which they are not beaten; command: the one that made it."""
    write_text(path, experiment_page(table, title, metrics, command=command))


def write_experiment_charts(
    folder: Path, table: Table, metrics: Sequence[Metric] | None = None, ending: str = ".svg"
) -> list[Path]:
    """The charts of that page as files, .svg or .png, whose paths are given back."""
    return write_chart_files(folder, experiment_charts(table, metrics), ending)


def check_parquet() -> None:
    """ExperimentError without the library that writes Parquet: asked before anything is
    measured."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ExperimentError(
            "Parquet needs pyarrow: pip install 'zeroskip[parquet]', or write --csv"
        ) from None


def write_parquet(path: str | Path, table: Table) -> None:
    """Parquet; a column of numbers and texts is one of texts. ExperimentError without pyarrow."""
    check_parquet()
    import pyarrow
    from pyarrow import parquet

    made = pyarrow.table({name: _alike(values) for name, values in table.columns.items()})
    write_whole(path, lambda out: parquet.write_table(made, out))


def _alike(values: Sequence[Any]) -> Sequence[Any]:
    if {str} < {type(value) for value in values if value is not None}:
        return [None if value is None else str(value) for value in values]
    return values
