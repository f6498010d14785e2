"""Time of the compute instructions on the lane array, by recurrence over stages and passes.

The rules are those of docs/ARRAYS.md; ``reference/lanes.py`` steps the same array clock by clock
and a test holds the two to the same cycle. Here only the moments at which something ends are
computed: of each stage its fetch and its last lane, of each pass its drain, of each tile its
write-back. All lanes of a gang do the same, so a slot (one filter in flight) stands for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats import Stages
from zeroskip.accel_model.isa import BLOCK
from zeroskip.accel_model.native import native
from zeroskip.accel_model.spec import Array

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class WindowError(ZeroskipError):
    """A convolution whose smallest step does not fit in the lanes' windows."""


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
    fetches: int
    fetch_cycles: int
    lane_busy: int
    imbalance: int
    fetch_wait: int
    drain_wait: int
    unused: int


def conv_cycles(
    array: Array, kind: str, work: Int32, order: Int32, stages: Stages, tile_ft: Int32,
    tile_pixels: Int32, gang: int, out_blocks: int, last: bool,
    operand_ft: Int32 | None = None, max_tiles: int | None = None,
) -> ConvTiming:
    """Time of one ``conv``.

    kind: the weight format of the streams; ``dense`` moves all lanes in lock step.
    work: int32 [F, J], cycles of each stage, filters in the order of their streams.
    order: int32 [F], output channel of each stream. stages: of the J stages, fetches and entries.
    tile_ft: int32 [T], cycles to fetch one tap of one block for each tile (``tile_fetch``).
    tile_pixels: int32 [T], outputs of each tile. out_blocks: channel blocks of the output.
    operand_ft: int32 [T], the same as tile_ft for one block of the residual operand; None: none.
    max_tiles: step through that many tiles only and continue at the pace of their second half.
    For a search only: exact if all tiles are alike and the first half reaches the steady state.

    WindowError if one stage does not fit in the window.
    """
    slots = array.lanes >> gang
    if int(stages.entries.max()) > array.window_entries:
        raise WindowError(f"array.window_entries = {array.window_entries} cannot hold the "
                          f"{int(stages.entries.max())} entries of one step of this convolution; "
                          "use a target with larger windows")
    tiles, groups = len(tile_ft), -(-len(work) // slots)
    streams, used, copies = _by_slot(work, slots)
    if kind == "dense":
        streams, used, copies = _in_step(streams, used)
    operand = np.zeros(tiles, np.int64)
    if operand_ft is not None:
        operand = out_blocks * operand_ft.astype(np.int64)
    stepped = tiles if max_tiles is None else max(2, min(tiles, max_tiles))
    ends, slot_cycles = _simulate(
        streams, used, drain_costs(order, slots, array.drain_width, last),
        stages.fetches.astype(np.int64), stages.entries.astype(np.int64), array.window_entries,
        tile_ft[:stepped].astype(np.int64), tile_pixels[:stepped].astype(np.int64),
        operand[:stepped], out_blocks if last else 0, array.pipeline_cycles,
    )
    cycles = int(ends[-1]) + array.pipeline_cycles
    taken = (slot_cycles @ copies) << gang
    if stepped < tiles:
        half = stepped // 2
        pace = int(ends[-1] - ends[half - 1]) / (stepped - half)
        longer = cycles + round((tiles - stepped) * pace)
        taken, cycles = np.rint(taken * (longer / cycles)), longer
    taps = int(stages.fetches.sum())
    quads = int((-(-tile_pixels.astype(np.int64) // array.pixels)).sum())
    busy, imbalance, fetch_wait, drain_wait, unused = (int(each) for each in taken)
    return ConvTiming(
        cycles=cycles, passes=tiles * groups,
        fetches=(groups * taps + (0 if operand_ft is None else out_blocks)) * quads,
        fetch_cycles=groups * taps * int(tile_ft.sum()) + int(operand.sum()),
        lane_busy=busy, imbalance=imbalance, fetch_wait=fetch_wait, drain_wait=drain_wait,
        unused=unused,
    )


def drain_costs(order: Int32, slots: int, width: int, last: bool) -> Int64:
    """int64 [groups]: cycles per pixel to drain a group of ``slots`` streams.

    For each cluster of ``width`` consecutive slots: 1 if any is used; at last, the most slots
    whose channels are the same modulo 16 (they go to the same byte of a row).
    """
    groups = -(-len(order) // slots)
    n = np.arange(len(order))
    clusters = -(-slots // width)
    bank = order.astype(np.int64) % BLOCK if last else n % width
    cell = ((n // slots) * clusters + n % slots // width) * max(BLOCK, width) + bank
    counts = np.bincount(cell, minlength=groups * clusters * max(BLOCK, width))
    cost: Int64 = counts.reshape(groups, clusters, -1).max(axis=2).sum(axis=1)
    return cost


def _by_slot(work: Int32, slots: int) -> tuple[Int32, Int64, Int64]:
    """int32 [F, J] -> int32 [groups, J, slots]; slots used of each group; ones for the slots."""
    groups = -(-len(work) // slots)
    padded = np.zeros((groups * slots, work.shape[1]), np.int32)
    padded[: len(work)] = work
    streams = np.ascontiguousarray(padded.reshape(groups, slots, -1).swapaxes(1, 2))
    used = np.minimum(slots, len(work) - slots * np.arange(groups))
    return streams, used, np.ones(slots, np.int64)


def _in_step(streams: Int32, used: Int64) -> tuple[Int32, Int64, Int64]:
    """One slot for those that every group uses and one for the rest: each kind does the same."""
    slots, ragged = streams.shape[2], int(used[-1])
    if ragged == slots:
        return streams[:, :, :1].copy(), np.ones_like(used), np.array([slots])
    alike = np.ascontiguousarray(streams[:, :, [0, ragged]])
    return alike, np.where(used == slots, 2, 1), np.array([ragged, slots - ragged])


@native
def _simulate(
    work: Int32, used: Int64, drain_cost: Int64, fetches: Int64, entries: Int64, window: int,
    tile_ft: Int64, tile_pixels: Int64, operand: Int64, out_blocks: int, pipeline: int,
) -> tuple[Int64, Int64]:
    """When each tile has left the array, int64 [T]; int64 [5, slots]: cycles each
    slot was busy, waited for the window, for the fetch unit, for the drain, and had no stream.

    work: int32 [groups, J, slots], of which the first ``used`` of a group have streams.
    drain_cost: per group, cycles per pixel. out_blocks: 0 if nothing is written back.
    """
    groups, steps, slots = work.shape
    busy, imbalance = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    fetch_wait, drain_wait = np.zeros(slots, np.int64), np.zeros(slots, np.int64)
    unused = np.zeros(slots, np.int64)
    done = np.zeros(slots, np.int64)  # when each slot ended its latest stage
    size, until = np.zeros(window + 1, np.int64), np.zeros(window + 1, np.int64)
    head, tail, held = 0, 0, 0  # ring of the stages in the window: their entries, when freed
    fetched, room = 0, 0  # when the latest fetch ended, when the latest stage was freed
    drained, drained_before = 0, 0  # ends of the drains of passes p-1 and p-2
    written, written_before = 0, 0  # ends of the write-backs of tiles t-1 and t-2
    ends = np.zeros(len(tile_ft), np.int64)
    for t in range(len(tile_ft)):
        fetched += operand[t]
        for f in range(groups):
            finished = 0
            for j in range(steps):
                while held + entries[j] > window:
                    room = max(room, until[tail])
                    held -= size[tail]
                    tail = (tail + 1) % (window + 1)
                blocked = max(0, room - fetched)
                fetched += blocked + fetches[j] * tile_ft[t]
                gate = drained_before if j == 0 else 0
                finished = 0
                for s in range(used[f]):
                    lack = max(0, fetched - done[s])
                    fetch_wait[s] += max(0, lack - blocked)
                    imbalance[s] += min(lack, blocked)
                    ready = max(done[s], fetched)
                    drain_wait[s] += max(0, gate - ready)
                    busy[s] += work[f, j, s]
                    done[s] = max(ready, gate) + work[f, j, s]
                    finished = max(finished, done[s])
                size[head], until[head] = entries[j], finished
                head = (head + 1) % (window + 1)
                held += entries[j]
            for s in range(used[f], slots):
                unused[s] += max(0, fetched - done[s])
                done[s] = max(done[s], fetched)
            start = max(finished, drained, written_before)
            drained_before, drained = drained, start + tile_pixels[t] * drain_cost[f]
        if out_blocks > 0:
            written_before = written
            written = max(drained, written) + tile_pixels[t] * out_blocks
        ends[t] = max(drained, written)
    end = ends[-1] + pipeline
    for s in range(slots):
        if s < used[-1]:
            drain_wait[s] += end - done[s]
        else:
            unused[s] += end - done[s]
    spent = np.empty((5, slots), np.int64)
    spent[0], spent[1], spent[2], spent[3], spent[4] = (
        busy, imbalance, fetch_wait, drain_wait, unused)
    return ends, spent


# ------------------------------------------------------------------------ fetches and quads


@native
def _conflicts(
    cf: Int32, outputs: int, width: int, row: int, top: int, left: int, row_stride: int,
    col_stride: int, banks: int, pixels: int,
) -> None:
    hits = np.zeros(banks, np.int32)
    for quad in range(len(cf)):
        hits[:] = 0
        for n in range(quad * pixels, min(outputs, (quad + 1) * pixels)):
            y = top + n // width * row_stride
            x = left + n % width * col_stride
            hits[(y * row + x) % banks] += 1
        cf[quad] = hits.max()


def quad_conflicts(
    height: int, width: int, *, row: int, top: int = 0, left: int = 0, row_stride: int = 1,
    col_stride: int = 1, banks: int, pixels: int,
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


def tile_fetch(conflicts: Int32, gang: int) -> Int32:
    """int32 [T]: sums over the 2**gang quads of each tile; the last may have fewer."""
    return np.add.reduceat(conflicts, np.arange(0, len(conflicts), 1 << gang)).astype(np.int32)


def group_pixels(outputs: int, size: int) -> Int32:
    """int32 [T]: outputs in each group of ``size`` consecutive ones; the last may have fewer."""
    return np.minimum(size, outputs - np.arange(0, outputs, size)).astype(np.int32)


def simple_cycles(
    array: Array, blocks: int, taps: int, conflicts: Int32, outputs: int,
    operand_conflicts: Int32 | None = None,
) -> int:
    """Time of ``depthwise``, ``maxpool``, ``avgpool`` and ``add`` (taps = 1).

    Block by block, quad by quad: the reads of all taps and of the operand, or the quad's writes,
    whichever takes longer; then the last quad's writes. conflicts: int32 [quads].
    """
    pixels = group_pixels(outputs, array.pixels).astype(np.int64)
    reads = taps * conflicts.astype(np.int64)
    if operand_conflicts is not None:
        reads += operand_conflicts
    return int(blocks * np.maximum(reads, pixels).sum() + pixels[-1]) + array.pipeline_cycles
