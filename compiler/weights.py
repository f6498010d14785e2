"""The weights of a convolution as an array sees them: its format, its lanes' work, its order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.isa import BLOCK
from zeroskip.accel_model.layout import blocks
from zeroskip.compiler import ops
from zeroskip.compiler.tiles import Span


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
class Weights:
    """The weights of a convolution as the array sees them."""

    conv: ops.Conv
    kind: str

    @cached_property
    def table(self) -> formats.PatternTable | None:
        return formats.make_table(self.conv.weight) if self.kind == "pattern" else None

    @cached_property
    def matrix(self) -> npt.NDArray[np.int8]:
        """int8 [K, E] in canonical order."""
        return formats.canonical(self.conv.weight)

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

    def order(self, part: Span) -> npt.NDArray[np.int32]:
        """Filters of a tile (numbered within it) in the order of their streams."""
        if self.kind == "dense":
            return np.arange(part.size, dtype=np.int32)
        return group_filters(self.total[part.start : part.end])

    def part(self, filters: Span, channels: Span) -> npt.NDArray[np.int8]:
        """The rows and columns of ``matrix`` of a tile of filters and a chunk of channels."""
        return self.matrix[filters.start : filters.end,
                           channels.start * self.taps : channels.end * self.taps]
