"""What events, area and standing still cost on a target, from its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from zeroskip.accel_model.physics.common import RESULT_TABLES, node_of, stream_row_bytes
from zeroskip.accel_model.physics.part import Part, Resource
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec
from zeroskip.accel_model.technology import DramDevice, dram, logic
from zeroskip.accel_model.technology.logic import CLOCK_AREA, CLOCK_POWER, FILLER_AREA


@dataclass(frozen=True)
class Physics:
    """A target's area and standing power.

    parts: with their own area and leakage. floorplan_mm2: what clock network and filler cells add.
    leakage_mw: of the chip. dram_mw: of the DRAM's channels while they are idle. channels: of
    DRAM, that the bus needs.
    """

    parts: tuple[Part, ...]
    floorplan_mm2: float
    leakage_mw: float
    dram_mw: float
    channels: int

    @property
    def area_mm2(self) -> float:
        """Of the chip, square millimetres."""
        return sum(part.area_mm2 for part in self.parts) + self.floorplan_mm2

    @property
    def standing_mw(self) -> float:
        """Power while nothing happens, milliwatts: leakage and idle DRAM."""
        return self.leakage_mw + self.dram_mw


@lru_cache(maxsize=256)
def physics(spec: AccelSpec) -> Physics:
    """The target's parts, area and standing power; SpecError if it names no technology."""
    built, memory = parts(spec), _dram(spec)
    channels = memory.channels(spec.dram.bytes_per_cycle * spec.clock_mhz / 1000)
    used = 1 - CLOCK_AREA - FILLER_AREA
    return Physics(
        parts=built,
        floorplan_mm2=sum(part.area_mm2 for part in built) * (1 / used - 1),
        leakage_mw=sum(part.leakage_mw for part in built),
        dram_mw=channels * memory.background_mw,
        channels=channels,
    )


@lru_cache(maxsize=256)
def parts(spec: AccelSpec) -> tuple[Part, ...]:
    """What the target's kind of array says that it is built of; SpecError if it names no
    technology."""
    return tuple(spec.kind.parts(spec))


def named(spec: AccelSpec, name: str) -> Part:
    """The part of this name."""
    return next(part for part in parts(spec) if part.name == name)


@lru_cache(maxsize=256)
def resources(spec: AccelSpec) -> tuple[Resource, ...]:
    """The memories and paths that the target's kind of array declares, with their ports; they are
    the same whatever it is made in."""
    return tuple(spec.kind.resources(spec))


@lru_cache(maxsize=256)
def result_tables(spec: AccelSpec) -> Resource:
    """The copies of the table of results."""
    return next(one for one in resources(spec) if one.name == RESULT_TABLES)


@lru_cache(maxsize=256)
def flows(spec: AccelSpec) -> tuple[str, ...]:
    """Every counter of bytes of a target: those of its events, and of its ports."""
    of_events = (flow for split in spec.kind.splits.values() for flow in split.flows)
    of_ports = (flow for one in resources(spec) for port in one.ports for flow in port.flows)
    return tuple(dict.fromkeys((*of_events, *of_ports)))


@lru_cache(maxsize=256)
def prices(spec: AccelSpec) -> Mapping[str, Price]:
    """Picojoules of each event, read and written: the spec's own constants, or what follows from
    its parts."""
    if spec.energy is not None:
        own = asdict(spec.energy)
        return MappingProxyType({event: Price.alike(pj) for event, pj in own.items()})
    return MappingProxyType(spec.kind.event_energy(spec))


@lru_cache(maxsize=256)
def energy(spec: AccelSpec) -> Any:
    """The kind's ``Energy``: picojoules of each event, the mean of reading and writing; for those
    who estimate."""
    return spec.kind.Energy(**{event: price.mean for event, price in prices(spec).items()})


def common_energy(spec: AccelSpec) -> dict[str, Price]:
    """Picojoules of the events that every kind of array has.

    On the chip every event carries its share of the clock network. A row of ACT crosses the chip's
    side on its way.
    """
    cost = {part.name: part for part in parts(spec)}
    cells, memory = logic(node_of(spec)), _dram(spec)
    crossing = cells.wire_pj * 8 * spec.act_row_bytes * math.sqrt(physics(spec).area_mm2)
    words = stream_row_bytes(spec) / WGT_WORD_BYTES
    staging, row = cost["staging"], cells.register(8 * stream_row_bytes(spec)).pj
    act, wgt, acc, table = cost["ACT"], cost["WGT"], cost["ACC"], cost[RESULT_TABLES]
    wide = spec.acc_row_bytes / acc.width  # a row lies in several words
    return {
        "mac": Price.alike(clocked(cost["multiplier cells"].read_pj)),
        "act_row": Price(
            clocked(act.read_pj + cost["fetch crossbar"].read_pj + crossing),
            clocked(act.write_pj + crossing),
        ),
        "wgt_word": Price(clocked(wgt.read_pj + row) / words, clocked(wgt.write_pj) / words),
        "acc_row": Price(wide * clocked(acc.read_pj), wide * clocked(acc.write_pj)),
        "requantise": Price.alike(
            clocked(
                cost["requantize units"].read_pj
                + cost["PAR"].read_pj
                + staging.read_pj
                + staging.write_pj
            )
        ),
        "lookup": Price(
            clocked(table.read_pj + cost["result multiplexers"].read_pj), clocked(table.write_pj)
        ),
        "dram_byte": Price(memory.read_pj, memory.write_pj),
    }


def alike(picojoules: Mapping[str, float]) -> dict[str, Price]:
    """Prices of events that neither read nor write alone, with their share of the clock network."""
    return {event: Price.alike(clocked(pj)) for event, pj in picojoules.items()}


def clocked(picojoules: float) -> float:
    """With the share of the clock network."""
    return picojoules / (1 - CLOCK_POWER)


def _dram(spec: AccelSpec) -> DramDevice:
    node_of(spec)
    assert spec.technology is not None
    return dram(spec.technology.dram)
