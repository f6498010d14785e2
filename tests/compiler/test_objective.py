"""Schedules by energy and by energy x time: what the search promises of its own estimates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.test_fusion import NETWORKS, network, small
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler import passes
from zeroskip.compiler.autotune import Tuning
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan
from zeroskip.compiler.passes import TileAndSchedule
from zeroskip.compiler.scheduling.fusion import FusionSearch
from zeroskip.compiler.scheduling.objective import (
    GOALS,
    Goal,
    Objective,
    energy_objective,
    standing_pj,
)
from zeroskip.compiler.scheduling.region import least_product, plan_region
from zeroskip.compiler.scheduling.schedule_cache import PlanCache
from zeroskip.runtime.cli.options import OBJECTIVES

SPEC = small(load_spec("sparse256"), 24 << 10)


def estimated(region: Region, spec: AccelSpec, goal: Goal) -> tuple[float, float]:
    """Cycles, and picojoules with standing power, that the search expects of its choice."""
    search = FusionSearch(region, spec, objective=energy_objective(spec))
    if goal == "cycles":
        search.reweigh(Objective(1.0, 1e-12))  # energy is counted and does not decide
    if goal == "edp":
        least_product(search)
    else:
        search.best()
    return search.cycles, search.picojoules + standing_pj(spec) * search.cycles


@pytest.mark.parametrize("name", NETWORKS)
def test_each_objective_is_best_at_its_own(name: str) -> None:
    _, _, region = network(name)
    found = {goal: estimated(region, SPEC, goal) for goal in GOALS}
    cycles, energy = ({goal: pair[at] for goal, pair in found.items()} for at in (0, 1))
    assert cycles["cycles"] <= min(cycles.values()) * (1 + 1e-9)
    assert energy["energy"] <= min(energy.values()) * (1 + 1e-9)
    product = {goal: pair[0] * pair[1] for goal, pair in found.items()}
    assert product["edp"] <= min(product.values()) * (1 + 1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_estimate_of_energy_is_near_the_machines(name: str) -> None:
    """Of events: within a fifth. (Padding, odd tiles and ends of runs are estimated.)"""
    _, _, region = network(name)
    search = FusionSearch(region, SPEC, objective=energy_objective(SPEC))
    run = Machine(SPEC).run(emit_region(region, SPEC, search.best()), {}, numbers=False)
    assert search.picojoules == pytest.approx(run.picojoules, rel=0.2)


def test_dear_bytes_are_moved_less() -> None:
    """With nothing but DRAM to pay for and a bus so wide that bytes cost no time, schedules by
    energy move a fifth of them less than those by time: 77,824 against 100,864 bytes."""
    own = SPEC.kind.Energy(0, 0, 0, 0, 0, 0, 0, 100.0)
    wide = replace(SPEC.dram, bytes_per_cycle=256, burst_bytes=256)
    spec = replace(small(SPEC, 12 << 10), technology=None, energy=own, dram=wide)
    assert standing_pj(spec) == 0
    moved: Counter[str] = Counter()
    for name in NETWORKS:
        _, _, region = network(name)
        for goal in GOALS[:2]:
            plans = plan_region(region, spec, goal=goal)
            run = Machine(spec).run(emit_region(region, spec, plans), {}, numbers=False)
            moved[goal] += int(run.counters["dram_bytes"].sum())
    assert moved["energy"] < 0.8 * moved["cycles"]


def test_what_does_not_fit_by_energy_is_scheduled_by_cycles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only emitting a schedule tells whether its weights fit beside each other in WGT."""
    _, _, region = network("inverted")
    spec = small(SPEC, 4 << 10)
    by_cycles, by_energy = (plan_region(region, spec, goal=goal) for goal in GOALS[:2])
    assert by_cycles != by_energy
    schedule = TileAndSchedule(spec, objective="energy")
    assert schedule._untuned(region) == by_energy

    def full(_region: Region, _spec: AccelSpec, groups: list[GroupPlan]) -> Program:
        if groups == by_energy:
            raise CompileError("WGT is full")
        return emit_region(_region, _spec, groups)

    monkeypatch.setattr(passes, "emit_region", full)
    assert schedule._untuned(region) == by_cycles


def test_scores_of_cycles_are_cycles() -> None:
    cycles = np.array([3.5, 7.25])
    assert Objective().score(cycles, np.array([1e9, 0])) is cycles
    assert Objective(2.0, 0.5).score(10.0, 4.0) == 22.0


def test_schedules_are_kept_by_objective(tmp_path: Path) -> None:
    _, _, region = network("chain")
    for goal in GOALS:
        cache = PlanCache(tmp_path)
        plans = plan_region(region, SPEC, cache=cache, goal=goal)
        assert cache.made == 1
        assert plan_region(region, SPEC, cache=cache, goal=goal) == plans
        assert cache.found == 1


def test_the_command_line_has_the_objectives_of_the_search() -> None:
    assert OBJECTIVES == GOALS


def test_what_cannot_be_asked_for_is_said() -> None:
    with pytest.raises(CompileError, match="objective 'speed' is not one of cycles, energy, edp"):
        TileAndSchedule(SPEC, objective="speed")  # type: ignore[arg-type]  # a mistake
    with pytest.raises(CompileError, match="leave one of the two out"):
        TileAndSchedule(SPEC, tuning=Tuning(1, lambda _program: 0), objective="energy")
