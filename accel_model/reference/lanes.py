"""The lane array clock by clock, with its numbers.

Written from docs/ARRAYS.md alone and sharing no code with the model in ``lanes.py`` or with
``formats``: every block of the hardware is an object that does one cycle's work in ``step`` and
shows it to the others in ``settle``, at the end of the clock. Bank conflicts, stalls and the length
of a drain are not computed; they happen. Thousands of times slower than ``lanes.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zeroskip.accel_model.reference.streams import Reader, Table, Weight
from zeroskip.accel_model.spec import Array

BLOCK = 16


@dataclass(frozen=True)
class Convolution:
    """A convolution of one tile.

    image[c][y][x] are the input values, zero point already subtracted; ``row`` is the ACT rows from
    one image row to the next. streams: one packed stream for each filter. operand_row: rows from
    one image row of the residual operand to the next, None without one.
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
    table: Table | None
    gang: int
    last: bool
    out_blocks: int
    operand_row: int | None = None


@dataclass
class Outcome:
    """Cycles, and the sum of each (output channel, output pixel)."""

    cycles: int = 0
    sums: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A stage of a pass: which block and taps are fetched for it."""

    tile: int
    run: int
    index: int
    block: int
    taps: tuple[int, ...]
    width: int

    @property
    def entries(self) -> int:
        return len(self.taps) * self.width


class Plan:
    """The order of everything: tiles, groups inside, stages inside."""

    def __init__(self, array: Array, conv: Convolution) -> None:
        self.array, self.conv = array, conv
        self.slots = array.lanes >> conv.gang
        self.groups = -(-len(conv.streams) // self.slots)
        outputs = conv.output[0] * conv.output[1]
        size = array.pixels << conv.gang
        self.tiles = [range(at, min(at + size, outputs)) for at in range(0, outputs, size)]
        self.runs = len(self.tiles) * self.groups
        self.stages = list(self._stages())

    def _stages(self) -> Iterator[tuple[int, tuple[int, ...], int]]:
        channels, taps = len(self.conv.image), self.conv.kernel[0] * self.conv.kernel[1]
        together = 16 if self.array.kind == "pattern" else 1
        for first in range(0, channels, BLOCK):
            for tap in range(0, taps, together):
                yield (first // BLOCK, tuple(range(tap, min(tap + together, taps))),
                       min(BLOCK, channels - first))

    def stream(self, run: int, slot: int) -> bytes | None:
        """The stream of a slot in a pass; None: the slot is unused."""
        n = run % self.groups * self.slots + slot
        return self.conv.streams[n] if n < len(self.conv.streams) else None

    def quads(self, tile: int) -> list[range]:
        """The outputs of each quad of a tile."""
        outputs, size = self.tiles[tile], self.array.pixels
        return [outputs[at : at + size] for at in range(0, len(outputs), size)]


class Window:
    """What has been fetched and not yet freed. Every lane holds its own copy of it."""

    def __init__(self, entries: int) -> None:
        self.size = entries
        self.held: list[Step] = []  # written or being written, and not yet freed
        self.values: dict[tuple[int, int], dict[tuple[int, int, int], int]] = {}
        self.ready: set[tuple[int, int]] = set()
        self.arrived: list[Step] = []
        self.freed: list[Step] = []

    def has_room(self, step: Step) -> bool:
        return sum(each.entries for each in self.held) + step.entries <= self.size

    def begin(self, step: Step) -> None:
        self.held.append(step)
        self.values[step.run, step.index] = {}

    def settle(self) -> None:
        for step in self.arrived:
            self.ready.add((step.run, step.index))
        for step in self.freed:
            self.held.remove(step)
            self.ready.discard((step.run, step.index))
            del self.values[step.run, step.index]
        self.arrived, self.freed = [], []


class FetchUnit:
    """Reads quads of ACT rows, one row of each bank in a cycle, and writes them to the windows."""

    def __init__(self, plan: Plan, window: Window, banks: int) -> None:
        self.plan, self.window, self.banks = plan, window, banks
        self.todo = self._reads()
        self.now = next(self.todo, None)
        self.waiting: list[int] = []  # bank of each row that the current quad still needs

    def _reads(self) -> Iterator[tuple[Step | None, int, range, bool, bool]]:
        """(stage or None for the operand, tap or block, quad, stage's first, stage's last)."""
        plan = self.plan
        for tile in range(len(plan.tiles)):
            quads = plan.quads(tile)
            if plan.conv.operand_row is not None:
                for block in range(plan.conv.out_blocks):
                    for quad in quads:
                        yield None, block, quad, False, False
            for group in range(plan.groups):
                for index, (block, taps, width) in enumerate(plan.stages):
                    step = Step(tile, tile * plan.groups + group, index, block, taps, width)
                    reads = [(tap, quad) for tap in taps for quad in quads]
                    for n, (tap, quad) in enumerate(reads):
                        yield step, tap, quad, n == 0, n == len(reads) - 1

    def step(self) -> None:
        if self.now is None:
            return
        step, tap, quad, first, last = self.now
        if not self.waiting:
            if step is not None and first:
                if not self.window.has_room(step):
                    return
                self.window.begin(step)
            self.waiting = [self._address(step, tap, n) % self.banks for n in quad]
        for bank in set(self.waiting):
            self.waiting.remove(bank)
        if self.waiting:
            return
        if step is not None:
            self._deliver(step, tap, quad)
            if last:
                self.window.arrived.append(step)
        self.now = next(self.todo, None)

    def _address(self, step: Step | None, tap: int, output: int) -> int:
        conv = self.plan.conv
        if step is None:
            assert conv.operand_row is not None
            return output // conv.output[1] * conv.operand_row + output % conv.output[1]
        y, x = self._place(tap, output)
        return y * conv.row + x

    def _place(self, tap: int, output: int) -> tuple[int, int]:
        conv = self.plan.conv
        r, s = divmod(tap, conv.kernel[1])
        oy, ox = divmod(output, conv.output[1])
        return (conv.top + oy * conv.stride[0] + r * conv.dilation[0],
                conv.left + ox * conv.stride[1] + s * conv.dilation[1])

    def _deliver(self, step: Step, tap: int, quad: range) -> None:
        image = self.plan.conv.image
        values = self.window.values[step.run, step.index]
        for n in quad:
            y, x = self._place(tap, n)
            inside = 0 <= y < len(image[0]) and 0 <= x < len(image[0][0])
            for c in range(step.width):
                value = image[BLOCK * step.block + c][y][x] if inside else 0
                values[tap - step.taps[0], c, n] = value


class Lane:
    """Decodes its filter's stream and multiplies, one weight a cycle, for its own quad."""

    def __init__(self, plan: Plan, window: Window, drain: Drain, slot: int, member: int) -> None:
        self.plan, self.window, self.drain = plan, window, drain
        self.slot, self.member = slot, member
        self.run, self.index = 0, 0  # the stage to do next, or the one being done
        self.reader: Reader | None = None
        self.left: list[Weight] | None = None  # of the stage being done
        self.sums: dict[int, list[int]] = {}  # accumulator set (pass mod 2) -> sums of the quad
        self.complete = (0, 0)  # what the others see of (run, index)
        self._skip_unused()

    def _skip_unused(self) -> None:
        """A slot without a stream has nothing to do in a pass and holds nothing up."""
        while self.run < self.plan.runs and self.plan.stream(self.run, self.slot) is None:
            self.run += 1

    @property
    def outputs(self) -> range:
        size = self.plan.array.pixels
        tile = self.plan.tiles[self.run // self.plan.groups]
        return tile[self.member * size : (self.member + 1) * size]

    def step(self) -> None:
        if self.run == self.plan.runs:
            return
        if self.left is None and not self._start():
            return
        assert self.left is not None
        if self.left:
            weight = self.left.pop(0)
            values = self.window.values[self.run, self.index]
            for i, n in enumerate(self.outputs):
                self.sums[self.run % 2][i] += weight.value * values[weight.tap, weight.channel, n]
        if not self.left:
            self._finish()

    def _start(self) -> bool:
        if (self.run, self.index) not in self.window.ready:
            return False
        if self.index == 0:
            if self.drain.complete < self.run - 1:
                return False
            stream = self.plan.stream(self.run, self.slot)
            assert stream is not None
            self.reader = Reader(self.plan.array.kind, stream, self.plan.stages,
                                 self.plan.conv.table)
            self.sums[self.run % 2] = [0] * len(self.outputs)
        assert self.reader is not None
        self.left = self.reader.next_stage()
        return True

    def _finish(self) -> None:
        self.left = None
        self.index += 1
        if self.index == len(self.plan.stages):
            self.run, self.index = self.run + 1, 0
            self._skip_unused()

    def settle(self) -> None:
        self.complete = (self.run, self.index)


class Drain:
    """Empties the accumulators of a pass: requantises at last, or adds to the partial sums."""

    def __init__(self, plan: Plan, outcome: Outcome) -> None:
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
        width = self.plan.array.drain_width
        for output in self.plan.tiles[tile]:
            for first in range(0, self.plan.slots, width):
                used = [slot for slot in range(first, min(first + width, self.plan.slots))
                        if self.plan.stream(self.run, slot) is not None]
                self.cycles += self._ports(used, output)
        return True

    def _ports(self, slots: list[int], output: int) -> list[list[tuple[int, int]]]:
        """One output of each byte of a row in a cycle at last; all at once otherwise."""
        if not self.plan.conv.last:
            return [[(slot, output) for slot in slots]] if slots else []
        cycles: list[list[tuple[int, int]]] = []
        while slots:
            by_byte = {self._channel(slot) % BLOCK: slot for slot in reversed(slots)}
            cycles.append([(slot, output) for slot in by_byte.values()])
            slots = [slot for slot in slots if slot not in by_byte.values()]
        return cycles

    def _channel(self, slot: int) -> int:
        stream = self.plan.stream(self.run, slot)
        assert stream is not None
        return stream[0] + 256 * stream[1]

    def _take(self, slot: int, output: int) -> None:
        tile = self.plan.tiles[self.run // self.plan.groups]
        member, i = divmod(output - tile[0], self.plan.array.pixels)
        lane = self.lanes[(slot << self.plan.conv.gang) + member]
        self.outcome.sums[self._channel(slot), output] = lane.sums[self.run % 2][i]

    def settle(self) -> None:
        self.complete = self.run


class WriteBack:
    """Writes finished tiles from staging to ACT, a row of 16 channels of one pixel a cycle."""

    def __init__(self, plan: Plan, drain: Drain) -> None:
        self.plan, self.drain = plan, drain
        self.tile, self.rows_left = 0, 0
        self.complete = 0  # tiles written, as the others see it

    def step(self) -> None:
        if self.tile == len(self.plan.tiles):
            return
        if not self.rows_left:
            if self.drain.complete < (self.tile + 1) * self.plan.groups:
                return
            self.rows_left = len(self.plan.tiles[self.tile]) * self.plan.conv.out_blocks
        self.rows_left -= 1
        if not self.rows_left:
            self.tile += 1

    def settle(self) -> None:
        self.complete = self.tile


def free_stages(window: Window, lanes: list[Lane]) -> None:
    """Free every stage that all lanes have gone beyond."""
    for step in window.held:
        if all((lane.run, lane.index) > (step.run, step.index) for lane in lanes):
            window.freed.append(step)


def step_conv(array: Array, banks: int, conv: Convolution, limit: int = 1_000_000) -> Outcome:
    """Run a convolution; RuntimeError if it is not finished after ``limit`` cycles."""
    outcome = Outcome()
    plan, window = Plan(array, conv), Window(array.window_entries)
    drain = Drain(plan, outcome)
    lanes = [Lane(plan, window, drain, slot, member)
             for slot in range(plan.slots) for member in range(1 << conv.gang)]
    drain.lanes = lanes
    write_back = WriteBack(plan, drain) if conv.last else None
    drain.write_back = write_back
    fetch = FetchUnit(plan, window, banks)
    blocks: list[FetchUnit | Lane | Drain | WriteBack] = [fetch, *lanes, drain]
    if write_back:
        blocks.append(write_back)
    while drain.run < plan.runs or (write_back and write_back.tile < len(plan.tiles)):
        for block in blocks:
            block.step()
        free_stages(window, lanes)
        window.settle()
        for lane in lanes:
            lane.settle()
        drain.settle()
        if write_back:
            write_back.settle()
        outcome.cycles += 1
        if outcome.cycles > limit:
            raise RuntimeError(f"the array is not finished after {limit} cycles")
    outcome.cycles += array.pipeline_cycles
    return outcome
