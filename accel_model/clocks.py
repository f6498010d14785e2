"""Tokens and vector clocks: which instructions are known to be complete before another starts.

Each unit counts its instructions. A token carries what its poster knows: how many instructions of
each unit are complete. Queues are counting queues and units run in order, so the n-th take is
always paired with the n-th post and these clocks do not depend on the order a run happens to take.
(Mattern, "Virtual time and global states of distributed systems", 1989.)
"""

from __future__ import annotations

from collections import deque

from zeroskip.accel_model.cells import Cells, latest, mark
from zeroskip.accel_model.isa import UNITS, Unit
from zeroskip.accel_model.memory import Memory

MEMBERS = tuple(tuple(unit for unit in UNITS if bits & unit) for bits in range(8))


class Clocks:
    """What each unit knows, and the tokens on their way."""

    def __init__(self) -> None:
        self._known: dict[Unit, dict[Unit, int]] = {
            unit: dict.fromkeys(UNITS, 0) for unit in UNITS}
        self._queues: dict[tuple[Unit, Unit], deque[dict[Unit, int]]] = {
            (giver, taker): deque() for giver in UNITS for taker in UNITS if giver != taker}

    def missing(self, unit: Unit, wait: int) -> tuple[Unit, ...]:
        """Units that ``unit`` waits for and whose token is not there yet."""
        return tuple(giver for giver in MEMBERS[wait] if not self._queues[giver, unit])

    def begin(self, unit: Unit, wait: int) -> int:
        """Take the tokens; the number of this instruction among its unit's, from 1."""
        mine = self._known[unit]
        for giver in MEMBERS[wait]:
            for other, count in self._queues[giver, unit].popleft().items():
                mine[other] = max(mine[other], count)
        mine[unit] += 1
        return mine[unit]

    def finish(self, unit: Unit, post: int) -> None:
        """Give the tokens."""
        for taker in MEMBERS[post]:
            self._queues[unit, taker].append(dict(self._known[unit]))

    def unordered(self, unit: Unit, memory: Memory, cells: Cells,
                  write: bool) -> tuple[Unit, int] | None:
        """An earlier access by another unit that no token orders before this one, if any.

        Returned as the unit and the number of its instruction.
        """
        known = self._known[unit]
        for records in (memory.writes, memory.reads) if write else (memory.writes,):
            for other, ticks in records.items():
                if other != unit:
                    tick = latest(ticks, cells, memory.shift)
                    if tick > known[other]:
                        return other, tick
        return None


def record(unit: Unit, tick: int, memory: Memory, cells: Cells, write: bool) -> None:
    """Remember an access."""
    mark((memory.writes if write else memory.reads)[unit], cells, memory.shift, tick)
