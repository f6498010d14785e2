"""Kernel patterns: which taps of a kernel stay, and which pattern suits a kernel best.

A library is bool [n, taps], one row for each pattern, taps row by row. Plain numpy.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Library = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

TAPS = 9
CENTRE = 4


def _library(patterns: Sequence[Sequence[int]]) -> Library:
    library = np.zeros((len(patterns), TAPS), np.bool_)
    for row, taps in enumerate(patterns):
        library[row, list(taps)] = True
    return library


# The four sparse convolution patterns of PCONV (Ma et al., AAAI 2020, figure 3): the centre, one
# neighbour above or below, and the two beside or around the corner that approximate a Gaussian.
PCONV = _library([(0, 1, 3, 4), (1, 2, 4, 5), (3, 4, 6, 7), (4, 5, 7, 8)])


def centre_patterns(extra: int = 3) -> Library:
    """All 3x3 patterns of the centre and ``extra`` other taps: 56 for 3 (PatDNN, Niu et al.,
    ASPLOS 2020, section 4.1)."""
    around = [tap for tap in range(TAPS) if tap != CENTRE]
    return _library([(CENTRE, *others) for others in combinations(around, extra)])


def learn_library(scores: Sequence[Floats], count: int) -> Library:
    """The ``count`` of the 56 patterns that most kernels would choose.

    scores: of the weights [K, C, 9] of each layer of the network, such as their squares. A kernel
    chooses the pattern that keeps most (with squares: of its L2 norm; PatDNN, section 4.1). Of
    patterns chosen equally often the first wins. Kernels of zeros have no vote.
    """
    every = centre_patterns()
    votes = np.zeros(len(every), np.int64)
    for layer in scores:
        kernels = layer.reshape(-1, TAPS)
        best = choose_patterns(kernels[kernels.any(axis=1)], every)
        votes += np.bincount(best, minlength=len(every))
    return every[np.sort(np.argsort(-votes, kind="stable")[:count])]


def choose_patterns(scores: Floats, library: Library) -> Ints:
    """The number of the pattern that keeps most of each kernel. scores: [..., taps]."""
    chosen: Ints = (scores @ library.T.astype(scores.dtype)).argmax(axis=-1)
    return chosen


def connectivity_mask(norms: Floats, ratio: float, balance: str) -> Library:
    """Which kernels stay when the weakest go. norms: [K, C]; ratio: of kernels to remove.

    balance ``filter``: the same number in every filter, so that lanes with a filter each end
    together; ``layer``: the weakest of the layer, wherever they are. Of equal norms the last goes.
    """
    if balance == "filter":
        keep = max(1, round(norms.shape[1] * (1 - ratio)))
        order = np.argsort(-norms, axis=1, kind="stable")
        mask = np.zeros(norms.shape, np.bool_)
        np.put_along_axis(mask, order[:, :keep], True, axis=1)
        return mask
    keep = max(1, round(norms.size * (1 - ratio)))
    flat: Library = np.zeros(norms.size, np.bool_)
    flat[np.argsort(-norms, axis=None, kind="stable")[:keep]] = True
    return flat.reshape(norms.shape)
