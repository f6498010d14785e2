"""What is odd about a target that could be built: sizes of which one makes the others useless."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

from zeroskip.accel_model.physics.cost import physics
from zeroskip.accel_model.spec import AccelSpec

MOST_CHANNELS = 8  # of DRAM, 16 bits each: the widest interface of phones is 128 bits
MOST_BYTES = 64 * 1024  # of SRAM for a multiplier; 2 KiB in the built-in targets


def warn(spec: AccelSpec) -> None:
    """A RuntimeWarning for each of ``doubts``."""
    for sentence in doubts(spec):
        warnings.warn(f"target '{spec.name}': {sentence}", RuntimeWarning, stacklevel=3)


def doubts(spec: AccelSpec) -> Iterator[str]:
    """Sentences that name the sizes and the remedy.

    A bus is too wide if it brings both operands of every multiply, and too narrow if no order of
    work on so much SRAM keeps the multipliers busy: a product of matrices does at most sqrt(bytes
    on the chip) multiplies for a byte that moves (Hong and Kung, STOC 1981, up to a constant).
    """
    macs, bus, sram = spec.array.macs, spec.dram.bytes_per_cycle, spec.sram_bytes
    operands = spec.storage.activation_bytes + spec.storage.weight_bytes
    if bus > operands * macs:
        yield (
            f"dram.bytes_per_cycle = {bus} brings more than {operands} bytes a cycle for each of "
            f"{macs:,} multipliers, which use no more; take a narrower bus or a larger array"
        )
    most = math.sqrt(sram)
    if macs > most * bus:
        yield (
            f"dram.bytes_per_cycle = {bus} is too narrow for {macs:,} multipliers: with "
            f"{sram // 1024:,} KiB on the chip a byte serves some {most:,.0f} multiplies, so at "
            f"most {most * bus / macs:.0%} of them can be busy; take a wider bus or a smaller array"
        )
    if sram > MOST_BYTES * macs:
        yield (
            f"{sram // 1024:,} KiB of SRAM are for {macs:,} multipliers, more than "
            f"{MOST_BYTES // 1024} KiB each; take smaller memories or a larger array"
        )
    if spec.array.pixels > spec.sram.act_banks:
        yield (
            f"array.pixels = {spec.array.pixels} rows of ACT are fetched together from "
            f"sram.act_banks = {spec.sram.act_banks}, so every fetch has conflicts; give ACT as "
            "many banks at least"
        )
    if spec.technology is not None and (channels := physics(spec).channels) > MOST_CHANNELS:
        gigabytes = bus * spec.clock_mhz / 1000
        yield (
            f"the bus of {gigabytes:,.0f} GB/s needs {channels} channels of "
            f"{spec.technology.dram}, more than {MOST_CHANNELS}; take a narrower bus, a slower "
            "clock or a faster kind of DRAM"
        )
