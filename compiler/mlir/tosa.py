"""Integer layers as TOSA: a function for each layer, in MLIR's generic form.

TOSA's ``conv2d`` with ``rescale`` (``scale32``, ``SINGLE_ROUND``, per channel) and ``clamp`` is our
arithmetic of convolutions (``relay_passes/integer/layers.py``). The rounding to even of additions,
averages and changes of scale has no form in TOSA: it is a ``linalg.generic`` in int64.

A function takes and gives tensors as ONNX orders them, [N, C, *spatial]; TOSA's own order, channels
last, is within it. Inside, activations are int8: a uint8 tensor is moved by 128, zero point
included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.mlir.attributes import symbol
from zeroskip.compiler.mlir.linalg import largest_of_windows, rounded_to_even
from zeroskip.compiler.mlir.operations import MlirValue, Operations, integers
from zeroskip.compiler.mlir.program_text import MlirError
from zeroskip.compiler.mlir.tosa_values import (
    UNSIGNED,
    channels_first,
    channels_last,
    clamped,
    joined,
    limits_of,
    moved,
    normalised_scales,
    pairs,
    planar,
    rescaled,
    reshaped,
    sliced,
    taken,
    tensor_type,
    transposed,
    windows,
    zero_of,
)
from zeroskip.relay_passes.integer.layers import (
    BOUNDS,
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    DepthToSpaceLayer,
    GatherLayer,
    Layer,
    LookupLayer,
    MaxPoolLayer,
    MultiplyLayer,
    RequantizeLayer,
    ReshapeLayer,
)

Array = npt.NDArray[Any]


def region_text(graph: LayerGraph) -> str:
    """A region: a private function for each of its layers, and one that calls them in order."""
    names = [f"{graph.name}.{number}" for number in range(len(graph.nodes))]
    parts = [
        f"// {ascii(node.node)[1:-1]}: {node.layer.kind}\n"
        + layer_text(node.layer, name, node.node, private=True)
        for name, node in zip(names, graph.nodes, strict=True)
    ]
    numbers = {name: f"%x{number}" for number, name in enumerate(graph.inputs)}
    index = {node.output: number for number, node in enumerate(graph.nodes)}
    numbers |= {name: f"%{number}" for name, number in index.items()}

    def kinds(of: Sequence[str]) -> str:
        return ", ".join(tensor_type(graph.tensors[name]) for name in of)

    arguments = ", ".join(f"{numbers[name]}: {kinds([name])}" for name in graph.inputs)
    lines = [f"func.func {symbol(graph.name)}({arguments}) -> ({kinds(graph.outputs)}) {{"]
    for node in graph.ordered():
        operands = ", ".join(numbers[name] for name in node.inputs)
        lines.append(
            f"  {numbers[node.output]} = func.call {symbol(names[index[node.output]])}({operands}) "
            f": ({kinds(node.inputs)}) -> {kinds([node.output])}"
        )
    results = ", ".join(numbers[name] for name in graph.outputs)
    return "\n".join([*parts, *lines, f"  return {results} : {kinds(graph.outputs)}", "}", ""])


def layer_text(layer: Layer, name: str, node: str, *, private: bool = False) -> str:
    """The function of a layer; MlirError, which names ``node``, if TOSA cannot express it."""
    if "int16" in (layer.y.dtype, *(x.dtype for x in layer.inputs)):
        raise MlirError(
            f"'{node}': layers of 16-bit activations have no form as TOSA here; compile with "
            "8-bit ones to write it, or to be held to MLIR"
        )
    emit = Operations()
    arguments = [MlirValue(f"%x{i}", x.shape, "i8") for i, x in enumerate(layer.inputs)]
    signed = [
        moved(emit, value, x.dtype, "int8")
        for value, x in zip(arguments, layer.inputs, strict=True)
    ]
    try:
        result = moved(emit, _BODIES[type(layer)](emit, layer, *signed), "int8", layer.y.dtype)
    except MlirError as problem:
        raise MlirError(f"'{node}': {problem}") from None
    given = ", ".join(f"{value.name}: {value.type}" for value in arguments)
    return "\n".join(
        [
            f"func.func {'private ' * private}{symbol(name)}({given}) -> {result.type} {{",
            *(f"  {line}" for line in emit.lines),
            f"  return {result.name} : {result.type}",
            "}",
            "",
        ]
    )


def _conv(emit: Operations, layer: ConvLayer, x: MlirValue) -> MlirValue:
    out = planar(layer.y.shape)
    weight = layer.weight.reshape(planar(layer.weight.shape))
    x, padding, strides, dilation = windows(
        emit, channels_last(emit, x), layer, weight.shape[2:], out[2:]
    )
    attributes = {
        "acc_type": "i32",
        "dilation": integers(dilation),
        "pad": integers(padding),
        "stride": integers(strides),
    }
    zeros = [emit.number(zero_of(layer.x), "int8"), emit.number(0, "int8")]
    filters, channels = weight.shape[:2]
    if channels == 1 and layer.groups == x.shape[3] > 1:
        # TOSA's order: rows, columns, channels, filters of a channel.
        held = emit.constant(
            weight.reshape(layer.groups, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        )
        operands = [x, held, emit.constant(layer.bias), *zeros]
        acc = emit(
            "tosa.depthwise_conv2d", operands, (out[0], *out[2:], filters), "i32", **attributes
        )
    else:
        share = filters // layer.groups
        sums = []
        for group in range(layer.groups):
            mine = slice(group * share, (group + 1) * share)
            part = sliced(emit, x, (0, 0, 0, group * channels), (*x.shape[:3], channels))
            held = emit.constant(weight[mine].transpose(0, 2, 3, 1))
            operands = [part, held, emit.constant(layer.bias[mine]), *zeros]
            sums.append(
                emit("tosa.conv2d", operands, (out[0], *out[2:], share), "i32", **attributes)
            )
        acc = joined(emit, sums, 3)
    return channels_first(emit, _requantized(emit, layer, acc), layer.y.shape)


def _dense(emit: Operations, layer: DenseLayer, x: MlirValue) -> MlirValue:
    """A convolution of one pixel."""
    held = emit.constant(layer.weight[:, None, None, :])
    operands = [
        reshaped(emit, x, (x.shape[0], 1, 1, x.shape[1])),
        held,
        emit.constant(layer.bias),
        emit.number(zero_of(layer.x), "int8"),
        emit.number(0, "int8"),
    ]
    acc = emit(
        "tosa.conv2d",
        operands,
        (x.shape[0], 1, 1, len(layer.bias)),
        "i32",
        acc_type="i32",
        dilation=integers((1, 1)),
        pad=integers((0, 0, 0, 0)),
        stride=integers((1, 1)),
    )
    return reshaped(emit, _requantized(emit, layer, acc), layer.y.shape)


def _requantized(emit: Operations, layer: ConvLayer | DenseLayer, acc: MlirValue) -> MlirValue:
    mult, shift = normalised_scales(layer.mult, layer.shift)
    acc = _saturated(emit, layer, acc, shift)
    scaled = rescaled(emit, acc, mult, shift, 0, zero_of(layer.y))
    return clamped(emit, scaled, *limits_of(layer))


def _saturated(
    emit: Operations, layer: ConvLayer | DenseLayer, acc: MlirValue, shift: Array
) -> MlirValue:
    """Sums within what TOSA scales: those beyond it give the same limits. As they are where no sum
    can be so large."""
    weight = np.abs(layer.weight.reshape(len(shift), -1).astype(np.int64)).sum(axis=1)
    reach = weight * 255 + np.abs(layer.bias.astype(np.int64))
    most = np.minimum((np.int64(1) << (shift - 1)) - 1, BOUNDS["int32"][1])
    if (reach <= most).all():
        return acc
    for name, sign in (("tosa.minimum", 1), ("tosa.maximum", -1)):
        limit = emit.constant((sign * most).astype(np.int32).reshape(1, 1, 1, -1))
        acc = emit(name, [acc, limit], acc.shape, "i32")
    return acc


def _avgpool(emit: Operations, layer: AvgPoolLayer, x: MlirValue) -> MlirValue:
    """Sums by a depthwise convolution with ones: TOSA's average rounds in its own way."""
    out = planar(layer.y.shape)
    kernel = pairs(layer.kernel, 1)
    x, padding, strides, _ = windows(emit, channels_last(emit, x), layer, kernel, out[2:])
    channels = x.shape[3]
    operands = [
        x,
        emit.constant(np.ones((*kernel, channels, 1), np.int8)),
        emit.constant(np.zeros(channels, np.int32)),
        emit.number(zero_of(layer.x), "int8"),
        emit.number(0, "int8"),
    ]
    total = emit(
        "tosa.depthwise_conv2d",
        operands,
        (out[0], *out[2:], channels),
        "i32",
        acc_type="i32",
        dilation=integers((1, 1)),
        pad=integers(padding),
        stride=integers(strides),
    )
    y = rounded_to_even(
        emit, [(total, 0, layer.mult)], layer.shift, zero_of(layer.y), *limits_of(layer)
    )
    return channels_first(emit, y, layer.y.shape)


