"""SparTen and its relatives clock by clock, with their numbers; from docs/arrays/sparten.md
alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, ROW, SUM, WORD, Convolution, Outcome
from zeroskip.accel_model.reference.filters import (
    Filter,
    block_order,
    finish,
    read_bitmap,
    read_dense,
    read_filters,
    supply,
    value_at,
)
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.sparten import SpartenGeometry

Position = tuple[int, int]  # channel and tap


class Cluster:
    """Units that work on one output of a group of filters, chunk by chunk."""

    def __init__(self, array: SpartenGeometry, conv: Convolution, outcome: Outcome) -> None:
        self.array, self.conv, self.outcome = array, conv, outcome
        self.skips_inputs = array.kind in ("sparten", "sparten_a")
        self.jobs: list[tuple[int, list[Filter]]] = []  # outputs and groups, in order
        self.sums: list[dict[tuple[int, int], int]] = []
        self.chunks: list[list[Position]] = []
        self.rows_left = 0  # of ACT, of the chunk that is joined
        self.units: list[list[tuple[int, int, int | None]]] = []  # channel, weight, input
        self.at = -1
        self.leaving: list[tuple[int, int]] = []
        self.joined = self.drained = 0  # jobs, as the others see it

    @property
    def finished(self) -> bool:
        return self.drained == len(self.jobs)

    def step(self) -> None:
        now_joined, now_drained = self.joined, self.drained
        draining = self.drained < self.joined
        if self.at < self.joined < len(self.jobs) and self.drained >= self.joined - 1:
            self._begin()
        if self.at == self.joined:
            now_joined += self._join()
        elif not self.finished:
            self.outcome.slots["drain"] += self.array.units
        else:
            self.outcome.slots["ragged"] += self.array.units
        if draining:
            now_drained += self._drain()
        self.joined, self.drained = now_joined, now_drained

    def _begin(self) -> None:
        self.at = self.joined
        n, group = self.jobs[self.at]
        self.sums.append({(each.channel, n): 0 for each in group})
        order = list(block_order(len(self.conv.image), self.conv.kernel[0] * self.conv.kernel[1]))
        size = self.array.chunk
        self.chunks = [order[at : at + size] for at in range(0, len(order), size)]
        self._next_chunk()

    def _next_chunk(self) -> None:
        """Masks meet: what is left are the pairs that are multiplied."""
        chunk = self.chunks.pop(0)
        n, group = self.jobs[self.at]
        self.rows_left = len({(channel // BLOCK, tap) for channel, tap in chunk})
        self.outcome.fetch(self.rows_left)
        self.outcome.events["chunk_inputs"] += ROW * self.rows_left * self.array.units
        self.units = [[] for _ in range(self.array.units)]
        for k, each in enumerate(group):
            self.outcome.events["joins"] += 1
            self.outcome.events["joined"] += 2 * self.array.chunk // 8
            held = {(w.channel, w.tap): w.value for w in each.weights}
            for channel, tap in chunk:
                value = value_at(self.conv, channel, tap, n)
                if (channel, tap) in held and (value or not self.skips_inputs):
                    pair = (each.channel, held[channel, tap], value)
                    self.units[k % self.array.units].append(pair)

    def _join(self) -> bool:
        """A product in each unit that has one left; whether the job is done."""
        events = self.outcome.events
        n, _ = self.jobs[self.at]
        for unit in self.units:
            if not unit:
                self.outcome.slots["imbalance"] += 1
                continue
            channel, weight, value = unit.pop(0)
            events["multiplies"] += 1
            events["unit_reads"] += 1
            events["chunk_read"] += 2
            for way in ("sums_read", "sums_written"):
                events[way] += SUM
            self.sums[self.at][channel, n] += weight * (value or 0)
            kind = "zeros" if not weight else "padding" if value is None else "multiply"
            self.outcome.slots[kind] += 1
        self.rows_left -= 1
        if self.rows_left > 0 or any(self.units):
            return False
        if self.chunks:
            self._next_chunk()
            return False
        return True

    def _drain(self) -> bool:
        sums = self.sums[self.drained]
        self.leaving = self.leaving or list(sums)
        for key in self.leaving[: self.array.drain_width]:
            self.outcome.sums[key] = sums[key]
        del self.leaving[: self.array.drain_width]
        return not self.leaving


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution; outputs are dealt to the clusters."""
    array = cast("SpartenGeometry", spec.array)
    outcome = Outcome()
    dense = array.kind in ("sparten_a", "sparten_dense")
    filters = read_filters(conv, read_dense if dense else read_bitmap)
    size = 2 * array.units
    groups = [filters[at : at + size] for at in range(0, len(filters), size)]
    clusters = [Cluster(array, conv, outcome) for _ in range(array.clusters)]
    for n in range(conv.output[0] * conv.output[1]):
        clusters[n % array.clusters].jobs += [(n, group) for group in groups]
        if n % array.clusters == 0:
            words = sum(each.words for each in filters)
            outcome.read_words(words)
            outcome.events["chunk_weights"] += WORD * words * array.clusters
    while not all(cluster.finished for cluster in clusters):
        for cluster in clusters:
            cluster.step()
        outcome.cycles += 1
    supply(spec, conv, outcome)
    finish(conv, array.units, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome
