"""Unstructured pruning: any weight may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import (
    Mask,
    MaskOptions,
    MaskPass,
    Scores,
    most,
    strongest,
)
from zeroskip.relay_passes.pruning.base.options import Flag, OneOf, Ratio, option
from zeroskip.relay_passes.relax.passes import function_pass


@dataclass(frozen=True, kw_only=True)
class UnstructuredOptions(MaskOptions):
    """Of ``PruneUnstructured``."""

    scheme = "unstructured"
    doc = "the weights that are worth least become zero, wherever they are"
    paper = "Han et al., NIPS 2015; scope=erk: Evci et al., ICML 2020"
    strength = "sparsity"

    sparsity: float = option(0.5, Ratio("ratio of weights to remove"))
    scope: str = option(
        "layer",
        OneOf(
            "how the ratio is shared: by each layer alike, ranking all layers' weights together, or "
            "more of large layers",
            words=("layer", "global", "erk"),
        ),
    )
    skip_first: bool = option(False, Flag("leave convolutions that no layer comes before"))

    def apart(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Self]:
        masks = self.keep(layers, scores)
        return [
            replace(own, scope="layer", sparsity=1 - np.count_nonzero(mask) / mask.size)
            if mask.any()
            else own
            for own, mask in zip(super().apart(layers, scores), masks, strict=True)
        ]

    def keep(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Mask]:
        if self.scope == "layer":
            return [strongest(each, self.sparsity) for each in scores]
        if not scores:
            return []
        if self.scope == "erk":
            counts = erk_counts([layer.weight.shape for layer in layers], self.sparsity)
            return [most(each, count) for each, count in zip(scores, counts, strict=True)]
        flat = strongest(np.concatenate([each.reshape(-1) for each in scores]), self.sparsity)
        pieces = np.split(flat, np.cumsum([each.size for each in scores])[:-1])
        return [piece.reshape(each.shape) for piece, each in zip(pieces, scores, strict=True)]


def erk_counts(shapes: Sequence[tuple[int, ...]], sparsity: float) -> list[int]:
    """How many weights each layer keeps under the Erdos-Renyi-Kernel rule.

    A layer of shape [K, C, *kernel] has the density e (K + C + sum(kernel)) / (K C prod(kernel)),
    at most 1, with the e under which all layers together keep their weights but the given ratio
    (Evci et al., "Rigging the Lottery", ICML 2020, section 3; a matmul has no kernel, which is the
    rule of Mocanu et al., 2018). Rounded by largest remainder, so that the total is exact.
    """
    sizes = np.array([np.prod(shape, dtype=np.int64) for shape in shapes])
    sides = np.array([sum(shape) for shape in shapes])
    total = int(sizes.sum() - int(sparsity * sizes.sum()))
    dense = np.zeros(len(sizes), np.bool_)
    wanted = sizes.astype(np.float64)
    while not dense.all():
        scale = (total - sizes[dense].sum()) / sides[~dense].sum()
        wanted = np.where(dense, sizes, scale * sides)
        over = ~dense & (wanted > sizes)
        if not over.any():
            break
        dense |= over
    counts = np.minimum(np.floor(wanted).astype(np.int64), sizes)
    first = np.argsort(counts - wanted, kind="stable")  # the largest remainder first
    counts[first[: total - int(counts.sum())]] += 1
    return [int(count) for count in counts]


@function_pass("PruneUnstructured")
class PruneUnstructured(MaskPass):
    """The weights that are worth least become zero (Han et al., "Learning both Weights and
    Connections for Efficient Neural Networks", NIPS 2015).

    sparsity: the fraction of zeros: of each layer (scope ``layer``), or of all layers together,
    ranked together (``global``) or shared out by the rule of ``erk_counts`` (``erk``). Depthwise
    convolutions stay.
    Arguments are those of ``UnstructuredOptions``; PassError for a value out of range.
    """

    Options = UnstructuredOptions
