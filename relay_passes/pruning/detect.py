"""What an already pruned model has: of each layer the structure of its zeros.

Of all structures that a layer's zeros could be, the one is named that describes them in fewest
bits: a structure that fits loosely needs many exceptions, and one that says little (2:4, where the
layer is made of blocks) leaves much to be told. A structure is named only if

- it fits: of the weights that it keeps at most 5 % are zero (``SLACK``), and of the zeros at least
  half are what it removes, and
- it saves 32 bits (``MARGIN``) against the list of the weights that are not zero.

The latter makes it safe: these are prefix codes, so of all masks with as many zeros at most one in
2^32 is described that much shorter by one of them, and there are about a hundred. So zeros that
fall anywhere are called ``unstructured``, or ``dense`` if they are at most 5 % (``FEW``), as those
of weights that were rounded are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import inf, lgamma, log, log2, prod

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.masks import Mask
from zeroskip.relay_passes.pruning.schemes.blocks import (
    BlockOptions,
    KernelGroupOptions,
    ShapeOptions,
)
from zeroskip.relay_passes.pruning.schemes.channels import ChannelOptions
from zeroskip.relay_passes.pruning.schemes.n_of_m import GroupOptions, NmOptions
from zeroskip.relay_passes.pruning.schemes.pattern_library import distinct
from zeroskip.relay_passes.relax.passes import with_unique_names

SLACK = 0.05  # of the weights that a structure keeps may be zero
MARGIN = 32.0  # bits that a structure must save
FEW = 0.05  # of the weights of a dense layer may be zero
MOST_PATTERNS = 56  # PatDNN's, of 3x3
LARGEST = 64  # side of a block

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Structure:
    """Of one layer. kind: the scheme that makes such zeros, ``dense`` or ``empty``. detail: its
    parameters in words. kept: weights that are not zero, of ``size``. filters, channels: of those
    how many have none."""

    node: str
    kind: str
    detail: str
    kept: int
    size: int
    filters: int
    channels: int

    @property
    def density(self) -> float:
        return self.kept / self.size

    def __str__(self) -> str:
        gone = [
            f"{count} {name}{'s' * (count > 1)} of zeros"
            for name, count in (("filter", self.filters), ("channel", self.channels))
            if count
        ]
        return "; ".join([f"{self.kind}: {self.detail}" if self.detail else self.kind, *gone])


def detect(module: tvm.IRModule) -> list[Structure]:
    """The structures of the layers of a float module, in order."""
    main = with_unique_names(module)["main"]
    return [structure_of(layer) for layer in prunable_layers(main, dequantized=True)]


def structure_of(layer: PrunableLayer) -> Structure:
    """The structure of one layer; see the module."""
    filters, channels = layer.weight.shape[:2]
    mask = np.asarray(layer.weight != 0).reshape(layer.groups, -1, channels, prod(layer.kernel))
    kept = int(np.count_nonzero(mask))
    kind, detail = _name(mask, kept)
    return Structure(
        layer.node,
        kind,
        detail,
        kept,
        mask.size,
        filters - int(mask.any(axis=(2, 3)).sum()),
        layer.groups * channels - int(mask.any(axis=(1, 3)).sum()),
    )


def _name(mask: Mask, kept: int) -> tuple[str, str]:
    if kept in (0, mask.size):
        return "dense" if kept else "empty", ""
    plain = _subset(mask.size, kept)
    bits, kind, detail = min(
        _candidates(mask, kept), key=lambda found: found[0], default=(inf, "", "")
    )
    if bits <= plain - MARGIN:
        return kind, detail
    return ("dense" if kept >= (1 - FEW) * mask.size else "unstructured"), ""


Candidate = tuple[float, str, str]  # bits, kind, detail


def _candidates(mask: Mask, kept: int) -> Iterator[Candidate]:
    """The structures that fit. mask: bool [groups, K / groups, C / groups, taps]."""
    yield from _channels(mask, kept)
    yield from _shapes(mask, kept)
    yield from _blocks(np.asarray(mask.any(axis=3, keepdims=True)), mask.shape[3], kept)
    if mask.shape[3] > 1:
        yield from _blocks(mask, 1, kept)
        yield from _patterns(mask, kept)
    _groups, _filters, channels, taps = mask.shape
    columns = np.ascontiguousarray(mask.reshape(-1, channels * taps).T).view(np.uint8)
    for m in (2, 4, 8, 16, 32):
        if m <= channels:
            rows = columns[NmOptions(n=1, m=m).order(channels, taps)]
            yield from _counts(rows, kept, m, NmOptions.scheme, "channels")
    rows = columns[GroupOptions().order(channels, taps)]
    for g in (8, 16):
        yield from _counts(rows, kept, g, GroupOptions.scheme, "weights in reduction order")


def _subset(of: float, some: float) -> float:
    """Bits that say how many of a set are chosen, and which."""
    return log2(of + 1) + (lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)) / log(2)


def _fits(size: int, kept: int, closure: int) -> bool:
    """Whether what a structure keeps is (nearly) all there, and most zeros are what it removes."""
    return kept >= (1 - SLACK) * closure and 2 * (size - closure) >= size - kept


def _channels(mask: Mask, kept: int) -> Iterator[Candidate]:
    """Whole filters and whole channels, each group's own."""
    filters, channels = mask.any(axis=(2, 3)), mask.any(axis=(1, 3))
    closure = int((filters.sum(axis=1) * channels.sum(axis=1)).sum()) * mask.shape[3]
    if _fits(mask.size, kept, closure):
        bits = (
            _subset(filters.size, filters.sum())
            + _subset(channels.size, channels.sum())
            + _subset(closure, kept)
        )
        yield (
            bits,
            ChannelOptions.scheme,
            (
                f"{filters.sum()} of {filters.size} filters, "
                f"{channels.sum()} of {channels.size} channels"
            ),
        )


