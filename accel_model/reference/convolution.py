"""A convolution on the lane array, and the order of everything in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroskip.accel_model.reference.streams import PatternMasks

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry

BLOCK = 16
ROW = 16  # activations of a row of ACT, bytes of one of PAR
WORD = 4  # bytes of a row of a bank of WGT
SUM = 4  # bytes of a partial sum of the array's own


@dataclass(frozen=True)
class Convolution:
    """A convolution of one tile.

    image[c][y][x] are the input values, zero point already subtracted; ``row`` is the ACT rows from
    one image row to the next. streams: one packed stream for each filter, with weights of
    ``weight_bytes``, the lowest first. operand_row: rows from
    one image row of the residual operand to the next, None without one. first: sums start from 0,
    otherwise from ACC; last: they are requantized, otherwise they go to ACC.
    """

    image: Sequence[Sequence[Sequence[int]]]
    row: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int
    output: tuple[int, int]
    streams: Sequence[bytes]
    table: PatternMasks | None
    mode: int
    first: bool
    last: bool
    out_blocks: int
    operand_row: int | None = None
    weight_bytes: int = 1

    def weight_at(self, stream: bytes, byte: int) -> int:
        """The weight that begins at a byte of a stream."""
        return int.from_bytes(stream[byte : byte + self.weight_bytes], "little", signed=True)


@dataclass
class Outcome:
    """What happened.

    cycles: until everything has left the array.
    sums: of each (output channel, output pixel).
    events: how often each event took place, by the names of the machine's counters.
    slots: multiplier-cycles by the names of ``Kind.slots``, those that the reference counts.
    """

    cycles: int = 0
    sums: dict[tuple[int, int], int] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    slots: Counter[str] = field(default_factory=Counter)

    def fetch(self, rows: int) -> None:
        """Rows of ACT are read."""
        self.events["act_rows"] += rows
        self.events["act_fetched"] += ROW * rows

    def write_back(self, rows: int, results: int | None = None) -> None:
        """Rows of ACT are written, and what is in them goes from staging through the adders: as
        rows, or results by themselves."""
        self.events["act_rows"] += rows
        self.events["act_written"] += ROW * rows
        for flow in ("staging_read", "added"):
            self.events[flow] += BLOCK * rows if results is None else results

    def read_words(self, words: int) -> None:
        """Words of WGT are read."""
        self.events["wgt_words"] += words
        self.events["wgt_read"] += WORD * words

    def move_sums(self, conv: Convolution, rows: int) -> None:
        """Rows of ACC are read unless sums start from 0, and written unless they are complete."""
        for moves, flow in ((not conv.first, "acc_read"), (not conv.last, "acc_written")):
            if moves:
                self.events["acc_rows"] += rows
                self.events[flow] += BLOCK * rows

    def scale(self, conv: Convolution, results: int) -> None:
        """Complete sums go through the requantizers to staging, those of an addition twice."""
        self.events["requantised"] += results * (1 + (conv.operand_row is not None))
        self.events["par_read"] += ROW * results
        for flow in ("scaled", "staging_written"):
            self.events[flow] += results

    def read_operand_scale(self, conv: Convolution) -> None:
        """The addition's row of PAR, once for a convolution that has one."""
        if conv.last and conv.operand_row is not None:
            self.events["par_read"] += ROW

    def counted(self) -> Outcome:
        """With the counters that follow from its cycles and from what multipliers did."""
        self.events["cycles"] = self.cycles
        self.events["macs"] = self.slots["multiply"] + self.slots["padding"]
        self.events["real_macs"] = self.slots["multiply"]
        return self


@dataclass(frozen=True)
class ReductionStep:
    """A stage of a pass: its block and taps, and those of them that are fetched for it."""

    tile: int
    run: int
    index: int
    block: int
    taps: tuple[int, ...]
    fetched: tuple[int, ...]
    width: int

    @property
    def entries(self) -> int:
        """Room in the window; a stage that is passed over leaves a note of one entry."""
        return max(1, len(self.fetched) * self.width)


