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

EXACT_FLOAT32 = 1 << 24  # float32 holds every integer up to here
CACHE_BYTES = 1 << 28


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
    _pieces: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @cached_property
    def transposed(self) -> npt.NDArray[np.float32]:
        """float32 [E, F]."""
        return self.matrix.T.astype(np.float32)

    @cached_property
    def _magnitudes(self) -> npt.NDArray[np.int64]:
        return np.abs(self.matrix.astype(np.int64))

    def exact_pieces(self, greatest: int) -> list[tuple[int, int]]:
        """Cuts of the reduction whose float32 sums are exact for inputs up to ``greatest``.

        Every partial sum of such a piece is an integer below 2**24, in whatever order it is added.
        """
        if greatest not in self._pieces:
            limit, entries = EXACT_FLOAT32 // max(1, greatest), self.matrix.shape[1]
            size = entries
            while True:
                starts = np.arange(0, entries, size)
                sums = np.add.reduceat(self._magnitudes, starts, axis=1)
                if size == 1 or int(sums.max()) < limit:
                    break
                size = -(-size // 2)
            self._pieces[greatest] = [(int(at), min(int(at) + size, entries)) for at in starts]
        return self._pieces[greatest]


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
        self._bytes += 6 * made.matrix.size
        while self._bytes > CACHE_BYTES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= 6 * oldest.matrix.size


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
