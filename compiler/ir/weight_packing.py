"""The weights of a convolution as an array sees them: its format, its lanes' work, its order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.tiles import Interval, intervals

HEADER = 5.5  # bytes of a stream besides its weights: its first word, and half of its last


def group_filters(work: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """An order of filters in which neighbours have similar work, whatever the size of a group.

    work: [K]. Filters are sorted within each residue of their channel modulo 16 and dealt out, so
    that the 16 results that are drained together belong to 16 different columns (lanes.py).
    """
    count = len(work)
    dealt = np.full((BLOCK, blocks(count)), -1, np.int32)
    for residue in range(BLOCK):
        mine = np.arange(residue, count, BLOCK)
        dealt[residue, : len(mine)] = mine[np.argsort(-work[mine], kind="stable")]
    order = dealt.T.reshape(-1)
    return order[order >= 0]


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """The weights of a convolution as the array sees them."""

    conv: ops.ConvOp
    kind: str

    @cached_property
    def table(self) -> formats.PatternTable | None:
        return formats.make_table(self.conv.weight) if self.kind == "pattern" else None

    @cached_property
    def matrix(self) -> npt.NDArray[np.int8]:
        """int8 [K, E] in canonical order."""
        return formats.to_reduction_order(self.conv.weight)

    @property
    def taps(self) -> int:
        return self.conv.window.taps

    @property
    def filters(self) -> int:
        return int(self.conv.weight.shape[0])

    @property
    def channels(self) -> int:
        return int(self.conv.weight.shape[1])

    @cached_property
    def work(self) -> npt.NDArray[np.int32]:
        """Cycles of each stage, int32 [K, J]."""
        return formats.work_matrix(self.kind, self.matrix, self.channels, self.taps, self.table)

    @cached_property
    def total(self) -> npt.NDArray[np.int64]:
        """Cycles of each filter, int64 [K]."""
        total: npt.NDArray[np.int64] = self.work.sum(axis=1, dtype=np.int64)
        return total

    @cached_property
    def nbytes(self) -> int:
        """The least bytes of the layer's weights in this array's format."""
        return formats.nbytes_ideal(self.kind, self.conv.weight, self.table)

    def packed_bytes(self, channels: int) -> float:
        """About the bytes of all streams, the reduction cut into chunks of so many channels."""
        return self.nbytes + self.filters * -(-self.channels // channels) * HEADER

    def rows(self, filters: int, channels: int, slots: int, gang: int) -> npt.NDArray[np.int64]:
        """WGT rows of each tile of so many filters and channels, int64 [tiles, chunks]: as many as
        it takes or a few more."""
        parts = intervals(self.filters, filters)
        order = np.concatenate([part.start + self.order(part) for part in parts])
        words = self.words(channels)[order]
        padded = np.pad(words, ((0, -len(words) % slots), (0, 0)))
        groups = padded.reshape(-1, slots, words.shape[1]).max(axis=1)
        rows: npt.NDArray[np.int64] = np.add.reduceat(
            -(-groups // (1 << gang)), [part.start // slots for part in parts], axis=0
        )
        return rows

    def words(self, channels: int) -> npt.NDArray[np.int64]:
        """Words of every filter's stream of each chunk of so many channels, int64 [K, chunks], at
        most."""
        chunks = intervals(self.channels, channels)
        low = np.array([chunk.start // BLOCK for chunk in chunks])
        high = np.array([blocks(chunk.end) for chunk in chunks])
        sizes = np.array([chunk.size for chunk in chunks])
        if self.kind == "dense":
            body = np.broadcast_to(sizes * self.taps, (self.filters, len(chunks)))
        else:
            slabs = formats.slabs_of(self.taps)
            bits = 0 if self.table is None else sizes * slabs * self.table.id_bits
            stages = (high - low) * (self.taps if self.kind == "bitmap" else slabs)
            body = 2 * stages - -bits // 8 + self._stored[:, high] - self._stored[:, low]
        return 1 - -body // 4

    @cached_property
    def _stored(self) -> npt.NDArray[np.int64]:
        """int64 [K, blocks + 1]: weights that each filter stores before each block, at most."""
        of_block = self.work.reshape(self.filters, blocks(self.channels), -1).sum(axis=2)
        return np.pad(np.cumsum(of_block, axis=1, dtype=np.int64), ((0, 0), (1, 0)))

    def order(self, part: Interval) -> npt.NDArray[np.int32]:
        """Filters of a tile (numbered within it) in the order of their streams."""
        if self.kind == "dense":
            return np.arange(part.size, dtype=np.int32)
        if part not in self._orders:
            self._orders[part] = group_filters(self.total[part.start : part.end])
        return self._orders[part]

    @cached_property
    def _orders(self) -> dict[Interval, npt.NDArray[np.int32]]:
        return {}

    def part_work(self, filters: Interval, channels: Interval) -> npt.NDArray[np.int32]:
        """The rows and columns of ``work`` of a tile of filters and a chunk of channels."""
        each = self.work.shape[1] // blocks(self.channels)
        return self.work[
            filters.start : filters.end,
            channels.start // BLOCK * each : blocks(channels.end) * each,
        ]

    def part(self, filters: Interval, channels: Interval) -> npt.NDArray[np.int8]:
        """The rows and columns of ``matrix`` of a tile of filters and a chunk of channels."""
        return self.matrix[
            filters.start : filters.end, channels.start * self.taps : channels.end * self.taps
        ]
