"""The pattern format: which kernels are there, which of at most 16 masks each has, the weights.

The taps of a kernel are cut into slabs of up to 16. A stage is one slab of one channel block. Body:
for each stage a connectivity bitmap, ``ceil(w / 8)`` bytes, bit c set if kernel c has a weight in
the slab; then, one after another, LSB first, the pattern numbers of the kernels that are there,
``id_bits`` each, padded to a byte; then, in the same order, the weights under each kernel's mask,
lowest tap first (a weight under a mask may be zero).

Kernel patterns with connectivity: PCONV (Ma et al., AAAI 2020); PatDNN (Niu et al., ASPLOS 2020).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.pattern_table import (
    Masks,
    PatternTable,
    histogram,
    make_table,
    stored_and_present,
)
from zeroskip.accel_model.formats.reduction_order import (
    SLAB,
    FormatError,
    Int8,
    Int32,
    from_reduction_order,
    slabs_of,
    to_reduction_order,
)
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
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.isa.instructions import BLOCK

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.uint64]

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
def _measure(
    matrix: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    numbers: Bytes,
    present: Int64,
    stored: Int64,
    stored_at: Int32,
    popcount: Int64,
) -> int:
    """Fill present [F], stored [F] and stored_at [F, J]; 0, or 1: a kernel that no mask covers.
    popcount: int64 zeros, of each mask."""
    _popcounts(masks, popcount)
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
                stored_at[f, j] = values
                stored[f] += values
                e += inside * width
                j += 1
    return 0


@njit_cached
def _popcounts(masks: Masks, out: Int64) -> None:
    """Add the bits of each mask to ``out``."""
    for slab in range(masks.shape[0]):
        for number in range(masks.shape[1]):
            for i in range(16):
                out[slab, number] += (masks[slab, number] >> i) & 1


@njit_cached
def _write(
    matrix: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    numbers: Bytes,
    id_bits: int,
    present: Int64,
    out: Bytes,
    starts: Int64,
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
def _places(masks: Masks, taps: int, width: int, counts: Int64, places: Places) -> None:
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
    counts: Int64,
    whole: Places,
    last: Places,
    row: Bytes,
    stored: Int32,
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
            stored[j] = value - begin
            at += (width + 7) // 8
            e += min(16, taps - 16 * slab) * width
            j += 1
    return value


@njit_cached
def _read(
    raw: Bytes,
    channels: int,
    taps: int,
    masks: Masks,
    id_bits: int,
    matrix: Bytes,
    stored: Int32,
    order: Int32,
    counts: Int64,
    whole: Places,
    last: Places,
) -> tuple[int, int, int]:
    """Read streams into ``matrix`` [F, E] (zero before), ``stored`` [F, J] and the channels
    that they name. counts, whole, last: room for what ``_places`` says.

    Returns a fault or 0, its stream, and the weights that are not zero.
    """
    _places(masks, taps, 16, counts, whole)
    _places(masks, taps, channels % 16, counts, last)
    at, nonzeros = 0, 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        order[f] = name(raw, at)
        found = _read_one(
            raw, at + 4, end, channels, taps, id_bits, counts, whole, last, matrix[f], stored[f]
        )
        fault = -found if found < 0 else padding_fault(raw, found, end)
        if fault != 0:
            return fault, f, 0
        nonzeros += count_nonzero(matrix[f])
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1, nonzeros


class Pattern(WeightFormat):
    """Kernels are stored as the number of their mask and the weights under it."""

    name = "pattern"
    stage_taps = SLAB

    def make_table(self, weight: Int8) -> PatternTable:
        return make_table(weight)

    def table_of(self, rows: Bytes, argument: int) -> PatternTable:
        return PatternTable.from_rows(rows, argument)

    def table_rows(self, taps: int) -> int:
        return 2 * slabs_of(taps)

    def body_bytes(self, matrix: Int8, shape: Shape, table: PatternTable | None) -> Int64:
        table = _table(table, shape.taps)
        present, stored, _ = _measured(matrix, shape, table)
        numbers = (present * table.id_bits + 7) // 8
        return connectivity_bytes(shape.channels, shape.taps) + numbers + stored

    def write(
        self, matrix: Int8, shape: Shape, table: PatternTable | None, out: Bytes, starts: Int64
    ) -> None:
        table = _table(table, shape.taps)
        present = _measured(matrix, shape, table)[0]
        _write(
            matrix.view(np.uint8),
            shape.channels,
            shape.taps,
            table.masks,
            table.numbers,
            table.id_bits,
            present,
            out,
            starts,
        )

    def read(
        self, raw: Bytes, filters: int, shape: Shape, table: PatternTable | None
    ) -> tuple[int, int, Unpacked]:
        table = _table(table, shape.taps)
        matrix = np.zeros((filters, shape.entries), np.uint8)
        stored, order = self.room(filters, shape)
        size = *table.masks.shape, BLOCK
        fault, stream, nonzeros = _read(
            raw,
            shape.channels,
            shape.taps,
            table.masks,
            table.id_bits,
            matrix,
            stored,
            order,
            np.empty(size[:2], np.int64),
            np.empty(size, np.uint64),
            np.empty(size, np.uint64),
        )
        return fault, stream, Unpacked(matrix.view(np.int8), stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: PatternTable | None) -> Int32:
        return _measured(matrix, shape, _table(table, shape.taps))[2]

    def stored(self, matrix: Int8, shape: Shape, table: PatternTable | None) -> Bools:
        table = _table(table, shape.taps)
        kernels = from_reduction_order(matrix, shape.channels, (shape.taps,)) != 0
        for slab in range(table.slabs):
            part = kernels[:, :, SLAB * slab : SLAB * (slab + 1)]
            bits = 1 << np.arange(part.shape[2])
            masks = (part * bits).sum(axis=2)
            numbers = table.numbers[slab, masks]
            chosen = np.where(masks > 0, table.masks[slab, np.where(masks > 0, numbers, 0)], 0)
            part[:] = chosen[:, :, np.newaxis] & bits != 0
        return to_reduction_order(kernels.view(np.int8)).view(np.bool_)

    def places(self, body: Bytes, shape: Shape, table: PatternTable | None) -> WeightPlaces:
        """The weights under the mask of each kernel that is there."""
        table = _table(table, shape.taps)
        flags = connectivity_bytes(shape.channels, shape.taps)
        slabs = np.flatnonzero(np.unpackbits(body[:flags], bitorder="little")) // 8
        slabs = _slab_of_byte(shape.channels, table.slabs)[slabs]
        first = flags + (len(slabs) * table.id_bits + 7) // 8
        if first > len(body):
            return WeightPlaces(first, 0)
        bits = np.unpackbits(body[flags:first], bitorder="little")[: len(slabs) * table.id_bits]
        numbers = bits.reshape(len(slabs), table.id_bits) @ (1 << np.arange(table.id_bits))
        return WeightPlaces(first, int(np.bitwise_count(table.masks)[slabs, numbers].sum()))

    def least_bytes(self, weight: Int8, table: PatternTable | None) -> int:
        """A bit for every kernel and slab, ``id_bits`` for those that are there, and the weights
        under the masks."""
        counts = histogram(weight)
        table = make_table(weight) if table is None else table
        stored, present = stored_and_present(table, counts)
        kernels = weight.shape[0] * weight.shape[1]
        bits = int(kernels * table.slabs + present * table.id_bits)
        return stored * self.weight_bytes - -bits // 8


PATTERN = Pattern()


def _slab_of_byte(channels: int, slabs: int) -> Int64:
    """int64 [bytes of the connectivity bitmaps]: the slab of each."""
    per_block = [np.repeat(np.arange(slabs), size) for size in (2, (channels % BLOCK + 7) // 8)]
    return np.concatenate([*[per_block[0]] * (channels // BLOCK), per_block[1]])


def _table(table: PatternTable | None, taps: int) -> PatternTable:
    if table is None:
        raise FormatError("pattern streams need the layer's pattern table")
    if table.slabs != slabs_of(taps):
        raise FormatError(f"a pattern table of {table.slabs} slabs is not one for {taps} taps")
    return table


def _measured(matrix: Int8, shape: Shape, table: PatternTable) -> tuple[Int64, Int64, Int32]:
    """Kernels that are there [F], weights stored [F], and weights stored by stage [F, J]."""
    filters = len(matrix)
    present, stored = np.empty(filters, np.int64), np.empty(filters, np.int64)
    stored_at = np.empty((filters, PATTERN.stages(shape)), np.int32)
    if _measure(
        matrix.view(np.uint8),
        shape.channels,
        shape.taps,
        table.masks,
        table.numbers,
        present,
        stored,
        stored_at,
        np.zeros(table.masks.shape, np.int64),
    ):
        raise FormatError(
            "a kernel has taps that no mask of the pattern table covers; "
            "make the table from the whole layer"
        )
    return present, stored, stored_at
