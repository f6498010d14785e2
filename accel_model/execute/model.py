"""What one instruction is to the machine: a footprint, a cost and semantics, declared together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.memory.access_check import Access

NO_COUNTS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Footprint:
    """What an instruction touches.

    accesses: int64 [n, 12], rows of ``Access``: what is read and then written; None: nothing.
    work: multiplies.
    largest: bytes of the largest array that is needed.
    """

    accesses: npt.NDArray[np.int64] | None
    work: int = 0
    largest: int = 0

    @classmethod
    def of(
        cls, reads: Sequence[Access], writes: Sequence[Access], work: int = 0, largest: int = 0
    ) -> Footprint:
        """The footprint of what is read and what is written."""
        return cls(np.array([access.row for access in (*reads, *writes)], np.int64), work, largest)


NO_FOOTPRINT = Footprint(None)


class Cost(NamedTuple):
    """What one instruction costs.

    cycles: its unit is busy (a DMA: the bus too).
    macs: multiplies by a weight that is not zero, padding included.
    real_macs: of those, by inputs within the tile.
    passed_over: besides, those by padding that the array does not do.
    products: of those, by inputs that are not zero, where the array skips the others; None: all.
    dram_bytes: on the bus, in whole bursts.
    useful_bytes: of those, asked for.
    slots: of a compute instruction, what the multipliers do, multiplier-cycles by the names of
        ``Kind.slots``; together cycles x multipliers.
    events: how often each event happens that costs energy, by counter (``Kind.events``).
    traffic: through ports, by flow (``physics.traffic``).
    """

    cycles: int = 1
    macs: int = 0
    real_macs: int = 0
    dram_bytes: int = 0
    useful_bytes: int = 0
    products: int | None = None
    passed_over: int = 0
    slots: Mapping[str, int] = NO_COUNTS
    events: Mapping[str, int] = NO_COUNTS
    traffic: Mapping[str, int] = NO_COUNTS


def no_result(_instruction: Any) -> int:
    """Channels that an instruction finishes that writes no tile: 0."""
    return 0


@dataclass(frozen=True)
class InstructionModel:
    """Everything the machine knows of an instruction, in the order in which it asks.

    footprint: what it reads and writes, to the cell, and how much work it asks for; follows from
        the instruction and the registers alone.
    cost: cycles on its unit, and the events that cost energy.
    semantics: what it does to registers and memories, the equation of its docstring.
    streams: reads its streams of weights from memory; the rows of WGT that they take.
        None: it has none.
    weighted: whether its cost depends on the weights; any other cost follows from the registers.
    result: channels of the tile that it finishes, 0 if it finishes none.
    """

    footprint: Callable[[State, Any], Footprint]
    cost: Callable[[State, Any], Cost]
    semantics: Callable[[State, Any], None]
    streams: Callable[[State, Any], int] | None = None
    weighted: bool = False
    result: Callable[[Any], int] = no_result

    def stream_rows(self, state: State, instruction: Any) -> int:
        """Read the instruction's streams; rows of WGT that they take, 0 if it has none."""
        return 0 if self.streams is None else self.streams(state, instruction)
