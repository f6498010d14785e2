"""What schedules are ranked by: estimated cycles, energy, or energy-delay product.

A score is ``time x cycles + events x picojoules``, so that scores of groups add up. Energy is that
of events and of standing still for the cycles. The product of energy and time does not add up, but
its differential does: ``d(E T) = T dE + E dT``, so around a schedule a cycle is worth ``E / T``
picojoules beside those that it costs. A search under that price never makes the product worse,
since ``E / E0 + T / T0 <= 2`` implies ``E T <= E0 T0``; it is repeated with the new price.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.base import Case
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec

Goal: TypeAlias = Literal["cycles", "energy", "edp"]
GOALS: tuple[Goal, ...] = get_args(Goal)


@dataclass(frozen=True)
class Objective:
    """A linear score, the lower the better.

    time: of a cycle. events: of a picojoule that events cost; 0: energy is not looked at.
    """

    time: float = 1.0
    events: float = 0.0

    def score(self, cycles: Any, picojoules: Any) -> Any:
        """Of numbers or arrays."""
        return self.time * cycles + self.events * picojoules if self.events else cycles


CYCLES = Objective()


def energy_objective(spec: AccelSpec, mean_pj: float = 0.0) -> Objective:
    """By energy; ``mean_pj``: picojoules that a cycle is worth beside standing power."""
    return Objective(standing_pj(spec) + mean_pj, 1.0)


@lru_cache(maxsize=256)
def standing_pj(spec: AccelSpec) -> float:
    """Picojoules of a cycle in which nothing happens; 0 for a target with constants of its own."""
    if spec.technology is None:
        return 0.0
    return physics.physics(spec).standing_mw * 1000 / spec.clock_mhz


@dataclass(frozen=True)
class BusEnergy:
    """Picojoules of a cycle of the bus, which is taken to move its whole width. data: to or from
    ACT; weights: into WGT."""

    data: float
    weights: float

    @staticmethod
    @lru_cache(maxsize=256)
    def of(spec: AccelSpec) -> BusEnergy:
        """Of a target: DRAM's part and the memory's on the chip."""
        own, width = physics.energy(spec), spec.dram.bytes_per_cycle
        return BusEnergy(
            width * (own.dram_byte + own.act_row / spec.act_row_bytes),
            width * (own.dram_byte + own.wgt_word / WGT_WORD_BYTES),
        )

    def picojoules(self, loads: Any, weights: Any, stores: Any) -> Any:
        """Of so many cycles of each; numbers or arrays."""
        return (loads + stores) * self.data + weights * self.weights


def output_pj(spec: AccelSpec, case: Case) -> float:
    """Picojoules of events on the array for each output, from a case that it times exactly.
    ArrayError if it cannot do it."""
    timing = spec.kind.conv(spec, case)
    every, _ = case.filters.products(case.window)
    macs = every if timing.multiplies is None else timing.multiplies
    events = {**timing.events, "macs": macs}
    own = physics.energy(spec)
    total = sum(
        getattr(own, key) * events.get(counter, 0)
        for key, counter in spec.kind.events.items()
        if counter != "dram_bytes"
    )
    return float(total) / case.window.outputs
