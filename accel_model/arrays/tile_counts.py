"""What arrays count of a tile whatever they do with it: inputs seen, products, results."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import EVENTS, Bools, Case, FilterSet, Int64, Slot
from zeroskip.accel_model.formats import from_reduction_order
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.physics.common import Datapath, stream_rate
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import ACT_ROW, WGT_WORD_BYTES, AccelSpec
from zeroskip.accel_model.timing.shape import WindowShape

Needs: TypeAlias = tuple[tuple[int, int], ...]  # amounts, and how much passes in a cycle

# Counters of arrays on which not every weight that is stored is multiplied by every input.
MULTIPLIED: Mapping[str, str] = MappingProxyType({**EVENTS, "mac": "multiplies"})


def by_tap(positions: npt.NDArray[np.generic], filters: FilterSet) -> npt.NDArray[np.int8]:
    """int8 [F, C, taps] of bool or int8 [F, E] in canonical order."""
    shape = filters.shape
    values = np.ascontiguousarray(positions).view(np.int8)
    return from_reduction_order(values, shape.channels, (shape.taps,))


def there_at(filters: FilterSet, zeros: bool) -> npt.NDArray[np.int8]:
    """int8 [F, C, taps]: 1 where a weight is in a stream; without ``zeros``, one that is not 0."""
    key = ("there_at", zeros)
    found: npt.NDArray[np.int8] | None = filters.memo.get(key)
    if found is None:
        there = filters.stored if zeros else filters.matrix != 0
        found = filters.memo[key] = by_tap(there, filters)
    return found


def filters_at(filters: FilterSet, zeros: bool) -> Int64:
    """int64 [C, taps]: filters with a weight in their stream there; without ``zeros``, one that is
    not 0."""
    key = ("filters_at", zeros)
    found: Int64 | None = filters.memo.get(key)
    if found is None:
        found = filters.memo[key] = there_at(filters, zeros).sum(axis=0, dtype=np.int64)
    return found


def mask_of(case: Case) -> Bools | None:
    """Inputs that are not zero, bool [C, height, width]; None: they are not known."""
    return None if case.inputs is None else case.inputs()


def seen(mask: Bools, window: WindowShape) -> Int64:
    """int64 [C, taps]: outputs whose tap looks at an input of the mask, bool [C, height, width]."""
    down, right = (axis.astype(np.float32) for axis in axis_counts(window))
    # [C, rows, cols] = [rows, H] x [C, H, W] x [W, cols]: an axis at a time
    counted = down @ mask.astype(np.float32) @ right.T
    counts: Int64 = np.rint(counted).astype(np.int64).reshape(len(mask), window.taps)
    return counts


def axis_counts(window: WindowShape) -> tuple[Int64, Int64]:
    """int64 [rows, height] and [cols, width]: outputs of an axis whose tap is at a place."""
    return (
        _at_places(window.height, *_axes(window)[0]),
        _at_places(window.width, *_axes(window)[1]),
    )


def _axes(window: WindowShape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First place, stride, taps, dilation and outputs of each axis."""
    return (
        (window.top, window.row_stride, window.rows, window.row_dilation, window.out_height),
        (window.left, window.col_stride, window.cols, window.col_dilation, window.out_width),
    )


@lru_cache(maxsize=4096)
def _at_places(size: int, first: int, stride: int, taps: int, dilation: int, outputs: int) -> Int64:
    """int64 [taps, size]: outputs of which each tap is at each place of an axis."""
    at = first + np.add.outer(np.arange(taps) * dilation, np.arange(outputs) * stride)
    tap, output = np.nonzero((at >= 0) & (at < size))
    counts = np.zeros((taps, size), np.int64)
    np.add.at(counts, (tap, at[tap, output]), 1)
    return counts


def looked_at(mask: Bools | None, window: WindowShape) -> Int64:
    """int64 [C or 1, taps]: ``seen``, or outputs whose tap is not in padding if there is no
    mask."""
    return window.real[np.newaxis] if mask is None else seen(mask, window)


SUPPLY = Slot(
    "supply", "waiting at the end for what memories have still to send: inputs or weights", "fetch"
)


def supplies(spec: AccelSpec, way: Datapath, case: Case, words: int, fetched: int = 0) -> Needs:
    """What ACT and WGT send to the array, and how much of it in a cycle, bytes. words: of streams;
    fetched: bytes of inputs. Rows of the operand come from ACT too."""
    operand = case.last and case.operand_row is not None
    rows = operand * blocks(len(case.filters)) * case.window.outputs
    return (
        (fetched + ACT_ROW * rows, ACT_ROW * way.act_banks(spec)),
        (WGT_WORD_BYTES * words, stream_rate(spec, way)),
    )


