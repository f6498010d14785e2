"""The systolic array clock by clock, with its numbers, written from docs/arrays/systolic.md.

Every element has registers that it hands on to its neighbour at the end of a clock. What each
element does in each clock is counted; nothing is computed in advance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, SUM, Convolution, Outcome
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.systolic import SystolicGeometry


@dataclass(frozen=True)
class SystolicEntry:
    """A position of the reduction."""

    block: int
    tap: int
    channel: int
    place: int  # in a filter's stream


@dataclass(frozen=True)
class SystolicOperand:
    """An input on its way through the array.

    entry: its position in the reduction, None in an array row that has none.
    output: the output that it is for.
    value: with the zero point subtracted.
    real: it lies in the tile, not in padding.
    """

    entry: SystolicEntry | None
    output: int
    value: int
    real: bool


class Array:
    """The grid, the setup unit before it and the accumulators behind it."""

    def __init__(self, geometry: SystolicGeometry, banks: int, conv: Convolution) -> None:
        self.rows, self.cols = geometry.rows, geometry.cols
        self.geometry, self.banks, self.conv = geometry, banks, conv
        self.ranks = max(1, self.rows // BLOCK)
        self.taps = conv.kernel[0] * conv.kernel[1]
        self.outputs = conv.output[0] * conv.output[1]
        self.outcome = Outcome()
        self.events, self.spent = self.outcome.events, self.outcome.slots

    def run(self) -> Outcome:
        if self.conv.mode == 0:
            self._run_weight_stationary()
        else:
            self._run_output_stationary()
        every = self.rows * self.cols
        self.spent["skew"] -= every  # the first operand is at the edge when the time starts
        self.outcome.cycles += self.geometry.pipeline_cycles - 1
        self.spent["drain"] += every * self.geometry.pipeline_cycles
        self._count_ends()
        return self.outcome

    # ------------------------------------------------------------------ inputs and weights

    def entries(self) -> list[SystolicEntry]:
        """The reduction in the order of the streams."""
        places: list[SystolicEntry] = []
        for first in range(0, len(self.conv.image), BLOCK):
            for tap in range(self.taps):
                for channel in range(first, min(first + BLOCK, len(self.conv.image))):
                    places.append(SystolicEntry(first // BLOCK, tap, channel, len(places)))
        return places

    def weight(self, stream: int, entry: SystolicEntry) -> int:
        at = 4 + entry.place * self.conv.weight_bytes
        return self.conv.weight_at(self.conv.streams[stream], at)

    def position(self, tap: int, output: int) -> tuple[int, int]:
        conv = self.conv
        r, s = divmod(tap, conv.kernel[1])
        oy, ox = divmod(output, conv.output[1])
        return (
            conv.top + oy * conv.stride[0] + r * conv.dilation[0],
            conv.left + ox * conv.stride[1] + s * conv.dilation[1],
        )

    def bank(self, tap: int, output: int) -> int:
        y, x = self.position(tap, output)
        return (y * self.conv.row + x) % self.banks

    def operand(self, entry: SystolicEntry, output: int) -> SystolicOperand:
        y, x = self.position(entry.tap, output)
        image = self.conv.image
        real = 0 <= y < len(image[0]) and 0 <= x < len(image[0][0])
        return SystolicOperand(entry, output, image[entry.channel][y][x] if real else 0, real)

    def filter_groups(self) -> Iterator[range]:
        for first in range(0, len(self.conv.streams), self.cols):
            yield range(first, min(first + self.cols, len(self.conv.streams)))

    def groups(self, size: int) -> Iterator[range]:
        for first in range(0, self.outputs, size):
            yield range(first, min(first + size, self.outputs))

    # ------------------------------------------------------------------------ clocks and counts

    def tick(self, cause: str) -> None:
        """A clock in which all elements stand for one cause."""
        self.outcome.cycles += 1
        self.spent[cause] += self.rows * self.cols

    def count(self, operand: SystolicOperand | None, weight: int | None) -> None:
        """What an element does in a clock."""
        if operand is None:
            self.spent["skew"] += 1
        elif weight is None or operand.entry is None:
            self.spent["unused"] += 1
        elif weight == 0:
            self.spent["zeros"] += 1
        else:
            self.spent["multiply" if operand.real else "padding"] += 1

    def _count_ends(self) -> None:
        conv, filters = self.conv, len(self.conv.streams)
        sums = sum(-(-len(group) // BLOCK) for group in self.filter_groups())
        self.outcome.move_sums(conv, sums * self.outputs)
        if conv.last:
            self.outcome.scale(conv, filters * self.outputs)
            self.outcome.read_operand_scale(conv)
            self.outcome.write_back(-(-filters // BLOCK) * self.outputs)

    def _count_operand_rows(self, filters: range) -> None:
        """Blocks of 16 filters that begin in a group: their rows are read with it."""
        self.outcome.fetch(sum(stream % BLOCK == 0 for stream in filters))

    # ---------------------------------------------------------------------- weight-stationary

    def _run_weight_stationary(self) -> None:
        entries = self.entries()
        whole = len(self.conv.image) // BLOCK
        entries.sort(key=lambda entry: (entry.block >= whole, entry.tap, entry.block))
        folds = [entries[at : at + self.rows] for at in range(0, len(entries), self.rows)]
        for outputs in self.groups(self.geometry.accumulators):
            self.outcome.read_words(sum(map(len, self.conv.streams)) // 4)
            for filters in self.filter_groups():
                sums = {(c, n): 0 for c in range(len(filters)) for n in outputs}
                for number, fold in enumerate(folds):
                    final = number == len(folds) - 1
                    self._fold(fold, outputs, filters, sums, final)
                    between = (number > 0) + (not final)
                    self.events["partial_sums"] += len(sums) * between
                    self.events["sums_read"] += SUM * len(sums) * (number > 0)
                    self.events["sums_written"] += SUM * len(sums) * (not final)
                for (c, n), value in sums.items():
                    self.outcome.sums[self._name(filters[c]), n] = value

    def _name(self, stream: int) -> int:
        return self.conv.streams[stream][0] + 256 * self.conv.streams[stream][1]

    def _fold(
        self,
        fold: Sequence[SystolicEntry],
        outputs: range,
        filters: range,
        sums: dict[tuple[int, int], int],
        final: bool,
    ) -> None:
        weights: list[list[int | None]] = [[None] * self.cols for _ in range(self.rows)]
        for r in reversed(range(self.rows)):  # the lowest row enters first and moves down
            entering: list[int | None] = [
                self.weight(filters[c], fold[r]) if r < len(fold) and c < len(filters) else None
                for c in range(self.cols)
            ]
            weights = [entering, *weights[:-1]]
            self.tick("weights")
        inputs: list[list[SystolicOperand | None]] = [[None] * self.cols for _ in range(self.rows)]
        partial = [[0] * self.cols for _ in range(self.rows)]
        delays: list[list[SystolicOperand | None]] = [[None] * r for r in range(self.rows)]
        left, todo = len(outputs) * self.cols, list(outputs)
        while left:
            vector: list[SystolicOperand | None] = [None] * self.rows
            if todo:
                output = todo.pop(0)
                self._read_inputs(fold, output)
                self.events["entered"] += len(fold)
                if final and self.conv.last and self.conv.operand_row is not None:
                    self.tick("operand")
                    self._count_operand_rows(filters)
                vector = [
                    self.operand(fold[r], output)
                    if r < len(fold)
                    else SystolicOperand(None, output, 0, True)
                    for r in range(self.rows)
                ]
            for r, operand in enumerate(vector):
                delays[r].append(operand)
                inputs[r] = [delays[r].pop(0), *inputs[r][:-1]]
            partial = [[0] * self.cols, *partial[:-1]]
            for r in range(self.rows):
                for c in range(self.cols):
                    held, weight = inputs[r][c], weights[r][c]
                    self.count(held, weight)
                    if held is not None and weight is not None:
                        partial[r][c] += weight * held.value
            for c in range(self.cols):
                leaving = inputs[-1][c]
                if leaving is not None:
                    left -= 1
                    if c < len(filters):
                        sums[c, leaving.output] += partial[-1][c]
            self.outcome.cycles += 1

    def _read_inputs(self, fold: Sequence[SystolicEntry], output: int) -> None:
        """Read a fold's rows of ACT for one output; all clocks but the last are stalls."""
        rows = sorted({(entry.block, entry.tap) for entry in fold})
        self.outcome.fetch(len(rows))
        queues: list[list[list[int]]] = [[] for _ in range(self.ranks)]  # rank -> blocks -> banks
        for block in sorted({block for block, _ in rows}):
            banks = [self.bank(tap, output) for b, tap in rows if b == block]
            queues[block % self.ranks].append(banks)
        clocks = 0
        while any(queues):
            for queue in queues:
                if queue:
                    for bank in set(queue[0]):
                        queue[0].remove(bank)
                    if not queue[0]:
                        queue.pop(0)
            clocks += 1
        for _ in range(clocks - 1):
            self.tick("conflicts")

    # ---------------------------------------------------------------------- output-stationary

    def _run_output_stationary(self) -> None:
        entries = self.entries()
        folds = [
            (outputs, filters)
            for outputs in self.groups(self.rows)
            for filters in self.filter_groups()
        ]
        for number, (outputs, filters) in enumerate(folds):
            following = folds[number + 1][0] if number + 1 < len(folds) else None
            if filters[0] == 0:
                self.outcome.read_words(sum(map(len, self.conv.streams)) // 4)
            if self.conv.last and self.conv.operand_row is not None:
                for _ in outputs:
                    self.tick("operand")
                    self._count_operand_rows(filters)
            self._stationary(entries, outputs, filters, following)

    def _stationary(
        self, entries: list[SystolicEntry], outputs: range, filters: range, following: range | None
    ) -> None:
        inputs: list[list[SystolicOperand | None]] = [[None] * self.cols for _ in range(self.rows)]
        weights: list[list[int | None]] = [[None] * self.cols for _ in range(self.rows)]
        delays: list[list[SystolicOperand | None]] = [[None] * r for r in range(self.rows)]
        above: list[list[int | None]] = [[None] * c for c in range(self.cols)]
        sums = [[0] * self.cols for _ in range(self.rows)]
        todo, left = list(entries), len(entries)
        reading: list[int] = []  # banks of the rows of the next step that are not read yet
        while left:
            entry = None
            if todo:
                entry = todo[0]
                if entry.channel % BLOCK == 0:  # a step begins, and the reading for the next one
                    self.outcome.fetch(len(outputs))
                    reading = self._next_step(todo, outputs, following)
                todo.pop(0)
            self._enter(entry, outputs, filters, inputs, weights, delays, above)
            for r in range(self.rows):
                for c in range(self.cols):
                    held, weight = inputs[r][c], weights[r][c]
                    self.count(held, weight)
                    if held is not None and weight is not None:
                        sums[r][c] += weight * held.value
            left -= inputs[-1][-1] is not None
            self.outcome.cycles += 1
            reading = self._read(reading)
            if not todo or todo[0].channel % BLOCK == 0:  # the step is over
                while reading:
                    self.tick("conflicts")
                    reading = self._read(reading)
        for r, n in enumerate(outputs):
            for c, stream in enumerate(filters):
                self.outcome.sums[self._name(stream), n] = sums[r][c]

    def _next_step(
        self, todo: list[SystolicEntry], outputs: range, following: range | None
    ) -> list[int]:
        """Banks of the rows that the step after the one at the head of ``todo`` reads."""
        head = (todo[0].block, todo[0].tap)
        later = [entry for entry in todo if (entry.block, entry.tap) != head]
        if later:
            return [self.bank(later[0].tap, n) for n in outputs]
        return [] if following is None else [self.bank(0, n) for n in following]

    def _read(self, banks: list[int]) -> list[int]:
        """What is left after a clock, in which every bank gives a row."""
        left = list(banks)
        for bank in set(banks):
            left.remove(bank)
        return left

    def _enter(
        self,
        entry: SystolicEntry | None,
        outputs: range,
        filters: range,
        inputs: list[list[SystolicOperand | None]],
        weights: list[list[int | None]],
        delays: list[list[SystolicOperand | None]],
        above: list[list[int | None]],
    ) -> None:
        """Hand everything on to the right and down; a new entry comes to the edges."""
        for r in range(self.rows):
            new = None
            if entry is not None:
                new = SystolicOperand(None, 0, 0, True)
                if r < len(outputs):
                    new = self.operand(entry, outputs[r])
                    self.events["entered"] += 1
            delays[r].append(new)
            inputs[r].insert(0, delays[r].pop(0))
            inputs[r].pop()
        top: list[int | None] = []
        for c in range(self.cols):
            used = entry is not None and c < len(filters)
            above[c].append(self.weight(filters[c], cast(SystolicEntry, entry)) if used else None)
            top.append(above[c].pop(0))
        weights.insert(0, top)
        weights.pop()


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on the target's array."""
    geometry = cast("SystolicGeometry", spec.array)
    return Array(geometry, spec.sram.act_banks, conv).run().counted()
