"""Pruning and hardware searched together: an optimizer asks for points of a space.

The optimizer is optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011; of
several goals Ozaki et al., GECCO 2020), budgets are its constraints. Numbers are axes with an
order, names are not. What a store knows of the space, of a sweep or of a search that was ended, it
knows too.
"""

from __future__ import annotations

import logging
import math
import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.runtime.execution.labelled_data import LABELS, has_labels
from zeroskip.runtime.experiments.engine import Engine, check_library, engine_of
from zeroskip.runtime.experiments.errors import ExperimentError
from zeroskip.runtime.experiments.metrics import METRICS, Budget, Metric, metric_named
from zeroskip.runtime.experiments.options import (
    EngineOptions,
    ExperimentOptions,
    RunOptions,
    checked,
    part_of,
)
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.sources import code_version
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import MEMORY, Outcome, Store
from zeroskip.runtime.experiments.sweep import space_of
from zeroskip.runtime.experiments.table import Table, table_of

SPARSITIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
REPEATS = 5  # points that are known already, in a row, before one is drawn at random
DRAWS = 200  # at random, before what is left is gone through
FRONTS = 4  # that are kept for points to come
FAR = 1e9  # a budget's excess where there is no figure
EXTRA = "pip install 'zeroskip[search]'"


@dataclass(frozen=True)
class Wish:
    """What is searched for. goals: metrics to be made as good as can be. budgets: what must be
    kept."""

    goals: tuple[Metric, ...]
    budgets: tuple[Budget, ...] = ()

    @staticmethod
    def of(goals: Sequence[str], budgets: Sequence[str | Budget] = ()) -> Wish:
        """ExperimentError for no goal, one that is none or twice, and a budget of another form."""
        metrics = tuple(map(metric_named, goals))
        if not metrics:
            raise ExperimentError(
                f"nothing to search for: name a goal, one of {', '.join(METRICS)}"
            )
        if len(set(goals)) < len(goals):
            raise ExperimentError("a goal is given twice; give it once")
        kept = tuple(each if isinstance(each, Budget) else Budget.parse(each) for each in budgets)
        return Wish(metrics, kept)

    def values(self, outcome: Outcome) -> list[float] | None:
        """What an outcome has of the goals; None if it lacks one."""
        values = [goal.value(outcome.figures) for goal in self.goals]
        return None if None in values else [value for value in values if value is not None]

    def keeps(self, figures: Mapping[str, Any]) -> bool:
        """Whether a point keeps all budgets."""
        return all(budget.excess(figures) <= 0 for budget in self.budgets)


@dataclass(frozen=True)
class Found:
    """What a search found. table: all points of the space that are known, in the order in which
    they were. wish: what was searched for."""

    table: Table
    wish: Wish

    @property
    def best(self) -> Table:
        """The points that keep the budgets and that no other such point beats in the goals."""
        rows = self.table.rows
        kept = self.table.at([n for n, row in enumerate(rows) if self.wish.keeps(row)])
        return kept.front(*(goal.name for goal in self.wish.goals))

    def nearest_miss(self) -> str:
        """Where no point keeps the budgets: by how much the one that comes nearest misses them."""
        misses = [
            {budget: budget.excess(row) for budget in self.wish.budgets}
            for row in self.table.rows
            if row["failure"] is None
        ]
        if not misses:
            return "no point has figures"
        near = min(misses, key=lambda miss: max(miss.values()))
        budget = max(near, key=lambda each: near[each])
        by = (
            "has no such figure" if math.isinf(near[budget]) else f"misses it by {near[budget]:.1%}"
        )
        return f"no point keeps the budgets; the nearest to {budget} {by}"


