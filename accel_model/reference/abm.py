"""ABM-SpConv clock by clock, with its numbers; from docs/arrays/abm.md alone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, Convolution, Outcome
from zeroskip.accel_model.reference.filters import (
    Filter,
    Stored,
    block_order,
    finish,
    read_filters,
    supply,
    value_at,
)
from zeroskip.accel_model.reference.streams import Pointer
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.abm import AbmGeometry

Value = tuple[int, list[Stored]]


def read_valued(stream: bytes, channels: int, taps: int, wide: int) -> list[Stored]:
    """Values, each with its positions."""
    kinds = stream[4]
    groups, positions = Pointer(stream, 5, wide), Pointer(stream, 5 + (wide + 2) * kinds)
    places = list(block_order(channels, taps))
    weights = []
    for _ in range(kinds):
        value, count = groups.take_weight(), groups.take(16)
        weights += [Stored(*places[positions.take(16)], value) for _ in range(count)]
    return weights


class AbmLane:
    """Adds the inputs of a value's positions, while the value before is multiplied."""

    def __init__(self, array: AbmGeometry, conv: Convolution, outcome: Outcome) -> None:
        self.array, self.conv, self.outcome = array, conv, outcome
        self.held: Filter | None = None
        self.outputs = range(0)
        self.values: deque[Value] = deque()
        self.adding: Value | None = None
        self.partial: list[int] = []
        self.waiting: deque[tuple[int, list[int]]] = deque()  # sums to be multiplied
        self.multiplying = 0  # cycles that the first of them still takes
        self.empty = False  # a filter without weights takes a cycle

    def begin(self, held: Filter | None, outputs: range) -> None:
        self.held, self.outputs, self.values = held, outputs, deque()
        for weight in held.weights if held else []:
            if not self.values or self.values[-1][0] != weight.value:
                self.values.append((weight.value, []))
            self.values[-1][1].append(weight)
        self.empty = held is not None and not self.values

    @property
    def busy(self) -> bool:
        return bool(self.values or self.adding or self.waiting or self.empty)

    def step(self, sums: dict[tuple[int, int], int]) -> None:
        size = self.array.vector
        if not self.busy:
            self.outcome.slots["unused" if self.held is None else "imbalance"] += size
            return
        room = len(self.waiting) < 2  # as it is before this cycle
        multiplied = self._multiply(sums)
        if self.adding is None and self.values and room:
            self.adding = self.values.popleft()
            self.partial = [0] * len(self.outputs)
        if self.adding is None:
            self.outcome.slots["values"] += size
        else:
            self._add(self.adding)
        if multiplied:
            self.waiting.popleft()
        self.empty = False

    def _multiply(self, sums: dict[tuple[int, int], int]) -> bool:
        """A share of the products of the first value; whether that was the last of them."""
        if not self.waiting:
            return False
        self.multiplying = (self.multiplying or self.array.share) - 1
        if self.multiplying:
            return False
        value, partial = self.waiting[0]
        assert self.held is not None
        for n, total in zip(self.outputs, partial, strict=True):
            self.outcome.events["multiplies"] += 1
            sums[self.held.channel, n] += value * total
        return True

    def _add(self, adding: Value) -> None:
        events, weight = self.outcome.events, adding[1].pop(0)
        self.outcome.slots["fragmentation"] += self.array.vector - len(self.outputs)
        for i, n in enumerate(self.outputs):
            value = value_at(self.conv, weight.channel, weight.tap, n)
            self.outcome.slots["padding" if value is None else "multiply"] += 1
            events["additions"] += 1
            events["window_bytes"] += 1
            events["window_read"] += 1
            self.partial[i] += value or 0
        if not adding[1]:
            self.waiting.append((adding[0], self.partial))
            self.adding = None


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution: vectors of outputs, groups of filters."""
    array = cast("AbmGeometry", spec.array)
    outcome = Outcome()
    events = outcome.events
    filters = read_filters(conv, read_valued)
    pixels, channels = conv.output[0] * conv.output[1], len(conv.image)
    taps = conv.kernel[0] * conv.kernel[1]
    vectors = [range(n, min(n + array.vector, pixels)) for n in range(0, pixels, array.vector)]
    groups = [filters[at : at + array.lanes] for at in range(0, len(filters), array.lanes)]
    passes = [(v, group) for v in range(len(vectors)) for group in groups]
    lanes = [AbmLane(array, conv, outcome) for _ in range(array.lanes)]
    sums: list[dict[tuple[int, int], int]] = []
    leaving: list[tuple[int, int]] = []
    reads: deque[int] = deque()  # rows of ACT of each fetch of the window being filled
    done = drained = fetched = 0  # passes, passes, vectors, as all see them
    working = -1
    while drained < len(passes):
        now_done, now_drained, now_fetched = done, drained, fetched
        if not reads and fetched < len(vectors) and done >= (fetched - 1) * len(groups):
            for _ in range(taps * -(-channels // BLOCK)):
                rows = len(vectors[fetched])
                while rows > 0:
                    reads.append(min(rows, array.fetch_rows))
                    rows -= array.fetch_rows
            copies = -(-array.lanes // array.window_ports)
            for counter in ("window_bytes", "window_written"):
                events[counter] += copies * channels * taps * len(vectors[fetched])
        if reads:
            outcome.fetch(reads.popleft())
            now_fetched += not reads
        idle = "drain"
        if working < done < len(passes) and drained >= done - 1:
            v, group = passes[done]
            idle = "fetch"
            if fetched > v:
                working = done
                sums.append({(each.channel, n): 0 for each in group for n in vectors[v]})
                outcome.read_words(sum(each.words for each in group))
                for k, lane in enumerate(lanes):
                    lane.begin(group[k] if k < len(group) else None, vectors[v])
        if working == done:
            for lane in lanes:
                lane.step(sums[done])
            now_done += not any(lane.busy for lane in lanes)
        else:
            outcome.slots[idle] += array.macs
        if drained < done:
            leaving = leaving or list(sums[drained])
            for key in leaving[: array.drain_width]:
                outcome.sums[key] = sums[drained][key]
            del leaving[: array.drain_width]
            now_drained += not leaving
        done, drained, fetched = now_done, now_drained, now_fetched
        outcome.cycles += 1
    supply(spec, conv, outcome)
    finish(conv, array.lanes, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome
