"""Patterns and connectivity: what stays is what the definition says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zeroskip.relay_passes.pruning.libraries import (
    PCONV,
    centre_patterns,
    choose_patterns,
    connectivity_mask,
    learn_library,
)


def _scores(seed: int, filters: int, channels: int) -> np.ndarray:
    return np.square(np.random.default_rng(seed).standard_normal((filters, channels, 9)))


def test_the_libraries_are_those_of_the_papers() -> None:
    assert PCONV.shape == (4, 9)
    every = centre_patterns()
    assert every.shape == (56, 9)
    for library in (PCONV, every):
        assert (library.sum(axis=1) == 4).all()
        assert library[:, 4].all()
        assert len({tuple(row) for row in library.tolist()}) == len(library)


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.integers(1, 56))
def test_choice(seed: int, filters: int, channels: int, count: int) -> None:
    scores = _scores(seed, filters, channels)
    library = learn_library([scores], count)
    assert len(library) == min(count, 56)
    kept = scores * library[choose_patterns(scores, library)]
    each = np.stack([(scores * pattern).sum(axis=2) for pattern in library])
    assert np.allclose(kept.sum(axis=2), each.max(axis=0))
    assert np.array_equal(choose_patterns(kept, library), choose_patterns(scores, library))


def test_learning_finds_the_patterns_that_are_there() -> None:
    rng = np.random.default_rng(0)
    hidden = centre_patterns()[[3, 17, 40, 55]]
    weight = np.where(hidden[rng.integers(0, 4, (32, 16))], rng.uniform(1, 2, (32, 16, 9)), 0)
    assert np.array_equal(learn_library([np.square(weight)], 4), hidden)


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 40), st.floats(0, 0.99),
       st.sampled_from(["filter", "layer"]))
def test_connectivity(seed: int, filters: int, channels: int, ratio: float,
                      balance: str) -> None:
    norms = np.random.default_rng(seed).uniform(0, 1, (filters, channels))
    mask = connectivity_mask(norms, ratio, balance)
    if balance == "filter":
        assert set(mask.sum(axis=1)) == {max(1, round(channels * (1 - ratio)))}
        for row, stays in zip(norms, mask, strict=True):
            assert not stays.all() or ratio < 1
            assert row[stays].min() >= row[~stays].max(initial=0)
    else:
        assert mask.sum() == max(1, round(norms.size * (1 - ratio)))
        assert norms[mask].min() >= norms[~mask].max(initial=0)
