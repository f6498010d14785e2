"""The bitmap format: a bit for each weight position, then the weights that are not zero.

Body: for each stage the bitmap of its channels, ``ceil(w / 8)`` bytes, bit c for channel c of the
block; after all bitmaps the non-zero weights in canonical order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.reduction_order import Int8, Int32
from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    ENDS_EARLY,
    NO_CHANNEL,
    NO_HEADER,
    count_nonzero,
    name,
    padding_fault,
    stream_end,
)
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.isa.instructions import BLOCK

Bytes = npt.NDArray[np.uint8]


@njit_cached
def bitmap_bytes(channels: int, taps: int) -> int:
    """Bytes of the bitmaps of one stream."""
    tail = channels % 16
    return taps * (channels // 16 * 2 + (tail + 7) // 8)


@njit_cached
def _body_bytes(matrix: Bytes, channels: int, taps: int, sizes: Int64) -> None:
    """sizes: int64 [F], bytes of each stream's body."""
    for f in range(matrix.shape[0]):
        stored = 0
        for e in range(matrix.shape[1]):
            stored += matrix[f, e] != 0
        sizes[f] = bitmap_bytes(channels, taps) + stored


@njit_cached
def _write(matrix: Bytes, channels: int, taps: int, out: Bytes, starts: Int64) -> None:
    """Write the body of filter f at ``out[starts[f]]``; ``out`` is zero there."""
    for f in range(matrix.shape[0]):
        at = starts[f]
        value = at + bitmap_bytes(channels, taps)
        e = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                for c in range(width):
                    weight = matrix[f, e + c]
                    if weight != 0:
                        out[at + c // 8] |= np.uint8(1 << (c % 8))
                        out[value] = weight
                        value += 1
                at += (width + 7) // 8
                e += width


@njit_cached
def expand(raw: Bytes, value: int, bits: int, out: Bytes, at: int) -> int:
    """Write a weight for each of 16 bits at ``out[at:]``: the next one of ``raw`` or, for a bit
    that is not set, 0. Returns where the next weight is.

    No branch depends on the bits: 16 bytes from ``value`` on are read whatever they are.
    """
    here, there = np.uint64(value), np.uint64(at)
    for c in range(16):
        bit = (np.uint64(bits) >> np.uint64(c)) & np.uint64(1)
        out[there + np.uint64(c)] = raw[here] * np.uint8(bit)
        here += bit
    return int(here)


@njit_cached
def _read(
    padded: Bytes, channels: int, taps: int, filters: int, out: Bytes, stored: Int32, order: Int32
) -> tuple[int, int, int]:
    """Read streams into ``out`` [F * E and 16 more], ``stored`` [F, J] and the channels they name.

    padded: the streams and 16 bytes more. Returns a fault or 0, its stream, and the weights that
    are not zero. Sixteen positions are written at a time; those too many are written again by what
    follows.
    """
    raw = padded[: len(padded) - 16]
    at, e = 0, 0
    for f in range(filters):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        order[f] = name(raw, at)
        at += 4
        value = at + bitmap_bytes(channels, taps)
        if value > end:
            return ENDS_EARLY, f, 0
        j = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                bits = int(raw[at])
                if width > 8:
                    bits |= int(raw[at + 1]) << 8
                if bits >> width:
                    return NO_CHANNEL, f, 0
                begin = value
                if begin > end:
                    return ENDS_EARLY, f, 0
                value = expand(padded, begin, bits, out, e)
                stored[f, j] = value - begin
                at += (width + 7) // 8
                e += width
                j += 1
        fault = padding_fault(raw, value, end)
        if fault != 0:
            return fault, f, 0
        at = end
    return (0 if at == len(raw) else BEHIND), filters - 1, count_nonzero(out[:e])


@njit_cached
def _count(matrix: Bytes, channels: int, taps: int, counts: Int32) -> None:
    for f in range(matrix.shape[0]):
        e, j = 0, 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                stored = 0
                for c in range(width):
                    stored += matrix[f, e + c] != 0
                counts[f, j] = stored
                e += width
                j += 1


class Bitmap(WeightFormat):
    """The weights that are not zero are stored, and a bit for every position."""

    name = "bitmap"

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        sizes = np.empty(len(matrix), np.int64)
        _body_bytes(matrix.view(np.uint8), shape.channels, shape.taps, sizes)
        return sizes

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(matrix.view(np.uint8), shape.channels, shape.taps, out, starts)

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        padded = np.empty(len(raw) + BLOCK, np.uint8)
        padded[: len(raw)] = raw
        flat = np.empty(filters * shape.entries + BLOCK, np.uint8)
        stored, order = self.room(filters, shape)
        fault, stream, nonzeros = _read(
            padded, shape.channels, shape.taps, filters, flat, stored, order
        )
        matrix = flat[:-BLOCK].reshape(filters, -1).view(np.int8)
        return fault, stream, Unpacked(matrix, stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        counts = np.empty((len(matrix), self.stages(shape)), np.int32)
        _count(matrix.view(np.uint8), shape.channels, shape.taps, counts)
        return counts

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return np.asarray(matrix != 0)

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        first = bitmap_bytes(shape.channels, shape.taps)
        return WeightPlaces(first, int(np.unpackbits(body[:first]).sum()))

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """A bit for every position, and the weights that are not zero."""
        return int(np.count_nonzero(weight)) * self.weight_bytes + -(-weight.size // 8)


BITMAP = Bitmap()
