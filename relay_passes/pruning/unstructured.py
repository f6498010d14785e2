"""Unstructured pruning: any weight may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import relax

from zeroskip.relay_passes.pruning.layers import Prunable
from zeroskip.relay_passes.pruning.masks import Mask, MaskOptions, MaskPass, Scores
from zeroskip.relay_passes.pruning.options import Choice, Flag, Ratio, option


@dataclass(frozen=True, kw_only=True)
class UnstructuredOptions(MaskOptions):
    """Of ``PruneUnstructured``."""

    scheme = "unstructured"
    doc = "the weights that are worth least become zero, wherever they are"
    strength = "sparsity"

    sparsity: float = option(0.5, Ratio("ratio of weights to remove"))
    scope: str = option("layer", Choice("what is ranked together", words=("layer", "global")))
    skip_first: bool = option(False, Flag("leave convolutions that read the input"))

    def keep(self, layers: Sequence[Prunable], scores: Sequence[Scores]) -> list[Mask]:
        if self.scope == "layer":
            return [strongest(each, self.sparsity) for each in scores]
        if not scores:
            return []
        flat = strongest(np.concatenate([each.reshape(-1) for each in scores]), self.sparsity)
        pieces = np.split(flat, np.cumsum([each.size for each in scores])[:-1])
        return [piece.reshape(each.shape) for piece, each in zip(pieces, scores, strict=True)]


def strongest(scores: Scores, removed: float) -> Mask:
    """All but a ratio of the scores, those that are least; of equal ones the earlier go."""
    count = int(removed * scores.size)
    flat = scores.reshape(-1)
    if count == 0:
        return np.ones(scores.shape, np.bool_)
    threshold = np.partition(flat, count - 1)[count - 1]
    mask: Mask = flat > threshold
    equal = np.flatnonzero(flat == threshold)
    mask[equal[count - np.count_nonzero(flat < threshold) :]] = True
    return mask.reshape(scores.shape)


@relax.transform.function_pass(opt_level=0, name="zeroskip.PruneUnstructured")
class PruneUnstructured(MaskPass):
    """The weights that are worth least become zero (Han et al., NIPS 2015).

    sparsity: the fraction of zeros, of each layer (scope ``layer``) or of all layers together
    (``global``). Depthwise convolutions stay.
    Arguments are those of ``UnstructuredOptions``; PassError for a value out of range.
    """

    Options = UnstructuredOptions
