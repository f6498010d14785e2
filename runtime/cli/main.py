"""The command line. A user's mistake is one line on standard error and exit code 2.

Whatever is heavy (TVM, NumPy) is imported by the command that needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from zeroskip.runtime.cli import doctor, experiments, pruning
from zeroskip.runtime.cli.emit import EMIT, check_emit, emitting
from zeroskip.runtime.cli.evaluate import evaluate_command, samples_command
from zeroskip.runtime.cli.guard import Commands, command_line, one_line, printable
from zeroskip.runtime.cli.loading import load_network, show_level
from zeroskip.runtime.cli.options import (
    FILE,
    batch_option,
    cache_option,
    calibrate_option,
    echo_written,
    file_option,
    input_option,
    level_option,
    model_option,
    objective_option,
    params_option,
    program_option,
    shapes_option,
    to_stdout,
)
from zeroskip.runtime.cli.report import report_command

ORACLES = ("tvm", "mlir")
SOURCES = (".asm", ".mlir")  # one program, as text
SHOWN = 10  # images whose largest element is printed
METHODS = ("auto", "minmax", "percentile", "mse")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zeroskip", prog_name="zeroskip")
def main() -> None:
    """Compile pruned CNNs for modeled sparse accelerators, run them there, check every bit.

    DEBUG=1 shows the traceback of an error, and TVM's own warnings.
    """


@main.command("compile")
@click.argument("model", type=FILE)
@params_option
@click.option("-o", "--output", type=FILE, help="The compiled network to write, a .zsk file.")
@click.option(
    "--target",
    default="dense256",
    show_default=True,
    help="A name that `zeroskip targets` lists, or the path of a TOML file.",
)
@click.option(
    "--prune",
    metavar="RECIPE",
    help="What to prune before quantizing: schemes such as pattern:connectivity=0.5, "
    "which `zeroskip schemes` lists, or a .toml file of them. Without it the "
    "model's own zeros are used.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    metavar="RECIPE",
    help="Compile several sparsities into one file: a recipe for each level, the densest "
    "first; each prunes what the one before left.",
)
@calibrate_option("Sample inputs, an array for each input; the leading axis counts samples.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="How ranges of activations are chosen from the samples; auto: the best method "
    "for each activation by samples that are held back.",
)
@click.option(
    "--float",
    "float_nodes",
    multiple=True,
    metavar="NODE",
    help="An ONNX node, or a glob of names, that stays in float on the CPU; may be repeated.",
)
@click.option(
    "--activation-bits",
    type=click.Choice(("8", "16")),
    default="8",
    show_default=True,
    help="16: int16 activations beside int8 weights, on a target that stores 16 bits, such as "
    "sparse256_int16.",
)
@shapes_option
@batch_option
@click.option(
    "--tune",
    type=click.IntRange(min=1),
    metavar="N",
    help="Time N schedules of each layer on the accelerator and keep the fastest.",
)
@objective_option
@cache_option
@click.option(
    "--emit",
    type=click.Choice(EMIT),
    help="Print a stage of the compiler; all: write the module after every pass, and every stage.",
)
@click.option(
    "--emit-folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where --emit=all writes its numbered files: an empty or a new folder.",
)
def compile_command(
    model: Path,
    params: Path | None,
    output: Path | None,
    target: str,
    prune: str | None,
    levels: tuple[str, ...],
    calibrate: Path | None,
    method: str,
    float_nodes: tuple[str, ...],
    activation_bits: str,
    shapes: dict[str, tuple[int, ...]],
    batch: int | None,
    tune: int | None,
    objective: str,
    cache: bool,
    emit: str | None,
    emit_folder: Path | None,
) -> None:
    """Compile a MODEL for an accelerator: ONNX, PyTorch (.pt2, of torch.export.save), TFLite or
    TOSA (.tflite, .mlir) in int8, or the text of a Relay module (mod.astext(), of TVM up to
    0.18)."""
    if output is None and emit is None:
        raise click.UsageError("give the file to write with -o, or a stage to print with --emit")
    if levels and emit is not None:
        raise click.UsageError("--emit prints one network; leave --level out, or --emit")
    check_emit(emit, emit_folder)
    if tune is not None and objective != "cycles":
        raise click.UsageError("--tune keeps the fastest schedules; leave it or --objective out")
    from zeroskip.accel_model.spec import load_spec

    spec = load_spec(target)
    from zeroskip.compiler import driver, multi_level
    from zeroskip.compiler.artifact.placement import notice
    from zeroskip.compiler.scheduling.schedule_cache import default_folder
    from zeroskip.relay_passes.pytorch import said_of
    from zeroskip.relay_passes.quantize.calibrate import has_own_scales
    from zeroskip.relay_passes.read_model import read_model
    from zeroskip.runtime.execution.losing_layers import FirstImage, losing_layers
    from zeroskip.runtime.execution.tuning import tuning
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.pruning_tables import echo_warnings

    options: dict[str, Any] = {
        "prune": prune,
        "calibrate": calibrate,
        "method": method,
        "float_nodes": float_nodes,
        **({} if activation_bits == "8" else {"activation_bits": int(activation_bits)}),
        "shapes": shapes,
        "batch": batch,
        "tune": None if tune is None else tuning(tune),
        "objective": objective,
        "cache": default_folder() if cache else None,
    }
    networks: list[Any] = []
    losing: list[list[str]] = []
    images = [FirstImage() for _ in levels or ("",)] if calibrate is not None else []
    floating: Any = None
    with progress(f"compiling {model.name}") as on_progress, echo_warnings():
        on_progress("import", 0, 1)
        source = read_model(model, params)
        if emit is not None:
            with emitting(emit, emit_folder) as text_of:
                stages = driver.lower(source, spec, **options, progress=on_progress)
                text, floating = text_of(stages), stages.floating
        if output is not None and levels:
            made = multi_level.compile_levels(
                source, spec, levels, **options, progress=on_progress, firsts=images
            )
            made.save(output)
            networks = [made.network(number) for number in range(len(levels))]
        elif output is not None:
            networks = [
                driver.compile(
                    source,
                    spec,
                    **options,
                    progress=on_progress,
                    first=images[0] if images else None,
                )
            ]
            networks[0].save(output)
        # Of random inputs it would say nothing.
        losing = [
            losing_layers(network, image, on_progress)
            for network, image in zip(networks, images, strict=False)
        ]
    if networks:
        floating = networks[0].floating_module
    if calibrate is None and not has_own_scales(floating["main"]):
        click.echo(
            "zeroskip: warning: no --calibrate data: ranges of activations come from random "
            "inputs; cycles and bits are right, accuracy is not to be relied on",
            err=True,
        )
    if said_of(source):
        click.echo(f"zeroskip: {printable(said_of(source))}", err=True)
    if emit is not None:
        click.echo(text.rstrip("\n"))
        return
    for number, network in enumerate(networks):
        show_level(network)
        for line in notice(network.placement, spec.name, network.cpu, network.host_macs):
            click.echo(f"zeroskip: {printable(line)}", err=True)
        for line in losing[number] if losing else ():
            click.echo(f"zeroskip: warning: {printable(line)}", err=True)
        pruning.show_structures(network.floating_module, [spec], unless_dense=True)


@main.command()
@click.argument("network", type=FILE)
@input_option
@click.option("--output", type=FILE, metavar="NPZ", help="Where to write the outputs.")
@click.option(
    "--trace",
    type=FILE,
    metavar="JSON",
    help="Where to write the timeline of the three units, for https://ui.perfetto.dev.",
)
@click.option(
    "--seed",
    type=int,
    envvar="SEED",
    help="Shuffles the order in which the units take turns; results do not depend on it.",
)
@program_option
@level_option
def run(
    network: Path,
    inputs: Path,
    output: Path | None,
    trace: Path | None,
    seed: int | None,
    program_file: Path | None,
    level: int | None,
) -> None:
    """Run a compiled NETWORK, or one program as text (.asm, .mlir), on the accelerator.

    Arrays may hold several images along their first axis: they are run together.
    """
    from zeroskip.compiler.artifact.inputs import load_arrays
    from zeroskip.runtime.analysis.headline import cycles_line
    from zeroskip.runtime.execution.session import Session, run_source
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.files import write_arrays, write_timeline

    alone = network.suffix in SOURCES
    if alone and level is not None:
        raise click.UsageError("a program as text has no levels; leave --level out")
    if alone and program_file is not None:
        raise click.UsageError("a program as text is run as it is; leave --program out")
    arrays = load_arrays(inputs)
    loaded = None if alone else load_network(network, level, program_file)
    with progress(f"running {network.name}") as on_progress:
        if loaded is None:
            program, done = run_source(network, arrays, seed, on_progress)
            outputs, runs, programs, spec = done.outputs, {"": done}, {"": program}, program.spec
        else:
            session = Session(loaded, seed, on_progress)
            outputs, runs = session.run(arrays), session.runs
            programs, spec = loaded.programs, loaded.spec
    if output is not None:
        write_arrays(output, outputs)
    if trace is not None:
        write_timeline(trace, runs, programs)
    times = max((each.images for each in runs.values()), default=1)
    images = times * (1 if loaded is None else loaded.images)
    for name, values in outputs.items():
        largest = values.reshape(images, -1).argmax(axis=1).tolist()
        more = ", ..." if images > SHOWN else ""
        click.echo(
            f"{name}: {values.dtype} {list(values.shape)}, largest element "
            f"{'of each image ' if images > 1 else ''}at "
            f"{', '.join(map(str, largest[:SHOWN]))}{more}"
        )
    cycles = sum(each.cycles for each in runs.values())
    figure = (
        f"{cycles:,} cycles on {spec.name}, {cycles / spec.clock_mhz / 1000:.3f} ms at "
        f"{spec.clock_mhz:g} MHz"
    )
    if loaded is not None:
        each = [sum(own) for own in zip(*(run.all_cycles for run in runs.values()), strict=True)]
        figure = one_line(
            cycles_line(loaded, cycles, times, each if loaded.spec.kind.looks_at_inputs else ())
        )
    click.echo(figure + ("" if seed is None else f", units in the order of seed {seed}"))
    echo_written(output, trace)


@main.command()
@click.argument("network", type=FILE)
@input_option
@click.option(
    "--layers",
    is_flag=True,
    help="Show the signal-to-noise of each layer against the float network.",
)
@click.option(
    "--oracle",
    type=click.Choice(ORACLES),
    default=ORACLES[0],
    show_default=True,
    help="Whose results of the layers are right: TVM's, or those of the layers as TOSA on MLIR's "
    "JIT, independent of TVM and of zeroskip (pip install 'zeroskip[oracle]').",
)
@file_option(
    "json", "Write what was found for machines; -: on standard output, in the lines' place."
)
@program_option
@level_option
@model_option
def validate(
    network: Path,
    inputs: Path,
    layers: bool,
    oracle: Any,
    json_file: Path | None,
    program_file: Path | None,
    level: int | None,
    model: Path | None,
) -> None:
    """Compare the accelerator with TVM's CPU, bit by bit; exit code 1 if they differ."""
    from zeroskip.compiler.artifact.inputs import load_arrays

    silent = to_stdout(json_file)
    loaded = load_network(network, level, program_file, silent=silent)
    arrays = load_arrays(inputs)
    from zeroskip.runtime.execution.float_weights import with_float_weights
    from zeroskip.runtime.execution.validation import validate as compare
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.render.files import write_validation
    from zeroskip.runtime.render.quality_table import quality_table
    from zeroskip.runtime.render.tables import show

    with progress(f"checking {network.name}") as on_progress:
        if model is not None:
            loaded = with_float_weights(loaded, model)
        result = compare(loaded, arrays, on_progress, layers=layers, oracle=oracle)
        if json_file is not None:
            write_validation(json_file, result)
    if not silent:
        if layers and result.quality:
            show(quality_table(result.quality), "")
        click.echo(result.text())
        echo_written(json_file)
    if result.mismatch is not None:
        sys.exit(1)


@main.command()
def targets() -> None:
    """List the accelerators with their numbers."""
    from zeroskip.accel_model.spec import load_spec
    from zeroskip.accel_model.spec import targets as names
    from zeroskip.runtime.render.tables import show, targets_table

    show(targets_table([load_spec(name) for name in names()]))


@main.command()
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the trained networks are, if not in models/, here or of the checkout.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Where compiled networks, the pages and the timeline go.",
)
def demo(models: Path | None, output: Path) -> None:
    """Show the whole path on a Fashion-MNIST classifier, dense and pattern-pruned."""
    from zeroskip.runtime.cli.demo import run_demo

    run_demo(models, output, command_line())


for command in (
    report_command,
    evaluate_command,
    samples_command,
    pruning.prune_command,
    pruning.compare_command,
    pruning.schemes_command,
    experiments.sweep_command,
    experiments.search_command,
    doctor.doctor_command,
):
    main.add_command(command)
