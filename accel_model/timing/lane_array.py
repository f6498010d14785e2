"""Time of the compute instructions on the lane array, by recurrence over stages and passes.

The rules are those of docs/ARRAYS.md; ``reference/lanes.py`` steps the same array clock by clock
and a test holds the two to the same cycle. Here only the moments at which something ends are
computed (``lane_simulation.py``): of each stage its fetch and its last lane, of each pass its
drain, of each tile its write-back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats.reduction_order import ReductionSteps
from zeroskip.accel_model.timing import lane_simulation
from zeroskip.accel_model.timing.shape import Strips, WindowShape, counted_outputs

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LANE_CYCLES = ("lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused")  # lane-cycles


class WindowError(ZeroskipError):
    """A convolution whose smallest step does not fit in the lanes' windows."""


class ChannelwiseArray(Protocol):
    """The numbers of any array on which the time of channelwise instructions depends."""

    @property
    def pixels(self) -> int: ...
    @property
    def pipeline_cycles(self) -> int: ...


class Lanes(Protocol):
    """The numbers of a lane array on which time depends (``arrays.lane_geometry``)."""

    @property
    def lanes(self) -> int: ...
    @property
    def pixels(self) -> int: ...
    @property
    def window_entries(self) -> int: ...
    @property
    def drain_width(self) -> int: ...
    @property
    def pipeline_cycles(self) -> int: ...


@dataclass(frozen=True)
class ConvTiming:
    """Time of a convolution and where the lanes spent it.

    cycles: from its start to its last output row written. passes: streams read by the array.
    tap_fetches: from ACT, one tap of one block each, and the operand's. fetch_cycles: cycles
    in which the fetch unit reads. The rest are lane-cycles; together they are cycles * lanes:
    lane_busy (decoding or multiplying), imbalance (waiting for activations that could not be
    fetched because another lane still holds the window), fetch_wait (waiting for the fetch unit
    itself), drain_wait (waiting for accumulators, and for the end), unused (no filter in the slot).
    useful: of the multiplier-cycles of busy lanes, those on outputs that there are.
    """

    cycles: int
    passes: int
    tap_fetches: int
    fetch_cycles: int
    lane_busy: int
    imbalance: int
    fetch_wait: int
    drain_wait: int
    unused: int
    useful: int


class OutputGroups(NamedTuple):
    """The groups of outputs that lanes work on one after another: int32 [T] each.

    fetch: cycles to fetch one tap of one block (``tile_fetch``).
    outputs: how many they are.
    writes: cycles to write back a block.
    operand: cycles to fetch one block of the residual operand; None: there is none.
    sets: which set of taps each works on; None: all work on all.
    """

    fetch: Int32
    outputs: Int32
    writes: Int32
    operand: Int32 | None = None
    sets: Int32 | None = None

    def first(self, count: int) -> OutputGroups:
        """The first of them."""
        operand = None if self.operand is None else self.operand[:count]
        sets = None if self.sets is None else self.sets[:count]
        few = (self.fetch[:count], self.outputs[:count], self.writes[:count])
        return OutputGroups(*few, operand, sets)


