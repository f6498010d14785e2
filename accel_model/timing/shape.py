"""What a compute instruction looks at, without addresses: all of a window that time depends on."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]

MOST_FETCH = 4  # cycles for a tap of a group of outputs, as many as a quarter of 16 weights takes


class WindowShape(NamedTuple):
    """Input tile, taps and output size of an instruction.

    row: ACT rows from one image row of the input to the next.
    height, width: the input tile, pixels.
    top, left: input row and column of tap (0, 0) of output (0, 0); negative in padding.
    rows, cols: taps of the kernel.
    row_stride, col_stride: input pixels from one output to the next.
    row_dilation, col_dilation: input pixels from one tap to the next.
    out_height, out_width: outputs.
    """

    row: int
    height: int
    width: int
    top: int
    left: int
    rows: int
    cols: int
    row_stride: int
    col_stride: int
    row_dilation: int
    col_dilation: int
    out_height: int
    out_width: int

    @property
    def taps(self) -> int:
        return self.rows * self.cols

    @property
    def outputs(self) -> int:
        return self.out_height * self.out_width

    def first(self, outputs: int) -> WindowShape:
        """Of this window the first rows of outputs, or the first outputs of a row: at most so
        many."""
        rows = min(self.out_height, max(1, outputs // self.out_width))
        return self._replace(out_height=rows, out_width=min(self.out_width, outputs))

    @property
    def real(self) -> npt.NDArray[np.int64]:
        """int64 [taps]: outputs for which each tap lies within the tile, not in padding."""
        return _real(self)

    def inside(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """bool [rows, out_height] and [cols, out_width]: taps of outputs that lie in the tile."""
        return (
            _within(
                self.top,
                self.row_stride,
                self.rows,
                self.row_dilation,
                self.out_height,
                self.height,
            ),
            _within(
                self.left, self.col_stride, self.cols, self.col_dilation, self.out_width, self.width
            ),
        )


class Strips(NamedTuple):
    """How outputs are worked on where border columns may be counted by themselves.

    group: outputs that are worked on together.
    fetched: outputs that are fetched at once.
    banks: of ACT.
    """

    group: int
    fetched: int
    banks: int

    def column_fetch(self, window: WindowShape) -> int:
        """Cycles to fetch a group whose outputs lie one above the other."""
        apart = window.row * window.row_stride
        rows = Counter(n * apart % self.banks for n in range(self.fetched))
        return -(-self.group // self.fetched) * max(rows.values())


@lru_cache(maxsize=4096)
def counted_outputs(window: WindowShape, strips: Strips | None = None) -> tuple[Int32, Int32]:
    """Rows and columns of the outputs, int32 [outputs], in the order in which an array counts them:
    row by row.

    With ``strips``: strip by strip, and row by row in each, if every strip has a group and to fetch
    a group of one column takes ``MOST_FETCH`` cycles at most; neighbouring columns that find the
    image at the same columns of the kernel are a strip.
    """
    if strips is None or strips.column_fetch(window) > MOST_FETCH:
        return row_by_row(window.out_height, window.out_width)
    _, right = window.inside()
    borders = np.flatnonzero((right[:, 1:] != right[:, :-1]).any(axis=0)) + 1
    edges = [0, *borders.tolist(), window.out_width]
    if min(end - edge for edge, end in pairwise(edges)) * window.out_height < strips.group:
        return row_by_row(window.out_height, window.out_width)
    pieces = [row_by_row(window.out_height, end - edge) for edge, end in pairwise(edges)]
    return (
        np.concatenate([rows for rows, _ in pieces]),
        np.concatenate([edge + cols for edge, (_, cols) in zip(edges, pieces, strict=False)]),
    )


def row_by_row(height: int, width: int) -> tuple[Int32, Int32]:
    """Row and column of each of ``height`` x ``width`` outputs, int32, row by row."""
    rows, columns = np.divmod(np.arange(height * width, dtype=np.int32), np.int32(width))
    return rows, columns


@lru_cache(maxsize=4096)
def _real(window: WindowShape) -> npt.NDArray[np.int64]:
    down, right = (np.count_nonzero(axis, axis=1).astype(np.int64) for axis in window.inside())
    real: npt.NDArray[np.int64] = np.multiply.outer(down, right).reshape(-1)
    return real


def _within(
    first: int, stride: int, taps: int, dilation: int, outputs: int, limit: int
) -> npt.NDArray[np.bool_]:
    """bool [taps, outputs]: whether each tap of each output of an axis is at 0 <= p < limit."""
    position = first + np.add.outer(np.arange(taps) * dilation, np.arange(outputs) * stride)
    inside: npt.NDArray[np.bool_] = (position >= 0) & (position < limit)
    return inside
