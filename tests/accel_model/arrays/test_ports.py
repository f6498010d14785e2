"""Every port of every kind of array: it is used, it fits, and one that is narrower is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from conftest import SEED
from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.base import ArrayError
from zeroskip.accel_model.conformance import CHECKS, RandomConvolution, failures
from zeroskip.accel_model.physics.common import stream_rate
from zeroskip.accel_model.physics.part import PartPort, Resource
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec, load_spec, targets

TILES = 30
COMMON = ("ACT", "WGT", "ACC", "PAR", "staging", "result tables")  # memories of every target
# users of ports that no convolution goes through by itself
OF_OTHERS = ("load", "store", "write-back or lookup")
OF_CHANNELWISE = ("row registers",)  # nor through these: tests/accel_model/test_audit.py


@cache
def measured(target: str) -> list[tuple[Mapping[str, int], int]]:
    """Bytes by flow, and cycles, of random tiles."""
    spec = load_spec(target)
    found: list[tuple[Mapping[str, int], int]] = []
    for number in range(TILES):
        tile = RandomConvolution(spec, np.random.default_rng([SEED, number]))
        try:
            timing = spec.kind.conv(spec, tile.case)
        except ArrayError:
            continue
        found.append((spec.kind.traffic(spec, tile.case, timing), timing.cycles))
    return found


def busiest(target: str, port: PartPort) -> float:
    """Bytes a cycle of the tile in which most go through."""
    return max(
        sum(flows.get(flow, 0) for flow in port.flows) / cycles
        for flows, cycles in measured(target)
    )


def used_ports(spec: AccelSpec) -> list[tuple[Resource, PartPort]]:
    return [
        (one, port)
        for one in physics.resources(spec)
        for port in one.ports
        if port.flows and port.user not in OF_OTHERS and one.name not in OF_CHANNELWISE
    ]


@pytest.mark.parametrize("target", targets())
def test_every_port_is_used_and_fits(target: str) -> None:
    for one, port in used_ports(load_spec(target)):
        assert 0 < busiest(target, port) <= one.per_cycle(port), f"{port} of {one.name}"


@pytest.mark.parametrize("target", targets())
def test_a_port_that_is_too_narrow_does_not_conform(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a hundredth less than the busiest tile needs; the sentence names it."""
    spec = load_spec(target)
    declared = physics.resources(spec)
    for one, port in used_ports(spec):
        uses = 0.99 * busiest(target, port) / (one.count * one.width)
        narrow = replace(port, uses=uses)
        ports = tuple(narrow if each is port else each for each in one.ports)
        less = tuple(replace(one, ports=ports) if each is one else each for each in declared)
        with monkeypatch.context() as patched:
            patched.setattr(physics, "resources", lambda _spec, less=less: less)
            patched.setattr("zeroskip.accel_model.conformance.CHECKS", {"ports": CHECKS["ports"]})
            found = list(failures(spec, TILES, SEED))
        assert len(found) == 1, f"{port} of {one.name}"
        assert f"go through port '{narrow}' of {one.name} in " in found[0]


@pytest.mark.parametrize("target", targets())
def test_memories_of_ports_are_those_of_the_target(target: str) -> None:
    """An array's own, but for registers, are ``sram_bytes``, up to a row for each instance."""
    spec = load_spec(target)
    own = [one for one in physics.resources(spec) if one.bytes and one.name not in COMMON]
    size = sum(one.count * one.bytes for one in own)
    declared = spec.kind.sram_bytes(spec)
    assert size == 0 or abs(size - declared) <= sum(one.count * one.width for one in own)


@pytest.mark.parametrize("target", ["eyeriss256", "scnn256", "sparten256"])
def test_an_array_without_products_waits_for_what_is_sent(target: str) -> None:
    """Inputs that are all zero: nothing is multiplied, and rows and streams are sent nevertheless.
    The stepped reference waits as long; where PEs fetch more than they multiply it is felt."""
    spec, waited = load_spec(target), 0
    for seed in ([0, 12], *([SEED, number] for number in range(TILES))):  # the first one waits
        tile = RandomConvolution(spec, np.random.default_rng(seed))
        tile.image = np.zeros_like(tile.image)
        tile.case = replace(tile.case, inputs=np.zeros(tile.image.shape, np.bool_).copy)
        timing, outcome = spec.kind.conv(spec, tile.case), tile.stepped(spec)
        assert (timing.cycles, timing.slots["supply"]) == (outcome.cycles, outcome.slots["supply"])
        waited += timing.slots["supply"]
    assert waited or target != "eyeriss256"


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256", "kang256", "nm256"])
def test_streams_longer_than_their_multiplies_are_waited_for(target: str) -> None:
    """A pass of one weight, and of as many results as are drained in a cycle, was over in a cycle,
    in which a lane's bank gives one of the two words of its stream (seed 20262669 of ``make
    fuzz``)."""
    spec = load_spec(target)
    small = {"lanes": 16, "pixels": 1, "max_gang": 1, "drain_width": 16, "pipeline_cycles": 2}
    spec = replace(spec, array=replace(spec.array, **small))  # type: ignore[type-var]
    late = 0
    for number in range(12):
        tile = RandomConvolution(spec, np.random.default_rng([SEED, number]), 75, 1, 1)
        for check in ("ports", "slots", "reference"):
            assert not CHECKS[check](spec, tile), f"seed {SEED}, tile {number}"
        rate = stream_rate(spec, spec.kind.datapath(spec))
        timing = spec.kind.conv(spec, tile.case)
        words = timing.events["wgt_words"]
        late += timing.cycles == -(-WGT_WORD_BYTES * words // rate) + 2
    assert late
