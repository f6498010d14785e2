"""When each instruction starts and ends: three in-order units, their tokens and one DRAM bus."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached_scalar

Int64 = npt.NDArray[np.int64]


class Timeline(NamedTuple):
    """int64 [n], cycles: tokens there, started, unit free again, completed (tokens posted)."""

    ready: Int64
    start: Int64
    free: Int64
    end: Int64


def timeline(
    unit: Int64,
    wait: Int64,
    post: Int64,
    cycles: Int64,
    on_bus: npt.NDArray[np.bool_],
    latency: int,
) -> Timeline:
    """Walk the events in order of their start.

    unit: 0 load, 1 compute, 2 store; wait, post: sets of units as bits. cycles: at least 1. An
    instruction starts when its unit is free, its tokens are there and, if it is ``on_bus``, the bus
    is free, which it holds for its cycles. A transfer completes ``latency`` cycles after that; a
    unit completes its instructions in order. Of several that could start the earliest does; at the
    same time load comes before store. The program must not deadlock.
    """
    made = Timeline(*np.zeros((4, len(unit)), np.int64))
    lists, counts = np.zeros((12, len(unit)), np.int64), np.zeros((4, 3, 3), np.int64)
    _walk(unit, wait, post, cycles, on_bus, latency, made, lists, counts)
    return made


@njit_cached_scalar
def _walk(
    unit: Int64,
    wait: Int64,
    post: Int64,
    cycles: Int64,
    on_bus: npt.NDArray[np.bool_],
    latency: int,
    made: Timeline,
    lists: Int64,
    counts: Int64,
) -> None:
    """Fill ``made``: ``timeline``.

    lists: zeros [12, n], of each unit and then of each pair of units; counts: zeros [4, 3, 3].
    """
    n, ready, start, leave, end = len(unit), made.ready, made.start, made.free, made.end
    mine, tokens = lists[:3], lists[3:]  # tokens: [3 * giver + taker, n-th], when it was given
    given, taken, size, at = counts[0], counts[1], counts[2, 0], counts[2, 1]
    free, done = counts[3, 0], counts[3, 1]
    for pc in range(n):
        mine[unit[pc], size[unit[pc]]] = pc
        size[unit[pc]] += 1
    bus = 0
    for _ in range(n):
        best, best_start, best_ready = -1, 0, 0
        for me in range(3):
            if at[me] == size[me]:
                continue
            pc = mine[me, at[me]]
            there, stuck = 0, False
            for giver in range(3):
                if (wait[pc] >> giver) & 1:
                    if taken[giver, me] == given[giver, me]:
                        stuck = True
                    else:
                        there = max(there, tokens[3 * giver + me, taken[giver, me]])
            if stuck:
                continue
            begin = max(free[me], there)
            if on_bus[pc]:
                begin = max(begin, bus)
            if best < 0 or begin < best_start:
                best, best_start, best_ready = me, begin, there
        me = best
        pc = mine[me, at[me]]
        at[me] += 1
        ready[pc], start[pc], leave[pc] = best_ready, best_start, best_start + cycles[pc]
        free[me] = leave[pc]
        complete = leave[pc]
        if on_bus[pc]:
            bus = leave[pc]
            complete += latency
        done[me] = max(done[me], complete)
        end[pc] = done[me]
        for other in range(3):
            if (wait[pc] >> other) & 1:
                taken[other, me] += 1
            if (post[pc] >> other) & 1:
                tokens[3 * me + other, given[me, other]] = end[pc]
                given[me, other] += 1
