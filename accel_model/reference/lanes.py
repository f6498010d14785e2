"""The lane array clock by clock, with its numbers.

Written from docs/ARRAYS.md alone and sharing no code with the model in ``lanes.py`` or with
``formats``: every block of the hardware is an object that does one cycle's work in ``step`` and
shows it to the others in ``settle``, at the end of the clock. Bank conflicts, stalls and the length
of a drain are not computed; they happen, and each cycle of each lane is counted under what it was
spent on. Thousands of times slower than ``lanes.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import (
    BLOCK,
    ROW,
    Convolution,
    ConvolutionWalk,
    Outcome,
)
from zeroskip.accel_model.reference.fetch import FetchUnit, WindowBuffer
from zeroskip.accel_model.reference.filters import cycles_to_send
from zeroskip.accel_model.reference.streams import Weight, WeightReader
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry


class Lane:
    """Decodes its filter's stream and multiplies, one weight a cycle, for its own quad."""

    def __init__(
        self,
        plan: ConvolutionWalk,
        window: WindowBuffer,
        drain: Drain,
        slot: int,
        member: int,
        outcome: Outcome,
    ) -> None:
        self.plan, self.window, self.drain, self.outcome = plan, window, drain, outcome
        self.slot, self.member = slot, member
        self.run, self.index = 0, 0  # the stage to do next, or the one being done
        self.reader: WeightReader | None = None
        self.left: list[Weight] | None = None  # of the stage being done
        self.passing = 0  # kernels of it that are passed over
        self.values_left_out = 0  # of the stream, in this pass
        self.sums: dict[int, list[int]] = {}  # accumulator set (pass mod 2) -> sums of the quad
        self.waited = 0  # cycles that the next stage was not there
        self.complete = (0, 0)  # what the others see of (run, index)
        self._skip_unused()

    def _skip_unused(self) -> None:
        """A slot without a stream has nothing to do in a pass and holds nothing up."""
        while self.run < self.plan.runs and self.plan.stream(self.run, self.slot) is None:
            self.run += 1

    @property
    def outputs(self) -> list[int]:
        size = self.plan.array.pixels
        tile = self.plan.tiles[self.run // self.plan.groups]
        return tile[self.member * size : (self.member + 1) * size]

    def step(self) -> None:
        spent = self._work()
        if spent is not None:
            self.outcome.events[spent] += 1

    def _work(self) -> str | None:
        """Do a cycle's work; what the cycle was spent on, None if that shows later."""
        if self.run == self.plan.runs:
            return self.at_the_end
        if self.left is None:
            idle = self._idle()
            if idle is not None:
                return idle
            if (self.run, self.index) not in self.window.ready:
                self.waited += 1
                return None
            self._count_wait()
            if self.index == 0 and self.drain.complete < self.run - 1:
                return "drain_wait"
            self._start()
        assert self.left is not None
        if self.passing:
            self.passing -= 1
        elif self.left:
            self._multiply(self.left.pop(0))
        if not self.left and not self.passing:
            self._finish()
        return "lane_busy"

    @property
    def at_the_end(self) -> str:
        """What the cycles after a lane's last stage are spent on."""
        used = self.plan.stream(self.plan.runs - 1, self.slot) is not None
        return "drain_wait" if used else "unused"

    def _idle(self) -> str | None:
        """A pass without a stream lasts until its last stage has been fetched."""
        skipped = (
            self.index == 0 and self.run > 0 and (self.plan.stream(self.run - 1, self.slot) is None)
        )
        last = (self.run - 1, len(self.plan.stages) - 1)
        return "unused" if skipped and self.window.latest < last else None

    def _count_wait(self) -> None:
        """Had the fetch unit not stalled for room, the lane would have waited that much less."""
        stalled = min(self.waited, self.window.stalled[self.run, self.index])
        self.outcome.events["imbalance"] += stalled
        self.outcome.events["fetch_wait"] += self.waited - stalled
        self.waited = 0

    def _multiply(self, weight: Weight) -> None:
        values, outputs = self.window.values[self.run, self.index], self.outputs
        for i, n in enumerate(outputs):
            self.sums[self.run % 2][i] += weight.value * values[weight.tap, weight.channel, n]
        events = self.outcome.events
        if weight.value:
            tap = self.plan.stages[self.index][1][weight.tap]
            events["macs"] += len(outputs)
            events["real_macs"] += sum(self.plan.inside(tap, n) for n in outputs)
        # Lanes in step share one window, which slot 0 reads for all; others read their own.
        if self.slot == 0 if self.plan.array.kind == "dense" else weight.value:
            events["window_bytes"] += len(outputs)
            events["window_read"] += len(outputs)

    def _start(self) -> None:
        if self.index == 0:
            stream = self.plan.stream(self.run, self.slot)
            assert stream is not None
            self.reader = WeightReader(
                self.plan.array.kind,
                stream,
                self.plan.stages,
                self.plan.conv.table,
                self.plan.conv.weight_bytes,
            )
            self.sums[self.run % 2] = [0] * len(self.outputs)
            self.values_left_out = 0
            self._read_words(len(stream) // 4)
        assert self.reader is not None
        taps = self.plan.stages[self.index][1]
        worked = self.plan.worked_taps(self.run // self.plan.groups, taps)
        stored = self.reader.next_stage()
        self.left = [one for one in stored if taps[one.tap] in worked]
        left_out = [one for one in stored if taps[one.tap] not in worked]
        self.values_left_out += len(left_out)
        effectual = sum(one.value != 0 for one in left_out)
        self.outcome.events["passed_over"] += effectual * len(self.outputs)
        if self.plan.array.kind == "pattern":  # a kernel without any left takes a cycle
            kernels = {one.channel for one in stored} - {one.channel for one in self.left}
            self.passing = len(kernels)

    def _read_words(self, words: int) -> None:
        """The first of a gang reads words of the stream for all."""
        if self.member == 0:
            self.outcome.events["wgt_words"] += words
            self.outcome.events["wgt_read"] += 4 * words

    def _finish(self) -> None:
        self.left = None
        self.index += 1
        if self.index == len(self.plan.stages):
            self._read_words(-(self.values_left_out * self.plan.conv.weight_bytes // 4))
            self.run, self.index = self.run + 1, 0
            self._skip_unused()

    def settle(self) -> None:
        self.complete = (self.run, self.index)


class Drain:
    """Empties the accumulators of a pass: requantizes at last, or adds to the partial sums."""

    def __init__(self, plan: ConvolutionWalk, outcome: Outcome) -> None:
        self.plan, self.outcome = plan, outcome
        self.lanes: list[Lane] = []
        self.write_back: WriteBack | None = None
        self.run = 0
        self.cycles: list[list[tuple[int, int]]] | None = None  # (slot, output) of each cycle
        self.complete = 0  # passes drained, as the others see it

    def step(self) -> None:
        if self.run == self.plan.runs or (self.cycles is None and not self._start()):
            return
        assert self.cycles
        for slot, output in self.cycles.pop(0):
            self._take(slot, output)
        if not self.cycles:
            self.run, self.cycles = self.run + 1, None

    def _start(self) -> bool:
        if any(lane.complete < (self.run + 1, 0) for lane in self.lanes):
            return False
        tile, group = divmod(self.run, self.plan.groups)
        if self.write_back and group == 0 and self.write_back.complete < tile - 1:
            return False
        self.cycles = []
        width, outputs = self.plan.array.drain_width, self.plan.tiles[tile]
        for _output in outputs:
            self._count_sums(group)
        for at in range(0, len(outputs), self._together):
            for first in range(0, self.plan.slots, width):
                used = [
                    (slot, output)
                    for output in outputs[at : at + self._together]
                    for slot in range(first, min(first + width, self.plan.slots))
                    if self.plan.stream(self.run, slot) is not None
                ]
                self.cycles += self._ports(used)
        return True

    @property
    def _columns(self) -> int:
        """Of staging: one for each result that leaves in a cycle, and one for each of a row's."""
        return max(BLOCK, self.plan.array.drain_width)

    @property
    def _together(self) -> int:
        """Neighbouring outputs that are drained at once, where fewer filters are in flight than
        results may leave: as many as there are sixteens of columns at most."""
        width = self.plan.array.drain_width
        return min(self._columns // BLOCK, max(1, width // self.plan.slots))

    def _count_sums(self, group: int) -> None:
        """Rows of ACC that a group's sums of one output are read from and written to."""
        conv, slots = self.plan.conv, self.plan.slots
        used = min(slots, len(conv.streams) - group * slots)
        rows = -(-used // BLOCK)
        for moves, way in ((not conv.first, "acc_read"), (not conv.last, "acc_written")):
            if moves:
                self.outcome.events["acc_rows"] += rows
                self.outcome.events[way] += rows * BLOCK

    def _ports(self, sums: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """One result for each column of staging in a cycle at last; all at once otherwise."""
        if not self.plan.conv.last:
            return [sums] if sums else []
        cycles: list[list[tuple[int, int]]] = []
        while sums:
            by_column = {self._column(*one): one for one in reversed(sums)}
            cycles.append(list(by_column.values()))
            sums = [one for one in sums if one not in by_column.values()]
        return cycles

    def _column(self, slot: int, output: int) -> int:
        return (self._channel(slot) + BLOCK * self.plan.order.index(output)) % self._columns

    def _channel(self, slot: int) -> int:
        stream = self.plan.stream(self.run, slot)
        assert stream is not None
        return stream[0] + 256 * stream[1]

    def _take(self, slot: int, output: int) -> None:
        tile = self.plan.tiles[self.run // self.plan.groups]
        member, i = divmod(tile.index(output), self.plan.array.pixels)
        lane = self.lanes[(slot << self.plan.conv.mode) + member]
        self.outcome.sums[self._channel(slot), output] = lane.sums[self.run % 2][i]
        if self.plan.conv.last:
            events = self.outcome.events
            events["requantised"] += 1 + (self.plan.conv.operand_row is not None)
            events["scaled"] += 1
            events["par_read"] += ROW
            events["staging_written"] += 1

    def settle(self) -> None:
        self.complete = self.run


class WriteBack:
    """Writes finished tiles from staging to ACT, block by block: in a cycle the rows, 16 channels
    each, of one pixel, or of as many neighbours as there are sixteens of columns (and banks); where
    outputs are counted strip by strip, of two in one column of the image one after the other."""

    def __init__(self, plan: ConvolutionWalk, drain: Drain, banks: int, outcome: Outcome) -> None:
        self.plan, self.drain, self.banks, self.outcome = plan, drain, banks, outcome
        self.tile = 0
        self.left: list[int] = []  # rows that are written in each cycle
        self.complete = 0  # tiles written, as the others see it

    def step(self) -> None:
        if self.tile == len(self.plan.tiles):
            return
        if not self.left:
            if self.drain.complete < (self.tile + 1) * self.plan.groups:
                return
            self.left = self._cycles() * self.plan.conv.out_blocks
        moved = self.left.pop(0)
        self.outcome.events["act_rows"] += moved
        self.outcome.events["staging_read"] += BLOCK * moved
        self.outcome.events["act_written"] += ROW * moved
        self.outcome.events["added"] += ROW * moved
        if not self.left:
            self.tile += 1

    def _cycles(self) -> list[int]:
        """Rows of a block of the tile that are written in each cycle."""
        rows = min(self.banks, max(1, self.plan.array.drain_width // BLOCK))
        outputs, cycles = self.plan.tiles[self.tile], list[int]()
        for at in range(0, len(outputs), rows):
            waiting = [n % self.plan.conv.output[1] for n in outputs[at : at + rows]]
            while waiting:
                now = set(waiting) if self.plan.array.skip_padding else waiting
                cycles.append(len(now))
                for column in list(now):
                    waiting.remove(column)
        return cycles

    def settle(self) -> None:
        self.complete = self.tile


def free_stages(window: WindowBuffer, lanes: list[Lane]) -> None:
    """Free every stage that all lanes have gone beyond."""
    for step in window.held:
        if all((lane.run, lane.index) > (step.run, step.index) for lane in lanes):
            window.freed.append(step)


def step_conv(
    array: LaneGeometry,
    banks: int,
    conv: Convolution,
    send: Callable[[int], int] = lambda words: 0,
    limit: int = 1_000_000,
) -> Outcome:
    """Run a convolution; RuntimeError if it is not finished after ``limit`` cycles. send: cycles in
    which WGT sends so many words of streams, for which lanes wait at the end."""
    outcome = Outcome()
    plan, window = ConvolutionWalk(array, conv, banks), WindowBuffer(array.window_entries)
    drain = Drain(plan, outcome)
    lanes = [
        Lane(plan, window, drain, slot, member, outcome)
        for slot in range(plan.slots)
        for member in range(1 << conv.mode)
    ]
    drain.lanes = lanes
    write_back = WriteBack(plan, drain, banks, outcome) if conv.last else None
    drain.write_back = write_back
    fetch = FetchUnit(plan, window, banks, outcome)
    blocks: list[FetchUnit | Lane | Drain | WriteBack] = [fetch, *lanes, drain]
    if write_back:
        blocks.append(write_back)
    fetch.settle()
    while drain.run < plan.runs or (write_back and write_back.tile < len(plan.tiles)):
        for block in blocks:
            block.step()
        free_stages(window, lanes)
        window.settle()
        fetch.settle()
        for lane in lanes:
            lane.settle()
        drain.settle()
        if write_back:
            write_back.settle()
        outcome.cycles += 1
        if outcome.cycles > limit:
            raise RuntimeError(f"the array is not finished after {limit} cycles")
    left = max(0, send(outcome.events["wgt_words"]) - outcome.cycles) + array.pipeline_cycles
    outcome.cycles += left
    for lane in lanes:
        outcome.events[lane.at_the_end] += left
    if conv.last and conv.operand_row is not None:
        outcome.events["par_read"] += ROW
    outcome.events["cycles"] = outcome.cycles
    return outcome


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on the target's lanes."""
    array = cast("LaneGeometry", spec.array)
    outcome = step_conv(array, spec.sram.act_banks, conv, partial(cycles_to_send, spec))
    for slot, counted in (
        ("imbalance", "imbalance"),
        ("drain", "drain_wait"),
        ("unused", "unused"),
    ):
        outcome.slots[slot] = outcome.events[counted] * array.pixels
    return outcome
