"""Cases of form ``layers``: integer layers straight into the scheduler.

Options of every step: ``dtype`` (int8), ``zero_point`` (0), ``clip`` (the type's whole range) of
its result. A max pooling and what only moves has the type of what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.campaigns.fuzz_case import FuzzCase, FuzzStep, InvalidCaseError
from tests.campaigns.fuzz_weights import random_scales, random_weight
from tests.compiler.fields import (
    DilatedWindowFields,
    LimitFields,
    Shape,
    WeightFields,
    WindowFields,
)
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.lowering.legality import supports
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.fixed_point import SUMS
from zeroskip.relay_passes.integer.layers import QTensor

Array = npt.NDArray[np.generic]

MOST_WEIGHTS = 1 << 22  # of a layer: of more, a case takes minutes and gigabytes
_some_target_takes = supports(load_spec("sparse256_int16"))  # as wide as there is one


def build_graph(case: FuzzCase) -> LayerGraph:
    """The layers of a case; InvalidCaseError if it describes none."""
    tensors = {name: input_tensor(given) for name, given in case.inputs.items()}
    nodes = []
    for step in case.steps:
        layer = make_layer(step, tensors)
        tensors[step.output] = layer.y
        nodes.append(Node(step.output, layer, step.inputs, step.output))
    if not nodes or set(case.outputs) - {node.output for node in nodes}:
        raise InvalidCaseError("an output is not there")
    return LayerGraph("net", tuple(case.inputs), case.outputs, tuple(nodes), tensors)


def input_tensor(given: Mapping[str, Any]) -> QTensor:
    if min(given["shape"]) < 1:
        raise InvalidCaseError("an empty input")
    return QTensor(tuple(given["shape"]), given.get("dtype", "int8"), given.get("zero_point", 0))


def input_data(case: FuzzCase, graph: LayerGraph) -> dict[str, Array]:
    """Values for each input: ``uniform`` ones, the ends of the range, or the zero point alone."""
    rng = np.random.default_rng(case.data.get("seed", 0))
    kind = case.data.get("kind", "uniform")
    made = {}
    for name in graph.inputs:
        t = graph.tensors[name]
        low, high = layers.BOUNDS[t.dtype]
        values = (
            rng.integers(low, high + 1, t.shape)
            if kind == "uniform"
            else rng.choice([low, high], t.shape)
            if kind == "ends"
            else np.full(t.shape, t.zero_point)
        )
        made[name] = values.astype(t.dtype)
    return made


def make_layer(step: FuzzStep, tensors: Mapping[str, QTensor]) -> layers.Layer:
    """The layer of a step on tensors there are; InvalidCaseError if there is no such layer,
    or none that the accelerator takes."""
    missing = [name for name in step.inputs if name not in tensors]
    if missing:
        raise InvalidCaseError(f"{missing[0]} is not there")
    inputs = [tensors[name] for name in step.inputs]
    try:
        layer = _MAKE[step.kind](step, *inputs)
    except PassError as problem:
        raise InvalidCaseError(str(problem)) from None
    if min(layer.y.shape) < 1:
        raise InvalidCaseError("an empty result")
    refused = _some_target_takes(layer)
    if refused is not None:
        raise InvalidCaseError(refused)
    return layer


def spatial_pads(padding: list[int], rank: int) -> list[tuple[int, int]]:
    """Padding before and after each of the dimensions."""
    return list(zip(padding[:rank], padding[rank:], strict=True))


# ------------------------------------------------------------------------------ each kind's own


def _result(step: FuzzStep, shape: Shape) -> QTensor:
    return QTensor(shape, step.get("dtype", "int8"), step.get("zero_point", 0))


def _limits(step: FuzzStep, y: QTensor) -> LimitFields:
    low, high = step.get("clip", layers.BOUNDS[y.dtype])
    return {"lo": low, "hi": high}


def _window(step: FuzzStep, x: QTensor) -> DilatedWindowFields:
    """Kernel, strides, padding and dilation, one for each spatial dimension."""
    rank = len(x.shape) - 2
    if rank < 1:
        raise InvalidCaseError("a window on a vector")
    given = {
        name: tuple(step.get(name, [fill] * rank * (2 if name == "padding" else 1)))
        for name, fill in (("kernel", 1), ("strides", 1), ("padding", 0), ("dilation", 1))
    }
    if any(
        len(value) != rank * (2 if name == "padding" else 1) or min(value) < (name != "padding")
        for name, value in given.items()
    ):
        raise InvalidCaseError("a window of another rank")
    return {
        "kernel": given["kernel"],
        "strides": given["strides"],
        "padding": given["padding"],
        "dilation": given["dilation"],
    }


def _outputs(x: QTensor, window: DilatedWindowFields) -> Shape:
    """Spatial size of what slides a window over x."""
    pads = spatial_pads(list(window["padding"]), len(x.shape) - 2)
    return tuple(
        (size + sum(pad) - (kernel - 1) * dilation - 1) // stride + 1
        for size, pad, kernel, stride, dilation in zip(
            x.shape[2:], pads, window["kernel"], window["strides"], window["dilation"], strict=True
        )
    )


def _conv(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Options filters, groups ("each": depthwise), zeros, density, extreme, seed and a window's."""
    window = _window(step, x)
    depthwise = step.get("groups", 1) == "each"
    groups = x.shape[1] if depthwise else step.get("groups", 1)
    filters = x.shape[1] if depthwise else step.get("filters", 1)
    if filters < 1 or groups < 1 or x.shape[1] % groups or filters % groups:
        raise InvalidCaseError("groups that do not divide")
    y = _result(step, (1, filters, *_outputs(x, window)))
    return layers.ConvLayer(
        x=x,
        y=y,
        groups=groups,
        strides=window["strides"],
        padding=window["padding"],
        dilation=window["dilation"],
        **_limits(step, y),
        **_weights(step, (filters, x.shape[1] // groups, *window["kernel"]), x),
    )


def _weights(step: FuzzStep, shape: Shape, x: QTensor) -> WeightFields:
    if prod(shape) > MOST_WEIGHTS:
        raise InvalidCaseError("more weights than are quick")
    rng = np.random.default_rng(step.get("seed", 0))
    extreme = step.get("extreme", False)
    weight = random_weight(
        rng, shape, step.get("zeros", "unstructured"), step.get("density", 1), extreme
    )
    return {"weight": weight, **random_scales(rng, weight, extreme, SUMS[x.dtype])}


def _dense(step: FuzzStep, x: QTensor) -> layers.Layer:
    if len(x.shape) != 2 or step.get("filters", 1) < 1:
        raise InvalidCaseError("a dense layer takes a vector")
    y = _result(step, (1, step.get("filters", 1)))
    return layers.DenseLayer(
        x=x, y=y, **_limits(step, y), **_weights(step, (y.shape[1], x.shape[1]), x)
    )


def _add(step: FuzzStep, a: QTensor, b: QTensor) -> layers.Layer:
    """Options mults (a pair) and shift."""
    if a.shape != b.shape and not layers.spreads_over(b.shape, a.shape):
        raise InvalidCaseError("a sum of shapes that do not fit")
    y = _result(step, a.shape)
    mult_a, mult_b = step.get("mults", [1, 1])
    return layers.AddLayer(
        a=a, b=b, y=y, mult_a=mult_a, mult_b=mult_b, shift=step.get("shift", 1), **_limits(step, y)
    )


def _multiply(step: FuzzStep, a: QTensor, b: QTensor) -> layers.Layer:
    """Options mult and shift, else about what spreads a product over 8 bits."""
    if not layers.spreads_over(b.shape, a.shape):
        raise InvalidCaseError("a product of shapes that do not fit")
    y = _result(step, a.shape)
    mult, shift = layers.quantize_multiplier(1 / 150)
    scale = {"mult": step.get("mult", mult), "shift": step.get("shift", shift)}
    return layers.MultiplyLayer(a=a, b=b, y=y, **scale, **_limits(step, y))


def _maxpool(step: FuzzStep, x: QTensor) -> layers.Layer:
    window = _window(step, x)
    y = QTensor((1, x.shape[1], *_outputs(x, window)), x.dtype, x.zero_point)
    return layers.MaxPoolLayer(x=x, y=y, **window, **_limits(step, y))


def _avgpool(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Options mult and shift, else 1 / the kernel's area; ``whole``: one window over everything."""
    window = _window(step, x)
    if "dilation" in step.options:
        raise InvalidCaseError("an average over a dilated window")
    if step.get("whole", False):
        window |= {"kernel": x.shape[2:], "padding": (0,) * len(window["padding"])}
    y = _result(step, (1, x.shape[1], *_outputs(x, window)))
    mult, shift = layers.quantize_multiplier(1 / int(np.prod(window["kernel"])))
    plain: WindowFields = {
        "kernel": window["kernel"],
        "strides": window["strides"],
        "padding": window["padding"],
    }
    return layers.AvgPoolLayer(
        x=x,
        y=y,
        **plain,
        mult=step.get("mult", mult),
        shift=step.get("shift", shift),
        **_limits(step, y),
    )


def _requantize(step: FuzzStep, x: QTensor) -> layers.Layer:
    y = _result(step, x.shape)
    return layers.RequantizeLayer(
        x=x, y=y, mult=step.get("mult", 1), shift=step.get("shift", 1), **_limits(step, y)
    )


def _lookup(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Option table: a seed of 256 random values; else the values in falling order."""
    y = _result(step, x.shape)
    low, high = layers.BOUNDS[y.dtype]
    table = np.arange(high, low - 1, -1)
    if "table" in step.options:
        table = np.random.default_rng(step.options["table"]).integers(low, high + 1, 256)
    return layers.LookupLayer(x=x, y=y, table=table.astype(y.dtype))


def _concat(step: FuzzStep, *xs: QTensor) -> layers.Layer:
    """Option axis: 1, or the same counted from the end."""
    if len({(len(x.shape), *x.shape[2:]) for x in xs}) != 1:
        raise InvalidCaseError("a concatenation of different sizes")
    axis = step.get("axis", 1)
    if axis not in (1, 1 - len(xs[0].shape)):
        raise InvalidCaseError("a concatenation along another axis")
    y = QTensor((1, sum(x.shape[1] for x in xs), *xs[0].shape[2:]), xs[0].dtype, xs[0].zero_point)
    return layers.ConcatLayer(xs=xs, y=y, axis=axis)


def _reshape(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Option shape, without the batch; else a vector."""
    shape = step.get("shape", [int(np.prod(x.shape))])
    if np.prod(shape) != np.prod(x.shape) or len(shape) > 3:
        raise InvalidCaseError("a reshape to another size")
    return layers.ReshapeLayer(x=x, y=QTensor((1, *shape), x.dtype, x.zero_point))


def _gather(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Option indices: for each axis behind the batch which elements, or None."""
    indices = tuple(None if at is None else tuple(at) for at in step.get("indices", []))
    if len(indices) != len(x.shape) - 1 or all(at is None for at in indices):
        raise InvalidCaseError("a gather of other axes")
    for at, size in zip(indices, x.shape[1:], strict=True):
        if at is not None and (not at or min(at) < 0 or max(at) >= size):
            raise InvalidCaseError("a gather outside its tensor")
    sizes = zip(indices, x.shape[1:], strict=True)
    shape = (1, *(size if at is None else len(at) for at, size in sizes))
    y = QTensor(shape, x.dtype, x.zero_point)
    return layers.GatherLayer(x=x, y=y, indices=indices)


def _depth_to_space(step: FuzzStep, x: QTensor) -> layers.Layer:
    """Option block: a number for each spatial dimension."""
    block = tuple(step.get("block", []))
    if len(block) != len(x.shape) - 2 or not block or x.shape[1] % prod(block):
        raise InvalidCaseError("depth to space of other dimensions")
    wide = (size * by for size, by in zip(x.shape[2:], block, strict=True))
    y = QTensor((1, x.shape[1] // prod(block), *wide), x.dtype, x.zero_point)
    return layers.DepthToSpaceLayer(x=x, y=y, block=block)


_MAKE: dict[str, Callable[..., layers.Layer]] = {
    "conv": _conv,
    "dense": _dense,
    "add": _add,
    "multiply": _multiply,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "requantise": _requantize,
    "lookup": _lookup,
    "concat": _concat,
    "reshape": _reshape,
    "gather": _gather,
    "depth2space": _depth_to_space,
}
