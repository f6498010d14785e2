"""The valued format: each value once, with the positions that have it (ABM-SpConv, DAC 2019).

Body: a byte, the values that occur; for each of them, ascending as unsigned bytes, the value and
u16 how many positions have it; then u16 positions in canonical order, value by value, ascending.
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
    reduction_steps_of,
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
MOST = 0xFFFF  # positions of a filter


@njit_cached
def _histogram(weights: Bytes, counts: Int64) -> None:
    """Count each byte of a filter's weights, uint8 [E], into int64 [256]."""
    for value in range(256):
        counts[value] = 0
    for e in range(len(weights)):
        counts[weights[e]] += 1


@njit_cached
def _body_bytes(matrix: Bytes, counts: Int64, sizes: Int64) -> None:
    """sizes: int64 [F]; counts: room, int64 [256]."""
    for f in range(matrix.shape[0]):
        _histogram(matrix[f], counts)
        sizes[f] = 1
        for value in range(1, 256):
            if counts[value]:
                sizes[f] += 3 + 2 * counts[value]


@njit_cached
def _write(matrix: Bytes, out: Bytes, starts: Int64, counts: Int64, place: Int64) -> None:
    """counts: room, int64 [256]; place: another, of the next position of each value."""
    for f in range(matrix.shape[0]):
        _histogram(matrix[f], counts)
        kinds = 0
        for value in range(1, 256):
            kinds += counts[value] > 0
        at = starts[f]
        out[at] = kinds
        at += 1
        behind = at + 3 * kinds
        for value in range(1, 256):
            if counts[value]:
                out[at] = value
                out[at + 1] = counts[value] & 0xFF
                out[at + 2] = counts[value] >> 8
                at += 3
                place[value] = behind
                behind += 2 * counts[value]
        for e in range(matrix.shape[1]):
            value = int(matrix[f, e])
            if value != 0:
                out[place[value]] = e & 0xFF
                out[place[value] + 1] = e >> 8
                place[value] += 2


@njit_cached
def _read(raw: Bytes, matrix: Bytes, order: Int32) -> tuple[int, int]:
    """Read streams into zeros [F, E]; a fault or 0, and its stream."""
    at = 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f
        order[f] = name(raw, at)
        at += 4
        if at >= end:
            return ENDS_EARLY, f
        kinds = int(raw[at])
        group = at + 1
        place = group + 3 * kinds
        if place > end:
            return ENDS_EARLY, f
        after = place
        for k in range(kinds):
            after += 2 * (int(raw[group + 3 * k + 1]) + (int(raw[group + 3 * k + 2]) << 8))
        fault = padding_fault(raw, after, end)
        if fault != 0:
            return fault, f
        before = 0
        for k in range(kinds):
            value = int(raw[group + 3 * k])
            count = int(raw[group + 3 * k + 1]) + (int(raw[group + 3 * k + 2]) << 8)
            if value <= before or count == 0:
                return NOT_PACKED, f
            before = value
            last = -1
            for _ in range(count):
                e = int(raw[place]) + (int(raw[place + 1]) << 8)
                place += 2
                if e >= matrix.shape[1]:
                    return NO_PLACE, f
                if e <= last or matrix[f, e] != 0:
                    return NOT_PACKED, f
                matrix[f, e] = value
                last = e
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1


class Valued(WeightFormat):
    """The weights that are not zero are stored, those of one value together."""

    name = "valued"

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        if shape.entries > MOST + 1:
            raise FormatError(
                f"a valued stream has up to {MOST + 1} positions, not {shape.entries}; use fewer "
                "channels at a time"
            )
        sizes = np.empty(len(matrix), np.int64)
        _body_bytes(matrix.view(np.uint8), np.empty(256, np.int64), sizes)
        return sizes

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(matrix.view(np.uint8), out, starts, *np.empty((2, 256), np.int64))

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        matrix = np.zeros((filters, shape.entries), np.uint8)
        order = np.empty(filters, np.int32)
        fault, stream = _read(raw, matrix, order)
        values = matrix.view(np.int8)
        counts = self.stored_counts(values, shape, table)
        return fault, stream, Unpacked(values, counts, order, count_nonzero(matrix.reshape(-1)))

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        widths = reduction_steps_of(1, shape.channels, shape.taps).window_entries
        counts: Int32 = np.add.reduceat(
            matrix != 0, np.cumsum(widths) - widths, axis=1, dtype=np.int32
        )
        return counts

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return np.asarray(matrix != 0)

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        """A value and the count behind it."""
        kinds, group = int(body[0]) if len(body) else 0, self.weight_bytes + 2
        values = body[1 : 1 + kinds * group]
        if len(values) < kinds * group:
            return WeightPlaces(1, kinds, after=2)
        counts = values.reshape(kinds, group)[:, -2:].astype(np.int64) @ (1, 256)
        return WeightPlaces(1, kinds, after=2, behind=2 * int(counts.sum()))

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """A position for every weight that is not zero."""
        return 2 * int(np.count_nonzero(weight))


VALUED = Valued()
