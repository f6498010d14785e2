"""Tuning: several schedules of each layer are emitted and timed, and the fastest is kept.

The search ranks schedules by an estimate that knows a layer alone. Here the best few of them are
emitted between the layer's neighbours and timed instruction by instruction, so that transfers that
overlap the layers around are seen. Nothing is random: the same network gives the same schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from zeroskip.accel_model.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lower import views_read
from zeroskip.compiler.ops import Region
from zeroskip.compiler.plan import Plan
from zeroskip.compiler.schedule import Progress, emit_region
from zeroskip.compiler.search import candidates

Measure: TypeAlias = Callable[[Program], int]


@dataclass(frozen=True)
class Tuning:
    """How much to tune. count: schedules of each layer to time. measure: cycles of a program
    (``runtime.measure``: the compiler itself cannot run one)."""

    count: int
    measure: Measure

    def __post_init__(self) -> None:
        if self.count < 1:
            raise CompileError(f"tuning needs at least one schedule of each layer, not "
                               f"{self.count}")


def tune_region(region: Region, spec: AccelSpec, plans: Sequence[Plan], tuning: Tuning,
                progress: Progress | None = None) -> list[Plan]:
    """Plans whose program takes no more cycles than that of ``plans``."""
    best = list(plans)
    for index, op in enumerate(region.ops):
        if progress is not None:
            progress(op.node, index, len(region.ops))
        best[index] = _fastest(region, spec, best, index, tuning)
    before, after = (tuning.measure(emit_region(region, spec, each)) for each in (plans, best))
    return best if after <= before else list(plans)


def _fastest(region: Region, spec: AccelSpec, plans: Sequence[Plan], index: int,
             tuning: Tuning) -> Plan:
    """The fastest schedule of an operation between its neighbours; its own if none is faster."""
    first, last = max(0, index - 1), min(len(plans), index + 2)
    piece = neighbourhood(region, first, last)

    def cycles(plan: Plan) -> int:
        chosen = [*plans[first:index], plan, *plans[index + 1 : last]]
        return tuning.measure(emit_region(piece, spec, chosen))

    best = plans[index]
    options = [plan for plan in candidates(region.ops[index], spec, tuning.count) if plan != best]
    if not options:
        return best
    least = cycles(best)
    for plan in options:
        try:
            taken = cycles(plan)
        except CompileError:
            continue  # does not fit beside what its neighbours hold
        if taken < least:
            best, least = plan, taken
    return best


def neighbourhood(region: Region, first: int, last: int) -> Region:
    """Some operations as a region of their own; whatever they read is there from the start."""
    ops = region.ops[first:last]
    read = {view.value.name: view.value for op in ops for view in views_read(op)}
    return replace(region, inputs=tuple(read.values()), outputs=(), ops=ops)
