"""Stripes: which rows of its tensors a group of operations makes, needs and stores in each pass.

A group is a run of operations that is executed several times over, each time for a stripe of rows
of its results, so that what lies between them never needs more room on chip than a stripe of it. A
window that reaches over the edge of a stripe makes rows needed in two stripes: they are stored by
the stripe that makes them and loaded by the next. One stripe is the plain execution of whole
layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.tiles import Interval
from zeroskip.compiler.ir.trailing import map_edges
from zeroskip.compiler.ir.views import ChannelSlice, Value

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StripePlan:
    """Rows of a value, stripe by stripe; int64 [passes]. Those from ``needed`` to ``end`` are read
    or made in the stripe; those from ``made`` on are made in it, those before were made earlier;
    later stripes need those from ``carried`` on."""

    value: Value
    needed: Ints
    made: Ints
    carried: Ints
    end: Ints

    @property
    def height(self) -> int:
        """Image rows that a buffer for any stripe has room for."""
        return int((self.end - self.needed).max())

    @property
    def buffer_rows(self) -> int:
        """ACT rows of that buffer."""
        return blocks(self.value.channels) * self.value.spatial[1] * self.height

    @property
    def most_made(self) -> int:
        """Rows that are made in a stripe, at most."""
        return int((self.end - self.made).max())

    @property
    def usually_made(self) -> int:
        """Rows that are made in a stripe in which some are, as many as in the median one."""
        made = np.sort(self.end - self.made)
        return int(made[made > 0][np.count_nonzero(made) // 2])

    def span(self, start: Ints, end: Ints, stripe: int) -> Interval:
        """The rows between two of these borders in one stripe."""
        return Interval(int(start[stripe]), int(end[stripe] - start[stripe]))


class StripePlanner:
    """Cuts a group into stripes, from its last operation to its first.

    What no operation of the group reads is cut evenly; of everything else a stripe makes what the
    rows after it need, and the last stripe the rest. If the last operation ``trails``, there is one
    pass more than stripes: the others have no rows to make in it, the last one all of its own.
    """

    def __init__(self, stripes: int, trails: bool = False) -> None:
        self.stripes, self.trails = stripes, trails
        # of the values that the operations so far write
        self.stripe_plans: dict[str, StripePlan] = {}
        self._ends: dict[str, Ints] = {}  # rows that they read: up to here, after each stripe
        self._firsts: dict[str, Ints] = {}  # and in each stripe from here on

    def prepend(self, op: Op) -> bool:
        """Put an operation before the others; False if the group cannot be cut then: a value must
        be complete before it is read, and rows stay rows. Of a value that is made frame by frame
        the rows are those of a frame, and nothing in the group makes it whole. Of a batch a stripe
        is whole images, or an image whole stripes."""
        value, rows = op.y.value, op.y.spatial[0]
        framed = any(view.frames is not None for view in (*op.reads, op.y))
        images = value.images
        if self.stripes > 1 and (
            framed
            or (images % self.stripes and self.stripes % images)
            or not op.by_rows
            or any(view.value.name in self.stripe_plans for view in op.reads)
        ):
            return False
        if self.trails and not self.stripe_plans:
            self._prepend_trailing(op)
            return True
        same = self.stripe_plans.get(value.name)
        if same is not None and same.end[-1] != rows:
            return False
        numbers = np.minimum(np.arange(1, self.stripes + self.trails + 1), self.stripes)
        end = self._ends.get(value.name, rows * numbers // self.stripes)
        end[-1] = rows
        made = self._plan(value, end)
        for index, view in enumerate(op.reads):
            top, bottom = op.operand_rows_read(made, end) if index else op.rows_read(made, end)
            self._read(view, top, bottom, end > made)
        return True

    def _prepend_trailing(self, op: Op) -> None:
        """Put the last operation of a group there, which looks in each pass at the rows of its
        input that the pass before made, and makes its output in the last one."""
        rows, edges = op.x.spatial[0], map_edges(op.x.spatial[0], self.stripes)
        self._plan(op.y.value, np.append(np.zeros_like(edges), op.y.spatial[0]))
        self._ends[op.x.value.name] = np.append(edges, rows)
        self._firsts[op.x.value.name] = np.concatenate(([rows, 0], edges[:-1]))

    def _plan(self, value: Value, end: Ints) -> Ints:
        """Note the rows of a value that is made up to here, after each pass; returns the first that
        each pass makes."""
        made = np.concatenate(([0], end[:-1]))
        needed = np.minimum(made, self._firsts.get(value.name, made))
        later = np.append(np.minimum.accumulate(needed[::-1])[::-1][1:], end[-1])
        carried = np.minimum(np.maximum(later, made), end)
        self.stripe_plans[value.name] = StripePlan(value, needed, made, carried, end)
        return made

    def _read(self, view: ChannelSlice, top: Ints, bottom: Ints, some: Bools) -> None:
        """Note the rows that the outputs of each stripe, if there are ``some``, look at."""
        name, rows = view.value.name, view.spatial[0]
        first = np.minimum(np.maximum(top, 0), rows - 1)
        bottom = np.maximum(np.minimum(bottom, rows), first + 1)
        first, bottom = np.where(some, first, rows), np.where(some, bottom, 0)
        self._ends[name] = np.maximum.accumulate(np.maximum(self._ends.get(name, 0), bottom))
        self._firsts[name] = np.minimum(self._firsts.get(name, rows), first)


def plan_stripes(steps: Sequence[Op], stripes: int, trails: bool = False) -> dict[str, StripePlan]:
    """For each value that the operations write, its rows in each stripe."""
    planner = StripePlanner(stripes, trails)
    for op in reversed(steps):
        planner.prepend(op)
    return planner.stripe_plans
