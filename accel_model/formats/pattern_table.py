"""The pattern table of a layer: at most 16 masks for each slab of 16 taps, and how it is chosen.

Kernel patterns with connectivity: PCONV (Ma et al., AAAI 2020); PatDNN (Niu et al., ASPLOS 2020).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.reduction_order import SLAB, FormatError, Int8, slabs_of
from zeroskip.accel_model.io.jit import njit_cached

MAX_PATTERNS = 16
_CANDIDATES = 512  # masks, the most frequent first, that the choice of a table considers
NONE = 255  # in ``numbers``: no mask of the table covers these taps

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class PatternTable:
    """The patterns of a layer: masks uint16 [slabs, 2**id_bits]; bit i is the slab's tap i.

    A mask of 0 is an unused number.
    """

    masks: Masks

    def __post_init__(self) -> None:
        count = self.masks.shape[1]
        if not 1 <= count <= MAX_PATTERNS or count & (count - 1):
            raise FormatError(f"a pattern table has 1, 2, 4, 8 or 16 masks, not {count}")

    @property
    def slabs(self) -> int:
        return len(self.masks)

    @property
    def id_bits(self) -> int:
        """Bits of a pattern number, 0..4."""
        return int(self.masks.shape[1]).bit_length() - 1

    @property
    def argument(self) -> int:
        """What the ``table`` instruction carries beside the rows: ``id_bits``."""
        return self.id_bits

    def to_rows(self) -> Bytes:
        """uint8 [2 * slabs, 16]: PAR rows, 16 masks of 16 bits for each slab."""
        full = np.zeros((self.slabs, MAX_PATTERNS), "<u2")
        full[:, : self.masks.shape[1]] = self.masks
        return full.view(np.uint8).reshape(2 * self.slabs, 16)

    @staticmethod
    def from_rows(rows: Bytes, id_bits: int) -> PatternTable:
        """The table in PAR rows, uint8 [2 * slabs, 16]."""
        if rows.ndim != 2 or len(rows) % 2 or rows.shape[1:] != (16,) or not 0 <= id_bits <= 4:
            raise FormatError(
                f"a pattern table takes pairs of rows of 16 bytes and numbers of 0..4 bits, "
                f"not rows {rows.shape} and {id_bits} bits"
            )
        full = np.ascontiguousarray(rows).view("<u2").reshape(-1, MAX_PATTERNS)
        return PatternTable(full[:, : 1 << id_bits].astype(np.uint16))

    @cached_property
    def numbers(self) -> Bytes:
        """uint8 [slabs, 65536]: taps -> number of the smallest mask that covers them, or 255."""
        taps = np.arange(1 << SLAB, dtype=np.uint16)
        found = np.full((self.slabs, 1 << SLAB), NONE, np.uint8)
        for slab, masks in enumerate(self.masks):
            for number in np.argsort(-np.bitwise_count(masks).astype(int), kind="stable"):
                if masks[number]:
                    found[slab, (taps & ~masks[number]) == 0] = number
        return found


# ------------------------------------------------------------------------------ choosing a table


@njit_cached
def _histogram(kernels: Bytes, counts: Offsets) -> None:
    """kernels uint8 [n, taps]; counts[slab, mask] grows by each kernel's mask."""
    taps = kernels.shape[1]
    for n in range(kernels.shape[0]):
        for slab in range(counts.shape[0]):
            mask = 0
            for i in range(min(16, taps - 16 * slab)):
                if kernels[n, 16 * slab + i] != 0:
                    mask |= 1 << i
            counts[slab, mask] += 1


def histogram(weight: Int8) -> Offsets:
    """int8 [K, C, *kernel] -> int64 [slabs, 65536]: kernels that have each mask."""
    taps = prod(weight.shape[2:])
    counts = np.zeros((slabs_of(taps), 1 << SLAB), np.int64)
    _histogram(np.ascontiguousarray(weight).view(np.uint8).reshape(-1, taps), counts)
    return counts


