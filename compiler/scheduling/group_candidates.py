"""Groups that the search for them looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.schedule import Buffer, GroupPlan
from zeroskip.compiler.ir.stripes import StripePlan, StripePlanner
from zeroskip.compiler.scheduling.cost_model import TileContext


@dataclass(frozen=True)
class GroupCandidate:
    """A group before its tiles are known: rows of its values in each stripe, those that stay on
    chip, the place of each operation. shared: rows of ACT that are free both at an operation and at
    the one before (before the first: the last); behind: whether it writes where a result lies that
    the one before was the last to read and that goes to DRAM, too; trails: whether its last
    operation trails the others; lead: the number in the group of the one that its last follows."""

    first: int
    stripes: int
    trails: bool
    lead: int | None
    stripe_plans: Mapping[str, StripePlan]
    on_chip: frozenset[str]
    places: tuple[TileContext, ...]
    shared: tuple[int, ...]
    waw_stalls: tuple[bool, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True)
class PricedGroup:
    """A group, its estimated cycles, and the picojoules of its events (0 where nobody asks)."""

    plan: GroupPlan
    cycles: float
    picojoules: float = 0.0


class Tail:
    """The operations up to ``last``, cut into stripes as far back as they have been reached."""

    def __init__(
        self, steps: Sequence[Op], last: int, stripes: int, *, trails: bool = False
    ) -> None:
        self.steps, self.first = steps, last
        self.planner = StripePlanner(stripes, trails)

    def reach(self, first: int) -> bool:
        """Go back to an operation; False if that cannot be cut."""
        while self.first > first and self.planner.prepend(self.steps[self.first - 1]):
            self.first -= 1
        return self.first == first
