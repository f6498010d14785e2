"""Each rule of the audit fires on a run that breaks it, and on no other rule's account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.accel_model.by_name import with_lanes
from tests.campaigns.programs import NETWORKS, TARGETS, sample, tiny
from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.lane_geometry import LANE_SPLITS
from zeroskip.accel_model.machine.audit import audit
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import COMPUTE, LOAD, STORE, Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.physics.part import Resource
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec

Doctored = tuple[AccelSpec, Run]


@pytest.fixture(scope="module")
def honest() -> tuple[Program, Run]:
    one = sample("residual", tiny(load_spec("sparse256")), "residual", seed=0)
    return one.program, Machine(one.spec).run(one.program, one.inputs[0])


def copied(run: Run) -> Run:
    """The run with counters and times that may be changed."""
    times = {name: getattr(run, name).copy() for name in ("ready", "start", "free", "end")}
    return replace(
        run, counters={name: each.copy() for name, each in run.counters.items()}, **times
    )


def changed(counter: str, by: int, pick: Callable[[Run], np.ndarray]) -> Callable[[Run], Run]:
    """One counter of the first instruction that is picked."""

    def change(run: Run) -> Run:
        run = copied(run)
        run.counters[counter][int(np.flatnonzero(pick(run))[0])] += by
        return run

    return change


def convolutions(run: Run) -> np.ndarray:
    convs: np.ndarray = (run.unit == COMPUTE) & (run.counters["wgt_words"] > 0)
    return convs


def all_transfers(run: Run) -> np.ndarray:
    return run.counters["useful_bytes"] > 0


def swapped_multiplies(run: Run) -> Run:
    """All multiplies of a layer in one of its instructions; their sum is right."""
    run = copied(run)
    macs = run.counters["macs"]
    mine = np.flatnonzero(macs)[:2]
    macs[mine[0]], macs[mine[1]] = macs[mine].sum(), 0
    return run


def fast_array(run: Run) -> Run:
    run = copied(run)
    run.counters["cycles"][run.unit == COMPUTE] = 1
    return run


def nothing_moved(unit: int) -> Callable[[Run], Run]:
    def change(run: Run) -> Run:
        run = copied(run)
        run.counters["useful_bytes"][run.unit == unit] = 0
        return run

    return change


def shifted(name: str, by: int) -> Callable[[Run], Run]:
    def change(run: Run) -> Run:
        run = copied(run)
        getattr(run, name)[3] += by
        return run

    return change


def early(run: Run) -> Run:
    """The second instruction of the load unit starts, and is free, a cycle too early."""
    run = copied(run)
    pc = np.flatnonzero(run.unit == LOAD)[1]
    for times in (run.ready, run.start, run.free):
        times[pc] -= 1
    return run


def at_once(run: Run) -> Run:
    """The first store has the bus together with the load before it."""
    run = copied(run)
    loads, stores = (
        np.flatnonzero((run.unit == unit) & (run.counters["dram_bytes"] > 0))
        for unit in (LOAD, STORE)
    )
    store = stores[0]
    before = loads[run.start[loads] < run.start[store]][-1]
    moved = run.start[store] - run.start[before]
    for times in (run.ready, run.start, run.free):
        times[store] -= moved
    return run


def busier(by: int) -> Callable[[Run], Run]:
    """Multipliers that do more than there is time for, or less."""

    def change(run: Run) -> Run:
        slots = run.slots.copy()
        slots[int(np.flatnonzero(convolutions(run))[0]), -1] += by
        return replace(run, slots=slots)

    return change


def lent(run: Run) -> Run:
    """One of the things that multipliers do takes negative time, another as much more."""
    slots = run.slots.copy()
    row = slots[int(np.flatnonzero(convolutions(run))[0])]
    row[0], row[1] = row[0] + row[1] + 1, -1
    return replace(run, slots=slots)


RULES: dict[str, Callable[[Run], Run]] = {
    r"layer '.*': \d+ multiplies were done and \d+ passed over, not \d+": changed(
        "macs", -1, convolutions
    ),
    r"layer '.*': \d+ multiplies were by inputs within the image, not \d+": changed(
        "real_macs", 1, convolutions
    ),
    r"layer '.*': \d+ multiplies took \d+ cycles, less than": fast_array,
    r"layer '.*': \d+ bytes of weights were loaded, and they have \d+": changed(
        "wgt_words", -500, lambda run: (run.unit == LOAD) & (run.counters["wgt_words"] > 500)
    ),
    r"pc \d+: it moved fewer bytes than it was asked for": changed(
        "dram_bytes", -2000, all_transfers
    ),
    r"pc \d+: it moved bytes faster than the bus can": changed("cycles", -1, all_transfers),
    r"pc \d+: what its multipliers did is not": busier(1),
    r"pc \d+: what its multipliers did is not what": busier(-1),
    r"pc \d+: what its multipliers did is not what there was time for": lent,
    r"pc 3: it started before its tokens were there": shifted("ready", 10**6),
    r"pc 3: it freed its unit before it was done": shifted("free", -1),
    r"pc 3: it was complete before it was done": shifted("end", -(10**6)),
    r"the load unit: two instructions overlap": early,
    r"the bus: two transfers overlap": at_once,
    r"program: 0 bytes were loaded, and weights and inputs have \d+": nothing_moved(LOAD),
    r"program: 0 bytes were stored, and outputs have 10": nothing_moved(STORE),
    r"program: bytes moved faster than the bus can": lambda run: replace(run, cycles=10),
    r"program: it ended before its last instruction": lambda run: replace(
        run, cycles=run.cycles - 1
    ),
}


@pytest.mark.parametrize("sentence", RULES)
def test_a_run_that_breaks_a_rule(sentence: str, honest: tuple[Program, Run]) -> None:
    program, run = honest
    audit(program.spec, program, run)
    with pytest.raises(MachineError, match=f"audit of {sentence}"):
        audit(program.spec, program, RULES[sentence](run))


def test_more_real_multiplies_than_multiplies(honest: tuple[Program, Run]) -> None:
    """All of a layer's in one of its instructions; their sum is right."""
    program, run = honest[0], copied(honest[1])
    real, layer_of = run.counters["real_macs"], program.layer_of
    first, other = next(
        (a, b)
        for a in np.flatnonzero(real)
        for b in np.flatnonzero(real)
        if a < b and layer_of[a] == layer_of[b]
    )
    real[first], real[other] = real[first] + real[other], 0
    with pytest.raises(
        MachineError,
        match=rf"pc {first}: it did fewer multiplies than it has real "
        "inputs for",
    ):
        audit(program.spec, program, run)
    real[first] -= real[first] // 2
    with pytest.raises(MachineError, match="multiplies were by inputs within the image, not"):
        audit(program.spec, program, run)


