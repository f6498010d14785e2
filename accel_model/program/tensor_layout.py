"""How an activation tensor lies in DRAM: blocks of 16 channels, the last one as wide as it is.

A tensor [1, C, *spatial] is stored block by block; block b holds channels 16 b .. 16 b + w - 1 with
w = min(16, C - 16 b), pixel by pixel (row-major over the spatial dimensions), w elements each. So
it takes exactly C x pixels elements, a block is one run of bytes, and a 3-channel image is plain
NHWC. An element is a byte, or, where the target stores activations in 16 bits, a word of two: all
of it holds an int16 value, the lower byte one of 8 bits, and the upper one is 0 then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.validate import from_table
from zeroskip.accel_model.isa.instructions import BLOCK


def blocks(channels: int) -> int:
    """Number of blocks of 16 channels."""
    return -(-channels // BLOCK)


@dataclass(frozen=True)
class Tensor:
    """A tensor in DRAM: [1, channels, *spatial], int8, uint8 or int16, at a byte address.

    element_bytes: that the target stores an activation in.
    """

    name: str
    address: int
    channels: int
    spatial: tuple[int, ...]
    dtype: str = "int8"
    element_bytes: int = 1

    @property
    def pixels(self) -> int:
        return prod(self.spatial)

    @property
    def size(self) -> int:
        """Elements."""
        return self.channels * self.pixels

    @property
    def nbytes(self) -> int:
        return self.size * self.element_bytes

    @property
    def table(self) -> dict[str, Any]:
        """What a program's file says of it; how wide elements are its target says."""
        return {key: value for key, value in asdict(self).items() if key != "element_bytes"}

    @staticmethod
    def from_table(table: Any, element_bytes: int) -> Tensor:
        """The tensor of ``table`` on a target with elements of so many bytes; ValueError if it is
        none."""
        if not isinstance(table, dict) or "element_bytes" in table:
            raise ValueError("a Tensor is a table, and its target says how wide elements are")
        return from_table(Tensor, {**table, "element_bytes": element_bytes})

    def block_width(self, block: int) -> int:
        """Channels of a block."""
        return min(BLOCK, self.channels - BLOCK * block)

    def block_address(self, block: int) -> int:
        """DRAM byte of the first pixel of a block."""
        return self.address + BLOCK * block * self.pixels * self.element_bytes


def to_dram(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[N, C, *spatial] int8, uint8 or int16 -> each image's elements in DRAM, uint8 or uint16
    [N, C * pixels]."""
    images, channels = values.shape[:2]
    bits = f"u{values.itemsize}"
    flat = np.ascontiguousarray(values).view(bits).reshape(images, channels, -1)
    whole, pixels = channels // BLOCK * BLOCK, flat.shape[2]
    head = flat[:, :whole].reshape(images, -1, BLOCK, pixels).swapaxes(2, 3)
    tail = flat[:, whole:].swapaxes(1, 2)
    return np.concatenate([head.reshape(images, -1), tail.reshape(images, -1)], axis=1)


def from_dram(raw: npt.NDArray[Any], tensor: Tensor) -> npt.NDArray[np.generic]:
    """Elements in DRAM, uint8 or uint16 [N, C * pixels] -> [N, C, *spatial] of the tensor's
    dtype."""
    images, channels, pixels = len(raw), tensor.channels, tensor.pixels
    whole = channels // BLOCK * BLOCK
    out = np.empty((images, channels, pixels), raw.dtype)
    head = raw[:, : whole * pixels].reshape(images, -1, pixels, BLOCK).swapaxes(2, 3)
    out[:, :whole] = head.reshape(images, whole, pixels)
    tail = raw[:, whole * pixels :].reshape(images, pixels, channels - whole)
    out[:, whole:] = tail.swapaxes(1, 2)
    return out.view(tensor.dtype).reshape(images, channels, *tensor.spatial)


def stack_images(values: npt.NDArray[Any], tensor: Tensor, images: int) -> npt.NDArray[Any]:
    """[N, C, ...] -> [N / images, C, *spatial of the tensor], as a program of so many images takes
    them: one below the other."""
    parts = values.reshape(-1, images, tensor.channels, tensor.pixels // images)
    return parts.swapaxes(1, 2).reshape(-1, tensor.channels, *tensor.spatial)


def split_images(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What ``stack_images`` has made of arrays of this shape, or of as many elements in this order,
    again: [R, C, *spatial] -> [R * images, ...], images being the first size of the shape."""
    parts = values.reshape(len(values), values.shape[1], shape[0], -1)
    return parts.swapaxes(1, 2).reshape(-1, *shape[1:])


@lru_cache(maxsize=1024)
def accumulator_rows(slots: int, filters: int) -> tuple[int, ...]:
    """Sums used in each of the ACC rows of one pixel.

    ACC row ``acc + n*len + i`` is row i of output pixel n. Each group of ``slots`` streams has
    rows of its own, 16 slots in each; a sum belongs to its slot, not to a channel.
    """
    rows: list[int] = []
    for start in range(0, filters, slots):
        group = min(slots, filters - start)
        rows += [min(BLOCK, group - BLOCK * i) for i in range(blocks(group))]
    return tuple(rows)
