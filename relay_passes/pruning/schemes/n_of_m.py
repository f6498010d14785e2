"""Schemes that keep a fixed number of weights in every group of a few: n of m.

Each filter's weights are put in some order and cut into groups of m from the first on. Of a last
group of r < m weights ``ceil(n r / m)`` stay: never a smaller share than of the others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Self

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import Mask, MaskOptions, MaskPass, Scores
from zeroskip.relay_passes.pruning.base.options import Count, option
from zeroskip.relay_passes.relax.passes import function_pass

FETCHED = 16  # channels that an accelerator here reduces together: docs/ARRAYS.md, reduction order

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CountOptions(MaskOptions):
    """A scheme of counts. In each group the weights that are worth most stay; of equal ones the
    earlier."""

    @abstractmethod
    def counts(self) -> tuple[str, str]:
        """The names of the options that hold n and m."""

    @abstractmethod
    def order(self, channels: int, taps: int) -> Ints:
        """Rows of positions (channel x taps + tap) of a filter that are cut into groups."""

    def __post_init__(self) -> None:
        super().__post_init__()
        n, m = self.counts()
        if self.kept > self.size:
            raise PassError(
                f"Pruning option {self.scheme}:{n}={self.kept} must be at most "
                f"{m}={self.size}: so many weights have a group."
            )

    @property
    def kept(self) -> int:
        return int(getattr(self, self.counts()[0]))

    @property
    def size(self) -> int:
        return int(getattr(self, self.counts()[1]))

    def with_strength(self, strength: float) -> Self:
        return super().with_strength(max(1, round(self.size * (1 - strength))))

    @property
    def removed(self) -> float:
        return 1 - self.kept / self.size

    def keep(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Mask]:
        masks = []
        for layer, score in zip(layers, scores, strict=True):
            rows = self.order(layer.weight.shape[1], prod(layer.kernel))
            flat = score.reshape(len(score), -1)
            mask = np.empty(flat.shape, np.bool_)
            mask[:, rows] = most_of_each(flat[:, rows], self.kept, self.size)
            masks.append(mask.reshape(score.shape))
        return masks

    def note(self, layer: PrunableLayer, mask: Mask) -> str:
        return f"{self.scheme} {self.kept}:{self.size}"


def most_of_each(scores: Scores, kept: int, size: int) -> Mask:
    """Which scores [..., L] are among the largest ``kept`` of each ``size`` neighbours."""
    length = scores.shape[-1]
    whole = length // size * size
    parts = [(scores[..., :whole].reshape(*scores.shape[:-1], -1, size), kept)]
    if whole < length:
        parts.append((scores[..., None, whole:], -(-kept * (length - whole) // size)))
    masks = []
    for part, count in parts:
        mask = np.zeros(part.shape, np.bool_)
        order = np.argsort(-part, axis=-1, kind="stable")
        np.put_along_axis(mask, order[..., :count], True, axis=-1)
        masks.append(mask.reshape(*scores.shape[:-1], -1))
    return np.concatenate(masks, axis=-1)


@dataclass(frozen=True, kw_only=True)
class NmOptions(CountOptions):
    """Of ``PruneNm``."""

    scheme = "nm"
    doc = "n of every m neighbouring input channels stay, at each tap of each filter"
    paper = "Mishra et al., 2021"
    strength = "n"

    n: int = option(2, Count("weights that stay in a group", high=64))
    m: int = option(4, Count("channels of a group", low=2, high=64))

    def counts(self) -> tuple[str, str]:
        return "n", "m"

    def order(self, channels: int, taps: int) -> Ints:
        return np.arange(channels * taps).reshape(channels, taps).T

    def refusal(self, layer: PrunableLayer) -> str | None:
        channels = layer.weight.shape[1]
        return (
            f"has {channels} input channels, fewer than m={self.m}: give a smaller m"
            if channels < self.m
            else None
        )


@dataclass(frozen=True, kw_only=True)
class GroupOptions(CountOptions):
    """Of ``PruneGroups``."""

    scheme = "group"
    doc = "q of every g weights stay that an accelerator here fetches one after another"
    paper = "Kang, TCSVT 2020"
    strength = "q"

    q: int = option(4, Count("weights that stay in a group", high=64))
    g: int = option(16, Count("weights of a group", low=2, high=64))

    def counts(self) -> tuple[str, str]:
        return "q", "g"

    def order(self, channels: int, taps: int) -> Ints:
        return reduction_order(channels, taps)[None]


def reduction_order(channels: int, taps: int) -> Ints:
    """Positions (channel x taps + tap) of a filter in the order in which accelerators here reduce
    them: blocks of 16 channels, within a block taps, within a tap channels (docs/ARRAYS.md)."""
    channel, tap = np.divmod(np.arange(channels * taps), taps)
    return np.lexsort((channel, tap, channel // FETCHED))


@function_pass("PruneNm")
class PruneNm(MaskPass):
    """n of every m stay along the input channels: 2:4, 1:4 (Mishra et al., "Accelerating Sparse
    Deep Neural Networks", 2021).

    A group is m neighbouring channels at one tap of one filter; of a matmul, of one output. Of the
    last channels, fewer than m, ``ceil(n r / m)`` stay. A layer with fewer than m channels (of each
    group of a grouped convolution) is refused.
    Arguments are those of ``NmOptions``; PassError for a value out of range.
    """

    Options = NmOptions


@function_pass("PruneGroups")
class PruneGroups(MaskPass):
    """q of every g weights stay that are fetched together (Kang, "Accelerator-Aware Pruning for
    Convolutional Neural Networks", IEEE TCSVT 30(7), 2020).

    "Together" is one after another in ``reduction_order``: with 16 channels or a multiple, groups
    of 8 or 16 are neighbouring channels at one tap, as in ``PruneNm``; with other numbers the
    groups of the last, narrower block run on into its next tap, so that every group but a
    filter's last is full and keeps q. Of that last one, of r weights, ``ceil(q r / g)`` stay.
    Arguments are those of ``GroupOptions``; PassError for a value out of range.
    """

    Options = GroupOptions
