"""Tuning: several schedules of each layer are emitted and timed, and the fastest is kept.

The search ranks schedules by an estimate. Here the best few of them are emitted and timed,
instruction by instruction: of each group other numbers of stripes, then of each of its operations
other tiles. What is faster for the group must be so between the groups around it, too. Nothing is
random: the same network gives the same schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, islice
from typing import TypeAlias

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.liveness import Liveness
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.ir.trailing import waiting_sums
from zeroskip.compiler.scheduling.fusion import FusionSearch, stripe_counts
from zeroskip.compiler.scheduling.group_candidates import PricedGroup

Measure: TypeAlias = Callable[[Program], int]


@dataclass(frozen=True)
class Tuning:
    """How much to tune. count: schedules of each layer to time. measure: cycles of a program
    (``runtime.execution.tuning``: the compiler itself cannot run one)."""

    count: int
    measure: Measure

    def __post_init__(self) -> None:
        if self.count < 1:
            raise CompileError(
                f"tuning needs at least one schedule of each layer, not {self.count}"
            )


def tune_region(
    region: Region,
    spec: AccelSpec,
    groups: Sequence[GroupPlan],
    tuning: Tuning,
    progress: Progress | None = None,
) -> list[GroupPlan]:
    """Groups whose program takes no more cycles than that of ``groups``."""
    tuner = _Tuner(region, spec, groups, tuning, progress or no_progress)
    for at in range(len(groups)):
        tuner.improve(at)
    before, after = (
        tuning.measure(emit_region(region, spec, each)) for each in (groups, tuner.best)
    )
    return tuner.best if after <= before else list(groups)


class _Tuner:
    def __init__(
        self,
        region: Region,
        spec: AccelSpec,
        groups: Sequence[GroupPlan],
        tuning: Tuning,
        progress: Progress,
    ) -> None:
        self.region, self.spec, self.tuning, self.progress = region, spec, tuning, progress
        self.search = FusionSearch(region, spec)
        self.best = list(groups)
        self.starts = [0, *accumulate(len(group.plans) for group in groups)]

    def improve(self, at: int) -> None:
        """Replace a group by the fastest one that is found for its operations."""
        first, count = self.starts[at], len(self.region.ops)
        found = self._fastest(at, self.best[at], self._other_stripes(at))
        for index in range(len(found.plans)):
            self.progress(self.region.ops[first + index].node, first + index, count)
            found = self._fastest(at, found, self._other_tiles(at, found, index))
        if found != self.best[at] and self._around(at, found) < self._around(at, self.best[at]):
            self.best[at] = found

    def _fastest(self, at: int, known: GroupPlan, others: Iterator[GroupPlan]) -> GroupPlan:
        """Of several groups for the same operations, by themselves; ``known`` if none is faster."""
        best, least = known, None
        for other in others:
            if least is None:
                least = self._cycles(at, [known])
            taken = self._cycles(at, [other])
            if taken < least:
                best, least = other, taken
        return best

    def _other_stripes(self, at: int) -> Iterator[GroupPlan]:
        first, last = self.starts[at : at + 2]
        counts, known = stripe_counts(self.region.ops[first].y.value.images), self.best[at]
        found: Iterator[PricedGroup | None]
        if known.follows:
            found = iter(())
        elif known.trails:
            trailed = (self.search.trailed(first, last, stripes) for stripes in counts)
            found = (self.search.priced(each) for each in chain.from_iterable(trailed))
        else:
            found = (
                self.search.group(first, last, stripes)
                for stripes in counts
                if stripes != known.stripes and last - first > 1
            )
        others = (each.plan for each in found if each is not None and each.plan != known)
        return islice(others, self.tuning.count - 1)

    def _other_tiles(self, at: int, group: GroupPlan, index: int) -> Iterator[GroupPlan]:
        """The same group with other tiles for one operation; of one that trails or follows, whose
        sums the tiles of the others leave room for, none."""
        first, last = self.starts[at : at + 2]
        candidate = self.search.again(first, group)
        if candidate is None or candidate.buffers != group.buffers:
            return
        place, trailing = candidate.places[index], self.region.ops[last - 1]
        if group.trails or group.follows:
            if first + index == last - 1:
                return
            place = replace(place, sums=waiting_sums(trailing, group.plans[-1], self.search.spec))
        ranked = self.search.searches[first + index].ranked(
            place, self.tuning.count, alone=last - first == 1
        )
        for choice in ranked:
            if choice.plan != group.plans[index]:
                plans = (*group.plans[:index], choice.plan, *group.plans[index + 1 :])
                yield replace(group, plans=plans)

    def _around(self, at: int, group: GroupPlan) -> int:
        """Cycles with the groups before and after."""
        low = max(0, at - 1)
        return self._cycles(low, [*self.best[low:at], group, *self.best[at + 1 : at + 2]])

    def _cycles(self, at: int, groups: Sequence[GroupPlan]) -> int:
        """Of groups that follow each other, from number ``at`` on."""
        piece = part(self.region, self.starts[at], self.starts[at + len(groups)])
        return self.tuning.measure(emit_region(piece, self.spec, groups))


def part(region: Region, first: int, last: int) -> Region:
    """Operations first..last-1 as a region of their own: whatever others make is there from the
    start, and what others need of what they make is given to the host."""
    steps, uses = region.ops[first:last], Liveness(region.ops, region.outputs)
    needed = uses.live_out(first, last)
    outputs = {op.y.value.name: op.y.value for op in steps if op.y.value.name in needed}
    return replace(
        region, inputs=uses.live_in(first, last), outputs=tuple(outputs.values()), ops=steps
    )
