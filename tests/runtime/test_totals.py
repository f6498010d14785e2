"""The totals of a network: every one is the sum, or the quotient, that its name says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.runtime.causes import CAUSES
from tests.runtime.test_report import networks, timed
from zeroskip.accel_model.arrays.lane_geometry import LANE_EVENTS
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.artifact.placement import Placement
from zeroskip.runtime.analysis.headline import cycles_line
from zeroskip.runtime.analysis.report import Report, report

Made = tuple[dict[str, Run], dict[str, Program], Report]
PLACEMENT = Placement(2, 4096, 0, 3, 10, 1, 1000, 250)


def network(programs: dict[str, Program], **changes: object) -> Network:
    """As much of a network as a report asks for."""
    fields = {
        "name": "net",
        "spec": load_spec("sparse256"),
        "programs": programs,
        "batch": 1,
        "images": 1,
        "cpu": {"a": "why"},
        "host_macs": {"a": 250},
        "host_calls": (),
        "placement": PLACEMENT,
        **changes,
    }
    return cast(Network, SimpleNamespace(**fields))


@pytest.fixture(scope="module")
def made() -> Made:
    """Of two regions, and of a third that was not run."""
    both = {name: timed(networks()[name], "sparse256") for name in ("convolutions", "channelwise")}
    runs = {name: run for name, (run, _) in both.items()}
    programs = {name: program for name, (_, program) in both.items()}
    return runs, programs, report(network({**programs, "more": programs["channelwise"]}), runs)


def test_totals_are_of_all_regions(made: Made) -> None:
    runs, programs, found = made
    infos = [info for program in programs.values() for info in program.layers]
    assert len(found.regions) == len(runs)
    assert found.macs == sum(info.macs for info in infos)
    assert found.effectual == sum(info.effectual for info in infos)
    assert found.real_macs == sum(info.real_macs for info in infos)
    assert found.real_macs < found.effectual < found.macs
    assert found.cycles == sum(run.cycles for run in runs.values())
    assert found.dram_bytes == sum(run.totals["dram_bytes"] for run in runs.values())
    assert found.microjoules == pytest.approx(
        sum(run.picojoules for run in runs.values()) / 1e6, rel=1e-12
    )
    assert list(found.energy) == list(LANE_EVENTS)
    for event, microjoules in found.energy.items():
        assert microjoules == pytest.approx(
            sum(run.energy[event] for run in runs.values()) / 1e6, rel=1e-12
        )
    assert found.bound == sum(info.bound(256, 16) for info in infos)
    assert found.network_bound == sum(one.needs.bound(256, 16) for one in programs.values())
    assert found.reachable_bound == sum(one.reachable for one in programs.values())
    for region, name in zip(found.regions, runs, strict=True):
        assert region.bound == sum(info.bound(256, 16) for info in programs[name].layers)
        assert region.cycles == runs[name].cycles
        assert list(region.lost) == list(CAUSES)
        assert sum(region.lost.values()) == region.cycles - region.bound
    for cause in CAUSES:
        assert found.lost[cause] == sum(layer.lost[cause] for layer in found.layers)
    assert (found.network, found.target, found.batch) == ("net", "sparse256", 1)
    assert (found.cpu, found.host_macs, found.placement) == ({"a": "why"}, {"a": 250}, PLACEMENT)


def test_quotients_are_of_the_totals(made: Made) -> None:
    found = made[2]
    assert (found.clock_mhz, found.macs_per_cycle, found.bytes_per_cycle) == (500, 256, 16)
    assert found.milliseconds == pytest.approx(found.cycles / 500e6 * 1e3, rel=1e-12)
    assert found.x_bound == found.cycles / found.bound
    assert found.x_network_bound == found.cycles / found.network_bound
    assert found.network_bound < found.bound
    assert found.x_reachable_bound == found.cycles / found.reachable_bound
    assert found.network_bound < found.reachable_bound < found.cycles
    assert found.utilisation == found.real_macs / (256 * found.cycles)
    for layer in found.layers:
        assert layer.fused != layer.node


def test_traffic_is_of_what_moved(made: Made) -> None:
    """The load unit moves inputs and weights with parameters, the store unit outputs."""
    runs, programs, found = made
    infos = [info for program in programs.values() for info in program.layers]
    for kind, field in (
        ("inputs", "input_bytes"),
        ("weights", "weight_bytes"),
        ("outputs", "output_bytes"),
    ):
        assert found.traffic[kind].compulsory == sum(getattr(info, field) for info in infos)
        assert found.traffic[kind].moved == sum(layer.traffic[kind].moved for layer in found.layers)
    moved = [
        sum(int(run.counters["dram_bytes"][run.unit == unit].sum()) for run in runs.values())
        for unit in (0, 2)
    ]
    inputs, weights, outputs = (found.traffic[kind].moved for kind in found.traffic)
    assert [inputs + weights, outputs] == moved
    acts = sum(
        int(run.counters["dram_bytes"][(run.unit == 0) & (run.counters["act_rows"] > 0)].sum())
        for run in runs.values()
    )
    assert inputs == acts


def test_nothing_run_has_no_quotient() -> None:
    found = report(network({}), {})
    assert (found.cycles, found.bound, found.x_bound, found.utilisation) == (0, 0, 0.0, 0.0)


def test_the_headline_has_the_cycles_the_time_and_what_they_are_for(made: Made) -> None:
    """100,000 cycles at 500 MHz take 0.2 ms."""
    assert cycles_line(network({}), 100_000) == (
        f"100,000 cycles on sparse256, 0.200 ms at 500 MHz, {PLACEMENT.coverage()}"
    )
    assert made[2].headline == cycles_line(network({}), made[2].cycles)
    assert "75 % of the multiplies" in PLACEMENT.coverage()


@pytest.mark.parametrize("batch", [2, 5])
def test_the_headline_of_a_batch_has_its_cycles_and_time_too(batch: int) -> None:
    assert cycles_line(network({}, batch=batch), 100_000) == (
        f"100,000 cycles on sparse256, 0.200 ms at 500 MHz an image, {batch}00,000 cycles, "
        f"{batch / 5:.3f} ms for the batch of {batch}, {PLACEMENT.coverage()} an image"
    )


def test_the_headline_of_nothing_says_why() -> None:
    empty = network({}, placement=Placement(0, 0, 0, 1, 1, 1, 250, 250))
    line = cycles_line(empty, 0)
    assert "cycles on" not in line
    assert "why" in line
