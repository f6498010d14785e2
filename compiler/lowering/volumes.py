"""Layers on volumes [1, C, D, H, W]: each frame of a result is an operation on images.

The frames that a frame of the result looks at make one image. For a convolution their channels
follow each other, so that the sum over kernel frames is one with the sum over channels: a 2-D
convolution of as many times more channels, exact in the accumulator. A pool and a depthwise
convolution, which sum over no channels, let the rows of the frames take turns: a window of kd
frames x kh rows is one of kd * kh rows. Frames of padding are left out: they add nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.ops import Clip, Op
from zeroskip.compiler.ir.views import ChannelSlice, Frames, whole
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.lowering.grouping import block_diagonal, super_groups
from zeroskip.relay_passes.integer import layers

Views = list[ChannelSlice]


@dataclass(frozen=True)
class Looked:
    """Frames of the input that a frame of the result looks at: ``count`` from ``first`` on, through
    the kernel's frames from ``tap`` on. One with a count of 0 looks at padding alone."""

    first: int
    tap: int
    count: int

    @property
    def taps(self) -> slice:
        return slice(self.tap, self.tap + self.count)


@dataclass(frozen=True)
class Geometry:
    """A window over a volume: (frames, rows, columns) of its kernel, its steps and the padding
    before the first. frames, rows: of the input. made, high: of the result."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[int, ...]
    frames: int
    rows: int
    made: int
    high: int

    @staticmethod
    def of(layer: layers.ConvLayer | layers.MaxPoolLayer | layers.AvgPoolLayer) -> Geometry:
        kernel = layer.weight.shape[2:] if isinstance(layer, layers.ConvLayer) else layer.kernel
        return Geometry(
            kernel,
            layer.strides,
            (1, 1, 1) if isinstance(layer, layers.AvgPoolLayer) else layer.dilation,
            layer.padding[:3],
            *layer.x.shape[2:4],
            *layer.y.shape[2:4],
        )

    def looked(self, frame: int) -> Looked:
        """What a frame of the result looks at."""
        start, step = frame * self.strides[0] - self.pads[0], self.dilation[0]
        taps = [t for t in range(self.kernel[0]) if 0 <= start + t * step < self.frames]
        return Looked(start + taps[0] * step, taps[0], len(taps)) if taps else Looked(0, 0, 0)

    @property
    def weaves(self) -> bool:
        """Whether its windows are windows of rows that take turns: they are evenly spaced."""
        return self.dilation[1] == 1 or self.kernel[1] == 1 or self.kernel[0] == 1

    @property
    def window(self) -> Window:
        """Over one frame."""
        kernel, strides, dilation, pads = (
            (numbers[1], numbers[2])
            for numbers in (self.kernel, self.strides, self.dilation, self.pads)
        )
        return Window(kernel, strides, dilation, pads)

    def woven(self, count: int) -> Window:
        """Over the rows of so many frames that take turns."""
        own = self.window
        if count <= 1:
            return own
        return Window(
            (own.kernel[0] * count, own.kernel[1]),
            (own.stride[0] * count, own.stride[1]),
            (1, own.dilation[1]),
            (own.pad[0] * count, own.pad[1]),
        )

    def stacked_frames(self, looked: Looked) -> Frames:
        """Of which the channels follow each other; any one where there is padding alone."""
        return Frames(looked.first, max(looked.count, 1), self.dilation[0], self.rows)

    def woven_frames(self, looked: Looked) -> Frames:
        """Of which the rows take turns."""
        frames = self.stacked_frames(looked)
        return replace(frames, woven=frames.count > 1)

    def result(self, y: ChannelSlice, frame: int) -> ChannelSlice:
        """A frame of the result."""
        return replace(y, frames=Frames(frame, 1, 1, self.high))


def _conv(node: str, layer: layers.ConvLayer, reads: Views, y: ChannelSlice) -> list[Op]:
    (x,) = reads
    geometry, groups, filters = Geometry.of(layer), layer.groups, len(layer.weight)
    if groups > 1 and groups == x.channels == filters and geometry.weaves:
        return _depthwise(node, layer, x, y, geometry)
    made: list[Op] = []
    for c0, channels, k0, count in super_groups(x.channels, filters, groups):
        part, joined = slice(k0, k0 + count), groups * channels // x.channels
        own = layer.weight[part]
        weights = _Weights(own, block_diagonal(own, channels, joined), geometry, _stacked)
        constants = (layer.bias[part], layer.mult[part], layer.shift[part])
        view = replace(x, offset=x.offset + c0, channels=channels)
        target = replace(y, offset=y.offset + k0, channels=count)
        for frame in range(geometry.made):
            looked = geometry.looked(frame)
            frames = geometry.stacked_frames(looked)
            made.append(
                ops.ConvOp(
                    node,
                    replace(view, channels=channels * frames.count, frames=frames),
                    geometry.result(target, frame),
                    geometry.window,
                    weights.at(looked),
                    *constants,
                    Clip(layer.lo, layer.hi),
                    groups=joined,
                    shared=weights.shared(frame),
                )
            )
    return made


def _depthwise(
    node: str, layer: layers.ConvLayer, x: ChannelSlice, y: ChannelSlice, geometry: Geometry
) -> list[Op]:
    weights = _Weights(layer.weight, layer.weight, geometry, _interleaved)
    made: list[Op] = []
    for frame in range(geometry.made):
        looked = geometry.looked(frame)
        made.append(
            ops.DepthwiseOp(
                node,
                replace(x, frames=geometry.woven_frames(looked)),
                geometry.result(y, frame),
                geometry.woven(looked.count),
                weights.at(looked),
                layer.bias,
                layer.mult,
                layer.shift,
                Clip(layer.lo, layer.hi),
                shared=weights.shared(frame),
            )
        )
    return made


def _stacked(weight: ops.Int8) -> ops.Int8:
    """[K, C, kd, kh, kw] -> [K, kd * C, kh, kw]."""
    filters, channels, frames, *kernel = weight.shape
    moved = np.moveaxis(weight, 2, 1).reshape(filters, frames * channels, *kernel)
    return np.ascontiguousarray(moved)


def _interleaved(weight: ops.Int8) -> ops.Int8:
    """[K, 1, kd, kh, kw] -> [K, 1, kh * kd, kw]."""
    filters, channels, frames, rows, cols = weight.shape
    moved = np.swapaxes(weight, 2, 3).reshape(filters, channels, rows * frames, cols)
    return np.ascontiguousarray(moved)


class _Weights:
    """The weights of a layer's operations; those that look through the same frames of the kernel
    share an array.

    own: as the layer has them; full: with zeros between groups; [K, ..., kd, kh, kw]. form: of an
    operation.
    """

    def __init__(
        self,
        own: ops.Int8,
        full: ops.Int8,
        geometry: Geometry,
        form: Callable[[ops.Int8], ops.Int8],
    ) -> None:
        self.own, self.full, self.geometry, self.form = own, full, geometry, form
        self._known: dict[tuple[int, int], ops.Int8] = {}

    def at(self, looked: Looked) -> ops.Int8:
        """What an operation weighs with; zeros where it looks at padding alone."""
        key = looked.tap, looked.count
        if key not in self._known:
            part = self.full[:, :, looked.taps] if looked.count else 0 * self.full[:, :, :1]
            self._known[key] = self.form(part)
        return self._known[key]

    def shared(self, frame: int) -> ops.SharedWeights:
        """The layer's weights as a frame's operation has them."""
        return ops.SharedWeights(self._used, self.own.size, frame == 0)

    @cached_property
    def _used(self) -> ops.Int8:
        every = map(self.geometry.looked, range(self.geometry.made))
        taps = {tap for each in every for tap in range(each.tap, each.tap + each.count)}
        return self.form(self.own[:, :, sorted(taps)])


def _max_pool(node: str, layer: layers.MaxPoolLayer, reads: Views, y: ChannelSlice) -> list[Op]:
    """The maximum over frames of those within each frame, where rows cannot take turns."""
    (x,) = reads
    geometry, clip = Geometry.of(layer), Clip(layer.lo, layer.hi)
    if geometry.weaves:
        return _maxima(node, geometry, x, y, clip)
    rows, cols = geometry.high, y.value.spatial[1]
    inner = replace(
        x.value,
        name=f"{y.value.name}.frames",
        channels=x.channels,
        spatial=(geometry.frames * rows, cols),
    )
    low, high = layers.BOUNDS[layer.y.dtype]
    within = replace(
        geometry,
        kernel=(1, *geometry.kernel[1:]),
        strides=(1, *geometry.strides[1:]),
        pads=(0, *geometry.pads[1:]),
        made=geometry.frames,
    )
    over = Geometry(
        (geometry.kernel[0], 1, 1),
        (geometry.strides[0], 1, 1),
        (geometry.dilation[0], 1, 1),
        (geometry.pads[0], 0, 0),
        geometry.frames,
        rows,
        geometry.made,
        rows,
    )
    return [
        *_maxima(node, within, x, whole(inner), Clip(low, high)),
        *_maxima(node, over, whole(inner), y, clip),
    ]


def _maxima(
    node: str, geometry: Geometry, x: ChannelSlice, y: ChannelSlice, clip: Clip
) -> list[Op]:
    made: list[Op] = []
    for frame in range(geometry.made):
        looked = geometry.looked(frame)
        view = replace(x, frames=geometry.woven_frames(looked))
        window = geometry.woven(looked.count)
        made.append(ops.MaxPoolOp(node, view, geometry.result(y, frame), window, clip))
    return made


def _avg_pool(node: str, layer: layers.AvgPoolLayer, reads: Views, y: ChannelSlice) -> list[Op]:
    (x,) = reads
    geometry, made = Geometry.of(layer), list[Op]()
    for frame in range(geometry.made):
        looked = geometry.looked(frame)
        made.append(
            ops.AvgPoolOp(
                node,
                replace(x, frames=geometry.woven_frames(looked)),
                geometry.result(y, frame),
                geometry.woven(looked.count),
                layer.mult if looked.count else 0,
                layer.shift,
                Clip(layer.lo, layer.hi),
            )
        )
    return made


VOLUMES: dict[type[layers.Layer], Callable[[str, Any, Views, ChannelSlice], list[Op]]] = {
    layers.ConvLayer: _conv,
    layers.MaxPoolLayer: _max_pool,
    layers.AvgPoolLayer: _avg_pool,
}  # of the layers whose window lies in frames too; others take a volume as the image it lies as
