"""The runs format: each weight with the zeros before it, channel by channel (SCNN, ISCA 2017).

Positions are in channel order: for each channel its taps. Body: u16 count n of what is stored, n
values, then n runs of 4 bits, the first in the low half of its byte. A run is the zeros between a
weight and the one stored before it; where more than 15 zeros lie between two weights that are not
zero, zeros are stored with runs of 15. Behind the last weight nothing is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    Int8,
    Int32,
    from_reduction_order,
    reduction_steps_of,
    to_reduction_order,
)
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
LONGEST = 15  # zeros that a run can say
MOST = 0xFFFF  # weights of a stream


@njit_cached
def _mark(weights: Bytes, stored: Bools) -> None:
    """Mark what is stored of filters, uint8 [F, E] in channel order."""
    for f in range(weights.shape[0]):
        last = -1
        for e in range(weights.shape[1]):
            if weights[f, e] != 0:
                last = e
        run = 0
        for e in range(last + 1):
            if weights[f, e] != 0 or run == LONGEST:
                stored[f, e] = True
                run = 0
            else:
                run += 1


@njit_cached
def _write(weights: Bytes, stored: Bools, out: Bytes, starts: Int64) -> None:
    for f in range(weights.shape[0]):
        count = 0
        for e in range(weights.shape[1]):
            count += stored[f, e]
        at = starts[f]
        out[at] = count & 0xFF
        out[at + 1] = count >> 8
        runs = at + 2 + count
        n, run = 0, 0
        for e in range(weights.shape[1]):
            if stored[f, e]:
                out[at + 2 + n] = weights[f, e]
                out[runs + n // 2] |= np.uint8(run << (4 * (n & 1)))
                n += 1
                run = 0
            else:
                run += 1


@njit_cached
def _read(raw: Bytes, weights: Bytes, stored: Bools, order: Int32) -> tuple[int, int]:
    """Read streams into zeros [F, E]; a fault or 0, and its stream."""
    at, filters, entries = 0, weights.shape[0], weights.shape[1]
    for f in range(filters):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f
        order[f] = name(raw, at)
        at += 4
        if at + 2 > end:
            return ENDS_EARLY, f
        count = int(raw[at]) + (int(raw[at + 1]) << 8)
        values = at + 2
        runs = values + count
        after = runs + (count + 1) // 2
        fault = padding_fault(raw, after, end)
        if fault != 0:
            return fault, f
        e = 0
        for n in range(count):
            run = (int(raw[runs + n // 2]) >> (4 * (n & 1))) & 15
            e += run
            if e >= entries:
                return NO_PLACE, f
            value = raw[values + n]
            if value == 0 and (run != LONGEST or n == count - 1):
                return NOT_PACKED, f
            weights[f, e] = value
            stored[f, e] = True
            e += 1
        if count % 2 == 1 and raw[after - 1] >> 4 != 0:
            return NOT_PACKED, f
        at = end
    return (0 if at == len(raw) else BEHIND), filters - 1


def _counted(stored: Bools, shape: Shape) -> Int32:
    """int32 [F, J]: how many of bool [F, E] in canonical order lie in each stage."""
    entries = reduction_steps_of(1, shape.channels, shape.taps).window_entries
    starts = np.cumsum(entries) - entries
    return np.add.reduceat(stored, starts, axis=1, dtype=np.int32)


class Runs(WeightFormat):
    """The weights that are not zero are stored, each with the zeros before it."""

    name = "runs"

    def _marked(self, matrix: Int8, shape: Shape) -> tuple[Bytes, Bools]:
        """Weights and what is stored of them, [F, E] in channel order."""
        flat = from_reduction_order(matrix, shape.channels, (shape.taps,)).reshape(len(matrix), -1)
        weights = np.ascontiguousarray(flat).view(np.uint8)
        stored = np.zeros(weights.shape, np.bool_)
        _mark(weights, stored)
        return weights, stored

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        counts = self._marked(matrix, shape)[1].sum(axis=1, dtype=np.int64)
        if counts.max(initial=0) > MOST:
            raise FormatError(
                f"a runs stream holds up to {MOST} weights, not {counts.max()}; use fewer channels "
                "at a time"
            )
        return np.asarray(2 + counts + (counts + 1) // 2, np.int64)

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(*self._marked(matrix, shape), out, starts)

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        weights = np.zeros((filters, shape.entries), np.uint8)
        stored, order = np.zeros(weights.shape, np.bool_), np.empty(filters, np.int32)
        fault, stream = _read(raw, weights, stored, order)
        matrix = _canonical(weights, shape)
        counts = _counted(_canonical(stored, shape).view(np.bool_), shape)
        return fault, stream, Unpacked(matrix, counts, order, count_nonzero(weights.reshape(-1)))

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        return _counted(self.stored(matrix, shape, table), shape)

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return _canonical(self._marked(matrix, shape)[1], shape).view(np.bool_)

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        count = int(body[0]) + (int(body[1]) << 8) if len(body) > 1 else 0
        return WeightPlaces(2, count, behind=(count + 1) // 2)

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """A weight and half a byte for each that is not zero."""
        return -(-(2 * self.weight_bytes + 1) * int(np.count_nonzero(weight)) // 2)


def _canonical(values: npt.NDArray[np.generic], shape: Shape) -> Int8:
    """int8 [F, E] in canonical order of one byte each [F, E] in channel order."""
    return np.ascontiguousarray(
        to_reduction_order(values.view(np.int8).reshape(len(values), shape.channels, shape.taps))
    )


RUNS = Runs()
