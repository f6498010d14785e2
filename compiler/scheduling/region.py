"""Planning a whole region: the groups of its operations, kept ones or those that are found."""

from __future__ import annotations

from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.scheduling.fusion import FusionSearch
from zeroskip.compiler.scheduling.schedule_cache import PlanCache


def plan_region(
    region: Region,
    spec: AccelSpec,
    progress: Progress | None = None,
    cache: PlanCache | None = None,
) -> list[GroupPlan]:
    """The groups of a region in execution order: kept ones, or those that are found.

    ``progress(node, done, total)`` is called before each operation. CompileError if an operation
    does not fit.
    """
    search = FusionSearch(region, spec, progress)
    return search.best() if cache is None else cache.groups(region, spec, "", search.best)
