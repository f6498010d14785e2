"""Instructions of the operations that treat each channel by itself, and of plain moves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats, isa
from zeroskip.accel_model.layout import blocks
from zeroskip.compiler import ops
from zeroskip.compiler.emit import ActTile, Emitter, requantise_rows, scalar_rows
from zeroskip.compiler.ops import View, Window
from zeroskip.compiler.plan import ChannelPlan
from zeroskip.compiler.rows import Rows
from zeroskip.compiler.tiles import Patch, Span, patches, source, spans

Bytes: TypeAlias = npt.NDArray[np.uint8]
Made: TypeAlias = tuple[isa.Instruction, list[Rows]]  # and what it reads besides its tiles
Make: TypeAlias = Callable[[ActTile | None], Made]  # of the operand's tile


def emit_depthwise(out: Emitter, op: ops.Depthwise, plan: ChannelPlan) -> None:
    """Append a depthwise convolution."""
    me = len(out.stream.instructions)
    residual = op.residual

    def place(channels: Span) -> Make:
        wgt = _place_depthwise_weights(out, op, channels, me)
        where = slice(channels.start, channels.end)
        own = requantise_rows(op.bias[where], op.mult[where], op.shift[where])
        wanted: list[tuple[Hashable, Bytes]] = [((me, "p", channels), own)]
        if residual is not None:
            wanted.append(((me, "s"), _sum_rows(residual.sum)))
        pars = out.params(*wanted)
        reads = [wgt, *(Rows("par", par, len(rows))
                        for par, (_, rows) in zip(pars, wanted, strict=True))]

        def make(operand: ActTile | None) -> Made:
            if residual is not None and operand is not None:
                out.set_operand(operand, residual.r.value, pars[1], residual)
            made = isa.Depthwise(wgt=wgt.start, par=pars[0], channels=channels.size,
                                 residual=int(residual is not None))
            return made, reads

        return make

    clip = op.clip if residual is None else residual.sum.clip
    _emit_tiles(out, op, plan, op.window, clip, None if residual is None else residual.r, place)


def _place_depthwise_weights(out: Emitter, op: ops.Depthwise, channels: Span, me: int) -> Rows:
    """WGT rows of a tile's kernels, one dense stream for each channel; loaded if not there."""
    matrix = op.weight[channels.start : channels.end].reshape(channels.size, -1)
    raw, lengths = formats.pack("dense", matrix, 1, matrix.shape[1], np.arange(len(matrix)), None)
    rows = int(formats.place(lengths, out.spec.array.lanes, 0)[1])
    key = (me, "w", channels)
    ((wgt, fresh),) = out.reserve(out.wgt, [(key, rows)])
    held = Rows("wgt", wgt, rows)
    if fresh:
        load = isa.LoadWeights(wgt=wgt, dram=out.image.add(key, raw.tobytes), size=len(raw),
                               gang=0)
        out.stream.add(load, [], [held])
    return held


def _sum_rows(total: ops.Sum) -> Bytes:
    return scalar_rows(total.mult_a, total.mult_b, shift=total.shift)


def emit_max_pool(out: Emitter, op: ops.MaxPool, plan: ChannelPlan) -> None:
    """Append a maximum pooling."""
    _emit_tiles(out, op, plan, op.window, op.clip, None,
                lambda channels: lambda _: (isa.MaxPool(channels=channels.size), []))


def emit_avg_pool(out: Emitter, op: ops.AvgPool, plan: ChannelPlan) -> None:
    """Append an average pooling or a requantise."""
    key = (len(out.stream.instructions), "s")

    def place(channels: Span) -> Make:
        (par,) = out.params((key, scalar_rows(op.mult, shift=op.shift)))
        made = isa.AvgPool(channels=channels.size, par=par)
        return lambda _: (made, [Rows("par", par, 1)])

    _emit_tiles(out, op, plan, op.window, op.clip, None, place)


