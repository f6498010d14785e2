"""Every point of a space, measured once and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe
from zeroskip.runtime.analysis.comparison import DENSE
from zeroskip.runtime.experiments.engine import check_library, engine_of
from zeroskip.runtime.experiments.run import Counts, missing_of, run
from zeroskip.runtime.experiments.sources import Source
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Store
from zeroskip.runtime.experiments.table import Table, table_of

MEMORY = ":memory:"  # a store that is gone with the process


def sweep(
    models: str | Path | Sequence[str | Path],
    *,
    targets: Sequence[str | AccelSpec] = ("dense256",),
    settings: Mapping[str, Any] | None = None,
    schemes: Sequence[Recipe] = (DENSE,),
    sparsities: Sequence[float] = (0.5, 0.75),
    objectives: Sequence[Goal] = ("cycles",),
    reconstruct: str | None = None,
    data: str | Path | None = None,
    calibrate: str | Path | None = None,
    params: str | Path | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    store: str | Path = MEMORY,
    workers: int = 1,
    scheduler: str | None = None,
    cache: str | Path | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> Table:
    """Compile, time and, with data, judge networks over hardware, pruning and objectives.

    models: paths. settings: key of hardware, such as ``sram.act_bytes``, -> values: a list, a text
    such as ``64KiB,128KiB``, or a range (``settings.read_values``). schemes: recipes; ``dense`` is
    the network as it is; one of a single scheme is taken at each sparsity. data, calibrate, params,
    shapes, reconstruct: as of ``compare``; quality needs data or calibrate. store: a file in which
    figures are kept, so that the same sweep, ended at any moment, goes on where it was. workers:
    processes of this computer; scheduler: the address of a dask scheduler in their place. retry:
    points that failed before are measured again. cache: a folder for schedules.

    A point that is refused is a row with its sentence in ``failure``. A ZeroskipError says what is
    wrong with the space itself, the store or the scheduler.
    """
    listed = [models] if isinstance(models, str | Path) else models
    space = Space.of(
        [source_of(model, data, calibrate, params, shapes) for model in listed],
        targets=targets,
        settings=settings,
        schemes=schemes,
        sparsities=sparsities,
        objectives=objectives,
        reconstruct=reconstruct,
    )
    table, _counts = sweep_space(
        space,
        store,
        workers=workers,
        scheduler=scheduler,
        cache=cache,
        retry=retry,
        progress=progress,
    )
    return table


def source_of(
    model: str | Path,
    data: str | Path | None = None,
    calibrate: str | Path | None = None,
    params: str | Path | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Source:
    """A network by paths as users give them."""
    return Source(
        Path(model),
        None if params is None else Path(params),
        tuple((name, tuple(sizes)) for name, sizes in (shapes or {}).items()),
        None if data is None else Path(data),
        None if calibrate is None else Path(calibrate),
    )


def sweep_space(
    space: Space,
    store: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    cache: str | Path | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> tuple[Table, Counts]:
    """The points of a space with their figures, and how many were measured now."""
    check_library(workers, scheduler)
    with ExitStack() as opened:
        engine = None
        if scheduler is not None:  # one that is not reached leaves no store behind
            engine = opened.enter_context(engine_of(workers, scheduler, cache))
        kept = opened.enter_context(Store(store))
        missing = missing_of(space, kept, retry)
        counts = Counts(len(space) - len(missing), 0, 0)
        if missing:
            engine = engine or opened.enter_context(engine_of(workers, scheduler, cache))
            counts = run(space, missing, kept, engine, progress or no_progress)
        return table_of(space, kept, tuple(space.settings)), counts
