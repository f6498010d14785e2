"""The values of activations: moved, multiplied, pooled, added, requantised.

Neither time nor safety depends on them, so a walk may do without. What they depend on besides other
values (registers, weights, parameters) is given with each call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zeroskip.accel_model import kernels
from zeroskip.accel_model.convolution import Convolver
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.isa import BLOCK
from zeroskip.accel_model.kernels import Int8, Int32, Int64
from zeroskip.accel_model.layout import blocks
from zeroskip.accel_model.memory import Bytes, Memories
from zeroskip.accel_model.weights import Filters
from zeroskip.accel_model.window import NO_OPERAND, Operand, Target, Window

NOT_IN_INT32 = "makes a sum that does not fit in int32"


class Moved(NamedTuple):
    """A move: first byte of DRAM, first byte of ACT, bytes of DRAM from the first to the last, and
    what ``kernels.move`` needs to know either way."""

    dram: int
    act: int
    reach: int
    to_act: Int64
    to_dram: Int64


class Result(NamedTuple):
    """How sums become an output: the rows of PAR with bias, multipliers and shifts, the tile, and
    the operand that is added with the row of its scale, or none."""

    rows: Bytes
    y: Target
    operand: Operand = NO_OPERAND
    scale: Bytes = np.zeros(16, np.uint8)


class Partial(NamedTuple):
    """Sums of a part of a reduction: rows of ACC, slots of a group of filters, and whether this is
    the first part and the last."""

    acc: int
    rows: int
    slots: int
    first: int
    last: int


class Numbers:
    """What the values are in, and what becomes of them.

    before: if ``watched``, what the last instruction made of its sums before an operand was added
    to it, int8 or uint8 [channels, pixels]; None if there was none.
    """

    def __init__(self, memories: Memories, watched: bool = False) -> None:
        self._act, self._acc, self._dram = memories.act, memories.acc, memories.dram
        self._convolver = Convolver()
        self._watched = watched
        self.before: Int8 | Bytes | None = None

    def load(self, moved: Moved) -> None:
        kernels.move(self._dram.read(moved.dram, moved.reach), self._act.reshape(-1), 0,
                     moved.act, moved.to_act)

    def store(self, moved: Moved) -> None:
        kernels.move(self._act.reshape(-1), self._dram.arena, moved.act,
                     moved.dram - len(self._dram.fixed), moved.to_dram)

    def conv(self, window: Window, channels: int, filters: Filters, part: Partial | None,
             result: Result | None) -> None:
        """part: None if the reduction is whole; result: None if it is not the last."""
        sums = self._convolver.sums(self._act, window, channels, filters)
        if part is not None:
            acc = self._acc[part.acc : part.acc + part.rows].reshape(len(sums), -1)
            if not kernels.add_up(sums, filters.order, part.slots, acc, part.first, part.last):
                raise Fault(NOT_IN_INT32)
        if result is not None:
            self._finish(sums, window, result)

    def weighted(self, window: Window, weights: Int8, result: Result) -> None:
        """Sums over the taps, channel by channel: weights int8 [taps, channels]."""
        self._finish(self._weighted_sums(window, weights), window, result)

    def average(self, window: Window, channels: int, y: Target, scale: Bytes) -> None:
        """scale: uint8 [16], the row of PAR with multiplier and shift."""
        sums = self._weighted_sums(window, np.ones((window.taps, channels), np.int8))
        _check_shift(*kernels.finish_average(sums, self._act, scale, y))

    def maxima(self, window: Window, channels: int, y: Target) -> None:
        most = np.empty((window.outputs, channels), np.int32)
        if not kernels.maxima(self._act, window, most):
            raise Fault("has an output that no pixel of the input tile reaches")
        kernels.finish_max(most, self._act, y)

    def add(self, window: Window, channels: int, y: Target, operand: Operand, scale: Bytes) -> None:
        sums = self._weighted_sums(window, np.ones((1, channels), np.int8))
        _check_shift(*kernels.finish_add(sums, self._act, scale, y, operand))

    def _weighted_sums(self, window: Window, weights: Int8) -> Int32:
        sums = np.empty((window.outputs, weights.shape[1]), np.int32)
        kernels.weighted_sums(self._act, window, weights, sums)
        return sums

    def _finish(self, sums: Int32, window: Window, result: Result) -> None:
        if self._watched and result.operand.there:
            self.before = _before(sums, result)
        found, shift = kernels.finish(sums, self._act, result.rows, result.y, result.operand,
                                      result.scale)
        _check_shift(found, shift)
        if found == kernels.WIDE:
            raise Fault(NOT_IN_INT32)


def _before(sums: Int32, result: Result) -> Int8 | Bytes:
    """The sums requantised as they are before the operand is added, [channels, pixels]."""
    y, r = result.y, result.operand
    pixels, channels = sums.shape
    made = np.zeros((blocks(channels) * pixels, BLOCK), np.uint8)
    alone = Target(0, y.width, pixels, y.width, r.mid_zero_point, r.mid_low, r.mid_high)
    found, shift = kernels.finish(sums.copy(), made, result.rows, alone, NO_OPERAND, result.scale)
    _check_shift(found, shift)
    tile = np.ascontiguousarray(made.reshape(-1, pixels, BLOCK).swapaxes(1, 2))
    whole = tile.reshape(-1, pixels)[:channels]
    return whole if r.mid_high > 127 else whole.view(np.int8)


def _check_shift(found: int, shift: int) -> None:
    if found == kernels.SHIFT:
        raise Fault(f"shifts by {shift}, not by 1..{kernels.MAX_SHIFT}")
