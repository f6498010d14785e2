"""Instructions of moves of pixels: strided loads put a tile together in ACT, one store moves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.compiler.codegen.act_tile import ActTile, TileRequest
from zeroskip.compiler.codegen.channelwise import cuts
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.codegen.strides import STRIDES
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.schedule import ChannelPlan
from zeroskip.compiler.ir.tiles import DmaRun, Interval, dma_runs
from zeroskip.compiler.ir.views import ChannelSlice
from zeroskip.compiler.ir.weave import TakenRun

MOST_BLOCKS = dict(isa.layout(isa.Load))["blocks"].high


@dataclass(frozen=True, eq=False)
class WeaveEmitter:
    """Emits a move of pixels tile by tile. ``id`` makes its keys its own."""

    out: ProgramBuilder
    op: ops.WeaveOp
    plan: ChannelPlan
    id: int
    weight_rows = ()

    def emit(self, rows: Interval) -> Iterator[None]:
        """Append the moves of some rows of the output."""
        op, out = self.op, self.out
        for channels, patch in cuts(op, self.plan, rows):
            request = TileRequest((self.id, channels, patch), op.y, channels, patch, load=False)
            (tile,) = out.tiles([request])
            for row, down in enumerate(op.rows):
                taken = down.within(patch.rows.start, patch.rows.end)
                for col, right in enumerate(op.cols):
                    across = right.within(patch.cols.start, patch.cols.end)
                    if taken.count and across.count:
                        for piece in taken.pieces(MOST_BLOCKS):
                            self._load(op.source(row, col), channels, tile, piece, across)
            out.store(op.y, channels, tile)
            yield

    def _load(
        self, view: ChannelSlice, channels: Interval, tile: ActTile, down: TakenRun, right: TakenRun
    ) -> None:
        """Bring the pixels of a run of rows and one of columns to where they go in a tile."""
        home = self.out.tensors[view.value.name]
        below, beside = down.to - tile.patch.rows.start, right.to - tile.patch.cols.start
        act = tile.act + below * tile.row + beside
        for run in dma_runs(view, home, channels):
            width = home.spatial[1]
            pixel, row = right.step * run.dram_pixel, down.step * width * run.dram_pixel
            if (
                right.stride == 1
                and STRIDES["dram_pixel"].low <= pixel <= STRIDES["dram_pixel"].high
                and row <= STRIDES["dram_row"].high
            ):
                self._neighbours(run, width, act, tile, down, right)
            else:
                for block in range(run.count):
                    self._apart(run, block, width, act, tile, down, right)

    def _neighbours(
        self, run: DmaRun, width: int, act: int, tile: ActTile, down: TakenRun, right: TakenRun
    ) -> None:
        """Columns that are neighbours in ACT: all blocks at once."""
        shape = isa.LoadShape(
            dram_pixel=right.step * run.dram_pixel,
            dram_row=down.step * width * run.dram_pixel,
            dram_block=run.dram_block,
            act_row=down.stride * tile.row,
            act_block=tile.block,
        )
        first = run.dram + (down.start * width + right.start) * run.dram_pixel
        self._move(
            shape,
            isa.Load(
                act=act + run.block * tile.block,
                dram=first,
                width=right.count,
                height=down.count,
                blocks=run.count,
                bytes=run.size,
                lane=run.lane,
            ),
        )

    def _apart(
        self,
        run: DmaRun,
        block: int,
        width: int,
        act: int,
        tile: ActTile,
        down: TakenRun,
        right: TakenRun,
    ) -> None:
        """Columns with others between them, in ACT or wide apart in DRAM: a block of channels at
        once, columns as the instruction's rows and rows as its blocks."""
        shape = isa.LoadShape(
            dram_pixel=run.dram_pixel,
            dram_row=right.step * run.dram_pixel,
            dram_block=down.step * width * run.dram_pixel,
            act_row=right.stride,
            act_block=down.stride * tile.row,
        )
        pixel = (down.start * width + right.start) * run.dram_pixel
        self._move(
            shape,
            isa.Load(
                act=act + (run.block + block) * tile.block,
                dram=run.dram + block * run.dram_block + pixel,
                width=1,
                height=right.count,
                blocks=down.count,
                bytes=run.size,
                lane=run.lane,
            ),
        )

    def _move(self, shape: isa.LoadShape, load: isa.Load) -> None:
        stream = self.out.stream
        stream.set(
            isa.LoadShape,
            dram_pixel=shape.dram_pixel,
            dram_row=shape.dram_row,
            dram_block=shape.dram_block,
            act_row=shape.act_row,
            act_block=shape.act_block,
        )
        size = load.bytes * self.out.wide
        piece = (load.height - 1) * shape.dram_row + (load.width - 1) * shape.dram_pixel + size
        dram = self.out.dram_rows(load.dram, load.blocks, shape.dram_block, piece)
        act = Rows(
            "act",
            AddressSet(
                load.act,
                load.width,
                height=load.height,
                row=shape.act_row,
                blocks=load.blocks,
                block=shape.act_block,
            ),
        )
        stream.add(load, [dram], [act])
