"""Time of the compute instructions on the lane array, by recurrence over stages and passes.

The rules are those of docs/ARRAYS.md; ``reference/lanes.py`` steps the same array clock by clock
and a test holds the two to the same cycle. Here only the moments at which something ends are
computed: of each stage its fetch and its last lane, of each pass its drain, of each tile its
write-back. All lanes of a gang do the same, so a slot (one filter in flight) stands for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats.reduction_order import ReductionSteps
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.timing.shape import WindowShape

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


LANE_CYCLES = ("lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused")  # lane-cycles
LONGEST_PERIOD = 64  # tiles that may repeat


class WindowError(ZeroskipError):
    """A convolution whose smallest step does not fit in the lanes' windows."""


class ChannelwiseArray(Protocol):
    """The numbers of any array on which the time of channelwise instructions depends."""

    @property
    def pixels(self) -> int: ...
    @property
    def pipeline_cycles(self) -> int: ...


class Lanes(Protocol):
    """The numbers of a lane array on which time depends (``arrays.lanes.LaneGeometry``)."""

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
    fetches: quads read from ACT, one tap of one block each, and the operand's. fetch_cycles: cycles
    in which the fetch unit reads. The rest are lane-cycles; together they are cycles * lanes:
    lane_busy (decoding or multiplying), imbalance (waiting for activations that could not be
    fetched because another lane still holds the window), fetch_wait (waiting for the fetch unit
    itself), drain_wait (waiting for accumulators, and for the end), unused (no filter in the slot).
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


