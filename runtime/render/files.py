"""Files that a run leaves behind, each written whole or not at all; ``-`` is standard output."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.archive import npy_chunks, write_zip
from zeroskip.accel_model.io.atomic_write import write_whole
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.runtime.analysis.accuracy import Accuracy
from zeroskip.runtime.analysis.comparison import Comparison
from zeroskip.runtime.analysis.report import Report
from zeroskip.runtime.render.pages.chart import Chart, svg_file
from zeroskip.runtime.render.pages.comparison import comparison_charts, comparison_page
from zeroskip.runtime.render.pages.report import report_charts, report_page
from zeroskip.runtime.render.trace import timeline_events

if TYPE_CHECKING:
    from zeroskip.runtime.execution.evaluation import Evaluation
    from zeroskip.runtime.execution.validation import Validation

STDOUT = "-"
SHARP = 2.0  # pixels of a PNG for each of its SVG


class ChartError(ZeroskipError):
    """Charts that cannot be written."""


def write_arrays(path: str | Path, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """An .npz file; unlike ``numpy.savez`` it takes arrays of any name."""
    members = {f"{name}.npy": npy_chunks(array) for name, array in arrays.items()}
    write_whole(path, lambda out: write_zip(out, members))


def write_onnx(path: str | Path, model: Any) -> None:
    """An onnx.ModelProto."""
    _write_bytes(path, model.SerializeToString())


def write_report(path: str | Path, report: Report) -> None:
    """A report as JSON."""
    write_text(path, json.dumps(report.to_table(), indent=1))


def write_layers(path: str | Path, report: Report) -> None:
    """A report's layers as CSV: a line each, in the order of execution; nested figures are columns
    such as ``lost.zeros``."""
    rows = [
        {"region": region.name, **_flat(asdict(layer))}
        for region in report.regions
        for layer in region.layers
    ]
    _write_csv(path, rows, "region")


def write_validation(path: str | Path, found: Validation) -> None:
    """A validation as JSON."""
    write_text(path, json.dumps(found.to_table(), indent=1))


def write_page(
    path: str | Path,
    report: Report,
    runs: Mapping[str, Run],
    programs: Mapping[str, Program],
    command: str = "",
) -> None:
    """A report as one HTML file. runs, programs: by region, those that it was made of; command: the
    one that made it."""
    write_text(path, report_page(report, runs, programs, command=command))


def write_charts(
    folder: Path,
    report: Report,
    runs: Mapping[str, Run],
    programs: Mapping[str, Program],
    ending: str = ".svg",
) -> list[Path]:
    """The charts of a report's page as files, .svg or .png, whose paths are given back."""
    return write_chart_files(folder, report_charts(report, runs, programs), ending)


def write_evaluation(path: str | Path, found: Evaluation) -> None:
    """An evaluation as JSON."""
    write_text(path, json.dumps(found.to_table(), indent=1))


def write_answers(path: str | Path, found: Accuracy) -> None:
    """What is taken for what as CSV: a line for each label, a column for each answer."""
    names = found.classes
    rows = [
        {"label": name, **dict(zip(names, row, strict=True))}
        for name, row in zip(names, found.confusion.tolist(), strict=True)
    ]
    _write_csv(path, rows, "label")


def write_comparison(path: str | Path, made: Comparison) -> None:
    """A comparison as JSON."""
    write_text(path, json.dumps(made.to_table(), indent=1))


def write_entries(path: str | Path, made: Comparison) -> None:
    """A comparison as CSV: a line for each network on each target."""
    rows = []
    for entry in made.entries:
        own = asdict(entry)
        gains, _ = own.pop("gains"), own.pop("repeats")
        times = made.times_as_fast(entry)
        low, high = entry.interval or ("", "")
        own |= {"quality_low": low, "quality_high": high}
        rows += [
            _flat({**own, "target": target, **gains[target], "times_as_fast": times[target]})
            for target in made.targets
        ]
    _write_csv(path, rows, "scheme")


def write_comparison_page(path: str | Path, made: Comparison, command: str = "") -> None:
    """A comparison as one HTML file. command: the one that made it."""
    write_text(path, comparison_page(made, command=command))


def write_comparison_charts(folder: Path, made: Comparison, ending: str = ".svg") -> list[Path]:
    """The Pareto fronts of a comparison's page as files, .svg or .png."""
    return write_chart_files(folder, comparison_charts(made), ending)


def write_timeline(
    path: str | Path, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> None:
    """The runs, by region in the order of execution, for https://ui.perfetto.dev: ``trace.py``."""
    events = timeline_events(runs, programs)
    write_text(path, json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def write_text(path: str | Path, text: str) -> None:
    """A text as a file, or on standard output where the path is -."""
    if str(path) == STDOUT:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    else:
        _write_bytes(path, text.encode())


def _write_bytes(path: str | Path, content: bytes) -> None:
    write_whole(path, lambda out: out.write(content))


def _write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]], first: str) -> None:
    """Rows with the columns of all of them, in the order in which these come up; of no rows the
    name of the first column."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or [first]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


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


def write_chart_files(folder: Path, charts: Sequence[Chart], ending: str) -> list[Path]:
    """Charts as files, .svg or .png. ChartError if the folder cannot be made, or what draws a PNG
    is not installed."""
    draw = _png if ending == ".png" else str.encode
    drawn = {
        folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', chart.name)}{ending}": draw(svg_file(chart))
        for chart in charts
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ChartError(f"{folder}: cannot be made: {problem.strerror}") from None
    for path, content in drawn.items():
        _write_bytes(path, content)
    return list(drawn)


def check_png() -> None:
    """ChartError without the library that draws PNGs: asked before anything is measured."""
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise ChartError(
            "PNG files need a renderer of SVG: pip install 'zeroskip[png]', or write SVG with --svg"
        ) from None


def _png(svg: str) -> bytes:
    check_png()
    import resvg_py

    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=int(SHARP)))
