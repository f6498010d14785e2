"""Every pruning scheme on every array at equal resources: cycles, bytes, energy.

    python -m benchmarks.cross_table [--network models/fashion_dense.onnx] [--images 2]
    python -m benchmarks.cross_table --whole resnet50 vgg16

Targets are the built-in ones with the multipliers, bus and SRAM of dense256. Each scheme prunes the
network once (one-shot, the same masks for all targets); arrays that look at activations run real
images and give their mean. Whole networks have seeded weights, of which the smallest half or three
quarters are gone, and a random image. Prints the tables of docs/ACCELERATORS.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from models.zoo import MODELS, prune_unstructured
from zeroskip.accel_model import physics
from zeroskip.accel_model.spec import AccelSpec, equal_targets, load_spec
from zeroskip.compiler.driver import network_of, prepare, ranges_of
from zeroskip.compiler.options import CompileOptions
from zeroskip.compiler.stages import lower_fastest, without_dead
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.runtime.execution.session import Session

ROOT = Path(__file__).parents[1]
SCHEMES = {
    "none": "",
    "unstructured": "unstructured:sparsity=0.75",
    "kernel patterns + connectivity": "pattern:connectivity=0.5",
    "N:M, 1 of 4 channels": "nm:n=1,m=4",
    "q of 16 channels (Kang)": "nm:n=4,m=16",
    "blocks of 4 x 4": "block:ratio=0.75",
    "channels": "channels:ratio=0.5",
}


SPARSITIES = (0.5, 0.75)  # of whole networks


def cells(
    model: Path | onnx.ModelProto,
    recipe: str,
    images: Mapping[str, Any],
    calibrate: Mapping[str, Any] | None,
) -> Iterator[tuple[AccelSpec, float, int, float]]:
    """(target, cycles an image, DRAM bytes, microjoules) of a scheme on every target."""
    options: CompileOptions = {"method": "minmax"}
    if calibrate is not None:
        options["calibrate"] = calibrate
    if recipe:
        options["prune"] = recipe
    pruned, _ = prepare(model, options)
    least = without_dead(pruned)
    quantize = QuantizeInt8(ranges=ranges_of(least, options))
    for name in equal_targets():
        spec = load_spec(name)
        network = network_of(lower_fastest(pruned, least, spec, quantize, options), model, spec)
        cycles: list[int] = []
        count = len(next(iter(images.values())))
        for image in range(count):
            session = Session(network)
            session.run({key: values[image : image + 1] for key, values in images.items()})
            cycles.append(sum(run.cycles for run in session.runs.values()))
        runs = session.runs.values()
        moved = sum(run.totals["dram_bytes"] for run in runs)
        standing = physics.physics(spec).standing_mw * np.mean(cycles) / spec.clock_mhz / 1000
        energy = sum(run.picojoules for run in runs) / 1e6 + standing
        yield spec, float(np.mean(cycles)), moved, float(energy)


def whole(networks: Sequence[str]) -> None:
    """Print cycles of the zoo's networks on every target, a line for each when it is known."""
    image = {"image": np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32)}
    print("| network | weights gone | target | cycles | MiB over the bus | mJ |")
    print("|---|---:|---|---:|---:|---:|")
    for network in networks:
        for sparsity in SPARSITIES:
            model = prune_unstructured(MODELS[network](), sparsity)
            for spec, cycles, moved, microjoules in cells(model, "", image, None):
                print(
                    f"| {network} | {sparsity:.0%} | `{spec.name}` | {cycles:,.0f} | "
                    f"{moved / 2**20:,.1f} | {microjoules / 1000:,.2f} |",
                    flush=True,
                )


class Cell(NamedTuple):
    """An image of a network pruned by a scheme on a target. area: mm2 of the target."""

    cycles: float
    moved: int
    microjoules: float
    area: float


def print_table(schemes: Sequence[str], rows: Mapping[str, Sequence[str]], last: str = "") -> None:
    """Targets from top to bottom, schemes from left to right."""
    columns = ["target", *schemes, *([last] if last else [])]
    print("| " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * (len(columns) - 1))
    for target, cells in rows.items():
        print(f"| `{target}` | " + " | ".join(cells) + " |")


def print_tables(found: Mapping[str, Mapping[str, Cell]]) -> None:
    """The tables of docs/ACCELERATORS.md. found: of each scheme the targets."""
    schemes, first = [*found], found[next(iter(found))]
    base = first["dense256"]
    by_target = {target: [found[scheme][target] for scheme in schemes] for target in first}
    print("\nCycles (times as fast as the first scheme on dense256)\n")
    print_table(
        schemes,
        {
            target: [
                *(f"{cell.cycles:,.0f} ({base.cycles / cell.cycles:.1f}x)" for cell in cells),
                f"{cells[0].area:.2f}",
            ]
            for target, cells in by_target.items()
        },
        "mm2",
    )
    print("\nTimes as fast, each array as large as dense256\n")
    print_table(
        schemes,
        {
            target: [f"{base.cycles / cell.cycles * base.area / cell.area:.2f}" for cell in cells]
            for target, cells in by_target.items()
        },
    )
    for title, text in (
        ("KiB over the bus", lambda cell: f"{cell.moved / 1024:,.1f}"),
        ("Microjoules, idle power included", lambda cell: f"{cell.microjoules:,.1f}"),
    ):
        print(f"\n{title}\n")
        print_table(schemes, {target: [*map(text, cells)] for target, cells in by_target.items()})


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", type=Path, default=ROOT / "models" / "fashion_dense.onnx")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--schemes", nargs="+", choices=[*SCHEMES], default=[*SCHEMES])
    parser.add_argument("--whole", nargs="+", choices=sorted(MODELS), metavar="NETWORK")
    args = parser.parse_args()
    if args.whole:
        whole(args.whole)
        return
    with np.load(ROOT / "models" / "fashion_calibration.npz") as arrays:
        calibrate = {name: arrays[name] for name in arrays.files}
    images = {name: values[: args.images] for name, values in calibrate.items()}
    found: dict[str, dict[str, Cell]] = {}
    for scheme in args.schemes:
        found[scheme] = {
            spec.name: Cell(cycles, moved, microjoules, physics.physics(spec).area_mm2)
            for spec, cycles, moved, microjoules in cells(
                args.network, SCHEMES[scheme], images, calibrate
            )
        }
        print(f"{scheme}: done", file=sys.stderr)
    print_tables(found)


if __name__ == "__main__":
    main()
