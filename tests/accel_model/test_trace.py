"""The trace of a run is a trace that viewers read."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np

from tests.accel_model.test_memory import SPEC, network
from tests.accel_model.test_timing import random_conv
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.trace import trace_events


def test_slices_are_the_instructions() -> None:
    hand, made = random_conv("bitmap", 2)
    program = hand.program()
    run = Machine(hand.spec).run(program, hand.data)
    events = json.loads(json.dumps(trace_events(run, program)))
    names = {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    assert names == {0: "load", 1: "compute", 2: "store"}
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == len(hand.stream)
    conv = slices[made["pc"]]
    assert conv["name"] == "conv1 conv"
    assert conv["tid"] == 1
    assert conv["ts"] == run.start[made["pc"]]
    assert conv["dur"] == run.counters["cycles"][made["pc"]]
    assert conv["args"] == {
        "pc": made["pc"],
        "bytes": 0,
        "macs": np.count_nonzero(made["weight"]) * 30,
    }
    for unit in names:
        mine = [(each["ts"], each["dur"]) for each in slices if each["tid"] == unit]
        assert all(a + d <= b for (a, d), (b, _) in pairwise(mine))


def test_instructions_of_no_layer() -> None:
    hand = network()
    hand.layers.clear()
    program = hand.program()
    events = trace_events(Machine(SPEC).run(program, hand.data), program)
    assert events[-1]["name"] == "store"
