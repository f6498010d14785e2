"""SCNN (ISCA 2017) against its dense relative DCNN, and against itself skipping one operand.

Masks are random, of the densities in ``densities.json``: weights and inputs that are not zero lie
anywhere with equal probability. Layers of GoogLeNet between 3a and 5b have densities between theirs,
branch by branch, in equal steps: those in between are not published as numbers. Times are of
convolutions on the array alone, a layer at a time, as the paper's simulator has them.

Rules: "Kc 8" is the description as published. "Kc by accumulators" lets a group have as many
filters, up to 256, as there are accumulators for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.published.row import Accepted, Row, below, data, near, within
from zeroskip.accel_model.arrays.base import Case, FilterSet, Timing
from zeroskip.accel_model.arrays.dcnn import DcnnGeometry
from zeroskip.accel_model.formats import Shape, canonical
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.accel_model.timing.shape import WindowShape

SEED = 2017
MODULES = {  # of GoogLeNet: inputs, size, and outputs of 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool
    "3a": (192, 28, 64, 96, 128, 16, 32, 32),
    "3b": (256, 28, 128, 128, 192, 32, 96, 64),
    "4a": (480, 14, 192, 96, 208, 16, 48, 64),
    "4b": (512, 14, 160, 112, 224, 24, 64, 64),
    "4c": (512, 14, 128, 128, 256, 24, 64, 64),
    "4d": (512, 14, 112, 144, 288, 32, 64, 64),
    "4e": (528, 14, 256, 160, 320, 32, 128, 128),
    "5a": (832, 7, 256, 160, 320, 32, 128, 128),
    "5b": (832, 7, 384, 192, 384, 48, 128, 128),
}
LATE = ("5a", "5b")
FREE = {"group_filters": 256, "weight_banks": 256}  # Kc by accumulators


@dataclass(frozen=True)
class Layer:
    """A convolution. channels, filters, size (of the input), kernel, stride, pad; densities of
    weights and inputs; groups: it is done so often, with its channels and filters."""

    channels: int
    filters: int
    size: int
    kernel: int
    weights: float
    inputs: float
    stride: int = 1
    pad: int | None = None
    groups: int = 1

    @property
    def window(self) -> WindowShape:
        pad = self.kernel // 2 if self.pad is None else self.pad
        out = (self.size + 2 * pad - self.kernel) // self.stride + 1
        strides = (self.stride, self.stride, 1, 1)
        return WindowShape(
            self.size,
            self.size,
            self.size,
            -pad,
            -pad,
            self.kernel,
            self.kernel,
            *strides,
            out,
            out,
        )


def alexnet() -> list[Layer]:
    """The convolutions; inputs of a layer have the density of the outputs before it."""
    table = data("densities")["han_alexnet_w_outact"]
    shapes = {
        "conv1": (3, 96, 227, 11, 4, 0, 1),
        "conv2": (48, 128, 27, 5, 1, 2, 2),
        "conv3": (256, 384, 13, 3, 1, 1, 1),
        "conv4": (192, 192, 13, 3, 1, 1, 2),
        "conv5": (192, 128, 13, 3, 1, 1, 2),
    }
    layers, before = [], 1.0
    for name, (channels, filters, size, kernel, stride, pad, groups) in shapes.items():
        density, out = table[name]
        layers.append(Layer(channels, filters, size, kernel, density, before, stride, pad, groups))
        before = out
    return layers


def vgg16() -> list[Layer]:
    table = data("densities")["scnn_vgg16"]
    return [Layer(*values) for name, values in table.items() if name != "_fields"]


def googlenet(densities: tuple[float, float] | None = None) -> dict[str, list[Layer]]:
    """The modules; densities: of weights and inputs of all layers, instead of the published."""
    first, last = (data("densities")[f"scnn_googlenet_{name}"] for name in ("3a", "5b"))
    modules = {}
    for number, (name, (inputs, size, one, red3, three, red5, five, pool)) in enumerate(
        MODULES.items()
    ):
        sizes = {
            "pool_proj": (inputs, pool, 1),
            "1x1": (inputs, one, 1),
            "3x3_reduce": (inputs, red3, 1),
            "3x3": (red3, three, 3),
            "5x5_reduce": (inputs, red5, 1),
            "5x5": (red5, five, 5),
        }
        share = number / (len(MODULES) - 1)
        layers = []
        for branch, (channels, filters, kernel) in sizes.items():
            at = [
                (1 - share) * a + share * b
                for a, b in zip(first[branch], last[branch], strict=True)
            ]
            given = densities or (at[4], at[5])
            layers.append(Layer(channels, filters, size, kernel, *given))
        modules[name] = layers
    return modules


def published(kind: str = "scnn", **sizes: int) -> AccelSpec:
    """The description as published, as one of the kinds, with other sizes."""
    spec = load_spec("scnn_isca2017")
    return replace(spec, array=replace(spec.array, kind=kind, **sizes))  # type: ignore[type-var]


def dcnn() -> AccelSpec:
    """As many multipliers in as many PEs."""
    return replace(load_spec("scnn_isca2017"), array=DcnnGeometry("dcnn", 8, 8, 16, 16, 16, 8))


@cache
def timing(spec: AccelSpec, layer: Layer) -> Timing:
    """A layer with random masks, all of it at once."""
    rng = np.random.default_rng([SEED, layer.channels, layer.filters, layer.size, layer.kernel])
    shape = (layer.filters, layer.channels, layer.kernel, layer.kernel)
    weight = np.where(rng.random(shape) < layer.weights, 1, 0).astype(np.int8)
    mask = rng.random((layer.channels, layer.size, layer.size)) < layer.inputs
    case = Case(
        layer.window,
        filter_set(spec, weight),
        0,
        True,
        True,
        inputs=lambda: mask,
    )
    return spec.kind.conv(spec, case)


def filter_set(
    spec: AccelSpec, weight: np.ndarray[tuple[int, ...], np.dtype[np.int8]]
) -> FilterSet:
    """Filters in the order in which the compiler would put them."""
    weights, shape = spec.format, Shape(weight.shape[1], weight.shape[2] * weight.shape[3])
    matrix = canonical(weight)
    counts = weights.stored_counts(matrix, shape, None)
    order = spec.kind.order(spec.array, np.maximum(counts, 1).sum(axis=1, dtype=np.int64))
    matrix = matrix[order]
    return FilterSet(lambda: matrix, shape, order, counts[order], 0, weights)


def cycles(spec: AccelSpec, layers: Iterable[Layer]) -> int:
    return sum(layer.groups * timing(spec, layer).cycles for layer in layers)


def whole(modules: dict[str, list[Layer]]) -> list[Layer]:
    return [layer for layers in modules.values() for layer in layers]


def equal_densities(density: float, spec: AccelSpec) -> float:
    """Times DCNN's speed on GoogLeNet with one density of all weights and inputs."""
    layers = whole(googlenet((density, density)))
    return cycles(dcnn(), layers) / cycles(spec, layers)


