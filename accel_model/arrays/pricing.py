"""Estimated cycles of patches of a convolution's output, from a few that are timed exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.timing.padding import PatchShare
from zeroskip.accel_model.timing.shape import WindowShape

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

PAIR = 1 << 32  # heights and widths are one number each: together two are sorted fastest
SAMPLES = 12  # groups of outputs that are timed, at most; and a third of them, and one


def unique_pairs(high: Int64, wide: Int64) -> tuple[Int64, Int64, Int64]:
    """Heights and widths that differ, int64 [sizes] each, and which of them each pair has; they
    broadcast."""
    pairs = np.asarray(high * PAIR + wide)
    sizes, inverse = np.unique(pairs, return_inverse=True)
    return sizes // PAIR, sizes % PAIR, inverse.reshape(pairs.shape)


def of_pairs(price: Callable[[int, int], float], high: Int64, wide: Int64) -> Floats:
    """float64: a function of each height and width, asked once for equal ones; they broadcast."""
    highs, wides, which = unique_pairs(high, wide)
    found = [price(*size) for size in zip(highs.tolist(), wides.tolist(), strict=True)]
    return np.array(found, np.float64)[which]


def _samples(granule: int, outputs: int) -> tuple[int, ...]:
    """Groups that are timed, ascending from 1, of so many outputs."""
    most = min(SAMPLES, -(-outputs // granule))
    return tuple(sorted({1, -(-most // 3), most}))


@dataclass(frozen=True, eq=False)
class LinearPrice:
    """Cycles that grow with the groups of outputs: exact for one, then ``base + pace * n``; less
    where the array passes over padding.

    granule: outputs of a group.
    counts: groups that were timed, ascending, the first of them 1.
    cycles: float64 [counts], what they took.
    share: of the work that is left in patches; None: all.
    passed: what work that is passed over takes, of its cycles.
    least: of patches that see nothing but padding, whose results are drained nevertheless.
    """

    granule: int
    counts: tuple[int, ...]
    cycles: Floats
    share: PatchShare | None = None
    passed: float = 0.0
    least: LinearPrice | None = None

    @staticmethod
    def sampled(granule: int, outputs: int, cycles: Callable[[int], int]) -> LinearPrice:
        """From ``cycles(n)`` of n groups, as far as ``outputs`` have so many."""
        counts = _samples(granule, outputs)
        return LinearPrice(granule, counts, np.array([cycles(n) for n in counts], np.float64))

    @staticmethod
    def of_windows(
        granule: int, whole: WindowShape, cycles: Callable[[WindowShape], int]
    ) -> LinearPrice:
        """From ``cycles`` of windows of the first outputs of ``whole``, in rows of its full
        width; whole rows are rarely whole groups, so their groups are counted."""
        windows = (whole.first(n * granule) for n in _samples(granule, whole.outputs))
        timed = {-(-window.outputs // granule): window for window in windows}
        found = [cycles(window) for window in timed.values()]
        return LinearPrice(granule, tuple(timed), np.array(found, np.float64))

    @property
    def single(self) -> float:
        """Cycles of a patch of one group."""
        return float(self.cycles[0])

    @property
    def pace(self) -> float:
        """Cycles of one group more."""
        if len(self.counts) == 1:
            return self.single
        return float((self.cycles[-1] - self.cycles[-2]) / (self.counts[-1] - self.counts[-2]))

    @property
    def base(self) -> float:
        """Cycles of a patch of several groups besides ``pace`` for each."""
        return float(self.cycles[-1]) - self.pace * self.counts[-1]

    def cycles_of(self, high: Int64, wide: Int64) -> Floats:
        """float64: cycles of patches of ``high`` x ``wide`` outputs; they broadcast."""
        groups = -(-high * wide // self.granule)
        cycles = np.where(groups == 1, self.single, self.base + self.pace * groups)
        if self.share is None:
            return cycles
        cycles *= self.passed + (1 - self.passed) * of_pairs(self.share.of, high, wide)
        return (
            cycles if self.least is None else np.maximum(cycles, self.least.cycles_of(high, wide))
        )

    def plus(self, other: PatchPrice, times: float) -> LinearPrice:
        """This, and ``times`` that of another part of the same work."""
        assert isinstance(other, LinearPrice)  # of the same kind of array
        counts = max(self.counts, other.counts, key=len)
        cycles = self._of_groups(counts) + times * other._of_groups(counts)
        least = self.least
        if least is not None and other.least is not None:
            least = least.plus(other.least, times)
        return replace(self, counts=counts, cycles=cycles, least=least)

    def _of_groups(self, counts: tuple[int, ...]) -> Floats:
        """float64 [counts]: cycles of so many groups; windows of other parts of a kernel may have
        had more of them to time."""
        if counts == self.counts:
            return self.cycles
        return np.array([self.single if n == 1 else self.base + self.pace * n for n in counts])

    def times(self, factor: float) -> LinearPrice:
        least = None if self.least is None else self.least.times(factor)
        return replace(self, cycles=factor * self.cycles, least=least)


@dataclass(frozen=True, eq=False)
class ExactPrice:
    """Cycles from a function of height and width of a patch, remembered.

    parts: functions and how often the work of each is done.
    """

    parts: tuple[tuple[Callable[[int, int], float], float], ...]

    def cycles_of(self, high: Int64, wide: Int64) -> Floats:
        highs, wides = np.broadcast_arrays(high, wide)
        found = map(self._of_patch, highs.ravel().tolist(), wides.ravel().tolist())
        return np.fromiter(found, np.float64, highs.size).reshape(highs.shape)

    def _of_patch(self, high: int, wide: int) -> float:
        """A remainder of a cut may be nothing."""
        if not high * wide:
            return 0.0
        return sum(times * part(high, wide) for part, times in self.parts)

    def plus(self, other: PatchPrice, times: float) -> ExactPrice:
        assert isinstance(other, ExactPrice)
        return ExactPrice((*self.parts, *other.times(times).parts))

    def times(self, factor: float) -> ExactPrice:
        return ExactPrice(tuple((part, factor * times) for part, times in self.parts))


@dataclass(frozen=True, eq=False)
class OutputsPrice:
    """Cycles from functions of the number of outputs of a patch, int64 -> float64, elementwise.

    parts: functions and how often the work of each is done.
    """

    parts: tuple[tuple[Callable[[Int64], Floats], float], ...]

    def cycles_of(self, high: Int64, wide: Int64) -> Floats:
        outputs = np.asarray(high * wide)
        total = np.zeros(outputs.shape, np.float64)
        for part, times in self.parts:
            total += times * part(outputs)
        return total

    def plus(self, other: PatchPrice, times: float) -> OutputsPrice:
        assert isinstance(other, OutputsPrice)
        return OutputsPrice((*self.parts, *other.times(times).parts))

    def times(self, factor: float) -> OutputsPrice:
        return OutputsPrice(tuple((part, factor * times) for part, times in self.parts))


PatchPrice: TypeAlias = LinearPrice | ExactPrice | OutputsPrice
