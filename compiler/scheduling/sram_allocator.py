"""Addresses for buffers that are needed at different times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LiveBuffer:
    """``rows`` of a memory during steps first..last."""

    first: int
    last: int
    rows: int

    def overlaps(self, other: LiveBuffer) -> bool:
        """Whether both are needed at once."""
        return self.first <= other.last and other.first <= self.last


def allocate(needs: Sequence[LiveBuffer], size: int) -> list[int] | None:
    """The first row of each, none overlapping another at the same time, all below ``size``.

    First fit, the largest first and the longest first; whichever reaches less far. None if neither
    fits.
    """
    orders = [
        sorted(range(len(needs)), key=lambda i: (-needs[i].rows, i)),
        sorted(range(len(needs)), key=lambda i: (needs[i].first - needs[i].last, i)),
    ]
    found = [_first_fit(needs, order) for order in orders]
    reach = [
        max((at + need.rows for at, need in zip(each, needs, strict=True)), default=0)
        for each in found
    ]
    best = min(range(len(found)), key=reach.__getitem__)
    return found[best] if reach[best] <= size else None


def _first_fit(needs: Sequence[LiveBuffer], order: Sequence[int]) -> list[int]:
    places: dict[int, int] = {}
    for index in order:
        mine = needs[index]
        busy = sorted(
            (places[other], needs[other].rows) for other in places if needs[other].overlaps(mine)
        )
        at = 0
        for first, rows in busy:
            if at + mine.rows <= first:
                break
            at = max(at, first + rows)
        places[index] = at
    return [places[index] for index in range(len(needs))]


def largest_gap(busy: Sequence[tuple[int, int]], size: int) -> int:
    """Rows of the largest free piece of a memory of which these (first row, end) are taken."""
    at = most = 0
    for first, end in sorted(busy):
        most = max(most, first - at)
        at = max(at, end)
    return max(most, size - at)
