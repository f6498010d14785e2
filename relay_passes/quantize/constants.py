"""Constants of a float function: their real values and, of dequantized ones, their integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant's real values; of a dequantized one also its integers and their scale, which
    broadcasts over them."""

    value: Array
    integers: Array | None = None
    scale: Array | None = None


def dequantized(args: Sequence[Array | None], axis: int) -> Constant | None:
    """The constant of a dequantize's (integers, scale, zero point); None if one is no constant."""
    integers, scale, zero_point = args
    if integers is None or scale is None or zero_point is None:
        return None
    along = [1] * integers.ndim
    if scale.size > 1:
        along[axis] = -1
    scales = scale.astype(np.float64).reshape(along)
    zeros = zero_point.astype(np.int64).reshape(along if zero_point.size > 1 else [1] * len(along))
    centred = integers.astype(np.int64) - zeros
    return Constant(centred * scales, centred, scales)


def moved(constant: Constant, axes: Sequence[int] | None) -> Constant:
    """The constant with its axes permuted (reversed for None)."""
    integers, scale = constant.integers, constant.scale
    return Constant(
        constant.value.transpose(axes),
        None if integers is None else integers.transpose(axes),
        None if scale is None else scale.transpose(axes),
    )


def reshaped(constant: Constant, shape: tuple[int, ...]) -> Constant:
    """The constant with another shape of as many elements."""
    value, integers, scale = constant.value, constant.integers, constant.scale
    if integers is None or scale is None:
        return Constant(value.reshape(shape))
    full = scale if scale.size == 1 else np.broadcast_to(scale, value.shape)
    new = (1,) * len(shape) if scale.size == 1 else shape
    return Constant(value.reshape(shape), integers.reshape(shape), full.reshape(new))
