"""The run over time: who is at work when, and how full each memory is. ``timeline.js`` draws it.

Regions follow each other: what the host does in between takes no time here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import BY_MNEMONIC, UNITS
from zeroskip.accel_model.machine.occupancy import Occupancy, occupancy
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.runtime.analysis.cycle_attribution import Int64, Spans, layers_of
from zeroskip.runtime.analysis.report import Report
from zeroskip.runtime.render.pages.elements import Element, figure, kib, legend, tag

UNIT_NAMES = tuple(str(unit.name).lower() for unit in UNITS)
MNEMONICS = tuple(BY_MNEMONIC)
ZOOMS = (
    ("+", "in", "zoom in"),
    ("\N{MINUS SIGN}", "out", "zoom out"),
    ("all", "all", "show the whole run"),
)
COLORS = (("unit", "unit at work"), ("memory", "rows live"))
Table = dict[str, Any]


def timeline_figure(
    report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> Element:
    """The canvas and what is drawn on it."""
    table = timeline_table(report, runs, programs)
    buttons = [
        tag("button", label, type="button", data_zoom=action, aria_label=meaning)
        for label, action, meaning in ZOOMS
    ]
    return figure(
        "Timeline and memories",
        "Above, which layer the cycles belong to and how busy each unit is. Below, rows of each "
        "memory that hold something still to be read. Drag to move; pinch, double-click or "
        "Ctrl + wheel to zoom; hold still over a slice for what it is.",
        legend(COLORS),
        tag("div", *buttons, tag("output", ""), class_="zoom"),
        tag(
            "canvas",
            tag("p", "The timeline is drawn by a script."),
            id="timeline",
            tabindex="0",
            role="img",
            aria_label="Timeline of the three units and occupancy of the memories: "
            + _peaks(table),
        ),
        tag("p", _peaks(table), class_="note"),
        tag(
            "script",
            json.dumps(table, separators=(",", ":")).replace("<", "\\u003c"),
            type="application/json",
            id="timeline-data",
        ),
        class_="timeline",
    )


def timeline_table(
    report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> Table:
    """What the script draws: numbers by column."""
    table: Table = {
        "cycles": sum(runs[region.name].cycles for region in report.regions),
        "layers": [layer.title for layer in report.layers],
        "mnemonics": MNEMONICS,
        "owners": _empty("start", "length", "layer"),
        "units": {unit: _empty("start", "length", "layer", "what", "pc") for unit in UNIT_NAMES},
        "memories": {},
    }
    began = first = 0
    for region in report.regions:
        run, program = runs[region.name], programs[region.name]
        _append(table["owners"], _owners(run, program), began, first)
        for unit, columns in _slices(run, program).items():
            _append(table["units"][unit], columns, began, first)
        for name, one in occupancy(program, run).items():
            _append(
                table["memories"].setdefault(
                    name, {"rows": one.rows, "row_bytes": one.row_bytes, **_empty("start", "live")}
                ),
                _steps(one, run.cycles),
                began,
                first,
            )
        began, first = began + run.cycles, first + len(program.layers)
    return table


def _empty(*names: str) -> dict[str, list[int]]:
    return {name: [] for name in names}


def _append(table: Table, columns: Mapping[str, Int64], began: int, first: int) -> None:
    """Add a region's columns: its cycles start at ``began``, its layers at ``first``."""
    offset = {"start": began, "layer": first}
    for name, values in columns.items():
        table[name] += (values + offset.get(name, 0)).tolist()


def _owners(run: Run, program: Program) -> dict[str, Int64]:
    """Whose cycles are whose, neighbours joined."""
    spans = Spans.of(run, program)
    begins = np.flatnonzero(np.diff(spans.owner, prepend=-1))
    start = (np.cumsum(spans.length) - spans.length)[begins]
    return {
        "start": start,
        "length": np.diff(start, append=run.cycles),
        "layer": spans.owner[begins],
    }


def _slices(run: Run, program: Program) -> dict[str, dict[str, Int64]]:
    """The instructions of each unit; those that only set registers are left out."""
    what = np.array([MNEMONICS.index(one.mnemonic) for one in decode_all(program.words)], np.int64)
    layer, shown = layers_of(program), run.free - run.start > 1
    found = {}
    for number, unit in enumerate(UNIT_NAMES):
        pcs = np.flatnonzero((run.unit == number) & shown)
        found[unit] = {
            "start": run.start[pcs],
            "length": (run.free - run.start)[pcs],
            "layer": layer[pcs],
            "what": what[pcs],
            "pc": pcs,
        }
    return found


def _steps(one: Occupancy, cycles: int) -> dict[str, Int64]:
    """From each cycle on, so many live rows."""
    inside = one.cycle < max(cycles, 1)
    return {"start": one.cycle[inside], "live": one.live[inside]}


def _peaks(table: Table) -> str:
    """How full each memory becomes."""
    return "; ".join(
        f"{name} holds up to {kib(max(one['live'], default=0) * one['row_bytes'])} of "
        f"{kib(one['rows'] * one['row_bytes'])}"
        for name, one in table["memories"].items()
    )
