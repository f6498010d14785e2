"""The bitmap format: a bit for each weight position, then the weights that are not zero.

Body: for each stage the bitmap of its channels, ``ceil(w / 8)`` bytes, bit c for channel c of the
block; after all bitmaps the non-zero weights in canonical order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.stages import Int8, Int32
from zeroskip.accel_model.native import native

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


@native
def bitmap_bytes(channels: int, taps: int) -> int:
    """Bytes of the bitmaps of one stream."""
    tail = channels % 16
    return taps * (channels // 16 * 2 + (tail + 7) // 8)


@native
def body_bytes(matrix: Bytes, channels: int, taps: int) -> Offsets:
    """int64 [F]: bytes of each stream's body."""
    sizes = np.empty(matrix.shape[0], np.int64)
    for f in range(matrix.shape[0]):
        stored = 0
        for e in range(matrix.shape[1]):
            stored += matrix[f, e] != 0
        sizes[f] = bitmap_bytes(channels, taps) + stored
    return sizes


@native
def write(matrix: Bytes, channels: int, taps: int, out: Bytes, starts: Offsets) -> None:
    """Write the body of filter f at ``out[starts[f]]``; ``out`` is zero there."""
    for f in range(matrix.shape[0]):
        at = starts[f]
        value = at + bitmap_bytes(channels, taps)
        e = 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                for c in range(width):
                    weight = matrix[f, e + c]
                    if weight != 0:
                        out[at + c // 8] |= np.uint8(1 << (c % 8))
                        out[value] = weight
                        value += 1
                at += (width + 7) // 8
                e += width


@native
def read(
    raw: Bytes, starts: Offsets, ends: Offsets, channels: int, taps: int,
    matrix: Bytes, work: Int32, used: Offsets,
) -> int:
    """Read bodies into ``matrix`` (zero before) and ``work``; ``used[f]`` is the bytes of body f.

    Returns 0, or a fault of stream ``used[0]``: 1 it ends early, 2 a bit of no channel is set.
    """
    for f in range(matrix.shape[0]):
        at, end = starts[f], ends[f]
        value = at + bitmap_bytes(channels, taps)
        if value > end:
            used[0] = f
            return 1
        e, j = 0, 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                bits = np.uint32(raw[at])
                if width > 8:
                    bits |= np.uint32(raw[at + 1]) << np.uint32(8)
                if bits >> np.uint32(width):
                    used[0] = f
                    return 2
                begin = value
                c = 0
                while bits != 0:
                    if bits & np.uint32(1):
                        if value >= end:
                            used[0] = f
                            return 1
                        matrix[f, e + c] = raw[value]
                        value += 1
                    bits >>= np.uint32(1)
                    c += 1
                work[f, j] = max(1, value - begin)
                at += (width + 7) // 8
                e += width
                j += 1
        used[f] = value - starts[f]
    return 0


@native
def _count(matrix: Bytes, channels: int, taps: int, work: Int32) -> None:
    for f in range(matrix.shape[0]):
        e, j = 0, 0
        for first in range(0, channels, 16):
            width = min(16, channels - first)
            for _ in range(taps):
                stored = 0
                for c in range(width):
                    stored += matrix[f, e + c] != 0
                work[f, j] = max(1, stored)
                e += width
                j += 1


def work(matrix: Int8, channels: int, taps: int) -> Int32:
    """int32 [F, J]: cycles of each stage, its non-zero weights, at least one."""
    found = np.empty((len(matrix), -(-channels // 16) * taps), np.int32)
    _count(matrix.view(np.uint8), channels, taps, found)
    return found
