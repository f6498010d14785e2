"""Cambricon-X over DianNao: fully connected layers, which the bus limits, and convolutions.

The publication's average of 7.23 over DianNao is not reproduced: which layers of which networks it
is over, and the bandwidth, are not published.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.published.layers import (
    PublishedLayer,
    alexnet,
    target,
    timing,
    vgg16,
    with_array,
)
from benchmarks.published.row import PublishedRow, data, within
from zeroskip.accel_model.formats.step import INDEX_BITS
from zeroskip.accel_model.spec import AccelSpec

SEED = 0
WEIGHT_BITS = 16  # as published
CONNECTED = {  # inputs, outputs
    "AlexNet fc6": ("han_alexnet_w_outact", "fc6", 9216, 4096),
    "VGG-16 fc6": ("han_vgg16_w_outact", "fc6", 25088, 4096),
}
FILTERS = 256  # of a fully connected layer that are drawn: the others are like them
REGRESSION = {  # of our own: the publication has no figure for convolutions that can be read off
    ("AlexNet", 3): 3.352,
    ("AlexNet", 1): 2.583,
    ("VGG-16", 3): 2.785,
    ("VGG-16", 1): 2.098,
}


def rows() -> list[PublishedRow]:
    return [*(_connected(name) for name in CONNECTED), *_convolutions()]


def _connected(name: str) -> PublishedRow:
    """Published: the ratio of the bits of all weights and of those stored, 16 / (density x (16 +
    index bits)). Ours: of the cycles of two modelled accelerators, each the longer of bus and
    array."""
    densities, key, inputs, outputs = CONNECTED[name]
    density = data("densities")[densities][key][0]
    published = WEIGHT_BITS / (density * (WEIGHT_BITS + INDEX_BITS))
    layer = PublishedLayer(name, inputs, min(outputs, FILTERS), 1, 1, density=density)
    sparse, dense = target("cambricon_x"), target("diannao")
    matrix = layer.random_weights(np.random.default_rng(SEED))
    ours = _cycles(dense, layer, np.ones_like(matrix)) / _cycles(sparse, layer, matrix)
    figure = f"{name}, {density:.0%} of the weights, x DianNao"
    return PublishedRow("Cambricon-X", figure, published, ours, within(published, 0.02))


def _cycles(spec: AccelSpec, layer: PublishedLayer, matrix: np.ndarray) -> float:
    """The longer of the time that the packed streams take on the bus, and that of the array."""
    raw, _ = spec.format.pack(matrix, layer.shape, np.arange(len(matrix)))
    return max(len(raw) / spec.dram.bytes_per_cycle, timing(spec, layer, matrix).cycles)


def _convolutions() -> list[PublishedRow]:
    """Array cycles of all convolutions. DianNao takes one tap at a time, so that the three channels
    of AlexNet's first layer are three of its 16 inputs."""
    regressions = []
    for (network, windows), expected in REGRESSION.items():
        layers = {"AlexNet": alexnet, "VGG-16": vgg16}[network]()
        ours = _speedup(with_array(target("cambricon_x"), windows=windows), layers)
        apart = "in step" if windows == 1 else f"up to {windows - 1} windows apart"
        figure = f"{network} convolutions, elements {apart}, x DianNao (regression)"
        regressions.append(PublishedRow("Cambricon-X", figure, None, ours, within(expected, 0.001)))
    return regressions


def _speedup(spec: AccelSpec, layers: Iterable[PublishedLayer]) -> float:
    dense, rng = target("diannao"), np.random.default_rng(SEED)
    total = np.zeros(2)
    for layer in layers:
        matrix = layer.random_weights(rng)
        cycles = (timing(dense, layer, np.ones_like(matrix)), timing(spec, layer, matrix))
        total += [layer.groups * taken.cycles for taken in cycles]
    return float(total[0] / total[1])
