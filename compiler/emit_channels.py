"""Instructions of the operations that treat each channel by itself, and of plain moves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from zeroskip.accel_model import formats, isa
from zeroskip.accel_model.layout import blocks
from zeroskip.compiler import ops
from zeroskip.compiler.emit import ActTile, Emitter, requantise_rows, scalar_rows
from zeroskip.compiler.ops import View, Window
from zeroskip.compiler.plan import ChannelPlan
from zeroskip.compiler.rows import Rows
from zeroskip.compiler.tiles import Patch, Span, patches, source, spans

Made: TypeAlias = tuple[isa.Instruction, list[Rows]]


@dataclass(frozen=True, eq=False)
class _Part:
    """A tile being emitted: its channels and where input, operand and result are."""

    channels: Span
    x: ActTile
    result: ActTile
    operand: ActTile | None


def emit_depthwise(out: Emitter, op: ops.Depthwise, plan: ChannelPlan) -> None:
    """Append a depthwise convolution."""
    me = len(out.stream.instructions)
    residual = op.residual
    scale = None if residual is None else scalar_rows(
        residual.sum.mult_a, residual.sum.mult_b, shift=residual.sum.shift)

    def make(part: _Part) -> Made:
        where = slice(part.channels.start, part.channels.end)
        matrix = op.weight[where].reshape(part.channels.size, -1)
        raw, lengths = formats.pack("dense", matrix, 1, matrix.shape[1],
                                    np.arange(len(matrix)), None)
        rows = int(formats.place(lengths, out.spec.array.lanes, 0)[1])
        key = (me, "w", part.channels)
        ((wgt, fresh),) = out.reserve(out.wgt, [(key, rows)])
        if fresh:
            load = isa.LoadWeights(wgt=wgt, dram=out.image.add(key, raw.tobytes), size=len(raw),
                                   gang=0)
            out.stream.add(load, [], [Rows("wgt", wgt, rows)])
        own = requantise_rows(op.bias[where], op.mult[where], op.shift[where])
        wanted: list[tuple[Hashable, np.ndarray]] = [((me, "p", part.channels), own)]
        if scale is not None:
            wanted.append(((me, "s"), scale))
        pars = out.params(*wanted)
        reads = [Rows("wgt", wgt, rows), Rows("par", pars[0], len(own))]
        if residual is not None and part.operand is not None:
            out.set_operand(part.operand, residual.r.value, pars[1], residual)
            reads.append(Rows("par", pars[1], 1))
        made = isa.Depthwise(wgt=wgt, par=pars[0], channels=part.channels.size,
                             residual=int(residual is not None))
        return made, reads

    clip = op.clip if residual is None else residual.sum.clip
    _emit_tiles(out, op, plan, op.window, clip, None if residual is None else residual.r, make)


def emit_max_pool(out: Emitter, op: ops.MaxPool, plan: ChannelPlan) -> None:
    """Append a maximum pooling."""
    _emit_tiles(out, op, plan, op.window, op.clip, None,
                lambda part: (isa.MaxPool(channels=part.channels.size), []))


def emit_avg_pool(out: Emitter, op: ops.AvgPool, plan: ChannelPlan) -> None:
    """Append an average pooling or a requantise."""
    key = (len(out.stream.instructions), "s")

    def make(part: _Part) -> Made:
        (par,) = out.params((key, scalar_rows(op.mult, shift=op.shift)))
        return isa.AvgPool(channels=part.channels.size, par=par), [Rows("par", par, 1)]

    _emit_tiles(out, op, plan, op.window, op.clip, None, make)


def emit_add(out: Emitter, op: ops.Add, plan: ChannelPlan) -> None:
    """Append an addition of two activations."""
    key = (len(out.stream.instructions), "s")
    scale = scalar_rows(op.sum.mult_a, op.sum.mult_b, shift=op.sum.shift)

    def make(part: _Part) -> Made:
        (par,) = out.params((key, scale))
        if part.operand is not None:
            out.set_operand(part.operand, op.r.value, par)
        return isa.Add(channels=part.channels.size), [Rows("par", par, 1)]

    _emit_tiles(out, op, plan, Window(), op.sum.clip, op.r, make)


def _emit_tiles(
    out: Emitter,
    op: ops.Op,
    plan: ChannelPlan,
    window: Window,
    clip: ops.Clip,
    operand: View | None,
    make: Callable[[_Part], Made],
) -> None:
    """Load, compute and store each tile; ``make`` gives the instruction and what else it reads."""
    me = len(out.stream.instructions)
    for channels, patch in _cuts(op, plan):
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
        made, reads = make(_Part(channels, x, result, second))
        out.set_output(result, op.y.value, clip)
        reads += [tile.rows(count) for tile in (x, second) if tile is not None]
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
