"""Tokens: an order in which a stream may run, and what each unit knows of the others.

Tokens alone decide both, not the data, so they are known before anything is executed. Each unit
counts its instructions. A token carries what its poster knows: how many instructions of each unit
are complete (Mattern, "Virtual time and global states of distributed systems", 1989). Queues are
counting queues and units run in order, so the n-th take is always paired with the n-th post and
these clocks do not depend on the order that is followed.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.jit import njit_cached_scalar

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LONGEST_BURST = 6  # instructions of a unit that a shuffled order may take at a time


class Order(NamedTuple):
    """pcs: int64 [m], the instructions in an order that the tokens allow; fewer than there are if
    the units wait for each other. known: int32 [n, 3], for each pc how many instructions of each
    unit are complete when it starts, itself counted among its own unit's."""

    pcs: Int64
    known: Int32


def program_order(unit: Int64) -> Int64:
    """int64 [n]: priorities that keep the order of the program wherever tokens allow it."""
    return np.arange(len(unit))


def shuffled(unit: Int64, seed: int) -> Int64:
    """Priorities for any unit, for a few instructions at a time."""
    rng = random.Random(seed)
    given: Int64 = np.empty(len(unit), np.int64)
    for number in range(3):
        mine = np.flatnonzero(unit == number)
        at = 0
        while at < len(mine):
            length = rng.randint(1, LONGEST_BURST)
            given[mine[at : at + length]] = rng.getrandbits(62)
            at += length
    return given


def last_of_all(unit: Int64, late: int) -> Int64:
    """Priorities by which unit ``late`` goes on only if no other can: whatever is not ordered
    before it comes before it."""
    given: Int64 = np.arange(len(unit)) + len(unit) * (unit == late)
    return given


def follow(unit: Int64, wait: Int64, post: Int64, priority: Int64) -> Order:
    """Take tokens and post them; of the instructions that could go on, the one with the least
    priority does. unit: 0 load, 1 compute, 2 store; wait, post: sets of units as bits.
    """
    n = len(unit)
    made = Order(np.empty(n, np.int64), np.zeros((n, 3), np.int32))
    lists, counts = np.zeros((12, n), np.int64), np.zeros((4, 3, 3), np.int64)
    return made._replace(pcs=made.pcs[: _follow(unit, wait, post, priority, made, lists, counts)])


@njit_cached_scalar
def _follow(
    unit: Int64,
    wait: Int64,
    post: Int64,
    priority: Int64,
    made: Order,
    lists: Int64,
    counts: Int64,
) -> int:
    """Fill ``made``; how many instructions there are in it.

    lists: zeros [12, n], of each unit and then of each pair of units; counts: zeros [4, 3, 3].
    """
    n, pcs, known = len(unit), made.pcs, made.known
    mine, poster = lists[:3], lists[3:]  # poster: [3 * giver + taker, n-th], the pc that posts it
    given, taken, now, size, at = counts[0], counts[1], counts[2], counts[3, 0], counts[3, 1]
    for pc in range(n):
        mine[unit[pc], size[unit[pc]]] = pc
        size[unit[pc]] += 1
    for step in range(n):
        me = -1
        for each in range(3):
            if at[each] == size[each]:
                continue
            pc = mine[each, at[each]]
            there = True
            for giver in range(3):
                if (wait[pc] >> giver) & 1 and taken[giver, each] == given[giver, each]:
                    there = False
            if there and (me < 0 or priority[pc] < priority[mine[me, at[me]]]):
                me = each
        if me < 0:
            return step
        pc = mine[me, at[me]]
        at[me] += 1
        pcs[step] = pc
        for giver in range(3):
            if (wait[pc] >> giver) & 1:
                token = poster[3 * giver + me, taken[giver, me]]
                taken[giver, me] += 1
                for other in range(3):
                    now[me, other] = max(now[me, other], known[token, other])
        now[me, me] += 1
        for other in range(3):
            known[pc, other] = now[me, other]
        for taker in range(3):
            if (post[pc] >> taker) & 1:
                poster[3 * me + taker, given[me, taker]] = pc
                given[me, taker] += 1
    return n


def stuck(unit: Int64, wait: Int64, post: Int64, pcs: Int64) -> list[tuple[int, list[int]]]:
    """After ``pcs``: the next instruction of each unit and the units whose token it waits for."""
    tokens = np.zeros((3, 3), np.int64)
    for pc in pcs.tolist():
        tokens[:, unit[pc]] -= (wait[pc] >> np.arange(3)) & 1
        tokens[unit[pc]] += (post[pc] >> np.arange(3)) & 1
    found = []
    for number in range(3):
        rest = np.setdiff1d(np.flatnonzero(unit == number), pcs)
        if len(rest):
            pc = int(rest[0])
            missing = [
                giver for giver in range(3) if wait[pc] >> giver & 1 and tokens[giver, number] == 0
            ]
            found.append((pc, missing))
    return found
