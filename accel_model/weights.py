"""Packed filter streams: into WGT's banks, out of them, and decoded.

The weights that the machine multiplies with and times are decoded here from the words in WGT, and
nowhere else. Decoding the same words again is remembered by their contents, so what is remembered
is a function of the packed bits alone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.formats import PatternTable
from zeroskip.accel_model.native import native

Words = npt.NDArray[np.uint32]
Int32 = npt.NDArray[np.int32]

CACHE_BYTES = 1 << 28  # of decoded weights
WEIGHT_BYTES = 7  # a weight in ``matrix`` and, if it is not zero, in ``sparse``


@dataclass(eq=False)
class Filters:
    """Decoded streams, in the order of the streams.

    matrix: int8 [F, E], canonical order. work: int32 [F, J], cycles of each stage. order: int32
    [F], output channel of each. nonzeros: weights that are not zero. words: of all streams.
    timings: what the timing functions have found for these filters, by geometry.
    """

    matrix: npt.NDArray[np.int8]
    work: Int32
    order: Int32
    nonzeros: int
    words: int
    timings: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def sparse(self) -> tuple[npt.NDArray[np.int64], Int32, npt.NDArray[np.int16]]:
        """The weights that are not zero, for ``kernels.filter_sums``."""
        starts = np.zeros(len(self.matrix) + 1, np.int64)
        np.cumsum(-(-np.count_nonzero(self.matrix, axis=1) // 4) * 4, out=starts[1:])
        entries, weights = np.zeros(starts[-1], np.int32), np.zeros(starts[-1], np.int16)
        _compress(self.matrix, starts, entries, weights)
        return starts, entries, weights

    @cached_property
    def magnitude(self) -> int:
        """The greatest sum of the absolute weights of a filter."""
        _, _, weights = self.sparse
        sums = np.add.reduceat(np.append(np.abs(weights), 0), self.sparse[0], dtype=np.int64)
        return int(sums[:-1].max(initial=0))


@native
def _compress(matrix: npt.NDArray[np.int8], starts: npt.NDArray[np.int64], entries: Int32,
              weights: npt.NDArray[np.int16]) -> None:
    for f in range(matrix.shape[0]):
        at = starts[f]
        for e in range(matrix.shape[1]):
            if matrix[f, e] != 0:
                entries[at], weights[at] = e, matrix[f, e]
                at += 1


class Decoder:
    """Decodes streams, remembering the latest ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Any, ...], Filters] = OrderedDict()
        self._bytes = 0

    def filters(self, kind: str, words: Words, count: int, channels: int, taps: int,
                table: PatternTable | None) -> Filters:
        """The filters in concatenated streams; Fault if they are not what they should be."""
        patterns = None if table is None else (table.id_bits, table.masks.tobytes())
        key = (kind, count, channels, taps, patterns, words.tobytes())
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        try:
            matrix, work, order, nonzeros = formats.unpack(
                kind, words.view(np.uint8), count, channels, taps, table)
        except ZeroskipError as problem:
            raise Fault(f"cannot decode its weights: {problem}") from None
        made = Filters(matrix, work, order, nonzeros, len(words))
        if np.bincount(order, minlength=count).tolist() != [1] * count:
            raise Fault(f"has filter streams that do not name each of the output channels "
                        f"0..{count - 1} once")
        self._remember(key, made)
        return made

    def _remember(self, key: tuple[Any, ...], made: Filters) -> None:
        self._known[key] = made
        self._bytes += WEIGHT_BYTES * made.matrix.size
        while self._bytes > CACHE_BYTES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= WEIGHT_BYTES * oldest.matrix.size


# ------------------------------------------------------------------------------- WGT's banks


def stream_lengths(words: Words) -> Int32:
    """Words of each of the concatenated streams; Fault if the headers do not add up."""
    lengths = np.zeros(len(words), np.int32)
    count = int(_walk(words, lengths))
    if count < 0:
        raise Fault("loads weight streams whose headers do not add up to its size")
    return lengths[:count]


@native
def _walk(words: Words, lengths: Int32) -> int:
    at, count = 0, 0
    while at < len(words):
        length = words[at] >> 16
        if length == 0 or at + length > len(words):
            return -1
        lengths[count] = length
        at += length
        count += 1
    return count


@native
def scatter(words: Words, lengths: Int32, first: int, slots: int, gang: int, wgt: Words,
            known: npt.NDArray[np.bool_]) -> None:
    """Place streams in WGT [rows, lanes] as ``isa.LoadWeights`` says; they must fit."""
    wide = 1 << gang
    at, row, tall = 0, first, 0
    for n in range(len(lengths)):
        if n % slots == 0:
            row += tall
            tall = 0
        bank = n % slots * wide
        for k in range(lengths[n]):
            wgt[row + k // wide, bank + k % wide] = words[at + k]
            known[row + k // wide, bank + k % wide] = True
        at += lengths[n]
        tall = max(tall, (lengths[n] + wide - 1) // wide)


@native
def measure(wgt: Words, known: npt.NDArray[np.bool_], first: int, slots: int, gang: int,
            lengths: Int32) -> tuple[int, int]:
    """Words of each stream from row ``first`` on, by their headers.

    Returns the rows of all of them and -1, or any number and the row that was never written, or
    -1 and the row where a stream is not within WGT.
    """
    wide = 1 << gang
    row, tall = first, 0
    for n in range(len(lengths)):
        if n % slots == 0:
            row += tall
            tall = 0
        bank = n % slots * wide
        if row >= len(wgt):
            return -1, row
        if not known[row, bank]:
            return 0, row
        length = wgt[row, bank] >> 16
        lengths[n] = length
        rows = (length + wide - 1) // wide
        if length == 0 or row + rows > len(wgt):
            return -1, row
        for k in range(length):
            if not known[row + k // wide, bank + k % wide]:
                return 0, row + k // wide
        tall = max(tall, rows)
    return row + tall - first, -1


@native
def gather(wgt: Words, first: int, slots: int, gang: int, lengths: Int32, words: Words) -> None:
    """``scatter`` the other way round."""
    wide = 1 << gang
    at, row, tall = 0, first, 0
    for n in range(len(lengths)):
        if n % slots == 0:
            row += tall
            tall = 0
        bank = n % slots * wide
        for k in range(lengths[n]):
            words[at + k] = wgt[row + k // wide, bank + k % wide]
        at += lengths[n]
        tall = max(tall, (lengths[n] + wide - 1) // wide)
