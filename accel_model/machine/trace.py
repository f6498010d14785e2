"""A run as a trace of the three units, for https://ui.perfetto.dev or chrome://tracing.

Format: "Trace Event Format", complete events (``X``) and counters (``C``); a cycle is shown as a
microsecond.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine.occupancy import occupancy
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program

Int64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def trace_events(run: Run, program: Program) -> list[dict[str, Any]]:
    """Names of the units, then one slice for each instruction: while its unit is busy."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 0, "name": "process_name", "args": {"name": program.name}}
    ]
    events += [
        {
            "ph": "M",
            "pid": 0,
            "tid": number,
            "name": "thread_name",
            "args": {"name": str(unit.name).lower()},
        }
        for number, unit in enumerate(UNITS)
    ]
    nodes = [*(layer.node for layer in program.layers), ""]  # layer -1: none
    columns = (
        run.unit,
        run.start,
        run.free,
        run.counters["dram_bytes"],
        run.counters["macs"],
        program.layer_of,
    )
    rows = zip(decode_all(program.words), *(column.tolist() for column in columns), strict=True)
    for pc, (one, unit, start, free, moved, macs, layer) in enumerate(rows):
        events.append(
            {
                "ph": "X",
                "pid": 0,
                "tid": unit,
                "name": f"{nodes[layer]} {one.mnemonic}".strip(),
                "ts": start,
                "dur": free - start,
                "args": {"pc": pc, "bytes": moved, "macs": macs},
            }
        )
    return events


def counter_events(run: Run, program: Program) -> list[dict[str, Any]]:
    """Counters over the run, each at the cycles where it changes, 0 at the end: KiB of ACT, WGT,
    ACC and PAR that are still to be read; bytes a cycle on the DRAM bus and multiplies a cycle,
    means over each instruction."""
    events: list[dict[str, Any]] = []
    for name, memory in occupancy(program, run).items():
        events += _counter(name, "KiB", memory.cycle, memory.live * memory.row_bytes / 1024)
    events += _counter("DRAM bus", "bytes a cycle", *_rate(run, "dram_bytes"))
    events += _counter("multipliers", "MACs a cycle", *_rate(run, "macs"))
    last = max(run.cycles, 1)
    return [event for event in events if event["ts"] < last] + [
        {**event, "ts": last, "args": dict.fromkeys(event["args"], 0)}
        for event in {event["name"]: event for event in events}.values()
    ]


def _rate(run: Run, counter: str) -> tuple[Int64, Floats]:
    """Cycles at which the rate of a counter changes, from 0 on, and the rate from each on: that of
    all instructions under way, each its count over the cycles for which it keeps its unit."""
    pcs = np.flatnonzero((run.counters[counter] > 0) & (run.free > run.start))
    rate = run.counters[counter][pcs] / (run.free - run.start)[pcs]
    cycle, index = np.unique(
        np.concatenate(([0], run.start[pcs], run.free[pcs])), return_inverse=True
    )
    change = np.zeros(len(cycle))
    np.add.at(change, index[1:], np.concatenate((rate, -rate)))
    return cycle.astype(np.int64), np.maximum(np.cumsum(change).round(6), 0.0)


def _counter(name: str, unit: str, cycle: Int64, value: Floats) -> list[dict[str, Any]]:
    return [
        {"ph": "C", "pid": 0, "name": name, "ts": at, "args": {unit: number}}
        for at, number in zip(cycle.tolist(), value.tolist(), strict=True)
    ]
