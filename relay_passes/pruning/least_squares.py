"""Weights on a given support that make what is wanted of given columns: masked least squares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from zeroskip.relay_passes.pruning.statistics import Columns

Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

DAMPING = 0.01  # of the mean variance of what a layer reads
ITERATIONS = 100
TOLERANCE = 1e-10  # of the squared residual, of where it was at the start
USUAL = 40  # iterations that are usually enough: what direct solutions are weighed against


def fit(columns: Columns, cross: Doubles, start: Doubles, support: Mask, damping: float = DAMPING,
        tolerance: float = TOLERANCE) -> Doubles:
    """The weights w [G, R, E] that minimise, row by row, w being zero off the support,

        mean |w x - y|^2 + damping h |w - start|^2

    x: the columns; cross: mean of y x' [G, R, E]; start: zero off the support; h: the mean variance
    of what a group reads. What the layer makes is never further from y than with ``start``.

    Directly by Cholesky where that is less work: for rows that share a support, or whose supports
    are small; else by conjugate gradients with a diagonal preconditioner, all rows at once
    (Hestenes and Stiefel, 1952), which only come closer with each step, until the squared residual
    is down to a ``tolerance`` of what it was.
    """
    ridge = damping * columns.variance.mean(axis=1)
    ridge = np.where(ridge > 0, ridge, 1.0)  # a group that reads constants: start is as good
    wanted = cross - columns.times(start)
    change = np.zeros_like(start)
    for group in range(len(start)):
        masks, same = np.unique(support[group], axis=0, return_inverse=True)
        if _is_direct(columns, masks, np.bincount(same)):
            for number, mask in enumerate(masks):
                _solve(columns.gram[group], ridge[group], wanted[group], change[group],
                       np.flatnonzero(same == number), np.flatnonzero(mask))
        else:
            part = slice(group, group + 1)
            change[part] = _gradients(Columns(columns.x[part], columns.mean[part], columns.chosen),
                                      ridge[group], wanted[part], support[part], tolerance)
    return start + change


def _is_direct(columns: Columns, masks: Mask, rows: npt.NDArray[np.int64]) -> bool:
    """Whether factoring a matrix for each support is less work than multiplying by H again and
    again, in multiplications."""
    size = columns.x.shape[1]
    if columns.count < size:
        return False
    supports = masks.sum(axis=1, dtype=np.float64)
    direct = float((supports**3 / 6 + rows * supports**2).sum())
    return bool(direct <= USUAL * float(rows.sum()) * size**2)


def _solve(gram: Doubles, ridge: float, wanted: Doubles, change: Doubles,
           rows: npt.NDArray[np.int64], support: npt.NDArray[np.int64]) -> None:
    """Set the rows of ``change`` that have a support."""
    if len(support):
        matrix = gram[np.ix_(support, support)]
        matrix[np.diag_indices_from(matrix)] += ridge
        at = np.ix_(rows, support)
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        change[at] = cho_solve(factor, wanted[at].T, check_finite=False).T


def _gradients(columns: Columns, ridge: float, wanted: Doubles, support: Mask,
               tolerance: float) -> Doubles:
    """The change of the rows [1, R, E] of one group."""
    scale = 1 / (columns.variance[:, None] + ridge)
    change = np.zeros_like(wanted)
    rows = np.arange(wanted.shape[1])  # those that are not done
    residual = np.where(support, wanted, 0)
    direction = residual * scale
    power = (residual * direction).sum(axis=2, keepdims=True)
    enough = power * tolerance
    for _ in range(ITERATIONS):
        left = np.flatnonzero((power > enough)[0, :, 0])
        if len(left) < len(rows):
            rows = rows[left]
            residual, direction = residual[:, left], direction[:, left]
            power, enough = power[:, left], enough[:, left]
        if not len(rows):
            break
        image = np.where(support[:, rows], columns.times(direction) + ridge * direction, 0)
        step = power / (direction * image).sum(axis=2, keepdims=True)
        change[:, rows] += step * direction
        residual = residual - step * image
        scaled = residual * scale
        again = (residual * scaled).sum(axis=2, keepdims=True)
        direction = scaled + again / power * direction
        power = again
    return change
