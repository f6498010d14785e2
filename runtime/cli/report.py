"""The command ``report``."""

from __future__ import annotations

from pathlib import Path

import click

from zeroskip.runtime.cli.guard import command_line
from zeroskip.runtime.cli.loading import load_network
from zeroskip.runtime.cli.options import (
    FILE,
    echo_written,
    file_option,
    level_option,
    model_option,
    png_option,
    svg_option,
    to_stdout,
    write_both,
)
from zeroskip.runtime.cli.pruning import show_structures


@click.command("report")
@click.argument("network", type=FILE)
@file_option("json", "Write the report for machines; -: on standard output, in the tables' place.")
@file_option("csv", "Write the layers for a spreadsheet, a line each; -: on standard output.")
@file_option(
    "html", "Write the report as one page with figures, for any browser; -: on standard output."
)
@svg_option
@png_option
@click.option(
    "--worst",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show only the N layers that lose most cycles, the worst first.",
)
@click.option("--weights", is_flag=True, help="Say too what the zeros of each layer are made of.")
@level_option
@model_option
def report_command(
    network: Path,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    svg_folder: Path | None,
    png_folder: Path | None,
    worst: int | None,
    weights: bool,
    level: int | None,
    model: Path | None,
) -> None:
    """Say per layer where the cycles, the bytes and the energy of a compiled NETWORK go."""
    from zeroskip.runtime.analysis.report import report as make_report
    from zeroskip.runtime.execution.session import Session
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.files import write_charts, write_layers, write_page, write_report
    from zeroskip.runtime.render.tables import line_width, report_parts, show

    silent = to_stdout(json_file, csv_file, html_file)
    loaded = load_network(network, level, silent=silent)
    if weights:
        from zeroskip.runtime.execution.float_weights import with_float_weights

        loaded = with_float_weights(loaded, model)
    with progress(f"timing {network.name}") as on_progress:
        runs = Session(loaded, progress=on_progress).time()
        on_progress("report", 0, 1)
        made = make_report(loaded, runs)
        if json_file is not None:
            write_report(json_file, made)
        if csv_file is not None:
            write_layers(csv_file, made)
        if html_file is not None:
            write_page(html_file, made, runs, loaded.programs, command_line())
        charts = write_both(
            svg_folder,
            png_folder,
            lambda folder, ending: write_charts(folder, made, runs, loaded.programs, ending),
        )
    if silent:
        return
    show(*report_parts(made, worst, line_width()))
    if weights:
        show_structures(loaded.floating_module, [loaded.spec])
    echo_written(json_file, csv_file, html_file, *charts)
