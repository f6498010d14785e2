"""What activations of 16 bits take and give: int8 and int16 on one target, and int8 on one of 8
bits.

    python -m benchmarks.activation_widths [--networks fashion_dense fashion_pattern resnet50]
    [--images 256]

Networks are committed ONNX files of ``models/`` or names of ``models.zoo``, whose weights are
seeded and whose images are random. Signal-to-noise is of all outputs together against the float
network; beside it that of the float network with its weights alone rounded to int8, which bounds
what wider activations can give. Prints the table of RESULTS.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from models.zoo import MODELS
from zeroskip.accel_model import physics
from zeroskip.compiler import driver
from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.pruning.base.layers import prunable_layers, with_weights
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.runtime.execution.session import Session

FOLDER = Path(__file__).parents[1] / "models"
CASES = (("sparse256", 8), ("sparse256_int16", 8), ("sparse256_int16", 16))
COLUMNS = ("network", "target", "activations", "cycles", "KiB over the bus", "uJ", "dB", "labels")
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """A network and its data: calibration samples and images by the input's name, labels if any."""

    name: str
    model: Any
    samples: dict[str, Array]
    images: dict[str, Array]
    labels: Array | None


def subject(name: str, count: int) -> Subject:
    """A network by its name, with up to ``count`` images."""
    path = FOLDER / f"{name}.onnx"
    if path.exists():
        samples = dict(np.load(FOLDER / "fashion_calibration.npz"))
        held = np.load(FOLDER / "fashion_test.npz")
        (port,) = samples
        images = held["image"][:count].astype(np.float32)
        return Subject(name, path, samples, {port: images}, held["labels"][:count])
    rng = np.random.default_rng(0)
    drawn = [rng.standard_normal((n, 3, 224, 224)).astype(np.float32) for n in (4, 2)]
    return Subject(name, MODELS[name](), {"image": drawn[0]}, {"image": drawn[1]}, None)


def float_outputs(module: tvm.IRModule, images: dict[str, Array]) -> Array:
    """[N, ...] of a float module of one input and output."""
    executable, (values,) = compile_for_cpu(module), images.values()
    each = (run_cpu(executable, "main", [one[np.newaxis]])[0] for one in values)
    return np.concatenate(list(each))


def with_int8_weights(module: tvm.IRModule) -> tvm.IRModule:
    """The float module with weights rounded to the steps of symmetric int8, a scale each
    channel."""
    main, rounded = module["main"], {}
    for layer in prunable_layers(main):
        flat = layer.weight.reshape(len(layer.weight), -1)
        step = np.abs(flat).max(axis=1, keepdims=True) / 127
        steps = np.rint(flat / np.where(step > 0, step, 1))
        rounded[layer.var] = (steps * step).reshape(layer.weight.shape).astype(np.float32)
    functions = {var: fn for var, fn in module.functions.items() if var.name_hint != "main"}
    return tvm.IRModule({**functions, relax.GlobalVar("main"): with_weights(main, rounded, {})})


def decibels(wanted: Array, found: Array) -> float:
    """Signal-to-noise."""
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)))


def microjoules(network: Network, session: Session) -> float:
    """Of an image, idle power included."""
    runs, spec = session.runs.values(), network.spec
    cycles = sum(run.cycles for run in runs)
    standing = physics.physics(spec).standing_mw * cycles / spec.clock_mhz / 1000
    return sum(run.picojoules for run in runs) / 1e6 + standing


def rows(one: Subject) -> Iterator[tuple[str, ...]]:
    """A row of the table for each of ``CASES``, and one of weights alone."""
    made = [
        driver.compile(one.model, target, calibrate=one.samples, activation_bits=bits)
        for target, bits in CASES
    ]
    wanted = float_outputs(made[0].floating_module, one.images)
    weights = float_outputs(with_int8_weights(made[0].floating_module), one.images)
    for network, (target, bits) in zip(made, CASES, strict=True):
        session = Session(network)
        (found,) = session.run(one.images).values()
        runs = session.runs.values()
        yield (
            one.name,
            target,
            f"int{bits}",
            f"{sum(run.cycles for run in runs):,}",
            f"{sum(run.totals['dram_bytes'] for run in runs) / 1024:,.1f}",
            f"{microjoules(network, session):,.1f}",
            f"{decibels(wanted, found):.1f}",
            _right(one, found),
        )
    yield (
        one.name,
        "TVM's CPU",
        "float",
        "",
        "",
        "",
        f"{decibels(wanted, weights):.1f}",
        _right(one, weights),
    )


def _right(one: Subject, outputs: Array) -> str:
    if one.labels is None:
        return ""
    return f"{100 * np.mean(outputs.reshape(len(outputs), -1).argmax(axis=1) == one.labels):.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ["fashion_dense", "fashion_pattern"]
    parser.add_argument("--networks", nargs="+", default=names)
    parser.add_argument("--images", type=int, default=256)
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|---|---|" + "---:|" * (len(COLUMNS) - 3))
    for name in args.networks:
        for row in rows(subject(name, args.images)):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