def _shapes(mask: Mask, kept: int) -> Iterator[Candidate]:
    """Positions, in those filters that are there."""
    filters, positions = mask.any(axis=(2, 3)), mask.any(axis=1)
    closure = int((positions.sum(axis=(1, 2)) * filters.sum(axis=1)).sum())
    several = filters.sum() > len(mask)  # of one filter alone every mask is a shape
    if several and _fits(mask.size, kept, closure):
        bits = (
            _subset(filters.size, filters.sum())
            + _subset(positions.size, positions.sum())
            + _subset(closure, kept)
        )
        yield bits, ShapeOptions.scheme, f"{positions.sum()} of {positions.size} positions"


def _blocks(there: Mask, taps: int, kept: int) -> Iterator[Candidate]:
    """Blocks of filters x channels, powers of two, smaller than the layer: with all ``taps``, or of
    each tap. Where blocks do not fit, larger ones that are made of them do not either.

    there: bool [groups, K / groups, C / groups, taps or 1]."""
    sides, total = there.shape[1:3], there.size * taps
    known, wanted = set(), [((1, 2), _halve(there, 2)), ((2, 1), _halve(there, 1))]
    while wanted:
        size, there = wanted.pop()
        if size in known or size[0] >= sides[0] or size[1] >= sides[1] or max(size) > LARGEST:
            continue
        known.add(size)
        count = int(np.count_nonzero(there))
        closure = taps * sum(
            high * wide * int(np.count_nonzero(there[:, rows, columns]))
            for (rows, high), (columns, wide) in product(*map(_runs, size, sides))
        )
        if not _fits(total, kept, closure):
            continue
        wanted += [
            ((size[0], 2 * size[1]), _halve(there, 2)),
            ((2 * size[0], size[1]), _halve(there, 1)),
        ]
        bits = _subset(there.size, count) + _subset(closure, kept) + log2(LARGEST)
        name = "x".join(map(str, size))
        if there.shape[3] > 1:
            yield (
                bits,
                KernelGroupOptions.scheme,
                (f"{count} of {there.size} locations in groups of {name}"),
            )
        else:
            yield bits, BlockOptions.scheme, f"{count} of {there.size} blocks of {name}"


def _runs(length: int, side: int) -> tuple[tuple[slice, int], tuple[slice, int]]:
    """A side cut into runs: all but the last one, and that one, and how long they are."""
    return (slice(None, -1), length), (slice(-1, None), (side - 1) % length + 1)


