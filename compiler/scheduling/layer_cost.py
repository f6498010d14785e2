"""Cycles of a float layer on a target, as the search for schedules estimates them.

What a budget of cycles shares out (``relay_passes.pruning.budget.allocate``): the layer is
quantized, lowered and scheduled as the compiler would do it, with the zeros that its weights have.
A layer that is bound by the memory bus therefore gains nothing from more of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.cost_model import TileContext
from zeroskip.compiler.scheduling.fusion import search_of
from zeroskip.relay_passes.integer.layers import ConvLayer, DenseLayer, Layer, QTensor
from zeroskip.relay_passes.pruning.budget.sensitivity import Cost, Site

Floats = npt.NDArray[np.floating]


def cycles_on(spec: AccelSpec) -> Cost:
    """The cost of layers on a target: estimated cycles, 0 for one that stays on the CPU because the
    accelerator does not take it or it does not fit."""
    check = supports(spec)

    def cycles(site: Site, weight: Floats) -> float:
        layer = _integer(site, weight)
        if layer is None or check(layer) is not None:
            return 0.0
        node = Node(site.layer.node, layer, ("x",), "y")
        graph = LayerGraph("layer", ("x",), ("y",), (node,), {"x": layer.inputs[0], "y": layer.y})
        costs = [_estimate(op, spec) for op in lower(graph).ops]
        return 0.0 if None in costs else float(sum(cost for cost in costs if cost is not None))

    return cycles


def _integer(site: Site, weight: Floats) -> Layer | None:
    """The layer in int8, one image at a time: weights scaled by filter, other numbers arbitrary.
    None if no integer layer is like it."""
    rank = 2 + len(site.im2col.kernel)
    if len(site.inputs) != rank:
        return None  # a matmul of more than one row for each image
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = np.where(largest > 0, largest, 1).reshape(-1, *(1,) * (weight.ndim - 1))
    x, y = (QTensor((1, *shape[1:]), "int8", 0) for shape in (site.inputs, site.outputs))
    given: dict[str, Any] = {
        "x": x,
        "y": y,
        "weight": np.rint(weight / scale * 127).astype(np.int8),
        "lo": -128,
        "hi": 127,
        "bias": np.zeros(len(weight), np.int32),
        "mult": np.ones(len(weight), np.int32),
        "shift": np.ones(len(weight), np.int32),
    }
    if not site.im2col.kernel:
        return DenseLayer(**given)
    begins, ends = zip(*site.im2col.padding, strict=True)
    return ConvLayer(
        **given,
        strides=site.im2col.strides,
        dilation=site.im2col.dilation,
        padding=(*begins, *ends),
        groups=site.im2col.groups,
    )


def _estimate(op: ops.Op, spec: AccelSpec) -> float | None:
    """Cycles of an operation by itself; None if it does not fit."""
    ranked = search_of(op, spec).ranked(TileContext(op.y.spatial[0], spec.act_rows), 1)
    return ranked[0].cost.alone(spec.dram.latency_cycles) if ranked else None
