"""The commands about many compiles: sweep and search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zeroskip.runtime.cli.guard import command_line
from zeroskip.runtime.cli.options import (
    FILE,
    OBJECTIVES,
    F,
    all_of,
    cache_option,
    calibrate_or_data_option,
    echo_written,
    file_option,
    params_option,
    png_option,
    quality_data_options,
    read_counts,
    read_list,
    reconstruct_as_prune_option,
    schemes_option,
    shapes_option,
    sparsity_option,
    svg_option,
    targets_option,
    to_stdout,
    write_both,
)

FILES = ("html_file", "csv_file", "json_file", "parquet_file")
AXES = (  # parameters that a file with the space replaces
    "models",
    "targets",
    "settings",
    "schemes",
    "sparsity",
    "objectives",
    "batches",
    "data",
    "preprocess",
    "calibrate",
    "params",
    "reconstruct",
    "shapes",
)


def read_settings(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """``sram.act_bytes=64KiB,128KiB`` -> {"sram.act_bytes": "64KiB,128KiB"}."""
    settings: dict[str, str] = {}
    for value in values:
        key, equals, given = (part.strip() for part in value.partition("="))
        if not equals or not key or not given:
            raise click.BadParameter(f"{value!r} is not of the form sram.act_bytes=64KiB,128KiB")
        if key in settings:
            raise click.BadParameter(f"{key} is given twice; give all its values at once")
        settings[key] = given
    return settings


def _schedule_goals(words: str) -> Callable[[F], F]:
    return click.option(
        "--objective",
        "objectives",
        multiple=True,
        default=(OBJECTIVES[0],),
        show_default=True,
        callback=read_list,
        metavar="GOALS",
        help=words,
    )


_space_options = all_of(
    click.argument("models", type=FILE, nargs=-1),
    params_option,
    click.option(
        "--space",
        "space_file",
        type=FILE,
        metavar="TOML",
        help="A file with networks, targets, settings, schemes: in the place of MODELS and the "
        "options for these (docs/EXPERIMENTS.md).",
    ),
    targets_option("dense256"),
    click.option(
        "--set",
        "settings",
        multiple=True,
        callback=read_settings,
        metavar="KEY=VALUES",
        help="Values of a key of the hardware description, such as sram.act_bytes=64KiB,128KiB or "
        "array.kind=dense,bitmap; may be repeated.",
    ),
    schemes_option(
        "Pruning recipes, separated by spaces or commas; 'dense': the network as it is. One scheme is "
        "taken at each sparsity, a recipe of several (or a .toml file) as it is.",
        default=("dense",),
        show_default=True,
    ),
    click.option(
        "--batch",
        "batches",
        callback=read_counts,
        metavar="COUNTS",
        help="Images that one program computes, such as 1,4,8: weights are read once for all of them; "
        "figures are of an image. Several are an axis.",
    ),
    quality_data_options,
    calibrate_or_data_option,
    reconstruct_as_prune_option,
    shapes_option,
)
_run_options = all_of(
    click.option(
        "--store",
        type=FILE,
        metavar="FILE",
        help="Where figures are kept, sweep.sqlite or search.sqlite unless named: the same command "
        "goes on where it was ended.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes of this computer; one for each core by default. More than one need the extra "
        "'sweep'.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="A scheduler of dask.distributed whose workers measure, in the place of --workers.",
    ),
    click.option("--retry-failed", "retry", is_flag=True, help="Measure again what failed before."),
    cache_option,
    file_option(
        "html",
        "Write one page with Pareto fronts, parallel coordinates and the best points; -: on standard "
        "output, in the tables' place.",
    ),
    file_option("csv", "Write a line for each point; -: on standard output."),
    file_option("json", "Write the points for machines; -: on standard output."),
    svg_option,
    png_option,
    file_option(
        "parquet", "Write the points as Parquet; needs the extra 'parquet'.", to_stdout=False
    ),
)


@click.command("sweep")
@_space_options
@sparsity_option("Ratios of weights to remove from the layers of a scheme.")
@_schedule_goals(
    "What schedules are chosen by: cycles, energy or edp; several are an axis of the sweep."
)
@_run_options
def sweep_command(**given: Any) -> None:
    """Compile, time and, with data, judge MODELS over hardware, pruning and objectives; show the
    points that no other beats."""
    _check_given(given)
    from zeroskip.runtime.experiments.sweep import sweep_space
    from zeroskip.runtime.experiments.table import check_some
    from zeroskip.runtime.render.experiment_table import sweep_parts

    space, run = _space_of(given), _run_of(given, "sweep.sqlite")
    write = _writer(given, "Sweep")
    with _progress("sweeping") as on_progress:
        table, counts = sweep_space(space, **run, progress=on_progress)
        check_some(table)
        written = write(table)
    last = (
        f"{len(space):,} points: {counts.known:,} were in {run['store']}, {counts.measured:,} measured now, "
        f"{counts.failed:,} failed now"
    )
    _finish(given, sweep_parts(table), written, last)


@click.command("search")
@_space_options
@click.option(
    "--goals",
    multiple=True,
    required=True,
    callback=read_list,
    metavar="METRICS",
    help="What to make as good as can be: accuracy, snr, cycles, time, energy, edp, area, bytes, cpu; "
    "of several the points that no other beats.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="METRIC=LIMIT",
    help="What must be kept, such as area=2.5mm2 or accuracy=92%; may be repeated.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="Points that are known at the end, those that the store knew before included.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    envvar="SEED",
    help="Of the optimizer.",
)
@sparsity_option(
    "Ratios of weights to choose from for a scheme.", default="0.3,0.4,0.5,0.6,0.7,0.8,0.9"
)
@_schedule_goals(
    "What schedules are chosen by: cycles, energy or edp; of several the search chooses."
)
@_run_options
def search_command(
    goals: tuple[str, ...], budgets: tuple[str, ...], trials: int, seed: int, **given: Any
) -> None:
    """Search pruning and hardware together for a MODEL that is good in all goals and keeps the
    budgets."""
    _check_given(given)
    from zeroskip.runtime.experiments.search import Wish, search_space
    from zeroskip.runtime.experiments.table import check_some
    from zeroskip.runtime.render.experiment_table import found_parts

    wish = Wish.of(goals, budgets)
    space, run = _space_of(given), _run_of(given, "search.sqlite")
    budgets_text = "".join(f", {budget}" for budget in wish.budgets)
    title = f"Search for {', '.join(metric.name for metric in wish.goals)}{budgets_text}"
    write = _writer(given, title, wish.goals)
    with _progress("searching") as on_progress:
        found = search_space(space, wish, trials=trials, seed=seed, **run, progress=on_progress)
        check_some(found.table)
        written = write(found.table)
    last = (
        f"{len(found.table):,} of {len(space):,} points are known, in {run['store']}; seed {seed}"
    )
    _finish(given, found_parts(found), written, last)


def _check_given(given: dict[str, Any]) -> None:
    """UsageError unless there are models, or a file that has them and no option for what it has;
    and for two files on standard output."""
    _to_stdout(given)
    if given["space_file"] is None:
        if not given["models"]:
            raise click.UsageError("give the networks to measure, or a file of them with --space")
        return
    context = click.get_current_context()
    for name in AXES:
        source = context.get_parameter_source(name)
        if given.get(name) and source is click.core.ParameterSource.COMMANDLINE:
            (param,) = [each for each in context.command.params if each.name == name]
            raise click.UsageError(
                f"the file of --space has networks and axes; leave {param.opts[0]} out, or the file"
            )


def _to_stdout(given: dict[str, Any]) -> bool:
    return to_stdout(*(given[name] for name in FILES))


def _space_of(given: dict[str, Any]) -> Any:
    """The space of the options, or of the file."""
    from zeroskip.runtime.execution.preprocessing import read_preprocessing
    from zeroskip.runtime.experiments.options import ExperimentOptions
    from zeroskip.runtime.experiments.space import read_space
    from zeroskip.runtime.experiments.sweep import space_of

    if given["space_file"] is not None:
        return read_space(given["space_file"])
    preprocess = given["preprocess"]
    options: ExperimentOptions = {
        "targets": given["targets"],
        "settings": given["settings"],
        "schemes": given["schemes"],
        "sparsities": given["sparsity"],
        "objectives": given["objectives"],
        "batches": given["batches"],
        "reconstruct": given["reconstruct"],
        "data": given["data"],
        "preprocessing": None if preprocess is None else read_preprocessing(preprocess),
        "calibrate": given["calibrate"],
        "params": given["params"],
        "shapes": given["shapes"],
    }
    return space_of(given["models"], options)


def _run_of(given: dict[str, Any], store: str) -> Any:
    """How points are measured, ``RunOptions``. store: the file's name if none is given."""
    from zeroskip.compiler.scheduling.schedule_cache import default_folder
    from zeroskip.runtime.environment import usable_cores

    return {
        "store": given["store"] or Path(store),
        "workers": given["workers"] or usable_cores(),
        "scheduler": given["scheduler"],
        "cache": default_folder() if given["cache"] else None,
        "retry": given["retry"],
    }


