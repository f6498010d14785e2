"""Eyeriss v2's PEs clock by clock, with their numbers; from docs/arrays/eyeriss_v2.md alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, ROW, SUM, Convolution, Outcome
from zeroskip.accel_model.reference.filters import (
    Filter,
    Stored,
    finish,
    read_filters,
    supply,
    value_at,
)
from zeroskip.accel_model.reference.streams import Pointer
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.eyeriss_v2 import EyerissGeometry


def read_csc(stream: bytes, channels: int, taps: int, wide: int) -> list[Stored]:
    """Columns: a tap of a block of channels each."""
    columns = [(first, tap) for first in range(0, channels, BLOCK) for tap in range(taps)]
    counts = stream[4 : 4 + len(columns)]
    behind = 4 + len(columns)
    values, runs = Pointer(stream, behind, wide), Pointer(stream, behind + sum(counts) * wide)
    weights = []
    for (first, tap), count in zip(columns, counts, strict=True):
        channel = first
        for _ in range(count):
            channel += runs.take(4)
            weights.append(Stored(channel, tap, values.take_weight()))
            channel += 1
    return weights


class EyerissPe:
    """Multiplies a non-zero input by a non-zero weight of its tap and channel a cycle."""

    def __init__(self, conv: Convolution, outcome: Outcome) -> None:
        self.conv, self.outcome = conv, outcome
        self.there = False  # whether it has outputs, filters and channels
        self.todo: list[tuple[int, int, int]] = []  # output channel, output, product

    def begin(self, outputs: range, channels: range, filters: list[Filter]) -> None:
        events = self.outcome.events
        self.there = bool(outputs and channels and filters)
        self.todo = []
        if not filters:
            return
        for n in outputs:
            for channel in channels:
                for tap in range(self.conv.kernel[0] * self.conv.kernel[1]):
                    value = value_at(self.conv, channel, tap, n)
                    if not value:
                        continue
                    events["inputs_read"] += 1
                    events["pad_written"] += 1
                    self.todo += [
                        (each.channel, n, value * weight.value)
                        for each in filters
                        for weight in each.weights
                        if (weight.channel, weight.tap) == (channel, tap)
                    ]

    def step(self, sums: dict[tuple[int, int], int]) -> None:
        events = self.outcome.events
        if not self.todo:
            self.outcome.slots["imbalance" if self.there else "unused"] += 1
            return
        channel, n, product = self.todo.pop(0)
        sums[channel, n] += product
        self.outcome.slots["multiply"] += 1
        events["multiplies"] += 1
        events["pad_accesses"] += 1
        events["pad_read"] += 2
        for way in ("sums_read", "sums_written"):
            events[way] += SUM


class EyerissDrain:
    """Lets the sums of a pass out, after their parts have come up the rows that share them.

    share: rows of PEs to an output. parts: of a sum; rows without a channel have none.
    """

    def __init__(self, width: int, share: int, parts: int, outcome: Outcome) -> None:
        self.width, self.hops, self.parts, self.outcome = width, share - 1, parts, outcome
        self.rising, self.left = 0, list[tuple[int, int]]()
        self.sums: dict[tuple[int, int], int] = {}

    def begin(self, sums: dict[tuple[int, int], int]) -> None:
        self.rising, self.left, self.sums = self.hops, list(sums), sums

    def step(self) -> bool:
        """Work for a cycle; whether that was the last one."""
        if self.rising:
            self.rising -= 1
            return False
        for key in self.left[: self.width]:
            self.outcome.sums[key] = self.sums[key]
            self.outcome.events["sums_drained"] += SUM * self.parts
        del self.left[: self.width]
        return not self.left


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution, pass by pass: outputs that fit on the grid, then groups of filters."""
    array = cast("EyerissGeometry", spec.array)
    outcome = Outcome()
    events = outcome.events
    filters = read_filters(conv, read_csc)
    share = 1 << conv.mode
    rows, size = array.pe_rows // share, array.pe_cols * array.filters
    pixels, channels = conv.output[0] * conv.output[1], len(conv.image)
    taps = conv.kernel[0] * conv.kernel[1]
    passes = [
        (range(first, min(first + rows * array.outputs, pixels)), filters[at : at + size])
        for first in range(0, pixels, rows * array.outputs)
        for at in range(0, len(filters), size)
    ]
    grid = [[EyerissPe(conv, outcome) for _ in range(array.pe_cols)] for _ in range(array.pe_rows)]
    drain = EyerissDrain(array.drain_width, share, min(share, channels), outcome)
    held: list[dict[tuple[int, int], int]] = []
    multiplied = drained = 0
    at = leaving = -1
    while drained < len(passes):
        now_multiplied, now_drained = multiplied, drained
        if at < multiplied < len(passes) and drained >= multiplied - 1:
            at = multiplied
            outputs, group = passes[at]
            held.append({(each.channel, n): 0 for n in outputs for each in group})
            for row, pes in enumerate(grid):
                mine = outputs[row // share * array.outputs : (row // share + 1) * array.outputs]
                for col, pe in enumerate(pes):
                    pe.begin(mine, range(row % share, channels, share), group[col :: array.pe_cols])
            outcome.read_words(sum(each.words for each in group))
            for n in outputs:
                for tap in range(taps):
                    there = value_at(conv, 0, tap, n) is not None
                    outcome.fetch(there * -(-channels // BLOCK))
                    events["rows_sent"] += ROW * there * -(-channels // BLOCK)
        if leaving < drained < multiplied:
            leaving = drained
            drain.begin(held[leaving])
        if at == multiplied:
            for pes in grid:
                for pe in pes:
                    pe.step(held[at])
            now_multiplied += not any(pe.todo for pes in grid for pe in pes)
        else:
            outcome.slots["drain"] += array.macs
        if leaving == drained:
            now_drained += drain.step()
        multiplied, drained = now_multiplied, now_drained
        outcome.cycles += 1
    sent = (ROW * events["act_rows"], ROW * array.pe_rows)
    supply(spec, conv, outcome, sent)
    finish(conv, array.pe_cols, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome
