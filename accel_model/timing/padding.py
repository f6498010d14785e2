"""Taps that a group of outputs does not need, since none of its outputs finds the image there.

The rules are those of docs/ARRAYS.md, "Padding": the sequencer knows the rows and columns of a
group's outputs, so two comparisons tell it which rows, or columns, of the kernel to pass over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats.reduction_order import ReductionSteps
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.timing.shape import Strips, WindowShape, counted_outputs

Bools = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WorkedTaps:
    """The taps that each group of outputs works on.

    taps: bool [V, taps], the different sets of them.
    sets: int32 [T], the set of each group.
    outputs: int64 [taps], outputs of the groups that work on each tap.
    """

    taps: Bools
    sets: Int32
    outputs: Int64


def every_tap(window: WindowShape, strips: Strips) -> WorkedTaps:
    """All taps of all groups."""
    groups = -(-window.outputs // strips.group)
    outputs = np.full(window.taps, window.outputs, np.int64)
    return WorkedTaps(np.ones((1, window.taps), bool), np.zeros(groups, np.int32), outputs)


def no_tap(taps: int) -> WorkedTaps:
    """One group of outputs in padding: it needs none of its taps."""
    return WorkedTaps(np.zeros((1, taps), bool), np.zeros(1, np.int32), np.zeros(taps, np.int64))


@lru_cache(maxsize=4096)
def worked_taps(window: WindowShape, strips: Strips) -> WorkedTaps:
    """Of groups of outputs as they are counted (``shape.counted_outputs``).

    A tap is passed over if its row of the kernel is in padding for all rows of outputs of the
    group, or its column for all columns.
    """
    first = np.arange(0, window.outputs, strips.group)
    size = np.minimum(strips.group, window.outputs - first)
    rows, columns = (
        np.add.reduceat(inside[:, places], first, axis=1, dtype=np.int32).T > 0  # [T, taps]
        for inside, places in zip(window.inside(), counted_outputs(window, strips), strict=True)
    )
    both, sets = np.unique(np.hstack([rows, columns]), axis=0, return_inverse=True)
    taps = both[:, : window.rows, np.newaxis] & both[:, np.newaxis, window.rows :]
    taps = taps.reshape(len(both), window.taps)
    of_group: Int32 = sets.reshape(-1).astype(np.int32)
    of_sets = np.bincount(of_group, size, len(taps)).astype(np.int64)
    return WorkedTaps(taps, of_group, of_sets @ taps)


def worked_steps(every: ReductionSteps, step: int, worked: WorkedTaps) -> ReductionSteps:
    """The stages of a reduction for each set of taps, int32 [V, J].

    every: those of all taps, ``step`` of a block at a time. A stage of which no tap is left is not
    fetched, and its one entry is the note that it is passed over.
    """
    taps = worked.taps.shape[1]
    left = np.add.reduceat(worked.taps, np.arange(0, taps, step), axis=1, dtype=np.int32)
    fetches = np.tile(left, (1, len(every) // left.shape[1]))
    widths = every.window_entries // every.tap_fetches
    return ReductionSteps(fetches, np.maximum(fetches * widths, 1))


def worked_counts(stored: Bools, channels: int, step: int, worked: WorkedTaps) -> Int32:
    """int32 [V, F, J]: cycles of a filter's lane for the taps that are left of each stage: one for
    each weight that it stores, and one to pass over a kernel of several taps of which none is left.

    stored: bool [F, E], in canonical order.
    """
    filters, counts = len(stored), list[Int32]()
    for first in range(0, channels, BLOCK):
        width, taps = min(BLOCK, channels - first), worked.taps.shape[1]
        block = stored[:, first * taps : (first + width) * taps].reshape(filters, taps, width)
        for tap in range(0, taps, step):
            kernels = block[:, tap : tap + step].transpose(0, 2, 1).astype(np.int32)
            left = kernels @ worked.taps[:, tap : tap + step].T.astype(np.int32)  # [F, width, V]
            if step > 1:
                there = kernels.max(axis=2, keepdims=True) > 0
                left = np.where(there, np.maximum(left, 1), 0)
            counts.append(left.sum(axis=1, dtype=np.int32).T)
    return np.stack(counts, axis=2)


def stored_at_taps(stored: Bools, channels: int, taps: int) -> Int64:
    """int64 [F, taps]: weights of each filter that are stored for each tap.

    stored: bool [F, E], in canonical order.
    """
    whole = channels // BLOCK * BLOCK
    head = stored[:, : whole * taps].reshape(len(stored), -1, taps, BLOCK).sum(axis=(1, 3))
    tail = stored[:, whole * taps :].reshape(len(stored), taps, channels - whole).sum(axis=2)
    found: Int64 = (head + tail).astype(np.int64)
    return found


def values_passed_over(stored_at: Int64, worked: WorkedTaps) -> Int64:
    """int64 [V, F]: weights of a stream that are stored for the taps that a set leaves out.

    stored_at: int64 [F, taps], those that are stored for each tap.
    """
    passed: Int64 = (~worked.taps).astype(np.int64) @ stored_at.T
    return passed


@lru_cache(maxsize=4096)
def written_cycles(window: WindowShape, strips: Strips, written: int) -> Int32:
    """int32 [T]: cycles to write a block of each group: ``written`` neighbours at once, as they are
    counted, but those of one column one by one, since their rows of ACT may share a bank."""
    _, columns = counted_outputs(window, strips)
    at, chunks = np.arange(window.outputs), -(-strips.group // written)
    chunk = at // strips.group * chunks + at % strips.group // written
    pairs, counts = np.unique(np.stack([chunk, columns], axis=1), axis=0, return_counts=True)
    most = np.zeros(chunk[-1] + 1, np.int64)
    np.maximum.at(most, pairs[:, 0], counts)
    groups = np.arange(0, len(most), chunks)
    return np.add.reduceat(most, groups).astype(np.int32)


@dataclass(frozen=True)
class PatchShare:
    """Of a convolution's taps and outputs, the share that is worked on if it is cut into patches.

    window: of all outputs.
    strips: how they are counted.
    """

    window: WindowShape
    strips: Strips

    def of(self, high: int, wide: int) -> float:
        """For patches of ``high`` rows and ``wide`` columns."""
        return _patch_share(self, high, wide)


@lru_cache(maxsize=1 << 14)
def _patch_share(share: PatchShare, high: int, wide: int) -> float:
    """From patches at the borders: those in between of a line of patches, which see no padding, are
    alike. 1 for none."""
    whole, worked = share.window, 0
    if not high * wide:
        return 1.0
    down, right = (
        _lines(np.asarray(taps.all(axis=0)), size)
        for taps, size in zip(whole.inside(), (high, wide), strict=True)
    )
    for y, rows, times in down:
        for x, cols, often in right:
            patch = whole._replace(
                top=whole.top + y * whole.row_stride,
                left=whole.left + x * whole.col_stride,
                out_height=rows,
                out_width=cols,
            )
            worked += times * often * int(worked_taps(patch, share.strips).outputs.sum())
    return worked / (whole.taps * whole.outputs)


def _lines(within: Bools, size: int) -> list[tuple[int, int, int]]:
    """(first position, positions, how many such pieces) of an axis that is cut into pieces; within:
    bool [positions], whether they see no padding."""
    whole, rest = divmod(len(within), size)
    whole_ones = within[: whole * size].reshape(whole, size).all(axis=1)
    found = [(int(at) * size, size, 1) for at in np.flatnonzero(~whole_ones)]
    if whole_ones.any():
        found.append((int(np.argmax(whole_ones)) * size, size, int(whole_ones.sum())))
    if rest:
        found.append((whole * size, rest, 1))
    return found
