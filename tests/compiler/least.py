"""What layers need at least, counted from their definitions by looking at every place: multiplies
of a weight that is not zero by an input that is there, inputs that a result depends on, bytes of
weights. Shares no code with what the compiler counts."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import numpy.typing as npt

from tests.accel_model.by_name import nbytes_ideal
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.relay_passes.integer.layers import (
    AddLayer,
    AvgPoolLayer,
    ConvLayer,
    DenseLayer,
    GatherLayer,
    Layer,
    MaxPoolLayer,
    QTensor,
)

Numbers = npt.NDArray[np.int64]


def places(layer: ConvLayer | MaxPoolLayer | AvgPoolLayer) -> Numbers:
    """[C, taps, outputs]: of each channel the element that each tap of each output looks at,
    counted from 1; 0 for padding."""
    channels, *spatial = layer.x.shape[1:]
    kernel = layer.weight.shape[2:] if isinstance(layer, ConvLayer) else layer.kernel
    dilation = getattr(layer, "dilation", (1,) * len(kernel))
    begins, ends = layer.padding[: len(kernel)], layer.padding[len(kernel) :]
    image = 1 + np.arange(channels * prod(spatial)).reshape(channels, *spatial)
    image = np.pad(image, [(0, 0), *zip(begins, ends, strict=True)])
    reach = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
    axes = tuple(range(1, 1 + len(kernel)))
    view = np.lib.stride_tricks.sliding_window_view(image, reach, axis=axes)
    view = view[
        :,
        *(slice(None, None, step) for step in layer.strides),
        *(slice(None, None, step) for step in dilation),
    ]
    assert view.shape[1 : 1 + len(kernel)] == layer.y.shape[2:]
    flat = view.reshape(channels, prod(layer.y.shape[2:]), prod(kernel))
    return flat.swapaxes(1, 2)


def real_macs(layer: Layer) -> int:
    """Multiplies of a weight that is not zero by an input within the image."""
    if isinstance(layer, DenseLayer):
        return int(np.count_nonzero(layer.weight))
    if not isinstance(layer, ConvLayer):
        return permuted(layer)
    there = (places(layer) > 0).sum(axis=2)  # [C, taps]
    held = layer.weight.reshape(*layer.weight.shape[:2], -1) != 0
    of_group, each = len(held) // layer.groups, held.shape[1]
    return sum(
        int((mask * there[k // of_group * each :][:each]).sum()) for k, mask in enumerate(held)
    )


def permuted(layer: Layer) -> int:
    """Multiplies by the ones that bring channels into another order; a slice of them has none."""
    channels = (layer.indices[0] if isinstance(layer, GatherLayer) else None) or (0,)
    apart = any(two - one != 1 for one, two in pairwise(channels))
    return len(channels) * prod(first_input(layer).shape[2:]) if apart else 0


def looked_at(layer: Layer) -> set[int]:
    """Elements of the first input that the result depends on, counted from 1."""
    if isinstance(layer, ConvLayer):
        held = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:]) != 0
        weighed = held.any(axis=1).reshape(layer.x.shape[1], -1)  # [C, taps]
        return set(places(layer)[weighed].ravel().tolist()) - {0}
    if isinstance(layer, MaxPoolLayer | AvgPoolLayer):
        return set(places(layer).ravel().tolist()) - {0}
    if isinstance(layer, GatherLayer):
        every = 1 + np.arange(prod(layer.x.shape)).reshape(layer.x.shape[1:])
        sizes = zip(layer.indices, every.shape, strict=True)
        picked = (np.arange(size) if at is None else np.array(at) for at, size in sizes)
        return set(every[np.ix_(*picked)].ravel().tolist())
    if isinstance(layer, DenseLayer):
        return set((1 + np.flatnonzero(layer.weight.any(axis=0))).tolist())
    return set(range(1, 1 + prod(first_input(layer).shape)))


def first_input(layer: Layer) -> QTensor:
    found: QTensor = layer.a if isinstance(layer, AddLayer) else vars(layer)["x"]
    return found


def needs(graph: LayerGraph, kind: str, node: Node, fused: Node | None) -> tuple[int, int]:
    """Multiplies, and bytes of inputs, weights and outputs, of a node with the addition that is
    computed with it. kind: of the array."""
    seen = {(node.inputs[0], element) for element in looked_at(node.layer)}
    for add in (node, fused):
        if add is not None and isinstance(add.layer, AddLayer):
            seen |= {
                (name, element)
                for name in add.inputs
                if name != node.output
                for element in range(1, 1 + prod(graph.tensors[name].shape))
            }
    moved = len(seen) + prod((fused or node).layer.y.shape) + weight_bytes(node.layer, kind)
    return real_macs(node.layer), moved


def weight_bytes(layer: Layer, kind: str) -> int:
    """In the format of the array, the zeros between groups not counted. Kernels as large as the map
    may be taken for those of a dense layer."""
    if not isinstance(layer, ConvLayer | DenseLayer):
        return 0
    weight = layer.weight
    if kind == "dense" or (
        isinstance(layer, ConvLayer) and 1 < layer.groups == layer.x.shape[1] == len(weight)
    ):
        return weight.size
    if kind == "bitmap":
        return int(np.count_nonzero(weight)) + (weight.size + 7) // 8
    if isinstance(layer, DenseLayer):  # kernels of one weight
        return nbytes_ideal(kind, weight[..., np.newaxis])
    sizes = [nbytes_ideal(kind, weight)]  # test_formats.py counts it
    if weight.shape[2:] == layer.x.shape[2:] and places(layer).all():
        sizes.append(nbytes_ideal(kind, weight.reshape(len(weight), -1, 1)))
    return min(sizes)
