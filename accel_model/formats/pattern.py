"""The pattern format: which kernels are there, which of at most 16 masks each has, the weights.

The taps of a kernel are cut into slabs of up to 16. A stage is one slab of one channel block. Body:
for each stage a connectivity bitmap, ``ceil(w / 8)`` bytes, bit c set if kernel c has a weight in
the slab; then, one after another, LSB first, the pattern numbers of the kernels that are there,
``id_bits`` each, padded to a byte; then, in the same order, the weights under each kernel's mask,
lowest tap first (a weight under a mask may be zero).

Kernel patterns with connectivity: PCONV (Ma et al., AAAI 2020); PatDNN (Niu et al., ASPLOS 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.reduction_order import SLAB, FormatError, Int8, Int32, slabs_of
from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    DIRTY,
    ENDS_EARLY,
    NO_CHANNEL,
    NO_HEADER,
    NO_PATTERN,
    count_nonzero,
    name,
    padding_fault,
    stream_end,
)
from zeroskip.accel_model.io.jit import njit_cached

MAX_PATTERNS = 16
_CANDIDATES = 512  # masks, the most frequent first, that the choice of a table considers
_NONE = 255  # in ``numbers``: no mask of the table covers these taps

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint16]
Places = npt.NDArray[np.uint64]


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

    def to_rows(self) -> Bytes:
        """uint8 [2 * slabs, 16]: PAR rows, 16 masks of 16 bits for each slab."""
        full = np.zeros((self.slabs, MAX_PATTERNS), "<u2")
        full[:, : self.masks.shape[1]] = self.masks
        return full.view(np.uint8).reshape(2 * self.slabs, 16)

    @staticmethod
    def from_rows(rows: Bytes, slabs: int, id_bits: int) -> PatternTable:
        """The table in PAR rows, uint8 [2 * slabs, 16]."""
        if rows.shape != (2 * slabs, 16) or not 0 <= id_bits <= 4:
            raise FormatError(
                f"{slabs} slabs of patterns take {2 * slabs} rows of 16 bytes and "
                f"numbers of 0..4 bits, not rows {rows.shape} and {id_bits} bits"
            )
        full = np.ascontiguousarray(rows).view("<u2").reshape(slabs, MAX_PATTERNS)
        return PatternTable(full[:, : 1 << id_bits].astype(np.uint16))

    @cached_property
    def numbers(self) -> Bytes:
        """uint8 [slabs, 65536]: taps -> number of the smallest mask that covers them, or 255."""
        taps = np.arange(1 << SLAB, dtype=np.uint16)
        found = np.full((self.slabs, 1 << SLAB), _NONE, np.uint8)
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
    """Add to masks that cover all those that save most: the values stored then, and 16 masks."""
    candidates = np.concatenate([base, masks[np.argsort(-weights, kind="stable")[:_CANDIDATES]]])
    covers = (masks[None, :] & ~candidates[:, None]) == 0
    sizes = np.bitwise_count(candidates).astype(np.int64)
    count = len(base)
    stored = np.where(covers[:count], sizes[:count, None], SLAB).min(axis=0)
    taken = list(base)
    while len(taken) < MAX_PATTERNS:
        saved = np.where(covers, np.maximum(stored[None, :] - sizes[:, None], 0), 0) @ weights
        best = int(np.argmax(saved))
        taken.append(candidates[best])
        stored[covers[best]] = np.minimum(stored[covers[best]], sizes[best])
    return int(stored @ weights), np.unique(np.array(taken, np.uint16))


def check_covered(table: PatternTable, counts: Offsets) -> None:
    """FormatError if some kernel's mask (``histogram``) is covered by no mask of the table."""
    missing = (table.numbers == _NONE) & (counts > 0)
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


# ---------------------------------------------------------------------------------- the streams


@njit_cached
def _mask(matrix: Bytes, f: int, at: int, width: int, taps: int) -> int:
    """Mask of filter f's kernel whose first tap of the slab is entry ``at``."""
    mask = 0
    for i in range(taps):
        if matrix[f, at + i * width] != 0:
            mask |= 1 << i
    return mask


@njit_cached
def connectivity_bytes(channels: int, taps: int) -> int:
    """Bytes of the connectivity bitmaps of one stream."""
    return (taps + 15) // 16 * (channels // 16 * 2 + (channels % 16 + 7) // 8)


@njit_cached
def measure(
    matrix: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    numbers: Bytes,
    present: Offsets,
    stored: Offsets,
    work: Int32,
) -> int:
    """Fill present [F], stored [F] and work [F, J]; 0, or 1: a kernel that no mask covers."""
    popcount = _popcounts(masks)
    for f in range(matrix.shape[0]):
        e, j = 0, 0
        present[f] = stored[f] = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for slab in range(masks.shape[0]):
                inside = min(16, taps - 16 * slab)
                values = 0
                for c in range(width):
                    mask = _mask(matrix, f, e + c, width, inside)
                    if mask != 0:
                        number = numbers[slab, mask]
                        if number == 255:
                            return 1
                        present[f] += 1
                        values += popcount[slab, number]
                work[f, j] = max(1, values)
                stored[f] += values
                e += inside * width
                j += 1
    return 0


@njit_cached
def _popcounts(masks: Masks) -> Offsets:
    out = np.zeros(masks.shape, np.int64)
    for slab in range(masks.shape[0]):
        for number in range(masks.shape[1]):
            for i in range(16):
                out[slab, number] += (masks[slab, number] >> i) & 1
    return out


