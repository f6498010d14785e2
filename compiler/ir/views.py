"""Activations as the scheduler sees them, and views of them: parts of their channels and frames.

Every value is [1, channels, rows, cols]. A volume [1, C, D, H, W] is [1, C, D * H, W]: its frames
one below the other. A batch [N, C, H, W] is [1, C, N * H, W]: its images one below the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod


@dataclass(frozen=True)
class Value:
    """An activation: 8 bits, one zero point. images: of a batch, as many rows each."""

    name: str
    channels: int
    spatial: tuple[int, int]
    dtype: str
    zero_point: int
    images: int = 1

    @property
    def pixels(self) -> int:
        return self.spatial[0] * self.spatial[1]

    @property
    def image(self) -> tuple[int, int]:
        """Rows and columns of one image."""
        return self.spatial[0] // self.images, self.spatial[1]


@dataclass(frozen=True)
class Frames:
    """Frames of a volume seen as one image.

    first: the first of them.
    count: how many.
    step: from one to the next.
    rows: rows of a frame.
    woven: whether rows take turns, row r being row r // count of the (r % count)-th frame; else
    channels follow each other, those of the first frame first.
    """

    first: int
    count: int
    step: int
    rows: int
    woven: bool = False


@dataclass(frozen=True)
class ChannelSlice:
    """``channels`` channels of a value from ``offset`` on; with ``frames``, of some frames of a
    volume: as many in each as ``frame_channels``, ``channels`` in the image that they make."""

    value: Value
    offset: int
    channels: int
    frames: Frames | None = None

    @property
    def spatial(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        if self.frames is None:
            return self.value.spatial
        high = self.frames.rows * (self.frames.count if self.frames.woven else 1)
        return high, self.value.spatial[1]

    @property
    def pixels(self) -> int:
        return self.spatial[0] * self.spatial[1]

    @property
    def frame_channels(self) -> int:
        """Channels of the value that the image takes of each frame."""
        stacked = self.frames is not None and not self.frames.woven
        return self.channels // self.frames.count if self.frames and stacked else self.channels

    def frame(self, number: int) -> ChannelSlice:
        """One of its frames, by itself."""
        assert self.frames is not None
        at = self.frames.first + number * self.frames.step
        return replace(
            self, channels=self.frame_channels, frames=Frames(at, 1, 1, self.frames.rows)
        )

    @property
    def first_row(self) -> int:
        """The row of the value at which its first frame begins."""
        return 0 if self.frames is None else self.frames.first * self.frames.rows


def whole(value: Value) -> ChannelSlice:
    return ChannelSlice(value, 0, value.channels)


def planar(shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """(channels, (rows, cols)) of an [N, C, ...] shape; the images of a batch and the frames of a
    volume in the rows."""
    *high, wide = (1, *shape[2:]) if len(shape) > 2 else (1, 1)
    return shape[1], (shape[0] * prod(high), wide)
