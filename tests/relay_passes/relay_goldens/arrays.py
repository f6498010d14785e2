"""Inputs and parameters that both sides draw again instead of storing them. Needs numpy only."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def drawn(case: str, name: str, shape: tuple[int, ...], dtype: str) -> Array:
    """The array of an input or a parameter: the same for the same case, name and shape.

    Statistics of a batch normalisation are informative, by their name: relay.testing's own are
    nearly flat and hide what is done with them. Weights keep the size of what they multiply.
    """
    rng = np.random.default_rng(zlib.crc32(f"{case} {name}".encode()))
    uniform = rng.random(shape)
    if dtype in ("int8", "uint8", "int32"):
        bounds = np.iinfo(dtype if dtype != "int32" else "int8")
        return np.asarray(np.floor(bounds.min + uniform * 256).astype(dtype))
    if dtype == "bool":
        return np.asarray(uniform < 0.5)
    if any(word in name for word in ("gamma", "var")):
        return np.asarray((0.5 + uniform).astype(dtype))
    fan_in = int(np.prod(shape[1:])) or 1 if len(shape) > 1 and "weight" in name else 4
    return np.asarray(((uniform * 2 - 1) * np.sqrt(6 / fan_in)).astype(dtype))
