"""The command line. A user's mistake is one line on standard error and exit code 2.

Whatever is heavy (TVM, NumPy) is imported by the command that needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zeroskip.accel_model.errors import ZeroskipError

EMIT = ("relax", "layers", "schedule", "asm")
QUANTISED = {"DequantizeLinear", "QLinearConv", "QLinearMatMul"}  # operators with their own scales
METHODS = ("minmax", "percentile", "mse")
FILE = click.Path(dir_okay=False, path_type=Path)


class Commands(click.Group):
    """Turns refusals into one line and exit code 2; DEBUG=1 shows where they come from."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ZeroskipError as refusal:
            if os.environ.get("DEBUG", "0") not in ("", "0"):
                raise
            click.echo(f"zeroskip: error: {_line(str(refusal))}", err=True)
            ctx.exit(2)
        except MemoryError:
            click.echo("zeroskip: error: this computer has not enough memory for that; take "
                       "smaller inputs or a smaller network", err=True)
            ctx.exit(2)


def _line(text: str) -> str:
    """One line of what a terminal may print: names in files may hold anything."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zeroskip", prog_name="zeroskip")
def main() -> None:
    """Compile pruned CNNs for modeled sparse accelerators, run them there, check every bit.

    DEBUG=1 shows the traceback of an error.
    """


def read_shapes(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
                ) -> dict[str, tuple[int, ...]]:
    """``name=1,3,224,224`` -> {"name": (1, 3, 224, 224)}."""
    shapes = {}
    for value in values:
        name, _, sizes = value.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shapes[name] = ()
        if not name or not shapes[name] or min(shapes[name]) < 1:
            raise click.BadParameter(f"{value!r} is not of the form name=1,3,224,224")
    return shapes


shapes_option = click.option(
    "--shape", "shapes", multiple=True, callback=read_shapes, metavar="NAME=1,3,224,224",
    help="The shape of an input that the model leaves open; may be repeated.")


@main.command("compile")
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, help="The compiled network to write, a .zsk file.")
@click.option("--target", default="dense256", show_default=True,
              help="A name that `zeroskip targets` lists, or the path of a TOML file.")
@click.option("--prune", metavar="RECIPE",
              help="What to prune before quantising: schemes such as pattern:connectivity=0.5, "
                   "which `zeroskip schemes` lists, or a .toml file of them. Without it the "
                   "model's own zeros are used.")
@click.option("--calibrate", type=FILE, metavar="NPZ",
              help="Sample inputs, an array for each input; the leading axis counts samples.")
@click.option("--method", type=click.Choice(METHODS), default="minmax", show_default=True,
              help="How ranges of activations are chosen from the samples.")
@shapes_option
@click.option("--tune", type=click.IntRange(min=1), metavar="N",
              help="Time N schedules of each layer on the accelerator and keep the fastest.")
@click.option("--cache/--no-cache", default=True, show_default=True,
              help="Keep schedules for the next time, in ZEROSKIP_CACHE or ~/.cache/zeroskip.")
@click.option("--emit", type=click.Choice(EMIT), help="Print a stage of the compiler.")
def compile_command(model: Path, output: Path | None, target: str, prune: str | None,
                    calibrate: Path | None, method: str, shapes: dict[str, tuple[int, ...]],
                    tune: int | None, cache: bool, emit: str | None) -> None:
    """Compile an ONNX MODEL for an accelerator."""
    if output is None and emit is None:
        raise click.UsageError("give the file to write with -o, or a stage to print with --emit")
    from zeroskip.accel_model.spec import load_spec

    spec = load_spec(target)
    from zeroskip.compiler import driver
    from zeroskip.compiler.cache import default_folder
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.tuning import tuning

    options: dict[str, Any] = {
        "prune": prune, "calibrate": calibrate, "method": method, "shapes": shapes,
        "tune": None if tune is None else tuning(tune),
        "cache": default_folder() if cache else None}
    made = None
    with progress(f"compiling {model.name}") as tell:
        if emit is not None:
            text = _stage(driver.lower(model, spec, **options, progress=tell), emit)
        if output is not None:
            made = driver.compile(model, spec, **options, progress=tell)
            made.save(output)
    if calibrate is None and _is_float(model):
        click.echo("zeroskip: warning: no --calibrate data: ranges of activations come from random "
                   "inputs; cycles and bits are right, accuracy is not to be relied on", err=True)
    if emit is not None:
        click.echo(text.rstrip("\n"))
    elif made is not None:
        _show_structures(made.floating_module, [spec], unless_dense=True)


def _show_structures(module: Any, specs: Any, *, unless_dense: bool = False) -> None:
    """What zeros the layers of a float module have; nothing if none has any and that is wanted."""
    from zeroskip.relay_passes.pruning.detect import detect
    from zeroskip.runtime.pruning import structures_table
    from zeroskip.runtime.tables import show

    found = detect(module)
    if not unless_dense or any(each.kind != "dense" for each in found):
        show(structures_table(module, found, specs))


def _is_float(model: Path) -> bool:
    """Whether a model does not bring the scales of its activations along."""
    import onnx

    kinds = {node.op_type for node in onnx.load(model, load_external_data=False).graph.node}
    return not kinds & QUANTISED


def _stage(stages: Any, emit: str) -> str:
    from zeroskip.compiler.passes import assembly_text, layers_text, schedule_text

    texts: dict[str, Callable[[], str]] = {
        "relax": lambda: str(stages.scheduled.script(show_meta=False)),
        "layers": lambda: layers_text(stages.partitioned),
        "schedule": lambda: schedule_text(stages.scheduled),
        "asm": lambda: "\n".join(f"# region {name}\n{assembly_text(program)}"
                                 for name, program in stages.programs.items()),
    }
    return texts[emit]()


@main.command("prune")
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="ONNX", help="The pruned model to write.")
@click.option("--prune", "recipe", metavar="RECIPE",
              help="Schemes such as pattern:connectivity=0.5, joined by +, which `zeroskip "
                   "schemes` lists, or a .toml file of them.")
@shapes_option
@click.option("--calibrate", type=FILE, metavar="NPZ",
              help="Sample inputs, an array for each input; the leading axis counts samples. No "
                   "labels. For --reconstruct, --budget and criterion=saliency.")
@click.option("--reconstruct", "method", type=click.Choice(("weights", "statistics")),
              help="Make the pruned layers give again what the dense ones gave: by fitting the "
                   "weights that are left, or only the mean and variance of each channel.")
@click.option("--budget", metavar="BUDGET",
              help="macs=0.25, weights=0.25 or cycles=0.4: what of the dense model may be left, "
                   "or snr=20dB: how well it must do. Each layer's strength is then chosen, and "
                   "schemes that take the same layer are alternatives.")
@click.option("--target", help="The accelerator whose cycles a budget counts: a name, or the path "
                               "of a TOML file.")
@click.option("--detect", is_flag=True,
              help="Say what the zeros of each layer are made of, after pruning if there is a "
                   "recipe, and in which format each target would store the layer.")
def prune_command(model: Path, output: Path | None, recipe: str | None,
                  shapes: dict[str, tuple[int, ...]], calibrate: Path | None, method: str | None,
                  budget: str | None, target: str | None, detect: bool) -> None:
    """Prune an ONNX MODEL by a recipe and write it as ONNX; without -o, say what would become of
    it. Normalisations are folded, and shapes fixed."""
    if recipe is None and (output is not None or not detect):
        raise click.UsageError("give a recipe with --prune, or ask with --detect what zeros the "
                               "model has")
    for name, given in (("--reconstruct", method), ("--budget", budget)):
        if given is not None and (calibrate is None or recipe is None):
            raise click.UsageError(f"{name} needs --prune, and sample inputs with --calibrate")
    from zeroskip.accel_model.spec import load_spec
    from zeroskip.accel_model.spec import targets as names
    from zeroskip.compiler.driver import import_float, read_samples
    from zeroskip.compiler.layer_cost import cycles_on
    from zeroskip.relay_passes.onnx_export import export_onnx
    from zeroskip.relay_passes.pruning.allocate import Budget
    from zeroskip.relay_passes.pruning.prune import layer_changes, prune, share_out
    from zeroskip.relay_passes.pruning.recipe import read_recipe
    from zeroskip.runtime.files import write_onnx
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.pruning import changes_table, told_warnings
    from zeroskip.runtime.tables import show

    wanted = None if budget is None else Budget.parse(budget)
    cycles = None if target is None else cycles_on(load_spec(target))
    share = None
    with progress(f"pruning {model.name}") as tell, told_warnings():
        schemes = read_recipe(recipe) if recipe is not None else ()
        tell("import", 0, 1)
        dense = import_float(model, shapes)
        samples = None if calibrate is None else read_samples(dense, calibrate)
        tell("prune", 0, 1)
        if wanted is not None and samples is not None:
            schemes, share = share_out(dense, schemes, wanted, samples, cycles=cycles,
                                       method=method, progress=tell)
        pruned = dense
        if schemes:
            pruned = prune(dense, schemes, samples=samples, method=method, progress=tell)
        if output is not None:
            write_onnx(output, export_onnx(pruned, model.stem))
    if share is not None:
        click.echo(str(share))
    if recipe is not None:
        show(changes_table(layer_changes(dense, pruned)))
    if detect:
        _show_structures(pruned, [load_spec(name) for name in names()])
    if output is not None:
        click.echo(f"wrote {output}")


@main.command()
def schemes() -> None:
    """List the pruning schemes with their options."""
    from zeroskip.relay_passes.pruning.recipe import describe_recipes

    click.echo(describe_recipes())


@main.command()
@click.argument("network", type=FILE)
@click.option("--input", "inputs", type=FILE, required=True, metavar="NPZ",
              help="An array for each input, by its name.")
@click.option("--output", type=FILE, metavar="NPZ", help="Where to write the outputs.")
@click.option("--trace", type=FILE, metavar="JSON",
              help="Where to write the timeline of the three units, for https://ui.perfetto.dev.")
@click.option("--seed", type=int, envvar="SEED",
              help="Shuffles the order in which the units take turns; results do not depend on it.")
def run(network: Path, inputs: Path, output: Path | None, trace: Path | None,
        seed: int | None) -> None:
    """Run a compiled NETWORK, or a program written in assembly (.asm), on the accelerator."""
    from zeroskip.compiler.data import load_arrays
    from zeroskip.compiler.network import Network
    from zeroskip.runtime.files import write_arrays, write_timeline
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.session import Session, run_source

    arrays = load_arrays(inputs)
    with progress(f"running {network.name}") as tell:
        if network.suffix == ".asm":
            program, done = run_source(network, arrays, seed, tell)
            outputs, runs, programs, spec = done.outputs, {"": done}, {"": program}, program.spec
        else:
            session = Session(Network.load(network), seed, tell)
            outputs, runs = session.run(arrays), session.runs
            programs, spec = session.network.programs, session.network.spec
    if output is not None:
        write_arrays(output, outputs)
    if trace is not None:
        write_timeline(trace, runs, programs)
    for name, values in outputs.items():
        click.echo(f"{name}: {values.dtype} {list(values.shape)}, largest element at "
                   f"{int(values.argmax())}")
    cycles = sum(each.cycles for each in runs.values())
    click.echo(f"{cycles:,} cycles on {spec.name}, {cycles / spec.clock_mhz / 1000:.3f} ms at "
               f"{spec.clock_mhz:g} MHz"
               + ("" if seed is None else f", units in the order of seed {seed}"))
    for path in (output, trace):
        if path is not None:
            click.echo(f"wrote {path}")


@main.command()
@click.argument("network", type=FILE)
@click.option("--input", "inputs", type=FILE, required=True, metavar="NPZ",
              help="An array for each input, by its name.")
def validate(network: Path, inputs: Path) -> None:
    """Compare the accelerator with TVM's CPU, bit by bit; exit code 1 if they differ."""
    from zeroskip.compiler.data import load_arrays
    from zeroskip.compiler.network import Network

    loaded, arrays = Network.load(network), load_arrays(inputs)
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.validation import validate as compare

    with progress(f"checking {network.name}") as tell:
        result = compare(loaded, arrays, tell)
    click.echo(result.text())
    if result.mismatch is not None:
        sys.exit(1)


