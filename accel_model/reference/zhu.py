"""The accelerator of Zhu et al. clock by clock, with its numbers; from docs/arrays/zhu.md alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.convolution import BLOCK, ROW, SUM, Convolution, Outcome
from zeroskip.accel_model.reference.filters import (
    Filter,
    Stored,
    finish,
    place,
    read_bitmap,
    read_filters,
    supply,
    value_at,
)
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.zhu import ZhuGeometry


@dataclass(frozen=True)
class ZhuPass:
    """A vector of outputs of a group of filters."""

    outputs: range
    filters: list[Filter]


class Generator:
    """Reads the inputs of blocks of channels into two buffers, in turn."""

    def __init__(self, array: ZhuGeometry, conv: Convolution, items: list[tuple[int, int]]) -> None:
        self.array, self.conv, self.items = array, conv, items  # pass and block of each item
        self.left = 0
        self.busy = False
        self.ready = 0  # items, as the others see it

    def step(self, passes: list[ZhuPass], used: int, outcome: Outcome) -> bool:
        """Work for a cycle; whether a block is complete. used: items that PEs are done with."""
        if self.ready == len(self.items):
            return False
        if not self.busy:
            if used < self.ready - 1:
                return False
            outputs = passes[self.items[self.ready][0]].outputs
            self.left = len(self._pixels(outputs))
            outcome.fetch(self.left)
            outcome.events["block_written"] += ROW * self.left
            self.busy = True
        self.left -= self.array.fetch_rows
        self.busy = self.left > 0
        return not self.busy

    def _pixels(self, outputs: range) -> set[tuple[int, int]]:
        conv = self.conv
        high, wide = len(conv.image[0]), len(conv.image[0][0])
        seen = {
            place(conv, tap, n) for n in outputs for tap in range(conv.kernel[0] * conv.kernel[1])
        }
        return {(y, x) for y, x in seen if 0 <= y < high and 0 <= x < wide}


class ZhuPe:
    """Multiplies one weight that is not zero by its vector of inputs a cycle."""

    def __init__(self, array: ZhuGeometry, conv: Convolution, outcome: Outcome) -> None:
        self.array, self.conv, self.outcome = array, conv, outcome
        self.held: Filter | None = None
        self.todo: list[Stored] = []

    def step(self, outputs: range, sums: dict[tuple[int, int], int]) -> None:
        events, size = self.outcome.events, self.array.vector
        if not self.todo:
            self.outcome.slots["unused" if self.held is None else "imbalance"] += size
            return
        assert self.held is not None
        weight = self.todo.pop(0)
        events["vectors"] += 1
        events["generated"] += size
        self.outcome.slots["fragmentation"] += size - len(outputs)
        for n in outputs:
            value = value_at(self.conv, weight.channel, weight.tap, n)
            self.outcome.slots["padding" if value is None else "multiply"] += 1
            events["multiplies" if value else "gated"] += 1
            for way in ("sums_read", "sums_written"):
                events[way] += SUM
            sums[self.held.channel, n] += weight.value * (value or 0)


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution: vectors of outputs, groups of filters, blocks of channels."""
    array = cast("ZhuGeometry", spec.array)
    outcome = Outcome()
    filters = read_filters(conv, read_bitmap)
    pixels, blocks = conv.output[0] * conv.output[1], -(-len(conv.image) // BLOCK)
    passes = [
        ZhuPass(range(n, min(n + array.vector, pixels)), filters[at : at + array.pes])
        for n in range(0, pixels, array.vector)
        for at in range(0, len(filters), array.pes)
    ]
    items = [(p, block) for p in range(len(passes)) for block in range(blocks)]
    generator = Generator(array, conv, items)
    pes = [ZhuPe(array, conv, outcome) for _ in range(array.pes)]
    sums: list[dict[tuple[int, int], int]] = []
    leaving: list[tuple[int, int]] = []
    done = drained = 0  # items multiplied and passes drained, as all see them
    working = -1
    while drained < len(passes):
        now_done, now_drained, now_ready = done, drained, generator.ready
        now_ready += generator.step(passes, done, outcome)
        idle = "drain"
        if working < done < len(items):
            p, block = items[done]
            if block or drained >= p - 1:
                idle = "fetch"
                if generator.ready > done:
                    working = done
                    _begin(passes[p], block, pes, sums, outcome)
        if working == done:
            p, _ = items[done]
            for pe in pes:
                pe.step(passes[p].outputs, sums[p])
            now_done += not any(pe.todo for pe in pes)
        else:
            outcome.slots[idle] += array.macs
        if drained * blocks + blocks <= done:
            leaving = leaving or list(sums[drained])
            for key in leaving[: array.drain_width]:
                outcome.sums[key] = sums[drained][key]
            del leaving[: array.drain_width]
            now_drained += not leaving
        done, drained, generator.ready = now_done, now_drained, now_ready
        outcome.cycles += 1
    supply(spec, conv, outcome)
    finish(conv, array.pes, array.pipeline_cycles, outcome)
    outcome.slots["drain"] += array.pipeline_cycles * array.macs
    return outcome


def _begin(
    work: ZhuPass,
    block: int,
    pes: list[ZhuPe],
    sums: list[dict[tuple[int, int], int]],
    outcome: Outcome,
) -> None:
    """Give every PE the weights of its filter that are in a block."""
    if block == 0:
        sums.append({(each.channel, n): 0 for each in work.filters for n in work.outputs})
        outcome.read_words(sum(each.words for each in work.filters))
    for k, pe in enumerate(pes):
        pe.held = work.filters[k] if k < len(work.filters) else None
        pe.todo = [w for w in pe.held.weights if w.channel // BLOCK == block] if pe.held else []
