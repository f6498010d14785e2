"""Kang's array clock by clock, with its numbers, written from docs/arrays/kang.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from zeroskip.accel_model.reference.broadcast import BroadcastMachine
from zeroskip.accel_model.reference.broadcast_design import BroadcastRow, Cycle, Design, Product
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.reference.filters import cycles_to_send
from zeroskip.accel_model.spec import AccelSpec

if TYPE_CHECKING:
    from zeroskip.accel_model.arrays.kang import KangGeometry


@dataclass(frozen=True)
class KangStored:
    """A weight of a group. channel: within its block."""

    channel: int
    weight: int


class KangLanes(Design):
    """Lanes in step: in a group all take as many cycles as the fullest."""

    def __init__(self, geometry: KangGeometry, conv: Convolution) -> None:
        super().__init__(conv)
        self.slots, self.members = geometry.lanes >> conv.mode, 1 << conv.mode
        self.multipliers = self.quad = geometry.pixels
        self.tile = geometry.pixels << conv.mode
        self.capacity = geometry.window_entries
        self.drain_width, self.pipeline_cycles = geometry.drain_width, geometry.pipeline_cycles
        self.group, self.bits = geometry.group, geometry.group.bit_length() - 1
        self.filters = [self._groups(stream) for stream in conv.streams]

    def stages(self) -> list[list[BroadcastRow]]:
        return [[row] for row in self.rows]

    def room(self, stage: list[BroadcastRow]) -> int:
        return stage[0].width

    def reads(self, stage: list[BroadcastRow]) -> list[list[BroadcastRow]]:
        return [stage]

    def _groups(self, stream: bytes) -> list[list[list[KangStored]]]:
        """The weights of each group of each row."""
        quota = stream[4]
        sizes = [
            [min(quota, row.width - at, self.group) for at in range(0, row.width, self.group)]
            for row in self.rows
        ]
        count = sum(map(sum, sizes))
        bit, value = 8 * 5, 5 + (count * self.bits + 7) // 8
        filter_rows = []
        for row_sizes in sizes:
            groups = []
            for number, size in enumerate(row_sizes):
                stored = []
                for _ in range(size):
                    place = 0
                    for i in range(self.bits):
                        place |= (stream[bit // 8] >> bit % 8 & 1) << i
                        bit += 1
                    weight = self.conv.weight_at(stream, value)
                    value += self.conv.weight_bytes
                    stored.append(KangStored(number * self.group + place, weight))
                groups.append(stored)
            filter_rows.append(groups)
        return filter_rows

    def work(self, group: int, slot: int, stage: int, outputs: range) -> list[Cycle]:
        own = group * self.slots + slot
        together = self.filters[group * self.slots : (group + 1) * self.slots]
        missing = self.quad - len(outputs)
        broadcast = 0 if slot else self.group * self.quad
        cycles = []
        for number, stored in enumerate(self.filters[own][stage]):
            length = max(1, *(len(other[stage][number]) for other in together))
            for n in range(length):
                if n < len(stored):
                    products = [
                        Product(stored[n].weight, self.rows[stage], stored[n].channel, output)
                        for output in outputs
                    ]
                    cycles.append(Cycle(products, {"fragmentation": missing}, broadcast))
                else:
                    idle = {"instep": len(outputs), "fragmentation": missing}
                    cycles.append(Cycle([], idle, broadcast))
        return cycles


def step(spec: AccelSpec, conv: Convolution) -> Outcome:
    """A convolution on the target's lanes. Streams are read once for every tile."""
    design = KangLanes(cast("KangGeometry", spec.array), conv)
    machine = BroadcastMachine(design, spec.sram.act_banks)
    words = len(machine.tiles) * sum(map(len, conv.streams)) // 4
    outcome = machine.run(cycles_to_send(spec, words))
    outcome.read_words(words)
    return outcome.counted()
