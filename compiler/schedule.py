"""Planning and emitting a whole region: region -> plans -> program."""

from __future__ import annotations

from collections.abc import Sequence

from zeroskip.accel_model.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.cache import PlanCache
from zeroskip.compiler.emit import Emitter
from zeroskip.compiler.emit_group import emit_group
from zeroskip.compiler.groups import GroupSearch, Progress
from zeroskip.compiler.ops import Region
from zeroskip.compiler.plan import GroupPlan


def plan_region(region: Region, spec: AccelSpec, progress: Progress | None = None,
                cache: PlanCache | None = None) -> list[GroupPlan]:
    """The groups of a region in execution order: kept ones, or those that are found.

    ``progress(node, done, total)`` is called before each operation. CompileError if an operation
    does not fit.
    """
    search = GroupSearch(region, spec, progress)
    return search.best() if cache is None else cache.groups(region, spec, "", search.best)


def emit_region(region: Region, spec: AccelSpec, groups: Sequence[GroupPlan]) -> Program:
    """The program of a planned region."""
    out = Emitter(region, spec)
    first = 0
    for group in groups:
        emit_group(out, first, group)
        first += len(group.plans)
    return out.program()
