"""Tiles in ACT, and what is asked of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.ir.tiles import Interval, Tile2D
from zeroskip.compiler.ir.views import ChannelSlice


@dataclass(frozen=True)
class ActTile:
    """A tile in ACT: channel blocks of a patch. ``row`` and ``block`` are strides in rows."""

    act: int
    patch: Tile2D
    row: int
    block: int

    @staticmethod
    def packed(act: int, patch: Tile2D) -> ActTile:
        return ActTile(act, patch, patch.cols.size, patch.pixels)

    def at(self, part: Tile2D, block: int = 0) -> ActTile:
        """The same rows seen as a tile of a patch within this one, from a channel block on."""
        down = part.rows.start - self.patch.rows.start
        right = part.cols.start - self.patch.cols.start
        return ActTile(
            self.act + block * self.block + down * self.row + right, part, self.row, self.block
        )

    def turns(self, number: int, count: int) -> ActTile:
        """Of ``count`` frames that take turns in its rows, those of one, as a tile of that frame;
        without rows if it has none of them."""
        rows = self.patch.rows
        skipped = (number - rows.start) % count
        size = len(range(skipped, rows.size, count))
        own = Interval((rows.start + skipped) // count, size)
        return ActTile(
            self.act + skipped * self.row,
            Tile2D(own, self.patch.cols),
            self.row * count,
            self.block,
        )

    def rows(self, channel_blocks: int, first: int = 0) -> Rows:
        return Rows(
            "act",
            AddressSet(
                self.act + first * self.block,
                self.patch.cols.size,
                height=self.patch.rows.size,
                row=self.row,
                blocks=channel_blocks,
                block=self.block,
            ),
        )


@dataclass(frozen=True)
class TileRequest:
    """A tile that a step needs: some channels of a patch of a view. Unless it is there under its
    key it is loaded, or, not to ``load``, only given room. rows_apart: of a view of which only
    every so-many-th row is loaded, rows from one of the patch to the next."""

    key: Hashable
    view: ChannelSlice
    channels: Interval
    patch: Tile2D
    load: bool = True
    rows_apart: int = 1
