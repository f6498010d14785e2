"""Pools: the greatest value under the taps of each output, or their sum.

A pool touches few values and no weights: numpy is quick enough, and nothing has to be compiled. The
taps are a rectangle, so each row of it is pooled first and then what came of the rows. act: uint8
[N, rows, 16] as in ``kernels.py``, or uint16; what was pooled is [N, blocks, outputs, 16].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.functional.kernels import (
    FINE,
    MAX_SHIFT,
    MOST_PRODUCT,
    SCALE,
    SHIFT,
    half_even,
)
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.memory.operand_window import OperandWindow, Target

Bytes = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer[Any]]

SLAB = 1 << 16  # values that are scaled at a time
Some = TypeVar("Some", Int32, Integers)

_ROWS, _COLUMNS = 2, 3  # axes of values


def held_values(window: OperandWindow) -> int:
    """Values of a channel that are held between rows and columns, at the most."""
    reach = (window.out_height - 1) * window.row_stride + (window.rows - 1) * window.row_dilation
    return min(window.height, reach + 1) * window.out_width


def maxima(act: Bytes, window: OperandWindow, blocks: int) -> Int32 | None:
    """The greatest values under the taps that are within the tile; None if an output has none."""
    down, right = _axes(window)
    if not (down.seen.all() and right.seen.all()):
        return None
    values, zero = _values(act, window, blocks)
    found = _pooled(values, (down, right), np.maximum, values.dtype)
    return _in_a_row(found.astype(np.int32) - np.int32(zero))


def sums(act: Bytes, window: OperandWindow, blocks: int, kind: np.dtype[Any]) -> Integers:
    """Sums of the values under the taps that are within the tile, of a type that holds them."""
    down, right = _axes(window)
    values, zero = _values(act, window, blocks)
    found = _pooled(values, (down, right), np.add, kind)
    found -= (zero * np.outer(down.seen, right.seen)[:, :, None]).astype(kind)
    return _in_a_row(found)


def write_maxima(most: Int32, act: Bytes, channels: int, y: Target) -> None:
    """Clip maxima to the limits and write the tile."""
    _write(most, act, channels, y, lambda values: values)


def write_averages(
    totals: Integers, act: Bytes, channels: int, mult: int, shift: int, y: Target, reach: int
) -> tuple[int, int]:
    """Scale sums, at most ``reach``, and write the tile; FINE and 0, SHIFT and one that means
    nothing, or SCALE and a multiplier whose product with a sum does not fit in int64."""
    if not 1 <= shift <= MAX_SHIFT:
        return SHIFT, shift
    if abs(mult) > MOST_PRODUCT // reach:
        return SCALE, mult
    _write(totals, act, channels, y, lambda values: half_even(values * mult, shift))
    return FINE, 0


# --------------------------------------------------------------------------------------- taps


class _Axis(NamedTuple):
    """What taps of outputs look at along an axis. first, end: places, from the first that is looked
    at. taps: for each that is within the tile for some output, these outputs and their places,
    counted from ``first``. seen: int64 [outputs], taps that are within the tile."""

    first: int
    end: int
    taps: tuple[tuple[slice, slice], ...]
    seen: Int64


@lru_cache(maxsize=4096)
def _axis(first: int, stride: int, taps: int, dilation: int, outputs: int, limit: int) -> _Axis:
    at = first + np.arange(taps) * dilation
    places = at[:, None] + np.arange(outputs) * stride
    inside = (places >= 0) & (places < limit)
    looked_at = places[inside]
    low, high = (int(looked_at.min()), int(looked_at.max())) if looked_at.size else (0, -1)
    found = []
    for row, there in zip(places.tolist(), inside, strict=True):
        which = np.flatnonzero(there)
        if which.size:
            begin, end = int(which[0]), int(which[-1])
            run = slice(row[begin] - low, row[end] - low + 1, stride)
            found.append((slice(begin, end + 1), run))
    return _Axis(low, high + 1, tuple(found), inside.sum(axis=0, dtype=np.int64))


def _axes(w: OperandWindow) -> tuple[_Axis, _Axis]:
    """Rows and columns."""
    return (
        _axis(w.top, w.row_stride, w.rows, w.row_dilation, w.out_height, w.height),
        _axis(w.left, w.col_stride, w.cols, w.col_dilation, w.out_width, w.width),
    )


def _tile(act: Bytes, at: int, shape: tuple[int, int, int], block: int, row: int) -> Bytes:
    """View [N, blocks, rows, columns, 16] of ACT, from row ``at`` on; shape: without N and 16."""
    image, one, value = act.strides
    strides = (image, block * one, row * one, one, value)
    return np.lib.stride_tricks.as_strided(act[:, at:], (len(act), *shape, BLOCK), strides)


def _values(act: Bytes, w: OperandWindow, blocks: int) -> tuple[Integers, int]:
    """What the taps look at, as it lies in ACT, and what is to be taken from each."""
    (down, right), signed = _axes(w), w.flip != 0
    shape = blocks, down.end - down.first, right.end - right.first
    if 0 in shape:
        return np.zeros((len(act), *shape, BLOCK), act.dtype), 0
    held = _tile(act, w.act + down.first * w.row + right.first, shape, w.block, w.row)
    return held.view(f"i{act.itemsize}") if signed else held, w.offset - w.flip


def _pooled(
    values: Integers, axes: tuple[_Axis, _Axis], join: np.ufunc, kind: np.dtype[Any]
) -> Integers:
    """Values pooled along their columns, then along their rows, to values of a kind."""
    least = np.iinfo(kind).min if join is np.maximum else 0
    for number, axis in ((_COLUMNS, axes[1]), (_ROWS, axes[0])):
        shape = list(values.shape)
        shape[number] = len(axis.seen)
        made = np.full(shape, least, kind)
        whole = (slice(None),) * number
        for outputs, places in axis.taps:
            into = made[(*whole, outputs)]
            join(into, values[(*whole, places)], out=into)
        values = made
    return values


def _in_a_row(pooled: Some) -> Some:
    """[N, blocks, outputs, 16] of outputs in rows and columns."""
    return pooled.reshape(*pooled.shape[:2], -1, BLOCK)


def _write(
    values: Integers, act: Bytes, channels: int, y: Target, scaled: Callable[[Int64], Int64]
) -> None:
    """Scale values, clip them to the limits and write them, or what the table has for them: some
    blocks at a time, which stay in the processor's caches."""
    _, blocks, outputs, _ = values.shape
    into = _tile(act, y.act, (blocks, outputs // y.width, y.width), y.block, y.row)
    whole, rest = divmod(channels, BLOCK)
    step = max(1, SLAB // values[:, 0].size)
    parts = [(slice(first, min(first + step, whole)), BLOCK) for first in range(0, whole, step)]
    for some, width in (*parts, (slice(whole, blocks), rest)):
        found = scaled(values[:, some, :, :width].astype(np.int64)) + y.zero_point
        found = np.clip(found, y.low, y.high)
        made = y.table[found.astype(np.uint8)] if len(y.table) else found.astype(act.dtype)
        place = into[:, some, ..., :width]
        place[...] = made.reshape(place.shape)
