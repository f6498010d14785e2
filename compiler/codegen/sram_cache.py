"""Rows of a memory, handed out so that what was used last is disturbed last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial

import numpy as np

from zeroskip.compiler.scheduling.sram_allocator import largest_gap

REMEMBERED = 48  # pieces


class SramCache:
    """Pieces of a memory by key. A piece is found again until its rows are handed out anew.

    A new piece goes where it disturbs nothing, or else what was used longest ago: whatever used
    that is done, so the piece can be filled while later operations run. Pieces gather at the ends
    of what is free, so that the middle stays in one piece.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._held: dict[Hashable, tuple[int, int]] = {}  # first row, end; in order of last use
        self._pinned: set[Hashable] = set()
        self._taken: tuple[tuple[int, int], ...] = ()
        self._soon: tuple[tuple[int, int], ...] = ()
        self._released = 0
        self._recent: list[tuple[int, int]] = []  # pieces of the last step

    def reserve(
        self,
        needs: Sequence[tuple[Hashable, int]],
        ahead: int = 0,
        stored: Collection[Hashable] = (),
    ) -> list[tuple[int, bool]] | None:
        """(first row, whether it must be filled) for each (key, rows), all held at once.

        ahead: rows of the piece that the next step needs, which is to find room beside these and
        those of the last step. stored: keys of what is stored when the step is done, for which
        others wait who write there.

        None if they do not fit beside what is pinned or taken; they do if some free piece has room
        for all of them.
        """
        best = partial(self._best_place, ahead=ahead)
        for choose in (best, self._lowest_place):
            places = self._reserve(needs, choose, stored)
            if places is not None:
                return places
            for key, _ in needs:  # some of them have places, and nothing is there
                if key not in self._pinned:
                    self._held.pop(key, None)
        return None

    def pin(self, key: Hashable, rows: int) -> tuple[int, bool] | None:
        """Hold ``key`` from now on, where it is or at the lowest place that is free."""
        places = self._reserve([(key, rows)], self._lowest_place)
        if places is None:
            return None
        self._pinned.add(key)
        return places[0]

    def unpin(self) -> None:
        """Hold nothing any more."""
        self._pinned.clear()

    def block_out(
        self, spans: Sequence[tuple[int, int]], soon: Sequence[tuple[int, int]] = ()
    ) -> None:
        """From now on these (first row, rows), and no others, belong to somebody else; ``soon``
        those will."""
        self._soon = tuple((first, first + rows) for first, rows in soon)
        taken = tuple((first, first + rows) for first, rows in spans)
        for first, end in set(self._taken) - set(taken):
            self._released += 1
            self._put(("released", self._released), first, end)
        self._taken = taken
        for first, end in taken:
            self._forget(first, end)

    def _reserve(
        self,
        needs: Sequence[tuple[Hashable, int]],
        choose: Callable[[int, list[tuple[int, int]], bool], int | None],
        stored: Collection[Hashable] = (),
    ) -> list[tuple[int, bool]] | None:
        busy = self._fixed() + [self._held[key] for key, _ in needs if key in self._held]
        places = []
        for key, rows in needs:
            fresh = key not in self._held
            first = choose(rows, busy, key in stored) if fresh else self._held[key][0]
            if first is None:
                return None
            self._put(key, first, first + rows)
            busy.append((first, first + rows))
            places.append((first, fresh))
        self._recent = [self._held[key] for key, _ in needs]
        return places

    def _put(self, key: Hashable, first: int, end: int) -> None:
        """Hold a piece, used last; what it overlaps is forgotten."""
        self._held.pop(key, None)
        self._forget(first, end)
        self._held[key] = (first, end)
        for old in [*self._held][: max(0, len(self._held) - REMEMBERED)]:
            if old not in self._pinned:
                del self._held[old]

    def _forget(self, first: int, end: int) -> None:
        """No piece is found there again; what is left of one was used when all of it was."""
        held, self._held = self._held, {}
        for key, (low, high) in held.items():
            if low >= end or first >= high:
                self._held[key] = low, high
                continue
            for rest in ((low, first), (end, high)):
                if rest[0] < rest[1]:
                    self._released += 1
                    self._held["released", self._released] = rest

    def _lowest_place(self, rows: int, busy: list[tuple[int, int]], _stored: bool) -> int | None:
        at = 0
        for first, end in sorted(busy):
            if at + rows <= first:
                break
            at = max(at, end)
        return at if at + rows <= self.rows else None

    def _best_place(
        self, rows: int, busy: list[tuple[int, int]], stored: bool, ahead: int
    ) -> int | None:
        """At an end of the memory or beside a piece: where room is left for the next one and for
        one as large; then where what was used last is not disturbed; then where the next one also
        has room beside the pieces of this step and the last; then, of what is stored, where nobody
        will soon be; then where what is disturbed was used longest ago; then where the most room is
        left beside those pieces, then beside this one."""
        most = self.rows - rows
        known = np.array([*self._held.values(), *busy], np.int64).reshape(-1, 2)
        places = np.concatenate(([0, most], known[:, 1], known[:, 0] - rows))
        places = np.unique(places[(places >= 0) & (places <= most)])
        meets = (places[:, None] < known[:, 1]) & (places[:, None] + rows > known[:, 0])
        used = np.arange(1, len(known) + 1)  # in order of last use; the busy ones last
        latest = (meets * used).max(axis=1, initial=0)
        fixed, recent = self._fixed(), [*busy, *self._recent]
        options = []
        for at, disturbed in zip(places.tolist(), latest.tolist(), strict=True):
            if disturbed <= len(self._held):
                left = largest_gap([*fixed, (at, at + rows)], self.rows)
                beside = largest_gap([*recent, (at, at + rows)], self.rows)
                newest = disturbed == len(self._held)
                soon = stored and any(at < end and low < at + rows for low, end in self._soon)
                worse = left < ahead, left < rows, soon, newest, beside < ahead
                options.append((*worse, disturbed, -beside, -left, at))
        return min(options)[-1] if options else None

    def _fixed(self) -> list[tuple[int, int]]:
        return [*self._taken, *(self._held[key] for key in self._pinned)]
