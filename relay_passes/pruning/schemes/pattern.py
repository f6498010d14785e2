"""Pattern pruning: few taps of each kernel, and whole kernels removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import Mask, MaskOptions, MaskPass, Scores
from zeroskip.relay_passes.pruning.base.options import Count, OneOf, OptionKind, Ratio, option
from zeroskip.relay_passes.pruning.schemes.pattern_library import (
    PCONV,
    Library,
    PatternLibrary,
    choose_patterns,
    connectivity_mask,
    distinct,
    learn_library,
)
from zeroskip.relay_passes.relax.passes import function_pass

USUAL = (3, 3)  # the kernels that have patterns where nothing else is said


@dataclass(frozen=True)
class PatternWords(OptionKind):
    """``learned``, ``pconv``, or a library: of a TOML file or an array [n, *kernel]."""

    words: tuple[str, ...] = ("learned", "pconv")
    folder: Path = Path()

    def within(self, folder: Path) -> Self:
        return replace(self, folder=folder)

    def parse(self, text: str) -> str | PatternLibrary:
        return PatternLibrary.read(self.folder / text) if text.endswith(".toml") else text

    def settle(self, value: Any) -> Any:
        return PatternLibrary.of(value) if isinstance(value, list | np.ndarray) else value

    def takes(self, value: Any) -> bool:
        return isinstance(value, PatternLibrary) or value in self.words

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.words)} or the path of a TOML file"


@dataclass(frozen=True, kw_only=True)
class PatternOptions(MaskOptions):
    """Of ``PrunePattern``."""

    scheme = "pattern"
    doc = "kernel patterns, of 3x3 or another size, and whole kernels removed"
    paper = "PCONV: Ma et al., AAAI 2020; PatDNN: Niu et al., ASPLOS 2020"
    strength = "connectivity"

    library: str | PatternLibrary = option("learned", PatternWords("where patterns come from"))
    patterns: int = option(8, Count("size of the learned library", low=1, high=56))
    entries: int = option(4, Count("weights that a learned pattern keeps"))
    connectivity: float = option(0.0, Ratio("ratio of kernels to remove"))
    pointwise: float | None = option(
        None, Ratio("the same for 1x1 layers", unset="as connectivity")
    )
    balance: str = option(
        "filter", OneOf("where equally many kernels stay", words=("filter", "layer", "global"))
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        taps = prod(self.patterned)
        if self.library == "learned" and self.entries > taps:
            raise PassError(
                f"Pruning option {self.scheme}:entries={self.entries} must be at most "
                f"{taps}, the weights of a {_text(self.patterned)} kernel."
            )

    @property
    def patterned(self) -> tuple[int, ...]:
        """The size of the kernels that get patterns."""
        if isinstance(self.library, PatternLibrary):
            return self.library.kernel
        if self.library == "learned" and self.kernel is not None and prod(self.kernel) > 1:
            return self.kernel
        return USUAL

    def concerns(self, layer: PrunableLayer) -> str | None:
        return super().concerns(layer) or (None if layer.is_conv else "is no convolution")

    def refusal(self, layer: PrunableLayer) -> str | None:
        if layer.kernel == self.patterned or self.ratio(layer) > 0:
            return None
        if _is_pointwise(layer):
            return (
                None
                if self.pointwise is not None
                else "is a 1x1 convolution, for which there is no rule: give pointwise=RATIO"
            )
        size = _text(layer.kernel)
        return (
            f"has {size} kernels, for which there are no patterns: give connectivity=RATIO, or "
            f"kernel={size} to learn patterns of this size"
        )

    def ratio(self, layer: PrunableLayer) -> float:
        """Of the kernels of a layer, how many go."""
        if _is_pointwise(layer) and self.pointwise is not None:
            return self.pointwise
        return self.connectivity

    def apart(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Self]:
        """With the library that is learned from all of the layers, and of each the ratio of its
        kernels that go."""
        masks = self.keep(layers, scores)
        size, used = (
            self.patterned,
            [
                mask.reshape(-1, mask[0, 0].size)
                for layer, mask in zip(layers, masks, strict=True)
                if layer.kernel == self.patterned
            ],
        )
        library = self.library
        if self.library == "learned" and used:
            every = np.unique(np.concatenate(used), axis=0)
            library = PatternLibrary.of(every[every.any(axis=1)].reshape(-1, *size))
        alone = []
        for own, mask in zip(super().apart(layers, scores), masks, strict=True):
            kernels = mask.reshape(-1, mask[0, 0].size).any(axis=1)
            ratio = 1 - np.count_nonzero(kernels) / kernels.size
            alone.append(
                replace(
                    own,
                    library=library,
                    connectivity=ratio,
                    pointwise=None,
                    balance="filter" if self.balance == "filter" else "layer",
                )
            )
        return alone

    def keep(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Mask]:
        kernels = [each.reshape(*each.shape[:2], -1) for each in scores]
        masks = [np.ones(each.shape, np.bool_) for each in kernels]
        patterned = [at for at, layer in enumerate(layers) if layer.kernel == self.patterned]
        if patterned:
            library = self._library([kernels[at] for at in patterned])
            for at in patterned:
                masks[at] = library[choose_patterns(kernels[at], library)]
        worth = [
            np.sqrt((each * mask).sum(axis=2)) for each, mask in zip(kernels, masks, strict=True)
        ]
        stay = self._connectivity(layers, worth)
        return [
            (mask & kept[:, :, None]).reshape(each.shape)
            for mask, kept, each in zip(masks, stay, scores, strict=True)
        ]

    def _library(self, kernels: Sequence[Scores]) -> Library:
        if isinstance(self.library, PatternLibrary):
            return self.library.masks
        if self.library == "pconv":
            return PCONV
        return learn_library(kernels, self.patterns, self.patterned, self.entries)

    def _connectivity(
        self, layers: Sequence[PrunableLayer], norms: Sequence[Scores]
    ) -> list[Library]:
        """For each layer, which kernels [K, C] stay. norms: [K, C] of each."""
        ratios = [self.ratio(layer) for layer in layers]
        if self.balance != "global":
            return [
                connectivity_mask(each, ratio, self.balance)
                for each, ratio in zip(norms, ratios, strict=True)
            ]
        masks: dict[int, Library] = {}
        for ratio in set(ratios):
            group = [at for at, own in enumerate(ratios) if own == ratio]
            scaled = [_relative(norms[at]) for at in group]
            together = np.concatenate([each.reshape(-1) for each in scaled])[None]
            mask = connectivity_mask(together, ratio, "layer").reshape(-1)
            pieces = np.split(mask, np.cumsum([each.size for each in scaled])[:-1])
            masks |= {
                at: piece.reshape(norms[at].shape) for at, piece in zip(group, pieces, strict=True)
            }
        return [masks[at] for at in range(len(layers))]

    def note(self, layer: PrunableLayer, mask: Mask) -> str:
        what = ""
        if layer.kernel == self.patterned:
            kernels = mask.reshape(-1, mask[0, 0].size)
            used, _times = distinct(kernels[kernels.any(axis=1)])
            what = f"{len(used)} patterns, "
        return f"{what}connectivity {self.ratio(layer):g}"


def _is_pointwise(layer: PrunableLayer) -> bool:
    return all(size == 1 for size in layer.kernel)


def _text(kernel: tuple[int, ...]) -> str:
    return "x".join(map(str, kernel))


def _relative(norms: Scores) -> Scores:
    """Norms in units of the layer's mean; its strongest kernel stays whatever the others are."""
    scaled = norms / max(float(norms.mean()), 1e-30)
    scaled.flat[norms.argmax()] = np.inf
    return scaled


