"""What events, area and standing still cost on a target, from its parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from zeroskip.accel_model.physics.common import node_of, stream_row_bytes
from zeroskip.accel_model.physics.part import Part
from zeroskip.accel_model.spec import ACT_ROW_BYTES, WGT_WORD_BYTES, AccelSpec, SpecError
from zeroskip.accel_model.technology import DramDevice, dram, logic
from zeroskip.accel_model.technology.logic import CLOCK_AREA, CLOCK_POWER, FILLER_AREA

READ_INTO_PIPELINE = ("ACT", "windows", "ACC", "staging")  # an output's way through the memories


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
def energy(spec: AccelSpec) -> Any:
    """Picojoules of each event: the spec's own constants, or what follows from its parts."""
    if spec.energy is not None:
        return spec.energy
    return spec.kind.Energy(**spec.kind.event_energy(spec))


def common_energy(spec: AccelSpec) -> dict[str, float]:
    """Picojoules of the events that every kind of array has.

    On the chip every event carries its share of the clock network. Where a counter counts reads
    and writes of a memory together, an event is their mean. A row of ACT crosses the chip's side
    on its way.
    """
    cost = {part.name: part for part in parts(spec)}
    cells, memory = logic(node_of(spec)), _dram(spec)
    side = math.sqrt(physics(spec).area_mm2)
    words = stream_row_bytes(spec) / WGT_WORD_BYTES
    staging, row = cost["staging"], cells.register(8 * stream_row_bytes(spec)).pj
    return {
        "mac": clocked(cost["multiplier cells"].read_pj),
        "act_row": clocked(cost["ACT"].mean_pj + cells.wire_pj * 8 * ACT_ROW_BYTES * side),
        "wgt_word": clocked(cost["WGT"].mean_pj + row) / words,
        "acc_row": clocked(cost["ACC"].mean_pj),
        "requantise": clocked(
            cost["requantize units"].read_pj
            + cost["PAR"].read_pj
            + staging.read_pj
            + staging.write_pj
        ),
        "dram_byte": (memory.read_pj + memory.write_pj) / 2,
    }


def clocked(picojoules: float) -> float:
    """With the share of the clock network."""
    return picojoules / (1 - CLOCK_POWER)


def check(spec: AccelSpec) -> None:
    """SpecError if a memory is too slow for the clock or for the pipeline, beyond the table, or
    if ACT has fewer banks than rows that write-back and the bus move in a cycle."""
    if spec.technology is None:
        return
    where, period = f"target '{spec.name}'", 1000 / spec.clock_mhz
    for part in parts(spec):
        if part.least_period_ns > period:
            raise SpecError(
                f"{where}: {part.name} cannot be built at {node_of(spec)} for {spec.clock_mhz:g} "
                f"MHz: a macro of {part.bytes} bytes takes {part.accesses} x {part.cycle_ns:.2f} ns "
                f"for {' and '.join(map(str, part.ports))}; up to "
                f"{1000 / part.least_period_ns:.0f} MHz it can, or with smaller banks"
            )
    moved = 1 + math.ceil(spec.dram.bytes_per_cycle / ACT_ROW_BYTES)
    if moved > spec.sram.act_banks:
        raise SpecError(
            f"{where}: sram.act_banks = {spec.sram.act_banks} take a row each in a cycle, and "
            f"write-back and a bus of {spec.dram.bytes_per_cycle} bytes move {moved}; give it "
            "more banks"
        )
    late = {
        part.name: math.ceil(part.access_ns / period) - 1
        for part in parts(spec)
        if part.name in READ_INTO_PIPELINE and part.access_ns > period
    }
    if sum(late.values()) > spec.array.pipeline_cycles:
        raise SpecError(
            f"{where}: array.pipeline_cycles = {spec.array.pipeline_cycles} is less than the "
            f"{sum(late.values())} cycles that reading {', '.join(late)} takes beyond the first"
        )


def _dram(spec: AccelSpec) -> DramDevice:
    node_of(spec)
    assert spec.technology is not None
    return dram(spec.technology.dram)
