"""The window of an input that an output looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Count = TypeVar("Count", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class Window:
    """Taps, strides, dilations and padding before the first row and column."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def span(self, axis: int, outputs: Count) -> Count:
        """Input positions along an axis that ``outputs`` neighbouring outputs look at."""
        reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return (outputs - 1) * self.stride[axis] + reach

    def every(self, rows: int) -> Window:
        """The same window on an image of which only every so-many-th row is there."""
        return replace(self, stride=(self.stride[0] // rows, self.stride[1]))

    def stays_in_image(self, rows: int, made: int) -> bool:
        """Whether ``made`` rows of an image of ``rows`` look at it alone, without padding, and go
        on in the one below it as they would in the same."""
        return self.pad[0] == 0 and self.stride[0] * made == rows and self.span(0, made) <= rows
