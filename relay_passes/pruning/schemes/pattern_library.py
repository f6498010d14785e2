"""Kernel patterns: which taps of a kernel stay, and which pattern suits a kernel best.

A library is bool [n, taps], one row for each pattern, taps row by row. Plain numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.toml_file import read_toml
from zeroskip.relay_passes.errors import PassError

Library = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PatternLibrary:
    """Patterns for kernels of one size. patterns: of each, for every tap whether it stays."""

    kernel: tuple[int, ...]
    patterns: tuple[tuple[bool, ...], ...]

    @staticmethod
    def of(values: Any, source: str = "A pattern library") -> PatternLibrary:
        """From 0 and 1 (or bool) as an array or lists [n, *kernel]; PassError names ``source``."""
        try:
            array = np.asarray(values)
        except ValueError:  # rows of different lengths
            array = np.zeros(0, object)
        if (
            array.ndim < 2
            or not array.size
            or array.dtype.kind not in "biuf"
            or not np.isin(array, (0, 1)).all()
        ):
            raise PassError(
                f"{source} must be 0 and 1 in the shape [patterns, *kernel], such as "
                "[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]: one pattern of 3x3."
            )
        masks = array.astype(np.bool_).reshape(len(array), -1)
        if not masks.any(axis=1).all():
            raise PassError(
                f"{source} has a pattern that keeps nothing; kernels are removed by "
                "connectivity=RATIO."
            )
        return PatternLibrary(array.shape[1:], tuple(map(tuple, masks.tolist())))

    @staticmethod
    def read(path: Path) -> PatternLibrary:
        """From a TOML file whose only key ``patterns`` holds nested lists of 0 and 1."""
        table = read_toml(path, PassError, "The pattern library")
        if list(table) != ["patterns"]:
            raise PassError(
                f"The pattern library '{path}' must have the key 'patterns' and no "
                "other: patterns = [[[1, 1, 0], [1, 1, 0], [0, 0, 0]], ...]"
            )
        return PatternLibrary.of(table["patterns"], f"The pattern library '{path}'")

    @property
    def masks(self) -> Library:
        """bool [n, taps]."""
        return np.array(self.patterns, np.bool_)

    def __str__(self) -> str:
        return f"{len(self.patterns)} patterns of {'x'.join(map(str, self.kernel))}"


# The four sparse convolution patterns of PCONV (Ma et al., AAAI 2020, figure 3): the centre, one
# neighbour above or below, and the two beside or around the corner that approximate a Gaussian.
PCONV: Library = np.array(
    [
        [1, 1, 0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 0, 1, 1],
    ],
    np.bool_,
)


def learn_library(
    scores: Sequence[Floats], count: int, kernel: tuple[int, ...] = (3, 3), entries: int = 4
) -> Library:
    """The ``count`` patterns, or fewer, that most kernels would choose of all that there are.

    scores: of the weights [K, C, taps] of each layer of the network, such as their squares. A
    kernel chooses the pattern that keeps most (with squares: of its L2 norm) of those with
    ``entries`` taps, one of them the centre: of the 56 of PatDNN for 3x3 and 4 (Niu et al., ASPLOS
    2020, section 4.1). A kernel with a side of even length has no centre. Of patterns chosen
    equally often the first by its taps wins. Kernels of zeros have no vote.
    """
    taps = prod(kernel)
    kernels = np.concatenate([layer.reshape(-1, taps) for layer in scores])
    votes = best_patterns(kernels[kernels.any(axis=1)], kernel, entries)
    if not len(votes):
        votes = best_patterns(kernels[:1], kernel, entries)
    patterns, times = distinct(votes)
    library: Library = patterns[np.sort(np.argsort(-times, kind="stable")[:count])]
    return library


def distinct(masks: Library) -> tuple[Library, Ints]:
    """The different masks of bool [n, taps], the first by their taps first, and how often each."""
    packed = np.packbits(masks, axis=1)
    words = -(-packed.shape[1] // 8)
    padded = np.zeros((len(packed), 8 * words), np.uint8)
    padded[:, : packed.shape[1]] = packed
    codes = (
        padded.view(">u8")[:, 0].astype(np.uint64)
        if words == 1
        else padded.view(f"V{8 * words}")[:, 0]
    )
    _codes, first, times = np.unique(codes, return_index=True, return_counts=True)
    return masks[first[::-1]], times[::-1]  # a tap that stays is a 1: the first mask is largest


def best_patterns(kernels: Floats, kernel: tuple[int, ...], entries: int) -> Library:
    """bool [n, taps]: of each kernel [n, taps] the centre and its ``entries`` - 1 best other taps;
    of equal ones the first."""
    worth = kernels.astype(np.float64)
    if all(size % 2 for size in kernel):
        worth[:, kernels.shape[1] // 2] = np.inf
    order = np.argsort(-worth, axis=1, kind="stable")
    found = np.zeros(worth.shape, np.bool_)
    np.put_along_axis(found, order[:, :entries], True, axis=1)
    return found


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
