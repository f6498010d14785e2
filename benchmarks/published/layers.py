"""Convolutional layers by their shape alone, and their time on an array without memories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.published.row import data
from zeroskip.accel_model.arrays.base import Case, FilterSet, Timing
from zeroskip.accel_model.formats import Shape, WeightFormat
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.accel_model.timing.shape import WindowShape

Rng = np.random.Generator
Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True)
class PublishedLayer:
    """A convolution, or a fully connected layer with one output position.

    name: in its network.
    channels, filters: of each of its groups.
    size: output rows, and columns.
    kernel: taps of an axis.
    stride: input pixels from one output to the next.
    groups: equal parts that do not see each other.
    density: share of weights that are not zero.
    """

    name: str
    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1
    density: float = 1.0

    @property
    def shape(self) -> Shape:
        return Shape(self.channels, self.kernel**2)

    @property
    def macs(self) -> int:
        """Of all groups."""
        return self.groups * self.filters * self.shape.entries * self.size**2

    def window(self) -> WindowShape:
        """Unpadded: all inputs are there."""
        wide = (self.size - 1) * self.stride + self.kernel
        taps = (self.kernel, self.kernel)
        strides = (self.stride, self.stride)
        return WindowShape(wide, wide, wide, 0, 0, *taps, *strides, 1, 1, self.size, self.size)

    def random_weights(self, rng: Rng) -> Int8:
        """int8 [filters, entries]: ones at random places, of one group."""
        shape = (self.filters, self.shape.entries)
        return (rng.random(shape) < self.density).astype(np.int8)


ALEXNET = (  # Krizhevsky et al., NIPS 2012
    PublishedLayer("conv1", 3, 96, 55, 11, 4),
    PublishedLayer("conv2", 48, 128, 27, 5, groups=2),
    PublishedLayer("conv3", 256, 384, 13, 3),
    PublishedLayer("conv4", 192, 192, 13, 3, groups=2),
    PublishedLayer("conv5", 192, 128, 13, 3, groups=2),
)


def alexnet() -> Iterator[PublishedLayer]:
    """Its convolutions with the weight densities of Han et al. (NIPS 2015)."""
    densities = data("densities")["han_alexnet_w_outact"]
    for layer in ALEXNET:
        yield replace(layer, density=densities[layer.name][0])


def vgg16() -> Iterator[PublishedLayer]:
    """Its convolutions with the weight densities of Han et al."""
    densities = data("densities")
    for name, shape in densities["scnn_vgg16"].items():
        if name != "_fields":
            channels, filters, size, kernel = shape[:4]
            density = densities["han_vgg16_w_outact"][name][0]
            yield PublishedLayer(name, channels, filters, size, kernel, density=density)


def target(name: str) -> AccelSpec:
    """An accelerator as published: a TOML file of this folder."""
    return load_spec(str(Path(__file__).parent / f"{name}.toml"))


def with_array(spec: AccelSpec, **changes: Any) -> AccelSpec:
    """The accelerator with other numbers of its array."""
    array: Any = spec.array
    return replace(spec, array=replace(array, **changes))


def filter_set(matrix: Int8, shape: Shape, weights: WeightFormat) -> FilterSet:
    """Filters in the order of their channels, stored in a format."""
    return FilterSet(
        lambda: matrix,
        shape,
        np.arange(len(matrix), dtype=np.int32),
        weights.stored_counts(matrix, shape, None),
        0,
        weights,
    )


def timing(
    spec: AccelSpec,
    layer: PublishedLayer,
    matrix: Int8,
    mode: int = 0,
    weights: WeightFormat | None = None,
) -> Timing:
    """Of one group of a layer, all its filters and outputs in one ``conv``.

    weights: another format than the kind's own.
    """
    filters = filter_set(matrix, layer.shape, weights or spec.format)
    return spec.kind.conv(spec, Case(layer.window(), filters, mode, True, True))
