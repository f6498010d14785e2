"""Sets of addresses: strided runs of cells. A cell is a row of an SRAM or a byte of DRAM."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class AddressSet(NamedTuple):
    """``first + b*block + y*row + x*pixel + i``: b < blocks, y < height, x < width, i < length.

    Strides are not negative, so ``first`` is the lowest address.
    """

    first: int
    length: int
    width: int = 1
    pixel: int = 0
    height: int = 1
    row: int = 0
    blocks: int = 1
    block: int = 0

    @property
    def last(self) -> int:
        """The highest address."""
        return (
            self.first
            + (self.blocks - 1) * self.block
            + (self.height - 1) * self.row
            + (self.width - 1) * self.pixel
            + self.length
            - 1
        )

    @property
    def total(self) -> int:
        """Cells named, those named twice counted twice."""
        return self.length * self.width * self.height * self.blocks

    def joined(self) -> AddressSet:
        """The same cells in the longest runs: neighbours that touch become one run."""
        length = self.length
        left: list[tuple[int, int]] = []
        for size, stride in (
            (self.width, self.pixel),
            (self.height, self.row),
            (self.blocks, self.block),
        ):
            if size == 1:
                continue
            if not left and stride == length:
                length *= size
            else:
                left.append((size, stride))
        left += [(1, 0)] * (3 - len(left))
        (width, pixel), (height, row), (blocks, block) = left
        return AddressSet(self.first, length, width, pixel, height, row, blocks, block)

    def of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View [blocks, height, width, length, ...] of an array [cells, ...]; must be in bounds."""
        if self.total == self.length:
            return array[np.newaxis, np.newaxis, np.newaxis, self.first : self.first + self.length]
        step = array.strides[0]
        return np.lib.stride_tricks.as_strided(
            array[self.first :],
            (self.blocks, self.height, self.width, self.length, *array.shape[1:]),
            (self.block * step, self.row * step, self.pixel * step, *array.strides),
        )

    def repeats(self) -> bool:
        """Whether an address is named twice."""
        axes = [
            (stride, size)
            for stride, size in (
                (1, self.length),
                (self.pixel, self.width),
                (self.row, self.height),
                (self.block, self.blocks),
            )
            if size > 1
        ]
        reach = 0
        for stride, size in sorted(axes):
            if stride <= reach:
                break
            reach += stride * (size - 1)
        else:
            return False
        span = self.last - self.first + 1
        if self.total > span:
            return True
        names = self._replace(first=0).of(np.arange(span))
        return len(np.unique(names)) < names.size
