"""The dense format: the body of a stream is every weight, in canonical order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.stages import Int8, Int32, stages_of
from zeroskip.accel_model.native import native

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def body_bytes(matrix: Int8) -> Offsets:
    """int64 [F]: bytes of each stream's body."""
    return np.full(len(matrix), matrix.shape[1], np.int64)


@native
def write(matrix: Bytes, out: Bytes, starts: Offsets) -> None:
    """Write the body of filter f at ``out[starts[f]]``."""
    for f in range(matrix.shape[0]):
        out[starts[f] : starts[f] + matrix.shape[1]] = matrix[f]


@native
def read(raw: Bytes, starts: Offsets, ends: Offsets, matrix: Bytes, used: Offsets) -> int:
    """Read bodies into ``matrix``; ``used[f]`` is the bytes of body f. 0, or 1: it ends early."""
    for f in range(matrix.shape[0]):
        used[f] = matrix.shape[1]
        if ends[f] - starts[f] < used[f]:
            used[0] = f
            return 1
        matrix[f] = raw[starts[f] : starts[f] + used[f]]
    return 0


def work(matrix: Int8, channels: int, taps: int) -> Int32:
    """int32 [F, J]: cycles of each stage, its weight positions."""
    entries = stages_of("dense", channels, taps).entries
    return np.repeat(entries[None, :], len(matrix), axis=0)
