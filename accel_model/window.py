"""Where the outputs of a compute instruction look: its registers as one value."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from zeroskip.accel_model import isa
from zeroskip.accel_model.cells import Cells


class Window(NamedTuple):
    """Input tile, taps and output size (isa.Input, isa.Kernel, isa.Output), as in the registers."""

    act: int
    row: int
    block: int
    height: int
    width: int
    top: int
    left: int
    zero_point: int
    rows: int
    cols: int
    row_stride: int
    col_stride: int
    row_dilation: int
    col_dilation: int
    out_height: int
    out_width: int

    @staticmethod
    def of(x: isa.Input, kernel: isa.Kernel, y: isa.Output) -> Window:
        return Window(x.act, x.row, x.block, x.height, x.width, x.top, x.left, x.zero_point,
                      kernel.rows, kernel.cols, kernel.row_stride, kernel.col_stride,
                      kernel.row_dilation, kernel.col_dilation, y.height, y.width)

    @property
    def taps(self) -> int:
        return self.rows * self.cols

    @property
    def outputs(self) -> int:
        return self.out_height * self.out_width

    def cells(self, first_block: int, blocks: int) -> list[Cells]:
        """Rows of ACT that some tap of some output reads in ``blocks`` blocks; padding is not."""
        down = positions(self.top, self.row_stride, self.rows, self.row_dilation,
                         self.out_height, self.height)
        right = positions(self.left, self.col_stride, self.cols, self.col_dilation,
                          self.out_width, self.width)
        found = []
        for (y, y_step, height), (x, x_step, width) in product(down, right):
            first = self.act + first_block * self.block + y * self.row + x
            run = (width, 1) if x_step == 1 else (1, width)
            found.append(Cells(first, run[0], run[1], x_step, height, y_step * self.row,
                               blocks, self.block))
        return found


@lru_cache(maxsize=4096)
def positions(
    first: int, stride: int, taps: int, dilation: int, outputs: int, limit: int
) -> tuple[tuple[int, int, int], ...]:
    """Positions 0 <= p < limit that taps of outputs look at along an axis.

    As (start, step, count); one progression where one will do, else one for each tap.
    """
    seen = first + np.add.outer(np.arange(taps) * dilation, np.arange(outputs) * stride)
    inside = [row[(row >= 0) & (row < limit)] for row in seen]
    union = np.unique(np.concatenate(inside))
    steps = np.diff(union)
    if len(union) < 2 or (steps == steps[0]).all():
        inside = [union]
    return tuple((int(p[0]), int(p[1] - p[0]) if len(p) > 1 else 1, len(p))
                 for p in inside if len(p))
