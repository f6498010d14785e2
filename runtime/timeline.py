"""The timeline file of a network's run: every region on a track of its own, one after another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroskip.accel_model.program import Program
from zeroskip.accel_model.run import Run
from zeroskip.accel_model.trace import trace_events
from zeroskip.compiler.network import write_whole


def write_timeline(path: str | Path, runs: Mapping[str, Run],
                   programs: Mapping[str, Program]) -> None:
    """Write the runs, by region in the order of execution, for https://ui.perfetto.dev.

    A cycle is shown as a microsecond. Between two regions the host has the data; that takes no time
    here. NetworkError if the file cannot be written; it is written whole or not at all.
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
