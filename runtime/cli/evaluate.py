"""The commands ``evaluate`` and ``samples``."""

from __future__ import annotations

from pathlib import Path

import click

from zeroskip.runtime.cli.guard import one_line
from zeroskip.runtime.cli.loading import load_network
from zeroskip.runtime.cli.options import (
    DATA,
    FILE,
    FOLDER,
    echo_written,
    file_option,
    level_option,
    preprocess_option,
    to_stdout,
)


@click.command("evaluate")
@click.argument("network", type=FILE)
@click.option(
    "--data",
    type=DATA,
    required=True,
    metavar="NPZ|DIR",
    help="An array for each input and 'labels', the leading axis counts samples; or a folder with a "
    "folder of pictures for each class.",
)
@preprocess_option
@click.option("--scores", metavar="OUTPUT", help="Whose scores are judged, of several outputs.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Samples that are run together; results do not depend on it.",
)
@file_option(
    "json", "Write what was found for machines; -: on standard output, in the tables' place."
)
@file_option("csv", "Write what is taken for what, a line for each class; -: on standard output.")
@level_option
def evaluate_command(
    network: Path,
    data: Path,
    preprocess: Path | None,
    scores: str | None,
    batch: int,
    json_file: Path | None,
    csv_file: Path | None,
    level: int | None,
) -> None:
    """Classify labelled samples with a compiled NETWORK: top-1, top-5, by class, confusion."""
    from zeroskip.runtime.execution.evaluation import evaluate
    from zeroskip.runtime.execution.preprocessing import read_preprocessing
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.accuracy_table import accuracy_parts
    from zeroskip.runtime.render.files import write_answers, write_evaluation
    from zeroskip.runtime.render.tables import show

    silent = to_stdout(json_file, csv_file)
    given = None if preprocess is None else read_preprocessing(preprocess)
    loaded = load_network(network, level, silent=silent)
    with progress(f"evaluating {network.name}") as on_progress:
        found = evaluate(
            loaded, data, preprocessing=given, output=scores, batch=batch, progress=on_progress
        )
        if json_file is not None:
            write_evaluation(json_file, found)
        if csv_file is not None:
            write_answers(csv_file, found.accuracy)
    if silent:
        return
    show(
        *accuracy_parts(found.accuracy),
        one_line(f"{found.network} on {found.target}, {found.coverage}"),
    )
    echo_written(json_file, csv_file)


@click.command("samples")
@click.argument("folder", type=FOLDER)
@click.option("-o", "--output", type=FILE, required=True, metavar="NPZ", help="The file to write.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="How many pictures are drawn.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="What they are drawn by.",
)
@preprocess_option
def samples_command(
    folder: Path, output: Path, count: int, seed: int, preprocess: Path | None
) -> None:
    """Make sample inputs, such as `compile --calibrate` takes, of the pictures in a FOLDER."""
    from zeroskip.runtime.execution.labelled_data import sample_pictures
    from zeroskip.runtime.execution.preprocessing import read_preprocessing
    from zeroskip.runtime.render.files import write_arrays

    if preprocess is None:
        raise click.UsageError(
            "say how pictures become inputs with --preprocess, its size at least"
        )
    made = sample_pictures(folder, read_preprocessing(preprocess), count, seed)
    write_arrays(output, {"image": made})
    click.echo(f"{len(made)} pictures, each {list(made.shape[1:])}, by seed {seed}")
    echo_written(output)