@main.command()
@click.argument("network", type=FILE)
@click.option("--json", "json_file", type=FILE, metavar="FILE",
              help="Write the report for machines.")
@click.option("--html", "html_file", type=FILE, metavar="FILE",
              help="Write the report as one page with figures, for any browser.")
@click.option("--worst", type=click.IntRange(min=1), metavar="N",
              help="Show only the N layers that lose most cycles, the worst first.")
@click.option("--weights", is_flag=True, help="Say too what the zeros of each layer are made of.")
def report(network: Path, json_file: Path | None, html_file: Path | None,
           worst: int | None, weights: bool) -> None:
    """Say per layer where the cycles, the bytes and the energy of a compiled NETWORK go."""
    from zeroskip.compiler.network import Network
    from zeroskip.runtime.files import write_page, write_report
    from zeroskip.runtime.progress import progress
    from zeroskip.runtime.report import report as make_report
    from zeroskip.runtime.session import Session
    from zeroskip.runtime.tables import line_width, report_parts, show

    loaded = Network.load(network)
    with progress(f"timing {network.name}") as tell:
        runs = Session(loaded, tell=tell).time()
        tell("report", 0, 1)
        made = make_report(loaded, runs)
        if json_file is not None:
            write_report(json_file, made)
        if html_file is not None:
            write_page(html_file, made, runs, loaded.programs)
    show(*report_parts(made, worst, line_width()))
    if weights:
        _show_structures(loaded.floating_module, [loaded.spec])
    for path in (json_file, html_file):
        if path is not None:
            click.echo(f"wrote {path}")


@main.command()
def targets() -> None:
    """List the accelerators with their numbers."""
    from zeroskip.accel_model.spec import load_spec
    from zeroskip.accel_model.spec import targets as names
    from zeroskip.runtime.tables import show, targets_table

    show(targets_table([load_spec(name) for name in names()]))


@main.command()
@click.option("--models", type=click.Path(file_okay=False, path_type=Path),
              default=Path("models"), show_default=True, help="Where the trained networks are.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("out"),
              show_default=True, help="Where compiled networks and the timeline go.")
def demo(models: Path, output: Path) -> None:
    """Show the whole path on a Fashion-MNIST classifier, dense and pattern-pruned."""
    from zeroskip.runtime.demo import run_demo

    run_demo(models, output)
