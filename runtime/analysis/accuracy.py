"""How often a classifier is right: top-1, top-5, by class, and what is taken for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

FEW = 5  # of "top-5"
SURE = 0.95  # of the intervals
NORMAL = 1.959963984540054  # that share of a normal distribution is within so many deviations


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Of n samples. classes: their names. confusion: int64 [label, answer]. top1, top5: samples
    whose label has the largest score, or is among the five largest; of equal scores the first
    counts as the larger."""

    classes: tuple[str, ...]
    confusion: Int64
    top1: int
    top5: int

    @property
    def samples(self) -> int:
        return int(self.confusion.sum())

    @property
    def share(self) -> float:
        """Top-1, of 1."""
        return self.top1 / self.samples

    @property
    def top5_share(self) -> float:
        return self.top5 / self.samples

    def interval(self) -> tuple[float, float]:
        """Between which shares top-1 of all such samples lies, 95 % sure (``wilson``)."""
        return wilson(self.top1, self.samples)

    def by_class(self) -> list[tuple[str, int, int]]:
        """Name, samples and those found of each class that has samples."""
        return [
            (name, int(row.sum()), int(row[number]))
            for number, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True))
            if row.sum()
        ]

    def confused(self, most: int) -> list[tuple[str, str, int]]:
        """Label, answer and how often, of the mistakes that are made most."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [
            (self.classes[label], self.classes[answer], int(wrong[label, answer]))
            for label, answer in pairs
            if wrong[label, answer]
        ]

    def to_table(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "samples": self.samples,
            "top1": self.share,
            "top1_interval": list(self.interval()),
            "top5": self.top5_share,
            "classes": [
                {"name": name, "samples": samples, "found": found}
                for name, samples, found in self.by_class()
            ],
            "names": list(self.classes),
            "confusion": self.confusion.tolist(),
        }


def accuracy(scores: Array, labels: Array, classes: Sequence[str] = ()) -> Accuracy:
    """scores: [n, k]; labels: whole numbers [n] below k; classes: k names, or the numbers."""
    width = scores.shape[1]
    ranked = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :FEW]
    hits = ranked == labels[:, np.newaxis]
    confusion = np.zeros((width, width), np.int64)
    np.add.at(confusion, (labels, ranked[:, 0]), 1)
    return Accuracy(
        tuple(classes) or tuple(map(str, range(width))),
        confusion,
        int(hits[:, 0].sum()),
        int(hits.any(axis=1).sum()),
    )


def wilson(found: int, of: int) -> tuple[float, float]:
    """The interval of a share of which ``found`` of so many were seen, 95 % sure (Wilson, JASA 22,
    1927: the score interval)."""
    share, z = found / of, NORMAL**2 / of
    middle = (share + z / 2) / (1 + z)
    half = NORMAL * math.sqrt(share * (1 - share) / of + z / (4 * of)) / (1 + z)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_interval(estimate: float, draws: Sequence[float]) -> tuple[float, float]:
    """The interval of an estimate from samples, 95 % sure: estimate +- t x standard error.

    draws: the same estimate of as many samples drawn from these with replacement, two at least.
    Their standard deviation is the bootstrap standard error (Efron, Annals of Statistics 7, 1979);
    t is Student's quantile of one degree of freedom less than there are draws, since so few give it
    (Student, Biometrika 6, 1908). More draws make its width steadier, not smaller, unlike that of
    the interval of the draws' mean, which says how many draws there were.
    """
    from scipy.special import stdtrit  # slow to import, and little else needs it

    half = float(np.std(draws, ddof=1)) * float(stdtrit(len(draws) - 1, (1 + SURE) / 2))
    return estimate - half, estimate + half