def _progress(title: str) -> Any:
    from zeroskip.runtime.progress import progress

    return progress(title)


def _writer(given: dict[str, Any], title: str, metrics: Any = None) -> Callable[[Any], list[Path]]:
    """A function that writes a table into the files that were asked for, whose paths it gives back;
    what cannot be written for want of a library is refused at once. title: of the page; metrics:
    what its points are ranked by."""
    from zeroskip.runtime.render.experiment_files import (
        check_parquet,
        write_csv,
        write_experiment_charts,
        write_experiment_page,
        write_json,
        write_parquet,
    )
    from zeroskip.runtime.render.files import check_png

    if given["parquet_file"] is not None:
        check_parquet()
    if given["png_folder"] is not None:
        check_png()
    writers: dict[str, Callable[[Any, Any], None]] = {
        "html_file": lambda path, table: write_experiment_page(
            path, table, title, metrics, command_line()
        ),
        "csv_file": write_csv,
        "json_file": write_json,
        "parquet_file": write_parquet,
    }

    def write(table: Any) -> list[Path]:
        asked = [name for name in writers if given[name] is not None]
        for name in asked:
            writers[name](given[name], table)
        charts = write_both(
            given["svg_folder"],
            given["png_folder"],
            lambda folder, ending: write_experiment_charts(folder, table, metrics, ending),
        )
        return [*(given[name] for name in asked), *charts]

    return write


def _finish(given: dict[str, Any], parts: Any, written: list[Path], last: str) -> None:
    """Show what was found and which files there are, unless standard output is one of them."""
    from zeroskip.runtime.render.tables import show

    if not _to_stdout(given):
        show(*parts)
        echo_written(*written)
        click.echo(last)
