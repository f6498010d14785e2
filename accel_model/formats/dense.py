"""The dense format: the body of a stream is every weight, in canonical order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.base import Bools, Int64, Shape, Unpacked, WeightFormat
from zeroskip.accel_model.formats.reduction_order import Int8, Int32, reduction_steps_of
from zeroskip.accel_model.formats.stream_header import (
    BEHIND,
    NO_HEADER,
    copy,
    count_nonzero,
    name,
    padding_fault,
    stream_end,
)
from zeroskip.accel_model.formats.wide import WeightPlaces
from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]


@njit_cached
def _write(matrix: Bytes, out: Bytes, starts: Int64) -> None:
    """Write the body of filter f at ``out[starts[f]]``."""
    for f in range(matrix.shape[0]):
        copy(matrix[f], out[starts[f] : starts[f] + matrix.shape[1]])


@njit_cached
def _read(raw: Bytes, matrix: Bytes, order: Int32) -> tuple[int, int, int]:
    """Read streams into ``matrix`` [F, E] and the channels that they name into ``order``.

    Returns a fault or 0, its stream, and the weights that are not zero.
    """
    at, nonzeros = 0, 0
    for f in range(matrix.shape[0]):
        end = stream_end(raw, at)
        if end < 0:
            return NO_HEADER, f, 0
        order[f] = name(raw, at)
        fault = padding_fault(raw, at + 4 + matrix.shape[1], end)
        if fault != 0:
            return fault, f, 0
        copy(raw[at + 4 :], matrix[f])
        nonzeros += count_nonzero(matrix[f])
        at = end
    return (0 if at == len(raw) else BEHIND), matrix.shape[0] - 1, nonzeros


class Dense(WeightFormat):
    """Every weight is stored."""

    name = "dense"

    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        return np.full(len(matrix), shape.entries, np.int64)

    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        _write(matrix.view(np.uint8), out, starts)

    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        matrix, order = np.empty((filters, shape.entries), np.uint8), np.empty(filters, np.int32)
        fault, stream, nonzeros = _read(raw, matrix, order)
        stored = self.stored_counts(matrix.view(np.int8), shape, table)
        return fault, stream, Unpacked(matrix.view(np.int8), stored, order, nonzeros)

    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        """A view of one row."""
        entries = reduction_steps_of(1, shape.channels, shape.taps).window_entries
        return np.broadcast_to(entries, (len(matrix), len(entries)))

    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        return np.broadcast_to(np.True_, matrix.shape)

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        return WeightPlaces(0, shape.entries)

    def least_bytes(self, weight: Int8, table: Any) -> int:
        """Every weight."""
        return int(weight.size) * self.weight_bytes


DENSE = Dense()
