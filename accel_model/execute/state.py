"""What instructions work on: memories and registers, and the values that registers give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import FilterSet, StreamPlacement
from zeroskip.accel_model.formats import FormatTable, Shape, WeightFormat
from zeroskip.accel_model.functional.activations import ActivationMath
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.limits import ResourceLimits
from zeroskip.accel_model.memory.memories import Memories
from zeroskip.accel_model.memory.operand_window import OperandWindow
from zeroskip.accel_model.memory.wgt_banks import decode, gather, placed_rows
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.spec import AccelSpec

MOST_REMEMBERED = 1 << 24  # decoded weights, of what is in WGT

R = TypeVar("R", bound=isa.Instruction)


@dataclass(frozen=True)
class Streams:
    """Filters in WGT: decoded, and the rows that they take from ``first`` on."""

    filters: FilterSet
    first: int
    rows: int


@dataclass(eq=False)
class State:
    """What an instruction may look at.

    numbers: the values of activations; None: only time and safety are computed. value_bytes: of
    such a value. work: multiplies that were asked for. results: the table of results, uint8 [256].
    streams: what the instruction being executed reads of WGT. incoming: the words that it loads
    into WGT, and the rows that they take.
    """

    spec: AccelSpec
    memories: Memories
    numbers: ActivationMath | None
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    value_bytes: int = 1
    work: int = 0
    registers: dict[type[isa.Instruction], isa.Instruction] = field(default_factory=dict)
    table: FormatTable | None = None
    results: npt.NDArray[np.uint8] | None = None
    streams: Streams | None = None
    incoming: tuple[npt.NDArray[np.uint32], int] | None = None
    _window: OperandWindow | None = None
    _read: dict[tuple[object, ...], Streams] = field(default_factory=dict)
    _weights: int = 0
    _words: npt.NDArray[np.uint32] | None = None

    def set(self, one: isa.Instruction) -> None:
        """Set a register."""
        self.registers[type(one)] = one
        self._window = None

    def register(self, cls: type[R]) -> R:
        """What the latest ``cls`` set; Fault if there was none."""
        found = self.registers.get(cls)
        if not isinstance(found, cls):
            raise InstructionFault(f"needs what `{cls.mnemonic}` sets, and none came before it")
        return found

    def window(self) -> OperandWindow:
        """What `input`, `extent`, `kernel` and `output` say together."""
        if self._window is None:
            self._window = OperandWindow.of(
                self.register(isa.Input),
                self.register(isa.Extent),
                self.register(isa.Kernel),
                self.register(isa.Output),
                self.value_bytes,
            )
        return self._window

    @property
    def wide(self) -> bool:
        """Whether activations have values of 16 bits."""
        return self.value_bytes > 1

    def result_table(self) -> npt.NDArray[np.uint8]:
        """What the latest `lookup` set, uint8 [256]; Fault if there was none."""
        if self.results is None:
            raise InstructionFault("needs what `lookup` sets, and none came before it")
        return self.results

    def spend(self, work: int, largest: int) -> None:
        """Fault if an instruction, or all so far, ask for more than the limits allow.

        work: its multiplies. largest: bytes of the largest array that it needs.
        """
        if largest > self.limits.step_bytes:
            raise InstructionFault(
                f"needs an array of {largest} bytes, and the limit is "
                f"{self.limits.step_bytes}; cut it into smaller tiles"
            )
        self.work += work
        if self.work > self.limits.work:
            raise InstructionFault(
                f"brings the program's multiplies to {self.work}, and the limit is "
                f"{self.limits.work}; run it with higher limits"
            )

    # --------------------------------------------------------------------------------- weights

    def take_streams(self, first: int, size: int, placement: StreamPlacement) -> int:
        """Take up the streams in a run of DRAM bytes; the rows of WGT that they will take."""
        memories = self.memories
        memories.check_readable(first, size)
        words = memories.dram.constant(first, size).view(np.uint32)
        if not words.flags.aligned:
            words = words.copy()
            words.flags.writeable = False
        rows = int(placed_rows(words, placement.slots, placement.banks))
        if rows < 0:
            raise InstructionFault("loads weight streams whose headers do not add up to its size")
        self.incoming = words, rows
        return rows

    def read_streams(
        self,
        first: int,
        count: int,
        shape: Shape,
        placement: StreamPlacement,
        weights: WeightFormat,
    ) -> Streams:
        """Read ``count`` filters from WGT row ``first`` on and decode them.

        They are remembered until one of their rows is written (``overwrite_streams``).
        """
        table = self._table() if weights.table_rows(shape.taps) else None
        key = (first, count, shape, placement, weights.name, table)
        found = self._read.get(key)
        if found is None:
            found = self._decode(first, count, shape, placement, weights, table)
            self._remember(key, found)
        self.streams = found
        return found

    def placement(self, mode: int) -> StreamPlacement:
        """How streams lie in WGT in a mode; Fault if the array has no such mode."""
        modes = self.spec.kind.modes(self.spec.array)
        if mode not in modes:
            raise InstructionFault(
                f"asks for mode {mode}, and the array has {modes.start}..{modes.stop - 1}"
            )
        return self.spec.kind.placement(self.spec.array, mode)

    def _remember(self, key: tuple[object, ...], found: Streams) -> None:
        self._read[key] = found
        self._weights += found.filters.matrix.size
        while self._weights > MOST_REMEMBERED and len(self._read) > 1:
            self._forget(next(iter(self._read)))

    def _forget(self, key: tuple[object, ...]) -> None:
        self._weights -= self._read.pop(key).filters.matrix.size

    def overwrite_streams(self, first: int, rows: int) -> None:
        """Rows of WGT are written: what was read of them is no longer so."""
        gone = [
            key
            for key, one in self._read.items()
            if one.first < first + rows and first < one.first + one.rows
        ]
        for key in gone:
            self._forget(key)

    def _table(self) -> FormatTable:
        if self.table is None:
            raise InstructionFault("needs what `table` sets, and none came before it")
        return self.table

    def _decode(
        self,
        first: int,
        count: int,
        shape: Shape,
        placement: StreamPlacement,
        weights: WeightFormat,
        table: FormatTable | None,
    ) -> Streams:
        memories = self.memories
        if self._words is None:
            self._words = np.empty(memories.wgt.size, np.uint32)
        rows, words, bad = gather(
            memories.wgt,
            memories.wgt_written,
            first,
            count,
            placement.slots,
            placement.banks,
            self._words,
        )
        if bad >= 0:
            raise InstructionFault(
                f"reads WGT rows {bad} and on, but there are {self.spec.wgt_rows} and the "
                "stream there does not end before"
                if rows == -1
                else f"reads WGT row {bad}, which was never written"
            )
        raw = self._words[:words].view(np.uint8)
        return Streams(decode(weights, raw, count, shape, table), first, int(rows))

    def decoded(self) -> FilterSet:
        """The filters of the instruction being executed."""
        assert self.streams is not None  # its streams were read before
        return self.streams.filters


def tile_cells(
    tile: isa.Output | isa.Operand, height: int, width: int, first_block: int, count: int
) -> AddressSet:
    """Rows of ACT of ``count`` channel blocks of an output or operand tile."""
    return AddressSet(
        tile.act + first_block * tile.block, width, 1, 0, height, tile.row, count, tile.block
    )


def block_masks(channels: int) -> list[tuple[int, int, int]]:
    """(first block, blocks, mask of the bytes used) for the whole blocks and for a ragged one."""
    whole, rest = divmod(channels, isa.BLOCK)
    parts = [(0, whole, 0xFFFF)] if whole else []
    return parts + ([(whole, 1, (1 << rest) - 1)] if rest else [])
