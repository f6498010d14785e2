"""What the scheduler works on: a region as accelerator operations on channel-blocked values.

Every value is [1, channels, rows, cols]; dense layers are convolutions, a flatten is a view. The
dataclasses are frozen: ``lowering`` makes them, ``scheduling`` and ``codegen`` only read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Count = TypeVar("Count", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class Value:
    """An activation: 8 bits, one zero point."""

    name: str
    channels: int
    spatial: tuple[int, int]
    dtype: str
    zero_point: int

    @property
    def pixels(self) -> int:
        return self.spatial[0] * self.spatial[1]


@dataclass(frozen=True)
class ChannelSlice:
    """``channels`` channels of a value from ``offset`` on."""

    value: Value
    offset: int
    channels: int


def whole(value: Value) -> ChannelSlice:
    return ChannelSlice(value, 0, value.channels)


def planar(shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """(channels, (rows, cols)) of a [1, C, ...] shape with up to two spatial dimensions."""
    spatial = (1, 1, *shape[2:])[-2:] if len(shape) > 2 else (1, 1)
    return shape[1], (spatial[0], spatial[1])


@dataclass(frozen=True)
class Window:
    """Taps, strides, dilations and padding before the first row and column."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def span(self, axis: int, outputs: Count) -> Count:
        """Input positions along an axis that ``outputs`` neighbouring outputs look at."""
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return (outputs - 1) * self.stride[axis] + reach


@dataclass(frozen=True)
class Clip:
    """Limits of an 8-bit result."""

    low: int
    high: int


@dataclass(frozen=True)
class AddRequant:
    """Scaling of the two operands of an addition (isa.Add) and the limits of its result."""

    mult_a: int
    mult_b: int
    shift: int
    clip: Clip


@dataclass(frozen=True)
class Residual:
    """An addition fused into the convolution before it: ``sum`` of its own result and ``r``.

    ``mid`` is the value that the convolution alone would have made.
    """

    node: str
    operand: ChannelSlice
    sum: AddRequant
    pre_add: Value
    pre_add_clip: Clip


@dataclass(frozen=True, eq=False)
class Op:
    """A step on the accelerator. ``node`` is the ONNX node it came from."""

    node: str
    x: ChannelSlice
    y: ChannelSlice

    @property
    def reads(self) -> tuple[ChannelSlice, ...]:
        """Everything the operation reads."""
        return (self.x,)

    @property
    def macs(self) -> int:
        """Multiplies counted without skipping."""
        return 0


@dataclass(frozen=True, eq=False)
class ConvOp(Op):
    """weight int8 [K, C, rows, cols]; bias, mult, shift int32 [K].

    groups: blocks of as many filters and channels on the weight's diagonal; what lies outside them
    is zeros that the layer does not have.
    """

    window: Window
    weight: Int8
    bias: Int32
    mult: Int32
    shift: Int32
    clip: Clip
    residual: Residual | None = None
    groups: int = 1

    @property
    def reads(self) -> tuple[ChannelSlice, ...]:
        return (self.x,) if self.residual is None else (self.x, self.residual.operand)

    @property
    def macs(self) -> int:
        """All weights, zeros too, at every pixel of the output."""
        return self.weight.size // self.groups * self.y.value.pixels


@dataclass(frozen=True, eq=False)
class DepthwiseOp(ConvOp):
    """A convolution of each channel with its own kernel: weight int8 [C, 1, rows, cols]."""


@dataclass(frozen=True, eq=False)
class MaxPoolOp(Op):
    window: Window
    clip: Clip


@dataclass(frozen=True, eq=False)
class AvgPoolOp(Op):
    """Also a requantize: a window of one tap."""

    window: Window
    mult: int
    shift: int
    clip: Clip


@dataclass(frozen=True, eq=False)
class AddOp(Op):
    operand: ChannelSlice
    sum: AddRequant

    @property
    def reads(self) -> tuple[ChannelSlice, ...]:
        return (self.x, self.operand)


@dataclass(frozen=True, eq=False)
class CopyOp(Op):
    """The same bytes elsewhere: an input of a concatenation that cannot be written in place."""


@dataclass(frozen=True, eq=False)
class ReshapeOp(Op):
    """The same elements in row-major [C, rows, cols] order, other sizes."""


@dataclass(frozen=True)
class Region:
    """A region in execution order. places: where the result of each layer of the network is, in the
    network's order; that of one before a fused addition is no operation's."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    places: tuple[ChannelSlice, ...] = ()