def test_more_multiplies_than_multipliers(honest: tuple[Program, Run]) -> None:
    program, run = honest
    narrow = with_lanes(program.spec, pixels=1)
    with pytest.raises(MachineError, match="multiplies took"):
        audit(narrow, program, run)
    with pytest.raises(MachineError, match=r"pc \d+: it did more multiplies than the array has"):
        audit(program.spec, replace(program, layers=()), _crowded(run))
    wide = replace(program.spec, dram=replace(program.spec.dram, bytes_per_cycle=1024))
    cycles = int(run.counters["macs"].sum()) // wide.array.macs - 1
    with pytest.raises(MachineError, match="program: more multiplies were done than the array"):
        audit(wide, program, replace(run, cycles=cycles))


def _crowded(run: Run) -> Run:
    """All multiplies in one instruction."""
    run = copied(run)
    macs = run.counters["macs"]
    at, total = int(np.flatnonzero(macs)[0]), int(macs.sum())
    macs[:] = 0
    macs[at] = total
    return run


def test_outputs_count_once_and_not_where_the_image_is(honest: tuple[Program, Run]) -> None:
    program, run = honest
    (out,) = program.outputs
    twice = replace(program, outputs=(out, replace(out, name="again")))
    audit(program.spec, twice, run)
    constant = replace(program, outputs=(replace(out, address=0),))
    audit(program.spec, constant, nothing_moved(STORE)(run))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_needs_are_close_to_what_is_moved(name: str, target: str) -> None:
    """Where all fits on chip, weights come with their headers and padding and no more."""
    one = sample(name, load_spec(target), name, seed=0)
    run = Machine(one.spec).run(one.program, one.inputs[0])
    loaded = 4 * int(run.counters["wgt_words"][run.unit == LOAD].sum())
    needed = sum(layer.weight_bytes for layer in one.program.layers)
    assert needed <= loaded <= 2.5 * needed


# --------------------------------------------------------------------------------------- ports


def narrowed(spec: AccelSpec, resource: str, user: str, **changes: Any) -> tuple[Resource, ...]:
    """The target's memories and paths, where one port of one of them is another."""
    return tuple(
        replace(
            one,
            ports=tuple(
                replace(port, **changes) if (one.name, port.user) == (resource, user) else port
                for port in one.ports
            ),
        )
        for one in physics.resources(spec)
    )


USED_PORTS = [
    ("ACT", "fetch"),
    ("ACT", "write-back, load and store"),
    ("WGT", "lane"),
    ("WGT", "load"),
    ("ACC", "drain"),
    ("PAR", "requantize"),
    ("PAR", "load"),
    ("staging", "drain or write-back"),
    ("windows", "fetch"),
    ("windows", "lane"),
    ("fetch registers", "fetch"),
    ("row registers", "fetch"),
    ("row registers", "multipliers"),
    ("requantize units", "drain"),
    ("addition units", "write-back"),
    ("result tables", "write-back or lookup"),
    ("load and store row buffers", "load"),
    ("load and store row buffers", "store"),
]


