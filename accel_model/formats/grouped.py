"""The grouped format: of every g channels the same number q of weights, each with its place.

The channels of a tap of a block are cut into *groups* of g, the last of which may be narrower.
Body: u8 ``q``, the most weights that are not zero in any group of the stream; then for each group,
in canonical order, the places within it of ``min(q, width)`` weights, ascending, log2 g bits each,
LSB first, padded to a byte; then these weights. A group with fewer weights that are not zero has
zeros at its first other places. Accelerator-aware pruning (Kang, TCSVT 2020) has g = 16; N:M
sparsity is q = N of g = M.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.reduction_order import Int8, Int32
from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    DIRTY,
    ENDS_EARLY,
    NO_HEADER,
    NO_PLACE,
    TOO_LONG,
    count_nonzero,
    name,
    padding_fault,
    stream_end,
)
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]


@njit_cached
def _stored(
    matrix: Bytes, channels: int, taps: int, group: int, stored: Bools, quota: Int64
) -> None:
    """Mark the positions of ``matrix`` [F, E] that are stored; quota: int64 [F], q of each."""
    for f in range(matrix.shape[0]):
        for again in range(2):  # first q, then the positions
            e, most = 0, 0
            for first in range(0, channels, 16):
                width = min(16, channels - first)
                for _ in range(taps):
                    for begin in range(0, width, group):
                        end = min(begin + group, width)
                        count = 0
                        for c in range(begin, end):
                            count += matrix[f, e + c] != 0
                        most = max(most, count)
                        if again == 1:
                            fill = min(quota[f], end - begin) - count
                            for c in range(begin, end):
                                keep = matrix[f, e + c] != 0
                                if not keep and fill > 0:
                                    keep = True
                                    fill -= 1
                                stored[f, e + c] = keep
                    e += width
            quota[f] = most


@njit_cached
def _count(stored: Bools, channels: int, taps: int, counts: Int32) -> None:
    """Positions stored for each tap of each block, [F, J]."""
    for f in range(stored.shape[0]):
        e, j = 0, 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                count = 0
                for c in range(width):
                    count += stored[f, e + c]
                counts[f, j] = count
                e += width
                j += 1


@njit_cached
def _write(
    matrix: Bytes,
    stored: Bools,
    quota: Int64,
    channels: int,
    taps: int,
    group: int,
    bits: int,
    out: Bytes,
    starts: Int64,
) -> None:
    """Write the body of filter f at ``out[starts[f]]``; ``out`` is zero there."""
    for f in range(matrix.shape[0]):
        out[starts[f]] = quota[f]
        bit, count, e = 8 * (starts[f] + 1), 0, 0
        for e in range(matrix.shape[1]):
            count += stored[f, e]
        value = starts[f] + 1 + (count * bits + 7) // 8
        e = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                for c in range(width):
                    if stored[f, e + c]:
                        place = c % group
                        for i in range(bits):
                            if (place >> i) & 1:
                                out[bit // 8] |= np.uint8(1 << (bit % 8))
                            bit += 1
                        out[value] = matrix[f, e + c]
                        value += 1
                e += width


@njit_cached
def _taken(channels: int, taps: int, group: int, quota: int) -> int:
    """Weights that a stream of ``quota`` holds."""
    count = 0
    for first in range(0, channels, 16):
        width = min(16, channels - first)
        for begin in range(0, width, group):
            count += min(quota, group, width - begin) * taps
    return count


@njit_cached
def _place(raw: Bytes, bit: int, bits: int) -> int:
    """An unsigned number of up to 4 bits, LSB first."""
    place = 0
    for i in range(bits):
        place |= ((raw[(bit + i) // 8] >> ((bit + i) % 8)) & 1) << i
    return place


@njit_cached
def _read_one(
    raw: Bytes,
    at: int,
    end: int,
    channels: int,
    taps: int,
    group: int,
    bits: int,
    row: Bytes,
    stored: Int32,
) -> int:
    """Read one body; where its contents end, or minus a fault."""
    quota = int(raw[at])
    bit = 8 * (at + 1)
    count = _taken(channels, taps, group, quota)
    value = at + 1 + (count * bits + 7) // 8
    if value + count > end:
        return -ENDS_EARLY
    e, j, most = 0, 0, 0
    for first in range(0, channels, 16):
        width = min(16, channels - first)
        for _ in range(taps):
            stored[j] = 0
            for begin in range(0, width, group):
                wide = min(group, width - begin)
                before, nonzeros = -1, 0
                for _ in range(min(quota, wide)):
                    place = _place(raw, bit, bits)
                    if place <= before or place >= wide:
                        return -NO_PLACE
                    row[e + begin + place] = raw[value]
                    nonzeros += raw[value] != 0
                    before = place
                    bit += bits
                    value += 1
                    stored[j] += 1
                most = max(most, nonzeros)
            e += width
            j += 1
    while bit % 8 != 0:
        if (raw[bit // 8] >> (bit % 8)) & 1:
            return -DIRTY
        bit += 1
    return value if most == quota else -TOO_LONG


@njit_cached
def _read(
    raw: Bytes,
    channels: int,
    taps: int,
    group: int,
    bits: int,
    matrix: Bytes,
    stored: Int32,
    order: Int32,
) -> tuple[int, int, int]:
    """Read streams into ``matrix`` [F, E] (zero before), ``stored`` [F, J] and the channels that
    they name. Returns a fault or 0, its stream, and the weights that are not zero."""
    at, nonzeros = 0, 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        if at + 4 >= end:
            return ENDS_EARLY, f, 0
        order[f] = name(raw, at)
        after = _read_one(raw, at + 4, end, channels, taps, group, bits, matrix[f], stored[f])
        fault = -after if after < 0 else padding_fault(raw, after, end)
        if fault != 0:
            return fault, f, 0
        nonzeros += count_nonzero(matrix[f])
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1, nonzeros


class Grouped(WeightFormat):
    """q weights of every ``group`` channels are stored, each with its place among them.

    group: 2, 4, 8 or 16 channels.
    """

    def __init__(self, group: int) -> None:
        self.group, self.bits = group, group.bit_length() - 1
        self.name = f"group{group}"

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        counts: Int64 = self.stored(matrix, shape, table).sum(axis=1, dtype=np.int64)
        return 1 + (counts * self.bits + 7) // 8 + counts

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        stored, quota = self._stored(matrix, shape)
        _write(
            matrix.view(np.uint8),
            stored,
            quota,
            shape.channels,
            shape.taps,
            self.group,
            self.bits,
            out,
            starts,
        )

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        matrix = np.zeros((filters, shape.entries), np.uint8)
        stored, order = self.room(filters, shape)
        fault, stream, nonzeros = _read(
            raw, shape.channels, shape.taps, self.group, self.bits, matrix, stored, order
        )
        return fault, stream, Unpacked(matrix.view(np.int8), stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        counts = np.empty((len(matrix), self.stages(shape)), np.int32)
        _count(self.stored(matrix, shape, table), shape.channels, shape.taps, counts)
        return counts

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return self._stored(matrix, shape)[0]

    def _stored(self, matrix: Int8, shape: Shape) -> tuple[Bools, Int64]:
        stored, quota = np.zeros(matrix.shape, np.bool_), np.zeros(len(matrix), np.int64)
        _stored(matrix.view(np.uint8), shape.channels, shape.taps, self.group, stored, quota)
        return stored, quota

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        if not len(body):
            return WeightPlaces(1, 0)
        count = int(_taken(shape.channels, shape.taps, self.group, int(body[0])))
        return WeightPlaces(1 + (count * self.bits + 7) // 8, count)

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """The weights that are not zero and their places, as if no group lacked one."""
        bits = 8 * self.weight_bytes + self.bits
        return -(-int(np.count_nonzero(weight)) * bits // 8)


GROUPED = {group: Grouped(group) for group in (2, 4, 8, 16)}
