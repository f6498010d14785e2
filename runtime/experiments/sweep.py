"""Every point of a space, measured once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Unpack

from zeroskip.accel_model.io.telling import no_progress
from zeroskip.runtime.experiments.engine import check_library, engine_of
from zeroskip.runtime.experiments.options import (
    EngineOptions,
    ExperimentOptions,
    RunOptions,
    SourceOptions,
    SpaceOptions,
    checked,
    part_of,
)
from zeroskip.runtime.experiments.run import Counts, missing_of, run
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import MEMORY, Store
from zeroskip.runtime.experiments.table import Table, table_of


def sweep(models: str | Path | Sequence[str | Path], **options: Unpack[ExperimentOptions]) -> Table:
    """Compile, time and, with data, judge networks over hardware, pruning and objectives.

    models: paths. options: ``targets``, ``settings``, ``schemes``, ``sparsities``, ``objectives``,
    ``reconstruct``; ``data``, ``calibrate``, ``params``, ``shapes``, of every network; ``store``,
    ``workers``, ``scheduler``, ``cache``, ``retry``, ``progress``;
    ``runtime.experiments.options`` says what each is.

    A point that is refused is a row with its sentence in ``failure``. A ZeroskipError says what is
    wrong with the space itself, the store or the scheduler.
    """
    listed = [models] if isinstance(models, str | Path) else models
    space = space_of(listed, checked(options, "sweep"))
    return sweep_space(space, **part_of(options, RunOptions))[0]


def space_of(models: Sequence[str | Path], options: ExperimentOptions) -> Space:
    """The space of networks and axes as users give them."""
    own = part_of(options, SourceOptions)
    sources = [source_of(model, **own) for model in models]
    return Space.of(sources, **part_of(options, SpaceOptions))


def sweep_space(space: Space, **options: Unpack[RunOptions]) -> tuple[Table, Counts]:
    """The points of a space with their figures, and how many were measured now."""
    engines = part_of(options, EngineOptions)
    check_library(**engines)
    with ExitStack() as opened:
        engine = None
        if options.get("scheduler") is not None:  # one that is not reached leaves no store behind
            engine = opened.enter_context(engine_of(**engines))
        kept = opened.enter_context(Store(options.get("store", MEMORY)))
        missing = missing_of(space, kept, options.get("retry", False))
        counts = Counts(len(space) - len(missing), 0, 0)
        if missing:
            engine = engine or opened.enter_context(engine_of(**engines))
            counts = run(space, missing, kept, engine, options.get("progress") or no_progress)
        return table_of(space, kept, tuple(space.settings)), counts
