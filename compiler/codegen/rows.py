"""Sets of rows that instructions touch: strided boxes, seen as views of per-row arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Rows:
    """Rows of a memory: ``start + b*block + y*row + x`` for b < blocks, y < height, x < width."""

    memory: str
    start: int
    width: int
    height: int = 1
    row: int = 0
    blocks: int = 1
    block: int = 0

    @property
    def last(self) -> int:
        """The highest row."""
        return (
            self.start
            + (self.blocks - 1) * self.block
            + (self.height - 1) * self.row
            + self.width
            - 1
        )

    def of(self, array: npt.NDArray[T]) -> npt.NDArray[T]:
        """The rows of an array [rows, ...] as a view [blocks, height, width, ...].

        The caller has checked that ``last`` is in the array.
        """
        step, *inner = array.strides
        return np.lib.stride_tricks.as_strided(
            array[self.start :],
            (self.blocks, self.height, self.width, *array.shape[1:]),
            (self.block * step, self.row * step, step, *inner),
        )
