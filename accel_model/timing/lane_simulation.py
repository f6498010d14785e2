"""When stages, drains and write-backs of a convolution end on the lane array, stage by stage.

The rules are those of docs/ARRAYS.md. All lanes of a gang do the same, so a slot (one filter in
flight) stands for them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached, njit_cached_scalar
from zeroskip.accel_model.isa.instructions import BLOCK

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LONGEST_PERIOD = 64  # tiles that may repeat


def drain_costs(order: Int32, slots: int, width: int, last: bool) -> Int64:
    """int64 [groups, outputs]: cycles to drain a group of ``slots`` streams, of 1, 2...
    neighbouring outputs, as many as ``width`` results a cycle allow at once: each goes to another
    16 columns.

    For each cluster of ``width`` consecutive slots: 1 if any is used; at last, the most results for
    one column, the channel and 16 for each output modulo ``width`` (at least 16).
    """
    return _drain_costs(order.astype(np.int32).tobytes(), slots, width, last)


@lru_cache(maxsize=1024)  # a search times the same filters again and again
def _drain_costs(orders: bytes, slots: int, width: int, last: bool) -> Int64:
    order, columns = np.frombuffer(orders, np.int32), max(BLOCK, width)
    together = min(columns // BLOCK, max(1, width // slots))
    groups, clusters, n = -(-len(order) // slots), -(-slots // width), np.arange(len(order))
    cluster = n // slots * clusters + n % slots // width
    outputs = np.arange(together)[:, None]
    column = (cluster * together + outputs) * columns + (order + BLOCK * outputs) % columns
    shape = groups * clusters, together, columns
    results = np.bincount(column.ravel(), minlength=math.prod(shape)).reshape(shape)
    most = results.cumsum(axis=1).max(axis=2)
    costs: Int64 = (most if last else np.sign(most)).reshape(groups, clusters, -1).sum(axis=1)
    return costs


def by_slot(work: Int32, groups: int, slots: int) -> Int32:
    """int32 [V, F, J] -> int32 [V, groups, J, slots], 0 where there is no stream."""
    sets, filters, stages = work.shape
    found = np.zeros((sets, groups * slots, stages), np.int32)
    found[:, :filters] = work
    return np.ascontiguousarray(found.reshape(sets, groups, slots, stages).swapaxes(2, 3))


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
    writes: int,
    out_blocks: int,
    now: Int64,
    done: Int64,
    ring: Int64,
    size: Int64,
    until: Int64,
    lane_cycles: Int64,
) -> None:
    """Step a tile: what ``simulate`` says. done: when each slot ended its latest stage. size,
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
        now[WRITTEN] = max(drained, now[WRITTEN]) + writes * out_blocks
    now[FETCHED], now[ROOM], now[DRAINED], now[DRAINED_BEFORE] = fetched, room, drained, before
    ring[HEAD], ring[TAIL], ring[HELD] = head, tail, held


@njit_cached
def _state(now: Int64, done: Int64, ring: Int64, size: Int64, until: Int64, state: Int64) -> None:
    """All that what comes after a tile depends on, times counted from the latest fetch.

    A slot's end counts as it is, as its waiting does; everything else holds nobody up once it is
    past, so that what is past counts as now.
    """
    fetched, at = now[FETCHED], 0
    for i in range(len(state)):
        state[i] = 0
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
def _period(
    tile_ft: Int32, tile_pixels: Int32, tile_writes: Int32, operand: Int32, start: int, end: int
) -> int:
    """Tiles after which all from ``start`` on repeat, but the last before ``end``; as many as there
    are if none do."""
    tiles = end - start
    for period in range(1, min(LONGEST_PERIOD, tiles // 3) + 1):
        alike = True
        for t in range(start + period, end - 1):
            if (
                tile_ft[t] != tile_ft[t - period]
                or operand[t] != operand[t - period]
                or tile_pixels[t] != tile_pixels[t - period]
                or tile_writes[t] != tile_writes[t - period]
            ):
                alike = False
                break
        if alike:
            return period
    return tiles


@njit_cached
def _alike_until(sets: Int32, start: int) -> int:
    """The first tile after ``start`` that works on other taps, or as many as there are."""
    end = start + 1
    while end < len(sets) and sets[end] == sets[start]:
        end += 1
    return end


class Room(NamedTuple):
    """What ``simulate`` works in, int64 zeros. now, ring: see above. slots: [6, slots],
    ``lane_cycles`` at the mark, and when each slot ended its latest stage. window: [2, entries
    + 1], sizes of the stages there and when they are freed. state: [2, ...], now and at the
    mark."""

    now: Int64
    ring: Int64
    slots: Int64
    window: Int64
    state: Int64

    @staticmethod
    def of(slots: int, window: int) -> Room:
        """Of so many slots and entries of the window."""
        whole = 6 + slots + 2 * (window + 1)
        shapes = (6,), (3,), (6, slots), (2, window + 1), (2, whole)
        return Room(*(np.zeros(shape, np.int64) for shape in shapes))


@njit_cached_scalar
def simulate(
    work: Int32,
    used: Int64,
    drain_cost: Int64,
    tap_fetches: Int32,
    window_entries: Int32,
    window: int,
    sets: Int32,
    tile_ft: Int32,
    tile_pixels: Int32,
    tile_writes: Int32,
    operand: Int32,
    out_blocks: int,
    pipeline: int,
    room: Room,
    lane_cycles: Int64,
) -> int:
    """When all has left the array. lane_cycles: int64 [5, slots], zeros; cycles that each slot was
    busy, waited for the window, for the fetch unit, for the drain, and had no stream
    (``lane_array.LANE_CYCLES``).

    work: int32 [V, groups, J, slots], of which the first ``used`` of a group have streams.
    drain_cost: see ``drain_costs``. sets: int32 [T], which of the V sets of taps a tile works on.
    tile_writes: int32 [T], cycles to write back a block. out_blocks: 0 if nothing is.

    What happens depends on the state after a tile and on the tiles to come. So when tiles repeat,
    among neighbours that work on the same taps, and a state comes back, what happened since it was
    last there happens again, and whole rounds of it are added up instead of stepped. The state to
    come back to is moved on after 1, 2, 4... periods of the tiles (R. Brent, "An improved Monte
    Carlo factorization algorithm", 1980).
    """
    slots, tiles, t = work.shape[3], len(tile_ft), 0
    now, ring, done, mark_spent = room.now, room.ring, room.slots[5], room.slots
    size, until, state, mark_state = room.window[0], room.window[1], room.state[0], room.state[1]
    start, alike, period, mark, mark_time, patience = 0, 0, 1, 0, 0, 1
    while t < tiles:
        if t == alike:
            start, alike = t, _alike_until(sets, t)
            period = _period(tile_ft, tile_pixels, tile_writes, operand, start, alike)
            mark, mark_time, patience = start, 0, 1
        now[FETCHED] += operand[t]
        of = sets[t]
        _tile(
            work[of],
            used,
            drain_cost,
            tap_fetches[of],
            window_entries[of],
            window,
            tile_ft[t],
            tile_pixels[t],
            tile_writes[t],
            out_blocks,
            now,
            done,
            ring,
            size,
            until,
            lane_cycles,
        )
        t += 1
        if (t - start) % period != 0 or t >= alike - 1:
            continue
        _state(now, done, ring, size, until, state)
        back = mark > start
        for i in range(len(state)):
            back &= state[i] == mark_state[i]
        if back:
            rounds = (alike - 1 - t) // (t - mark)
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
