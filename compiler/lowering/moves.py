"""Layers that only move data, as views where the bytes lie right already, else as operations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.ops import Clip, Op
from zeroskip.compiler.ir.views import ChannelSlice, Value, whole
from zeroskip.compiler.ir.weave import TakenRun, taken_runs
from zeroskip.compiler.ir.window import Window
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.fixed_point import SUMS


def gather(
    node: str, layer: layers.GatherLayer, x: ChannelSlice, y: ChannelSlice
) -> tuple[list[Op], ChannelSlice]:
    """The operations of a gather, and where its result is: neighbouring channels are a view."""
    made: list[Op] = []
    channels, *spatial = layer.indices
    moved = any(at is not None for at in spatial)
    if channels is not None:
        first = channels[0]
        if channels == tuple(range(first, first + len(channels))):
            x = replace(x, offset=x.offset + first, channels=len(channels))
        else:
            name, images = f"{y.value.name}.picked", x.value.images
            part = Value(name, len(channels), x.spatial, *_type(layer), images)
            to = whole(part) if moved else y
            made.append(_permuted(node, layer, x, to, channels))
            x = to
    if not moved:
        return made, x
    high, wide = x.value.image
    down, right = (
        range(size) if at is None else at
        for at, size in zip(((None, None, *spatial))[-2:], (high, wide), strict=True)
    )
    every = [image * high + row for image in range(x.value.images) for row in down]
    rows, cols = taken_runs(every), taken_runs(right)
    return [*made, ops.WeaveOp(node, x, y, rows, cols)], y


def depth_to_space(
    node: str, layer: layers.DepthToSpaceLayer, reads: list[ChannelSlice], y: ChannelSlice
) -> list[Op]:
    """Its one operation."""
    (x,) = reads
    block = ((1, 1, *layer.block))[-2:]
    rows, cols = (
        tuple(TakenRun(at, step, 0, 1, size) for at in range(step))
        for step, size in zip(block, x.spatial, strict=True)
    )
    return [ops.WeaveOp(node, x, y, rows, cols)]


def _permuted(
    node: str,
    layer: layers.GatherLayer,
    x: ChannelSlice,
    y: ChannelSlice,
    channels: tuple[int, ...],
) -> Op:
    """Channels in another order: a convolution by ones that requantizes by 1. Bytes of one channel
    lie a block apart, so that moving them one by one would cost sixteen times as much."""
    weight = np.zeros((len(channels), x.channels, 1, 1), np.int8)
    weight[np.arange(len(channels)), channels] = 1
    mult, shift = layers.quantize_multiplier(1.0, SUMS[layer.x.dtype].mult_bits)
    each = np.ones(len(channels), np.int32)
    clip = Clip(*layers.BOUNDS[layer.y.dtype])
    return ops.ConvOp(node, x, y, Window(), weight, 0 * each, mult * each, shift * each, clip)


def _type(layer: layers.GatherLayer) -> tuple[str, int]:
    return layer.y.dtype, layer.y.zero_point
