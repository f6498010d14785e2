"""How long a sequence of operations takes when the bus works ahead of the array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached

Floats = npt.NDArray[np.float64]

# Columns of the work of one operation in one stripe. Cycles of the array; of the bus for the first
# tile of its activations, for all of them, for its results and the last tile of those; for its
# first tile of weights and for the rest; WGT rows of a tile of weights (0: they are there already)
# and of all that it may hold at once. Then 1 or 0: whether its first tile has no room in ACT beside
# those of the operation before (where steps take turns: a third set of its tiles beside two of
# them); and whether it writes where results lie that must be stored first.
COLUMNS = 11
(
    ARRAY,
    FIRST_TILE,
    LOADS,
    STORES,
    LAST_TILE,
    WEIGHT_TILE,
    WEIGHTS,
    ROWS,
    ALL_ROWS,
    NO_PREFETCH_ROOM,
    WAW_STALL,
) = range(COLUMNS)

TIGHT, FULL = 0.5, 1.0  # of NO_PREFETCH_ROOM
# Of the time of array or bus, where the other has more to do and steps take turns, those of a layer
# that follows, or spread over all others; and of loads then, where tiles leave no room.
UNHIDDEN, SPREAD, CROWDED = 0.1, 0.05, 0.1


def pipelined_cycles(works: Floats, wgt_rows: int, latency: int) -> float:
    """Cycles of all works, float64 [n, COLUMNS], one after another on the array.

    The bus brings the first tile of an operation's activations while the array is at the operation
    before, if there is room, and its weights as soon as they have room beside those of the
    operations in between, as tiles of the operation before these are used for the last time;
    everything else while the array works on the operation itself.
    """
    return float(_pipelined(works, wgt_rows, latency, np.zeros(len(works))))


@njit_cached
def _pipelined(works: Floats, wgt_rows: int, latency: int, began: Floats) -> float:
    """``pipelined_cycles``. began: zeros, when the array began each work."""
    array, bus = 0.0, 0.0
    stored, before = 0.0, 0.0  # when results of the work before are, and of the one before that
    for at in range(len(works)):
        tile, first = works[at, ROWS] > 0, works[at, FIRST_TILE] > 0
        if tile:
            room = _room(works, at, wgt_rows - works[at, ROWS], began, array)
            bus = max(bus, room) + works[at, WEIGHT_TILE]
        if first:
            free_at = array
            if at > 0 and works[at, NO_PREFETCH_ROOM] < FULL:
                free_at = max(began[at - 1], before * (works[at, NO_PREFETCH_ROOM] > 0))
            bus = max(bus, free_at) + works[at, FIRST_TILE]
        before = stored
        began[at] = max(array, stored if works[at, WAW_STALL] > 0 else 0.0)
        if tile or first:
            began[at] = max(began[at], bus + latency)
        if works[at, WEIGHTS] > 0:
            room = _room(works, at, wgt_rows - works[at, ALL_ROWS], began, began[at])
            bus = max(bus, room) + works[at, WEIGHTS]
        rest = works[at, LOADS] - works[at, FIRST_TILE]
        if rest > 0:
            bus = max(bus, began[at]) + rest
        array = max(began[at] + works[at, ARRAY], bus)
        bus += works[at, STORES]
        if works[at, STORES] > 0:
            stored = max(bus, array + works[at, LAST_TILE])
    return max(array, bus)


@njit_cached
def _room(works: Floats, at: int, free: float, began: Floats, now: float) -> float:
    """When WGT has rows for a work that leaves so many of them free: once those of the works before
    are used for the last time, tile by tile. now: when all of them are."""
    since = at
    while since > 0 and free >= works[since - 1, ALL_ROWS]:
        since -= 1
        free -= works[since, ALL_ROWS]
    room = began[since] if since < at else now
    if since > 0 and works[since - 1, ALL_ROWS] > 0:
        rows, tile = works[since - 1, ALL_ROWS], works[since - 1, ROWS]
        used = min(rows, np.ceil((rows - max(free, 0.0)) / tile) * tile)
        room = min(room, began[since - 1] + used / rows * works[since - 1, ARRAY])
    return room


@dataclass(frozen=True)
class Turns:
    """How operations of which the last follows the first take turns. pieces: of channels that the
    first makes and the last takes up, one after another. alone: whether a piece is one step, behind
    which it is taken up; else it is while the next one is made. ahead: cycles of the bus until WGT
    is full of weights of the last one."""

    pieces: int
    alone: bool
    ahead: float


def in_turn(works: Floats, lead: int, turns: Turns) -> Floats:
    """Works of which those from ``lead`` on take turns, as one: its first tile is the leader's, its
    time on the array has in it what the array waits for weights of the last one."""
    together, last = works[lead].copy(), works[-1]
    for column in (ARRAY, LOADS, STORES, WEIGHTS, ALL_ROWS):
        together[column] = works[lead:, column].sum()
    together[WEIGHTS] += works[lead + 1 :, WEIGHT_TILE].sum()
    together[LAST_TILE] = last[LAST_TILE]
    taken, weights = last[ARRAY] / turns.pieces, (last[WEIGHT_TILE] + last[WEIGHTS]) / turns.pieces
    made = together[ARRAY] / turns.pieces - taken
    moved = together[[LOADS, STORES, WEIGHTS]].sum() / turns.pieces - weights
    ahead = min(max(made - moved, 0.0), turns.ahead)
    behind = made + max(taken, weights - ahead)  # of a piece that is taken up when it is made
    array, bus = made + taken, moved + weights
    beside = max(array, bus) + UNHIDDEN * min(array, bus)
    others = behind if turns.alone else beside
    together[ARRAY] = behind + (turns.pieces - 1) * others
    return np.vstack([works[:lead], together])


def alternating_cycles(works: Floats, latency: int) -> float:
    """Cycles of passes [passes, operations, COLUMNS] in which steps of the last operation, which
    trails, take turns with those of the others: in each those of array or bus, whichever has more,
    and a part of the other's, since one waits for the other now and then, more often where tiles
    leave no room to load ahead."""
    array = works[:, :, ARRAY].sum(axis=1)
    bus = works[:, :, [LOADS, STORES, WEIGHT_TILE, WEIGHTS]].sum(axis=(1, 2))
    taken = np.maximum(array, bus) + SPREAD * np.minimum(array, bus) + 2 * latency
    taken += CROWDED * (works[:, :, LOADS] * works[:, :, NO_PREFETCH_ROOM]).sum(axis=1)
    return float(taken.sum())