def supply_cycles(end: int, needs: Needs) -> int:
    """Cycles from ``end`` until everything that is needed has been sent."""
    return max(0, *(-(-amount // rate) - end for amount, rate in needs))


def result_events(case: Case, slots: int) -> dict[str, int]:
    """What becomes of the sums: rows of ACT that are written and of the operand that are read,
    rows of ACC, requantized results."""
    outputs, count = case.window.outputs, len(case.filters)
    ends = case.last * (1 + (case.operand_row is not None))
    return {
        "act_rows": ends * blocks(count) * outputs,
        "acc_rows": ((not case.first) + (not case.last))
        * len(accumulator_rows(slots, count))
        * outputs,
        "requantised": ends * count * outputs,
    }


@njit_cached
def two_sets(first: Int64, second: Int64) -> tuple[int, int]:
    """When both of two steps have done all items, with two buffers between them.

    first, second: int64 [items], cycles that each step takes for an item. The second takes an item
    when the first has done it; the first begins item k when the second has done item k - 2.
    Returns the end of the first step and of the second.
    """
    done, before, last = 0, 0, 0  # first step; second step of item k - 2, and of item k - 1
    for k in range(len(first)):
        done = max(done, before) + first[k]
        before, last = last, max(done, last) + second[k]
    return done, last


def patch_window(whole: WindowShape, high: int, wide: int) -> WindowShape:
    """The window of a patch of the output: at the edges where it covers an axis, else within."""
    rows = min(whole.height, (high - 1) * whole.row_stride + reach(whole.rows, whole.row_dilation))
    cols = min(whole.width, (wide - 1) * whole.col_stride + reach(whole.cols, whole.col_dilation))
    if high >= whole.out_height:
        high, rows = whole.out_height, whole.height
    if wide >= whole.out_width:
        wide, cols = whole.out_width, whole.width
    return whole._replace(
        row=cols,
        height=rows,
        width=cols,
        top=whole.top if high == whole.out_height else 0,
        left=whole.left if wide == whole.out_width else 0,
        out_height=high,
        out_width=wide,
    )


def reach(taps: int, dilation: int) -> int:
    """Positions from the first tap to the last."""
    return (taps - 1) * dilation + 1


def looked_up(mask: Bools, window: WindowShape, outputs: slice) -> Bools:
    """bool [C, taps, outputs]: what taps of outputs see of a mask [C, height, width]; padding is
    False."""
    (down, across), rows = _places(window), window.rows
    n = np.arange(outputs.start, outputs.stop)
    y, x = down[:, n // window.out_width], across[:, n % window.out_width]  # [rows, n], [cols, n]
    y, x = np.repeat(y, window.cols, axis=0), np.tile(x, (rows, 1))
    inside = (y >= 0) & (y < window.height) & (x >= 0) & (x < window.width)
    values = mask[:, np.where(inside, y, 0), np.where(inside, x, 0)]
    found: Bools = values & inside
    return found


def _places(window: WindowShape) -> tuple[Int64, Int64]:
    """int64 [rows, out_height] and [cols, out_width]: where taps of outputs look."""
    (top, down, rows, low, high), (left, right, cols, far, wide) = _axes(window)
    return (
        top + np.add.outer(np.arange(rows) * low, np.arange(high) * down),
        left + np.add.outer(np.arange(cols) * far, np.arange(wide) * right),
    )


@lru_cache(maxsize=64)
def in_tile(window: WindowShape) -> Bools:
    """bool [taps, outputs]: taps that lie in the tile and not in padding."""
    whole = np.ones((1, window.height, window.width), np.bool_)
    found: Bools = looked_up(whole, window, slice(0, window.outputs))[0]
    return found


def padded_alike(window: WindowShape) -> tuple[Bools, Int64]:
    """bool [N, taps]: taps that are not in padding, for each way outputs of the tile differ in
    them; int64 [outputs]: which of them an output is."""
    down, across = _places(window)
    rows, of_row = np.unique((down >= 0) & (down < window.height), axis=1, return_inverse=True)
    cols, of_col = np.unique((across >= 0) & (across < window.width), axis=1, return_inverse=True)
    real = rows.T[:, np.newaxis, :, np.newaxis] & cols.T[np.newaxis, :, np.newaxis, :]
    of = np.add.outer(of_row.reshape(-1) * cols.shape[1], of_col.reshape(-1))
    return real.reshape(-1, window.taps), of.reshape(-1).astype(np.int64)


@lru_cache(maxsize=1024)
def window_pixels(window: WindowShape, size: int) -> Int64:
    """int64 [V]: pixels of the tile that taps of ``size`` neighbouring outputs look at."""
    down, across = _places(window)
    counts = []
    for first in range(0, window.outputs, size):
        n = np.arange(first, min(first + size, window.outputs))
        row, at = n // window.out_width, n % window.out_width
        seen = np.zeros((window.height, window.width), np.bool_)
        for y in np.unique(row):  # outputs of a row look at the same rows of the tile
            high, wide = down[:, y], np.unique(across[:, at[row == y]])
            high = high[(high >= 0) & (high < window.height)]
            wide = wide[(wide >= 0) & (wide < window.width)]
            seen[np.ix_(high, wide)] = True
        counts.append(np.count_nonzero(seen))
    return np.array(counts, np.int64)
