"""The search for groups: which operations are executed together, in how many stripes, and where
what lies between them stays on chip.

A group keeps every value that its operations hand to each other in ACT (as far as ``liveness.py``
allows). Estimated cycles of groups add up, so the best cut of a region into groups is a shortest
path: a dynamic programme over the operations in their order, exact for the estimate. A single
operation is a group too, so the result is never worse than plain execution by the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.liveness import Liveness, LiveRange
from zeroskip.compiler.ir.ops import Op, Region
from zeroskip.compiler.ir.schedule import Buffer, GroupPlan
from zeroskip.compiler.ir.stripes import StripePlan, StripePlanner
from zeroskip.compiler.scheduling.channelwise_search import ChannelSearch, WeaveSearch
from zeroskip.compiler.scheduling.conv_search import ConvSearch
from zeroskip.compiler.scheduling.cost_model import Bus, Candidate, Floats, TileContext
from zeroskip.compiler.scheduling.objective import CYCLES, BusEnergy, Objective
from zeroskip.compiler.scheduling.overlap_model import (
    ALL_ROWS,
    ARRAY,
    COLUMNS,
    FIRST_TILE,
    LAST_TILE,
    LOADS,
    NO_PREFETCH_ROOM,
    ROWS,
    STORES,
    WAW_STALL,
    WEIGHT_TILE,
    WEIGHTS,
    pipelined_cycles,
)
from zeroskip.compiler.scheduling.sram_allocator import LiveBuffer, allocate, largest_gap

Search: TypeAlias = ConvSearch | ChannelSearch

STRIPE_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
TRIED = 3  # numbers of stripes, from the least that fits on
TOGETHER = "its frames fit one by one, but not as one group"
GRAIN = 32  # parts of ACT that free room is rounded down to, so that searches are found again


SEARCHES: dict[type[Op], Callable[..., Search]] = {
    ops.ConvOp: ConvSearch,
    ops.DepthwiseOp: ChannelSearch,
    ops.MaxPoolOp: ChannelSearch,
    ops.AvgPoolOp: ChannelSearch,
    ops.AddOp: ChannelSearch,
    ops.MultiplyOp: ChannelSearch,
    ops.LookupOp: ChannelSearch,
    ops.CopyOp: ChannelSearch,
    ops.ReshapeOp: ChannelSearch,
    ops.WeaveOp: WeaveSearch,
}


def _looks(index: int, op: Op) -> Hashable:
    """What the search of an operation depends on: of frames of a volume that are made alike the
    same, of anything else its place in the region."""
    if op.y.frames is None:
        return index
    weight = id(op.weight) if isinstance(op, ops.ConvOp) else None
    views = [(view.channels, view.spatial) for view in (op.x, op.y)]
    return type(op), op.y.value.name, weight, op.input_window, *views


def stripe_counts(images: int) -> Sequence[int]:
    """Numbers of stripes that are tried: of one or several images, and of a part of each."""
    if images == 1:
        return STRIPE_COUNTS
    several = [count for count in range(1, images) if images % count == 0]
    return [*several, *(images * count for count in STRIPE_COUNTS)]


def _starts(steps: Sequence[Op]) -> list[int]:
    """Of each operation the first of those that make the same volume frame by frame."""
    starts: list[int] = []
    for index, op in enumerate(steps):
        before = steps[index - 1] if index else op
        joined = index > 0 and None not in (op.y.frames, before.y.frames)
        alike = (op.node, op.y.value.name) == (before.node, before.y.value.name)
        starts.append(starts[-1] if joined and alike else index)
    return starts


def search_of(op: Op, spec: AccelSpec, *, energy: bool = False) -> Search:
    """The schedules of an operation by itself, with or without their energy."""
    return SEARCHES[type(op)](op, spec, energy=energy)


@dataclass(frozen=True)
class GroupCandidate:
    """A group before its tiles are known: rows of its values in each stripe, those that stay on
    chip, the place of each operation. shared: rows of ACT that are free both at an operation and at
    the one before (before the first: the last); behind: whether it writes where a result lies that
    the one before was the last to read and that goes to DRAM, too."""

    first: int
    stripes: int
    stripe_plans: Mapping[str, StripePlan]
    on_chip: frozenset[str]
    places: tuple[TileContext, ...]
    shared: tuple[int, ...]
    waw_stalls: tuple[bool, ...]
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True)
class PricedGroup:
    """A group, its estimated cycles, and the picojoules of its events (0 where nobody asks)."""

    plan: GroupPlan
    cycles: float
    picojoules: float = 0.0


class FusionSearch:
    """The groups of a region that are best by an objective. cycles, picojoules: estimates of what
    ``best`` found last."""

    def __init__(
        self,
        region: Region,
        spec: AccelSpec,
        progress: Progress | None = None,
        objective: Objective = CYCLES,
    ) -> None:
        self.ops, self.spec, self.objective = region.ops, spec, objective
        self.cycles = self.picojoules = 0.0
        energy = bool(objective.events)
        self.energy = BusEnergy.of(spec) if energy else None
        self.liveness = Liveness(region.ops, region.outputs)
        alike: dict[Hashable, Search] = {}
        self.searches = [
            alike.setdefault(_looks(index, op), search_of(op, spec, energy=energy))
            for index, op in enumerate(region.ops)
        ]
        self.known: dict[tuple[Search, TileContext, bool], Candidate | None] = {}
        self.works: dict[tuple[Candidate, StripePlan, bool, bool], Floats] = {}
        self.starts = _starts(region.ops)
        self.progress = progress or no_progress

    def reweigh(self, objective: Objective) -> None:
        """Search by another objective from now on."""
        self.objective = objective
        self.known.clear()
        self.works.clear()

    def best(self) -> list[GroupPlan]:
        """The groups of the least estimated score. CompileError if an operation does not fit."""
        count = len(self.ops)
        cheapest: dict[int, tuple[float, list[PricedGroup]]] = {0: (0.0, [])}
        for last in range(1, count + 1):
            if last < count and self.starts[last] != last:
                continue
            self.progress(self.ops[last - 1].node, last - 1, count)
            options = []
            for first, found in self._ending(last):
                score, groups = cheapest[first]
                options.append((score + self._score(found), [*groups, found]))
            cheapest[last] = min(options, key=lambda each: each[0])
        best = cheapest[count][1]
        self.cycles = sum(found.cycles for found in best)
        self.picojoules = sum(found.picojoules for found in best)
        return [found.plan for found in best]

    def _score(self, found: PricedGroup) -> float:
        score: float = self.objective.score(found.cycles, found.picojoules)
        return score

    def misfits(self) -> dict[str, str]:
        """Node -> why it cannot be scheduled, of the operations that do not fit, by themselves or
        with those that they stay together with."""
        count, found = len(self.ops), dict[str, str]()
        for last in range(1, count + 1):
            if last == count or self.starts[last] == last:
                found |= self._misfits_of(self.starts[last - 1], last)
        return found

    def _misfits_of(self, first: int, last: int) -> dict[str, str]:
        """Of operations first..last-1, which stay together."""
        alone = {
            self.ops[at].node: self.searches[at].misfit()
            for at in range(first, last)
            if self.group(at, at + 1, 1) is None
        }
        if alone or last - first == 1 or self.group(first, last, 1) is not None:
            return alone
        return {op.node: TOGETHER for op in self.ops[first:last]}

    def group(self, first: int, last: int, stripes: int) -> PricedGroup | None:
        """The group of operations first..last-1 in so many stripes; None if it does not fit."""
        candidate = self.candidate(first, last, stripes)
        return None if candidate is None else self._priced(candidate)

    def candidate(self, first: int, last: int, stripes: int) -> GroupCandidate | None:
        """How that group is cut and where its values are; None if they do not fit."""
        planner = StripePlanner(stripes)
        if all(planner.prepend(op) for op in reversed(self.ops[first:last])):
            return self._candidate(first, last, planner)
        return None

    def _ending(self, last: int) -> Iterator[tuple[int, PricedGroup]]:
        """The best group that ends before ``last``, for each first operation it can have. One whose
        last operation finds nothing on chip is no better than two groups; the frames of a volume
        stay together."""
        self.works.clear()
        own = self.starts[last - 1]
        alone = self.group(own, last, 1)
        if alone is None:
            node, why = next(iter(self._misfits_of(own, last).items()))
            raise CompileError(f"'{node}': {why}; choose a target with more SRAM")
        yield own, alone
        nearest = self.liveness.earliest_start(last - 1)
        if nearest is None:
            return
        most = self.ops[last - 1].y.spatial[0]
        tails = [
            _Tail(self.ops, last, stripes)
            for stripes in stripe_counts(self.ops[last - 1].y.value.images)
            if stripes == 1 or stripes <= most
        ]
        for first in range(nearest, -1, -1):
            if self.starts[first] != first:
                continue
            found: list[PricedGroup] = []
            for tail in [*tails]:
                candidate = (
                    self._candidate(first, last, tail.planner) if tail.reach(first) else None
                )
                group = None if candidate is None else self._priced(candidate)
                if group is not None:
                    found.append(group)
                elif not found:
                    tails.remove(tail)  # nor will a longer group fit in so few stripes
                if self._enough(found):
                    break
            if not found:
                return
            yield first, min(found, key=self._score)

    def _enough(self, found: Sequence[PricedGroup]) -> bool:
        """Whether other numbers of stripes are hardly better: where the values fit whole, one is
        tried against two; it is worse where they leave little room for tiles."""
        if len(found) == 2 and found[0].plan.stripes == 1:
            return self._score(found[0]) <= self._score(found[1])
        return len(found) == TRIED

    def _candidate(self, first: int, last: int, planner: StripePlanner) -> GroupCandidate | None:
        held = self.liveness.resident(first, last)
        stripe_plans = planner.stripe_plans
        needs = [
            LiveBuffer(each.first, each.last, stripe_plans[each.value.name].buffer_rows)
            for each in held
        ]
        acts = allocate(needs, self.spec.act_rows)
        if acts is None:
            return None
        on_chip = frozenset(each.value.name for each in held)
        rows = self.spec.act_rows
        taken = [
            [
                (act, act + need.rows)
                for act, need in zip(acts, needs, strict=True)
                if need.first <= index <= need.last
            ]
            for index in range(last - first)
        ]
        places = tuple(
            self._place(
                op, stripe_plans[op.y.value.name].most_made, largest_gap(busy, rows), on_chip
            )
            for op, busy in zip(self.ops[first:last], taken, strict=True)
        )
        shared = tuple(
            largest_gap(taken[index - 1] + busy, rows) for index, busy in enumerate(taken)
        )
        needed = self.liveness.live_out(first, last)
        spans = [
            (each, act, act + need.rows) for each, need, act in zip(held, needs, acts, strict=True)
        ]
        behind = tuple(
            self._is_behind(index, spans, needed, first, last) for index in range(last - first)
        )
        buffers = tuple(Buffer(need.first, act) for need, act in zip(needs, acts, strict=True))
        return GroupCandidate(
            first, planner.stripes, stripe_plans, on_chip, places, shared, behind, buffers
        )

    def _is_behind(
        self,
        index: int,
        spans: Sequence[tuple[LiveRange, int, int]],
        needed: frozenset[str],
        first: int,
        last: int,
    ) -> bool:
        """Of an operation of a group, whether it must wait for the store of another's result.
        spans: values that stay on chip, with their rows of ACT; needed: those that go to DRAM."""
        name = self.ops[first + index].y.value.name
        own = [(low, high) for each, low, high in spans if each.value.name == name]
        return any(
            low < end and begin < high
            for each, begin, end in spans
            if each.value.name in needed and each.last == (index - 1) % (last - first)
            for low, high in own
        )

    def _place(self, op: Op, rows: int, act: int, on_chip: frozenset[str]) -> TileContext:
        """Room is rounded, and does not matter where nothing moves."""
        x, *r = [view.value.name in on_chip for view in op.reads]
        y = op.y.value.name in on_chip
        grain = max(1, self.spec.act_rows // GRAIN)
        free = act // grain * grain if act >= 4 * grain else act
        return TileContext(rows, 0 if x and y and all(r) else free, x, y, bool(r and r[0]))

    def _best(self, index: int, place: TileContext, alone: bool) -> Candidate | None:
        search = self.searches[index]
        key = search, place, alone
        if key not in self.known:
            ranked = search.ranked(place, 1, alone, self.objective)
            self.known[key] = ranked[0] if ranked else None
        return self.known[key]

    def _priced(self, candidate: GroupCandidate) -> PricedGroup | None:
        """The group with the best tiles for each operation; None if some has none that fit."""
        alone = len(candidate.places) == 1
        chosen = []
        for index, place in enumerate(candidate.places, candidate.first):
            best = self._best(index, place, alone)
            if best is None:
                return None
            chosen.append(best)
        plan = GroupPlan(candidate.stripes, tuple(each.plan for each in chosen), candidate.buffers)
        if not alone:
            return PricedGroup(plan, *self._costs(candidate, chosen))
        cost = chosen[0].cost
        spent = 0.0 if self.energy is None else cost.picojoules(self.energy)
        return PricedGroup(plan, cost.alone(self.spec.dram.latency_cycles), spent)

    def _costs(self, candidate: GroupCandidate, chosen: Sequence[Candidate]) -> tuple[float, float]:
        """Cycles and picojoules of a group of several operations."""
        first, last = candidate.first, candidate.first + len(chosen)
        needed = self.liveness.live_out(first, last)
        works = []
        for op, choice in zip(self.ops[first:last], chosen, strict=True):
            name = op.y.value.name
            key = choice, candidate.stripe_plans[name], name in candidate.on_chip, name in needed
            if key not in self.works:
                self.works[key] = self._work(op, *key)
            works.append(self.works[key])
        table = np.stack(works, axis=1)
        table[:, :, WAW_STALL] = candidate.waw_stalls
        moving = [each.cost.act for each in chosen]
        table[:, :, NO_PREFETCH_ROOM] = [
            before + own > room
            for before, own, room in zip(
                [moving[-1], *moving], moving, candidate.shared, strict=False
            )
        ]
        rows = [each.cost.all_rows for each in chosen]
        if sum(rows) + max(rows) <= self.spec.wgt_rows:  # the first stripe's weights stay
            table[1:, :, [WEIGHT_TILE, WEIGHTS, ROWS, ALL_ROWS]] = 0
        ends = chosen[-1].cost.last - chosen[0].cost.first - chosen[0].cost.tile
        cycles = ends / 2 + pipelined_cycles(
            table.reshape(-1, table.shape[2]), self.spec.wgt_rows, self.spec.dram.latency_cycles
        )
        return cycles, self._picojoules(candidate, chosen, table)

    def _picojoules(
        self, candidate: GroupCandidate, chosen: Sequence[Candidate], table: Floats
    ) -> float:
        """Of the events of a group: on the array, for all rows that its stripes make, and of what
        the bus moves."""
        if self.energy is None:
            return 0.0
        spent = 0.0
        for op, choice in zip(self.ops[candidate.first :], chosen, strict=False):
            of = candidate.stripe_plans[op.y.value.name]
            spent += choice.cost.energy * float((of.end - of.made).sum()) / of.most_made
        loads, tile, weights, stores = (
            float(table[:, :, column].sum()) for column in (LOADS, WEIGHT_TILE, WEIGHTS, STORES)
        )
        moved: float = self.energy.picojoules(loads, tile + weights, stores)
        return spent + moved

    def _work(
        self, op: Op, choice: Candidate, of: StripePlan, on_chip: bool, needed: bool
    ) -> Floats:
        """Of an operation in each stripe (``pipeline.overlapped``)."""
        cost, made = choice.cost, of.end - of.made
        work = np.zeros((len(made), COLUMNS))
        work[:, ARRAY] = [choice.array(rows) if rows else 0.0 for rows in made.tolist()]
        work[:, LOADS], work[:, STORES] = (
            cycles * made / of.most_made for cycles in (cost.loads, cost.stores)
        )
        if on_chip:
            row = Bus.of(self.spec).cycles(op.y.channels * op.y.spatial[1], 0)
            work[:, STORES] += (of.end - (of.made if needed else of.carried)) * row
            work[:, LOADS] += (of.made - of.needed) * row
        work[:, LAST_TILE] = np.minimum(cost.last, work[:, STORES])
        work[:, FIRST_TILE] = np.minimum(cost.first, work[:, LOADS])
        work[:, WEIGHT_TILE], work[:, WEIGHTS] = cost.tile, cost.weights - cost.tile
        work[:, ROWS], work[:, ALL_ROWS] = cost.rows, cost.all_rows
        return work


def estimate(region: Region, spec: AccelSpec, groups: Sequence[GroupPlan]) -> float:
    """Estimated cycles of the groups of a region, each with its best tiles."""
    search, first, cycles = FusionSearch(region, spec), 0, 0.0
    for group in groups:
        found = search.group(first, first + len(group.plans), group.stripes)
        first += len(group.plans)
        cycles += found.cycles if found is not None else 0.0
    return cycles


class _Tail:
    """The operations up to ``last``, cut into stripes as far back as they have been reached."""

    def __init__(self, steps: Sequence[Op], last: int, stripes: int) -> None:
        self.steps, self.first = steps, last
        self.planner = StripePlanner(stripes)

    def reach(self, first: int) -> bool:
        """Go back to an operation; False if that cannot be cut."""
        while self.first > first and self.planner.prepend(self.steps[self.first - 1]):
            self.first -= 1
        return self.first == first
