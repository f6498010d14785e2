"""Sets of addresses: strided runs of cells, and what is done to per-cell records over them.

A cell is a row of an SRAM or a byte of DRAM. Records may be kept for granules of ``1 << shift``
neighbouring cells instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.native import native

Ticks = npt.NDArray[np.int32]
Masks = npt.NDArray[Any]


class Cells(NamedTuple):
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
        return (self.first + (self.blocks - 1) * self.block + (self.height - 1) * self.row
                + (self.width - 1) * self.pixel + self.length - 1)

    @property
    def total(self) -> int:
        """Cells named, those named twice counted twice."""
        return self.length * self.width * self.height * self.blocks

    def joined(self) -> Cells:
        """The same cells in the longest runs: neighbours that touch become one run."""
        length = self.length
        left: list[tuple[int, int]] = []
        for size, stride in ((self.width, self.pixel), (self.height, self.row),
                             (self.blocks, self.block)):
            if size == 1:
                continue
            if not left and stride == length:
                length *= size
            else:
                left.append((size, stride))
        left += [(1, 0)] * (3 - len(left))
        (width, pixel), (height, row), (blocks, block) = left
        return Cells(self.first, length, width, pixel, height, row, blocks, block)

    def of(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """View [blocks, height, width, length, ...] of an array [cells, ...]; must be in bounds."""
        step = array.strides[0]
        return np.lib.stride_tricks.as_strided(
            array[self.first :],
            (self.blocks, self.height, self.width, self.length, *array.shape[1:]),
            (self.block * step, self.row * step, self.pixel * step, *array.strides),
        )

    def repeats(self) -> bool:
        """Whether an address is named twice."""
        axes = [(stride, size) for stride, size in
                ((1, self.length), (self.pixel, self.width), (self.row, self.height),
                 (self.block, self.blocks)) if size > 1]
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


@native
def latest(ticks: Ticks, cells: Cells, shift: int) -> int:
    """The greatest record over the cells."""
    most = 0
    for b in range(cells.blocks):
        for y in range(cells.height):
            for x in range(cells.width):
                at = cells.first + b * cells.block + y * cells.row + x * cells.pixel
                for i in range(at >> shift, ((at + cells.length - 1) >> shift) + 1):
                    most = max(most, ticks[i])
    return most


@native
def mark(ticks: Ticks, cells: Cells, shift: int, tick: int) -> None:
    """Set the records of the cells."""
    for b in range(cells.blocks):
        for y in range(cells.height):
            for x in range(cells.width):
                at = cells.first + b * cells.block + y * cells.row + x * cells.pixel
                ticks[at >> shift : ((at + cells.length - 1) >> shift) + 1] = tick


@native
def lacking(written: Masks, cells: Cells, mask: int) -> int:
    """The first cell in which a bit of ``mask`` is not set, or -1."""
    for b in range(cells.blocks):
        for y in range(cells.height):
            for x in range(cells.width):
                at = cells.first + b * cells.block + y * cells.row + x * cells.pixel
                for i in range(at, at + cells.length):
                    if written[i] & mask != mask:
                        return i
    return -1


@native
def add_bits(written: Masks, cells: Cells, mask: int) -> None:
    """Set the bits of ``mask`` in the cells."""
    for b in range(cells.blocks):
        for y in range(cells.height):
            for x in range(cells.width):
                at = cells.first + b * cells.block + y * cells.row + x * cells.pixel
                for i in range(at, at + cells.length):
                    written[i] |= mask


@native
def bursts(cells: Cells, size: int) -> int:
    """Aligned bursts of ``size`` bytes that the runs touch; each run pays its own."""
    total = 0
    for b in range(cells.blocks):
        for y in range(cells.height):
            for x in range(cells.width):
                at = cells.first + b * cells.block + y * cells.row + x * cells.pixel
                total += (at + cells.length - 1) // size - at // size + 1
    return total