def make_table(weight: Int8) -> PatternTable:
    """The patterns of a whole layer, int8 [K, C, *kernel].

    At most 16 different masks in a slab: those. More: 16 masks that cover every kernel, chosen
    greedily so that few zeros are stored. A layer pruned to at most 16 patterns stores nothing
    outside them, also if some of the weights that its patterns keep are zero.
    """
    chosen = [_choose(counts) for counts in histogram(weight)]
    most = max(1, max(len(masks) for masks in chosen))
    table = np.zeros((len(chosen), 1 << (most - 1).bit_length()), np.uint16)
    for slab, masks in enumerate(chosen):
        table[slab, : len(masks)] = masks
    return PatternTable(table)


def _choose(counts: Offsets) -> Masks:
    """Masks for the kernels of one slab; counts int64 [65536] by mask."""
    masks: Masks = np.flatnonzero(counts).astype(np.uint16)
    masks = masks[masks != 0]
    if len(masks) <= MAX_PATTERNS:
        return masks
    bases = [np.bitwise_or.reduce(masks, keepdims=True), _largest(masks)]
    grown = [_grow(base, masks, counts[masks]) for base in bases if len(base) <= MAX_PATTERNS]
    return min(grown, key=lambda found: found[0])[1]


def _largest(masks: Masks) -> Masks:
    """The masks that are not part of others, or of them 17."""
    rest = masks[np.argsort(-np.bitwise_count(masks).astype(int), kind="stable")]
    found: list[np.uint16] = []
    while len(rest) and len(found) <= MAX_PATTERNS:
        found.append(rest[0])
        rest = rest[(rest & ~rest[0]) != 0]
    return np.array(found, np.uint16)


def _grow(base: Masks, masks: Masks, weights: Offsets) -> tuple[int, Masks]:
    """Add to masks that cover all those that save most: the values stored then, and 16 masks.

    What a mask saves only shrinks as others are added, so of all that it saved once the greatest is
    looked at again until it stays the greatest (M. Minoux, "Accelerated greedy algorithms for
    maximizing submodular set functions", 1978).
    """
    candidates = np.concatenate([base, masks[np.argsort(-weights, kind="stable")[:_CANDIDATES]]])
    covers = (masks[None, :] & ~candidates[:, None]) == 0
    sizes = np.bitwise_count(candidates).astype(np.int64)
    stored = np.where(covers[: len(base)], sizes[: len(base), None], SLAB).min(axis=0)
    taken = list(base)

    def saved(number: int) -> int:
        those = covers[number]
        return int(np.maximum(stored[those] - sizes[number], 0) @ weights[those])

    best = [(-saved(number), number) for number in range(len(candidates))]
    heapq.heapify(best)
    while len(taken) < MAX_PATTERNS:
        number = best[0][1]
        now = (-saved(number), number)
        heapq.heapreplace(best, now)
        if best[0] == now:
            taken.append(candidates[number])
            stored[covers[number]] = np.minimum(stored[covers[number]], sizes[number])
    return int(stored @ weights), np.unique(np.array(taken, np.uint16))


def check_covered(table: PatternTable, counts: Offsets) -> None:
    """FormatError if some kernel's mask (``histogram``) is covered by no mask of the table."""
    missing = (table.numbers == NONE) & (counts > 0)
    missing[:, 0] = False
    if missing.any():
        slab, mask = np.argwhere(missing)[0]
        raise FormatError(
            f"the pattern table covers no kernel with taps {mask:#06x} "
            f"in slab {slab}; make the table from the whole layer"
        )


def stored_and_present(table: PatternTable, counts: Offsets) -> tuple[int, int]:
    """Values stored, and (kernel, slab) pairs that are there, over a layer's ``histogram``."""
    check_covered(table, counts)
    sizes = np.bitwise_count(table.masks).astype(np.int64)
    live = counts.copy()
    live[:, 0] = 0
    slab = np.arange(table.slabs)[:, None]
    chosen = np.where(live > 0, table.numbers, 0)
    return int((sizes[slab, chosen] * live).sum()), int(live.sum())