def _halve(there: Mask, axis: int) -> Mask:
    """Neighbours on an axis become one that is there if either is; the last may be alone."""
    pairs = np.moveaxis(there, axis, 0)
    made = pairs[::2].copy()
    made[: len(pairs) // 2] |= pairs[1::2]
    return np.moveaxis(made, 0, axis)


def _patterns(mask: Mask, kept: int) -> Iterator[Candidate]:
    """Kernels of few patterns, and whole kernels that are not there.

    Zeros are uneven where small weights of a trained layer went: some kernels have more, some taps.
    So patterns must also be shorter than what tells of each kernel how many weights it has, and
    than what tells of each tap in which kernels it is.
    """
    taps = mask.shape[3]
    kernels = mask.reshape(-1, taps)
    present = kernels.any(axis=1)
    masks, times = distinct(kernels[present])
    plain = min(
        _groups_bits(np.bincount(kernels.sum(axis=1), minlength=taps + 1)),
        _subset(len(kernels), present.sum())
        + sum(_subset(present.sum(), count) for count in kernels.sum(axis=0).tolist()),
    )
    for library, stored in _libraries(masks, times):
        count = len(library)
        if count > MOST_PATTERNS or not _fits(mask.size, kept, stored):
            continue
        bits = (
            _subset(len(kernels), present.sum())
            + times.sum() * log2(count)
            + (count + 1) * taps
            + _subset(stored, kept)
        )
        sizes = sorted(set(library.sum(axis=1).tolist()))
        if sizes != [taps] and bits > plain - MARGIN:
            continue
        what = (
            f"{count} pattern{'s' * (count > 1)} of {_span(sizes)} of {taps} taps"
            if sizes != [taps]
            else "whole kernels"
        )
        yield bits, "pattern", f"{what}, {present.mean():.1%} of the kernels"


def _span(sizes: list[int]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _libraries(masks: Mask, times: Ints) -> Iterator[tuple[Mask, int]]:
    """Libraries for kernels that have these masks so often, and the weights stored with them: the
    masks themselves; and only those that are not part of others, where some weights of a pattern
    happen to be zero."""
    sizes = masks.sum(axis=1)
    yield masks, int(sizes @ times)
    if len(masks) <= 512:
        covers = np.asarray((masks[:, None] | ~masks[None]).all(axis=2))  # [a, b]: a covers b
        largest = np.flatnonzero(covers.sum(axis=0) == 1)
        cover = np.where(covers[largest], sizes[largest, None], masks.shape[1] + 1).min(axis=0)
        yield masks[largest], int(cover @ times)


def _counts(
    rows: npt.NDArray[np.uint8], kept: int, size: int, kind: str, what: str
) -> Iterator[Candidate]:
    """Groups with the same number of weights each, or none. The last of a row may be short.

    rows: 0 or 1 [rows, positions, K]."""
    count, length, filters = rows.shape
    rest = length % size
    cut = rows[:, : length - rest].reshape(count, -1, size, filters)
    full = np.bincount(cut.sum(axis=2, dtype=np.uint8).reshape(-1), minlength=size + 1)
    last = rows[:, length - rest :].sum(axis=1, dtype=np.uint8)
    short = np.bincount(last.reshape(-1), minlength=rest + 1)
    n = int(np.flatnonzero(full).max(initial=0))
    share = -(-n * rest // size)
    closure = int(n * full[1:].sum() + share * short[1:].sum())
    if 0 < n < size and not short[share + 1 :].any() and _fits(rows.size, kept, closure):
        yield _groups_bits(full) + _groups_bits(short), kind, f"{n} of every {size} {what}"


def _groups_bits(times: Ints) -> float:
    """Bits for groups of which ``times[c]`` have c weights: how many of each kind, which, and in
    each where its weights are."""
    size, groups = len(times) - 1, int(times.sum())
    each = [(at, int(count)) for at, count in enumerate(times)]
    natural = (
        size * log(groups + 1) + lgamma(groups + 1) - sum(lgamma(count + 1) for _at, count in each)
    )
    return natural / log(2) + sum(
        count * (_subset(size, at) - log2(size + 1)) for at, count in each
    )
