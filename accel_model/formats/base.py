"""What a weight format is: the streams that filters are packed into, and what is stored of them.

A stream is words of 4 bytes, little endian. Word 0 is {u16 output channel, u16 words of the
stream including this one}; the body is padded with zeros to a word. Weights take a byte each, or,
where the target stores them in 16 bits, two (``wide``).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    Int8,
    Int32,
    reduction_steps_of,
)
from zeroskip.accel_model.formats.stream_header import FAULTS
from zeroskip.accel_model.formats.wide import WeightPlaces, narrowed, widened

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


class FormatTable(Protocol):
    """What a layer's streams refer to beyond themselves: rows of PAR and an argument."""

    @property
    def argument(self) -> int:
        """What the format wants to know beside the rows, 0..255."""

    def to_rows(self) -> Bytes:
        """PAR rows, uint8 [rows, 16]."""


class Unpacked(NamedTuple):
    """Streams, decoded.

    matrix: int8 [F, channels * taps], canonical order, filters in the order of the streams.
    stored: int32 [F, J], weights that the streams hold for each stage of the format.
    order: int32 [F], the output channel that each stream names.
    nonzeros: weights that are not zero.
    """

    matrix: Int8
    stored: Int32
    order: Int32
    nonzeros: int


@dataclass(frozen=True)
class Shape:
    """Filters of one tile: input channels, and kernel positions (taps) of each."""

    channels: int
    taps: int

    @property
    def entries(self) -> int:
        """Weights of a filter."""
        return self.channels * self.taps


