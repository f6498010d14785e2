"""The canonical order of a filter's weights, and the stages in which an array works through them.

A filter over ``channels`` input channels and ``taps`` kernel positions is a row of
``channels * taps`` weights: for each block of 16 channels (the last one may be narrower), for each
tap (row-major over the kernel), for each channel of the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.isa.instructions import BLOCK

SLAB = 16  # taps that one pattern mask covers

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]


class FormatError(ZeroskipError):
    """Weights that a format cannot hold, or a stream that is not one."""


@dataclass(frozen=True)
class ReductionSteps:
    """The steps in which a reduction is worked through, in canonical order.

    fetches: int32 [J], taps of a stage, each of one block of 16 channels.
    entries: int32 [J], weight positions of a stage: taps x channels of its block.
    """

    tap_fetches: Int32
    window_entries: Int32

    def __len__(self) -> int:
        return len(self.tap_fetches)


def slabs_of(taps: int) -> int:
    """Slabs of up to 16 taps."""
    return -(-taps // SLAB)


@lru_cache(maxsize=1024)
def reduction_steps_of(step: int, channels: int, taps: int) -> ReductionSteps:
    """The stages of a reduction that takes ``step`` taps of a block of 16 channels at a time."""
    taken = np.minimum(step, taps - np.arange(0, taps, step))
    widths = np.minimum(BLOCK, channels - np.arange(0, channels, BLOCK))
    fetches = np.tile(taken, len(widths))
    entries = np.outer(widths, taken).reshape(-1)
    stages = ReductionSteps(fetches.astype(np.int32), entries.astype(np.int32))
    for array in (stages.tap_fetches, stages.window_entries):
        array.flags.writeable = False
    return stages


def to_reduction_order(weight: Int8) -> Int8:
    """int8 [K, C, *kernel] -> int8 [K, C * taps], each row in canonical order."""
    filters, channels = weight.shape[:2]
    flat = weight.reshape(filters, channels, prod(weight.shape[2:]))
    taps = flat.shape[2]
    whole = channels // BLOCK * BLOCK
    head = flat[:, :whole].reshape(filters, -1, BLOCK, taps).swapaxes(2, 3)
    tail = flat[:, whole:].swapaxes(1, 2)
    return np.concatenate(
        [head.reshape(filters, whole * taps), tail.reshape(filters, (channels - whole) * taps)],
        axis=1,
    )


def from_reduction_order(matrix: Int8, channels: int, kernel_shape: tuple[int, ...]) -> Int8:
    """int8 [K, C * taps] in canonical order -> int8 [K, C, *kernel]."""
    filters, taps = len(matrix), prod(kernel_shape)
    whole = channels // BLOCK * BLOCK
    head = matrix[:, : whole * taps].reshape(filters, -1, taps, BLOCK).swapaxes(2, 3)
    tail = matrix[:, whole * taps :].reshape(filters, taps, channels - whole).swapaxes(1, 2)
    out = np.concatenate([head.reshape(filters, whole, taps), tail], axis=1)
    return out.reshape(filters, channels, *kernel_shape)
