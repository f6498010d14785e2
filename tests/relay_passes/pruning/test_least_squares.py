"""Masked least squares against numpy's on each row's support; columns and their statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.statistics import Columns, columns
from zeroskip.relay_passes.pruning.reconstruction import least_squares
from zeroskip.relay_passes.pruning.reconstruction.least_squares import fit, problems

MATMUL = Im2col()


def problem(
    seed: int, groups: int, rows: int, size: int, count: int
) -> tuple[Columns, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, targets [G, R, n], starting weights and their support."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((groups, size, count)) + rng.standard_normal((groups, size, 1))
    x[:, -1] += x[:, 0]  # correlated
    mean = x.mean(axis=2, keepdims=True)
    seen = Columns((x - mean).astype(np.float32), mean, None)
    support = rng.random((groups, rows, size)) < 0.5
    start = np.where(support, rng.standard_normal(support.shape), 0)
    return seen, rng.standard_normal((groups, rows, count)), start, support


def objective(
    seen: Columns, y: np.ndarray, weight: np.ndarray, start: np.ndarray, damping: float
) -> np.ndarray:
    """What ``fit`` minimises, of each row."""
    x = seen.x.astype(np.float64)
    error = np.square(weight @ x - (y - y.mean(axis=2, keepdims=True))).mean(axis=2)
    ridge = damping * seen.variance.mean(axis=1)[:, None]
    total: np.ndarray = error + ridge * np.square(weight - start).sum(axis=2)
    return total


@pytest.mark.parametrize("direct", [True, False])
@settings(max_examples=20)
@given(
    seed=st.integers(0, 1 << 16),
    groups=st.integers(1, 3),
    rows=st.integers(1, 5),
    size=st.integers(1, 12),
    count=st.integers(3, 40),
)
def test_the_least_squares_of_numpy(
    direct: bool, seed: int, groups: int, rows: int, size: int, count: int
) -> None:
    """The same weights where they are solved for; where they are approached, as small an objective:
    of a flat one many weights are as good. What is left of it is at most the tolerance of the
    residual times the largest eigenvalue (the size, of matrices scaled to a unit diagonal) and over
    the least (the damping): 1e-10 * 12 * 12 / 0.01 of where it started."""
    seen, y, start, support = problem(seed, groups, rows, size, count)
    damping = 1e-2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(least_squares, "_is_direct", lambda *_: direct)
        found = fit(seen, seen.cross(y), start, support, damping)
    assert not found[~support].any()
    x, least = seen.x.astype(np.float64), np.zeros_like(found)
    for group in range(groups):
        ridge = damping * seen.variance[group].mean()
        for row in range(rows):
            held = support[group, row]
            # mean |w x - y|^2 + ridge |w - start|^2, as one system of equations
            equations = np.vstack(
                [x[group, held].T / np.sqrt(count), np.sqrt(ridge) * np.eye(held.sum())]
            )
            wanted = np.concatenate(
                [
                    (y[group, row] - y[group, row].mean()) / np.sqrt(count),
                    np.sqrt(ridge) * start[group, row, held],
                ]
            )
            best = np.linalg.lstsq(equations, wanted)[0]
            if direct:
                np.testing.assert_allclose(found[group, row, held], best, rtol=1e-3, atol=1e-4)
            least[group, row, held] = best
    reached = objective(seen, y, found, start, damping)
    begun = objective(seen, y, start, start, damping)
    assert (reached <= objective(seen, y, least, start, damping) + 2e-6 * begun).all()
    assert (reached <= begun * (1 + 1e-9)).all()


def test_it_is_never_worse_than_the_start_however_early_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, y, start, support = problem(1, 2, 6, 30, 25)  # fewer columns than unknowns
    assert not least_squares._is_direct(seen, support[0], np.ones(6, np.int64), 1e-10)
    before = objective(seen, y, start, start, 1e-2)
    for iterations in range(6):
        monkeypatch.setattr(least_squares, "ITERATIONS", iterations)
        after = objective(seen, y, fit(seen, seen.cross(y), start, support, 1e-2), start, 1e-2)
        assert (after <= before * (1 + 1e-9)).all()
        before = after


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1 << 16),
    groups=st.integers(1, 2),
    rows=st.integers(1, 6),
    different=st.integers(1, 4),
    room=st.integers(0, 900),
)
def test_solved_in_parts_of_as_many_supports_as_there_is_room_for(
    seed: int, groups: int, rows: int, different: int, room: int
) -> None:
    seen, y, start, support = problem(seed, groups, rows, 8, 30)
    support = support[:, np.arange(rows) % different]
    start = np.where(support, start, 0)
    at_once = fit(seen, seen.cross(y), start, support)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(least_squares, "FACTOR_BYTES", room)
        parts = [*problems(seen, start, support)]
        np.testing.assert_allclose(fit(seen, seen.cross(y), start, support), at_once, atol=1e-12)
    places = sorted((part.group, int(row)) for part in parts for row in part.rows)
    assert places == [(group, row) for group in range(groups) for row in range(rows)]
    for part in parts:
        assert part.factors is not None
        held = sum(factor.lower.nbytes for factor in part.factors)
        assert held <= room or len(part.factors) == 1


def test_a_problem_is_solved_for_one_target_after_another() -> None:
    seen, y, start, support = problem(3, 2, 4, 9, 40)
    other = np.random.default_rng(4).standard_normal(y.shape)
    for part in problems(seen, start, support):
        for target in (y, other):
            cross = seen.cross(target)
            np.testing.assert_allclose(
                part.solve(cross[part.at]), fit(seen, cross, start, support)[part.at], atol=1e-12
            )


def test_a_group_that_reads_constants_keeps_its_weights() -> None:
    seen = columns(MATMUL, np.full((20, 3), 2.0, np.float32))
    start = np.arange(6.0).reshape(1, 2, 3)
    found = fit(seen, seen.cross(np.ones((1, 2, 20))), start, start != 0)
    np.testing.assert_array_equal(found, start)


@settings(max_examples=20)
@given(images=st.integers(1, 9), limit=st.integers(1, 60))
def test_columns_are_chosen_alike_of_inputs_and_results(images: int, limit: int) -> None:
    rng = np.random.default_rng(images)
    im2col = Im2col(2, (3, 3), (2, 1), (1, 1), ((1, 1), (0, 1)))
    x = rng.standard_normal((images, 4, 5, 6)).astype(np.float32)
    weight = rng.standard_normal((6, 2, 3, 3)).astype(np.float32)
    seen = columns(im2col, x, limit)
    every = im2col.columns(x)
    assert seen.count == min(limit, every.shape[2])
    chosen = seen.take(im2col.rows(im2col.apply(weight, x)))
    made = weight.reshape(2, 3, -1) @ (seen.x + seen.mean)
    np.testing.assert_allclose(made, chosen, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(seen.x.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(
        seen.gram[:, range(18), range(18)], seen.variance, rtol=1e-3, atol=1e-5
    )