def conv_cycles(
    array: Lanes,
    work: Int32,
    order: Int32,
    reduction_steps: ReductionSteps,
    tile_ft: Int32,
    tile_pixels: Int32,
    gang: int,
    out_blocks: int,
    last: bool,
    operand_ft: Int32 | None = None,
    *,
    lock_step: bool,
    written: int,
) -> ConvTiming:
    """Time of one ``conv``.

    lock_step: all lanes move together, at the pace of the one with most work; one window serves
    them. written: rows that are written back in a cycle.
    work: int32 [F, J], cycles of each stage, filters in the order of their streams.
    order: int32 [F], output channel of each stream. stages: of the J stages, fetches and entries.
    tile_ft: int32 [T], cycles to fetch one tap of one block for each tile (``tile_fetch``).
    tile_pixels: int32 [T], outputs of each tile. out_blocks: channel blocks of the output.
    operand_ft: int32 [T], the same as tile_ft for one block of the residual operand; None: none.

    WindowError if one stage does not fit in the window.
    """
    slots = array.lanes >> gang
    if int(reduction_steps.window_entries.max()) > array.window_entries:
        raise WindowError(
            f"array.window_entries = {array.window_entries} cannot hold the "
            f"{int(reduction_steps.window_entries.max())} entries of one step of this convolution; "
            "use a target with larger windows"
        )
    tiles, groups = len(tile_ft), -(-len(work) // slots)
    ragged = len(work) - slots * (groups - 1)  # slots of the last group that have streams
    if not lock_step:
        streams, copies = _by_slot(work, groups, slots), np.ones(slots, np.int64)
    else:  # slots that every group uses, and the rest: those of a kind do the same
        copies = np.array([ragged, slots - ragged] if ragged < slots else [slots])
        most = np.maximum.reduceat(work, np.arange(0, len(work), slots), axis=0)
        streams = np.repeat(most[:, :, np.newaxis], len(copies), axis=2)
        ragged = 1 if ragged < slots else slots
    used = np.full(groups, len(copies), np.int64)
    used[-1] = min(used[-1], ragged)
    operand = np.zeros(tiles, np.int32) if operand_ft is None else out_blocks * operand_ft
    spent = np.zeros((len(LANE_CYCLES), len(copies)), np.int64)
    end = array.pipeline_cycles + _simulate(
        streams,
        used,
        drain_costs(order, slots, array.drain_width, last),
        reduction_steps.tap_fetches,
        reduction_steps.window_entries,
        array.window_entries,
        tile_ft,
        tile_pixels,
        operand,
        out_blocks if last else 0,
        written,
        array.pipeline_cycles,
        spent,
    )
    taps = int(reduction_steps.tap_fetches.sum())
    quads = int((-(-tile_pixels // array.pixels)).sum())
    lane_cycles = dict(zip(LANE_CYCLES, ((spent @ copies) << gang).tolist(), strict=True))
    return ConvTiming(
        cycles=end,
        passes=tiles * groups,
        tap_fetches=(groups * taps + (0 if operand_ft is None else out_blocks)) * quads,
        fetch_cycles=groups * taps * int(tile_ft.sum()) + int(operand.sum()),
        **lane_cycles,
    )


@njit_cached
def drain_costs(order: Int32, slots: int, width: int, last: bool) -> Int64:
    """int64 [groups, outputs]: cycles to drain a group of ``slots`` streams, of 1, 2... neighbouring
    outputs, as many as ``width`` results a cycle allow at once: each goes to another 16 columns.

    For each cluster of ``width`` consecutive slots: 1 if any is used; at last, the most results for
    one column, the channel and 16 for each output modulo ``width`` (at least 16).
    """
    columns = max(BLOCK, width)
    together = min(columns // BLOCK, max(1, width // slots))
    cost = np.zeros(((len(order) + slots - 1) // slots, together), np.int64)
    for group in range(len(cost)):
        end = min((group + 1) * slots, len(order))
        for first in range(group * slots, end, width):
            counts = np.zeros(columns, np.int64)
            most = 1
            for output in range(together):
                for n in range(first, min(first + width, end)):
                    column = (order[n] + BLOCK * output) % columns
                    counts[column] += 1
                    most = max(most, counts[column])
                cost[group, output] += most if last else 1
    return cost


@njit_cached
def _by_slot(work: Int32, groups: int, slots: int) -> Int32:
    """int32 [F, J] -> int32 [groups, J, slots], 0 where there is no stream."""
    found = np.zeros((groups, work.shape[1], slots), np.int32)
    for n in range(len(work)):
        for j in range(work.shape[1]):
            found[n // slots, j, n % slots] = work[n, j]
    return found


# --------------------------------------------------------------------------------- simulation

# ``now``: when the latest fetch ended, when the latest stage was freed, ends of the drains of the
# latest pass and the one before, ends of the write-backs of the latest tile and the one before.
FETCHED, ROOM, DRAINED, DRAINED_BEFORE, WRITTEN, WRITTEN_BEFORE = range(6)
# ``ring``: where the next stage in the window goes, where the oldest is, entries held by all.
HEAD, TAIL, HELD = range(3)


@njit_cached
def _tile(
    work: Int32,
    used: Int64,
    drain_cost: Int64,
    tap_fetches: Int32,
    window_entries: Int32,
    window: int,
    ft: int,
    pixels: int,
    out_blocks: int,
    written: int,
    now: Int64,
    done: Int64,
    ring: Int64,
    size: Int64,
    until: Int64,
    lane_cycles: Int64,
) -> None:
    """Step a tile: what ``_simulate`` says. done: when each slot ended its latest stage. size,
    until: of the stages in the window, their entries and when they are freed."""
    fetched, room, drained, before = now[FETCHED], now[ROOM], now[DRAINED], now[DRAINED_BEFORE]
    head, tail, held = ring[HEAD], ring[TAIL], ring[HELD]
    busy, imbalance, fetch_wait, drain_wait, unused = (
        lane_cycles[0],
        lane_cycles[1],
        lane_cycles[2],
        lane_cycles[3],
        lane_cycles[4],
    )
    for f in range(len(used)):
        finished = 0
        for j in range(len(tap_fetches)):
            while held + window_entries[j] > window:
                room = max(room, until[tail])
                held -= size[tail]
                tail = (tail + 1) % len(size)
            blocked = max(0, room - fetched)
            fetched += blocked + tap_fetches[j] * ft
            gate = before if j == 0 else 0
            line, finished = work[f, j], 0
            for s in range(used[f]):
                lack = max(0, fetched - done[s])
                fetch_wait[s] += max(0, lack - blocked)
                imbalance[s] += min(lack, blocked)
                ready = max(done[s], fetched)
                drain_wait[s] += max(0, gate - ready)
                busy[s] += line[s]
                done[s] = max(ready, gate) + line[s]
                finished = max(finished, done[s])
            size[head], until[head] = window_entries[j], finished
            head = (head + 1) % len(size)
            held += window_entries[j]
        for s in range(used[f], len(done)):
            unused[s] += max(0, fetched - done[s])
            done[s] = max(done[s], fetched)
        start = max(finished, drained, now[WRITTEN_BEFORE])
        costs, together = drain_cost[f], drain_cost.shape[1]
        before, drained = drained, start + pixels // together * costs[together - 1]
        if pixels % together > 0:
            drained += costs[pixels % together - 1]
    if out_blocks > 0:
        now[WRITTEN_BEFORE] = now[WRITTEN]
        now[WRITTEN] = max(drained, now[WRITTEN]) + -(-pixels // written) * out_blocks
    now[FETCHED], now[ROOM], now[DRAINED], now[DRAINED_BEFORE] = fetched, room, drained, before
    ring[HEAD], ring[TAIL], ring[HELD] = head, tail, held


@njit_cached
def _state(now: Int64, done: Int64, ring: Int64, size: Int64, until: Int64, state: Int64) -> None:
    """All that what comes after a tile depends on, times counted from the latest fetch.

    A slot's end counts as it is, as its waiting does; everything else holds nobody up once it is
    past, so that what is past counts as now.
    """
    fetched, at = now[FETCHED], 0
    state[:] = 0
    for i in range(len(now)):
        state[at] = max(0, now[i] - fetched)
        at += 1
    for s in range(len(done)):
        state[at] = done[s] - fetched
        at += 1
    tail = ring[TAIL]
    while tail != ring[HEAD]:
        state[at], state[at + 1] = size[tail], max(0, until[tail] - fetched)
        tail = (tail + 1) % len(size)
        at += 2


@njit_cached
def _period(tile_ft: Int32, tile_pixels: Int32, operand: Int32) -> int:
    """Tiles after which all but the last tile repeat; as many as there are if none do."""
    tiles = len(tile_ft)
    for period in range(1, min(LONGEST_PERIOD, tiles // 3) + 1):
        alike = True
        for t in range(period, tiles - 1):
            if (
                tile_ft[t] != tile_ft[t - period]
                or operand[t] != operand[t - period]
                or tile_pixels[t] != tile_pixels[t - period]
            ):
                alike = False
                break
        if alike:
            return period
    return tiles


@njit_cached
def _simulate(
    work: Int32,
    used: Int64,
    drain_cost: Int64,
    tap_fetches: Int32,
    window_entries: Int32,
    window: int,
    tile_ft: Int32,
    tile_pixels: Int32,
    operand: Int32,
    out_blocks: int,
    written: int,
    pipeline: int,
    lane_cycles: Int64,
) -> int:
    """When all has left the array. spent: int64 [5, slots], zeros; cycles that each slot was busy,
    waited for the window, for the fetch unit, for the drain, and had no stream (``LANE_CYCLES``).

    work: int32 [groups, J, slots], of which the first ``used`` of a group have streams.
    drain_cost: see ``drain_costs``. out_blocks: 0 if nothing is written back. written:
    rows that are in a cycle.

    What happens depends on the state after a tile and on the tiles to come. So when tiles repeat
    and a state comes back, what happened since it was last there happens again, and whole rounds of
    it are added up instead of stepped. The state to come back to is moved on after 1, 2, 4...
    periods of the tiles (R. Brent, "An improved Monte Carlo factorization algorithm", 1980).
    """
    slots, tiles, t = work.shape[2], len(tile_ft), 0
    now, ring, done = np.zeros(6, np.int64), np.zeros(3, np.int64), np.zeros(slots, np.int64)
    size, until = np.zeros(window + 1, np.int64), np.zeros(window + 1, np.int64)
    period, mark, mark_time, patience = _period(tile_ft, tile_pixels, operand), 0, 0, 1
    state = np.zeros(len(now) + slots + 2 * len(size), np.int64)
    mark_state, mark_spent = np.zeros(len(state), np.int64), np.zeros((5, slots), np.int64)
    while t < tiles:
        now[FETCHED] += operand[t]
        _tile(
            work,
            used,
            drain_cost,
            tap_fetches,
            window_entries,
            window,
            tile_ft[t],
            tile_pixels[t],
            out_blocks,
            written,
            now,
            done,
            ring,
            size,
            until,
            lane_cycles,
        )
        t += 1
        if t % period != 0 or t >= tiles - 1:
            continue
        _state(now, done, ring, size, until, state)
        back = mark > 0
        for i in range(len(state)):
            back &= state[i] == mark_state[i]
        if back:
            rounds = (tiles - 1 - t) // (t - mark)
            later = rounds * (now[FETCHED] - mark_time)
            for s in range(slots):
                done[s] += later
                for kind in range(5):
                    lane_cycles[kind, s] += rounds * (lane_cycles[kind, s] - mark_spent[kind, s])
            for i in range(len(now)):
                now[i] += later
            for i in range(len(until)):
                until[i] += later
            t += rounds * (t - mark)
            period = tiles
        elif t - mark >= patience * period:
            mark, mark_time, patience = t, now[FETCHED], 2 * patience
            for i in range(len(state)):
                mark_state[i] = state[i]
            for s in range(slots):
                for kind in range(5):
                    mark_spent[kind, s] = lane_cycles[kind, s]
    end = int(max(now[DRAINED], now[WRITTEN]))
    for s in range(slots):
        lane_cycles[3 if s < used[-1] else 4, s] += end + pipeline - done[s]
    return end


# ------------------------------------------------------------------------ fetches and quads


@njit_cached
def _conflicts(
    cf: Int32,
    outputs: int,
    width: int,
    row: int,
    top: int,
    left: int,
    row_stride: int,
    col_stride: int,
    banks: int,
    pixels: int,
) -> None:
    for quad in range(len(cf)):
        hits, most = np.zeros(banks, np.int32), 0
        for n in range(quad * pixels, min(outputs, (quad + 1) * pixels)):
            y = top + n // width * row_stride
            x = left + n % width * col_stride
            bank = (y * row + x) % banks
            hits[bank] += 1
            most = max(most, hits[bank])
        cf[quad] = most


def quad_conflicts(
    height: int,
    width: int,
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

    height, width: of the output, whose pixels are cut into quads of ``pixels``, row by row.
    row: ACT rows between image rows of what is read; top, left, strides: where tap (0, 0) of an
    output lies in it. The bank with most of a quad's addresses decides; a row asked for twice
    counts twice. For the operand leave top, left and the strides as they are.
    """
    cf = np.empty(-(-height * width // pixels), np.int32)
    _conflicts(cf, height * width, width, row, top, left, row_stride, col_stride, banks, pixels)
    return cf


@lru_cache(maxsize=4096)
def input_conflicts(window: WindowShape, banks: int, pixels: int) -> Int32:
    """int32 [quads]: cycles to read one tap of one block of the input for each quad."""
    return quad_conflicts(
        window.out_height,
        window.out_width,
        row=window.row,
        top=window.top,
        left=window.left,
        row_stride=window.row_stride,
        col_stride=window.col_stride,
        banks=banks,
        pixels=pixels,
    )


@lru_cache(maxsize=4096)
def operand_conflicts(window: WindowShape, row: int, banks: int, pixels: int) -> Int32:
    """int32 [quads]: cycles to read a block of the operand, ``row`` ACT rows from line to line."""
    return quad_conflicts(window.out_height, window.out_width, row=row, banks=banks, pixels=pixels)


@lru_cache(maxsize=4096)
def shared_operand(window: WindowShape, row: int, banks: int, pixels: int) -> tuple[Int32, int]:
    """Of an operand whose row serves all outputs of an image row (step = 0): cycles to read a block of
    it for each quad, int32 [quads], and all rows that are read of a block. A quad asks for a row
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


def tile_fetch(conflicts: Int32, gang: int) -> Int32:
    """int32 [T]: sums over the 2**gang quads of each tile; the last may have fewer."""
    return np.add.reduceat(conflicts, np.arange(0, len(conflicts), 1 << gang)).astype(np.int32)


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
    """Time of ``depthwise``, ``maxpool``, ``avgpool``, ``add`` and ``multiply`` (taps = 1), tap by tap.

    Block by block, quad by quad: the reads of all taps and of the operand, or the quad's writes,
    ``written`` rows a cycle, whichever takes longer; then the last quad's writes. conflicts: int32
    [quads].
    """
    pixels = -(-group_pixels(outputs, array.pixels).astype(np.int64) // written)
    reads = taps * conflicts.astype(np.int64)
    if operand_conflicts is not None:
        reads += operand_conflicts
    return int(blocks * np.maximum(reads, pixels).sum() + pixels[-1]) + array.pipeline_cycles