@dataclass(frozen=True)
class _Axes:
    """The space as an optimizer sees it: of each axis the number of a value. ordered: axes whose
    values stand in an order."""

    space: Space
    values: Mapping[str, Sequence[Any]]
    ordered: frozenset[str]

    @staticmethod
    def of(space: Space) -> _Axes:
        values: dict[str, Sequence[Any]] = {
            "scheme": space.schemes,
            "sparsity": sorted(space.sparsities),
            "target": space.targets,
            "objective": space.objectives,
            "batch": sorted(space.batches, key=lambda batch: batch or 1),
        }
        ordered = {"sparsity", "batch"}
        for key, given in space.settings.items():
            numbers = [each for each in given if not isinstance(each, str)]
            values[key] = sorted(numbers) if len(numbers) == len(given) else given
            ordered |= {key} if len(numbers) == len(given) else set()
        return _Axes(space, values, frozenset(ordered))

    def distributions(self) -> dict[str, Any]:
        """For optuna; an axis of one value is none."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            name: IntDistribution(0, len(values) - 1)
            if name in self.ordered
            else CategoricalDistribution(range(len(values)))
            for name, values in self.values.items()
            if len(values) > 1
        }

    def point(self, numbers: Mapping[str, int]) -> Point:
        """The point of the axes' values of these numbers."""
        chosen = {name: values[numbers.get(name, 0)] for name, values in self.values.items()}
        name, options = chosen["scheme"]
        front = FrontPoint(
            self.space.sources[0],
            self.space.targets[0],
            name,
            options,
            chosen["sparsity"] if len(options) == 1 else None,
            self.space.reconstruct if options else None,
        )
        settings = tuple((key, chosen[key]) for key in self.space.settings)
        return Point(front, chosen["target"], settings, chosen["objective"], chosen["batch"])

    def numbers(self, named: Mapping[str, Any]) -> dict[str, int] | None:
        """Of a point's ``named``; None if it is not of this space."""
        wanted = {
            "scheme": [name for name, _options in self.space.schemes],
            "target": [spec.name for spec in self.space.targets],
            **{
                name: self.values[name]
                for name in ("sparsity", "objective", "batch", *self.space.settings)
            },
        }
        numbers = {}
        for name, values in wanted.items():
            value = named.get("asked_sparsity" if name == "sparsity" else name)
            if name == "sparsity" and value is None:
                numbers[name] = 0
            elif value in values:
                numbers[name] = list(values).index(value)
            else:
                return None
        return numbers

    def random(self, rng: random.Random) -> dict[str, int]:
        return {name: rng.randrange(len(values)) for name, values in self.values.items()}


@dataclass
class _Study:
    """An optimizer and the points that it has seen. seen: key -> point, in order; known: key ->
    outcome of those that are measured."""

    axes: _Axes
    wish: Wish
    study: Any
    rng: random.Random
    seen: dict[str, Point] = field(default_factory=dict)
    known: dict[str, Outcome] = field(default_factory=dict)

    def learn(self, store: Store, retry: bool) -> None:
        """Take what a store knows of the space; retry: but for what failed."""
        for named in store.all_named():
            numbers = self.axes.numbers(named)
            point = None if numbers is None else self.axes.point(numbers)
            outcome = None if point is None else store.get(point.key)
            if numbers is None or point is None or outcome is None or point.key in self.seen:
                continue
            if retry and outcome.failure is not None:
                continue
            self.seen[point.key] = point
            self.known[point.key] = outcome
            self._tell(self._ask(numbers), outcome)

    def next(self) -> tuple[Any, Point] | None:
        """A trial and its point, one that was not seen; None if all were."""
        for _ in range(REPEATS):
            trial = self.study.ask(self.axes.distributions())
            point = self.axes.point(trial.params)
            if point.key not in self.seen:
                self.seen[point.key] = point
                return trial, point
            self._tell(trial, self.known.get(point.key, Outcome(failure="is under way")))
        numbers = self._unseen()
        if numbers is None:
            return None
        point = self.axes.point(numbers)
        self.seen[point.key] = point
        return self._ask(numbers), point

    def tell(self, trial: Any, point: Point, outcome: Outcome) -> None:
        """What a point gave."""
        self.known[point.key] = outcome
        self._tell(trial, outcome)

    def _ask(self, numbers: Mapping[str, int]) -> Any:
        distributions = self.axes.distributions()
        self.study.enqueue_trial({name: numbers[name] for name in distributions})
        return self.study.ask(distributions)

    def _tell(self, trial: Any, outcome: Outcome) -> None:
        from optuna.trial import TrialState

        values = self.wish.values(outcome)
        if values is None:
            self.study.tell(trial, state=TrialState.FAIL)
            return
        for budget in self.wish.budgets:
            trial.set_constraint(str(budget), min(budget.excess(outcome.figures), FAR))
        self.study.tell(trial, values)

    def _unseen(self) -> dict[str, int] | None:
        for _ in range(DRAWS):
            numbers = self.axes.random(self.rng)
            if self.axes.point(numbers).key not in self.seen:
                return numbers
        left = (point for point in self.axes.space if point.key not in self.seen)
        point = next(left, None)
        return None if point is None else self.axes.numbers(point.named())