def emit_add(out: Emitter, op: ops.Add, plan: ChannelPlan) -> None:
    """Append an addition of two activations."""
    key = (len(out.stream.instructions), "s")

    def place(channels: Span) -> Make:
        (par,) = out.params((key, _sum_rows(op.sum)))

        def make(operand: ActTile | None) -> Made:
            if operand is not None:
                out.set_operand(operand, op.r.value, par)
            return isa.Add(channels=channels.size), [Rows("par", par, 1)]

        return make

    _emit_tiles(out, op, plan, Window(), op.sum.clip, op.r, place)


def _emit_tiles(
    out: Emitter,
    op: ops.Op,
    plan: ChannelPlan,
    window: Window,
    clip: ops.Clip,
    operand: View | None,
    place: Callable[[Span], Make],
) -> None:
    """Load, compute and store each tile.

    ``place`` loads the constants of a tile's channels, before the activations since they wait for
    no other layer, and gives what makes the instruction once the operand is in place.
    """
    me = len(out.stream.instructions)
    for channels, patch in _cuts(op, plan):
        make = place(channels)
        looked = source(window, patch, op.x.value.spatial)
        count = blocks(channels.size)
        needs: list[tuple[Hashable, int]] = [
            ((me, "x", channels, patch), count * looked.patch.pixels),
            ((me, "y", channels, patch), count * patch.pixels),
        ]
        if operand is not None:
            needs.append(((me, "r", channels, patch), count * patch.pixels))
        places = [act for act, _ in out.reserve(out.act, needs)]
        x, result = ActTile.packed(places[0], looked.patch), ActTile.packed(places[1], patch)
        out.load(op.x, channels, x)
        second = None
        if operand is not None:
            second = ActTile.packed(places[2], patch)
            out.load(operand, channels, second)
        out.set_kernel(window)
        out.set_input(x, looked, op.x.value)
        made, constants = make(second)
        out.set_output(result, op.y.value, clip)
        reads = [*constants, *(tile.rows(count) for tile in (x, second) if tile is not None)]
        tile = out.tile(op.y.offset + channels.start, channels.size, patch)
        out.stream.add(made, reads, [result.rows(count)], tile)
        out.store(op.y, channels, result)


def _cuts(op: ops.Op, plan: ChannelPlan) -> Iterator[tuple[Span, Patch]]:
    for channels in spans(op.y.channels, plan.channels):
        for patch in patches(op.y.value.spatial, plan.rows, plan.cols):
            yield channels, patch


def emit_copy(out: Emitter, op: ops.Copy, plan: ChannelPlan) -> None:
    """Append a move from one place in DRAM to another, through ACT."""
    me = len(out.stream.instructions)
    for channels, patch in _cuts(op, plan):
        key = (me, channels, patch)
        ((act, _),) = out.reserve(out.act, [(key, blocks(channels.size) * patch.pixels)])
        tile = ActTile.packed(act, patch)
        out.load(op.x, channels, tile)
        out.store(op.y, channels, tile)


def emit_reshape(out: Emitter, op: ops.Reshape) -> None:
    """Append a change of shape: channel by channel to row-major order, then into blocks."""
    linear = out.scratch(op.x.channels * op.x.value.pixels)
    _emit_linear(out, op.x, linear, isa.Load, isa.Store)
    _emit_linear(out, op.y, linear, isa.Store, isa.Load)


def _emit_linear(out: Emitter, view: View, linear: int, blocked: type[isa.Load | isa.Store],
                 flat: type[isa.Load | isa.Store]) -> None:
    """Move a view to (or from) ``linear``: its elements in [C, rows, cols] order."""
    me = len(out.stream.instructions)
    pixels = view.value.pixels
    rows, cols = view.value.spatial
    high = max(1, min(rows, out.spec.act_rows // (2 * cols)))
    for channels in spans(view.channels, isa.BLOCK):
        for patch in patches((rows, cols), high, cols):
            ((act, _),) = out.reserve(out.act, [((me, channels, patch), patch.pixels)])
            tile = ActTile.packed(act, patch)
            if blocked is isa.Load:
                out.load(view, channels, tile)
            for lane in range(channels.size):
                at = linear + (channels.start + lane) * pixels + patch.rows.start * cols
                out.move_bytes(flat, tile, lane, at)
            if blocked is isa.Store:
                out.store(view, channels, tile)
