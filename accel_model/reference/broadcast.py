"""Arrays that broadcast activations to units, clock by clock, with their numbers.

Written from the formal rules of docs/ARRAYS.md. What a stage is and what a unit does in each cycle
of it comes from the kinds (``kang``, ``cambricon_x``) as a ``broadcast_design.Design``; here are
the fetch unit, the window, the units' waiting, the drain and the write-back. Bank conflicts and
stalls are not computed: they happen, and every multiplier of every unit is counted under what it
does in each clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from zeroskip.accel_model.reference.broadcast_design import BroadcastRow, Cycle, Design
from zeroskip.accel_model.reference.convolution import BLOCK, Outcome


class BroadcastMachine:
    """The array: its blocks do a clock's work one by one and show it at the end of the clock."""

    def __init__(self, design: Design, banks: int) -> None:
        self.design, self.conv, self.banks = design, design.conv, banks
        self.outcome = Outcome()
        self.events, self.spent = self.outcome.events, self.outcome.slots
        outputs = self.conv.output[0] * self.conv.output[1]
        self.tiles = [
            range(at, min(at + design.tile, outputs)) for at in range(0, outputs, design.tile)
        ]
        self.groups = -(-len(self.conv.streams) // design.slots)
        self.stages = design.stages()
        self.passes = len(self.tiles) * self.groups
        self.window: dict[
            tuple[int, int], dict[tuple[BroadcastRow, int, int], tuple[int, bool]]
        ] = {}
        self.held: list[tuple[int, int]] = []
        self.ready: set[tuple[int, int]] = set()
        self.latest = (-1, 0)
        self.stalled: Counter[tuple[int, int]] = Counter()
        self.fetch_clocks, self.fetches = 0, 0

    def stream(self, number: int, slot: int) -> bytes | None:
        n = number % self.groups * self.design.slots + slot
        return self.conv.streams[n] if n < len(self.conv.streams) else None

    def input_at(self, row: BroadcastRow, channel: int, output: int) -> tuple[int, bool]:
        y, x = self.position(row.tap, output)
        image = self.conv.image
        real = 0 <= y < len(image[0]) and 0 <= x < len(image[0][0])
        return (image[BLOCK * row.block + channel][y][x] if real else 0), real

    def position(self, tap: int, output: int) -> tuple[int, int]:
        conv = self.conv
        r, s = divmod(tap, conv.kernel[1])
        oy, ox = divmod(output, conv.output[1])
        return (
            conv.top + oy * conv.stride[0] + r * conv.dilation[0],
            conv.left + ox * conv.stride[1] + s * conv.dilation[1],
        )

    def run(self, sent: int = 0, limit: int = 1_000_000) -> Outcome:
        """sent: when WGT has sent all streams, for which units wait at the end; RuntimeError if
        the array is not finished after ``limit`` cycles."""
        design = self.design
        units = [
            BroadcastUnit(self, slot, m)
            for slot in range(design.slots)
            for m in range(design.members)
        ]
        drain = BroadcastDrain(self, units)
        for unit in units:
            unit.drain = drain
        write_back = BroadcastWriteBack(self, drain) if self.conv.last else None
        drain.write_back = write_back
        fetch = Fetch(self)
        while drain.number < self.passes or (write_back and write_back.tile < len(self.tiles)):
            fetch.step()
            for unit in units:
                unit.step()
            drain.step()
            if write_back:
                write_back.step()
            self._free(units)
            fetch.settle()
            for unit in units:
                unit.settle()
            drain.settle()
            if write_back:
                write_back.settle()
            self.outcome.cycles += 1
            if self.outcome.cycles > limit:
                raise RuntimeError(f"the array is not finished after {limit} cycles")
        for _ in range(max(0, sent - self.outcome.cycles) + design.pipeline_cycles):
            self.outcome.cycles += 1
            for unit in units:
                self.spent[unit.at_the_end] += design.multipliers
        self._share_conflicts()
        self.outcome.read_operand_scale(self.conv)
        return self.outcome

    def _free(self, units: list[BroadcastUnit]) -> None:
        for stage in list(self.held):
            if any((unit.number, unit.index) <= stage for unit in units):
                break
            self.held.remove(stage)
            self.ready.discard(stage)
            del self.window[stage]

    def _share_conflicts(self) -> None:
        """Waits for the fetch unit are put down to conflicts as far as its own clocks are."""
        waited = self.spent["fetch"]
        lost = waited * (self.fetch_clocks - self.fetches) // self.fetch_clocks
        self.spent["fetch"] -= lost
        self.spent["conflicts"] += lost


class Fetch:
    """Reads rows of ACT, one of each bank a clock, and fills the window stage by stage."""

    def __init__(self, machine: BroadcastMachine) -> None:
        self.machine = machine
        self.todo = self._jobs()
        self.job = next(self.todo, None)
        self.banks: list[int] = []
        self.arrived: list[tuple[int, int]] = []

    def _jobs(
        self,
    ) -> Iterator[tuple[tuple[int, int] | None, list[BroadcastRow], range, bool, bool]]:
        """(stage, None for the operand; rows; quad; stage's first; stage's last)."""
        machine, design = self.machine, self.machine.design
        for t, tile in enumerate(machine.tiles):
            quads = [tile[at : at + design.quad] for at in range(0, len(tile), design.quad)]
            if machine.conv.operand_row is not None:
                for block in range(machine.conv.out_blocks):
                    for quad in quads:
                        yield None, [BroadcastRow(block, 0, BLOCK, 0)], quad, False, False
            for group in range(machine.groups):
                for index, stage in enumerate(machine.stages):
                    reads = [(rows, quad) for rows in design.reads(stage) for quad in quads]
                    for n, (rows, quad) in enumerate(reads):
                        key = t * machine.groups + group, index
                        yield key, rows, quad, n == 0, n == len(reads) - 1

    def step(self) -> None:
        if self.job is None:
            return
        machine = self.machine
        key, rows, quad, first, last = self.job
        if not self.banks:
            if key is not None and first and not self._begin(key):
                return
            machine.outcome.fetch(len(rows) * len(quad))
            machine.fetches += 1
            self.banks = [self._bank(key, rows[0], n) for n in quad]
        machine.fetch_clocks += 1
        for bank in set(self.banks):
            self.banks.remove(bank)
        if self.banks:
            return
        if key is not None:
            self._deliver(key, rows, quad)
            if last:
                self.arrived.append(key)
        self.job = next(self.todo, None)

    def _begin(self, key: tuple[int, int]) -> bool:
        """Room is taken for a stage, if there is any."""
        machine, design = self.machine, self.machine.design
        taken = sum(design.room(machine.stages[index]) for _, index in machine.held)
        if taken + design.room(machine.stages[key[1]]) > design.capacity:
            machine.stalled[key] += 1
            return False
        machine.held.append(key)
        machine.window[key] = {}
        return True

    def _bank(self, key: tuple[int, int] | None, row: BroadcastRow, output: int) -> int:
        conv = self.machine.conv
        if key is None:
            assert conv.operand_row is not None
            oy, ox = divmod(output, conv.output[1])
            return (oy * conv.operand_row + ox) % self.machine.banks
        y, x = self.machine.position(row.tap, output)
        return (y * conv.row + x) % self.machine.banks

    def _deliver(self, key: tuple[int, int], rows: list[BroadcastRow], quad: range) -> None:
        for row in rows:
            for channel in range(row.width):
                for output in quad:
                    value = self.machine.input_at(row, channel, output)
                    self.machine.window[key][row, channel, output] = value
                    for counter in ("window_bytes", "window_written"):
                        self.machine.events[counter] += 1

    def settle(self) -> None:
        for key in self.arrived:
            self.machine.latest = key
            self.machine.ready.add(key)
        self.arrived = []


class BroadcastUnit:
    """Takes the stages of its filter in order, at its own outputs."""

    def __init__(self, machine: BroadcastMachine, slot: int, member: int) -> None:
        self.machine, self.slot, self.member = machine, slot, member
        self.drain: BroadcastDrain | None = None
        self.number, self.index = 0, 0  # pass and stage to do next, or being done
        self.left: list[Cycle] | None = None
        self.sums: dict[int, Counter[int]] = {}
        self.waited = 0
        self.complete = (0, 0)
        self._skip()

    def _skip(self) -> None:
        """A slot without a filter has nothing to do in a pass."""
        machine = self.machine
        while self.number < machine.passes and machine.stream(self.number, self.slot) is None:
            self.number += 1

    @property
    def at_the_end(self) -> str:
        used = self.machine.stream(self.machine.passes - 1, self.slot) is not None
        return "drain" if used else "unused"

    def step(self) -> None:
        cause, machine = self._blocked(), self.machine
        if cause == "waiting":
            self.waited += 1
        elif cause:
            machine.spent[cause] += machine.design.multipliers
        else:
            self._work()

    def _blocked(self) -> str:
        """Why no work is done in this clock; "" if some is."""
        machine = self.machine
        if self.number == machine.passes:
            return self.at_the_end
        if self.left is not None:
            return ""
        skipped = (
            self.index == 0
            and self.number > 0
            and machine.stream(self.number - 1, self.slot) is None
        )
        if skipped and machine.latest < (self.number - 1, len(machine.stages) - 1):
            return "unused"
        if (self.number, self.index) not in machine.ready:
            return "waiting"
        self._count_wait()
        assert self.drain is not None
        if self.index == 0 and self.drain.complete < self.number - 1:
            return "drain"
        self._start()
        return ""

    def _count_wait(self) -> None:
        """Had the fetch unit found room at once, the unit would have waited that much less."""
        stalled = min(self.waited, self.machine.stalled[self.number, self.index])
        multipliers = self.machine.design.multipliers
        self.machine.spent["imbalance"] += stalled * multipliers
        self.machine.spent["fetch"] += (self.waited - stalled) * multipliers
        self.waited = 0

    @property
    def outputs(self) -> range:
        machine = self.machine
        tile, size = machine.tiles[self.number // machine.groups], machine.design.quad
        return tile[self.member * size : (self.member + 1) * size]

    def _start(self) -> None:
        machine = self.machine
        if self.index == 0:
            self.sums[self.number % 2] = Counter()
        group = self.number % machine.groups
        self.left = machine.design.work(group, self.slot, self.index, self.outputs)

    def _work(self) -> None:
        assert self.left
        machine, key = self.machine, (self.number, self.index)
        cycle = self.left.pop(0)
        for product in cycle.products:
            value, real = machine.window[key][product.row, product.channel, product.output]
            self.sums[self.number % 2][product.output] += product.weight * value
            cause = "zeros" if product.weight == 0 else "multiply" if real else "padding"
            machine.spent[cause] += 1
            for counter in ("window_bytes", "window_read"):
                machine.events[counter] += 1
        for cause, count in cycle.idle.items():
            machine.spent[cause] += count
        if cycle.broadcast:
            machine.events["window_broadcast"] += cycle.broadcast
        if not self.left:
            self.left = None
            self.index += 1
            if self.index == len(machine.stages):
                self.number, self.index = self.number + 1, 0
                self._skip()

    def settle(self) -> None:
        self.complete = (self.number, self.index)


class BroadcastDrain:
    """Empties the accumulators of a pass behind the array."""

    def __init__(self, machine: BroadcastMachine, units: list[BroadcastUnit]) -> None:
        self.machine, self.units = machine, units
        self.write_back: BroadcastWriteBack | None = None
        self.number, self.complete = 0, 0
        self.clocks: list[list[tuple[int, int]]] | None = None  # (slot, output) taken in each

    def step(self) -> None:
        if self.number == self.machine.passes or (self.clocks is None and not self._start()):
            return
        assert self.clocks
        for slot, output in self.clocks.pop(0):
            self._take(slot, output)
        if not self.clocks:
            self.number, self.clocks = self.number + 1, None

    def _start(self) -> bool:
        if any(unit.complete < (self.number + 1, 0) for unit in self.units):
            return False
        machine, design = self.machine, self.machine.design
        tile, group = divmod(self.number, machine.groups)
        if self.write_back and group == 0 and self.write_back.complete < tile - 1:
            return False
        self.clocks = []
        filled = [
            slot for slot in range(design.slots) if machine.stream(self.number, slot) is not None
        ]
        outputs, width = machine.tiles[tile], design.drain_width
        for _output in outputs:
            machine.outcome.move_sums(machine.conv, -(-len(filled) // BLOCK))
        together = min(self._staging // BLOCK, max(1, width // design.slots))
        for at in range(0, len(outputs), together):
            for first in range(0, design.slots, width):
                self.clocks += self._columns(
                    [
                        (slot, output)
                        for output in outputs[at : at + together]
                        for slot in filled
                        if first <= slot < first + width
                    ]
                )
        return True

    @property
    def _staging(self) -> int:
        """Columns of staging."""
        return max(BLOCK, self.machine.design.drain_width)

    def _columns(self, sums: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Results of one clock go to different columns of staging; to ACC all go at once."""
        if not self.machine.conv.last:
            return [sums] if sums else []
        clocks: list[list[tuple[int, int]]] = []
        while sums:
            taken = {
                (self._channel(slot) + BLOCK * output) % self._staging: (slot, output)
                for slot, output in reversed(sums)
            }
            clocks.append(list(taken.values()))
            sums = [one for one in sums if one not in taken.values()]
        return clocks

    def _channel(self, slot: int) -> int:
        stream = self.machine.stream(self.number, slot)
        assert stream is not None
        return stream[0] + 256 * stream[1]

    def _take(self, slot: int, output: int) -> None:
        machine, design = self.machine, self.machine.design
        member = (output - machine.tiles[self.number // machine.groups][0]) // design.quad
        unit = self.units[slot * design.members + member]
        machine.outcome.sums[self._channel(slot), output] = unit.sums[self.number % 2][output]
        if machine.conv.last:
            machine.outcome.scale(machine.conv, 1)

    def settle(self) -> None:
        self.complete = self.number


class BroadcastWriteBack:
    """Writes finished tiles from staging to ACT, block by block: in a clock a row of 16 channels of
    one output, or of as many neighbours as there are sixteens of columns."""

    def __init__(self, machine: BroadcastMachine, drain: BroadcastDrain) -> None:
        self.machine, self.drain = machine, drain
        self.tile, self.complete = 0, 0
        self.rows: list[int] = []  # left of each block

    def step(self) -> None:
        machine = self.machine
        if self.tile == len(machine.tiles):
            return
        if not self.rows:
            if self.drain.complete < (self.tile + 1) * machine.groups:
                return
            self.rows = [len(machine.tiles[self.tile])] * machine.conv.out_blocks
        at_once = min(machine.banks, max(1, machine.design.drain_width // BLOCK))
        moved = min(self.rows[0], at_once)
        self.rows[0] -= moved
        machine.outcome.write_back(moved)
        if not self.rows[0]:
            self.rows.pop(0)
        if not self.rows:
            self.tile += 1

    def settle(self) -> None:
        self.complete = self.tile
