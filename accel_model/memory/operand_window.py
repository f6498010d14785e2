"""Where the outputs of a compute instruction look: its registers as one value."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.timing.shape import WindowShape


class OperandWindow(NamedTuple):
    """Input tile, taps and output size (isa.Input, isa.Extent, isa.Kernel, isa.Output), as in the
    registers.

    Value of a byte b: ``(b ^ flip) - offset``, whether the input is uint8 or int8; of a word of an
    int16 input likewise.
    """

    act: int
    row: int
    block: int
    height: int
    width: int
    top: int
    left: int
    flip: int
    offset: int
    rows: int
    cols: int
    row_stride: int
    col_stride: int
    row_dilation: int
    col_dilation: int
    out_height: int
    out_width: int

    @staticmethod
    def of(
        x: isa.Input, extent: isa.Extent, kernel: isa.Kernel, y: isa.Output, value_bytes: int = 1
    ) -> OperandWindow:
        return OperandWindow(
            x.act,
            x.row,
            x.block,
            extent.height,
            extent.width,
            extent.top,
            extent.left,
            *_as_unsigned(x.unsigned, x.zero_point, value_bytes),
            kernel.rows,
            kernel.cols,
            kernel.row_stride,
            kernel.col_stride,
            kernel.row_dilation,
            kernel.col_dilation,
            y.height,
            y.width,
        )

    @property
    def shape(self) -> WindowShape:
        """What time depends on."""
        return WindowShape(
            self.row,
            self.height,
            self.width,
            self.top,
            self.left,
            self.rows,
            self.cols,
            self.row_stride,
            self.col_stride,
            self.row_dilation,
            self.col_dilation,
            self.out_height,
            self.out_width,
        )

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest value that an input can have, 0 included."""
        most = max(255, 2 * self.flip - 1)
        return min(0, -self.offset), max(0, most - self.offset)

    @property
    def taps(self) -> int:
        return self.rows * self.cols

    @property
    def outputs(self) -> int:
        return self.out_height * self.out_width

    def cells(self, first_block: int, blocks: int) -> list[AddressSet]:
        """Rows of ACT that some tap of some output reads in ``blocks`` blocks; padding is not."""
        down = positions(
            self.top, self.row_stride, self.rows, self.row_dilation, self.out_height, self.height
        )
        right = positions(
            self.left, self.col_stride, self.cols, self.col_dilation, self.out_width, self.width
        )
        found = []
        for (y, y_step, height), (x, x_step, width) in product(down, right):
            first = self.act + first_block * self.block + y * self.row + x
            run = (width, 1) if x_step == 1 else (1, width)
            found.append(
                AddressSet(
                    first, run[0], run[1], x_step, height, y_step * self.row, blocks, self.block
                )
            )
        return found


NO_TABLE = np.empty(0, np.uint8)  # results are written as they are
UNSIGNED_TABLE = 2  # of isa.Operand.mid_lookup


class Target(NamedTuple):
    """An output tile (isa.Output); flat, as the loops take it.

    table: uint8 [256], what is written for the byte of a result, or ``NO_TABLE``.
    """

    act: int
    row: int
    block: int
    width: int
    zero_point: int
    low: int
    high: int
    table: npt.NDArray[np.uint8] = NO_TABLE

    @staticmethod
    def of(y: isa.Output, table: npt.NDArray[np.uint8] = NO_TABLE) -> Target:
        return Target(y.act, y.row, y.block, y.width, y.zero_point, y.low, y.high, table)


class ResidualOperand(NamedTuple):
    """The second operand (isa.Operand), if it is ``there``; flat, as the loops take it.

    mid_table: uint8 [256], what a convolution's own result becomes before it is added, or
    ``NO_TABLE``; mid_unsigned: whether that is uint8.
    """

    there: int
    act: int
    row: int
    block: int
    flip: int
    offset: int
    mid_zero_point: int
    mid_low: int
    mid_high: int
    step: int
    spread: int
    mid_unsigned: int
    mid_table: npt.NDArray[np.uint8]

    @staticmethod
    def of(
        r: isa.Operand, table: npt.NDArray[np.uint8] = NO_TABLE, value_bytes: int = 1
    ) -> ResidualOperand:
        return ResidualOperand(
            1,
            r.act,
            r.row,
            r.block,
            *_as_unsigned(r.unsigned, r.zero_point, value_bytes),
            r.mid_zero_point,
            r.mid_low,
            r.mid_high,
            r.step,
            r.spread,
            int(r.mid_lookup == UNSIGNED_TABLE),
            table,
        )


NO_OPERAND = ResidualOperand(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NO_TABLE)


def _as_unsigned(unsigned: int, zero_point: int, value_bytes: int) -> tuple[int, int]:
    """``flip`` and ``offset`` by which what lies in ACT, b, stands for the value ``(b ^ flip) -
    offset``."""
    sign = 1 << (8 * value_bytes - 1)
    return (0, zero_point) if unsigned else (sign, zero_point + sign)


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
    return tuple(
        (int(p[0]), int(p[1] - p[0]) if len(p) > 1 else 1, len(p)) for p in inside if len(p)
    )
