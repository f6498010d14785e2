"""A run as a trace of the three units, for https://ui.perfetto.dev or chrome://tracing.

Format: "Trace Event Format", complete events (``X``); a cycle is shown as a microsecond.
"""

from __future__ import annotations

from typing import Any

from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program


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
