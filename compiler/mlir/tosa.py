"""Integer layers as TOSA: a function for each layer, in MLIR's generic form.

TOSA's ``conv2d`` with ``rescale`` (``scale32``, ``SINGLE_ROUND``, per channel) and ``clamp`` is our
arithmetic of convolutions (``relay_passes/integer/layers.py``). The rounding to even of additions,
averages and changes of scale has no form in TOSA: it is a ``linalg.generic`` in int64.

A function takes and gives tensors as ONNX orders them, [N, C, *spatial]; TOSA's own order, channels
last, is within it. Inside, activations are int8: a uint8 tensor is moved by 128, zero point included.
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
from zeroskip.relay_passes.integer.layers import (
    BOUNDS,
    MAX_SHIFT,
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
    QTensor,
    RequantizeLayer,
    ReshapeLayer,
)

Array = npt.NDArray[Any]

LEAST, MOST = BOUNDS["int8"]
UNSIGNED = 128  # what a uint8 activation is moved by
LEAST_SHIFT = 2  # that TOSA has
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels last, channels first


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
        return ", ".join(_type(graph.tensors[name]) for name in of)

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
    emit = Operations()
    arguments = [MlirValue(f"%x{i}", x.shape, "i8") for i, x in enumerate(layer.inputs)]
    signed = [
        _moved(emit, value, x.dtype, "int8")
        for value, x in zip(arguments, layer.inputs, strict=True)
    ]
    try:
        result = _moved(emit, _BODIES[type(layer)](emit, layer, *signed), "int8", layer.y.dtype)
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


def _type(tensor: QTensor) -> str:
    return MlirValue("", tensor.shape, "i8").type


def _zero(tensor: QTensor) -> int:
    """The zero point of a tensor within a function."""
    return tensor.zero_point - UNSIGNED * (tensor.dtype == "uint8")


def _limits(layer: Any) -> tuple[int, int]:
    """The clip bounds of a layer within a function."""
    moved = UNSIGNED * (layer.y.dtype == "uint8")
    return layer.lo - moved, layer.hi - moved


def _moved(emit: Operations, x: MlirValue, dtype: str, to: str) -> MlirValue:
    """A tensor of one 8-bit type as the other, by 128; TOSA takes uint8 in ``rescale`` only."""
    if dtype == to:
        return x
    zero = np.array([UNSIGNED], np.uint8).view(np.int8)[0]
    return _rescaled(
        emit,
        x,
        np.array([1 << 30], np.int32),
        np.array([30], np.int8),
        int(zero) if dtype == "uint8" else 0,
        int(zero) if to == "uint8" else 0,
        unsigned=(dtype == "uint8", to == "uint8"),
    )


def _rescaled(
    emit: Operations,
    x: MlirValue,
    mult: Array,
    shift: Array,
    zero_x: int,
    zero_y: int,
    unsigned: tuple[bool, bool] = (False, False),
    element: str = "i8",
) -> MlirValue:
    """``clip(((x - zero_x) * mult + (1 << (shift - 1)) >> shift) + zero_y)``; mult and shift for
    each channel, the last axis, or one for all."""
    operands = [
        x,
        emit.constant(mult.astype(np.int32)),
        emit.constant(shift.astype(np.int8)),
        emit.number(zero_x, f"int{x.element[1:]}"),
        emit.number(zero_y, f"int{element[1:]}"),
    ]
    return emit(
        "tosa.rescale",
        operands,
        x.shape,
        element,
        input_unsigned=str(unsigned[0]).lower(),
        output_unsigned=str(unsigned[1]).lower(),
        per_channel=str(mult.size > 1).lower(),
        rounding_mode="#tosa.rounding_mode<SINGLE_ROUND>",
        scale32="true",
    )


def _clamped(emit: Operations, x: MlirValue, low: int, high: int) -> MlirValue:
    if (low, high) == (LEAST, MOST):
        return x
    return emit("tosa.clamp", [x], x.shape, "i8", max_val=f"{high} : i8", min_val=f"{low} : i8")


# ------------------------------------------------------------------------------- shapes and order


def _reshaped(emit: Operations, x: MlirValue, shape: Sequence[int]) -> MlirValue:
    if tuple(shape) == x.shape:
        return x
    return emit("tosa.reshape", [x, emit.shape(shape)], shape, x.element)


def _transposed(emit: Operations, x: MlirValue, order: Sequence[int]) -> MlirValue:
    shape = [x.shape[axis] for axis in order]
    return emit("tosa.transpose", [x], shape, x.element, perms=integers(order, 32))


def _channels_last(emit: Operations, x: MlirValue) -> MlirValue:
    """[N, C], [N, C, W] or [N, C, H, W] as [N, H, W, C]."""
    return _transposed(emit, _reshaped(emit, x, _planar(x.shape)), LAST)


def _channels_first(emit: Operations, x: MlirValue, shape: Sequence[int]) -> MlirValue:
    return _reshaped(emit, _transposed(emit, x, FIRST), shape)


def _planar(shape: Sequence[int]) -> tuple[int, ...]:
    """[N, C, *spatial] with two spatial dimensions."""
    if len(shape) > 4:
        raise MlirError(
            f"{len(shape) - 2} spatial dimensions: up to 2 are written as TOSA; use --emit=layers "
            "or mlir, and validate against TVM"
        )
    return (*shape[:2], *(1,) * (4 - len(shape)), *shape[2:])


def _pairs(values: Sequence[int], fill: int) -> tuple[int, int]:
    """Numbers of up to two spatial dimensions, of the last two."""
    rows, cols = (*(fill,) * (2 - len(values)), *values)
    return rows, cols


def _windows(
    emit: Operations, x: MlirValue, layer: Any, kernel: Sequence[int], out: Sequence[int]
) -> tuple[MlirValue, list[int], tuple[int, int], tuple[int, int]]:
    """The input, padding (top, bottom, left, right), strides and dilations of windows that divide
    exactly, as TOSA wants them: end padding that no window reaches is left away, then pixels."""
    half = len(layer.padding) // 2
    strides, dilation = _pairs(layer.strides, 1), _pairs(getattr(layer, "dilation", ()), 1)
    begins, ends = list(_pairs(layer.padding[:half], 0)), list(_pairs(layer.padding[half:], 0))
    sizes = list(x.shape)
    for axis in range(2):
        reach = (out[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        spare = begins[axis] + sizes[1 + axis] + ends[axis] - reach
        if spare >= ends[axis] + sizes[1 + axis]:  # no window reaches a pixel
            x = _padded(emit, x, axis, begins[axis], _zero(layer.x))
            sizes[1 + axis], begins[axis], ends[axis] = reach, 0, 0
        else:
            sizes[1 + axis] -= max(0, spare - ends[axis])
            ends[axis] = max(0, ends[axis] - spare)
    x = _sliced(emit, x, (0, 0, 0, 0), sizes)
    return x, [begins[0], ends[0], begins[1], ends[1]], strides, dilation


def _padded(emit: Operations, x: MlirValue, axis: int, pixels: int, fill: int) -> MlirValue:
    """Rows (axis 0) or columns (1) of ``fill`` before an int8 [N, H, W, C]."""
    amounts = [0] * 8
    amounts[2 * (1 + axis)] = pixels
    shape = list(x.shape)
    shape[1 + axis] += pixels
    operands = [x, emit.shape(amounts), emit.number(fill, "int8")]
    return emit("tosa.pad", operands, shape, x.element)


def _sliced(
    emit: Operations, x: MlirValue, start: Sequence[int], sizes: Sequence[int]
) -> MlirValue:
    if tuple(sizes) == x.shape:
        return x
    return emit("tosa.slice", [x, emit.shape(start), emit.shape(sizes)], sizes, x.element)


# ---------------------------------------------------------------------------------------- layers


def _conv(emit: Operations, layer: ConvLayer, x: MlirValue) -> MlirValue:
    out = _planar(layer.y.shape)
    weight = layer.weight.reshape(_planar(layer.weight.shape))
    x, padding, strides, dilation = _windows(
        emit, _channels_last(emit, x), layer, weight.shape[2:], out[2:]
    )
    attributes = {
        "acc_type": "i32",
        "dilation": integers(dilation),
        "pad": integers(padding),
        "stride": integers(strides),
    }
    zeros = [emit.number(_zero(layer.x), "int8"), emit.number(0, "int8")]
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
            part = _sliced(emit, x, (0, 0, 0, group * channels), (*x.shape[:3], channels))
            held = emit.constant(weight[mine].transpose(0, 2, 3, 1))
            operands = [part, held, emit.constant(layer.bias[mine]), *zeros]
            sums.append(
                emit("tosa.conv2d", operands, (out[0], *out[2:], share), "i32", **attributes)
            )
        acc = _joined(emit, sums, 3)
    return _channels_first(emit, _requantized(emit, layer, acc), layer.y.shape)


def _dense(emit: Operations, layer: DenseLayer, x: MlirValue) -> MlirValue:
    """A convolution of one pixel."""
    held = emit.constant(layer.weight[:, None, None, :])
    operands = [
        _reshaped(emit, x, (x.shape[0], 1, 1, x.shape[1])),
        held,
        emit.constant(layer.bias),
        emit.number(_zero(layer.x), "int8"),
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
    return _reshaped(emit, _requantized(emit, layer, acc), layer.y.shape)


def _requantized(emit: Operations, layer: ConvLayer | DenseLayer, acc: MlirValue) -> MlirValue:
    mult, shift = _normalised(layer.mult, layer.shift)
    acc = _saturated(emit, layer, acc, shift)
    scaled = _rescaled(emit, acc, mult, shift, 0, _zero(layer.y))
    return _clamped(emit, scaled, *_limits(layer))


def _normalised(mult: Array, shift: Array) -> tuple[Array, Array]:
    """The same scales with multipliers of 31 bits, or with the largest shift there is.

    TOSA scales sums below 2^(shift - 1) only (``apply_scale_32``): for these every sum that does
    not end at a limit anyway is. Its shifts begin at 2; by what would need 1, a scale of 2^29 or
    more, every sum but 0 ends at a limit, and so it does by 2^28.
    """
    room = 30 - np.floor(np.log2(np.maximum(mult, 1))).astype(np.int64)
    more = np.where(mult == 0, MAX_SHIFT, np.minimum(room, MAX_SHIFT - shift.astype(np.int64)))
    moved = np.where(mult == 0, MAX_SHIFT, shift + more)
    wide = mult.astype(np.int64) << np.where(mult == 0, 0, more)
    steep = moved < LEAST_SHIFT
    return np.where(steep, 1 << 30, wide), np.where(steep, LEAST_SHIFT, moved)


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
    out = _planar(layer.y.shape)
    kernel = _pairs(layer.kernel, 1)
    x, padding, strides, _ = _windows(emit, _channels_last(emit, x), layer, kernel, out[2:])
    channels = x.shape[3]
    operands = [
        x,
        emit.constant(np.ones((*kernel, channels, 1), np.int8)),
        emit.constant(np.zeros(channels, np.int32)),
        emit.number(_zero(layer.x), "int8"),
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
        emit, [(total, 0, layer.mult)], layer.shift, _zero(layer.y), *_limits(layer)
    )
    return _channels_first(emit, y, layer.y.shape)


def _maxpool(emit: Operations, layer: MaxPoolLayer, x: MlirValue) -> MlirValue:
    out = _planar(layer.y.shape)
    kernel = _pairs(layer.kernel, 1)
    x, padding, strides, dilation = _windows(emit, _channels_last(emit, x), layer, kernel, out[2:])
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
    return _channels_first(emit, _clamped(emit, best, *_limits(layer)), layer.y.shape)


def _add(emit: Operations, layer: AddLayer, a: MlirValue, b: MlirValue) -> MlirValue:
    terms = [(a, _zero(layer.a), layer.mult_a), (b, _zero(layer.b), layer.mult_b)]
    return rounded_to_even(emit, terms, layer.shift, _zero(layer.y), *_limits(layer))


def _multiply(emit: Operations, layer: MultiplyLayer, a: MlirValue, b: MlirValue) -> MlirValue:
    """In int32, where products of 9 bits fit, then rounded; TOSA's own ``mul`` takes no zero points
    and rounds halves up."""
    one, shift = np.array([1 << 30], np.int32), np.array([30], np.int8)
    wide = [
        _rescaled(emit, x, one, shift, _zero(tensor), 0, element="i32")
        for x, tensor in ((a, layer.a), (b, layer.b))
    ]
    product = emit("tosa.mul", [*wide, emit.number(0, "int8")], a.shape, "i32")
    terms = [(product, 0, layer.mult)]
    return rounded_to_even(emit, terms, layer.shift, _zero(layer.y), *_limits(layer))


def _requantize(emit: Operations, layer: RequantizeLayer, x: MlirValue) -> MlirValue:
    terms = [(x, _zero(layer.x), layer.mult)]
    return rounded_to_even(emit, terms, layer.shift, _zero(layer.y), *_limits(layer))


def _lookup(emit: Operations, layer: LookupLayer, x: MlirValue) -> MlirValue:
    moved = UNSIGNED * (layer.y.dtype == "uint8")
    table = emit.constant((layer.table.astype(np.int16) - moved).astype(np.int8))
    return emit("tosa.table", [x, table], x.shape, "i8")


def _concat(emit: Operations, layer: ConcatLayer, *xs: MlirValue) -> MlirValue:
    return _joined(emit, xs, layer.axis % len(layer.y.shape))


def _joined(emit: Operations, xs: Sequence[MlirValue], axis: int) -> MlirValue:
    if len(xs) == 1:
        return xs[0]
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return emit("tosa.concat", xs, shape, xs[0].element, axis=f"{axis} : i32")


def _reshape(emit: Operations, layer: ReshapeLayer, x: MlirValue) -> MlirValue:
    return _reshaped(emit, x, layer.y.shape)


def _gather(emit: Operations, layer: GatherLayer, x: MlirValue) -> MlirValue:
    for axis, at in enumerate(layer.indices, 1):
        x = x if at is None else _taken(emit, x, axis, at)
    return x


def _taken(emit: Operations, x: MlirValue, axis: int, at: Sequence[int]) -> MlirValue:
    """``tosa.gather`` takes whole rows of [1, K, C]: the axis goes to the front and back again."""
    order = [axis, *(each for each in range(len(x.shape)) if each != axis)]
    front = _transposed(emit, x, order)
    rows = _reshaped(emit, front, (1, front.shape[0], int(np.prod(front.shape[1:]))))
    indices = emit.constant(np.array([at], np.int32))
    taken = emit("tosa.gather", [rows, indices], (1, len(at), rows.shape[2]), x.element)
    made = _reshaped(emit, taken, (len(at), *front.shape[1:]))
    return _transposed(emit, made, [order.index(each) for each in range(len(order))])


def _depth_to_space(emit: Operations, layer: DepthToSpaceLayer, x: MlirValue) -> MlirValue:
    rank, (batch, _, *spatial) = len(layer.block), x.shape
    apart = _reshaped(emit, x, (batch, *layer.block, layer.y.shape[1], *spatial))
    order = [axis for each in range(rank) for axis in (rank + 2 + each, 1 + each)]
    return _reshaped(emit, _transposed(emit, apart, [0, rank + 1, *order]), layer.y.shape)


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
