"""Resizing as a linear map of each axis (ONNX specification, Resize-19)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

# Modes of coordinates that TVM's resizes have too.
PLAIN = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")


def axis_matrix(n: int, out: int, scale: float, attrs: Mapping[str, Any]) -> Doubles:
    """The weights [out, n] of one axis of a Resize."""
    places = _places(n, out, scale, attrs.get("coordinate_transformation_mode", "half_pixel"))
    mode = attrs.get("mode", "nearest")
    rows = np.arange(out)
    result = np.zeros((out, n))
    if mode == "nearest":
        result[rows, np.clip(_nearest(places, attrs), 0, n - 1)] = 1
        return result
    wide = min(scale, 1.0) if attrs.get("antialias", 0) else 1.0
    radius = (2.0 if mode == "cubic" else 1.0) / wide
    first = np.floor(places).astype(int)
    for offset in range(-math.ceil(radius) - 1, math.ceil(radius) + 2):
        index = first + offset
        distance = np.abs(places - index) * wide
        weight = (
            _cubic(distance, attrs.get("cubic_coeff_a", -0.75))
            if mode == "cubic"
            else np.maximum(1 - distance, 0)
        )
        inside = (index >= 0) & (index < n)
        if attrs.get("exclude_outside", 0):
            weight = np.where(inside, weight, 0)
        np.add.at(result, (rows, np.clip(index, 0, n - 1)), weight)
    total: Doubles = result.sum(1, keepdims=True)
    return result / total


def _places(n: int, out: int, scale: float, mode: str) -> Doubles:
    """Where each output element lies in the input, in input elements."""
    x = np.arange(out, dtype=np.float64)
    if mode == "asymmetric":
        return x / scale
    if mode == "align_corners":
        return np.zeros(out) if out == 1 else x * (n - 1) / (out - 1)
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if mode == "pytorch_half_pixel" and out == 1:
        return np.zeros(1)
    if mode == "half_pixel_symmetric":
        centre = n / 2 * (1 - out / (scale * n))
        return centre + (x + 0.5) / scale - 0.5
    return (x + 0.5) / scale - 0.5


def _nearest(places: Doubles, attrs: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    mode = attrs.get("nearest_mode", "round_prefer_floor")
    places = np.round(places, 6)  # the specification's float32 does not tell these apart
    rounded = {
        "floor": np.floor(places),
        "ceil": np.ceil(places),
        "round_prefer_ceil": np.floor(places + 0.5),
    }.get(mode, np.ceil(places - 0.5))
    return rounded.astype(np.int64)


def _cubic(d: Doubles, a: float) -> Doubles:
    """Keys' kernel (Cubic convolution interpolation, 1981) at distance d."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