class ConvolutionWalk:
    """The order of everything: tiles, groups inside, stages inside."""

    def __init__(self, array: LaneGeometry, conv: Convolution, banks: int) -> None:
        self.array, self.conv, self.banks = array, conv, banks
        self.slots = array.lanes >> conv.mode
        self.groups = -(-len(conv.streams) // self.slots)
        size = array.pixels << conv.mode
        self.order = self._counted()
        self.tiles = [self.order[at : at + size] for at in range(0, len(self.order), size)]
        self.runs = len(self.tiles) * self.groups
        self.stages = list(self._stages())

    def _counted(self) -> list[int]:
        """The outputs in the order in which they are counted: row by row, or, where padding is
        passed over, each has a group and a column is soon fetched, so in one strip after another of
        columns that find the image at the same kernel columns."""
        (height, width), strips = self.conv.output, list[list[int]]()
        for column in range(width):
            if not strips or not self._alike(column - 1, column):
                strips.append([])
            strips[-1].append(column)
        group = self.array.pixels << self.conv.mode
        if any(len(strip) * height < group for strip in strips) or self._column_fetch(group) > 4:
            strips = [list(range(width))]
        return [
            row * width + column for strip in strips for row in range(height) for column in strip
        ]

    def _column_fetch(self, group: int) -> int:
        """Cycles to fetch a tap of a group of outputs that lie one above the other."""
        members = min(self.array.fetch_quads, 1 << self.conv.mode)
        fetched = self.array.pixels * members
        places = [self.place(0, n * self.conv.output[1]) for n in range(fetched)]
        rows = [(y * self.conv.row + x) % self.banks for y, x in places]
        return group // fetched * max(map(rows.count, rows))

    def _alike(self, one: int, other: int) -> bool:
        """Whether two columns of outputs find the image at the same columns of the kernel."""
        if not self.array.skip_padding:
            return True
        image = range(len(self.conv.image[0][0]))
        return all(
            (self.place(tap, one)[1] in image) == (self.place(tap, other)[1] in image)
            for tap in range(self.conv.kernel[1])
        )

    def _stages(self) -> Iterator[tuple[int, tuple[int, ...], int]]:
        channels, taps = len(self.conv.image), self.conv.kernel[0] * self.conv.kernel[1]
        together = 16 if self.array.kind == "pattern" else 1
        for first in range(0, channels, BLOCK):
            for tap in range(0, taps, together):
                yield (
                    first // BLOCK,
                    tuple(range(tap, min(tap + together, taps))),
                    min(BLOCK, channels - first),
                )

    def stream(self, run: int, slot: int) -> bytes | None:
        """The stream of a slot in a pass; None: the slot is unused."""
        n = run % self.groups * self.slots + slot
        return self.conv.streams[n] if n < len(self.conv.streams) else None

    def place(self, tap: int, output: int) -> tuple[int, int]:
        """The row and the column of the image that a tap of an output looks at."""
        conv = self.conv
        r, s = divmod(tap, conv.kernel[1])
        oy, ox = divmod(output, conv.output[1])
        return (
            conv.top + oy * conv.stride[0] + r * conv.dilation[0],
            conv.left + ox * conv.stride[1] + s * conv.dilation[1],
        )

    def inside(self, tap: int, output: int) -> bool:
        """Whether that is a place of the image and not padding."""
        y, x = self.place(tap, output)
        image = self.conv.image[0]
        return 0 <= y < len(image) and 0 <= x < len(image[0])

    def worked_taps(self, tile: int, taps: tuple[int, ...]) -> tuple[int, ...]:
        """Those of the taps that a tile works on: without those that are passed over."""
        if not self.array.skip_padding:
            return taps
        return tuple(tap for tap in taps if not self._in_padding(tile, tap))

    def _in_padding(self, tile: int, tap: int) -> bool:
        """Whether all of the tile's outputs have the tap's kernel row in padding, or its column."""
        height, width = len(self.conv.image[0]), len(self.conv.image[0][0])
        rows = {self.place(tap, n)[0] for n in self.tiles[tile]}
        columns = {self.place(tap, n)[1] for n in self.tiles[tile]}
        return not (rows & set(range(height)) and columns & set(range(width)))

    def quads(self, tile: int, together: int = 1) -> list[list[int]]:
        """The outputs of each quad of a tile, or of each so many quads that are fetched at once."""
        outputs, size = self.tiles[tile], self.array.pixels * together
        return [outputs[at : at + size] for at in range(0, len(outputs), size)]
