"""The dense format: the body of a stream is every weight, in canonical order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

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
from zeroskip.accel_model.io.jit import njit_cached

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def body_bytes(matrix: Int8) -> Offsets:
    """int64 [F]: bytes of each stream's body."""
    return np.full(len(matrix), matrix.shape[1], np.int64)


@njit_cached
def write(matrix: Bytes, out: Bytes, starts: Offsets) -> None:
    """Write the body of filter f at ``out[starts[f]]``."""
    for f in range(matrix.shape[0]):
        out[starts[f] : starts[f] + matrix.shape[1]] = matrix[f]


@njit_cached
def read(raw: Bytes, matrix: Bytes, order: Int32) -> tuple[int, int, int]:
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


@lru_cache(maxsize=1024)
def work(filters: int, channels: int, taps: int) -> Int32:
    """int32 [F, J]: cycles of each stage, its weight positions; a view of one row."""
    entries = reduction_steps_of("dense", channels, taps).window_entries
    return np.broadcast_to(entries, (filters, len(entries)))
