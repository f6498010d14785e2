"""SCNN and its relatives clock by clock, with their numbers; from docs/arrays/scnn.md alone.

PEs multiply what they hold, vector by vector; sums leave their accumulators one by one. Nothing is
computed of how long that takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import SUM, Convolution, Outcome
from zeroskip.accel_model.reference.filters import (
    Filter,
    Stored,
    finish,
    place,
    read_dense,
    read_filters,
    read_runs,
    row_of_wgt,
    supply,
    value_at,
)
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.dcnn import DcnnGeometry
    from zeroskip.accel_model.arrays.scnn import ScnnGeometry

Input = tuple[int, int, int]  # row, column, value
Weight = tuple[int, int, int]  # output channel, tap, value


class Layout:
    """Which PE has which inputs, and the outputs that it has sums of."""

    def __init__(self, array: ScnnGeometry, conv: Convolution) -> None:
        self.array, self.conv = array, conv
        self.size = len(conv.image[0]), len(conv.image[0][0])
        self.looked_at = {
            place(conv, tap, n)
            for tap in range(conv.kernel[0] * conv.kernel[1])
            for n in range(conv.output[0] * conv.output[1])
        }
        self.tall = -(-self.size[0] // array.pe_rows)
        self.wide = -(-self.size[1] // array.pe_cols)
        rows = [self._reached(0, n, self.tall) for n in range(array.pe_rows)]
        cols = [self._reached(1, n, self.wide) for n in range(array.pe_cols)]
        rows[0] |= set(range(conv.output[0])).difference(*rows)
        cols[0] |= set(range(conv.output[1])).difference(*cols)
        self.outputs = {
            (i, j): sorted(y * conv.output[1] + x for y, x in product(rows[i], cols[j]))
            for i in range(array.pe_rows)
            for j in range(array.pe_cols)
        }
        most = max(len(outputs) for outputs in self.outputs.values())
        self.kc = 1
        while self.kc < array.group_filters and (self.kc + 1) * most <= array.accumulators:
            self.kc += 1

    def _reached(self, axis: int, pe: int, size: int) -> set[int]:
        """Outputs of an axis of which some tap looks at the PE's inputs."""
        conv, first = self.conv, (self.conv.top, self.conv.left)[axis]
        return {
            output
            for output in range(conv.output[axis])
            for tap in range(conv.kernel[axis])
            if (
                pe * size
                <= first + output * conv.stride[axis] + tap * conv.dilation[axis]
                < min((pe + 1) * size, self.size[axis])
            )
        }

    def inputs(self, pe: tuple[int, int], channel: int, phase: tuple[int, int]) -> list[Input]:
        """Inputs of a channel and phase that a PE has and some output looks at, row by row."""
        conv = self.conv
        return [
            (y, x, conv.image[channel][y][x])
            for y in range(pe[0] * self.tall, min((pe[0] + 1) * self.tall, self.size[0]))
            for x in range(pe[1] * self.wide, min((pe[1] + 1) * self.wide, self.size[1]))
            if (y, x) in self.looked_at
            and (y - conv.top) % conv.stride[0] == phase[0]
            and (x - conv.left) % conv.stride[1] == phase[1]
        ]

    def has_inputs(self, pe: tuple[int, int]) -> bool:
        return pe[0] * self.tall < self.size[0] and pe[1] * self.wide < self.size[1]

    def output(self, tap: int, y: int, x: int) -> int | None:
        """The output that an input belongs to with a weight of a tap; None: there is none."""
        for n in range(self.conv.output[0] * self.conv.output[1]):
            if place(self.conv, tap, n) == (y, x):
                return n
        return None


