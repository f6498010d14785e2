"""Fields that kinds of integer layers share, as keyword arguments."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Shape = tuple[int, ...]


class LimitFields(TypedDict):
    """Least and greatest value of the result."""

    lo: int
    hi: int


class ScaleFields(TypedDict):
    """One factor for all of the tensor."""

    mult: int
    shift: int


class ScalesFields(TypedDict):
    """int32 [K]: of every channel."""

    mult: Int32
    shift: Int32
    bias: Int32


class WeightFields(ScalesFields):
    """int8 [K, C / groups, *kernel], and what scales their sums."""

    weight: Int8


class WindowFields(TypedDict):
    """Of a pool: one of each for every spatial dimension, of the padding two."""

    kernel: Shape
    strides: Shape
    padding: Shape


class DilatedWindowFields(WindowFields):
    """Of a pool whose taps may lie apart."""

    dilation: Shape