def _maxpool(emit: Operations, layer: MaxPoolLayer, x: MlirValue) -> MlirValue:
    out = planar(layer.y.shape)
    kernel = pairs(layer.kernel, 1)
    x, padding, strides, dilation = windows(emit, channels_last(emit, x), layer, kernel, out[2:])
    if max(dilation) > 1 or max(padding[:2]) >= kernel[0] or max(padding[2:]) >= kernel[1]:
        best = largest_of_windows(emit, x, padding, kernel, strides, dilation, out[2:])
    else:
        best = emit(
            "tosa.max_pool2d",
            [x],
            (out[0], *out[2:], x.shape[3]),
            "i8",
            kernel=integers(kernel),
            pad=integers(padding),
            stride=integers(strides),
        )
    return channels_first(emit, clamped(emit, best, *limits_of(layer)), layer.y.shape)


def _add(emit: Operations, layer: AddLayer, a: MlirValue, b: MlirValue) -> MlirValue:
    terms = [(a, zero_of(layer.a), layer.mult_a), (b, zero_of(layer.b), layer.mult_b)]
    return rounded_to_even(emit, terms, layer.shift, zero_of(layer.y), *limits_of(layer))


def _multiply(emit: Operations, layer: MultiplyLayer, a: MlirValue, b: MlirValue) -> MlirValue:
    """In int32, where products of 9 bits fit, then rounded; TOSA's own ``mul`` takes no zero points
    and rounds halves up."""
    one, shift = np.array([1 << 30], np.int32), np.array([30], np.int8)
    wide = [
        rescaled(emit, x, one, shift, zero_of(tensor), 0, element="i32")
        for x, tensor in ((a, layer.a), (b, layer.b))
    ]
    product = emit("tosa.mul", [*wide, emit.number(0, "int8")], a.shape, "i32")
    terms = [(product, 0, layer.mult)]
    return rounded_to_even(emit, terms, layer.shift, zero_of(layer.y), *limits_of(layer))


