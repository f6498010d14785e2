"""The timeline for Perfetto: events as the Trace Event Format has them, counters that add up.

The format is Google's "Trace Event Format"; Perfetto reads it as its "Chrome JSON" importer does:
slices of a track may nest but not overlap partly, a counter holds until its next event. That
Perfetto reads it so is asked of itself in ``test_trace_in_perfetto.py``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.nets import small_net
from zeroskip.accel_model.machine.occupancy import occupancy
from zeroskip.accel_model.machine.run import Run
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.files import write_timeline

Events = list[dict[str, Any]]
Counter = list[tuple[int, float]]
NUMBERS = (int, float)
FIELDS: dict[str, dict[str, Any]] = {  # by phase: what an event must have beside name and pid
    "M": {"args": dict},
    "X": {"tid": int, "ts": NUMBERS, "dur": NUMBERS, "args": dict},
    "C": {"ts": NUMBERS, "args": dict},
}
METADATA = {"process_name", "thread_name"}


class Traced:
    """Two regions with a node between them that stays on the CPU."""

    def __init__(self, target: str, folder: Path) -> None:
        self.network: Network = compile_network(small_net(cpu_node=True), target)
        self.runs: dict[str, Run] = Session(self.network).time()
        write_timeline(folder / "timeline.json", self.runs, self.network.programs)
        self.file: dict[str, Any] = json.loads((folder / "timeline.json").read_text())
        self.events: Events = self.file["traceEvents"]
        self.cycles = sum(run.cycles for run in self.runs.values())

    def counters(self) -> dict[str, Counter]:
        """By name: times and values of all regions, one after another."""
        found: dict[str, Counter] = defaultdict(list)
        for event in self.events:
            if event["ph"] == "C":
                (value,) = event["args"].values()
                found[event["name"]].append((event["ts"], value))
        return found


@pytest.fixture(scope="module", params=["sparse256", "scnn256"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return Traced(request.param, tmp_path_factory.mktemp("trace"))


def area(counter: Counter) -> float:
    """The sum over all cycles."""
    return sum(value * (until - at) for (at, value), (until, _) in pairwise(counter))


def test_every_event_is_one_of_the_format(traced: Traced) -> None:
    assert traced.file["displayTimeUnit"] in ("ms", "ns")
    for event in traced.events:
        fields = {"name": str, "pid": int, **FIELDS[event["ph"]]}
        for field, kind in fields.items():
            assert isinstance(event[field], kind), (field, event)
        if event["ph"] == "M":
            assert event["name"] in METADATA
            assert isinstance(event["args"]["name"], str)
        else:
            assert 0 <= event["ts"] <= traced.cycles
        if event["ph"] == "C":
            assert all(isinstance(value, NUMBERS) for value in event["args"].values())


def test_every_track_is_named_and_its_slices_do_not_overlap(traced: Traced) -> None:
    named = {(event["pid"], event.get("tid")) for event in traced.events if event["ph"] == "M"}
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in traced.events:
        if event["ph"] == "X":
            tracks[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert len({pid for pid, _ in tracks}) == len(traced.runs)
    numbers = [*{pid for pid, _ in tracks}, *(tid for _, tid in tracks)]
    assert len(set(numbers)) == len(numbers)  # Perfetto takes threads of one number for the same
    for track, slices in tracks.items():
        assert track in named
        assert (track[0], None) in named
        for (_, end), (start, _) in pairwise(sorted(slices)):
            assert end <= start


def test_counters_come_in_the_order_of_time_and_end_at_nothing(traced: Traced) -> None:
    counters = traced.counters()
    assert set(counters) == {"ACT", "WGT", "ACC", "PAR", "DRAM bus", "multipliers"}
    for counter in counters.values():
        times = [at for at, _ in counter]
        assert times == sorted(times)
        assert times[0] == 0
        assert min(value for _, value in counter) >= 0
        assert counter[-1] == (traced.cycles, 0)


def test_counters_add_up_to_what_was_counted(traced: Traced) -> None:
    counters, spec = traced.counters(), traced.network.spec
    totals = [run.totals for run in traced.runs.values()]
    assert area(counters["DRAM bus"]) == pytest.approx(sum(each["dram_bytes"] for each in totals))
    assert area(counters["multipliers"]) == pytest.approx(sum(each["macs"] for each in totals))
    assert max(value for _, value in counters["multipliers"]) <= spec.array.macs
    assert max(value for _, value in counters["DRAM bus"]) <= spec.dram.bytes_per_cycle
    sizes = {"ACT": spec.sram.act_bytes, "WGT": spec.sram.wgt_bytes, "PAR": spec.sram.par_bytes}
    for name, size in sizes.items():
        assert 0 < max(value for _, value in counters[name]) <= size / 1024


def test_memories_are_as_full_as_their_rows_are_live(traced: Traced) -> None:
    """At cycles of any region, what ``occupancy`` says of it, in KiB."""
    counters, began = traced.counters(), 0
    for name, run in traced.runs.items():
        for memory, each in occupancy(traced.network.programs[name], run).items():
            times = np.array([at for at, _ in counters[memory]])
            for cycle in np.linspace(0, run.cycles - 1, 20).astype(int).tolist():
                _, value = counters[memory][np.searchsorted(times, began + cycle, "right") - 1]
                live = each.live[np.searchsorted(each.cycle, cycle, "right") - 1]
                assert value == pytest.approx(live * each.row_bytes / 1024)
        began += run.cycles