def search(
    model: str | Path,
    goals: Sequence[str],
    *,
    budgets: Sequence[str] = (),
    trials: int = 50,
    seed: int = 0,
    **options: Unpack[ExperimentOptions],
) -> Found:
    """Search pruning and hardware for points that are good in all goals and keep the budgets.

    goals: of ``METRICS``: accuracy, snr, cycles, time, energy, edp, area, bytes. budgets: such as
    ``area=2.5mm2`` or ``accuracy=92%``. trials: points of the space that are known at the end,
    those that the store knew before included. seed: of the optimizer; the same asks for the same
    points as long as there is one worker. options: as of ``sweep``; sparsities are ``SPARSITIES``
    if left out.

    ExperimentError for goals that the data or targets have no figures of, and as ``sweep``.
    """
    axes: ExperimentOptions = {"sparsities": SPARSITIES, **checked(options, "search")}
    space, wish = space_of([model], axes), Wish.of(goals, budgets)
    return search_space(space, wish, trials=trials, seed=seed, **part_of(options, RunOptions))


def search_space(
    space: Space, wish: Wish, *, trials: int, seed: int = 0, **options: Unpack[RunOptions]
) -> Found:
    """``search`` of a space."""
    check_wish(space, wish)
    sampler, engines = tpe(seed), part_of(options, EngineOptions)
    check_library(**engines)
    with engine_of(**engines) as engine, Store(options.get("store", MEMORY)) as kept:
        retry, progress = options.get("retry", False), options.get("progress") or no_progress
        return search_with(sampler, space, wish, kept, engine, trials, seed, retry, progress)


def tpe(seed: int) -> Any:
    """The optimizer; ExperimentError without the library."""
    try:
        from optuna.samplers import TPESampler
    except ImportError:
        raise ExperimentError(f"a search needs optuna: {EXTRA}") from None
    return TPESampler(seed=seed)


def search_with(
    sampler: Any,
    space: Space,
    wish: Wish,
    store: Store,
    engine: Engine,
    trials: int,
    seed: int,
    retry: bool,
    progress: Progress,
) -> Found:
    """Measure the points that a sampler of optuna's asks for until ``trials`` are known."""
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    directions = ["minimize" if goal.best == "min" else "maximize" for goal in wish.goals]
    made = optuna.create_study(directions=directions, sampler=sampler)
    study = _Study(_Axes.of(space), wish, made, random.Random(seed))
    study.learn(store, retry)
    asked: dict[str, Any] = {}
    fronts: OrderedDict[str, FrontPoint] = OrderedDict()
    left = True
    while True:
        while left and engine.room and len(study.seen) < trials:
            proposed = study.next()
            if proposed is None:
                left = False
                break
            trial, point = proposed
            asked[point.key] = trial
            _use(fronts, point, engine, {study.seen[key].front.key for key in asked})
            engine.submit(point)
        if not asked:
            return Found(table_of(study.seen.values(), store, tuple(space.settings)), wish)
        keep = sum(wish.keeps(each.figures) for each in study.known.values())
        progress(f"points, {keep:,} keep the budgets", len(study.known), trials)
        point, outcome = engine.outcome()
        store.put(point.key, outcome, point.named(), code_version())
        study.tell(asked.pop(point.key), point, outcome)


def _use(
    fronts: OrderedDict[str, FrontPoint], point: Point, engine: Engine, under_way: set[str]
) -> None:
    """Keep the front of a point, and let go of the one that was not asked for for longest."""
    fronts[point.front.key] = point.front
    fronts.move_to_end(point.front.key)
    for key in [key for key in fronts if key not in under_way][: max(0, len(fronts) - FRONTS)]:
        engine.release(fronts.pop(key))


def check_wish(space: Space, wish: Wish) -> None:
    """ExperimentError for metrics that no point of a space can have figures of, and for several
    networks."""
    if len(space.sources) > 1:
        raise ExperimentError("a search is of one network; sweep several, or search each by itself")
    (source,) = space.sources
    names = {metric.name for metric in (*wish.goals, *(each.metric for each in wish.budgets))}
    if "snr" in names and source.data is None and source.calibrate is None:
        raise ExperimentError("snr needs samples; give them with --data or --calibrate")
    if "accuracy" in names and (source.data is None or not has_labels(source.data)):
        raise ExperimentError(f"accuracy needs samples with '{LABELS}'; give them with --data")
    bare = next((spec.name for spec in space.targets if spec.technology is None), None)
    if names & {"area", "edp"} and bare is not None:
        raise ExperimentError(
            f"area and edp need a target with [technology], which '{bare}' has not"
        )
