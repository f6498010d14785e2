"""The values of activations: moved, multiplied, pooled, added, requantized.

Safety does not depend on them, nor time but on arrays that look at them, so a walk may do without.
What they depend on besides other values (registers, weights, parameters) is given with each call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import FilterSet
from zeroskip.accel_model.functional import kernels, pooling
from zeroskip.accel_model.functional.convolution import Convolver
from zeroskip.accel_model.functional.kernels import Int8, Int32, Int64
from zeroskip.accel_model.functional.pooling import Integers
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.memories import Bytes, Memories
from zeroskip.accel_model.memory.operand_window import (
    NO_OPERAND,
    NO_TABLE,
    OperandWindow,
    ResidualOperand,
    Target,
)
from zeroskip.accel_model.program.tensor_layout import blocks

Sums = TypeVar("Sums", Int32, Integers)

INT8 = 127  # the greatest value
SUMS = 1 << 20  # bytes of the sums of several images


class DmaCopy(NamedTuple):
    """A move: first byte of DRAM, first element of ACT, bytes of DRAM from the first to the last,
    and what ``kernels.move`` needs to know either way, in elements."""

    dram: int
    act: int
    reach: int
    to_act: Int64
    to_dram: Int64


class OutputSpec(NamedTuple):
    """How sums become an output: the rows of PAR with bias, multipliers and shifts, the tile, and
    the operand that is added with the row of its scale, or none."""

    rows: Bytes
    y: Target
    operand: ResidualOperand = NO_OPERAND
    scale: Bytes = np.zeros(16, np.uint8)

    @property
    def words(self) -> Int32:
        """int32 [4 * rows]: the rows as ``kernels.finish`` takes them."""
        return self.rows.reshape(-1).view(np.int32)


class PartialSum(NamedTuple):
    """Sums of a part of a reduction: first row of ACC, slots of a group of filters, and whether
    this is the first part and the last."""

    acc: int
    slots: int
    first: int
    last: int


class ActivationMath:
    """What the values are in, and what becomes of them: of all images of a walk, in each call.

    An instruction goes through as many images at a time as have sums that stay in the processor's
    caches together.
    """

    def __init__(self, memories: Memories, watched: bool = False) -> None:
        self._act, self._acc, self._dram = memories.act, memories.acc, memories.dram
        self._bytes = self._act.reshape(len(self._act), -1)
        self._given = self._bytes[:]  # as DRAM gives bytes: ``move`` is compiled once for both
        self._given.flags.writeable = False
        self._sum_bits, self._sum_type = memories.sum_bits, memories.acc.dtype
        self._convolver = Convolver(self._sum_bits)
        self._watched = watched
        self._rooms: dict[int, tuple[Int32, Int32, Int64]] = {}  # by outputs in a row
        # by stage, of runs of images one after the other
        self._before: list[list[Int8 | Bytes]] = []

    def load(self, moved: DmaCopy) -> None:
        source, start = self._dram.elements(moved.dram, moved.reach)
        kernels.move(source, self._bytes, start, moved.act, moved.to_act)

    def store(self, moved: DmaCopy) -> None:
        into, first = self._dram.arena_elements(moved.dram)
        kernels.move(self._given, into, moved.act, first, moved.to_dram)

    def conv(
        self,
        window: OperandWindow,
        channels: int,
        filters: FilterSet,
        part: PartialSum | None,
        result: OutputSpec | None,
    ) -> None:
        """part: None if the reduction is whole; result: None if it is not the last."""
        for images in self._together(window, len(filters.matrix)):
            sums = self._convolver.sums(self._act[images], window, channels, filters)
            if part is not None:
                bad = kernels.add_up(
                    sums,
                    filters.order,
                    part.slots,
                    self._acc[images],
                    part.acc,
                    part.first,
                    part.last,
                    self._largest,
                )
                if bad >= 0:
                    raise self._beyond(images.start + bad)
            if result is not None:
                self._finish(sums, images, len(filters.matrix), result)

    def weighted(self, window: OperandWindow, weights: Int8, result: OutputSpec) -> None:
        """Sums over the taps, channel by channel: weights int8 [taps, channels]."""
        for images, sums in self._weighted_sums(window, weights):
            self._finish(sums, images, weights.shape[1], result)

    def average(self, window: OperandWindow, channels: int, y: Target, scale: Bytes) -> None:
        """scale: uint8 [16], the row of PAR with multiplier and shift."""
        mult, shift = struct.unpack("<iB", scale[:5].tobytes())
        low, high = window.limits
        reach = window.taps * max(-low, high)

        def write(held: Integers, act: Bytes, y: Target) -> None:
            _check_scale(*pooling.write_averages(held, act, channels, mult, shift, y, reach))

        for images in self._together(window, channels):
            sums = pooling.sums(self._act[images], window, blocks(channels), self._sum_type)
            self._write(write, sums, images, channels, y)

    def maxima(self, window: OperandWindow, channels: int, y: Target) -> None:
        def write(held: Int32, act: Bytes, y: Target) -> None:
            pooling.write_maxima(held, act, channels, y)

        for images in self._together(window, channels):
            most = pooling.maxima(self._act[images], window, blocks(channels))
            if most is None:
                raise InstructionFault("has an output that no pixel of the input tile reaches")
            self._write(write, most, images, channels, y)

    def pair(
        self,
        window: OperandWindow,
        channels: int,
        y: Target,
        operand: ResidualOperand,
        scale: Bytes,
        *,
        product: bool,
    ) -> None:
        """The sum of the inputs and the operand, or their product."""
        ones = np.ones((1, channels), np.int8)

        def write(held: Int32, act: Bytes, y: Target) -> None:
            room = np.empty(BLOCK * y.width, act.dtype)
            words = scale.view(np.int32)
            _check_scale(
                *kernels.finish_pair(held, act, channels, words, y, operand, product, room)
            )

        for images, sums in self._weighted_sums(window, ones):
            self._write(write, sums, images, channels, y)

    def nonzeros(self, window: OperandWindow, channels: int) -> npt.NDArray[np.bool_]:
        """bool [channels, height, width]: inputs of the tile of the first image that are not zero;
        anything where no tap of an output looks."""
        rows = (
            window.act
            + np.arange(blocks(channels))[:, None, None] * window.block
            + np.arange(window.height)[:, None] * window.row
            + np.arange(window.width)
        )
        values = self._act[0][np.minimum(rows, len(self._act[0]) - 1)]
        there = (values ^ window.flip).astype(np.int32) != window.offset
        found: npt.NDArray[np.bool_] = there.transpose(0, 3, 1, 2).reshape(-1, *there.shape[1:3])
        return found[:channels]

    def _together(self, window: OperandWindow, channels: int) -> list[slice]:
        """The images in runs whose sums have at most ``SUMS`` bytes, or of one image."""
        count = len(self._act)
        step = max(1, SUMS // (self._sum_type.itemsize * BLOCK * window.outputs * blocks(channels)))
        return [slice(first, min(first + step, count)) for first in range(0, count, step)]

    @property
    def before(self) -> tuple[npt.NDArray[np.integer[Any]], ...]:
        """What the last instruction computed on the way to its result, if ``watched``: before a
        table and before an operand was added, or before an operand was added and before a table;
        int8 or uint8 [N, channels, pixels] each."""
        return tuple(np.concatenate(images) for images in self._before)

    def forget(self) -> None:
        """Before an instruction: of the one before it nothing is known."""
        self._before.clear()

    def _note(self, stage: int, values: Int8 | Bytes) -> None:
        """Keep what some images have on the way to a result."""
        if stage == len(self._before):
            self._before.append([])
        self._before[stage].append(values)

    def _weighted_sums(self, window: OperandWindow, weights: Int8) -> Iterator[tuple[slice, Int32]]:
        for images in self._together(window, weights.shape[1]):
            act = self._act[images]
            shape = len(act), blocks(weights.shape[1]), window.outputs, BLOCK
            sums, row = np.zeros(shape, self._sum_type), self._row(window)
            factors = np.empty(len(row), np.int32)
            kernels.weighted_sums(act, window, weights, row, factors, sums)
            yield images, sums

    def _row(self, window: OperandWindow) -> Bytes:
        """Room for a block of channels of a row of outputs."""
        return np.empty(BLOCK * window.out_width, self._act.dtype)

    def _finish(self, sums: Int32, images: slice, channels: int, result: OutputSpec) -> None:
        r, stages = result.operand, 0
        if self._watched and r.there:
            self._note(
                0, self._unadded(sums, channels, result, NO_TABLE, self._unsigned(r.mid_high))
            )
            stages = 1
            if len(r.mid_table):
                unsigned = bool(r.mid_unsigned)
                self._note(1, self._unadded(sums, channels, result, r.mid_table, unsigned))
                stages = 2

        def write(held: Int32, act: Bytes, y: Target) -> None:
            found, which = kernels.finish(
                held,
                act,
                channels,
                result.words,
                y,
                result.operand,
                result.scale.view(np.int32),
                *self._parameters(result.y.width),
                self._largest,
            )
            _check_scale(found, which)
            if found == kernels.WIDE:
                raise self._beyond(images.start + which)

        self._write(write, sums, images, channels, result.y, stages)

    def _write(
        self,
        write: Callable[[Sums, Bytes, Target], None],
        sums: Sums,
        images: slice,
        channels: int,
        y: Target,
        stage: int = 0,
    ) -> None:
        """Write sums to a tile of some images; if ``watched``, first as they are before the table,
        which the same rows hold for a moment, since an instruction reads none of those."""
        act = self._act[images]
        if self._watched and len(y.table):
            plain = y._replace(table=NO_TABLE)
            write(sums.copy(), act, plain)
            self._note(stage, _tile(act, plain, sums.shape[2], channels, self._unsigned(y.high)))
        write(sums, act, y)

    def _parameters(self, width: int) -> tuple[Int32, Int32, Int64]:
        """Room for biases, multipliers and shifts of a row of so many outputs of a block."""
        if width not in self._rooms:
            size = BLOCK * width
            self._rooms[width] = (
                np.empty(size, np.int32),
                np.empty(size, np.int32),
                np.empty(size, np.int64),
            )
        return self._rooms[width]

    def _unadded(
        self, sums: Int32, channels: int, result: OutputSpec, table: Bytes, unsigned: bool
    ) -> Int8 | Bytes:
        """The sums requantized, and looked up if there is a table, as they are before the operand
        is added, [images, channels, pixels]."""
        r, width = result.operand, result.y.width
        images, count, pixels, _ = sums.shape
        made = np.zeros((images, count * pixels, BLOCK), self._act.dtype)
        alone = Target(0, width, pixels, width, r.mid_zero_point, r.mid_low, r.mid_high, table)
        found, which = kernels.finish(
            sums.copy(),
            made,
            channels,
            result.words,
            alone,
            NO_OPERAND,
            result.scale.view(np.int32),
            *self._parameters(width),
            self._largest,
        )
        _check_scale(found, which)
        return _tile(made, alone, pixels, channels, unsigned)

    def _unsigned(self, high: int) -> bool:
        """Whether results up to ``high`` are uint8."""
        return self._act.itemsize == 1 and high > INT8

    @property
    def _largest(self) -> int:
        """The greatest sum."""
        return (1 << (self._sum_bits - 1)) - 1

    def _beyond(self, image: int) -> InstructionFault:
        return InstructionFault(f"makes a sum that does not fit in int{self._sum_bits}", image)


def _tile(act: Bytes, y: Target, pixels: int, channels: int, unsigned: bool) -> Int8 | Bytes:
    """What lies in an output tile, [images, channels, pixels]."""
    n = np.arange(pixels)
    rows = (
        y.act + np.arange(blocks(channels))[:, None] * y.block + n // y.width * y.row + n % y.width
    )
    values = act[:, rows].swapaxes(2, 3).reshape(len(act), -1, pixels)[:, :channels]
    whole = np.ascontiguousarray(values)
    return whole if unsigned else whole.view(f"i{whole.itemsize}")


def _check_scale(found: int, which: int) -> None:
    if found == kernels.SHIFT:
        raise InstructionFault(f"shifts by {which}, not by 1..{kernels.MAX_SHIFT}")
    if found == kernels.SCALE:
        raise InstructionFault(f"scales by {which}, and a product with a sum may not fit in int64")
