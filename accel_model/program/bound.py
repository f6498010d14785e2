"""The least time of a layer or a network on a machine of some width. Declared here and only here:
what counts is said by ``LayerInfo.needs`` and ``Program.needs``."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple


class Needs(NamedTuple):
    """What must be done at least. macs: multiplies of a stored weight that is not zero by an input
    within the image. moved: bytes on the bus, each once."""

    macs: int
    moved: int

    def times(self, macs_per_cycle: int, bytes_per_cycle: int) -> dict[str, Fraction]:
        """Cycles of the two resources, exactly."""
        return {
            "array": Fraction(self.macs, macs_per_cycle),
            "bus": Fraction(self.moved, bytes_per_cycle),
        }

    def limit(self, macs_per_cycle: int, bytes_per_cycle: int) -> str:
        """The resource that is needed for longer, the array where both are needed alike."""
        times = self.times(macs_per_cycle, bytes_per_cycle)
        return max(times, key=lambda name: times[name])

    def bound(self, macs_per_cycle: int, bytes_per_cycle: int) -> int:
        """Whole cycles, at least one."""
        return max(1, math.ceil(max(self.times(macs_per_cycle, bytes_per_cycle).values())))
