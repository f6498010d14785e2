"""Weight streams: a header word and a body in one of the formats, one stream for each filter.

A stream is words of 4 bytes, little endian. Word 0 is {u16 output channel, u16 words of the
stream including this one}; the body is padded with zeros to a word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats import bitmap, dense, pattern
from zeroskip.accel_model.formats.pattern import PatternTable
from zeroskip.accel_model.formats.reduction_order import (
    FormatError,
    Int8,
    Int32,
    check_kind,
    reduction_steps_of,
    slabs_of,
)
from zeroskip.accel_model.formats.stream_header import FAULTS
from zeroskip.accel_model.isa.instructions import BLOCK

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


def pack(
    kind: str,
    matrix: Int8,
    channels: int,
    taps: int,
    order: npt.ArrayLike,
    table: PatternTable | None = None,
) -> tuple[Bytes, Int32]:
    """Pack filters: stream n holds row n of ``matrix`` and names output channel ``order[n]``.

    matrix: int8 [F, channels * taps], rows in canonical order, already in the order of the streams.
    order: integers [F], 0..65535. table: the layer's patterns, for ``pattern`` only.
    Returns the concatenated streams, uint8, and the words of each, int32 [F].
    FormatError if a stream would be longer than its header can say.
    """
    matrix = _checked(kind, matrix, channels, taps)
    names = np.asarray(order, np.int64)
    if names.shape != (len(matrix),) or ((names < 0) | (names > 0xFFFF)).any():
        raise FormatError(f"{len(matrix)} filters take as many output channels in 0..65535")
    raw = matrix.view(np.uint8)
    if kind == "dense":
        sizes = dense.body_bytes(matrix)
    elif kind == "bitmap":
        sizes = bitmap.body_bytes(raw, channels, taps)
    else:
        table = _table(table, taps)
        present, stored, _ = _measure(raw, channels, taps, table)
        sizes = (
            pattern.connectivity_bytes(channels, taps) + (present * table.id_bits + 7) // 8 + stored
        )
    words = 1 + (sizes + 3) // 4
    if len(words) and words.max() > 0xFFFF:
        raise FormatError(
            f"a {kind} stream of {channels} channels x {taps} taps takes "
            f"{words.max()} words, more than 65535; use fewer channels at a time"
        )
    firsts = np.cumsum(words) - words
    out = np.zeros(int(words.sum()), "<u4")
    out[firsts] = (names | words << 16).astype("<u4")
    starts = 4 * firsts + 4
    body = out.view(np.uint8)
    if kind == "dense":
        dense.write(raw, body, starts)
    elif kind == "bitmap":
        bitmap.write(raw, channels, taps, body, starts)
    else:
        assert table is not None
        pattern.write(
            raw, channels, taps, table.masks, table.numbers, table.id_bits, present, body, starts
        )
    return body, words.astype(np.int32)


def unpack(
    kind: str,
    raw: Bytes,
    filters: int,
    channels: int,
    taps: int,
    table: PatternTable | None = None,
) -> tuple[Int8, Int32, Int32, int]:
    """Decode ``filters`` concatenated streams, uint8.

    Returns the matrix int8 [F, channels * taps] in the order of the streams, the work int32 [F, J]
    (cycles of each stage), the output channels int32 [F] that the headers name, and the number of
    weights that are not zero. FormatError for bytes that ``pack`` cannot have made.
    """
    check_kind(kind)
    order = np.empty(filters, np.int32)
    if kind == "dense":
        matrix = np.empty((filters, channels * taps), np.uint8)
        work = dense.work(filters, channels, taps)
        fault, stream, nonzeros = dense.read(raw, matrix, order)
    else:
        work = np.empty((filters, len(reduction_steps_of(kind, channels, taps))), np.int32)
        if kind == "bitmap":
            flat = np.empty(filters * channels * taps + BLOCK, np.uint8)
            padded = np.empty(len(raw) + BLOCK, np.uint8)
            padded[: len(raw)] = raw
            fault, stream, nonzeros = bitmap.read(
                padded, channels, taps, filters, flat, work, order
            )
            matrix = flat[:-BLOCK].reshape(filters, -1)
        else:
            table = _table(table, taps)
            matrix = np.zeros((filters, channels * taps), np.uint8)
            fault, stream, nonzeros = pattern.read(
                raw, channels, taps, table.masks, table.id_bits, matrix, work, order
            )
    if fault:
        raise FormatError(f"{kind} weight stream {stream} {FAULTS[fault].format(filters=filters)}")
    return matrix.view(np.int8), work, order, nonzeros


def work_matrix(
    kind: str, matrix: Int8, channels: int, taps: int, table: PatternTable | None = None
) -> Int32:
    """int32 [F, J]: cycles of each stage of each filter, as ``unpack`` finds them."""
    matrix = _checked(kind, matrix, channels, taps)
    if kind == "dense":
        return dense.work(len(matrix), channels, taps)
    if kind == "bitmap":
        return bitmap.work(matrix, channels, taps)
    return _measure(matrix.view(np.uint8), channels, taps, _table(table, taps))[2]


def nbytes_ideal(kind: str, weight: Int8, table: PatternTable | None = None) -> int:
    """Bytes that a whole layer, int8 [K, C, *kernel], cannot do without in a format.

    No headers and no padding but to a whole byte. dense: every weight. bitmap: a bit for every
    position and the non-zero weights. pattern: a bit for every kernel and slab, ``id_bits`` for
    those that are there, and the weights under the masks.
    """
    check_kind(kind)
    if kind == "dense":
        return int(weight.size)
    if kind == "bitmap":
        return int(np.count_nonzero(weight)) + -(-weight.size // 8)
    counts = pattern.histogram(weight)
    table = pattern.make_table(weight) if table is None else table
    stored, present = pattern.stored_and_present(table, counts)
    kernels = weight.shape[0] * weight.shape[1]
    return stored + -(-int(kernels * table.slabs + present * table.id_bits) // 8)


def wgt_rows(lengths: Int32, slots: int, gang: int) -> tuple[Int32, int]:
    """WGT rows that ``loadweights`` fills: of each group of ``slots`` streams, and in all.

    lengths: words of each stream, int32 [F]. Stream n is in group n // slots; its words go to
    2**gang banks in turn, and the longest stream of a group decides its rows.
    """
    rows = -(-np.asarray(lengths, np.int64) // (1 << gang))
    groups = -(-len(rows) // slots)
    padded = np.zeros(groups * slots, np.int64)
    padded[: len(rows)] = rows
    of_group = padded.reshape(groups, slots).max(axis=1, initial=0)
    return of_group.astype(np.int32), int(of_group.sum())


# --------------------------------------------------------------------------------------- checks


def _checked(kind: str, matrix: Int8, channels: int, taps: int) -> Int8:
    check_kind(kind)
    if matrix.dtype != np.int8 or matrix.ndim != 2 or matrix.shape[1] != channels * taps:
        raise FormatError(
            f"a filter of {channels} channels x {taps} taps is a row of "
            f"{channels * taps} int8, not {matrix.dtype} {matrix.shape}"
        )
    return np.ascontiguousarray(matrix)


def _table(table: PatternTable | None, taps: int) -> PatternTable:
    if table is None:
        raise FormatError("pattern streams need the layer's pattern table")
    if table.slabs != slabs_of(taps):
        raise FormatError(f"a pattern table of {table.slabs} slabs is not one for {taps} taps")
    return table


def _measure(
    raw: Bytes, channels: int, taps: int, table: PatternTable
) -> tuple[Offsets, Offsets, Int32]:
    filters = len(raw)
    present, stored = np.empty(filters, np.int64), np.empty(filters, np.int64)
    work = np.empty((filters, -(-channels // 16) * table.slabs), np.int32)
    if pattern.measure(raw, channels, taps, table.masks, table.numbers, present, stored, work):
        raise FormatError(
            "a kernel has taps that no mask of the pattern table covers; "
            "make the table from the whole layer"
        )
    return present, stored, work
