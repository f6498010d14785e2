"""Packed filter streams: into WGT's banks, out of them, and decoded.

The weights that the machine multiplies with and times are decoded here from the words in WGT, and
nowhere else. A stream takes ``wide`` banks, a group of streams ``slots`` times as many
(``arrays.base.Placement``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import FilterSet
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats import FormatTable, Shape, WeightFormat
from zeroskip.accel_model.io.jit import njit_cached_scalar
from zeroskip.accel_model.memory.faults import InstructionFault

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]


def decode(
    weights: WeightFormat, raw: Bytes, count: int, shape: Shape, table: FormatTable | None
) -> FilterSet:
    """The filters in concatenated streams; Fault if they are not what they should be."""
    try:
        found = weights.unpack(raw, count, shape, table)
    except ZeroskipError as problem:
        raise InstructionFault(f"cannot decode its weights: {problem}") from None
    if not np.array_equal(np.sort(found.order), np.arange(count)):
        raise InstructionFault(
            f"has filter streams that do not name each of the output channels 0..{count - 1} once"
        )
    filters = FilterSet(
        lambda: found.matrix, shape, found.order, found.stored, len(raw) // 4, weights, table
    )
    filters.nonzeros = found.nonzeros
    return filters


# ------------------------------------------------------------------------------- WGT's banks


@njit_cached_scalar
def placed_rows(words: Words, slots: int, wide: int) -> int:
    """WGT rows that concatenated streams take, by their headers; -1: these do not add up."""
    at, n, row, tall = 0, 0, 0, 0
    while at < len(words):
        length = int(words[at] >> 16)
        if length == 0 or at + length > len(words):
            return -1
        if n % slots == 0:
            row += tall
            tall = 0
        tall = max(tall, (length + wide - 1) // wide)
        at += length
        n += 1
    return row + tall


@njit_cached_scalar
def scatter(words: Words, first: int, slots: int, wide: int, wgt: Words, written: Bools) -> None:
    """Place streams in WGT [banks, rows] as ``isa.LoadWeights`` says; they must fit."""
    at, n, row, tall = 0, 0, first, 0
    while at < len(words):
        length = int(words[at] >> 16)
        if n % slots == 0:
            row += tall
            tall = 0
        for k in range(min(wide, length)):
            bank = n % slots * wide + k
            for r in range((length - k + wide - 1) // wide):
                wgt[bank, row + r] = words[at + k + r * wide]
                written[bank, row + r] = True
        tall = max(tall, (length + wide - 1) // wide)
        at += length
        n += 1


@njit_cached_scalar
def gather(
    wgt: Words, written: Bools, first: int, count: int, slots: int, wide: int, words: Words
) -> tuple[int, int, int]:
    """``scatter`` the other way round: ``count`` streams from row ``first`` on.

    Returns the rows that they take, their words and -1; or -1, 0 and the row where a stream is not
    within WGT; or -2, 0 and a row that was never written. words: as many as WGT has.
    """
    at, row, tall = 0, first, 0
    for n in range(count):
        if n % slots == 0:
            row += tall
            tall = 0
        bank = n % slots * wide
        if row >= wgt.shape[1]:
            return -1, 0, row
        if not written[bank, row]:
            return -2, 0, row
        length = int(wgt[bank, row] >> 16)
        rows = (length + wide - 1) // wide
        if length == 0 or row + rows > wgt.shape[1]:
            return -1, 0, row
        for k in range(min(wide, length)):
            for r in range((length - k + wide - 1) // wide):
                if not written[bank + k, row + r]:
                    return -2, 0, row + r
                words[at + k + r * wide] = wgt[bank + k, row + r]
        tall = max(tall, rows)
        at += length
    return row + tall - first, at, -1
