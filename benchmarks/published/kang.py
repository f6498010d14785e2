"""Accelerator-aware pruning: what equal numbers of weights in every group gain for lanes in step.

The publication's accuracies are not reproduced: they need its training.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.published.layers import PublishedLayer, target, timing, with_array
from benchmarks.published.row import PublishedRow, between, equal, within
from zeroskip.accel_model.arrays.base import Timing
from zeroskip.accel_model.formats import BITMAP

SEED = 0
LAYER = PublishedLayer("conv4_2", 512, 512, 8, 3, density=0.25)  # of VGG-16
LANES = {16: within(1.80, 0.02), 32: between(1.8, 2.2), 64: within(2.08, 0.02)}
SCHEMES = {"4 of 16": (16, 4), "2:4": (4, 2), "1:4": (4, 1)}
WORKING = ("multiply", "fragmentation", "zeros", "padding", "instep")


def rows() -> list[PublishedRow]:
    return [
        *(_doubling(lanes) for lanes in LANES),
        *(_exact(scheme) for scheme in SCHEMES),
        *(_layer(scheme) for scheme in SCHEMES),
    ]


def _doubling(lanes: int) -> PublishedRow:
    """12 of 16 weights pruned anywhere, over 12 of every 16: the publication says that its pruning
    doubles the speed. Lanes in step wait for the one with most weights in a group."""
    spec = with_array(target("kang"), lanes=lanes)
    anywhere = LAYER.random_weights(np.random.default_rng(SEED))
    irregular = timing(spec, LAYER, anywhere, weights=BITMAP)
    ours = irregular.cycles / timing(spec, LAYER, of_every(16, 4)).cycles
    figure = f"12 of 16 pruned, in groups over anywhere, {lanes} lanes in step"
    return PublishedRow("Kang", figure, None, ours, LANES[lanes])


def _exact(scheme: str) -> PublishedRow:
    """Cycles in which lanes work on groups, all weights over q of every g."""
    dense, pruned = _pair(scheme)
    group, kept = SCHEMES[scheme]
    ours = sum(dense.slots[name] for name in WORKING) / sum(pruned.slots[name] for name in WORKING)
    return PublishedRow(
        "Kang", f"{scheme}, work of dense over pruned", group / kept, ours, equal(group / kept)
    )


def _layer(scheme: str) -> PublishedRow:
    """All cycles of the layer, its first fetch and last drain with them."""
    dense, pruned = _pair(scheme)
    group, kept = SCHEMES[scheme]
    ours = dense.cycles / pruned.cycles
    figure = f"{scheme}, cycles of a VGG-16 layer, dense over pruned"
    return PublishedRow("Kang", figure, group / kept, ours, within(group / kept, 0.01))


def _pair(scheme: str) -> tuple[Timing, Timing]:
    group, kept = SCHEMES[scheme]
    spec = with_array(target("kang"), group=group)
    dense, pruned = of_every(group, group), of_every(group, kept)
    return timing(spec, LAYER, dense), timing(spec, LAYER, pruned)


def of_every(group: int, kept: int) -> npt.NDArray[np.int8]:
    """int8 [filters, entries]: ones at random places, as many in every group of channels."""
    shape = (LAYER.filters, LAYER.shape.entries // group, group)
    ranks = np.random.default_rng(SEED).random(shape).argsort(axis=2)
    return (ranks < kept).astype(np.int8).reshape(LAYER.filters, -1)
