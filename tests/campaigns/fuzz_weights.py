"""Random weights with zeros by every scheme of pruning, and requantization that suits them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tests.campaigns.fuzz_case import InvalidCaseError
from tests.compiler.fields import Int8, ScalesFields
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.fixed_point import SumForm

Mask = npt.NDArray[np.bool_]

SCHEMES = ("unstructured", "n:m", "pattern", "kernels", "blocks", "filters", "channels", "taps")
DENSITIES = (0.0, 0.05, 0.25, 0.5, 0.9)
LARGEST_BIAS = (1 << 31) - 1


def random_weight(
    rng: np.random.Generator, shape: tuple[int, ...], scheme: str, density: float, extreme: bool
) -> Int8:
    """int8 [K, C, *taps]; ``extreme``: nothing but the ends of the range."""
    weight = (
        rng.choice(np.array([-128, -127, 127], np.int8), shape)
        if extreme
        else rng.integers(-128, 128, shape).astype(np.int8)
    )
    if density < 1:
        weight[~kept(rng, shape, scheme, density)] = 0
    return weight


def kept(rng: np.random.Generator, shape: tuple[int, ...], scheme: str, density: float) -> Mask:
    """Which weights of [K, C, *taps] a pruning scheme leaves."""
    filters, channels, *taps = shape
    whole = (1,) * len(taps)
    if scheme == "unstructured":
        return rng.random(shape) < density
    if scheme == "n:m":
        group = int(rng.choice([4, 8]))
        return _most(
            rng.random((filters, -(-channels // group), group, *taps)), density, 2
        ).reshape(filters, -1, *taps)[:, :channels]
    if scheme == "pattern":
        library = _most(rng.random((8, int(np.prod(taps)))), density, 1)
        masks = library[rng.integers(0, len(library), (filters, channels))].reshape(shape)
        return masks & (rng.random((filters, channels, *whole)) < (0.5 + density / 2))
    sizes = {"kernels": (filters, channels), "filters": (filters, 1), "channels": (1, channels)}
    if scheme in sizes:
        return np.broadcast_to(rng.random((*sizes[scheme], *whole)) < density, shape)
    if scheme == "blocks":  # of 4 filters and 4 channels
        blocks = rng.random((-(-filters // 4), -(-channels // 4))) < density
        wide = blocks.repeat(4, axis=0).repeat(4, axis=1)[:filters, :channels]
        return np.broadcast_to(wide.reshape(filters, channels, *whole), shape)
    if scheme == "taps":
        return np.broadcast_to(rng.random((1, 1, *taps)) < density, shape)
    raise InvalidCaseError(f"zeros by {scheme!r}")


def _most(rank: npt.NDArray[np.float64], density: float, axis: int) -> Mask:
    """As many of each group along an axis as the density says."""
    count = round(density * rank.shape[axis])
    most: Mask = np.argsort(np.argsort(rank, axis=axis), axis=axis) < count
    return most


def random_scales(
    rng: np.random.Generator, weight: Int8, extreme: bool, form: SumForm
) -> ScalesFields:
    """bias, mult and shift, int32 [K]: results spread over their bits, or anything that is allowed.
    form: of the sums."""
    count = len(weight)
    flat = weight.reshape(count, -1).astype(np.int64)
    if extreme:
        room = (1 << (form.bits - 1)) - 1 - np.abs(flat).sum(axis=1) * form.reach
        if room.min() < 0:
            raise InvalidCaseError(f"a sum may not fit in {form.bits} bits")
        room = np.minimum(room, LARGEST_BIAS)
        pairs = [random_multiplier(rng, form.mult_bits) for _ in range(count)]
        bias = rng.integers(-room, room + 1)
    else:
        spread = np.maximum(np.sqrt((flat**2).sum(axis=1)) * 74, 1000.0)
        pairs = [
            layers.quantize_multiplier(float(60 * scale / each), form.mult_bits)
            for each, scale in zip(spread, rng.uniform(0.5, 2.0, count), strict=True)
        ]
        room = spread.astype(np.int64) * (form.reach // 128)  # steps of 8 bits, or of 16
        bias = rng.integers(-room, room + 1)
    return {
        "mult": np.array([mult for mult, _ in pairs], np.int32),
        "shift": np.array([shift for _, shift in pairs], np.int32),
        "bias": bias.astype(np.int32),
    }


def random_multiplier(rng: np.random.Generator, bits: int = 31) -> tuple[int, int]:
    """Any multiplier and shift that are allowed, large and small ones alike."""
    mult = int(rng.integers(0, 1 << int(rng.integers(1, bits + 1))))
    return mult, int(rng.integers(1, layers.MAX_SHIFT + 1))
