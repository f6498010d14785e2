"""Cambricon-X clock by clock, with its numbers, written from docs/arrays/cambricon_x.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.broadcast import BroadcastMachine
from zeroskip.accel_model.reference.broadcast_design import BroadcastRow, Cycle, Design, Product
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.reference.filters import cycles_to_send
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.cambricon_x import CambriconGeometry


class Elements(Design):
    """Elements that pick inputs from windows of several rows."""

    def __init__(self, geometry: CambriconGeometry, conv: Convolution) -> None:
        super().__init__(conv)
        self.slots, self.members = geometry.pes, 1
        self.multipliers = geometry.multipliers
        self.quad = self.tile = 1 << conv.mode
        self.capacity = geometry.windows
        self.drain_width, self.pipeline_cycles = geometry.drain_width, geometry.pipeline_cycles
        self.window_rows, self.row_reads = geometry.window_rows, geometry.row_reads
        self.filters = [self._weights(stream) for stream in conv.streams]

    def stages(self) -> list[list[BroadcastRow]]:
        size = self.window_rows
        return [self.rows[at : at + size] for at in range(0, len(self.rows), size)]

    def room(self, stage: list[BroadcastRow]) -> int:
        return 1

    def reads(self, stage: list[BroadcastRow]) -> list[list[BroadcastRow]]:
        return [stage[at : at + self.row_reads] for at in range(0, len(stage), self.row_reads)]

    def _weights(self, stream: bytes) -> list[list[tuple[BroadcastRow, int, int]]]:
        """Of each window its weights: row, channel, value; by following the steps."""
        windows: list[list[tuple[BroadcastRow, int, int]]] = [[] for _ in self.stages()]
        place, number = -1, 0
        size = 1 + self.conv.weight_bytes
        pairs = [
            (stream[at], self.conv.weight_at(stream, at + 1))
            for at in range(4, len(stream) - size + 1, size)
        ]
        if pairs and pairs[-1] == (0, 0):
            pairs.pop()  # padding
        for jump, weight in pairs:
            place += jump + 1
            while place >= self.rows[number].place + self.rows[number].width:
                number += 1
            row = self.rows[number]
            windows[number // self.window_rows].append((row, place - row.place, weight))
        return windows

    def work(self, group: int, slot: int, stage: int, outputs: range) -> list[Cycle]:
        stored = self.filters[group * self.slots + slot][stage]
        size = self.multipliers
        picks = [stored[at : at + size] for at in range(0, len(stored), size)] or [[]]
        cycles = []
        for n in range(self.tile):
            for pick in picks:
                if n < len(outputs):
                    products = [Product(w, row, channel, outputs[n]) for row, channel, w in pick]
                    cycles.append(Cycle(products, {"picks": size - len(pick)}))
                else:
                    cycles.append(Cycle([], {"fragmentation": size}))
        return cycles


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on the target's elements. Streams are read again for every output,
    their headers of a word are not."""
    design = Elements(cast("CambriconGeometry", spec.array), conv)
    outputs = conv.output[0] * conv.output[1]
    headers = (outputs - 1) * len(conv.streams)
    words = outputs * sum(map(len, conv.streams)) // 4 - headers
    machine = BroadcastMachine(design, spec.sram.act_banks)
    outcome = machine.run(cycles_to_send(spec, words))
    outcome.read_words(words)
    return outcome.counted()