def test_every_port_of_a_target_is_tried() -> None:
    spec = load_spec("sparse256")
    declared = [(one.name, port.user) for one in physics.resources(spec) for port in one.ports]
    assert sorted(declared) == sorted(USED_PORTS)
    assert all(port.flows for one in physics.resources(spec) for port in one.ports)


@pytest.fixture(scope="module")
def partial() -> tuple[Program, Run]:
    """A run with partial sums."""
    one = sample("reduction", tiny(load_spec("sparse256")), "reduction", seed=0)
    return one.program, Machine(one.spec).run(one.program, one.inputs[0])


@pytest.fixture(scope="module")
def tabled() -> tuple[Program, Run]:
    """A run with tables of results."""
    one = sample("looked_up", tiny(load_spec("sparse256")), "looked_up", seed=0)
    return one.program, Machine(one.spec).run(one.program, one.inputs[0])


@pytest.fixture(scope="module")
def depthwise() -> tuple[Program, Run]:
    """A run with row registers."""
    one = sample("depthwise", load_spec("sparse256"), "depthwise", seed=0)
    return one.program, Machine(one.spec).run(one.program, one.inputs[0])


@pytest.mark.parametrize(("resource", "user"), USED_PORTS)
def test_a_port_that_passes_less_is_noticed(
    resource: str,
    user: str,
    honest: tuple[Program, Run],
    partial: tuple[Program, Run],
    tabled: tuple[Program, Run],
    depthwise: tuple[Program, Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a hundredth less than the busiest instruction uses, with its pc and bytes."""
    own = {"ACC": partial, "result tables": tabled, "row registers": depthwise}
    program, run = own.get(resource, honest)
    spec, count = program.spec, run.counters
    one = next(one for one in physics.resources(spec) if one.name == resource)
    port = next(port for port in one.ports if port.user == user)
    passed = port.unit * np.sum([count[flow] for flow in port.flows], axis=0)
    rate = passed / count["cycles"]
    most = float(rate.max())
    assert 0 < most <= port.unit * one.per_cycle(port)
    uses = 0.99 * most / (one.count * one.width)
    less = narrowed(spec, resource, user, uses=uses)
    monkeypatch.setattr(physics, "resources", lambda _spec: less)
    pc = int(np.argmax(rate > 0.99 * most))
    with pytest.raises(
        MachineError,
        match=rf"audit of pc {pc}: {passed[pc]} bytes went through port '{user} .*' of {resource} "
        rf"in {count['cycles'][pc]} cycles, which passes",
    ):
        audit(spec, program, run)


def test_windows_four_bytes_wide_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One array for each lane instead of 16 banks: a fetch would take 16 cycles."""
    one = sample("residual", load_spec("sparse256"), "residual", seed=0)
    banked = physics.resources(one.spec)
    single = tuple(
        replace(
            each,
            count=each.count // 16,
            bytes=each.bytes * 16,
            ports=(each.ports[0], replace(each.ports[1], uses=1)),
        )
        if each.name == "windows"
        else each
        for each in banked
    )
    Machine(one.spec).run(one.program, one.inputs[0])
    monkeypatch.setattr(physics, "resources", lambda _spec: single)
    with pytest.raises(MachineError, match=r"bytes went through port 'fetch 1w' of windows in"):
        Machine(one.spec).run(one.program, one.inputs[0])


@pytest.mark.parametrize(
    ("event", "flow"),
    [(event, flow) for event, split in LANE_SPLITS.items() for flow in split.flows],
)
def test_a_flow_that_its_event_does_not_count(
    event: str, flow: str, honest: tuple[Program, Run]
) -> None:
    """A byte more, where there is room for it: flows are all that their event counts."""
    program, run = honest[0], copied(honest[1])
    pc = int(np.argmax(run.counters["cycles"]))
    run.counters[flow][pc] += 1
    counter = program.spec.kind.events[event]
    with pytest.raises(MachineError, match=rf"pc {pc}: .*{flow}.* not the bytes of its {counter}"):
        audit(program.spec, program, run)


def test_reading_and_writing_cost_what_each_costs(honest: tuple[Program, Run]) -> None:
    program, run = honest
    price, total = physics.prices(program.spec)["acc_row"], run.totals
    act = physics.prices(program.spec)["act_row"]
    read = (total["act_fetched"] + total["act_stored"]) // 16
    written = (total["act_written"] + total["act_loaded"]) // 16
    assert read + written == total["act_rows"]
    assert act.read != act.write
    assert price.read != price.write
    assert run.energy["act_row"] == pytest.approx(act.read * read + act.write * written)
