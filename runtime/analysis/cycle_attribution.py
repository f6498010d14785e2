"""Whose cycles are whose: a run cut into spans in which nothing begins or ends.

A cycle in which the array computes belongs to the layer it computes. A cycle in which it idles
belongs to the layer it waits for: the one it computes next, or one that only moves data and whose
move ends first. What remains after the last of them is the last layer's. So the layers' cycles add
up to the run's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.instructions import UNITS, Unit
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program

Int64 = npt.NDArray[np.int64]
N = TypeVar("N", np.int64, np.float64)
Bools = npt.NDArray[np.bool_]

COMPUTE = UNITS.index(Unit.COMPUTE)
NONE = -1


@dataclass(frozen=True, eq=False)
class Spans:
    """Spans of a run in the order of time; together they are all its cycles.

    array: int64 [instructions], pcs of the compute instructions; the numbers below count these.
    length: int64 [spans], cycles. owner: the layer that they belong to. busy: the compute
    instruction that runs. awaited: the one that the idle array waits for; NONE after the last one.
    moving: the array idles for a layer that only moves data. bus: the layer whose transfer holds
    the bus. NONE stands for no such instruction or layer.
    """

    array: Int64
    length: Int64
    owner: Int64
    busy: Int64
    awaited: Int64
    moving: Bools
    bus: Int64

    @staticmethod
    def of(run: Run, program: Program) -> Spans:
        layer_of = layers_of(program)
        array = np.flatnonzero(run.unit == COMPUTE)
        movers = _movers(run, layer_of, layer_of[array])
        transfers = _transfers(run)
        edges = np.unique(
            np.concatenate(
                (
                    [0, run.cycles],
                    run.start[array],
                    run.free[array],
                    run.end[movers],
                    run.start[transfers],
                    run.free[transfers],
                )
            )
        )
        left = edges[:-1]
        following = _first_after(left, run.free[array])
        begins = np.append(run.start[array], run.cycles)[following]
        computing = (following != NONE) & (left >= begins)
        mover = _first_after(left, run.end[movers])
        moving = ~computing & (mover != NONE) & (np.append(run.end[movers], 0)[mover] <= begins)
        last = layer_of[array[-1]] if len(array) else len(program.layers) - 1
        owner = np.where(
            moving,
            layer_of[np.append(movers, 0)[mover]],
            np.append(layer_of[array], last)[following],
        )
        transfer = _first_after(left, run.free[transfers])
        moves = (transfer != NONE) & (left >= np.append(run.start[transfers], 0)[transfer])
        return Spans(
            array=array,
            length=np.diff(edges),
            owner=owner,
            busy=np.where(computing, following, NONE),
            awaited=np.where(computing | moving, NONE, following),
            moving=moving,
            bus=np.where(moves, np.append(layer_of[transfers], NONE)[transfer], NONE),
        )

    @property
    def tail(self) -> Bools:
        """Whether the array is done."""
        done: Bools = (self.busy == NONE) & (self.awaited == NONE) & ~self.moving
        return done


def layers_of(program: Program) -> Int64:
    """The layer of each instruction; what belongs to none counts as the first one's."""
    return np.maximum(program.layer_of, 0).astype(np.int64)


def sums(index: Int64, values: npt.NDArray[N], count: int) -> npt.NDArray[N]:
    """[count, ...]: sums of the values that have each index; those of NONE are left out."""
    found = np.zeros((count, *values.shape[1:]), values.dtype)
    np.add.at(found, index[index != NONE], values[index != NONE])
    return found


def _movers(run: Run, layer_of: Int64, computing: Int64) -> Int64:
    """Instructions of layers without a compute instruction, in order of their end."""
    moves = np.flatnonzero((run.unit != COMPUTE) & ~np.isin(layer_of, computing))
    return moves[np.argsort(run.end[moves], kind="stable")]


def _transfers(run: Run) -> Int64:
    """Instructions that hold the bus, in order of time."""
    moves = np.flatnonzero(run.counters["dram_bytes"] > 0)
    return moves[np.argsort(run.start[moves], kind="stable")]


def _first_after(moments: Int64, ends: Int64) -> Int64:
    """For each moment the number of the first of the ascending ``ends`` after it, or NONE."""
    found = np.searchsorted(ends, moments, side="right").astype(np.int64)
    return np.where(found < len(ends), found, NONE)
