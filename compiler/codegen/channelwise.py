"""Instructions of the operations that treat each channel by itself, and of plain moves."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats import DENSE, Shape
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.codegen.act_tile import TileRequest
from zeroskip.compiler.codegen.param_rows import requantize_rows, scalar_rows, sum_rows
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.schedule import ChannelPlan
from zeroskip.compiler.ir.tiles import (
    Interval,
    Tile2D,
    full,
    intervals,
    looked_at,
    patches,
    patches_of,
)
from zeroskip.compiler.ir.views import ChannelSlice

Bytes: TypeAlias = npt.NDArray[np.uint8]


Channelwise: TypeAlias = (
    ops.DepthwiseOp | ops.MaxPoolOp | ops.AvgPoolOp | ops.AddOp | ops.MultiplyOp | ops.LookupOp
)


@dataclass(frozen=True)
class Constants:
    """Where a tile's constants are, and everything that is read of them.

    wgt: first row of its weights.
    par: first row of its parameters.
    par_sum: row of the scaling of an addition.
    reads: all rows.
    """

    wgt: int = 0
    par: int = 0
    par_sum: int = 0
    reads: tuple[Rows, ...] = ()


class Params(NamedTuple):
    """Parameters of a tile: PAR rows, uint8 [rows, 16], and what they are found again by."""

    key: Hashable
    rows: Bytes


def _no_params(_op: Any, _channels: Interval) -> None:
    return None


@dataclass(frozen=True)
class InstructionOf:
    """How an operation that treats channels alike becomes an instruction.

    make: the instruction of a tile of so many channels.
    params: what it reads of PAR besides the scaling of an addition; None: nothing.
    """

    make: Callable[[Any, int, Constants], isa.Instruction]
    params: Callable[[Any, Interval], Params | None] = _no_params


def _depthwise(op: ops.DepthwiseOp, channels: int, constants: Constants) -> isa.Instruction:
    residual = int(op.residual is not None)
    return isa.Depthwise(wgt=constants.wgt, par=constants.par, channels=channels, residual=residual)


def _depthwise_params(op: ops.DepthwiseOp, channels: Interval) -> Params:
    part = slice(channels.start, channels.end)
    return Params(("p", channels), requantize_rows(op.bias[part], op.mult[part], op.shift[part]))


def _max_pool(
    _op: ops.MaxPoolOp | ops.LookupOp, channels: int, _constants: Constants
) -> isa.Instruction:
    return isa.MaxPool(channels=channels)


def _avg_pool(_op: ops.AvgPoolOp, channels: int, constants: Constants) -> isa.Instruction:
    return isa.AvgPool(channels=channels, par=constants.par)


def _avg_pool_params(op: ops.AvgPoolOp, _channels: Interval) -> Params:
    return Params("s", scalar_rows(op.mult, shift=op.shift))


def _add(_op: ops.AddOp, channels: int, _constants: Constants) -> isa.Instruction:
    return isa.Add(channels=channels)


def _multiply(_op: ops.MultiplyOp, channels: int, _constants: Constants) -> isa.Instruction:
    return isa.Multiply(channels=channels)


INSTRUCTIONS: dict[type[ops.Op], InstructionOf] = {
    ops.DepthwiseOp: InstructionOf(_depthwise, _depthwise_params),
    ops.MaxPoolOp: InstructionOf(_max_pool),
    ops.AvgPoolOp: InstructionOf(_avg_pool, _avg_pool_params),
    ops.AddOp: InstructionOf(_add),
    ops.MultiplyOp: InstructionOf(_multiply),
    ops.LookupOp: InstructionOf(_max_pool),  # of one tap: the element itself
}


@dataclass(frozen=True, eq=False)
class ChannelEmitter:
    """Emits an operation of ``INSTRUCTIONS`` tile by tile. ``id`` makes its keys its own."""

    out: ProgramBuilder
    op: Channelwise
    plan: ChannelPlan
    id: int

    @property
    def weight_rows(self) -> list[int]:
        """WGT rows of each tile of weights."""
        return [rows for _, rows in self._packed.values()]

    def emit(self, rows: Interval) -> Iterator[None]:
        """Append the instructions that make some rows of the output."""
        for channels, patch in cuts(self.op, self.plan, rows):
            self._tile(channels, patch)
            yield

    def _tile(self, channels: Interval, patch: Tile2D) -> None:
        """Constants are loaded before the activations: they wait for no other layer."""
        out, op, operand = self.out, self.op, self.op.operand
        out.set_table(op.any_table)
        constants = self._constants(channels)
        loaded = op.x.value.name not in out.resident
        looked = looked_at(op, patch, loaded=loaded)
        wanted = [
            TileRequest(
                (self.id, "x", channels, patch),
                op.x,
                channels,
                looked.patch,
                rows_apart=op.rows_apart,
            ),
            TileRequest((self.id, "y", channels, patch), op.y, channels, patch, load=False),
        ]
        if operand is not None:
            wanted.append(self._operand_request(operand, channels, patch))
        x, y, *second = out.tiles(wanted)
        out.registers.set_kernel(op.seen(loaded=loaded)[0])
        out.registers.set_input(x, looked, op.x.value)
        if operand is not None:
            out.registers.set_operand(second[0], op, constants.par_sum)
        out.registers.set_output(y, op, op.clip if op.scaling is None else op.scaling.clip)
        count = blocks(channels.size)
        reads = [*constants.reads, x.rows(count)]
        reads += [tile.rows(1 if op.operand_of_pixels else count) for tile in second]
        tile = out.tile(op.y.offset + channels.start, channels.size, patch.below(op.y.first_row))
        instruction = INSTRUCTIONS[type(op)].make(op, channels.size, constants)
        out.stream.add(instruction, reads, [y.rows(count)], tile)
        out.store(op.y, channels, y)

    def _operand_request(
        self, operand: ChannelSlice, channels: Interval, patch: Tile2D
    ) -> TileRequest:
        """The operand of a tile: the same channels and pixels, or the only one of either."""
        if self.op.operand_of_pixels:
            channels = Interval(0, 1)
        if self.op.operand_of_channels:
            image = patch.rows.start // self.op.y.value.image[0]
            patch = full(operand.value.image).below(image * operand.value.image[0])
        return TileRequest((self.id, "r", channels, patch), operand, channels, patch)

    # ---------------------------------------------------------------------------- constants

    def _constants(self, channels: Interval) -> Constants:
        """Load what is not there."""
        op, out = self.op, self.out
        wgt = self._place_weights(channels) if self._packed else None
        wanted: list[tuple[Hashable, Bytes]] = []
        own = INSTRUCTIONS[type(op)].params(op, channels)
        if own is not None:
            wanted.append(((self.id, own.key), own.rows))
        if op.scaling is not None:
            wanted.append(((self.id, "t"), sum_rows(op)))
        if not wanted:
            return Constants()
        pars = out.load_params(*wanted)
        reads = [
            Rows("par", AddressSet(par, len(rows)))
            for par, (_, rows) in zip(pars, wanted, strict=True)
        ]
        if wgt is not None:
            reads.append(wgt)
        return Constants(0 if wgt is None else wgt.start, pars[0], pars[-1], tuple(reads))

    @cached_property
    def _packed(self) -> dict[Interval, tuple[Bytes, int]]:
        """Of each tile of channels its kernels, one dense stream for each channel, and the WGT rows
        they take; nothing of operations without weights."""
        if not isinstance(self.op, ops.DepthwiseOp):
            return {}
        spec, packed = self.out.spec, {}
        dense, placement = spec.stored(DENSE), spec.kind.placement(spec.array, 0)
        for channels in intervals(self.op.y.channels, self.plan.channels):
            matrix = self.op.weight[channels.start : channels.end].reshape(channels.size, -1)
            shape = Shape(1, matrix.shape[1])
            raw, lengths = dense.pack(matrix, shape, np.arange(len(matrix)))
            packed[channels] = raw, placement.rows(lengths)
        return packed

    def _place_weights(self, channels: Interval) -> Rows:
        raw, rows = self._packed[channels]
        behind = [of for each, (_, of) in self._packed.items() if each.start == channels.end]
        ahead = behind[0] if behind else self.out.weights_next()
        return self.out.weights((self.id, "w", channels), raw, rows, mode=0, ahead=ahead)


def cuts(op: ops.Op, plan: ChannelPlan, rows: Interval) -> Iterator[tuple[Interval, Tile2D]]:
    """Channels and patch of each tile of some rows of the output, in order."""
    for channels in intervals(op.y.channels, plan.channels):
        for patch in patches_of(op, rows, plan.rows, plan.cols):
            yield channels, patch


@dataclass(frozen=True, eq=False)
class CopyEmitter:
    """Emits moves from one place in DRAM to another, through ACT."""

    out: ProgramBuilder
    op: ops.CopyOp
    plan: ChannelPlan
    id: int
    weight_rows = ()

    def emit(self, rows: Interval) -> Iterator[None]:
        """Append the moves of some rows."""
        for channels, patch in cuts(self.op, self.plan, rows):
            (tile,) = self.out.tiles(
                [TileRequest((self.id, channels, patch), self.op.x, channels, patch)]
            )
            self.out.store(self.op.y, channels, tile)
            yield


@dataclass(frozen=True, eq=False)
class ReshapeEmitter:
    """Emits a change of shape: image by image and channel by channel to row-major order, then into
    blocks."""

    out: ProgramBuilder
    op: ops.ReshapeOp
    id: int
    weight_rows = ()

    def emit(self, _rows: Interval) -> Iterator[None]:
        """Append all of it."""
        linear = self.out.scratch(self.op.x.channels * self.op.x.value.pixels)
        self._linear(self.op.x, linear, isa.Load, isa.Store)
        self._linear(self.op.y, linear, isa.Store, isa.Load)
        yield

    def _linear(
        self,
        view: ChannelSlice,
        linear: int,
        blocked: type[isa.Load | isa.Store],
        flat: type[isa.Load | isa.Store],
    ) -> None:
        """Move a view to (or from) ``linear``: its elements in [images, C, rows, cols] order."""
        out = self.out
        rows, cols = view.value.image
        pixels = rows * cols
        wide = min(cols, out.spec.act_rows // 2, isa.MOST_SIDE)
        high = (
            1 if wide < cols else max(1, min(rows, out.spec.act_rows // (2 * cols), isa.MOST_SIDE))
        )
        cuts = patches(full((rows, cols)), high, wide)
        for image in range(view.value.images):
            first = linear + image * view.channels * pixels * out.wide
            for channels in intervals(view.channels, isa.BLOCK):
                for cut in cuts:
                    patch = cut.below(image * rows)
                    want = TileRequest(
                        (self.id, view.value.name, channels, patch),
                        view,
                        channels,
                        patch,
                        load=blocked is isa.Load,
                    )
                    (tile,) = out.tiles([want])
                    for lane in range(channels.size):
                        at = (channels.start + lane) * pixels
                        at += cut.rows.start * cols + cut.cols.start
                        out.move_lane(flat, tile, lane, first + at * out.wide)
                    if blocked is isa.Store:
                        out.store(view, channels, tile)
