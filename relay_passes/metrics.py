"""How far the outputs of a pruned network are from those of the dense one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Outputs = Sequence[npt.NDArray[Any]]


def noise(wanted: Outputs, made: Outputs) -> float:
    """The power of the difference over that of what is wanted, all outputs together."""
    signal = sum(float(np.square(each, dtype=np.float64).sum()) for each in wanted)
    wrong = sum(
        float(np.square(one - other, dtype=np.float64).sum())
        for one, other in zip(wanted, made, strict=True)
    )
    return wrong / signal if signal else math.inf if wrong else 0.0


def snr_db(wanted: Outputs, made: Outputs) -> float:
    """The same as signal to noise in dB."""
    ratio = noise(wanted, made)
    return -10 * math.log10(ratio) if ratio else math.inf
