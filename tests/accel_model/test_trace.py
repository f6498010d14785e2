"""The trace of a run is a trace that viewers read."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.accel_model.test_memory import SPEC, network
from tests.accel_model.test_timing import random_conv
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.trace import TraceError, write_trace


def test_slices_are_the_instructions(tmp_path: Path) -> None:
    hand, made = random_conv("bitmap", 2)
    program = hand.program()
    run = Machine(SPEC).run(program, hand.data)
    path = tmp_path / "run.json"
    write_trace(run, program, path)
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events
             if event["name"] == "thread_name"}
    assert names == {0: "load", 1: "compute", 2: "store"}
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == len(hand.stream)
    conv = slices[made["pc"]]
    assert conv["name"] == "conv1 conv"
    assert conv["tid"] == 1
    assert conv["ts"] == run.start[made["pc"]]
    assert conv["dur"] == run.counters["cycles"][made["pc"]]
    assert conv["args"] == {"pc": made["pc"], "bytes": 0,
                            "macs": np.count_nonzero(made["weight"]) * 30}
    for unit in names:
        mine = [(each["ts"], each["dur"]) for each in slices if each["tid"] == unit]
        assert all(a + d <= b for (a, d), (b, _) in pairwise(mine))
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_instructions_of_no_layer(tmp_path: Path) -> None:
    hand = network()
    hand.layers.clear()
    program = hand.program()
    write_trace(Machine(SPEC).run(program, hand.data), program, tmp_path / "t")
    events = json.loads((tmp_path / "t").read_text())["traceEvents"]
    assert events[-1]["name"] == "store"


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    hand = network()
    program = hand.program()
    run = Machine(SPEC).run(program, hand.data)
    with pytest.raises(TraceError, match="missing/t: the trace cannot be written"):
        write_trace(run, program, tmp_path / "missing" / "t")
    (tmp_path / "there").mkdir()
    with pytest.raises(TraceError, match="cannot be written"):
        write_trace(run, program, tmp_path / "there")
    assert [each.name for each in tmp_path.iterdir()] == ["there"]
