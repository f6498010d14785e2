"""Moves of pixels: which row or column of what is read each row or column of a result is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MOST_TURNS = 16  # runs that may take turns along an axis


@dataclass(frozen=True)
class TakenRun:
    """Positions ``to + i*stride`` of a result along an axis are positions ``start + i*step`` of
    what is read, for i < count."""

    to: int
    stride: int
    start: int
    step: int
    count: int

    def within(self, low: int, high: int) -> TakenRun:
        """Those of its positions that lie in low..high-1 of the result; count may be 0."""
        skipped = max(0, -(-(low - self.to) // self.stride))
        end = min(self.count, max(0, -(-(high - self.to) // self.stride)))
        return TakenRun(
            self.to + skipped * self.stride,
            self.stride,
            self.start + skipped * self.step,
            self.step,
            max(0, end - skipped),
        )

    def pieces(self, most: int) -> Iterator[TakenRun]:
        """The run cut into runs of up to ``most`` positions."""
        for first in range(0, self.count, most):
            yield TakenRun(
                self.to + first * self.stride,
                self.stride,
                self.start + first * self.step,
                self.step,
                min(most, self.count - first),
            )


def taken_runs(indices: Sequence[int]) -> tuple[TakenRun, ...]:
    """The fewest runs that give these positions: ones that take turns (a resize by a whole factor
    s has s of them, by 3/2 three), or ones behind each other (a pad by edge values)."""
    values = np.asarray(indices, np.int64)
    best = _behind_each_other(values)
    for turns in range(1, min(MOST_TURNS, len(values), len(best) - 1) + 1):
        parts = [values[turn::turns] for turn in range(turns)]
        if all(_is_even(part) for part in parts):
            return tuple(
                TakenRun(turn, turns, int(part[0]), _step(part), len(part))
                for turn, part in enumerate(parts)
            )
    return best


def positions(runs: Sequence[TakenRun]) -> Ints:
    """Which position of what is read each position of the result is, int64 [size]."""
    found = np.zeros(sum(run.count for run in runs), np.int64)
    for run in runs:
        own = np.arange(run.count)
        found[run.to + own * run.stride] = run.start + own * run.step
    return found


def _behind_each_other(values: Ints) -> tuple[TakenRun, ...]:
    runs, first = [], 0
    while first < len(values):
        end = first + 1
        step = int(values[end] - values[first]) if end < len(values) else 0
        if step >= 0:
            while end < len(values) and values[end] - values[end - 1] == step:
                end += 1
        runs.append(TakenRun(first, 1, int(values[first]), max(step, 0), end - first))
        first = end
    return tuple(runs)


def _is_even(values: Ints) -> bool:
    steps = np.diff(values)
    return bool((steps >= 0).all() and (steps == steps[:1]).all())


def _step(values: Ints) -> int:
    return int(values[1] - values[0]) if len(values) > 1 else 0
