"""The range of an activation by the histogram of its values."""

from collections.abc import Mapping, Set

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.quantize.scales import Range

Counts = npt.NDArray[np.int64]  # [BINS], between the extremes

BINS = 2048
LEVELS = 255
_SHRINKS = np.linspace(0.2, 1.0, 81)
FIXED = ("minmax", "percentile", "mse")


def range_by(method: str, counts: Counts, seen: Range, percentile: float) -> Range:
    """The range that a method of ``FIXED`` takes of values between the extremes ``seen``."""
    if method == "percentile":
        return _quantiles(counts, seen, percentile)
    return _least_error(counts, seen) if method == "mse" else seen


def candidates_of(
    counts: Mapping[str, Counts],
    seen: Mapping[str, Range],
    percentile: float,
    uncut: Set[str] = frozenset(),
) -> dict[str, dict[str, Range]]:
    """The range of each variable by each method; of those ``uncut`` all methods take the
    extremes."""
    return {
        method: {
            name: seen[name]
            if name in uncut
            else range_by(method, counts[name], seen[name], percentile)
            for name in counts
        }
        for method in FIXED
    }


def count(values: npt.NDArray[np.float32], seen: Range) -> Counts:
    """The histogram of values between the extremes ``seen``."""
    width = (seen.hi - seen.lo) / BINS
    if width == 0 or not np.isfinite(width):
        return np.bincount([0], minlength=BINS) * len(values)
    places = ((values - seen.lo) / width).astype(np.int64)
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)


def _quantiles(counts: Counts, seen: Range, percentile: float) -> Range:
    edges = np.linspace(seen.lo, seen.hi, BINS + 1)
    cut = counts.sum() * (100 - percentile) / 200
    below = np.searchsorted(np.cumsum(counts), cut, side="right")
    above = np.searchsorted(np.cumsum(counts[::-1]), cut, side="right")
    return Range(float(edges[below]), float(edges[BINS - above]))


def _least_error(counts: Counts, seen: Range) -> Range:
    """The shrunk range with the least squared error: step^2 / 12 by rounding, and the clipping."""
    width = (seen.hi - seen.lo) / BINS
    centres = seen.lo + width * (np.arange(BINS) + 0.5)
    best, least = seen, np.inf
    for shrink in _SHRINKS[::-1]:
        lo, hi = seen.lo * shrink, seen.hi * shrink
        clipped = np.square(centres - np.clip(centres, lo, hi))
        step = (max(hi, 0.0) - min(lo, 0.0)) / LEVELS
        error = float(np.sum(counts * (clipped + step**2 / 12)))
        if error < least:
            best, least = Range(lo, hi), error
    return best
