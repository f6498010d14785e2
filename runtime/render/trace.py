"""The runs of a network's regions as one trace for Perfetto."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.machine.trace import counter_events, trace_events
from zeroskip.accel_model.program.program import Program


def timeline_events(
    runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> list[dict[str, Any]]:
    """Slices and counters of the runs, by region in the order of execution.

    Every region is a process with a thread for each unit and starts where the one before it ended:
    what the host does in between takes no time here. A cycle is shown as a microsecond. No number
    is given twice, as an operating system gives them: Perfetto takes threads of one number for the
    same.
    """
    events: list[dict[str, Any]] = []
    start = 0
    for region, (name, run) in enumerate(runs.items()):
        for event in (*trace_events(run, programs[name]), *counter_events(run, programs[name])):
            event["pid"] = first = 1 + region * (1 + len(UNITS))
            if "tid" in event:
                event["tid"] += first + 1
            if "ts" in event:
                event["ts"] += start
            events.append(event)
        start += run.cycles
    return events
