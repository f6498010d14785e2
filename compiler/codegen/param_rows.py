"""Parameters of layers as rows of PAR, 16 bytes each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.ir import ops


def requantize_rows(bias: ops.Int32, mult: ops.Int32, shift: ops.Int32) -> npt.NDArray[np.uint8]:
    """PAR rows of the channels' parameters: per 16 channels bias, mult (4 rows each), shift."""
    count = blocks(len(bias)) * isa.BLOCK
    columns = np.zeros((count, 9), np.uint8)
    columns[:, 8] = 1
    columns[: len(bias), 0:4] = bias.astype("<i4").view(np.uint8).reshape(-1, 4)
    columns[: len(bias), 4:8] = mult.astype("<i4").view(np.uint8).reshape(-1, 4)
    columns[: len(bias), 8] = shift
    grouped = columns.reshape(-1, isa.BLOCK, 9)
    parts = [
        grouped[:, :, low:high].reshape(len(grouped), -1) for low, high in ((0, 4), (4, 8), (8, 9))
    ]
    return np.concatenate(parts, axis=1).reshape(-1, 16)


def scalar_rows(*mults: int, shift: int) -> npt.NDArray[np.uint8]:
    """One PAR row: int32 multipliers, then the shift."""
    row = np.zeros(16, np.uint8)
    row[: 4 * len(mults)] = np.array(mults, "<i4").view(np.uint8)
    row[4 * len(mults)] = shift
    return row.reshape(1, 16)


def sum_rows(op: ops.Op) -> npt.NDArray[np.uint8]:
    """The PAR row of an operand: two multipliers, the shift, and the zero point of a result that
    goes through a table before it is added."""
    total = op.scaling
    assert total is not None
    rows = scalar_rows(total.mult_a, total.mult_b, shift=total.shift)
    if op.residual is not None and op.residual.table is not None:
        rows[0, 10:12] = np.array([op.residual.pre_add.zero_point], "<i2").view(np.uint8)
    return rows
