"""Instructions of the operations that treat each channel by itself, and of plain moves."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats import DENSE, Shape
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.codegen.program_builder import (
    ProgramBuilder,
    TileRequest,
    requantize_rows,
    scalar_rows,
)
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.ops import ChannelSlice, Window
from zeroskip.compiler.ir.schedule import ChannelPlan
from zeroskip.compiler.ir.tiles import Interval, Tile2D, full, input_tile, intervals, patches

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Constants:
    """Where a tile's constants are: first rows of its weights, parameters and scale of an addition,
    and everything that is read of them."""

    wgt: int
    par: int
    par_sum: int
    reads: list[Rows]


@dataclass(frozen=True, eq=False)
class ChannelEmitter:
    """Emits a depthwise convolution, a pool or an addition tile by tile. ``id`` makes its keys its
    own."""

    out: ProgramBuilder
    op: ops.DepthwiseOp | ops.MaxPoolOp | ops.AvgPoolOp | ops.AddOp
    plan: ChannelPlan
    id: int

    @property
    def weight_rows(self) -> list[int]:
        """WGT rows of each tile of weights."""
        op = self.op
        if not isinstance(op, ops.DepthwiseOp):
            return []
        return [
            self._packed(op, channels)[1]
            for channels in intervals(op.y.channels, self.plan.channels)
        ]

    def emit(self, rows: Interval) -> None:
        """Append the instructions that make some rows of the output."""
        for channels, patch in _cuts(self.op, self.plan, rows):
            self._tile(channels, patch)

    def _tile(self, channels: Interval, patch: Tile2D) -> None:
        """Constants are loaded before the activations: they wait for no other layer."""
        out, op, operand = self.out, self.op, _operand(self.op)
        window, clip = getattr(op, "window", Window()), _clip(op)
        constants = self._constants(channels)
        looked = input_tile(window, patch, op.x.value.spatial)
        wanted = [
            TileRequest((self.id, "x", channels, patch), op.x, channels, looked.patch),
            TileRequest((self.id, "y", channels, patch), op.y, channels, patch, load=False),
        ]
        if operand is not None:
            wanted.append(TileRequest((self.id, "r", channels, patch), operand, channels, patch))
        x, y, *second = out.tiles(wanted)
        out.set_kernel(window)
        out.set_input(x, looked, op.x.value)
        if operand is not None:
            out.set_operand(
                second[0], operand.value, constants.par_sum, getattr(op, "residual", None)
            )
        out.set_output(y, op.y.value, clip)
        count = blocks(channels.size)
        reads = [*constants.reads, *(tile.rows(count) for tile in (x, *second))]
        tile = out.tile(op.y.offset + channels.start, channels.size, patch)
        out.stream.add(self._instruction(channels.size, constants), reads, [y.rows(count)], tile)
        out.store(op.y, channels, y)

    def _instruction(self, channels: int, constants: Constants) -> isa.Instruction:
        if isinstance(self.op, ops.DepthwiseOp):
            return isa.Depthwise(
                wgt=constants.wgt,
                par=constants.par,
                channels=channels,
                residual=int(self.op.residual is not None),
            )
        if isinstance(self.op, ops.MaxPoolOp):
            return isa.MaxPool(channels=channels)
        if isinstance(self.op, ops.AvgPoolOp):
            return isa.AvgPool(channels=channels, par=constants.par)
        return isa.Add(channels=channels)

    # ---------------------------------------------------------------------------- constants

    def _constants(self, channels: Interval) -> Constants:
        """Load what is not there."""
        op, out = self.op, self.out
        if isinstance(op, ops.MaxPoolOp):
            return Constants(0, 0, 0, [])
        wgt = self._place_weights(op, channels) if isinstance(op, ops.DepthwiseOp) else None
        wanted: list[tuple[Hashable, Bytes]] = []
        if isinstance(op, ops.DepthwiseOp):
            where = slice(channels.start, channels.end)
            own = requantize_rows(op.bias[where], op.mult[where], op.shift[where])
            wanted.append(((self.id, "p", channels), own))
        elif isinstance(op, ops.AvgPoolOp):
            wanted.append(((self.id, "s"), scalar_rows(op.mult, shift=op.shift)))
        if (total := _sum(op)) is not None:
            scale = scalar_rows(total.mult_a, total.mult_b, shift=total.shift)
            wanted.append(((self.id, "t"), scale))
        pars = out.load_params(*wanted)
        reads = [Rows("par", par, len(rows)) for par, (_, rows) in zip(pars, wanted, strict=True)]
        if wgt is not None:
            reads.append(wgt)
        return Constants(0 if wgt is None else wgt.start, pars[0], pars[-1], reads)

    def _packed(self, op: ops.DepthwiseOp, channels: Interval) -> tuple[Bytes, int]:
        """A tile's kernels, one dense stream for each channel, and the WGT rows they take."""
        weight = op.weight[channels.start : channels.end]
        matrix = weight.reshape(channels.size, -1)
        raw, lengths = DENSE.pack(matrix, Shape(1, matrix.shape[1]), np.arange(len(matrix)))
        spec = self.out.spec
        return raw, spec.kind.placement(spec.array, 0).rows(lengths)

    def _place_weights(self, op: ops.DepthwiseOp, channels: Interval) -> Rows:
        raw, rows = self._packed(op, channels)
        return self.out.weights((self.id, "w", channels), raw, rows, mode=0)


