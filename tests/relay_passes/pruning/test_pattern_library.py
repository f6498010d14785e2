"""Patterns and connectivity: what stays is what the definition says."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.schemes.pattern_library import (
    PCONV,
    PatternLibrary,
    best_patterns,
    choose_patterns,
    connectivity_mask,
    learn_library,
)


def _scores(seed: int, filters: int, channels: int) -> np.ndarray:
    return np.square(np.random.default_rng(seed).standard_normal((filters, channels, 9)))


def centre_patterns(taps: int = 9, entries: int = 4) -> np.ndarray:
    """All patterns of the centre and other taps, in the order of those: PatDNN's 56 of 3x3."""
    around = [tap for tap in range(taps) if tap != taps // 2]
    chosen = list(combinations(around, entries - 1))
    library = np.zeros((len(chosen), taps), np.bool_)
    for row, others in enumerate(chosen):
        library[row, [taps // 2, *others]] = True
    return library


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
    every = centre_patterns()
    votes = np.bincount(choose_patterns(scores, every).reshape(-1), minlength=len(every))
    wanted = np.sort(np.argsort(-votes, kind="stable")[: min(count, np.count_nonzero(votes))])
    assert np.array_equal(library, every[wanted]), "as if all 56 were tried"
    kept = scores * library[choose_patterns(scores, library)]
    each = np.stack([(scores * pattern).sum(axis=2) for pattern in library])
    assert np.allclose(kept.sum(axis=2), each.max(axis=0))
    assert np.array_equal(choose_patterns(kept, library), choose_patterns(scores, library))


def test_learning_finds_the_patterns_that_are_there() -> None:
    rng = np.random.default_rng(0)
    hidden = centre_patterns()[[3, 17, 40, 55]]
    weight = np.where(hidden[rng.integers(0, 4, (32, 16))], rng.uniform(1, 2, (32, 16, 9)), 0)
    assert np.array_equal(learn_library([np.square(weight)], 4), hidden)


@given(
    st.integers(0, 1000),
    st.sampled_from([(3, 3), (1, 5), (5,), (3, 3, 3), (1, 3)]),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_best_patterns_are_those_of_the_enumeration(
    seed: int, kernel: tuple[int, ...], entries: int, values: int
) -> None:
    """Also where weights are equal: few different ones, or zeros."""
    taps = int(np.prod(kernel))
    entries = min(entries, taps)
    kernels = np.random.default_rng(seed).integers(0, 1 << values, (20, taps)).astype(np.float64)
    every = centre_patterns(taps, entries)
    assert np.array_equal(
        best_patterns(kernels, kernel, entries), every[choose_patterns(kernels, every)]
    )


def test_kernels_without_a_centre_and_without_weights() -> None:
    kernels = np.array([[1.0, 4.0, 2.0, 3.0]])
    assert best_patterns(kernels, (2, 2), 2).tolist() == [[False, True, False, True]]
    library = learn_library([np.zeros((2, 2, 9))], 8)
    assert library.tolist() == [[True, True, True, False, True, False, False, False, False]]


def test_a_library_of_ones_own(tmp_path: Path) -> None:
    values = [[[1, 0], [1, 1]], [[0, 1], [0, 0]]]
    library = PatternLibrary.of(values)
    assert library == PatternLibrary.of(np.array(values, bool))
    assert library.kernel == (2, 2)
    assert np.array_equal(library.masks, np.array(values, bool).reshape(2, 4))
    path = tmp_path / "own.toml"
    path.write_text("# two\npatterns = [[[1, 0], [1, 1]],\n  [[0, 1], [0, 0]]]\n")
    assert PatternLibrary.read(path) == library
    assert str(library) == "2 patterns of 2x2"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([[1, 2]], "0 and 1 in the shape"),
        ([1, 0], "0 and 1 in the shape"),
        ([], "0 and 1"),
        ([[[1, 0], [1]]], "0 and 1 in the shape"),
        ([["1"]], "0 and 1 in the shape"),
        ([[0, 0], [1, 0]], "keeps nothing"),
        (3, "0 and 1"),
    ],
)
def test_libraries_that_are_none(values: object, sentence: str) -> None:
    with pytest.raises(PassError, match=sentence):
        PatternLibrary.of(values)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("patterns = [", "is not TOML"),
        ("pattern = [[1]]", "must have the key 'patterns'"),
        ("patterns = [[0]]", "own.toml' has a pattern that keeps nothing"),
        ("patterns = " + "[" * 5000, "is not TOML"),
        (None, "cannot be read"),
        ("\ud800", "not TOML"),
    ],
)
def test_files_that_hold_no_library(text: str | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    if text is not None:
        path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(PassError, match=sentence):
        PatternLibrary.read(path)


@given(
    st.integers(0, 1000),
    st.integers(1, 12),
    st.integers(1, 40),
    st.floats(0, 0.99),
    st.sampled_from(["filter", "layer"]),
)
def test_connectivity(seed: int, filters: int, channels: int, ratio: float, balance: str) -> None:
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


@pytest.mark.parametrize("balance", ["filter", "layer"])
def test_of_kernels_of_equal_norm_the_last_goes(balance: str) -> None:
    assert connectivity_mask(np.ones((1, 4)), 0.5, balance).tolist() == [[True, True, False, False]]