class ScnnPe:
    """Multiplies a vector of inputs by a vector of weights a cycle."""

    def __init__(
        self, layout: Layout, name: tuple[int, int], skips: bool, outcome: Outcome
    ) -> None:
        self.layout, self.name, self.skips, self.outcome = layout, name, skips, outcome
        self.todo: list[tuple[list[Input], list[Weight]]] = []
        self.sums: list[dict[tuple[int, int], int]] = [{}, {}]
        self.draining: list[tuple[int, int]] = []

    def begin(self, group: int, filters: list[Filter]) -> None:
        """Take up a group of filters: clear its accumulators."""
        self.sums[group % 2] = {
            (each.channel, n): 0 for each in filters for n in self.layout.outputs[self.name]
        }
        self.todo = list(self._pairs(filters))

    def _pairs(self, filters: list[Filter]) -> Iterator[tuple[list[Input], list[Weight]]]:
        size = self.layout.array.vector
        for channel, phase, weights in self.broadcast(filters):
            inputs = self.inputs(channel, phase)
            for n in range(0, len(inputs) if weights else 0, size):
                self.outcome.events["input_vectors"] += 1
                self.outcome.events["input_read"] += size
                for vector in weights:
                    self.outcome.events["fifo_read"] += size
                    yield inputs[n : n + size], vector

    def inputs(self, channel: int, phase: tuple[int, int]) -> list[Input]:
        """Inputs that it multiplies."""
        found = self.layout.inputs(self.name, channel, phase)
        return [each for each in found if each[2] or not self.skips]

    def broadcast(
        self, filters: list[Filter]
    ) -> Iterator[tuple[int, tuple[int, int], list[list[Weight]]]]:
        """Vectors of weights of each channel and phase, which all PEs get."""
        conv, size = self.layout.conv, self.layout.array.vector
        for channel in range(len(conv.image)):
            for phase in product(range(conv.stride[0]), range(conv.stride[1])):
                weights = [
                    (each.channel, w.tap, w.value)
                    for each in filters
                    for w in each.weights
                    if w.channel == channel
                    and self._phase(w) == phase
                    and (w.value or self.layout.array.kind == "sparse_a")
                ]
                vectors = [weights[m : m + size] for m in range(0, len(weights), size)]
                yield channel, phase, vectors

    def _phase(self, weight: Stored) -> tuple[int, int]:
        conv = self.layout.conv
        r, s = divmod(weight.tap, conv.kernel[1])
        return r * conv.dilation[0] % conv.stride[0], s * conv.dilation[1] % conv.stride[1]

    def multiply(self, group: int) -> None:
        """One cycle of a group, idle or not."""
        events, square = self.outcome.events, self.layout.array.vector**2
        if not self.todo:
            self.outcome.slots["imbalance" if self.layout.has_inputs(self.name) else "unused"] += (
                square
            )
            return
        inputs, weights = self.todo.pop(0)
        events["weight_vectors"] += 1
        self.outcome.slots["fragmentation"] += square - len(inputs) * len(weights)
        for (y, x, value), (channel, tap, weight) in product(inputs, weights):
            events["multiplies"] += 1
            output = self.layout.output(tap, y, x)
            if output is None:
                self.outcome.slots["outside"] += 1
                continue
            events["accumulated"] += 1
            for way in ("sums_read", "sums_written"):
                events[way] += SUM
            self.outcome.slots["multiply" if weight and (value or not self.skips) else "zeros"] += 1
            self.sums[group % 2][channel, output] += value * weight

    def drain(self, group: int) -> None:
        """Let sums go, to the results or to a neighbour that adds them to its own."""
        for key in self.draining[: self.layout.array.drain_width]:
            self.outcome.sums[key] = self.outcome.sums.get(key, 0) + self.sums[group % 2][key]
            self.outcome.events["sums_drained"] += SUM
        del self.draining[: self.layout.array.drain_width]


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on SCNN, or on a relative that skips only weights or only inputs."""
    array = cast("ScnnGeometry", spec.array)
    outcome = Outcome()
    filters = read_filters(conv, read_dense if array.kind == "sparse_a" else read_runs)
    layout = Layout(array, conv)
    pes = [ScnnPe(layout, name, array.kind != "sparse_w", outcome) for name in layout.outputs]
    groups = [filters[n : n + layout.kc] for n in range(0, len(filters), layout.kc)]
    multiplied = drained = 0  # groups, as all see them
    at = leaving = -1  # the group that is multiplied, and the one that is drained
    while drained < len(groups):
        now_multiplied, now_drained = multiplied, drained
        if at < multiplied and multiplied < len(groups) and drained >= multiplied - 1:
            at = multiplied
            for pe in pes:
                pe.begin(at, groups[at])
        if leaving < drained < multiplied:
            leaving = drained
            for pe in pes:
                pe.draining = list(pe.sums[leaving % 2])
        if at == multiplied:
            for pe in pes:
                pe.multiply(at)
            now_multiplied += not any(pe.todo for pe in pes)
        else:
            outcome.slots["drain"] += array.macs
        if leaving == drained:
            for pe in pes:
                pe.drain(leaving)
            now_drained += not any(pe.draining for pe in pes)
        multiplied, drained = now_multiplied, now_drained
        outcome.cycles += 1
    outcome.read_words(sum(each.words for each in filters))
    sent = array.vector * sum(
        len(vectors)
        for group in groups
        for channel, phase, vectors in pes[0].broadcast(group)
        if any(pe.inputs(channel, phase) for pe in pes)
    )
    outcome.events["fifo_written"] = sent * len(pes)
    supply(spec, conv, outcome, (sent, max(array.vector, row_of_wgt(spec) // conv.weight_bytes)))
    finish(conv, array.weight_banks, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome


def step_dense(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on DCNN: every PE makes its outputs one after another, all in step."""
    array = cast("DcnnGeometry", spec.array)
    outcome = Outcome()
    events = outcome.events
    filters = read_filters(conv, read_dense)
    tall, wide = (
        -(-size // pes)
        for size, pes in zip(conv.output, (array.pe_rows, array.pe_cols), strict=True)
    )
    for each in filters:
        for y, x in product(range(tall), range(wide)):
            outcome.read_words(each.words)
            for first in range(0, len(each.weights), array.dot):
                outcome.cycles += 1
                for i, j in product(range(array.pe_rows), range(array.pe_cols)):
                    output = i * tall + y, j * wide + x
                    there = output[0] < conv.output[0] and output[1] < conv.output[1]
                    there &= y < tall and x < wide
                    dot = each.weights[first : first + array.dot] if there else []
                    events["input_vectors"] += there
                    events["input_read"] += array.dot * there
                    outcome.slots["fragmentation"] += array.dot - len(dot)
                    for weight in dot:
                        n = output[0] * conv.output[1] + output[1]
                        _multiply(conv, outcome, each.channel, weight, n)
    supply(spec, conv, outcome)
    finish(conv, array.weight_banks, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome


def _multiply(conv: Convolution, outcome: Outcome, channel: int, weight: Stored, n: int) -> None:
    value = value_at(conv, weight.channel, weight.tap, n)
    outcome.events["multiplies"] += 1
    key = (channel, n)
    outcome.sums[key] = outcome.sums.get(key, 0) + weight.value * (value or 0)
    kind = "zeros" if not weight.value else "padding" if value is None else "multiply"
    outcome.slots[kind] += 1
