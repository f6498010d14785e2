"""What is counted through ports, and which of it is reads and writes of an event.

A *flow* is a counter of the machine, of one user of a port. It counts activations, weights or sums
where a memory holds these, however many bits they are stored in, and bytes of everything else
(streams, parameters, DRAM, sums of an array's own); how many bytes a unit has the port says
(``PartPort.unit``), from the spec's [storage]. The flows of an event add up to its own counter, and
say how much of it was reading and how much writing, which cost differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zeroskip.accel_model.spec import ACC_ROW, ACT_ROW, PAR_ROW_BYTES, WGT_WORD_BYTES


@dataclass(frozen=True)
class Split:
    """An event that is either a read or a write.

    unit: of its flows, for one event.
    reads, writes: its flows.
    """

    unit: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def flows(self) -> tuple[str, ...]:
        return self.reads + self.writes


SPLITS: Mapping[str, Split] = MappingProxyType(
    {  # key of [energy] -> its flows
        "act_row": Split(ACT_ROW, ("act_fetched", "act_stored"), ("act_written", "act_loaded")),
        "wgt_word": Split(WGT_WORD_BYTES, ("wgt_read",), ("wgt_loaded",)),
        "acc_row": Split(ACC_ROW, ("acc_read",), ("acc_written",)),
        "lookup": Split(PAR_ROW_BYTES, ("looked_up",), ("table_written",)),
        "dram_byte": Split(1, ("dram_read",), ("dram_written",)),
    }
)
WINDOW_SPLIT = Split(1, ("window_read",), ("window_written",))
ROW_SPLIT = Split(1, ("row_read",), ("row_written",))


@dataclass(frozen=True)
class Price:
    """Picojoules of an event, where it reads and where it writes; alike where it does neither."""

    read: float
    write: float

    @staticmethod
    def alike(picojoules: float) -> Price:
        return Price(picojoules, picojoules)

    @property
    def mean(self) -> float:
        """Where reads and writes are not told apart."""
        return (self.read + self.write) / 2
