"""Cycles that no schedule of a convolution goes below on an array: the structural limits that hold
however filters, outputs and the reduction are cut into instructions (docs/SCHEDULES.md, "The
reachable bound")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks

Int8 = npt.NDArray[np.int8]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ConvWork:
    """What a convolution asks of the array, however it is cut.

    weight: int8 [K, C, rows, cols].
    outputs: int64 [rows, cols], of each tap, the outputs for which it lies within the image.
    added: outputs to which an operand is added.
    """

    weight: Int8
    outputs: Int64
    added: int = 0

    @property
    def products(self) -> int:
        """Multiplies of a weight that is not zero by an input within the image."""
        return int((np.count_nonzero(self.weight, axis=(0, 1)) * self.outputs).sum())

    def of_blocks(self) -> Iterator[Int64]:
        """Of each block of 16 channels, the weights of each filter that are not zero, int64
        [K, rows, cols]."""
        for first in range(0, self.weight.shape[1], BLOCK):
            yield np.count_nonzero(self.weight[:, first : first + BLOCK], axis=1)


def least_lane_cycles(
    work: ConvWork, lanes: int, pixels: int, narrowest: int, fetched: int, *, lock_step: bool
) -> Fraction:
    """Of lanes of ``pixels`` multipliers, ``narrowest`` filters in flight at least, and inputs
    fetched for ``fetched`` outputs a cycle at most; the largest of

    - *multiplies*: a filter spends a cycle on each weight, in lock step on each channel of a block
      and tap of which it has any, for every ``pixels`` outputs or a part of them;
    - *slots*: filters come in multiples of the narrowest, and no pass is shorter than its filter of
      least weights;
    - *fetches*: a tap of a block once for all lanes, and the operand, for ``pixels`` outputs a
      cycle.
    """
    filters, channels = work.weight.shape[:2]
    quads = -(-work.outputs // pixels)
    spent = shortest = fetches = 0
    for block, counts in enumerate(work.of_blocks()):
        if lock_step:
            counts = np.where(counts > 0, min(BLOCK, channels - block * BLOCK), 0)
        spent += int((counts.sum(axis=0) * quads).sum())
        shortest += int((counts.min(axis=0) * work.outputs).sum())
        groups = -(-np.count_nonzero(counts, axis=0) // lanes)
        fetches += int((-(-groups * work.outputs // fetched)).sum())
    fetches += blocks(filters) * -(-work.added // pixels)
    slots = -(-filters // narrowest) * narrowest * shortest
    return max(Fraction(spent, lanes), Fraction(slots, lanes * pixels), Fraction(fetches))
