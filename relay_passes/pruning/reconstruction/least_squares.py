"""Weights on a given support that make what is wanted of given columns: masked least squares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log10
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.pruning.activations.statistics import Columns

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.int64]

DAMPING = 0.01  # of the mean variance of what a layer reads
ITERATIONS = 100
TOLERANCE = 1e-10  # of the squared residual, of where it was at the start
USUAL = 4  # iterations a decimal of the tolerance: what direct solutions are weighed against
FACTOR_BYTES = 256 << 20  # that the factors of rows that are solved together take, at most


def fit(
    columns: Columns,
    cross: Doubles,
    start: Doubles,
    support: Mask,
    damping: float = DAMPING,
    tolerance: float = TOLERANCE,
) -> Doubles:
    """The weights w [G, R, E] that minimise, row by row, w being zero off the support,

        mean |w x - y|^2 + damping h |w - start|^2

    x: the columns; cross: mean of y x' [G, R, E]; start: zero off the support; h: the mean variance
    of what a group reads. What the layer makes is never further from y than with ``start``.

    Directly by Cholesky where that is less work: for rows that share a support, or whose supports
    are small; else by conjugate gradients with a diagonal preconditioner, all rows at once
    (Hestenes and Stiefel, 1952), which only come closer with each step, until the squared residual
    is down to a ``tolerance`` of what it was.
    """
    weight = start.copy()
    for part in problems(columns, start, support, damping, tolerance):
        weight[part.at] = part.solve(cross[part.at])
    return weight


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor of H + ridge on a support, for those rows of a problem that have it."""

    rows: Places
    support: Places
    lower: Doubles

    @staticmethod
    def of(gram: Doubles, ridge: float, rows: Places, support: Places) -> Factor:
        """gram: H [E, E]."""
        from scipy.linalg import cho_factor

        matrix = gram[np.ix_(support, support)]
        matrix[np.diag_indices_from(matrix)] += ridge
        if len(support):
            # Symmetric: transposed it is in LAPACK's order, and nothing is copied.
            matrix, _ = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        return Factor(rows, support, matrix)

    def solve(self, wanted: Doubles, change: Doubles) -> None:
        """Set the rows of ``change``."""
        from scipy.linalg import cho_solve

        if len(self.support):
            at = np.ix_(self.rows, self.support)
            change[at] = cho_solve((self.lower, True), wanted[at].T, check_finite=False).T


@dataclass(frozen=True, eq=False)
class Problem:
    """The least squares of ``fit`` for rows of a group, to be solved for one target or several.

    columns: of the group alone; rows: which; start, support: theirs, [r, E]; factors: of all their
    supports (None: by conjugate gradients).
    """

    group: int
    rows: Places
    columns: Columns
    start: Doubles
    support: Mask
    ridge: float
    tolerance: float
    factors: tuple[Factor, ...] | None

    @property
    def at(self) -> tuple[int, Places]:
        """Where the rows are in [G, R, ...]."""
        return self.group, self.rows

    @cached_property
    def _begun(self) -> Doubles:
        """What ``cross`` would be if ``start`` made the targets."""
        begun: Doubles = self.columns.times(self.start[None])[0]
        return begun

    def solve(self, cross: Doubles) -> Doubles:
        """The weights [r, E] for targets of the rows: cross [r, E]."""
        wanted = cross - self._begun
        if self.factors is None:
            change = _gradients(self.columns, self.ridge, wanted, self.support, self.tolerance)
        else:
            change = np.zeros_like(wanted)
            for factor in self.factors:
                factor.solve(wanted, change)
        weight: Doubles = self.start + change
        return weight


def problems(
    columns: Columns,
    start: Doubles,
    support: Mask,
    damping: float = DAMPING,
    tolerance: float = TOLERANCE,
) -> Iterator[Problem]:
    """What ``fit`` solves, in parts whose factors take at most ``FACTOR_BYTES`` or are of a single
    support: one part after the other, each for as many targets as there are."""
    ridges = damping * columns.variance.mean(axis=1)
    ridges = np.where(ridges > 0, ridges, 1.0)  # a group that reads constants: start is as good
    for group, (own, ridge) in enumerate(zip(columns.groups, map(float, ridges), strict=True)):
        masks, same = np.unique(support[group], axis=0, return_inverse=True)
        direct = _is_direct(own, masks, np.bincount(same), tolerance)
        for numbers in _portions(masks) if direct else [np.arange(len(masks))]:
            rows = np.flatnonzero(np.isin(same, numbers))
            factors = (
                tuple(
                    Factor.of(
                        own.gram[0],
                        ridge,
                        np.flatnonzero(same[rows] == number),
                        np.flatnonzero(masks[number]),
                    )
                    for number in numbers
                )
                if direct
                else None
            )
            yield Problem(
                group,
                rows,
                own,
                start[group, rows],
                support[group, rows],
                ridge,
                tolerance,
                factors,
            )


def _is_direct(columns: Columns, masks: Mask, rows: Places, tolerance: float) -> bool:
    """Whether factoring a matrix for each support is less work than multiplying by H again and
    again, in multiplications."""
    size = columns.x.shape[1]
    if columns.count < size:
        return False
    supports = masks.sum(axis=1, dtype=np.float64)
    direct = float((supports**3 / 6 + rows * supports**2).sum())
    return bool(direct <= -log10(tolerance) * USUAL * float(rows.sum()) * size**2)


def _portions(masks: Mask) -> list[Places]:
    """Numbers of masks whose factors fit together."""
    sizes = np.square(masks.sum(axis=1, dtype=np.int64)) * 8
    most = max(1, FACTOR_BYTES // max(1, int(sizes.max(initial=0))))
    return [np.arange(start, min(start + most, len(masks))) for start in range(0, len(masks), most)]


def _gradients(
    columns: Columns, ridge: float, wanted: Doubles, support: Mask, tolerance: float
) -> Doubles:
    """The change of rows [r, E] of one group."""
    scale = 1 / (columns.variance[0] + ridge)
    change = np.zeros_like(wanted)
    rows = np.arange(len(wanted))  # those that are not done
    residual = np.where(support, wanted, 0)
    direction = residual * scale
    power = (residual * direction).sum(axis=1, keepdims=True)
    enough = power * tolerance
    for _ in range(ITERATIONS):
        left = np.flatnonzero((power > enough)[:, 0])
        if len(left) < len(rows):
            rows = rows[left]
            residual, direction = residual[left], direction[left]
            power, enough = power[left], enough[left]
        if not len(rows):
            break
        image = columns.times(direction[None])[0] + ridge * direction
        image = np.where(support[rows], image, 0)
        step = power / (direction * image).sum(axis=1, keepdims=True)
        change[rows] += step * direction
        residual = residual - step * image
        scaled = residual * scale
        again = (residual * scaled).sum(axis=1, keepdims=True)
        direction = scaled + again / power * direction
        power = again
    return change