def conv_cycles(
    array: Lanes,
    work: Int32,
    order: Int32,
    reduction_steps: ReductionSteps,
    groups: OutputGroups,
    gang: int,
    out_blocks: int,
    last: bool,
    *,
    lock_step: bool,
    fetched: int | None = None,
) -> ConvTiming:
    """Time of one ``conv``.

    work: int32 [F, J], cycles of each stage, filters in the order of their streams; order: int32
    [F], output channel of each stream; reduction_steps: of the J stages, fetches and entries. Where
    groups of outputs work on V sets of taps, ``work`` is [V, F, J] and ``reduction_steps`` [V, J].
    out_blocks: channel blocks of the output. last: results are written back. lock_step: all lanes
    move together, at the pace of the one with most work; one window serves them. fetched: outputs
    that are fetched at once, a quad if None.

    WindowError if one stage does not fit in the window.
    """
    slots = array.lanes >> gang
    if int(reduction_steps.window_entries.max()) > array.window_entries:
        raise WindowError(
            f"array.window_entries = {array.window_entries} cannot hold the "
            f"{int(reduction_steps.window_entries.max())} entries of one step of this convolution; "
            "use a target with larger windows"
        )
    tiles, sets = len(groups.fetch), groups.sets
    fetches, entries = reduction_steps.tap_fetches, reduction_steps.window_entries
    if sets is None:
        sets = np.zeros(tiles, np.int32)
        work, fetches, entries = work[np.newaxis], fetches[np.newaxis], entries[np.newaxis]
    filters = work.shape[1]
    in_turn = -(-filters // slots)
    ragged = filters - slots * (in_turn - 1)  # slots of the last group that have streams
    if not lock_step:
        copies = np.ones(slots, np.int64)
        streams = lane_simulation.by_slot(work, in_turn, slots)
    else:  # slots that every group uses, and the rest: those of a kind do the same
        copies = np.array([ragged, slots - ragged] if ragged < slots else [slots])
        most = np.maximum.reduceat(work, np.arange(0, filters, slots), axis=1)
        streams = np.repeat(most[..., np.newaxis], len(copies), axis=3)
        ragged = 1 if ragged < slots else slots
    used = np.full(in_turn, len(copies), np.int64)
    used[-1] = min(used[-1], ragged)
    operand = np.zeros(tiles, np.int32) if groups.operand is None else out_blocks * groups.operand
    spent = np.zeros((len(LANE_CYCLES), len(copies)), np.int64)
    end = array.pipeline_cycles + lane_simulation.simulate(
        streams,
        used,
        lane_simulation.drain_costs(order, slots, array.drain_width, last),
        fetches,
        entries,
        array.window_entries,
        sets,
        groups.fetch,
        groups.outputs,
        groups.writes,
        operand,
        out_blocks if last else 0,
        array.pipeline_cycles,
        lane_simulation.Room.of(len(copies), array.window_entries),
        spent,
    )
    taps = in_turn * fetches.sum(axis=1, dtype=np.int64)[sets]  # [T]
    tap_fetches = int(taps @ -(-groups.outputs // (fetched or array.pixels)))
    if groups.operand is not None:
        tap_fetches += out_blocks * int((-(-groups.outputs // array.pixels)).sum())
    lane_cycles = dict(zip(LANE_CYCLES, ((spent @ copies) << gang).tolist(), strict=True))
    streams[:, -1, :, ragged:] = 0
    busy = streams.sum(axis=(1, 2), dtype=np.int64) @ copies  # [V], of one member of each gang
    return ConvTiming(
        cycles=end,
        passes=tiles * in_turn,
        tap_fetches=tap_fetches,
        fetch_cycles=int(taps @ groups.fetch) + int(operand.sum()),
        useful=int(busy[sets] @ groups.outputs),
        **lane_cycles,
    )


# ------------------------------------------------------------------------ fetches and quads


def quad_conflicts(
    rows: Int32,
    columns: Int32,
    *,
    row: int,
    top: int = 0,
    left: int = 0,
    row_stride: int = 1,
    col_stride: int = 1,
    banks: int,
    pixels: int,
) -> Int32:
    """int32 [quads]: cycles to read one tap of one block for each quad of the output.

    rows, columns: int32 [outputs], of the outputs, which are cut into quads of ``pixels`` as they
    come (``shape.counted_outputs``). row: ACT rows between image rows of what is read; top, left,
    strides: where tap (0, 0) of an output lies in it. The bank with most of a quad's addresses
    decides; a row asked for twice counts twice. For the operand leave top, left and the strides as
    they are.
    """
    quads = -(-len(rows) // pixels)
    bank = ((top + rows * row_stride) * row + left + columns * col_stride) % banks
    which = np.arange(len(rows)) // pixels * banks + bank
    hits = np.bincount(which, minlength=quads * banks).reshape(quads, banks)
    most: Int32 = hits.max(axis=1).astype(np.int32)
    return most


@lru_cache(maxsize=4096)
def input_conflicts(
    window: WindowShape, banks: int, pixels: int, strips: Strips | None = None
) -> Int32:
    """int32 [quads]: cycles to read one tap of one block of the input for each quad of outputs, as
    they are counted."""
    return quad_conflicts(
        *counted_outputs(window, strips),
        row=window.row,
        top=window.top,
        left=window.left,
        row_stride=window.row_stride,
        col_stride=window.col_stride,
        banks=banks,
        pixels=pixels,
    )


@lru_cache(maxsize=4096)
def operand_conflicts(
    window: WindowShape, row: int, banks: int, pixels: int, strips: Strips | None = None
) -> Int32:
    """int32 [quads]: cycles to read a block of the operand, ``row`` ACT rows from line to line."""
    counted = counted_outputs(window, strips)
    return quad_conflicts(*counted, row=row, banks=banks, pixels=pixels)


@lru_cache(maxsize=4096)
def shared_operand(window: WindowShape, row: int, banks: int, pixels: int) -> tuple[Int32, int]:
    """Of an operand whose row serves all outputs of an image row (step = 0): cycles to read a block
    of it for each quad, int32 [quads], and all rows that are read of a block. A quad asks for a row
    once."""
    outputs = np.arange(window.out_height * window.out_width)
    rows = np.unique(
        np.stack([outputs // pixels, outputs // window.out_width * row], axis=1), axis=0
    )
    in_bank, counts = np.unique(
        np.stack([rows[:, 0], rows[:, 1] % banks], axis=1), axis=0, return_counts=True
    )
    conflicts = np.zeros(len(group_pixels(len(outputs), pixels)), np.int32)
    np.maximum.at(conflicts, in_bank[:, 0], counts.astype(np.int32))
    return conflicts, len(rows)


def tile_fetch(conflicts: Int32, count: int) -> Int32:
    """int32 [T]: sums over the ``count`` fetches of each tile; the last may have fewer."""
    return np.add.reduceat(conflicts, np.arange(0, len(conflicts), count)).astype(np.int32)


def group_pixels(outputs: int, size: int) -> Int32:
    """int32 [T]: outputs in each group of ``size`` consecutive ones; the last may have fewer."""
    return np.minimum(size, outputs - np.arange(0, outputs, size)).astype(np.int32)


def simple_cycles(
    array: ChannelwiseArray,
    blocks: int,
    taps: int,
    conflicts: Int32,
    outputs: int,
    operand_conflicts: Int32 | None = None,
    *,
    written: int = 1,
) -> int:
    """Time of ``depthwise``, ``maxpool``, ``avgpool``, ``add`` and ``multiply`` (taps = 1), tap by
    tap.

    Block by block, quad by quad: the reads of all taps and of the operand, or the quad's writes,
    ``written`` rows a cycle, whichever takes longer; then the last quad's writes. conflicts: int32
    [quads].
    """
    pixels = -(-group_pixels(outputs, array.pixels).astype(np.int64) // written)
    reads = taps * conflicts.astype(np.int64)
    if operand_conflicts is not None:
        reads += operand_conflicts
    return int(blocks * np.maximum(reads, pixels).sum() + pixels[-1]) + array.pipeline_cycles
