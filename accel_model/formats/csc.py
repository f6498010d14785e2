"""The csc format: short columns of weights with 4-bit runs (Eyeriss v2, JETCAS 2019, section IV).

A column is a stage: one tap of a block of up to 16 channels, so that no run exceeds 15. Body: the
count of each column, a byte; all values; then for each a run of 4 bits, the zeros between it and
the weight before it in its column, the first in the low half of its byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.reduction_order import Int8, Int32, reduction_steps_of
from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    ENDS_EARLY,
    NO_HEADER,
    NO_PLACE,
    NOT_PACKED,
    count_nonzero,
    name,
    padding_fault,
    stream_end,
)
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]


@njit_cached
def _write(matrix: Bytes, widths: Int32, out: Bytes, starts: Int64) -> None:
    """widths: int32 [J], entries of each column."""
    for f in range(matrix.shape[0]):
        count = 0
        for e in range(matrix.shape[1]):
            count += matrix[f, e] != 0
        at = starts[f]
        values = at + len(widths)
        runs = values + count
        n, e = 0, 0
        for j in range(len(widths)):
            run, before = 0, n
            for _ in range(widths[j]):
                if matrix[f, e] != 0:
                    out[values + n] = matrix[f, e]
                    out[runs + n // 2] |= np.uint8(run << (4 * (n & 1)))
                    n += 1
                    run = 0
                else:
                    run += 1
                e += 1
            out[at + j] = n - before


@njit_cached
def _read(raw: Bytes, widths: Int32, matrix: Bytes, stored: Int32, order: Int32) -> tuple[int, int]:
    """Read streams into zeros [F, E] and counts [F, J]; a fault or 0, and its stream."""
    at = 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f
        order[f] = name(raw, at)
        at += 4
        values = at + len(widths)
        if values > end:
            return ENDS_EARLY, f
        count = 0
        for j in range(len(widths)):
            count += int(raw[at + j])
        runs = values + count
        after = runs + (count + 1) // 2
        fault = padding_fault(raw, after, end)
        if fault != 0:
            return fault, f
        n, first = 0, 0
        for j in range(len(widths)):
            e = 0
            stored[f, j] = raw[at + j]
            for _ in range(raw[at + j]):
                e += (int(raw[runs + n // 2]) >> (4 * (n & 1))) & 15
                if e >= widths[j]:
                    return NO_PLACE, f
                if raw[values + n] == 0:
                    return NOT_PACKED, f
                matrix[f, first + e] = raw[values + n]
                e += 1
                n += 1
            first += widths[j]
        if count % 2 == 1 and raw[after - 1] >> 4 != 0:
            return NOT_PACKED, f
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1


class Csc(WeightFormat):
    """The weights that are not zero are stored, by columns."""

    name = "csc"

    def _widths(self, shape: Shape) -> Int32:
        return reduction_steps_of(1, shape.channels, shape.taps).window_entries

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        counts = np.count_nonzero(matrix, axis=1)
        return np.asarray(len(self._widths(shape)) + counts + (counts + 1) // 2, np.int64)

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(matrix.view(np.uint8), self._widths(shape), out, starts)

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        matrix = np.zeros((filters, shape.entries), np.uint8)
        stored, order = self.room(filters, shape)
        fault, stream = _read(raw, self._widths(shape), matrix, stored, order)
        nonzeros = count_nonzero(matrix.reshape(-1))
        return fault, stream, Unpacked(matrix.view(np.int8), stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        widths = self._widths(shape)
        counts: Int32 = np.add.reduceat(
            matrix != 0, np.cumsum(widths) - widths, axis=1, dtype=np.int32
        )
        return counts

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return np.asarray(matrix != 0)

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        first = len(self._widths(shape))
        count = int(body[:first].sum(dtype=np.int64))
        return WeightPlaces(first, count, behind=(count + 1) // 2)

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """A weight and half a byte for each that is not zero, and a byte for 16 positions."""
        halves = (2 * self.weight_bytes + 1) * int(np.count_nonzero(weight))
        return -(-halves // 2) + weight.size // 16


CSC = Csc()
