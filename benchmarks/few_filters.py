"""Convolutions of few filters by themselves: cycles x the layer's bound, and what the rest is lost
to.

    python -m benchmarks.few_filters [--targets sparse256 FILE.toml ...] [--layers TEXT] [--causes]

Integer layers with seeded weights, of 1 to 32 filters, padded to outputs of the input's size; input
and output are in DRAM. The bound is the layer's own (docs/GUIDE.md, "Bounds"). Each target has the
weights that it is made for. ``--causes``: of each layer, the three largest.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import ConvLayer, QTensor
from zeroskip.runtime.analysis.report import LayerReport, region_report

Int8 = npt.NDArray[np.int8]
FILTERS = (1, 2, 4, 8, 16, 32)
CHANNELS = (16, 32, 64, 256)
SHAPES = {  # kernel, image
    "1x1, 56x56": ((1, 1), (56, 56)),
    "3x3, 56x56": ((3, 3), (56, 56)),
    "5x5, 56x56": ((5, 5), (56, 56)),
    "1x1, 224x224": ((1, 1), (224, 224)),
    "3x3, 224x224": ((3, 3), (224, 224)),
    "9, 4096": ((9,), (4096,)),
}
WIDE = 64  # channels of the largest images, at most: 256 of them are 12 MiB
TARGETS = {"dense256": ("dense",), "sparse256": ("dense", "50 %", "75 %"), "pattern256": ("dense",)}
TARGETS |= {"nm256": ("2 of 4",), "kang256": ("8 of 16",)}
KEPT = {"dense": (1, 1), "50 %": (1, 2), "75 %": (1, 4), "2 of 4": (2, 4), "8 of 16": (8, 16)}


@dataclass(frozen=True)
class Case:
    """A convolution. kernel, image: sizes of each spatial axis; weights: of ``KEPT``."""

    kernel: tuple[int, ...]
    image: tuple[int, ...]
    channels: int
    filters: int
    weights: str

    def weight(self) -> Int8:
        """int8 [filters, channels, *kernel]: of a share any are left, of N of M the largest of each
        M neighbouring channels."""
        rng = np.random.default_rng([self.channels, self.filters, *self.kernel])
        shape = (self.filters, self.channels, *self.kernel)
        made = rng.integers(1, 128, shape) * rng.choice((-1, 1), shape)
        kept, of = KEPT[self.weights]
        if "of" in self.weights:
            groups = np.abs(made).reshape(self.filters, -1, of, *self.kernel)
            rank = np.argsort(np.argsort(-groups, axis=2), axis=2)
            made[(rank >= kept).reshape(shape)] = 0
        elif kept < of:
            made.reshape(-1)[rng.permutation(made.size)[made.size * kept // of :]] = 0
        found: Int8 = made.astype(np.int8)
        return found

    def graph(self) -> LayerGraph:
        """The layer by itself."""
        x, y = (QTensor((1, n, *self.image), "int8", 0) for n in (self.channels, self.filters))
        layer = ConvLayer(
            x=x,
            y=y,
            weight=self.weight(),
            bias=np.zeros(self.filters, np.int32),
            mult=np.ones(self.filters, np.int32),
            shift=np.ones(self.filters, np.int32),
            strides=(1,) * len(self.kernel),
            padding=tuple(size // 2 for size in self.kernel) * 2,
            dilation=(1,) * len(self.kernel),
            groups=1,
            lo=-128,
            hi=127,
        )
        return LayerGraph(
            "layer", ("x",), ("y",), (Node("conv", layer, ("x",), "y"),), {"x": x, "y": y}
        )


def measured(case: Case, spec: AccelSpec) -> LayerReport:
    """The only layer of the report."""
    region = lower(case.graph())
    program = emit_region(region, spec, plan_region(region, spec))
    return region_report(Machine(spec).run(program, {}, numbers=False), program).layers[0]


def causes(layer: LayerReport) -> str:
    """The three largest, in cycles x the bound."""
    largest = sorted(layer.lost.items(), key=lambda each: -each[1])[:3]
    shares = [(name, lost / layer.bound) for name, lost in largest]
    return ", ".join(f"{name} {share:.2f}" for name, share in shares if share >= 0.05)


def channels_of(image: tuple[int, ...]) -> Iterator[int]:
    """Those that are measured on an image."""
    yield from (c for c in CHANNELS if c <= WIDE or np.prod(image) < 10_000)


def rows(target: str, weights: str, only: str, why: bool) -> Iterator[str]:
    """A row for each shape and number of channels."""
    spec = load_spec(target)
    for name, (kernel, image) in SHAPES.items():
        for channels in channels_of(image) if only in name else ():
            cells = []
            for filters in FILTERS:
                layer = measured(Case(kernel, image, channels, filters, weights), spec)
                cells.append(f"{layer.x_bound:.2f} {layer.limit}")
                if why:
                    cells[-1] += f" ({layer.schedule}; {causes(layer)})"
            yield f"| {spec.name} | {weights} | {name} | {channels} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--targets", nargs="+", default=list(TARGETS), help="names or TOML files")
    asked.add_argument("--layers", default="", help="only shapes with this text, as '3x3'")
    asked.add_argument("--causes", action="store_true", help="what cycles are lost to")
    given = asked.parse_args()
    print(f"{date.today()}, {platform.machine()}\n")
    print("| target | weights | layer | channels | " + " | ".join(map(str, FILTERS)) + " |")
    print("|---|---|---|---:|" + "---:|" * len(FILTERS))
    started = time.process_time()
    for target in given.targets:
        for weights in TARGETS.get(Path(target).stem, ("dense",)):
            for row in rows(target, weights, given.layers, given.causes):
                print(row, flush=True)
    print(f"{time.process_time() - started:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