class WeightFormat(ABC):
    """A way to store filters. Subclasses give the bodies; headers and checks are here.

    A format says nothing of time. Arrays time what it stores: the positions of ``stored``, or how
    many of them a stage has (``stored_counts``).
    """

    name: str
    stage_taps: ClassVar[int] = 1  # taps of a block of 16 channels that are counted together
    weight_bytes = 1  # of a weight in a stream

    def of_bytes(self, weight_bytes: int) -> WeightFormat:
        """The same format with weights of so many bytes; FormatError if it has none such."""
        if weight_bytes == self.weight_bytes:
            return self
        if type(self).places is WeightFormat.places:
            raise FormatError(f"the {self.name} format stores weights in 8 bits only")
        made = copy.copy(self)
        made.weight_bytes = weight_bytes
        return made

    @property
    def full_name(self) -> str:
        """The name, with the bits of a weight unless these are 8."""
        return self.name if self.weight_bytes == 1 else f"{self.name}:{8 * self.weight_bytes}"

    # ------------------------------------------------------------------------------- the table

    def make_table(self, weight: Int8) -> FormatTable | None:
        """The table of a layer, int8 [K, C, *kernel]; None: the format has none."""
        return None

    def table_of(self, rows: Bytes, argument: int) -> FormatTable:
        """The table in PAR rows, uint8 [rows, 16]; FormatError if it is not one."""
        raise FormatError(f"the {self.name} format has no table")

    def table_rows(self, taps: int) -> int:
        """PAR rows of a layer's table; 0: the format has none."""
        return 0

    # ----------------------------------------------------------------------------- the streams

    @abstractmethod
    def body_bytes(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        """int64 [F]: bytes of each stream's body, with weights of a byte."""

    @abstractmethod
    def write(self, matrix: Int8, shape: Shape, table: Any, out: Bytes, starts: Int64) -> None:
        """Write the body of filter f, with weights of a byte, at ``out[starts[f]:]``, which is zero
        there."""

    @abstractmethod
    def read(self, raw: Bytes, filters: int, shape: Shape, table: Any) -> tuple[int, int, Unpacked]:
        """Decode streams with weights of a byte: a fault (``stream_header.FAULTS``) or 0, its
        stream, and what was read."""

    def places(self, body: Bytes, shape: Shape, table: Any) -> WeightPlaces:
        """Where the weights are in a body with weights of ``weight_bytes``; a body that is too
        short to say so has its end beyond it. A format without this has weights of a byte only."""
        raise FormatError(f"the {self.name} format stores weights in 8 bits only")

    @abstractmethod
    def stored_counts(self, matrix: Int8, shape: Shape, table: Any) -> Int32:
        """int32 [F, J]: weights stored for each stage, as ``read`` finds them."""

    @abstractmethod
    def stored(self, matrix: Int8, shape: Shape, table: Any) -> Bools:
        """bool [F, E]: positions whose weight is in the stream, zeros that are stored included."""

    # ------------------------------------------------------------------------ for the compiler

    @abstractmethod
    def least_bytes(self, weight: Int8, table: Any) -> int:
        """Bytes that a whole layer, int8 [K, C, *kernel], cannot do without in this format.

        No headers and no padding but to a whole byte: the compulsory traffic of its weights.
        """

    # -------------------------------------------------------------------------- what is shared

    def stages(self, shape: Shape) -> int:
        """J, the stages of a reduction in which stored weights are counted."""
        return len(reduction_steps_of(self.stage_taps, shape.channels, shape.taps))

    def stream_words(self, matrix: Int8, shape: Shape, table: Any) -> Int64:
        """int64 [F]: words of each filter's stream, its header included; at most so many where
        weights are wider than a byte and several share one that is stored."""
        sizes = self.body_bytes(matrix, shape, table)
        if self.weight_bytes > 1:
            stored = self.stored(matrix, shape, table).sum(axis=1, dtype=np.int64)
            sizes = sizes + (self.weight_bytes - 1) * stored
        return np.asarray(1 - -sizes // 4, np.int64)

    def pack(
        self, matrix: Int8, shape: Shape, order: npt.ArrayLike, table: Any = None
    ) -> tuple[Bytes, Int32]:
        """Pack filters: stream n holds row n of ``matrix`` and names output channel ``order[n]``.

        matrix: int8 [F, E], rows in canonical order. order: integers [F], 0..65535.
        Returns the concatenated streams, uint8, and the words of each, int32 [F].
        FormatError if a stream would be longer than its header can say.
        """
        if self.weight_bytes > 1:
            of_bytes = self.of_bytes(1)
            raw, _ = of_bytes.pack(matrix, shape, order, table)
            raw, words = widened(
                raw,
                len(matrix),
                lambda body: of_bytes.places(body, shape, table),
                self.weight_bytes,
            )
            self._check_length(words, shape)
            return raw, words.astype(np.int32)
        matrix = checked(matrix, shape)
        names = np.asarray(order, np.int64)
        if names.shape != (len(matrix),) or ((names < 0) | (names > 0xFFFF)).any():
            raise FormatError(f"{len(matrix)} filters take as many output channels in 0..65535")
        words = self.stream_words(matrix, shape, table)
        self._check_length(words, shape)
        firsts = np.cumsum(words) - words
        out = np.zeros(int(words.sum()), "<u4")
        out[firsts] = (names | words << 16).astype("<u4")
        body = out.view(np.uint8)
        self.write(matrix, shape, table, body, 4 * firsts + 4)
        return body, words.astype(np.int32)

    def _check_length(self, words: Int64, shape: Shape) -> None:
        if len(words) and words.max() > 0xFFFF:
            raise FormatError(
                f"a {self.name} stream of {shape.channels} channels x {shape.taps} taps takes "
                f"{words.max()} words, more than 65535; use fewer channels at a time"
            )

    def unpack(self, raw: Bytes, filters: int, shape: Shape, table: Any = None) -> Unpacked:
        """Decode ``filters`` concatenated streams; FormatError for bytes ``pack`` cannot make."""
        fault, stream = 0, 0
        if self.weight_bytes > 1:
            fault, stream, raw = narrowed(
                raw, filters, lambda body: self.places(body, shape, table), self.weight_bytes
            )
        if not fault:
            fault, stream, unpacked = self.read(raw, filters, shape, table)
        if fault:
            raise FormatError(
                f"{self.name} weight stream {stream} {FAULTS[fault].format(filters=filters)}"
            )
        return unpacked

    def room(self, filters: int, shape: Shape) -> tuple[Int32, Int32]:
        """``stored`` and ``order`` to be filled by ``read``."""
        return np.empty((filters, self.stages(shape)), np.int32), np.empty(filters, np.int32)


def checked(matrix: Int8, shape: Shape) -> Int8:
    """The matrix, contiguous; FormatError unless it is int8 [F, channels * taps]."""
    if matrix.dtype != np.int8 or matrix.ndim != 2 or matrix.shape[1] != shape.entries:
        raise FormatError(
            f"a filter of {shape.channels} channels x {shape.taps} taps is a row of "
            f"{shape.entries} int8, not {matrix.dtype} {matrix.shape}"
        )
    return np.ascontiguousarray(matrix)
