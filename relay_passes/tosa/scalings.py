"""How a text scales what it computes, as layers are made to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.tosa.tensors import Sums

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Requantize:
    """mult, shift: one number, or one for each channel. zero: of the result. low, high: what the
    result's type holds."""

    mult: Ints
    shift: Ints
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class SumOf:
    """reals: by what each term is scaled. zeros: of the two tensors."""

    reals: tuple[float, float]
    zeros: tuple[int, int]
    out: Requantize


@dataclass(frozen=True)
class Average:
    """Sums of windows, how a convolution scales them, and what the text makes of sums of
    ``x - sums.zero``."""

    sums: Sums
    by: Requantize
    truth: Callable[[Ints], Ints]

    @property
    def reach(self) -> Ints:
        """Every sum that there can be."""
        area, zero = self.sums.window.kernel[0] * self.sums.window.kernel[1], self.sums.zero
        return np.arange(area * (-128 - zero), area * (127 - zero) + 1)
