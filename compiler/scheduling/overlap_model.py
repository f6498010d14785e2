"""How long a sequence of operations takes when the bus works ahead of the array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached

Floats = npt.NDArray[np.float64]

# Columns of the work of one operation in one stripe. Cycles of the array; of the bus for the first
# tile of its activations, for all of them, for its results and the last tile of those; for its
# first tile of weights and for the rest; WGT rows of a tile of weights (0: they are there already)
# and of all that it may hold at once. Then 1 or 0: whether its first tile has no room in ACT beside
# those of the operation before; and whether it writes where results lie that must be stored first.
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

UNHIDDEN = 0.1  # of the time of array or bus, where the other has more to do and steps take turns


def pipelined_cycles(works: Floats, wgt_rows: int, latency: int) -> float:
    """Cycles of all works, float64 [n, COLUMNS], one after another on the array.

    The bus brings the first tile of an operation's activations while the array is at the operation
    before, if there is room, and its weights as soon as they have room beside those of the
    operations in between: the first tile, and the others too where WGT holds them all; everything
    else while the array works on the operation itself.
    """
    return float(_pipelined(works, wgt_rows, latency, np.zeros(len(works))))


@njit_cached
def _pipelined(works: Floats, wgt_rows: int, latency: int, began: Floats) -> float:
    """``pipelined_cycles``. began: zeros, when the array began each work."""
    array, bus, stored = 0.0, 0.0, 0.0
    for at in range(len(works)):
        tile, first = works[at, ROWS] > 0, works[at, FIRST_TILE] > 0
        if tile:
            free, since = wgt_rows - works[at, ROWS], at
            while since > 0 and free >= works[since - 1, ROWS]:
                since -= 1
                free -= works[since, ROWS]
            bus = max(bus, began[since] if since < at else array) + works[at, WEIGHT_TILE]
        if first:
            free_at = array if works[at, NO_PREFETCH_ROOM] > 0 or at == 0 else began[at - 1]
            bus = max(bus, free_at) + works[at, FIRST_TILE]
        began[at] = max(array, stored if works[at, WAW_STALL] > 0 else 0.0)
        if tile or first:
            began[at] = max(began[at], bus + latency)
        if works[at, WEIGHTS] > 0:
            free, since = wgt_rows - works[at, ALL_ROWS], at
            while since > 0 and free >= works[since - 1, ALL_ROWS]:
                since -= 1
                free -= works[since, ALL_ROWS]
            bus = max(bus, began[since]) + works[at, WEIGHTS]
        rest = works[at, LOADS] - works[at, FIRST_TILE]
        if rest > 0:
            bus = max(bus, began[at]) + rest
        array = max(began[at] + works[at, ARRAY], bus)
        bus += works[at, STORES]
        if works[at, STORES] > 0:
            stored = max(bus, array + works[at, LAST_TILE])
    return max(array, bus)


def alternating_cycles(works: Floats, latency: int) -> float:
    """Cycles of passes [passes, operations, COLUMNS] in which steps of the last operation, which
    trails, take turns with those of the others: in each those of array or bus, whichever has more,
    and a part of the other's, since one waits for the other now and then."""
    array = works[:, :, ARRAY].sum(axis=1)
    bus = works[:, :, [LOADS, STORES, WEIGHT_TILE, WEIGHTS]].sum(axis=(1, 2))
    taken = np.maximum(array, bus) + UNHIDDEN * np.minimum(array, bus) + 2 * latency
    return float(taken.sum())
