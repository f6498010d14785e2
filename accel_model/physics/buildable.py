"""Whether a target can be built for its clock."""

from __future__ import annotations

import math

from zeroskip.accel_model.physics.common import RESULT_TABLES, node_of
from zeroskip.accel_model.physics.cost import parts
from zeroskip.accel_model.physics.sense import warn
from zeroskip.accel_model.spec import AccelSpec, SpecError

READ_INTO_PIPELINE = (
    "ACT",
    "windows",
    "ACC",
    "staging",
    RESULT_TABLES,
)  # an output's way through the memories


def check(spec: AccelSpec) -> None:
    """SpecError if a memory is too slow for the clock or for the pipeline, beyond the table, or
    if ACT has fewer banks than rows that write-back and the bus move in a cycle; a RuntimeWarning
    for what could be built and makes no sense (``doubts``)."""
    warn(spec)
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
    bus = math.ceil(spec.dram.bytes_per_cycle / spec.act_row_bytes)
    moved = spec.kind.datapath(spec).rows + bus
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
