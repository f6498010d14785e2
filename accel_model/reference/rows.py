"""Row registers clock by clock: depthwise convolutions and pools that fetch a row of pixels once.

Written from docs/ARRAYS.md, "Row registers", and sharing no code with ``timing/row_unit.py``.
Four units step: fetch, multipliers, write-back and the filling of weight row buffers. What one has
finished in a clock the others see in the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zeroskip.accel_model.reference.convolution import BLOCK, ROW, Outcome
from zeroskip.accel_model.reference.filters import row_of_wgt
from zeroskip.accel_model.spec import AccelSpec

WORD = 4  # bytes of a weight stream
BUFFERS = 2  # row registers, operand registers and weight row buffers of a channel


@dataclass(frozen=True)
class Rows:
    """The row registers of a target and the work that is put on them.

    multipliers: of a channel. held: pixels of a register. fetched: pixels that a fetch brings.
    written: rows written back in a cycle. kernel: weights of a channel that weight row buffers
    hold.
    """

    multipliers: int
    held: int
    fetched: int
    written: int
    kernel: int


def rows_of(spec: AccelSpec) -> Rows | None:
    """The row registers that a target has."""
    array = spec.array
    held = getattr(array, "row_pixels", 0)
    if not held:
        return None
    lanes = array.macs // array.pixels // BLOCK  # of a channel
    return Rows(
        multipliers=array.macs // BLOCK,
        held=held,
        fetched=array.pixels,
        written=min(max(1, getattr(array, "drain_width", BLOCK) // BLOCK), spec.sram.act_banks),
        kernel=lanes * row_of_wgt(spec) // spec.storage.weight_bytes,
    )


@dataclass(frozen=True)
class RowWork:
    """An instruction: see ``channels.Channelwise``, of which these are fields."""

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]
    operand: bool
    weighted: bool

    @property
    def reach(self) -> int:
        """Pixels from the first tap of a kernel row to the last."""
        return 1 + self.dilation[1] * (self.kernel[1] - 1)

    def looked(self, outputs: int) -> int:
        """Pixels that neighbouring outputs look at in an image row."""
        return self.reach + self.stride[1] * (outputs - 1)


def _group(work: RowWork) -> int:
    """Multipliers of an output: one for each tap of a kernel row, and enough for two accumulators
    each to hold the sums of all rows of outputs that an image row may be in, and of one more."""
    tall = 1 + work.dilation[0] * (work.kernel[0] - 1)
    begun = sum(1 for row in range(work.output[0]) if row * work.stride[0] < tall)
    group = work.kernel[1]
    while 2 * group < begun + 1:
        group += 1
    return group


def strip_width(rows: Rows | None, work: RowWork) -> int:
    """Outputs in a row of a strip; 0: row registers do not serve this instruction."""
    if rows is None or work.kernel == (1, 1) or work.kernel[1] > rows.multipliers:
        return 0
    padded = 1  # weights of a kernel row in the buffers
    while padded < work.kernel[1]:
        padded *= 2
    if work.weighted and padded * work.kernel[0] > rows.kernel:
        return 0
    group, width = _group(work), 0
    while (
        width < work.output[1]
        and (width + 1) * group <= rows.multipliers
        and work.looked(width + 1) <= rows.held
    ):
        width += 1
    fetches = -(-work.looked(width) // rows.fetched)
    products = width * work.kernel[1]
    fewer = products < min(rows.fetched, work.output[0] * work.output[1])
    return width if width and fetches <= -(-products // rows.fetched) and not fewer else 0


@dataclass
class ImageRow:
    """A row of a strip's inputs, and what is made of it.

    pixels: that are fetched. operand: pixels of a second operand. uses: (row of outputs, kernel
    row). starts, ends: the row of outputs, counted over the instruction, that it is the first or
    the last for.
    """

    block: int
    outputs: range
    pixels: int
    operand: int
    uses: list[tuple[int, int]]
    starts: int | None = None
    ends: int | None = None


def _image_rows(work: RowWork, width: int) -> Iterator[ImageRow]:
    begun = complete = 0
    high, wide = work.output
    for block in range(-(-work.channels // BLOCK)):
        for left in range(0, wide, width):
            outputs = range(left, min(left + width, wide))
            last = work.stride[0] * (high - 1) + work.dilation[0] * (work.kernel[0] - 1)
            for y in range(last + 1):
                uses = [
                    (oy, r)
                    for r in reversed(range(work.kernel[0]))
                    for oy in [(y - r * work.dilation[0]) // work.stride[0]]
                    if 0 <= oy < high and oy * work.stride[0] + r * work.dilation[0] == y
                ]
                if not uses:
                    continue
                made = ImageRow(block, outputs, work.looked(len(outputs)), 0, uses)
                if any(r == 0 for _, r in uses):
                    made.starts, begun = begun, begun + 1
                if any(r == work.kernel[0] - 1 for _, r in uses):
                    made.ends, complete = complete, complete + 1
                    made.operand = len(outputs) * work.operand
                yield made


@dataclass
class RowMachine:
    """All that steps. Counters of what is finished are (as the others see it, now)."""

    rows: Rows
    work: RowWork
    banks: int
    words: int  # of a channel's stream, counted in pairs where weights have 16 bits
    todo: list[ImageRow]
    outcome: Outcome
    fetched: int = 0
    multiplied: int = 0
    written: int = 0
    filled: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    waiting: list[list[int]] = field(default_factory=list)  # groups of banks of the row in fetch
    fetching: bool = False
    uses: list[tuple[int, int]] = field(default_factory=list)
    words_left: int = 0
    rows_left: int = 0

    def run(self) -> None:
        outputs = [at for at, row in enumerate(self.todo) if row.ends is not None]
        while self.written < len(outputs):
            self.seen = {
                name: getattr(self, name) for name in ("fetched", "multiplied", "written", "filled")
            }
            self._fetch()
            self._multiply()
            self._write(outputs)
            self._fill()
            self.outcome.cycles += 1

    def _fetch(self) -> None:
        if self.fetched == len(self.todo):
            return
        row = self.todo[self.fetched]
        if not self.fetching:
            if self.fetched - self.seen["multiplied"] >= BUFFERS:
                return
            if row.operand and row.ends is not None and row.ends - self.seen["written"] >= BUFFERS:
                return
            assert row.pixels <= self.rows.held
            self.waiting = [
                [pixel % self.banks for pixel in range(first, min(first + self.rows.fetched, size))]
                for size in (row.pixels, row.operand)
                for first in range(0, size, self.rows.fetched)
            ]
            self.fetching = True
            self.outcome.events["act_rows"] += row.pixels + row.operand
            self.outcome.events["act_fetched"] += ROW * (row.pixels + row.operand)
            for counter in ("row_bytes", "row_written"):
                self.outcome.events[counter] += ROW * (row.pixels + row.operand)
        for bank in set(self.waiting[0]):
            self.waiting[0].remove(bank)
        if not self.waiting[0]:
            self.waiting.pop(0)
        if not self.waiting:
            self.fetched, self.fetching = self.fetched + 1, False

    def _multiply(self) -> None:
        if self.multiplied == len(self.todo):
            return
        row = self.todo[self.multiplied]
        if not self.uses:
            if self.seen["fetched"] <= self.multiplied or self.seen["filled"] <= row.block:
                return
            places = 2 * _group(self.work)
            if row.starts is not None and row.starts - self.seen["written"] >= places:
                return
            self.uses = list(row.uses)
        assert len(row.outputs) * self.work.kernel[1] <= self.rows.multipliers
        self.uses.pop(0)
        width = min(BLOCK, self.work.channels - BLOCK * row.block)
        for counter in ("row_bytes", "row_read"):
            self.outcome.events[counter] += width * len(row.outputs) * self.work.kernel[1]
        if not self.uses:
            self.multiplied += 1

    def _write(self, outputs: list[int]) -> None:
        """outputs: of each row of outputs, the image row that it ends with."""
        row = self.todo[outputs[self.written]]
        if not self.rows_left:
            if self.seen["multiplied"] <= outputs[self.written]:
                return
            self.rows_left = len(row.outputs)
        moved = min(self.rows.written, self.rows_left)
        self.rows_left -= moved
        for _ in range(moved):
            self.outcome.events["act_rows"] += 1
            self.outcome.events["act_written"] += ROW
            self.outcome.events["added"] += ROW
        if not self.rows_left:
            width = min(BLOCK, self.work.channels - BLOCK * row.block)
            for counter in ("row_bytes", "row_read"):
                self.outcome.events[counter] += width * row.operand
            self.written += 1

    def _fill(self) -> None:
        """A block's buffers are free once the block before the last is multiplied."""
        blocks = 1 + self.todo[-1].block
        if self.filled == blocks:
            return
        if not self.words_left:
            done = self.seen["multiplied"]
            busy = self.todo[done].block if done < len(self.todo) else blocks
            if self.filled - busy >= BUFFERS:
                return
            self.words_left = self.words
        self.words_left -= 1
        if not self.words_left:
            self.filled += 1


def step_rows(spec: AccelSpec, rows: Rows, work: RowWork, outcome: Outcome) -> None:
    """Step until the last row is written; counts cycles, rows of ACT and bytes of registers."""
    width = strip_width(rows, work)
    taps, wide = work.kernel[0] * work.kernel[1], spec.storage.weight_bytes
    machine = RowMachine(
        rows,
        work,
        spec.sram.act_banks,
        -(-(1 + -(-taps * wide // WORD)) // wide),
        list(_image_rows(work, width)),
        outcome,
    )
    if not work.weighted:
        machine.filled = 1 + machine.todo[-1].block
    machine.run()