def break_even(spec: AccelSpec) -> float:
    """The density of weights and inputs at which SCNN is as fast as DCNN, between two of a grid."""
    grid = (0.7, 0.75, 0.8, 0.85, 0.9, 1.0)
    speeds = [equal_densities(density, spec) for density in grid]
    for low, high, fast, slow in zip(grid, grid[1:], speeds, speeds[1:], strict=False):
        if fast >= 1 >= slow:
            return low + (high - low) * (fast - 1) / (fast - slow)
    return grid[0] if speeds[0] < 1 else grid[-1]


def used(layers: Iterable[Layer]) -> float:
    """Share of SCNN's multipliers that multiply two values that are not zero."""
    taken = [timing(published(), layer) for layer in layers]
    total = sum(each.cycles for each in taken) * published().array.macs
    return sum(each.slots["multiply"] for each in taken) / total


def rows() -> list[Row]:
    """Every figure of the paper that a model of its array can give."""
    networks = {"AlexNet": alexnet(), "GoogLeNet": whole(googlenet()), "VGG-16": vgg16()}
    speeds = {
        name: cycles(dcnn(), layers) / cycles(published(), layers)
        for name, layers in networks.items()
    }
    figures = {"AlexNet": 2.37, "GoogLeNet": 2.19, "VGG-16": 3.52}
    found = [
        Row("SCNN", f"x DCNN, {name}, Kc 8", value, speeds[name], within(value, 0.15))
        for name, value in figures.items()
    ]
    mean = sum(speeds.values()) / len(speeds)
    found.append(Row("SCNN", "x DCNN, mean of the three, Kc 8", 2.7, mean, within(2.7, 0.1)))
    free = published(**FREE)
    at = googlenet((0.4, 0.4))
    scnn = cycles(free, whole(at))
    equal: list[tuple[str, float, float, Accepted]] = [
        (
            "x DCNN, GoogLeNet all dense, Kc by accumulators",
            0.79,
            equal_densities(1.0, free),
            within(0.79, 0.1),
        ),
        (
            "density of break-even, GoogLeNet, Kc by accumulators",
            0.85,
            break_even(free),
            near(0.85, 0.1),
        ),
        (
            "x DCNN, GoogLeNet at .1/.1, Kc by accumulators",
            24,
            equal_densities(0.1, free),
            within(24, 0.1),
        ),
        (
            "SparseW's time, GoogLeNet at .4/.4, Kc by accumulators",
            1.7,
            cycles(published("sparse_w", **FREE), whole(at)) / scnn,
            within(1.7, 0.15),
        ),
        (
            "SparseA's time, GoogLeNet at .4/.4, Kc by accumulators",
            2.6,
            cycles(published("sparse_a", **FREE), whole(at)) / scnn,
            within(2.6, 0.15),
        ),
    ]
    found += [Row("SCNN", *each) for each in equal]
    modules = googlenet()
    found += [
        Row(
            "SCNN",
            f"multipliers used, GoogLeNet {name}, Kc 8",
            None,
            used(modules[name]),
            below(0.2),
        )
        for name in LATE
    ]
    return found
