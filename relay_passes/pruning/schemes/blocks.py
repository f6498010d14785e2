"""Schemes that remove weights in atoms: sets of weights that stay or go together.

The weights of a layer lie in three dimensions: filter, channel, tap. Each scheme cuts each of them
into runs; an atom is the weights of one run of each. Filters and channels are cut within each group
of a grouped convolution, from the first on; the last run of a group may be shorter.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import Mask, MaskOptions, MaskPass, Scores, strongest
from zeroskip.relay_passes.pruning.base.options import OneOf, Ratio, Sizes, option
from zeroskip.relay_passes.relax.passes import function_pass

Ints = npt.NDArray[np.int64]
Parts = tuple[Ints, Ints, Ints]  # of each filter [K], channel [C/groups] and tap


@dataclass(frozen=True, kw_only=True)
class GranularityOptions(MaskOptions):
    """A scheme of atoms. Of each layer the ``ratio`` of its atoms that are worth least goes; an
    atom is worth the sum of its weights' scores."""

    strength = "ratio"

    ratio: float = option(0.5, Ratio("ratio of them to remove"))

    @abstractmethod
    def extent(self, layer: PrunableLayer) -> tuple[int, int, int]:
        """How many filters, channels and taps an atom has, where it is not cut short."""

    def keep(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Mask]:
        masks = []
        for layer, score in zip(layers, scores, strict=True):
            parts = self.partition(layer)
            worth = score.reshape(*score.shape[:2], -1)
            for axis, part in enumerate(parts):
                worth = np.add.reduceat(worth, np.flatnonzero(np.diff(part, prepend=-1)), axis)
            kept = strongest(worth, self.ratio)
            masks.append(kept[np.ix_(*parts)].reshape(score.shape))
        return masks

    def partition(self, layer: PrunableLayer) -> Parts:
        """The run of each filter, channel of a group and tap: numbered from 0."""
        filters, channels, *kernel = layer.weight.shape
        high, wide, deep = self.extent(layer)
        inside = filters // layer.groups
        group, place = np.divmod(np.arange(filters), inside)
        return (
            group * -(-inside // high) + place // high,
            np.arange(channels) // wide,
            np.arange(prod(kernel)) // deep,
        )


@dataclass(frozen=True, kw_only=True)
class ShapeOptions(GranularityOptions):
    """Of ``PruneShapes``."""

    scheme = "shape"
    doc = "positions (channel and tap) that go out of all filters of a layer"
    paper = "Wen et al., NIPS 2016"

    def extent(self, layer: PrunableLayer) -> tuple[int, int, int]:
        return len(layer.weight), 1, 1


@dataclass(frozen=True, kw_only=True)
class BlockOptions(GranularityOptions):
    """Of ``PruneBlocks``."""

    scheme = "block"
    doc = "blocks of neighbouring filters and channels, with all their taps"
    paper = "Narang et al., 2017"

    block: tuple[int, int] = option((16, 16), Sizes("filters x channels of a block", count=2))

    def extent(self, layer: PrunableLayer) -> tuple[int, int, int]:
        return *self.block, prod(layer.kernel)


@dataclass(frozen=True, kw_only=True)
class KernelGroupOptions(GranularityOptions):
    """Of ``PruneKernelGroups``."""

    scheme = "kernel_group"
    doc = "locations that go out of all kernels of a group of filters and channels, 2-D or 3-D"
    paper = "Niu et al., AAAI 2021"

    group: tuple[int, int] = option((4, 4), Sizes("filters x channels of a group", count=2))
    form: str = option(
        "kgs",
        OneOf("what goes: locations within groups (kgs) or whole groups", words=("kgs", "vanilla")),
    )

    def concerns(self, layer: PrunableLayer) -> str | None:
        return super().concerns(layer) or (None if layer.is_conv else "is no convolution")

    def extent(self, layer: PrunableLayer) -> tuple[int, int, int]:
        return *self.group, 1 if self.form == "kgs" else prod(layer.kernel)


@function_pass("PruneShapes")
class PruneShapes(MaskPass):
    """One position goes out of all filters of a layer (the shape-wise sparsity of Wen et al.,
    "Learning Structured Sparsity in Deep Neural Networks", NIPS 2016, section 3.1).

    ratio: of the positions (channel, tap) of each layer; those of least L2 norm over all filters
    go. In a grouped convolution each group has its own positions. Columns of the layer's matrix in
    im2col are then zero and the matrix product is smaller.
    Arguments are those of ``ShapeOptions``; PassError for a value out of range.
    """

    Options = ShapeOptions


@function_pass("PruneBlocks")
class PruneBlocks(MaskPass):
    """Blocks of the weight matrix become zero (Narang et al., "Block-Sparse Recurrent Neural
    Networks", 2017; Gray et al., "GPU Kernels for Block-Sparse Weights", 2017).

    block: filters x channels of one; in a convolution it holds all taps of its kernels (for blocks
    within which single taps go, see ``PruneKernelGroups``). ratio: of the blocks of each layer;
    those of least L2 norm go. At the edges blocks are smaller and count as one each.
    Arguments are those of ``BlockOptions``; PassError for a value out of range.
    """

    Options = BlockOptions


@function_pass("PruneKernelGroups")
class PruneKernelGroups(MaskPass):
    """Kernel groups of 3-D convolutions, and of others (Niu et al., "RT3D: Achieving Real-Time
    Execution of 3D Convolutional Neural Networks on Mobile Devices", AAAI 2021, section 3).

    group: filters x channels whose kernels are a group. form ``kgs`` (kernel group structured):
    within a group all kernels lose the same locations (t, r, s), other groups may lose others;
    ``vanilla``: whole groups go. ratio: of the locations of all groups of a layer, or of its
    groups; those of least L2 norm go. The paper chooses them by a regulariser while it trains.
    Arguments are those of ``KernelGroupOptions``; PassError for a value out of range.
    """

    Options = KernelGroupOptions
