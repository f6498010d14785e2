"""Memories of the machine, and what their cells remember: whether they were written, and who used
them last.

Memory is poisoned: a cell knows which of its parts were ever written (a bit for each byte of an
ACT row or each sum of an ACC row, one bit for the others), and reading anything else is a fault.
DRAM keeps its records for 16 bytes together, with a bit for each. The program's image (packed
weights and parameters) is there from the start and never written, so it needs none.

A walk may compute the numbers of several images. What holds activations (ACT, ACC, DRAM behind the
image) then has a leading axis that counts them; weights, parameters and all records are there once,
as no address depends on a value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.address_sets import ShadowLayout
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.accel_model.spec import DRAM_GRANULE_BYTES, AccelSpec

ACT, WGT, ACC, PAR, DRAM = range(5)
NAMES = ("ACT", "WGT", "ACC", "PAR", "DRAM")
CELLS = ("row", "row", "row", "row", "byte")
GRANULE_BITS = DRAM_GRANULE_BYTES.bit_length() - 1  # log2
WHOLE = 0xFFFF  # all bits of a record

Bytes = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

# who may write and who may read each memory: bits of units
_WRITERS = (
    isa.Unit.LOAD | isa.Unit.COMPUTE,
    isa.Unit.LOAD,
    isa.Unit.COMPUTE,
    isa.Unit.LOAD,
    isa.Unit.STORE,
)
_READERS = (
    isa.Unit.COMPUTE | isa.Unit.STORE,
    isa.Unit.COMPUTE,
    isa.Unit.COMPUTE,
    isa.Unit.COMPUTE,
    isa.Unit.LOAD,
)


@dataclass(frozen=True, eq=False)
class DramImage:
    """fixed: the bytes from address 0 on, never written by anyone. arena: uint8 [N, bytes], those
    behind them, of each image. element_bytes: that an activation is stored in. value_bytes: that it
    has, all of them or the lower one."""

    fixed: Bytes
    arena: Bytes
    element_bytes: int = 1
    value_bytes: int = 1

    @staticmethod
    def of(program: Program, images: int = 1, spare: DramImage | None = None) -> DramImage:
        """DRAM with the program's image. What is of the image itself, not a copy, ends with it, or
        before an input that the host will write in its midst."""
        image = program.image
        end = min([len(image), *(tensor.address for tensor in program.inputs)])
        element_bytes, value_bytes = program.spec.storage.activation_bytes, program.value_bytes
        end -= end % value_bytes
        fixed = image[:end]
        arena = _room(
            None if spare is None else spare.arena, (images, program.dram_bytes - end), np.uint8
        )
        fixed.flags.writeable = False
        if value_bytes < element_bytes:
            arena[:] = 0  # upper bytes, which nothing writes
        arena[:, : len(image) - end] = image[end:]
        return DramImage(fixed, arena, element_bytes, value_bytes)

    @property
    def images(self) -> int:
        return len(self.arena)

    def source(self, first: int, length: int) -> tuple[Bytes, int]:
        """Where to read a run of bytes: uint8 [N, bytes], or [1, bytes] if all images have the
        same, not to be written; and its first byte there."""
        start = first - len(self.fixed)
        if start + length <= 0:
            return self.fixed[np.newaxis], first
        if start >= 0:
            found = self.arena[:]
        else:
            parts = [
                np.broadcast_to(self.fixed[first:], (self.images, -start)),
                self.arena[:, : start + length],
            ]
            found, start = np.concatenate(parts, axis=1), 0
        found.flags.writeable = False
        return found, start

    def constant(self, first: int, length: int) -> Bytes:
        """A run of bytes that are the same for all images, uint8 [length], not to be written."""
        found, start = self.source(first, length)
        return found[0, start : start + length]

    def elements(self, first: int, length: int) -> tuple[Bytes, int]:
        """``source``, of which only what holds values: uint8 or uint16 [N, elements] or [1,
        elements], and the first element there. first: its byte; length: bytes."""
        return self._values(*self.source(first, length))

    def arena_elements(self, first: int) -> tuple[Bytes, int]:
        """What of the arena holds values of elements, of which one is at byte ``first``, to be
        written: uint8 or uint16 [N, elements]; and its place there."""
        return self._values(self.arena, first - len(self.fixed))

    def _values(self, raw: Bytes, start: int) -> tuple[Bytes, int]:
        """The values in bytes, [N, bytes], of which one is at byte ``start``; and its place."""
        wide = self.element_bytes
        if self.value_bytes == wide:
            whole = raw.shape[1] // wide * wide
            return raw[:, :whole].view(f"u{wide}"), start // wide
        return raw[:, start % wide :: wide], start // wide

    def write(self, first: int, values: Bytes) -> None:
        """Put elements into the arena: [N, elements], or [elements] for all images."""
        into, start = self.arena_elements(first)
        into[:, start : start + values.shape[-1]] = values


@dataclass(frozen=True, eq=False)
class Memories:
    """act uint8 [N, rows, 16] and acc int32 [N, rows, 16], of N images, or of 16-bit activations
    uint16 and int64; wgt uint32 [lanes, rows], each bank in one piece; par uint8 [rows, 16].

    sum_bits: that a row of acc has for a sum.

    wgt_written: bool [lanes, rows], the words of WGT that were written. records: int32
    [7, records], of the cells of all memories: which of their parts were written; then for each
    unit when it last wrote, and for each unit when it last read, as the count of the unit's own
    instructions (0: never). places: int64 [memories, 6], ``cells.Place``.
    """

    act: Bytes
    wgt: npt.NDArray[np.uint32]
    wgt_written: npt.NDArray[np.bool_]
    acc: Int32
    par: Bytes
    dram: DramImage
    image_bytes: int
    sum_bits: int
    records: Int32
    places: Int64

    @staticmethod
    def of(
        spec: AccelSpec, program: Program, images: int = 1, spare: Memories | None = None
    ) -> Memories:
        """Memories that hold anything, as it cannot be read; DRAM holds the program's image. spare:
        memories that are no longer used, whose arrays may be taken."""
        dram = DramImage.of(program, images, None if spare is None else spare.dram)
        counts = (spec.act_rows, spec.wgt_rows, spec.acc_rows, spec.par_rows, program.dram_bytes)
        places, used = [], 0
        for memory, count in enumerate(counts):
            granule, start = (GRANULE_BITS, len(dram.fixed)) if memory == DRAM else (0, 0)
            places.append(
                ShadowLayout(
                    count,
                    start,
                    granule,
                    used - (start >> granule),
                    int(_WRITERS[memory]),
                    int(_READERS[memory]),
                )
            )
            used += (count >> granule) - (start >> granule) + 1
        banks = spec.wgt_banks
        made = Memories(
            act=_room(
                None if spare is None else spare.act, (images, spec.act_rows, 16), program.act_type
            ),
            wgt=np.zeros((banks, spec.wgt_rows), np.uint32),
            wgt_written=np.zeros((banks, spec.wgt_rows), np.bool_),
            acc=np.empty((images, spec.acc_rows, 16), program.sum_type),
            par=np.zeros((spec.par_rows, 16), np.uint8),
            dram=dram,
            image_bytes=len(program.image),
            sum_bits=program.sum_bits,
            records=np.zeros((7, used), np.int32),
            places=np.array(places, np.int64),
        )
        made._set_written(len(dram.fixed), len(program.image) - len(dram.fixed))
        return made

    def give(self, tensor: Tensor, values: Bytes | None) -> None:
        """The host puts a tensor of each image into DRAM, [N, elements]; without ``values`` it
        only says that it is there."""
        self._set_written(tensor.address, tensor.nbytes)
        if values is not None:
            self.dram.write(tensor.address, values)

    def elements(self, tensor: Tensor) -> Bytes:
        """A tensor of each image, uint8 or uint16 [N, elements], not to be written."""
        found, start = self.dram.elements(tensor.address, tensor.nbytes)
        size = tensor.size
        return np.broadcast_to(found[:, start : start + size], (self.dram.images, size))

    def _set_written(self, first: int, length: int) -> None:
        if length:
            _, records, bits = self._dram_records(first, length)
            records |= bits

    def check_readable(self, first: int, length: int) -> None:
        """Fault if there is a byte in a run of DRAM that is not there or was never written."""
        if first + length <= len(self.dram.fixed):
            return
        cells = AddressSet(first, length)
        if cells.last >= self.places[DRAM, 0]:
            raise out_of_bounds(DRAM, 0, cells, int(self.places[DRAM, 0]))
        bad = self._first_unwritten(first, length)
        if bad >= 0:
            raise self.never_written(DRAM, bad)

    def missing(self, tensor: Tensor) -> int:
        """The number of the first byte of a tensor that was never written, or -1."""
        found = self._first_unwritten(tensor.address, tensor.nbytes)
        return found if found < 0 else found - tensor.address

    def _first_unwritten(self, first: int, length: int) -> int:
        """The first byte of a run of DRAM that was never written, or -1."""
        start, records, bits = self._dram_records(first, length)
        lacking = bits & ~records
        if not lacking.any():
            return -1
        record = int(np.flatnonzero(lacking)[0])
        bit = int(lacking[record])
        return (start + record << GRANULE_BITS) + (bit & -bit).bit_length() - 1

    def _dram_records(self, first: int, length: int) -> tuple[int, Int32, Int32]:
        """Of a run of DRAM, behind what needs no records: the number of the granule that its first
        record is of, its records, and its bits in each."""
        _, fixed, granule, offset, *_ = self.places[DRAM].tolist()
        at, last = max(first, fixed), first + length - 1
        start, end = at >> granule, (last >> granule) + 1 if at <= last else at >> granule
        bits = np.full(end - start, WHOLE, np.int32)
        bits[:1] &= WHOLE << (at & 15)
        bits[-1:] &= WHOLE >> (15 - (last & 15))
        return start, self.records[0, offset + start : offset + end], bits

    def never_written(self, memory: int, cell: int) -> InstructionFault:
        """What is wrong with reading a cell."""
        _, _, granule, offset, *_ = self.places[memory].tolist()
        some = not granule and self.records[0, offset + cell]
        return InstructionFault(
            f"reads {NAMES[memory]} {CELLS[memory]} {cell}, which was never written"
            f"{' in part' if some else ''}"
        )


def _room(spare: Bytes | None, shape: tuple[int, ...], kind: npt.DTypeLike) -> Bytes:
    """Elements: those that are spare if they are of as many images or more, of the same size and
    type."""
    if (
        spare is not None
        and spare.dtype == kind
        and spare.shape[1:] == shape[1:]
        and len(spare) >= shape[0]
    ):
        return spare[: shape[0]]
    return np.empty(shape, kind)


def out_of_bounds(memory: int, write: int, cells: AddressSet, count: int) -> InstructionFault:
    """What is wrong with an access to cells of a memory that has ``count``."""
    return InstructionFault(
        f"{'writes' if write else 'reads'} {NAMES[memory]} {CELLS[memory]}s "
        f"{cells.first}..{cells.last}, but there are {count}"
    )
