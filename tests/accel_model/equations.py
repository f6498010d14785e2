"""The equations of isa.py in plain numpy, one output at a time; values are [C, rows, cols]."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Taps:
    """kernel, stride, dilation: (rows, columns); top, left: input position of tap 0 of output 0."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int
    out: tuple[int, int]


def seen(x: Array, taps: Taps, outside: int) -> Array:
    """int64 [C, out rows, out cols, taps]; ``outside`` where a tap misses the input."""
    found = np.full((len(x), *taps.out, taps.kernel[0] * taps.kernel[1]), outside, np.int64)
    for oy in range(taps.out[0]):
        for ox in range(taps.out[1]):
            for r in range(taps.kernel[0]):
                for s in range(taps.kernel[1]):
                    y = taps.top + oy * taps.stride[0] + r * taps.dilation[0]
                    z = taps.left + ox * taps.stride[1] + s * taps.dilation[1]
                    if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                        found[:, oy, ox, r * taps.kernel[1] + s] = x[:, y, z]
    return found


def conv(x: Array, weight: Array, taps: Taps) -> Array:
    """int64 [K, out rows, out cols]; x without its zero point."""
    flat = weight.reshape(*weight.shape[:2], -1).astype(np.int64)
    sums: Array = np.einsum("cyxt,kct->kyx", seen(x, taps, 0), flat)
    return sums


def depthwise(x: Array, weight: Array, taps: Taps) -> Array:
    sums: Array = np.einsum("cyxt,ct->cyx", seen(x, taps, 0), weight.reshape(len(weight), -1))
    return sums


def q(v: Array, mult: Any, shift: Any, zero_point: int, low: int, high: int) -> Array:
    """``Q`` of isa.py; mult and shift by channel or scalar."""
    mult, shift = (np.reshape(np.asarray(each, np.int64), (-1, 1, 1)) for each in (mult, shift))
    rounded = (v * mult + (np.int64(1) << (shift - 1))) >> shift
    clipped: Array = np.clip(rounded + zero_point, low, high)
    return clipped


def scaled_sum(
    a: Array, b: Array, mult_a: int, mult_b: int, shift: int, zero_point: int, low: int, high: int
) -> Array:
    clipped: Array = np.clip(even(a * mult_a + b * mult_b, shift) + zero_point, low, high)
    return clipped


def scaled_product(
    a: Array, b: Array, mult: int, shift: int, zero_point: int, low: int, high: int
) -> Array:
    clipped: Array = np.clip(even(a * b * mult, shift) + zero_point, low, high)
    return clipped


def average(
    x: Array, taps: Taps, mult: int, shift: int, zero_point: int, low: int, high: int
) -> Array:
    clipped: Array = np.clip(
        even(seen(x, taps, 0).sum(axis=-1) * mult, shift) + zero_point, low, high
    )
    return clipped


def even(p: Array, shift: int) -> Array:
    """``even`` of isa.py in Python's own integers: to 16 bits of fraction, then ``round``'s way."""

    def one(value: int) -> int:
        bits = min(shift, 16)
        fine = (value * 2 + (1 << (shift - bits))) // (2 << (shift - bits)) if shift > 16 else value
        return round(Fraction(fine, 1 << bits))

    return np.array([one(int(v)) for v in p.flat], np.int64).reshape(p.shape)
