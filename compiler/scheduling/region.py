"""Planning a whole region: the groups of its operations, kept ones or those that are found."""

from __future__ import annotations

from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.scheduling.fusion import FusionSearch
from zeroskip.compiler.scheduling.objective import Goal, energy_objective, standing_pj
from zeroskip.compiler.scheduling.schedule_cache import PlanCache

ROUNDS = 4  # of pricing a cycle


def plan_region(
    region: Region,
    spec: AccelSpec,
    progress: Progress | None = None,
    cache: PlanCache | None = None,
    goal: Goal = "cycles",
) -> list[GroupPlan]:
    """The groups of a region in execution order: kept ones, or those that are found.

    ``progress(node, done, total)`` is called before each operation. CompileError if an operation
    does not fit.
    """

    def find() -> list[GroupPlan]:
        if goal == "cycles":
            return FusionSearch(region, spec, progress).best()
        search = FusionSearch(region, spec, progress, energy_objective(spec))
        return search.best() if goal == "energy" else least_product(search)

    how = "" if goal == "cycles" else goal
    return find() if cache is None else cache.groups(region, spec, how, find)


def least_product(search: FusionSearch) -> list[GroupPlan]:
    """The groups of the least energy x time: a cycle is priced at the mean power of the schedule
    before, as long as that helps (``objective``)."""
    standing, best = standing_pj(search.spec), search.best()
    for _ in range(ROUNDS):
        cycles, events = search.cycles, search.picojoules
        whole = events + standing * cycles
        search.reweigh(energy_objective(search.spec, whole / cycles))
        other = search.best()
        if (search.picojoules + standing * search.cycles) * search.cycles >= whole * cycles:
            search.cycles, search.picojoules = cycles, events
            break
        best = other
    return best
