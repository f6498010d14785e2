"""Members of a network file that are made from others: the weights of a level from nested weights,
and a program from what it holds beside its weights, and these.

A program's image has its weights packed for the accelerator's lanes. All of them follow from the
integers of the layer, by the formats of ``accel_model.formats``; only the order of the filters is
the compiler's choice. So a file that has the integers keeps of each program what is between the
packed weights (``rest``), and what each piece of them is made of.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.formats import FormatError, Shape, WeightFormat, nested
from zeroskip.accel_model.io.archive import npy_chunks
from zeroskip.accel_model.io.validate import checked_int, from_table
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.weight_map import WeightStreams, weight_streams

Bytes = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]
_ZIP_HEADER = 30  # bytes of a member's header, before its name
_PAR_ROW = 16
_LIMIT = 1 << 32  # bytes of weights that are unpacked at once, of programs that are our own


# ----------------------------------------------------------------------------- weights of a level


@dataclass(frozen=True)
class NestedConstant:
    """A constant's file, made of the nested weights in the member ``part``."""

    part: str
    level: int
    dtype: str
    shape: tuple[int, ...]

    def build(self, part: bytes, limit: int) -> bytes:
        """The .npy file, of at most ``limit`` bytes. FormatError or ValueError if it is none."""
        kind = np.dtype(self.dtype)
        if kind.kind not in "biuf" or any(size < 0 for size in self.shape):
            raise ValueError(f"nested weights of {self.dtype} {self.shape}")
        size = prod(self.shape)
        checked_int(size * kind.itemsize, "bytes of nested weights", 0, limit)
        values = nested.unpack(np.frombuffer(part, np.uint8), self.level, kind, size)
        return b"".join(npy_chunks(values.reshape(self.shape)))


# ---------------------------------------------------------------------------------------- programs


@dataclass(frozen=True)
class WeightSource:
    """The weights of a layer: the constant in ``member``, [K, C/groups, *kernel], or of a matmul
    (``transposed`` = 1) [in, out]. taps: of a kernel, also where a matmul reads a whole map."""

    member: str
    groups: int
    taps: int
    transposed: int

    def weight(self, constant: npt.NDArray[Any]) -> Int8:
        """int8 [K, C/groups, taps]."""
        held = constant.T if self.transposed else constant
        if (
            held.dtype != np.int8
            or held.ndim < 2
            or self.taps < 1
            or (prod(held.shape[1:]) % self.taps or self.groups < 1 or len(held) % self.groups)
        ):
            raise ValueError(
                f"weights of {constant.dtype} {constant.shape} in {self.groups} "
                f"groups of {self.taps} taps"
            )
        return np.ascontiguousarray(held).reshape(len(held), -1, self.taps)


@dataclass(frozen=True)
class PackedSegment:
    """``size`` packed bytes of a program's file from ``at`` on, and which weights they are.

    source: of ``RebuiltProgram.sources``. filters and channels: how many from which on; channels
    count through all groups. order: where in ``RebuiltProgram.orders`` the filters' order begins.
    table: byte of the file where the pattern table's rows begin (-1: none), and ``id_bits`` of it.
    """

    at: int
    size: int
    source: int
    first_filter: int
    filters: int
    first_channel: int
    channels: int
    order: int
    table: int
    id_bits: int


