"""Instructions that treat channels alike, clock by clock: depthwise, pools, additions and
multiplications."""

from __future__ import annotations

from dataclasses import dataclass

from zeroskip.accel_model.reference.convolution import BLOCK, ROW, Outcome
from zeroskip.accel_model.reference.filters import stream_rate
from zeroskip.accel_model.reference.rows import RowWork, rows_of, step_rows, strip_width
from zeroskip.accel_model.spec import AccelSpec

WORD = 4  # bytes of a weight stream


@dataclass(frozen=True)
class Channelwise:
    """An instruction on ``channels`` channels of one tile of ``size`` rows and columns.

    row: ACT rows from one image row of the input to the next. operand_row: the same of a second
    operand, None without one; operand_step: from pixel to pixel, 0 where one serves a whole row of
    the image and a quad fetches it once. weights: of each channel its taps, None for pools and
    additions. words: of all its weight streams. requantized: whether results are scaled.
    """

    channels: int
    size: tuple[int, int]
    row: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int
    output: tuple[int, int]
    operand_row: int | None = None
    operand_step: int = 1
    weights: list[list[int]] | None = None
    words: int = 0
    requantised: bool = False

    @property
    def by_rows(self) -> RowWork:
        """What row registers have to know of it."""
        return RowWork(
            self.channels,
            self.kernel,
            self.stride,
            self.dilation,
            self.output,
            operand=self.operand_row is not None,
            weighted=self.weights is not None,
        )

    @property
    def scaled(self) -> bool:
        """Whether results come from sums, and not from the addition alone."""
        return self.requantised and (self.weights is not None or self.operand_row is None)

    def reads(self, quad: range) -> list[list[int]]:
        """Rows of ACT, relative to the block's first, that each fetch of a quad reads."""
        fetches = [
            [self._place(r, s, n) for n in quad]
            for r in range(self.kernel[0])
            for s in range(self.kernel[1])
        ]
        if self.operand_row is not None:
            rows = [n // self.output[1] * self.operand_row for n in quad]
            if self.operand_step:
                rows = [row + n % self.output[1] for row, n in zip(rows, quad, strict=True)]
            else:
                rows = sorted(set(rows))
            fetches.append(rows)
        return fetches

    def inside(self, tap: int, n: int) -> bool:
        """Whether a tap of an output lies in the tile and not in padding."""
        place = self._at(*divmod(tap, self.kernel[1]), n)
        return all(0 <= at < size for at, size in zip(place, self.size, strict=True))

    def _place(self, r: int, s: int, n: int) -> int:
        y, x = self._at(r, s, n)
        return y * self.row + x

    def _at(self, r: int, s: int, n: int) -> tuple[int, int]:
        oy, ox = divmod(n, self.output[1])
        return (
            self.top + oy * self.stride[0] + r * self.dilation[0],
            self.left + ox * self.stride[1] + s * self.dilation[1],
        )


def step_channels(spec: AccelSpec, work: Channelwise) -> Outcome:
    """By row registers where these serve the instruction, else tap by tap; then the pipeline, and
    what WGT has still to send."""
    outcome = Outcome()
    outputs, events, array = work.output[0] * work.output[1], outcome.events, spec.array
    quads = [range(at, min(at + array.pixels, outputs)) for at in range(0, outputs, array.pixels)]
    rows, by_rows = rows_of(spec), work.by_rows
    if rows is not None and strip_width(rows, by_rows):
        step_rows(spec, rows, by_rows, outcome)
        times_read = 1
    else:
        written = spec.kind.datapath(spec).rows
        _step_taps(work, quads, spec.sram.act_banks, written, outcome)
        times_read = len(quads)
    for first in range(0, work.channels, BLOCK):
        width = min(BLOCK, work.channels - first)
        for quad in quads:
            _count_results(work, first, width, quad, outcome)
    events["wgt_words"] += work.words * times_read
    events["wgt_read"] += WORD * work.words * times_read
    if work.requantised and (work.weights is None or work.operand_row is not None):
        events["par_read"] += ROW  # one for all channels
    outcome.cycles += array.pipeline_cycles
    rate = stream_rate(spec)
    while rate * outcome.cycles < events["wgt_read"]:
        outcome.cycles += 1
    events["cycles"] = outcome.cycles
    return outcome


def _count_results(
    work: Channelwise, first: int, width: int, quad: range, outcome: Outcome
) -> None:
    """What the results of some outputs of a block take, and the multiplies that they are of."""
    events = outcome.events
    scalings = work.requantised * (1 + (work.operand_row is not None and work.weights is not None))
    events["requantised"] += scalings * width * len(quad)
    if work.scaled:
        events["scaled"] += width * len(quad)
    if work.weights is None:
        return
    events["par_read"] += ROW * width * len(quad)
    for taps in work.weights[first : first + width]:
        held = [tap for tap, weight in enumerate(taps) if weight != 0]
        events["macs"] += len(held) * len(quad)
        events["multiplies"] += len(held) * len(quad)
        events["real_macs"] += sum(work.inside(tap, n) for tap in held for n in quad)


def _step_taps(
    work: Channelwise, quads: list[range], banks: int, written: int, outcome: Outcome
) -> None:
    """Block by block, quad by quad: all taps are fetched, and the quad's rows written meanwhile."""
    for _ in range(0, work.channels, BLOCK):
        for quad in quads:
            outcome.cycles += _step_quad(work.reads(quad), len(quad), banks, written, outcome)
    for _ in range(0, len(quads[-1]), written):  # the last quad's rows leave after it
        outcome.cycles += 1


def _step_quad(
    fetches: list[list[int]], left: int, banks: int, at_once: int, outcome: Outcome
) -> int:
    """Cycles until the quad's rows have been read and as many could be written."""
    cycles = 0
    waiting: list[int] = []
    while fetches or waiting or left:
        if not waiting and fetches:
            rows = fetches.pop(0)
            outcome.events["act_rows"] += len(rows)
            outcome.events["act_fetched"] += ROW * len(rows)
            waiting = [row % banks for row in rows]
        for bank in set(waiting):
            waiting.remove(bank)
        moved = min(at_once, left)
        left -= moved
        outcome.events["act_rows"] += moved
        outcome.events["act_written"] += ROW * moved
        outcome.events["added"] += ROW * moved
        cycles += 1
    return cycles
