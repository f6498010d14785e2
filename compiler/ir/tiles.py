"""Tiles: how a layer is cut, and how a tile's channels lie in DRAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from zeroskip.accel_model.isa.instructions import BLOCK, MOST_CHANNELS
from zeroskip.accel_model.program.tensor_layout import Tensor, blocks
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.views import ChannelSlice
from zeroskip.compiler.ir.window import Window


@dataclass(frozen=True)
class Interval:
    """``size`` positions from ``start`` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def within(self, other: Interval) -> Interval:
        """The positions that are also in ``other``."""
        start = max(self.start, other.start)
        return Interval(start, max(0, min(self.end, other.end) - start))


def intervals(total: int, size: int) -> list[Interval]:
    """``total`` positions cut into pieces of ``size``; the last is what is left."""
    return [Interval(start, min(size, total - start)) for start in range(0, total, size)]


def even_intervals(span: Interval, size: int) -> list[Interval]:
    """As many pieces as ``intervals`` gives, of sizes that differ by at most one."""
    count = -(-span.size // size)
    edges = [span.start + span.size * index // count for index in range(count + 1)]
    return [Interval(low, high - low) for low, high in pairwise(edges)]


@dataclass(frozen=True)
class Tile2D:
    """A rectangle of an image."""

    rows: Interval
    cols: Interval

    @property
    def pixels(self) -> int:
        return self.rows.size * self.cols.size

    def below(self, rows: int) -> Tile2D:
        """The same rectangle so many rows further down."""
        return Tile2D(Interval(self.rows.start + rows, self.rows.size), self.cols)


def patches(whole: Tile2D, rows: int, cols: int) -> list[Tile2D]:
    """A rectangle cut into smaller ones of about ``rows`` x ``cols``, row by row."""
    return [
        Tile2D(r, c)
        for r in even_intervals(whole.rows, rows)
        for c in even_intervals(whole.cols, cols)
    ]


def patches_of(op: Op, rows: Interval, high: int, wide: int) -> list[Tile2D]:
    """Some rows of an operation's result cut into patches of about ``high`` x ``wide``, none of
    which lies in two images that it treats each by itself."""
    cols = full(op.y.spatial).cols
    return [
        patch for part in _by_image(op, rows) for patch in patches(Tile2D(part, cols), high, wide)
    ]


def _by_image(op: Op, rows: Interval) -> list[Interval]:
    """The parts of some rows of the result that lie in each image."""
    if op.images == 1:
        return [rows]
    own = op.y.value.image[0]
    every = range(rows.start // own, -(-rows.end // own))
    return [Interval(number * own, own).within(rows) for number in every]


def full(spatial: tuple[int, int]) -> Tile2D:
    """All of an image."""
    return Tile2D(Interval(0, spatial[0]), Interval(0, spatial[1]))


@dataclass(frozen=True)
class InputTile:
    """The input that an output patch looks at; ``top`` and ``left`` are isa.Extent's."""

    patch: Tile2D
    top: int
    left: int


def input_tile(window: Window, out: Tile2D, spatial: tuple[int, int]) -> InputTile:
    """The part of an input of size ``spatial`` that the outputs ``out`` read.

    Where a patch looks at padding only, one pixel is kept so that there is a tile to name.
    """
    cuts = []
    for axis, span in enumerate((out.rows, out.cols)):
        first = span.start * window.stride[axis] - window.pad[axis]
        low = min(max(first, 0), spatial[axis] - 1)
        high = min(first + window.span(axis, span.size), spatial[axis])
        cuts.append((Interval(low, max(high - low, 1)), first - low))
    return InputTile(Tile2D(cuts[0][0], cuts[1][0]), cuts[0][1], cuts[1][1])


def looked_at(op: Op, out: Tile2D, *, loaded: bool) -> InputTile:
    """What the outputs ``out`` of an operation read, of its input or of the rows of that which are
    ``loaded`` for it; of several images, from the first row of the first to the last of the
    last."""
    window, image = op.seen(loaded=loaded)
    if op.images == 1:
        return input_tile(window, out, image)
    own = op.y.value.image[0]
    found = []
    for rows in _by_image(op, out.rows):
        number, start = divmod(rows.start, own)
        part = Tile2D(Interval(start, rows.size), out.cols)
        tile = input_tile(window, part, image)
        found.append(replace(tile, patch=tile.patch.below(number * image[0])))
    first, last = found[0].patch.rows, found[-1].patch.rows
    rows = Interval(first.start, last.end - first.start)
    return replace(found[0], patch=Tile2D(rows, found[0].patch.cols))


@dataclass(frozen=True)
class DmaRun:
    """Blocks of a tile that one load or store moves: ``block`` and ``count`` in the tile, element
    ``lane`` and ``size`` of each row, and where their first pixel is in DRAM, bytes, of ``piece``
    bytes each."""

    block: int
    count: int
    lane: int
    size: int
    dram: int
    dram_block: int
    dram_pixel: int
    piece: int

    def pieces(self, most: int) -> Iterator[DmaRun]:
        """The run cut into runs of up to ``most`` blocks."""
        for done in range(0, self.count, most):
            yield replace(
                self,
                block=self.block + done,
                count=min(most, self.count - done),
                dram=self.dram + done * self.dram_block,
            )


def dma_runs(view: ChannelSlice, home: Tensor, channels: Interval) -> list[DmaRun]:
    """The moves for ``channels`` of a view of the value that lies at ``home``.

    One move if the view starts on a block of its value, else two for each block (the bytes before
    and after the border between two blocks of the value), each in as many as an instruction's
    blocks ask for. Of frames, as many for each of them, or one if a frame is a block.
    """
    found: list[DmaRun] = []
    for piece in _pieces(view, home, channels):
        for index, last in enumerate(found):
            if (piece.lane, piece.size, piece.dram_pixel) != (
                last.lane,
                last.size,
                last.dram_pixel,
            ) or piece.block != last.block + last.count:
                continue
            step = piece.dram - last.dram
            if step > 0 and (last.count == 1 or step == last.count * last.dram_block):
                stride = step // last.count
                found[index] = DmaRun(
                    last.block,
                    last.count + 1,
                    last.lane,
                    last.size,
                    last.dram,
                    stride,
                    last.dram_pixel,
                    last.piece,
                )
                break
        else:
            found.append(piece)
    most = MOST_CHANNELS // BLOCK
    return [part for run in found for part in run.pieces(most)]


def _pieces(view: ChannelSlice, home: Tensor, channels: Interval) -> Iterator[DmaRun]:
    """Runs of one block each: cut where a block of the tile or of the value or a frame ends."""
    done, each = 0, view.frame_channels
    while done < channels.size:
        number, channel = divmod(channels.start + done, each)
        first_row = view.frame(number).first_row if view.frames else 0
        block, at = divmod(view.offset + channel, BLOCK)
        lane = done % BLOCK
        width = home.block_width(block)
        size = min(BLOCK - lane, width - at, each - channel, channels.size - done)
        wide = home.element_bytes
        start = home.block_address(block) + (at + first_row * home.spatial[1] * width) * wide
        yield DmaRun(done // BLOCK, 1, lane, size, start, 0, width * wide, size * wide)
        done += size


def act_rows(channels: int, patch: Tile2D) -> int:
    """ACT rows of a tile."""
    return blocks(channels) * patch.pixels
