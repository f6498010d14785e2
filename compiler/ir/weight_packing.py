"""The weights of a convolution as an array sees them: format, stored weights, order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.arrays.base import FilterSet, StreamPlacement
from zeroskip.accel_model.formats import FormatTable, Shape, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.kernel_parts import WHOLE, Cuts, kernel_parts
from zeroskip.compiler.ir.tiles import Interval, intervals


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """The weights of a convolution as an accelerator's array sees them. whole: those that they are
    a part of, in whose order their streams are; None: they are all."""

    conv: ops.ConvOp
    spec: AccelSpec
    whole: PackedWeights | None = None

    @property
    def format(self) -> WeightFormat:
        """How the array wants them stored."""
        return self.spec.format

    @cached_property
    def table(self) -> FormatTable | None:
        """The layer's table, for a format that has one."""
        return self.format.make_table(self.conv.weight)

    @property
    def table_rows(self) -> int:
        """PAR rows of the table."""
        return self.format.table_rows(self.taps)

    @cached_property
    def matrix(self) -> npt.NDArray[np.int8]:
        """int8 [K, E] in canonical order."""
        return formats.to_reduction_order(self.conv.weight)

    def release(self) -> None:
        """Give back the memory of ``matrix``, which is made again where somebody asks."""
        self.__dict__.pop("matrix", None)

    @property
    def taps(self) -> int:
        return self.conv.window.taps

    @property
    def filters(self) -> int:
        return int(self.conv.weight.shape[0])

    @property
    def channels(self) -> int:
        return int(self.conv.weight.shape[1])

    @property
    def shape(self) -> Shape:
        return Shape(self.channels, self.taps)

    @cached_property
    def stored_counts(self) -> npt.NDArray[np.int32]:
        """Weights stored for each stage of the format, int32 [K, J]."""
        return self.format.stored_counts(self.matrix, self.shape, self.table)

    @cached_property
    def work(self) -> npt.NDArray[np.int64]:
        """Weights that each filter stores, at least one a stage, int64 [K]."""
        work: npt.NDArray[np.int64] = self._before_block[:, -1]
        return work

    def work_of(self, part: Interval, chunk: Interval) -> int:
        """Weights that some filters store of some channels, at least one a stage."""
        before = self._before_block[part.start : part.end]
        taken = before[:, blocks(chunk.end)] - before[:, chunk.start // BLOCK]
        return int(taken.sum())

    @cached_property
    def _before_block(self) -> npt.NDArray[np.int64]:
        """int64 [K, blocks + 1]: weights that each filter stores before each block of channels, at
        least one a stage."""
        by_stage = np.maximum(self.stored_counts, 1)
        of_block = by_stage.reshape(self.filters, blocks(self.channels), -1).sum(axis=2)
        return np.pad(np.cumsum(of_block, axis=1, dtype=np.int64), ((0, 0), (1, 0)))

    def packed_bytes(self, channels: int) -> int:
        """Bytes of all streams, the reduction cut into chunks of so many channels."""
        return 4 * int(self.words(channels).sum())

    def rows(
        self, filters: int, channels: int, placement: StreamPlacement
    ) -> npt.NDArray[np.int64]:
        """WGT rows of each tile of so many filters and channels, int64 [tiles, chunks]."""
        slots = placement.slots
        parts = intervals(self.filters, filters)
        order = np.concatenate([part.start + self.order(part) for part in parts])
        words = self.words(channels)[order]
        padded = np.pad(words, ((0, -len(words) % slots), (0, 0)))
        groups = padded.reshape(-1, slots, words.shape[1]).max(axis=1)
        rows: npt.NDArray[np.int64] = np.add.reduceat(
            -(-groups // placement.banks), [part.start // slots for part in parts], axis=0
        )
        return rows

    def words(self, channels: int) -> npt.NDArray[np.int64]:
        """Words of every filter's stream of each chunk of so many channels, int64 [K, chunks]
        (``WeightFormat.stream_words``)."""
        if channels not in self._words:
            filters = Interval(0, self.filters)
            parts = (
                (self.part(filters, chunk), Shape(chunk.size, self.taps))
                for chunk in intervals(self.channels, channels)
            )
            self._words[channels] = np.stack(
                [
                    self.format.stream_words(np.ascontiguousarray(part), shape, self.table)
                    for part, shape in parts
                ],
                axis=1,
            )
        return self._words[channels]

    @cached_property
    def _words(self) -> dict[int, npt.NDArray[np.int64]]:
        return {}

    @property
    def _stages_of_block(self) -> int:
        return int(self.stored_counts.shape[1]) // blocks(self.channels)

    def order(self, part: Interval) -> npt.NDArray[np.int32]:
        """Filters of a tile (numbered within it) in the order of their streams."""
        if self.whole is not None:
            return self.whole.order(part)
        if part not in self._orders:
            work = self.work[part.start : part.end]
            self._orders[part] = self.spec.kind.order(self.spec.array, work)
        return self._orders[part]

    @cached_property
    def _orders(self) -> dict[Interval, npt.NDArray[np.int32]]:
        return {}

    def filter_set(self, filters: Interval, channels: Interval) -> FilterSet:
        """A tile of filters over a chunk of channels, in the order of their streams, as the array
        times them."""
        order, stages = self.order(filters), self._stages_of_block
        columns = slice(channels.start // BLOCK * stages, blocks(channels.end) * stages)
        return FilterSet(
            lambda: self.part(filters, channels)[order],
            Shape(channels.size, self.taps),
            order,
            self.stored_counts[filters.start : filters.end, columns][order],
            0,
            self.format,
            self.table,
        )

    def part(self, filters: Interval, channels: Interval) -> npt.NDArray[np.int8]:
        """The rows and columns of ``matrix`` of a tile of filters and a chunk of channels."""
        return self.matrix[
            filters.start : filters.end, channels.start * self.taps : channels.end * self.taps
        ]


def packed_parts(whole: PackedWeights, cuts: Cuts) -> list[PackedWeights]:
    """The weights of each part of a kernel; themselves, where it is whole."""
    if cuts == WHOLE:
        return [whole]
    return [PackedWeights(part, whole.spec, whole) for part in kernel_parts(whole.conv, cuts)]


def weights_of(op: ops.Op, spec: AccelSpec) -> PackedWeights | None:
    """The weights of an operation; None if it has none."""
    return PackedWeights(op, spec) if isinstance(op, ops.ConvOp) else None