@dataclass(frozen=True)
class RebuiltProgram:
    """A program's file, made of other members: rest (uint8), pieces (int64 [n, fields of Piece]),
    orders (uint16) and the sources' constants. kind: of the weight format."""

    kind: str
    rest: str
    pieces: str
    orders: str
    sources: tuple[WeightSource, ...]

    def to_table(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_table(table: Any) -> RebuiltProgram:
        """ValueError or KeyError for anything that ``to_table`` does not make."""
        sources = tuple(from_table(WeightSource, each) for each in table["sources"])
        plain = from_table(_Plain, {key: each for key, each in table.items() if key != "sources"})
        return RebuiltProgram(plain.kind, plain.rest, plain.pieces, plain.orders, sources)


@dataclass(frozen=True)
class _Plain:
    """The fields of ``RebuiltProgram`` that are text."""

    kind: str
    rest: str
    pieces: str
    orders: str


def join_program(
    kind: str,
    rest: Bytes,
    pieces: npt.NDArray[np.int64],
    orders: npt.NDArray[np.uint16],
    sources: Sequence[tuple[int, Int8]],
    limit: int,
) -> Bytes:
    """The file of at most ``limit`` bytes. sources: groups, and weights int8 [K, C/groups, taps].

    kind: name of the weight format. FormatError or ValueError if the pieces do not make one.
    """
    weights = formats.format_named(kind)
    if weights is None:
        raise ValueError(f"a program has weights in the format {kind!r}")
    if pieces.ndim != 2 or pieces.shape[1] != len(fields(PackedSegment)):
        raise ValueError(f"pieces of a program are {pieces.shape}")
    every = [PackedSegment(*row) for row in pieces.tolist()]
    total = checked_int(
        len(rest) + sum(max(piece.size, 0) for piece in every), "bytes of a program", 0, limit
    )
    made = np.zeros(total, np.uint8)
    at, taken = 0, 0
    for piece in every:
        gap = piece.at - at
        if gap < 0 or piece.size < 0 or taken + gap > len(rest):
            raise ValueError(f"a piece of a program lies at {piece.at}")
        made[at : piece.at] = rest[taken : taken + gap]
        at, taken = piece.at + piece.size, taken + gap
    if total - at != len(rest) - taken:
        raise ValueError("the pieces of a program do not fill it")
    made[at:] = rest[taken:]
    for piece in every:
        order = orders[piece.order : piece.order + piece.filters]
        if not 0 <= piece.source < len(sources) or piece.order < 0 or len(order) != piece.filters:
            raise ValueError(f"a piece of a program at {piece.at} has no weights")
        raw = _packed(weights, *sources[piece.source], piece, order, made, limit)
        if len(raw) != piece.size:
            raise ValueError(f"a piece of a program at {piece.at} has another size")
        made[piece.at : piece.at + piece.size] = raw
    return made


def _packed(
    weights: WeightFormat,
    groups: int,
    weight: Int8,
    piece: PackedSegment,
    order: npt.NDArray[np.integer[Any]],
    file: Bytes,
    limit: int,
) -> Bytes:
    """The streams of a piece. file: with the pattern tables in it."""
    filters, _, taps = weight.shape
    if (
        min(piece.first_filter, piece.first_channel) < 0
        or min(piece.filters, piece.channels) < 1
        or piece.first_filter + piece.filters > filters
        or piece.first_channel + piece.channels > groups * weight.shape[1]
        or piece.filters * piece.channels * taps > limit
        or not np.array_equal(np.sort(order), np.arange(piece.filters))
    ):
        raise ValueError(f"a piece of a program at {piece.at} is of weights that are not there")
    table = None
    if piece.table >= 0:
        rows = weights.table_rows(taps)
        raw = file[piece.table : piece.table + rows * _PAR_ROW]
        if len(raw) != rows * _PAR_ROW:
            raise ValueError(f"a pattern table of a program lies at {piece.table}")
        table = weights.table_of(raw.reshape(rows, _PAR_ROW), piece.id_bits)
    matrix = formats.to_reduction_order(_part(groups, weight, piece))[order]
    return weights.pack(matrix, Shape(piece.channels, taps), order, table)[0]


def _part(groups: int, weight: Int8, piece: PackedSegment) -> Int8:
    """The filters and channels of a piece, [filters, channels, taps], as if there were no groups:
    with zeros outside each filter's own."""
    first, last = piece.first_channel, piece.first_channel + piece.channels
    own = weight[piece.first_filter : piece.first_filter + piece.filters]
    if groups == 1:
        return own[:, first:last]
    filters, inside, taps = weight.shape
    part = np.zeros((piece.filters, piece.channels, taps), np.int8)
    for row, kernels in enumerate(own):
        start = (piece.first_filter + row) // (filters // groups) * inside
        low, high = max(start, first), min(start + inside, last)
        if low < high:
            part[row, low - first : high - first] = kernels[low - start : high - start]
    return part


# ------------------------------------------------------------------------- taking programs apart


@dataclass(frozen=True, eq=False)
class SplitProgram:
    """A program's file taken apart, as ``join_program`` takes it."""

    rest: Bytes
    pieces: npt.NDArray[np.int64]
    orders: npt.NDArray[np.uint16]
    sources: tuple[WeightSource, ...]


def split_program(
    file: Bytes,
    start: int,
    program: Program,
    known: Mapping[str, tuple[WeightSource, npt.NDArray[np.int8]]],
) -> SplitProgram:
    """Take the weights out of a program's file.

    file: the program's own begins at ``start``. known: node -> its weights and the constant that
    has them, of the layers whose constants the network's file holds. What cannot be made of them,
    bit for bit, stays in the rest.
    """
    base = start + _image_start(file[start:], program)
    weights: dict[WeightSource, tuple[int, Int8]] = {}
    pieces: list[PackedSegment] = []
    orders: list[npt.NDArray[np.uint16]] = []
    for streams in weight_streams(program):
        node = program.layers[streams.layer].node
        if node not in known:
            continue
        source = replace(known[node][0], taps=streams.taps)
        with suppress(FormatError, ValueError):  # then it stays in the rest
            number, weight = weights.get(source) or (len(weights), source.weight(known[node][1]))
            raw = file[base + streams.dram : base + streams.dram + streams.size]
            order = _order_of(raw, streams, program)
            table = (
                (-1, 0) if streams.table is None else (base + streams.table[0], streams.table[1])
            )
            piece = PackedSegment(
                base + streams.dram,
                streams.size,
                number,
                streams.first_filter,
                streams.filters,
                _first_channel(streams, source.groups, weight),
                streams.channels,
                sum(map(len, orders)),
                *table,
            )
            made = _packed(program.spec.format, source.groups, weight, piece, order, file, _LIMIT)
            if np.array_equal(made, raw):
                weights[source] = number, weight
                pieces.append(piece)
                orders.append(order)
    inside = np.zeros(len(file), np.bool_)
    for piece in pieces:
        inside[piece.at : piece.at + piece.size] = True
    rows = np.array([astuple(piece) for piece in pieces], np.int64)
    return SplitProgram(
        file[~inside],
        rows.reshape(-1, len(fields(PackedSegment))),
        np.concatenate([np.zeros(0, np.uint16), *orders]),
        tuple(weights),
    )


def _image_start(file: Bytes, program: Program) -> int:
    """Byte of a program's file at which its image begins."""
    with zipfile.ZipFile(io.BytesIO(file.tobytes())) as box:
        member = box.getinfo("image.npy")
    head = file[member.header_offset : member.header_offset + _ZIP_HEADER]
    sizes = head[-4:].view("<u2")  # of the name and of what follows it
    start = member.header_offset + _ZIP_HEADER + int(sizes.sum())
    return start + member.file_size - len(program.image)


def _order_of(raw: Bytes, streams: WeightStreams, program: Program) -> npt.NDArray[np.uint16]:
    """The filters in the order of their streams."""
    table = None
    if streams.table is not None:
        rows = program.spec.format.table_rows(streams.taps)
        held = program.image[streams.table[0] :][: rows * _PAR_ROW]
        table = program.spec.format.table_of(held.reshape(rows, -1), streams.table[1])
    shape = Shape(streams.channels, streams.taps)
    order = program.spec.format.unpack(raw, streams.filters, shape, table).order
    return order.astype(np.uint16)


def _first_channel(streams: WeightStreams, groups: int, weight: Int8) -> int:
    """Counted through all groups: a sum is over the channels of the groups that its filters are
    in, which are computed together."""
    filters, inside, _ = weight.shape
    together = int(streams.reduction // inside * (filters // groups))  # filters
    return streams.first_filter // max(1, together) * streams.reduction + streams.first_channel
