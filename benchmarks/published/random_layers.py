"""Convolutions with random masks of published densities, and their times on an array alone.

Weights and inputs that are not zero lie anywhere with equal probability, by ``densities.json``.
Layers of GoogLeNet between 3a and 5b have densities between theirs, branch by branch, in equal
steps: those in between are not published as numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.published.row import data
from zeroskip.accel_model.arrays.base import Case, FilterSet, Timing
from zeroskip.accel_model.formats import Shape, to_reduction_order
from zeroskip.accel_model.spec import AccelSpec
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


@dataclass(frozen=True)
class RandomLayer:
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


def alexnet() -> list[RandomLayer]:
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
        layers.append(
            RandomLayer(channels, filters, size, kernel, density, before, stride, pad, groups)
        )
        before = out
    return layers


def vgg16() -> list[RandomLayer]:
    table = data("densities")["scnn_vgg16"]
    return [RandomLayer(*values) for name, values in table.items() if name != "_fields"]


def googlenet(densities: tuple[float, float] | None = None) -> dict[str, list[RandomLayer]]:
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
            layers.append(RandomLayer(channels, filters, size, kernel, *given))
        modules[name] = layers
    return modules


@cache
def timing(spec: AccelSpec, layer: RandomLayer) -> Timing:
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
    matrix = to_reduction_order(weight)
    counts = weights.stored_counts(matrix, shape, None)
    order = spec.kind.order(spec.array, np.maximum(counts, 1).sum(axis=1, dtype=np.int64))
    matrix = matrix[order]
    return FilterSet(lambda: matrix, shape, order, counts[order], 0, weights)


def cycles(spec: AccelSpec, layers: Iterable[RandomLayer]) -> int:
    return sum(layer.groups * timing(spec, layer).cycles for layer in layers)


def whole(modules: dict[str, list[RandomLayer]]) -> list[RandomLayer]:
    return [layer for layers in modules.values() for layer in layers]
