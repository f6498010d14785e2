"""The search for groups: which operations are executed together, in how many stripes, and where
what lies between them stays on chip.

A group keeps every value that its operations hand to each other in ACT (as far as ``liveness.py``
allows). Estimated cycles of groups add up, so the best cut of a region into groups is a shortest
path: a dynamic programme over the operations in their order, exact for the estimate. A single
operation is a group too, so the result is never worse than plain execution by the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TypeAlias

import numpy as np

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.liveness import Liveness, LiveRange
from zeroskip.compiler.ir.ops import Op, Region
from zeroskip.compiler.ir.schedule import Buffer, ChannelPlan, ConvPlan, GroupPlan, Plan
from zeroskip.compiler.ir.stripes import StripePlan, StripePlanner
from zeroskip.compiler.ir.trailing import can_trail, leader, waiting_sums
from zeroskip.compiler.scheduling.channelwise_search import ChannelSearch, WeaveSearch
from zeroskip.compiler.scheduling.conv_search import ConvSearch
from zeroskip.compiler.scheduling.cost_model import ENDS, Candidate, Part, TileContext
from zeroskip.compiler.scheduling.group_candidates import GroupCandidate, PricedGroup, Tail
from zeroskip.compiler.scheduling.group_costs import GroupCosts
from zeroskip.compiler.scheduling.objective import CYCLES, BusEnergy, Objective
from zeroskip.compiler.scheduling.sram_allocator import LiveBuffer, allocate, largest_gap

Search: TypeAlias = ConvSearch | ChannelSearch

STRIPE_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
SPILLS = 3  # numbers of values that stay on chip, from the most that fits on
PIECES = (4, 8, 16)  # of channels that an operation which follows another takes up, at least
PATIENCE = 3  # longer groups that are tried without finding a better one
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
        self.costs = GroupCosts(region.ops, spec, self.liveness, self.energy)
        self.starts = _starts(region.ops)
        self.progress = progress or no_progress

    def reweigh(self, objective: Objective) -> None:
        """Search by another objective from now on."""
        self.objective = objective
        self.known.clear()
        self.costs.works.clear()

    def best(self) -> list[GroupPlan]:
        """The groups of the least estimated score. CompileError if an operation does not fit."""
        count = len(self.ops)
        cheapest: dict[int, tuple[float, list[PricedGroup]]] = {0: (0.0, [])}
        for last in range(1, count + 1):
            if last < count and self.starts[last] != last:
                continue
            self.progress(self.ops[last - 1].node, last - 1, count)
            options = []
            hidden = self._hidden(last, lambda first: cheapest[first][0])
            for first, found in chain(self._ending(last), hidden):
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

    def again(self, first: int, group: GroupPlan) -> GroupCandidate | None:
        """A group from that operation on before its tiles are known, the same values on chip; None
        if it does not fit."""
        last, kept = first + len(group.plans), {buffer.maker for buffer in group.buffers}
        planner = StripePlanner(group.stripes, group.trails)
        if not all(planner.prepend(op) for op in reversed(self.ops[first:last])):
            return None
        held = [each for each in self.liveness.resident(first, last) if each.first in kept]
        if not group.follows:
            return self._candidate(first, last, planner, held)
        lead = leader(self.ops[first:last])
        found = self._candidate(first, last, planner, held, lead)
        if found is None or lead is None:
            return None
        leads, follows = group.plans[lead], group.plans[-1]
        assert isinstance(leads, ConvPlan)
        assert isinstance(follows, ConvPlan)
        made, taken = self.ops[first + lead].y.channels, self.ops[last - 1].x.channels
        least = min(-(-made // leads.filters), -(-taken // follows.channels))
        return _in_pieces(found, max((each for each in PIECES if each <= least), default=1))

    def group(self, first: int, last: int, stripes: int) -> PricedGroup | None:
        """The group of operations first..last-1 in so many stripes; None if it does not fit."""
        candidate = self.candidate(first, last, stripes)
        return None if candidate is None else self.priced(candidate)

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
        self.costs.works.clear()
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
            Tail(self.ops, last, stripes)
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
                group = None if candidate is None else self.priced(candidate)
                if group is not None:
                    found.append(group)
                elif not found:
                    tails.remove(tail)  # nor will a longer group fit in so few stripes
                if self._enough(found):
                    break
            if not found:
                return
            yield first, min(found, key=self._score)

    def _hidden(
        self, last: int, before: Callable[[int], float]
    ) -> Iterator[tuple[int, PricedGroup]]:
        """The best groups whose last operation, that before ``last``, trails the others or follows
        one of them. before: the score of what comes before an operation."""
        op, nearest = self.ops[last - 1], self.liveness.earliest_start(last - 1)
        if nearest is None:
            return
        if can_trail(op):
            tails = [
                Tail(self.ops, last, stripes, trails=True)
                for stripes in STRIPE_COUNTS
                if 1 < stripes <= op.x.spatial[0]
            ]
            yield from self._longer(nearest, last, tails, self._trailed, before)
        lead = leader(self.ops[:last])
        if lead is not None:
            yield from self._longer(lead, last, [Tail(self.ops, last, 1)], self._following, before)

    def _longer(
        self,
        nearest: int,
        last: int,
        tails: Sequence[Tail],
        candidates: Callable[[int, int, StripePlanner], Iterator[GroupCandidate]],
        before: Callable[[int], float],
    ) -> Iterator[tuple[int, PricedGroup]]:
        """The best group with these tails for each first operation it can have, from ``nearest``
        back as long as longer groups pay."""
        least, worse = np.inf, 0
        for first in range(nearest, -1, -1):
            if self.starts[first] != first:
                continue
            tails = [tail for tail in tails if tail.reach(first)]
            options = chain(*(candidates(first, last, tail.planner) for tail in tails))
            found = [each for each in map(self.priced, options) if each is not None]
            if not found:
                return
            best = min(found, key=self._score)
            yield first, best
            score = before(first) + self._score(best)
            worse = 0 if score < least else worse + 1
            least = min(least, score)
            if worse == PATIENCE:
                return

    def trailed(self, first: int, last: int, stripes: int) -> list[GroupCandidate]:
        """Groups of operations first..last-1 in so many stripes of which the last trails the
        others, with as many values on chip as fit and with fewer."""
        op, planner = self.ops[last - 1], StripePlanner(stripes, trails=True)
        if not can_trail(op) or not 1 < stripes <= op.x.spatial[0]:
            return []
        cut = all(planner.prepend(each) for each in reversed(self.ops[first:last]))
        return [*self._trailed(first, last, planner)] if cut else []

    def _trailed(self, first: int, last: int, planner: StripePlanner) -> Iterator[GroupCandidate]:
        """Groups whose last operation trails, with all the values on chip that fit, the smallest
        ones, and with fewer of them, which leaves room for tiles. The others go through DRAM."""
        held, plans = self.liveness.resident(first, last), planner.stripe_plans
        held.sort(key=lambda each: plans[each.value.name].buffer_rows)
        found = (
            self._candidate(first, last, planner, held[:count])
            for count in range(len(held), 0, -1)
            if self.ops[last - 1].x.value in [each.value for each in held[:count]]
        )
        yield from islice((each for each in found if each is not None), SPILLS)

    def _following(self, first: int, last: int, planner: StripePlanner) -> Iterator[GroupCandidate]:
        """Groups whose last operation follows another's channels, if all values between these fit
        on chip."""
        lead, found = leader(self.ops[first:last]), None
        if lead is not None:
            found = self._candidate(first, last, planner, lead=lead)
        if found is None or any(
            op.y.value.name not in found.on_chip for op in self.ops[first + (lead or 0) : last - 1]
        ):
            return
        for pieces in PIECES:
            yield _in_pieces(found, pieces)

    def _enough(self, found: Sequence[PricedGroup]) -> bool:
        """Whether other numbers of stripes are hardly better: where the values fit whole, one is
        tried against two; it is worse where they leave little room for tiles."""
        if len(found) == 2 and found[0].plan.stripes == 1:
            return self._score(found[0]) <= self._score(found[1])
        return len(found) == TRIED

    def _candidate(
        self,
        first: int,
        last: int,
        planner: StripePlanner,
        held: Sequence[LiveRange] | None = None,
        lead: int | None = None,
    ) -> GroupCandidate | None:
        """held: the values that are to stay on chip; None: all that may. lead: the operation of the
        group that its last one follows; from there on all share the chip."""
        held = self.liveness.resident(first, last) if held is None else held
        stripe_plans = planner.stripe_plans
        early = self.ops[last - 1].x.value.name if planner.trails else None
        end = last - first - 1

        def span(each: LiveRange) -> tuple[int, int]:
            if each.value.name == early:
                return 0, each.last
            if lead is None or each.last < lead:
                return each.first, each.last
            return min(each.first, lead), end

        needs = [
            LiveBuffer(*span(each), stripe_plans[each.value.name].buffer_rows) for each in held
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
        gaps = [largest_gap(busy, rows) for busy in taken]
        parts = [Part.OWN] * len(gaps)
        turns = 0 if planner.trails else lead
        if turns is not None:  # tiles of the last one are small, and beside those of any other
            parts[turns:] = [Part.OTHER] * (end - turns) + [Part.TRAILING]
            small = rows // GRAIN
            gaps[turns:] = [*(gap - small for gap in gaps[turns:-1]), min(small, *gaps[turns:])]
            if min(gaps) < 0:
                return None
        if lead is not None:
            parts[lead], parts[-1] = Part.LEADING, Part.FOLLOWING
        places = tuple(
            self._place(op, stripe_plans[op.y.value.name], gap, on_chip, part)
            for op, gap, part in zip(self.ops[first:last], gaps, parts, strict=True)
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
        buffers = tuple(Buffer(each.first, act) for each, act in zip(held, acts, strict=True))
        return GroupCandidate(
            first,
            planner.stripes,
            planner.trails,
            lead,
            stripe_plans,
            on_chip,
            places,
            shared,
            behind,
            buffers,
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

    def _place(
        self, op: Op, of: StripePlan, act: int, on_chip: frozenset[str], part: Part
    ) -> TileContext:
        """Room is rounded, and does not matter where nothing moves. Of a single operation nothing
        hides the ends."""
        x, *r = [view.value.name in on_chip for view in op.reads]
        y = op.y.value.name in on_chip
        grain = max(1, self.spec.act_rows // GRAIN)
        free = act // grain * grain if act >= 4 * grain else act
        alike = 2 * of.most_made <= 3 * of.usually_made  # then one patch has the rows of any stripe
        rows = of.most_made if alike or part is Part.OWN else of.usually_made
        return TileContext(
            rows,
            0 if x and y and all(r) else free,
            x,
            y,
            bool(r and r[0]),
            part,
            of.most_made,
            ends=1.0 if len(self.ops) == 1 else ENDS,
        )

    def _best(self, index: int, place: TileContext, alone: bool) -> Candidate | None:
        search = self.searches[index]
        key = search, place, alone
        if key not in self.known:
            ranked = search.ranked(place, 1, alone, self.objective)
            self.known[key] = ranked[0] if ranked else None
        return self.known[key]

    def priced(self, candidate: GroupCandidate) -> PricedGroup | None:
        """The group with the best tiles for each operation; None if some has none that fit."""
        alone = len(candidate.places) == 1
        chosen = self._chosen(candidate, alone)
        if chosen is None:
            return None
        plan = GroupPlan(candidate.stripes, tuple(each.plan for each in chosen), candidate.buffers)
        if not alone:
            return PricedGroup(plan, *self.costs.of(candidate, chosen))
        cost = chosen[0].cost
        spent = 0.0 if self.energy is None else cost.picojoules(self.energy)
        cycles = cost.alone(self.spec.dram.latency_cycles, candidate.places[0].ends)
        return PricedGroup(plan, cycles, spent)

    def _chosen(self, candidate: GroupCandidate, alone: bool) -> list[Candidate] | None:
        """The best tiles for each operation; None if one has none that fit. Those of one that
        trails come first: its sums wait in ACC while others have theirs there."""
        chosen: list[Candidate] = []
        sums, last = 0, candidate.first + len(candidate.places) - 1
        lead = None if candidate.lead is None else candidate.first + candidate.lead
        for index, place in reversed([*enumerate(candidate.places, candidate.first)]):
            best = self._best(index, replace(place, sums=sums) if sums else place, alone)
            if best is None:
                return None
            chosen.insert(0, best)
            if index == last and (candidate.trails or lead is not None):
                sums = waiting_sums(self.ops[index], best.plan, self.spec)
            if index == lead:
                chosen[1:-1] = [_in_turn(best.plan, each) for each in chosen[1:-1]]
                sums = 0
        return chosen


def _in_pieces(of: GroupCandidate, pieces: int) -> GroupCandidate:
    """A group whose last operation follows, with so many pieces of channels at the least."""
    turns = (Part.LEADING, Part.FOLLOWING)
    places = (
        replace(place, pieces=pieces) if place.part in turns else place for place in of.places
    )
    return replace(of, places=tuple(places))


def _in_turn(leads: Plan, of: Candidate) -> Candidate:
    """The tiles of an operation that takes up each tile of channels that the leader makes."""
    assert isinstance(leads, ConvPlan)
    assert isinstance(of.plan, ChannelPlan)
    return replace(of, plan=replace(of.plan, channels=min(of.plan.channels, leads.filters)))


def estimate(region: Region, spec: AccelSpec, groups: Sequence[GroupPlan]) -> float:
    """Estimated cycles of the groups of a region, each with its best tiles."""
    search, first, cycles = FusionSearch(region, spec), 0, 0.0
    for group in groups:
        candidate = search.again(first, group)
        found = None if candidate is None else search.priced(candidate)
        first += len(group.plans)
        cycles += found.cycles if found is not None else 0.0
    return cycles
