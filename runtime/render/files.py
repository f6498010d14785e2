"""Files that a run leaves behind, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.archive import npy_chunks, write_zip
from zeroskip.accel_model.io.atomic_write import write_whole
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.machine.trace import trace_events
from zeroskip.accel_model.program.program import Program
from zeroskip.runtime.analysis.comparison import Comparison
from zeroskip.runtime.analysis.report import Report
from zeroskip.runtime.render.pages.comparison import comparison_page
from zeroskip.runtime.render.pages.report import report_page

if TYPE_CHECKING:
    from zeroskip.runtime.execution.validation import Validation


def write_arrays(path: str | Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """An .npz file; unlike ``numpy.savez`` it takes arrays of any name."""
    members = {f"{name}.npy": npy_chunks(array) for name, array in arrays.items()}
    write_whole(path, lambda out: write_zip(out, members))


def write_onnx(path: str | Path, model: Any) -> None:
    """An onnx.ModelProto."""
    content = model.SerializeToString()
    write_whole(path, lambda out: out.write(content))


def write_report(path: str | Path, report: Report) -> None:
    """A report as JSON."""
    text = json.dumps(report.to_table(), indent=1)
    write_whole(path, lambda out: out.write(text.encode()))


def write_layers(path: str | Path, report: Report) -> None:
    """A report's layers as CSV: a line each, in the order of execution; nested figures are columns
    such as ``lost.zeros``."""
    rows = [
        {"region": region.name, **_flat(asdict(layer))}
        for region in report.regions
        for layer in region.layers
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["region"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, lambda out: out.write(text.getvalue().encode()))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within a table as its own keys; a shape as ``1x64x56x56``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            shape = isinstance(value, tuple | list)
            flat[prefix + key] = "x".join(map(str, value)) if shape else value
    return flat


def write_validation(path: str | Path, found: Validation) -> None:
    """A validation as JSON."""
    text = json.dumps(found.to_table(), indent=1)
    write_whole(path, lambda out: out.write(text.encode()))


def write_page(
    path: str | Path, report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> None:
    """A report as one HTML file. runs, programs: by region, those that it was made of."""
    text = report_page(report, runs, programs)
    write_whole(path, lambda out: out.write(text.encode()))


def write_comparison(path: str | Path, made: Comparison) -> None:
    """A comparison as JSON."""
    text = json.dumps(made.to_table(), indent=1)
    write_whole(path, lambda out: out.write(text.encode()))


def write_comparison_page(path: str | Path, made: Comparison) -> None:
    """A comparison as one HTML file."""
    text = comparison_page(made)
    write_whole(path, lambda out: out.write(text.encode()))


def write_timeline(
    path: str | Path, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> None:
    """The runs, by region in the order of execution, for https://ui.perfetto.dev.

    Every region has a track of its own and starts where the one before it ended: what the host does
    in between takes no time here. A cycle is shown as a microsecond.
    """
    events: list[dict[str, Any]] = []
    start = 0
    for region, (name, run) in enumerate(runs.items()):
        for event in trace_events(run, programs[name]):
            event["pid"] = region
            if "ts" in event:
                event["ts"] += start
            events.append(event)
        start += run.cycles
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
    write_whole(path, lambda out: out.write(text.encode()))
