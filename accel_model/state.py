"""What instructions work on: memories and registers, and the values that registers give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import isa
from zeroskip.accel_model.cells import Cells
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.formats import PatternTable
from zeroskip.accel_model.layout import blocks
from zeroskip.accel_model.limits import Limits
from zeroskip.accel_model.memory import Memories
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.weights import Decoder, Filters, gather, measure, stream_lengths
from zeroskip.accel_model.window import Window

R = TypeVar("R", bound=isa.Instruction)


@dataclass(frozen=True)
class Streams:
    """Filters in WGT: decoded, and the rows that they take."""

    filters: Filters
    rows: int


@dataclass(frozen=True)
class Incoming:
    """Filter streams in DRAM: their words and the length of each."""

    words: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int32]


@dataclass(eq=False)
class State:
    """``numbers``: whether activations are computed, or only time and safety. ``work``: multiplies
    that were asked for."""

    spec: AccelSpec
    memories: Memories
    decoder: Decoder
    numbers: bool
    limits: Limits = field(default_factory=Limits)
    work: int = 0
    registers: dict[type[isa.Instruction], isa.Instruction] = field(default_factory=dict)
    table: PatternTable | None = None
    streams: Streams | None = None  # of the instruction being executed, as `incoming`
    incoming: Incoming | None = None

    def register(self, cls: type[R]) -> R:
        """What the latest ``cls`` set; Fault if there was none."""
        found = self.registers.get(cls)
        if not isinstance(found, cls):
            raise Fault(f"needs what `{cls.mnemonic}` sets, and none came before it")
        return found

    def spend(self, outputs: int, terms: int, filters: int = 1) -> None:
        """Fault if an instruction, or all so far, ask for more than the limits allow.

        terms: multiplies for one output of one filter.
        """
        largest = terms * max(2 * outputs, filters)
        if largest > self.limits.step_bytes:
            raise Fault(f"needs an array of {largest} bytes, and the limit is "
                        f"{self.limits.step_bytes}; cut it into smaller tiles")
        self.work += outputs * terms * filters
        if self.work > self.limits.work:
            raise Fault(f"brings the program's multiplies to {self.work}, and the limit is "
                        f"{self.limits.work}; run it with higher limits")

    def window(self) -> Window:
        return Window.of(self.register(isa.Input), self.register(isa.Kernel),
                         self.register(isa.Output))

    def input_bytes(self) -> npt.NDArray[np.int8] | npt.NDArray[np.uint8]:
        """ACT [rows, 16] as the type of the input."""
        return self.act_as(self.register(isa.Input).unsigned)

    def act_as(self, unsigned: int) -> npt.NDArray[np.int8] | npt.NDArray[np.uint8]:
        act: npt.NDArray[np.uint8] = self.memories.act.data
        return act if unsigned else act.view(np.int8)

    def incoming_streams(self, cells: Cells) -> Incoming:
        """The streams in a run of DRAM bytes."""
        dram = self.memories.dram
        dram.check_bounds(cells, "reads")
        dram.check_written(cells, 1)
        words = dram.data[cells.first : cells.first + cells.length].copy().view(np.uint32)
        self.incoming = Incoming(words, stream_lengths(words))
        return self.incoming

    def read_streams(self, wgt: int, count: int, channels: int, taps: int, gang: int,
                     kind: str) -> Streams:
        """Read ``count`` filters from WGT row ``wgt`` on and decode them."""
        array, memory = self.spec.array, self.memories.wgt
        if gang > array.max_gang:
            raise Fault(f"gangs {1 << gang} lanes, the array {1 << array.max_gang} at most")
        table = None
        if kind == "pattern":
            if self.table is None:
                raise Fault("needs what `patterns` sets, and none came before it")
            table = self.table
        slots = array.lanes >> gang
        lengths = np.zeros(count, np.int32)
        rows, bad = measure(memory.data, self.memories.wgt_words, wgt, slots, gang, lengths)
        if bad >= 0:
            raise Fault(f"reads WGT row {bad}, which was never written" if rows >= 0 else
                        f"reads WGT rows {bad} and on, but there are {len(memory.data)} and "
                        "the stream there does not end before")
        words = np.empty(int(lengths.sum()), np.uint32)
        gather(memory.data, wgt, slots, gang, lengths, words)
        filters = self.decoder.filters(kind, words, count, channels, taps, table)
        self.streams = Streams(filters, int(rows))
        return self.streams

    def decoded(self) -> Filters:
        """The filters of the instruction being executed."""
        assert self.streams is not None  # its footprint was taken before
        return self.streams.filters


def tile_cells(tile: isa.Output | isa.Operand, height: int, width: int, first_block: int,
               count: int) -> Cells:
    """Rows of ACT of ``count`` channel blocks of an output or operand tile."""
    return Cells(tile.act + first_block * tile.block, width, 1, 0, height, tile.row, count,
                 tile.block)


def block_masks(channels: int) -> list[tuple[int, int, int]]:
    """(first block, blocks, mask of the bytes used) for the whole blocks and for a ragged one."""
    whole, rest = divmod(channels, isa.BLOCK)
    parts = [(0, whole, 0xFFFF)] if whole else []
    return parts + ([(whole, 1, (1 << rest) - 1)] if rest else [])


def accumulator_rows(slots: int, filters: int) -> list[int]:
    """Sums used in each of the ACC rows of one pixel.

    ACC row ``acc + n*len + i`` is row i of output pixel n. Each group of ``slots`` streams has
    rows of its own, 16 slots in each; a sum belongs to its slot, not to a channel.
    """
    rows = []
    for start in range(0, filters, slots):
        group = min(slots, filters - start)
        rows += [min(isa.BLOCK, group - isa.BLOCK * i) for i in range(blocks(group))]
    return rows