@njit_cached
def write(
    matrix: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    numbers: Bytes,
    id_bits: int,
    present: Offsets,
    out: Bytes,
    starts: Offsets,
) -> None:
    """Write the body of filter f at ``out[starts[f]]``; ``out`` is zero there."""
    for f in range(matrix.shape[0]):
        at = starts[f]
        bit = 8 * (at + connectivity_bytes(channels, taps))
        value = bit // 8 + (present[f] * id_bits + 7) // 8
        e = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for slab in range(masks.shape[0]):
                inside = min(16, taps - 16 * slab)
                for c in range(width):
                    mask = _mask(matrix, f, e + c, width, inside)
                    if mask == 0:
                        continue
                    out[at + c // 8] |= np.uint8(1 << (c % 8))
                    number = numbers[slab, mask]
                    for i in range(id_bits):
                        if (number >> i) & 1:
                            out[bit // 8] |= np.uint8(1 << (bit % 8))
                        bit += 1
                    for i in range(inside):
                        if (masks[slab, number] >> i) & 1:
                            out[value] = matrix[f, e + c + i * width]
                            value += 1
                at += (width + 7) // 8
                e += inside * width


@njit_cached
def _connected(raw: Bytes, at: int, channels: int, slabs: int) -> int:
    """Kernels that the connectivity bitmaps at ``at`` name; -1: a bit of no channel is set."""
    total = 0
    for first in range(0, channels, 16):
        width = min(16, channels - first)
        for _ in range(slabs):
            bits = int(raw[at])
            if width > 8:
                bits |= int(raw[at + 1]) << 8
            if bits >> width:
                return -1
            for c in range(width):
                total += (bits >> c) & 1
            at += (width + 7) // 8
    return total


@njit_cached
def _places(masks: Masks, taps: int, width: int, counts: Offsets, places: Places) -> None:
    """Where the weights of a kernel lie in a filter, from its first tap of the slab on.

    places: uint64 [slabs, numbers, 16], in a block of ``width`` channels; counts: int64 [slabs,
    numbers], how many there are, -1: there is no such pattern.
    """
    for slab in range(masks.shape[0]):
        for number in range(masks.shape[1]):
            mask, n = int(masks[slab, number]), 0
            for i in range(16):
                if (mask >> i) & 1:
                    places[slab, number, n] = i * width
                    n += 1
            real = mask != 0 and mask >> min(16, taps - 16 * slab) == 0
            counts[slab, number] = n if real else -1


@njit_cached
def _number(raw: Bytes, bit: int, bits: int) -> int:
    """An unsigned number of up to 8 bits, LSB first."""
    if bits == 0:
        return 0
    pair = int(raw[bit // 8])
    if bit % 8 + bits > 8:
        pair |= int(raw[bit // 8 + 1]) << 8
    return (pair >> (bit % 8)) & ((1 << bits) - 1)


@njit_cached
def _read_one(
    raw: Bytes,
    start: int,
    end: int,
    channels: int,
    taps: int,
    id_bits: int,
    counts: Offsets,
    whole: Places,
    last: Places,
    row: Bytes,
    work: Int32,
) -> int:
    """Read one body; where its contents end, or minus a fault. whole, last: ``_places`` in blocks
    of 16 channels and in a narrower one."""
    slabs = counts.shape[0]
    at = start
    bit = 8 * (at + connectivity_bytes(channels, taps))
    if bit > 8 * end:
        return -ENDS_EARLY
    total = _connected(raw, at, channels, slabs)
    if total < 0:
        return -NO_CHANNEL
    value = bit // 8 + (total * id_bits + 7) // 8
    if value > end:
        return -ENDS_EARLY
    if _number(raw, bit + total * id_bits, -(total * id_bits) % 8) != 0:
        return -DIRTY
    e, j = 0, 0
    for first in range(0, channels, 16):
        width = min(16, channels - first)
        places = whole if width == 16 else last
        for slab in range(slabs):
            begin = value
            for c in range(width):
                if not (raw[at + c // 8] >> (c % 8)) & 1:
                    continue
                number = _number(raw, bit, id_bits)
                bit += id_bits
                count = counts[slab, number]
                if count < 0:
                    return -NO_PATTERN
                if value + count > end:
                    return -ENDS_EARLY
                for i in range(count):
                    row[np.uint64(e + c) + places[slab, number, i]] = raw[value + i]
                value += count
            work[j] = max(1, value - begin)
            at += (width + 7) // 8
            e += min(16, taps - 16 * slab) * width
            j += 1
    return value


@njit_cached
def read(
    raw: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    id_bits: int,
    matrix: Bytes,
    work: Int32,
    order: Int32,
) -> tuple[int, int, int]:
    """Read streams into ``matrix`` [F, E] (zero before), ``work`` [F, J] and the channels that
    they name.

    Returns a fault or 0, its stream, and the weights that are not zero.
    """
    counts = np.empty(masks.shape, np.int64)
    whole = np.empty((masks.shape[0], masks.shape[1], 16), np.uint64)
    last = np.empty((masks.shape[0], masks.shape[1], 16), np.uint64)
    _places(masks, taps, 16, counts, whole)
    _places(masks, taps, channels % 16, counts, last)
    at, nonzeros = 0, 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        order[f] = name(raw, at)
        found = _read_one(
            raw, at + 4, end, channels, taps, id_bits, counts, whole, last, matrix[f], work[f]
        )
        fault = -found if found < 0 else padding_fault(raw, found, end)
        if fault != 0:
            return fault, f, 0
        nonzeros += count_nonzero(matrix[f])
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1, nonzeros