def _requantize(emit: Operations, layer: RequantizeLayer, x: MlirValue) -> MlirValue:
    terms = [(x, zero_of(layer.x), layer.mult)]
    return rounded_to_even(emit, terms, layer.shift, zero_of(layer.y), *limits_of(layer))


def _lookup(emit: Operations, layer: LookupLayer, x: MlirValue) -> MlirValue:
    moved = UNSIGNED * (layer.y.dtype == "uint8")
    table = emit.constant((layer.table.astype(np.int16) - moved).astype(np.int8))
    return emit("tosa.table", [x, table], x.shape, "i8")


def _concat(emit: Operations, layer: ConcatLayer, *xs: MlirValue) -> MlirValue:
    return joined(emit, xs, layer.axis % len(layer.y.shape))


def _reshape(emit: Operations, layer: ReshapeLayer, x: MlirValue) -> MlirValue:
    return reshaped(emit, x, layer.y.shape)


def _gather(emit: Operations, layer: GatherLayer, x: MlirValue) -> MlirValue:
    for axis, at in enumerate(layer.indices, 1):
        x = x if at is None else taken(emit, x, axis, at)
    return x


def _depth_to_space(emit: Operations, layer: DepthToSpaceLayer, x: MlirValue) -> MlirValue:
    rank, (batch, _, *spatial) = len(layer.block), x.shape
    apart = reshaped(emit, x, (batch, *layer.block, layer.y.shape[1], *spatial))
    order = [axis for each in range(rank) for axis in (rank + 2 + each, 1 + each)]
    return reshaped(emit, transposed(emit, apart, [0, rank + 1, *order]), layer.y.shape)


_BODIES: dict[type[Layer], Callable[..., MlirValue]] = {
    ConvLayer: _conv,
    DenseLayer: _dense,
    AddLayer: _add,
    MultiplyLayer: _multiply,
    AvgPoolLayer: _avgpool,
    MaxPoolLayer: _maxpool,
    RequantizeLayer: _requantize,
    LookupLayer: _lookup,
    ConcatLayer: _concat,
    ReshapeLayer: _reshape,
    GatherLayer: _gather,
    DepthToSpaceLayer: _depth_to_space,
}