@function_pass("PrunePattern")
class PrunePattern(MaskPass):
    """Kernel patterns and connectivity pruning (PCONV, Ma et al., AAAI 2020; PatDNN, Niu et al.,
    ASPLOS 2020).

    library: ``learned`` chooses the ``patterns`` that most of the network's own kernels want, of
    all that keep ``entries`` taps with the centre (4 of 3x3: PatDNN's 56); ``pconv`` takes the four
    of PCONV; or one of your own, bool [n, *kernel]. Kernels of the library's size get patterns,
    learned ones of ``kernel`` if it is given, else 3x3: each the one that keeps most of its L2
    norm. Then the kernels of least norm are removed, a ``connectivity`` ratio of them, with
    ``balance``: ``filter`` keeps equally many in every filter, ``layer`` in every layer, ``global``
    has one threshold for the network on norms relative to each layer's mean, under which a layer
    keeps at least one kernel. For a 1x1 layer a kernel is one weight; its ratio is ``pointwise``.
    Other kernel sizes lose whole kernels only. Depthwise convolutions and matmuls stay, and with
    ``skip_first`` convolutions that no layer comes before. What was done is in the attribute
    ``zeroskip.pruned``.
    Arguments are those of ``PatternOptions``; PassError for a value out of range.
    """

    Options = PatternOptions
