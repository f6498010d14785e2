"""What a kind of array that broadcasts activations says to ``broadcast.BroadcastMachine``: its
stages, what they take of the window, and what a unit does in each clock of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zeroskip.accel_model.reference.convolution import BLOCK, Convolution


@dataclass(frozen=True)
class BroadcastRow:
    """A row of ACT: one tap of one block.

    block, tap: which.
    width: channels that the block has.
    place: of its first channel in a filter's reduction.
    """

    block: int
    tap: int
    width: int
    place: int


@dataclass(frozen=True)
class Product:
    """A stored weight, and the input that it is multiplied with."""

    weight: int
    row: BroadcastRow
    channel: int
    output: int


@dataclass(frozen=True)
class Cycle:
    """What a unit does in a clock: products, and the multipliers that do something else.

    broadcast: bytes of the window that are read for all units and put down to this one.
    """

    products: Sequence[Product]
    idle: dict[str, int] = field(default_factory=dict)
    broadcast: int = 0


class Design(ABC):
    """What a kind of array says. ``slots`` units at ``members`` outputs groups of a tile each."""

    slots: int  # filters in flight
    members: int  # units that share a filter
    multipliers: int  # of a unit
    quad: int  # outputs whose rows are read together
    tile: int  # outputs of a tile
    capacity: int  # of the window
    drain_width: int
    pipeline_cycles: int

    def __init__(self, conv: Convolution) -> None:
        self.conv = conv
        self.rows = list(self._rows())

    def _rows(self) -> Iterator[BroadcastRow]:
        place, taps = 0, self.conv.kernel[0] * self.conv.kernel[1]
        for first in range(0, len(self.conv.image), BLOCK):
            width = min(BLOCK, len(self.conv.image) - first)
            for tap in range(taps):
                yield BroadcastRow(first // BLOCK, tap, width, place)
                place += width

    @abstractmethod
    def stages(self) -> list[list[BroadcastRow]]:
        """The rows of each stage."""

    @abstractmethod
    def room(self, stage: list[BroadcastRow]) -> int:
        """What a stage takes of the window."""

    @abstractmethod
    def reads(self, stage: list[BroadcastRow]) -> list[list[BroadcastRow]]:
        """Rows that are read together, one after another."""

    @abstractmethod
    def work(self, group: int, slot: int, stage: int, outputs: range) -> list[Cycle]:
        """What a unit does with a stage of its filter; outputs: of the unit, maybe none."""
