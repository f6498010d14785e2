"""Options that several commands have, and how their values are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click


class _File(click.Path):
    """The path of a file; an empty one, as of a variable that is not set, would be the folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; give the path of a file", param, ctx)
        return super().convert(value, param, ctx)


F = TypeVar("F", bound=Callable[..., Any])
OBJECTIVES = ("cycles", "energy", "edp")  # ``compiler.scheduling.objective.GOALS``
FILE = _File(dir_okay=False, path_type=Path)
OUT = _File(dir_okay=False, path_type=Path, allow_dash=True)  # "-": standard output
DATA = _File(path_type=Path)  # of samples: a file or a folder
FOLDER = _File(file_okay=False, path_type=Path)


def read_shapes(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
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


def read_ratios(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[float, ...]:
    """``0.5,0.75`` -> (0.5, 0.75)."""
    try:
        ratios = tuple(float(each) for each in value.split(","))
    except ValueError:
        ratios = ()
    if not ratios or not all(0 < ratio < 1 for ratio in ratios):
        raise click.BadParameter(f"{value!r} is not of the form 0.5,0.75: ratios above 0, below 1")
    return ratios


def read_counts(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int | None, ...]:
    """``1,4,8`` -> (1, 4, 8); of nothing one that is None."""
    if value is None:
        return (None,)
    try:
        counts = tuple(int(each) for each in value.split(","))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not of the form 1,4,8: whole numbers from 1 on")
    return counts


def read_list(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Items separated by spaces or commas, of an option that may be repeated.

    A comma before ``option=`` belongs to the item: ``pattern:patterns=8,layers=conv*`` is one.
    """
    found = [item for value in values for item in re.split(r"\s+|,(?!\s*\w+=)\s*", value) if item]
    if not found:
        raise click.BadParameter("it is empty; name one at least")
    return tuple(found)


def is_default(name: str) -> bool:
    """Whether nobody gave this parameter of the command that runs."""
    source = click.get_current_context().get_parameter_source(name)
    return source in (None, click.core.ParameterSource.DEFAULT)


def all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options in this order, as one decorator."""

    def apply(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def file_option(kind: str, words: str, *, to_stdout: bool = True) -> Callable[[F], F]:
    """``--json FILE`` and the like, parameter ``json_file``. to_stdout: - is standard output."""
    return click.option(
        f"--{kind}",
        f"{kind}_file",
        type=OUT if to_stdout else FILE,
        metavar="FILE",
        help=words,
    )


def schemes_option(words: str, **how: Any) -> Callable[[F], F]:
    """Recipes of pruning. how: whether they are required, or their default."""
    return click.option(
        "--schemes", multiple=True, callback=read_list, metavar="RECIPES", help=words, **how
    )


def sparsity_option(words: str, default: str = "0.5,0.75") -> Callable[[F], F]:
    """Ratios at which a scheme is taken."""
    return click.option(
        "--sparsity",
        default=default,
        show_default=True,
        callback=read_ratios,
        metavar="RATIOS",
        help=words,
    )


def read_losses(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[float, ...]:
    """``0.5,1`` -> (0.5, 1.0), all above 0; of nothing nothing."""
    try:
        losses = tuple(float(each) for each in (value or "").split(",") if each.strip())
    except ValueError:
        losses = ()
    if value is not None and not (losses and all(0 < each < float("inf") for each in losses)):
        raise click.BadParameter(f"{value!r} is not of the form 0.5,1: numbers above 0")
    return losses


def targets_option(default: str, more: str = "") -> Callable[[F], F]:
    """Accelerators. more: what else they may be."""
    return click.option(
        "--targets",
        multiple=True,
        default=(default,),
        show_default=True,
        callback=read_list,
        help="Accelerators, separated by spaces or commas: names, or paths of TOML files; "
        f"{more}may be repeated.",
    )


def calibrate_option(words: str) -> Callable[[F], F]:
    """Sample inputs. words: what for."""
    return click.option("--calibrate", type=FILE, metavar="NPZ", help=words)


def reconstruct_option(words: str) -> Callable[[F], F]:
    """How the weights that are left are fitted."""
    return click.option("--reconstruct", type=click.Choice(("weights", "statistics")), help=words)


calibrate_or_data_option = calibrate_option(
    "Sample inputs for ranges and --reconstruct; the data if left out."
)
reconstruct_as_prune_option = reconstruct_option(
    "Fit what is left to the dense layers' outputs, as in `zeroskip prune`."
)
input_option = click.option(
    "--input",
    "inputs",
    type=FILE,
    required=True,
    metavar="NPZ",
    help="An array for each input, by its name.",
)
cache_option = click.option(
    "--cache/--no-cache",
    default=True,
    show_default=True,
    help="Keep schedules for the next time, in ZEROSKIP_CACHE or ~/.cache/zeroskip.",
)
shapes_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=read_shapes,
    metavar="NAME=1,3,224,224",
    help="The shape of an input that the model leaves open; may be repeated.",
)
params_option = click.option(
    "--params",
    type=FILE,
    metavar="FILE",
    help="The parameters of a Relay MODEL, as relay.save_param_dict(params) writes them.",
)
batch_option = click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images that one program computes: weights are read once for all of them.",
)
objective_option = click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="cycles",
    show_default=True,
    help="What schedules are chosen by, as estimated: cycles, energy, or edp: energy x time.",
)
level_option = click.option(
    "--level",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which level of a network that was compiled with several: 0, the densest, by default.",
)
model_option = click.option(
    "--model",
    type=FILE,
    metavar="ONNX",
    help="The model that the network was compiled from, where its file refers to it for its float "
    "weights and it is not where it was.",
)
preprocess_option = click.option(
    "--preprocess",
    type=FILE,
    metavar="TOML",
    help="How pictures become inputs: size, resize, channels, scale, mean, deviation, layout, filter.",
)
quality_data_options = all_of(
    click.option(
        "--data",
        type=DATA,
        metavar="NPZ|DIR",
        help="What quality is measured with: an array for each input, the leading axis counts "
        "samples, and 'labels' if the model classifies; or a folder with a folder of pictures for "
        "each class.",
    ),
    preprocess_option,
)
svg_option = click.option(
    "--svg", "svg_folder", type=FOLDER, metavar="DIR", help="Write every chart as an SVG file."
)
png_option = click.option(
    "--png",
    "png_folder",
    type=FOLDER,
    metavar="DIR",
    help="Write every chart as a PNG file (pip install 'zeroskip[png]').",
)


def write_both(
    svg_folder: Path | None, png_folder: Path | None, write: Callable[[Path, str], list[Path]]
) -> list[Path]:
    """Charts into the folders of --svg and --png that were given; the files' paths. write: of a
    folder and the files' ending."""
    folders = ((svg_folder, ".svg"), (png_folder, ".png"))
    return [
        path for folder, ending in folders if folder is not None for path in write(folder, ending)
    ]


def echo_written(*paths: Path | None) -> None:
    """Say which files there are now."""
    for path in paths:
        if path is not None:
            click.echo(f"wrote {path}")


def to_stdout(*paths: Path | None) -> bool:
    """Whether one of the files is standard output, where then nothing else goes; UsageError if two
    are."""
    count = [str(path) for path in paths].count("-")
    if count > 1:
        raise click.UsageError("standard output (-) takes one file; give the other one a name")
    return count == 1


program_option = click.option(
    "--program",
    "program_file",
    type=FILE,
    metavar="MLIR",
    help="Programs as --emit=mlir prints them, in the place of the network's own.",
)
