"""The step format: the distance from one weight that is not zero to the next, and the weight.

Body: a pair for each weight that is stored, in canonical order: u8 ``step``, i8 weight, at the
position ``step`` + 1 behind the one before (the first: behind position -1). Where the next weight
is more than 256 positions away, a *placeholder*, step 255 and weight 0, is stored 256 positions
on. The step index of Cambricon-X (Zhang et al., MICRO 2016).
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
    NO_HEADER,
    NO_PLACE,
    name,
    stream_end,
)
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]
INDEX_BITS = 8
REACH = 1 << INDEX_BITS  # positions that a step can go on


@njit_cached
def _stored(matrix: Bytes, stored: Bools) -> None:
    """Mark the positions of ``matrix`` [F, E] that are stored."""
    for f in range(matrix.shape[0]):
        at = -1
        for e in range(matrix.shape[1]):
            if matrix[f, e] != 0:
                while e - at > 256:
                    at += 256
                    stored[f, at] = True
                stored[f, e] = True
                at = e


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
def _write(matrix: Bytes, stored: Bools, out: Bytes, starts: Int64) -> None:
    """Write the body of filter f at ``out[starts[f]]``."""
    for f in range(matrix.shape[0]):
        to, at = starts[f], -1
        for e in range(matrix.shape[1]):
            if stored[f, e]:
                out[to] = e - at - 1
                out[to + 1] = matrix[f, e]
                to += 2
                at = e


@njit_cached
def _read(
    raw: Bytes, channels: int, taps: int, matrix: Bytes, stored: Int32, order: Int32
) -> tuple[int, int, int]:
    """Read streams into ``matrix`` [F, E] and ``stored`` [F, J] (both zero before) and the channels
    that they name. Returns a fault or 0, its stream, and the weights that are not zero."""
    at, nonzeros, block = 0, 0, 16 * taps
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        order[f] = name(raw, at)
        e, hollow = -1, False
        for pair in range(at + 4, end, 2):
            step, weight = int(raw[pair]), raw[pair + 1]
            if step == 0 and weight == 0 and pair == end - 2 and pair > at + 4 and not hollow:
                break  # padding of the last word
            if weight == 0 and step != 255:
                return DIRTY, f, 0
            e += step + 1
            if e >= matrix.shape[1]:
                return NO_PLACE, f, 0
            matrix[f, e] = weight
            width = min(16, channels - e // block * 16)
            stored[f, e // block * taps + e % block // width] += 1
            hollow = weight == 0
            nonzeros += not hollow
        if hollow:
            return DIRTY, f, 0
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1, nonzeros


class StepIndex(WeightFormat):
    """The weights that are not zero are stored, each with its distance from the one before."""

    name = "step"

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        counts: Int64 = self.stored(matrix, shape, table).sum(axis=1, dtype=np.int64)
        return 2 * counts

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(matrix.view(np.uint8), self.stored(matrix, shape, table), out, starts)

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        matrix = np.zeros((filters, shape.entries), np.uint8)
        stored, order = self.room(filters, shape)
        stored[:] = 0
        fault, stream, nonzeros = _read(raw, shape.channels, shape.taps, matrix, stored, order)
        return fault, stream, Unpacked(matrix.view(np.int8), stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        counts = np.empty((len(matrix), self.stages(shape)), np.int32)
        _count(self.stored(matrix, shape, table), shape.channels, shape.taps, counts)
        return counts

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        stored = np.zeros(matrix.shape, np.bool_)
        _stored(matrix.view(np.uint8), stored)
        return stored

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        """A last pair of zeros is padding: only placeholders are 0, and these are 255 positions
        away."""
        pair = 1 + self.weight_bytes
        count = len(body) // pair
        if count and not body[(count - 1) * pair : count * pair].any():
            count -= 1
        return WeightPlaces(0, count, before=1)

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """A step and a weight for each that is not zero; a reduction cut in the right places needs
        no placeholders."""
        return (1 + self.weight_bytes) * int(np.count_nonzero(weight))


STEP = StepIndex()
