"""The commands about pruning: prune, compare and schemes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zeroskip.runtime.cli.guard import command_line
from zeroskip.runtime.cli.options import (
    FILE,
    batch_option,
    calibrate_option,
    calibrate_or_data_option,
    echo_written,
    file_option,
    is_default,
    objective_option,
    params_option,
    png_option,
    quality_data_options,
    read_losses,
    reconstruct_as_prune_option,
    reconstruct_option,
    schemes_option,
    shapes_option,
    sparsity_option,
    svg_option,
    targets_option,
    to_stdout,
    write_both,
)

DEFAULT_TARGETS = ("dense256", "sparse256", "pattern256")


@click.command("prune")
@click.argument("model", type=FILE)
@params_option
@click.option("-o", "--output", type=FILE, metavar="ONNX", help="The pruned model to write.")
@click.option(
    "--prune",
    "recipe",
    metavar="RECIPE",
    help="Schemes such as pattern:connectivity=0.5, joined by +, which `zeroskip "
    "schemes` lists, or a .toml file of them.",
)
@shapes_option
@calibrate_option(
    "Sample inputs, an array for each input; the leading axis counts samples. No labels. For "
    "--reconstruct, --budget and criterion=saliency."
)
@reconstruct_option(
    "Make the pruned layers give again what the dense ones gave: by fitting the weights that are "
    "left, or only the mean and variance of each channel."
)
@click.option(
    "--budget",
    metavar="BUDGET",
    help="macs=0.25, weights=0.25 or cycles=0.4: what of the dense model may be left, "
    "or snr=20dB: how well it must do. Each layer's strength is then chosen, and "
    "schemes that take the same layer are alternatives.",
)
@click.option(
    "--target",
    help="The accelerator whose cycles a budget counts: a name, or the path of a TOML file.",
)
@click.option(
    "--detect",
    is_flag=True,
    help="Say what the zeros of each layer are made of, after pruning if there is a "
    "recipe, and in which format each target would store the layer.",
)
def prune_command(
    model: Path,
    params: Path | None,
    output: Path | None,
    recipe: str | None,
    shapes: dict[str, tuple[int, ...]],
    calibrate: Path | None,
    reconstruct: str | None,
    budget: str | None,
    target: str | None,
    detect: bool,
) -> None:
    """Prune a MODEL, ONNX or Relay's text, by a recipe and write it as ONNX; without -o, say what
    would become of it. Normalisations are folded, and shapes fixed."""
    if recipe is None and (output is not None or not detect):
        raise click.UsageError(
            "give a recipe with --prune, or ask with --detect what zeros the model has"
        )
    for name, given in (("--reconstruct", reconstruct), ("--budget", budget)):
        if given is not None and (calibrate is None or recipe is None):
            raise click.UsageError(f"{name} needs --prune, and sample inputs with --calibrate")
    from zeroskip.accel_model.spec import load_spec
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.prune import prune
    from zeroskip.runtime.render.files import write_onnx
    from zeroskip.runtime.render.pruning_tables import changes_table, echo_warnings
    from zeroskip.runtime.render.tables import show

    with progress(f"pruning {model.name}") as on_progress, echo_warnings():
        made = prune(
            model,
            recipe or (),
            shapes=shapes,
            calibrate=calibrate,
            reconstruct=reconstruct,
            budget=budget,
            target=target,
            params=params,
            progress=on_progress,
        )
        if output is not None:
            write_onnx(output, made.to_onnx())
    if made.share is not None:
        click.echo(str(made.share))
    if recipe is not None:
        show(changes_table(made.changes))
    if detect:
        show_structures(made.module, [load_spec(name) for name in DEFAULT_TARGETS])
    if output is not None:
        click.echo(f"wrote {output}")


@click.command("compare")
@click.argument("model", type=FILE)
@params_option
@schemes_option(
    "Recipes to compare, separated by spaces or commas, such as 'unstructured nm:m=8 pattern'; may "
    "be repeated. One scheme is taken at each sparsity, a recipe of several (or a .toml file) as it "
    "is.",
    required=True,
)
@sparsity_option("Ratios of weights to remove from the layers of a scheme.")
@click.option(
    "--losing",
    metavar="POINTS",
    callback=read_losses,
    help="Also take each scheme at the largest sparsity at which the int8 network loses at most so "
    "many points of accuracy (dB without labels) against the dense one, such as 1; without "
    "--sparsity only at these.",
)
@targets_option(
    ",".join(DEFAULT_TARGETS), "'all': every built-in one with the resources of dense256; "
)
@quality_data_options
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    metavar="N",
    help="Measure quality again with N bootstrap draws of the calibration samples (as many, with "
    "replacement): gives 95 % intervals for other such samples. More draws (25 and more) make them "
    "steadier, not narrower.",
)
@calibrate_or_data_option
@reconstruct_as_prune_option
@click.option("--layer", metavar="NODE", help="The layer whose masks are drawn; else the largest.")
@shapes_option
@batch_option
@objective_option
@file_option("html", "Write one page with the table, the Pareto fronts and the masks of a layer.")
@file_option(
    "json", "Write the comparison for machines; -: on standard output, in the tables' place."
)
@file_option("csv", "Write a line for each network on each target; -: on standard output.")
@svg_option
@png_option
def compare_command(
    model: Path,
    params: Path | None,
    schemes: tuple[str, ...],
    sparsity: tuple[float, ...],
    losing: tuple[float, ...],
    targets: tuple[str, ...],
    data: Path | None,
    preprocess: Path | None,
    seeds: int | None,
    calibrate: Path | None,
    reconstruct: str | None,
    layer: str | None,
    shapes: dict[str, tuple[int, ...]],
    batch: int | None,
    objective: Any,
    html_file: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    svg_folder: Path | None,
    png_folder: Path | None,
) -> None:
    """Compare pruning schemes on a MODEL, ONNX or Relay's text: accuracy, multiplies, bytes, cycles
    and energy on each target."""
    from zeroskip.accel_model.spec import equal_targets
    from zeroskip.compiler.scheduling.schedule_cache import default_folder
    from zeroskip.runtime.compare import compare
    from zeroskip.runtime.execution.preprocessing import read_preprocessing
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.comparison_table import comparison_parts
    from zeroskip.runtime.render.files import (
        check_png,
        write_comparison,
        write_comparison_charts,
        write_comparison_page,
        write_entries,
    )
    from zeroskip.runtime.render.pruning_tables import echo_warnings
    from zeroskip.runtime.render.tables import show

    silent = to_stdout(json_file, csv_file, html_file)
    if png_folder is not None:
        check_png()
    if losing and is_default("sparsity"):
        sparsity = ()
    with progress(f"comparing {model.name}") as on_progress, echo_warnings():
        made = compare(
            model,
            schemes,
            [
                name
                for given in targets
                for name in (equal_targets() if given == "all" else [given])
            ],
            sparsities=sparsity,
            losing=losing,
            data=data,
            calibrate=calibrate,
            reconstruct=reconstruct,
            shapes=shapes,
            layer=layer,
            cache=default_folder(),
            objective=objective,
            batch=batch,
            preprocessing=None if preprocess is None else read_preprocessing(preprocess),
            seeds=seeds or 0,
            params=params,
            progress=on_progress,
        )
        if json_file is not None:
            write_comparison(json_file, made)
        if html_file is not None:
            write_comparison_page(html_file, made, command_line())
        if csv_file is not None:
            write_entries(csv_file, made)
        charts = write_both(
            svg_folder,
            png_folder,
            lambda folder, ending: write_comparison_charts(folder, made, ending),
        )
    if not silent:
        show(*comparison_parts(made))
    if data is None:
        click.echo(
            "zeroskip: warning: no --data: quality comes from "
            f"{'the calibration samples' if calibrate else 'random inputs'}; cycles, bytes "
            "and energy are right, quality is not to be relied on",
            err=True,
        )
    if not silent:
        echo_written(json_file, html_file, csv_file, *charts)


@click.command("schemes")
def schemes_command() -> None:
    """List the pruning schemes with their options."""
    from zeroskip.relay_passes.pruning.schemes.recipe import describe_recipes

    click.echo(describe_recipes())


def show_structures(module: Any, specs: Any, *, unless_dense: bool = False) -> None:
    """What zeros the layers of a float module have; nothing if none has any and that is wanted."""
    from zeroskip.relay_passes.pruning.detect import detect
    from zeroskip.runtime.render.pruning_tables import structures_table
    from zeroskip.runtime.render.tables import show

    found = detect(module)
    if not unless_dense or any(each.kind != "dense" for each in found):
        show(structures_table(module, found, specs))