def _operand(op: ops.Op) -> ChannelSlice | None:
    if isinstance(op, ops.AddOp):
        return op.operand
    return (
        op.residual.operand if isinstance(op, ops.DepthwiseOp) and op.residual is not None else None
    )


def _sum(op: ops.Op) -> ops.AddRequant | None:
    if isinstance(op, ops.AddOp):
        return op.sum
    return op.residual.sum if isinstance(op, ops.DepthwiseOp) and op.residual is not None else None


def _clip(op: ops.DepthwiseOp | ops.MaxPoolOp | ops.AvgPoolOp | ops.AddOp) -> ops.Clip:
    """Limits of the final result."""
    total = _sum(op)
    if total is not None:
        return total.clip
    assert not isinstance(op, ops.AddOp)
    return op.clip


def _cuts(op: ops.Op, plan: ChannelPlan, rows: Interval) -> Iterator[tuple[Interval, Tile2D]]:
    stripe = Tile2D(rows, full(op.y.value.spatial).cols)
    for channels in intervals(op.y.channels, plan.channels):
        for patch in patches(stripe, plan.rows, plan.cols):
            yield channels, patch


@dataclass(frozen=True, eq=False)
class CopyEmitter:
    """Emits moves from one place in DRAM to another, through ACT."""

    out: ProgramBuilder
    op: ops.CopyOp
    plan: ChannelPlan
    id: int
    weight_rows = ()

    def emit(self, rows: Interval) -> None:
        """Append the moves of some rows."""
        for channels, patch in _cuts(self.op, self.plan, rows):
            (tile,) = self.out.tiles(
                [TileRequest((self.id, channels, patch), self.op.x, channels, patch)]
            )
            self.out.store(self.op.y, channels, tile)


@dataclass(frozen=True, eq=False)
class ReshapeEmitter:
    """Emits a change of shape: channel by channel to row-major order, then into blocks."""

    out: ProgramBuilder
    op: ops.ReshapeOp
    id: int
    weight_rows = ()

    def emit(self, _rows: Interval) -> None:
        """Append all of it."""
        linear = self.out.scratch(self.op.x.channels * self.op.x.value.pixels)
        self._linear(self.op.x, linear, isa.Load, isa.Store)
        self._linear(self.op.y, linear, isa.Store, isa.Load)

    def _linear(
        self,
        view: ChannelSlice,
        linear: int,
        blocked: type[isa.Load | isa.Store],
        flat: type[isa.Load | isa.Store],
    ) -> None:
        """Move a view to (or from) ``linear``: its elements in [C, rows, cols] order."""
        out = self.out
        pixels = view.value.pixels
        rows, cols = view.value.spatial
        high = max(1, min(rows, out.spec.act_rows // (2 * cols)))
        for channels in intervals(view.channels, isa.BLOCK):
            for patch in patches(full((rows, cols)), high, cols):
                want = TileRequest(
                    (self.id, view.value.name, channels, patch),
                    view,
                    channels,
                    patch,
                    load=blocked is isa.Load,
                )
                (tile,) = out.tiles([want])
                for lane in range(channels.size):
                    at = linear + (channels.start + lane) * pixels + patch.rows.start * cols
                    out.move_bytes(flat, tile, lane, at)
                if blocked is isa.Store:
                    out.store(view, channels, tile)
