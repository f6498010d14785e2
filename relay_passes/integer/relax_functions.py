"""Integer layers as Relax functions, and back.

``build`` writes a layer as one private Relax function: attributes ``Composite = "zeroskip.<kind>"``
and ``zeroskip.node``, and a body that computes the layer in ordinary integer Relax ops, which TVM
compiles for llvm: it is the reference. ``read_layer`` is the exact inverse. Nothing else in the
project recognises an integer layer by its ops.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from zeroskip.relay_passes.attrs import COMPOSITE_ATTR, NODE_ATTR, ZERO_POINT_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.fixed_point import SUMS, DType
from zeroskip.relay_passes.integer.layers import (
    BOUNDS,
    KEEPS_SCALE,
    KINDS,
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
    quantize_multiplier,
)
from zeroskip.relay_passes.integer.relax_body import (
    BodyReader,
    BodyWriter,
    along_channels,
    constant,
)
from zeroskip.relay_passes.relax.rewriting import function_in

__all__ = [
    "BOUNDS",
    "COMPOSITE_ATTR",
    "KINDS",
    "MAX_SHIFT",
    "NODE_ATTR",
    "SUMS",
    "AddLayer",
    "AvgPoolLayer",
    "ConcatLayer",
    "ConvLayer",
    "DType",
    "DenseLayer",
    "DepthToSpaceLayer",
    "GatherLayer",
    "Layer",
    "LookupLayer",
    "MaxPoolLayer",
    "MultiplyLayer",
    "QTensor",
    "RequantizeLayer",
    "ReshapeLayer",
    "build",
    "composite",
    "identifier",
    "is_integer_layer",
    "kind_of",
    "quantize_multiplier",
    "read_layer",
    "write_layer",
    "write_move",
]

_PREFIX = "zeroskip."

_CENTRE = ("astype", "subtract")
_SCALE = ("astype", "multiply")
_ROUND = ("add", "right_shift", "add", "maximum", "minimum", "astype")
_EVEN = (
    *("add", "right_shift", "right_shift", "bitwise_and", "add", "add", "right_shift"),
    *("add", "maximum", "minimum", "astype"),
)
_AFFINE = ("add", *_SCALE, *_ROUND)


def build(layer: Layer, node: str) -> relax.Function:
    """The layer as a private Relax function of its inputs, marked as made by ONNX node ``node``."""
    attrs: dict[str, Any] = {COMPOSITE_ATTR: composite(layer.kind), NODE_ATTR: node}
    if isinstance(layer, KEEPS_SCALE):
        attrs[ZERO_POINT_ATTR] = layer.y.zero_point
    params = [
        relax.Var(f"x{i}", relax.TensorType(x.shape, x.dtype)) for i, x in enumerate(layer.inputs)
    ]
    builder = relax.BlockBuilder()
    with function_in(builder, "layer", params, attrs=attrs, private=True):
        with builder.dataflow():
            result = builder.emit_output(write_layer(layer, builder, params))
        builder.emit_func_output(result)
    return builder.get()["layer"]


def write_layer(layer: Layer, builder: relax.BlockBuilder, args: Sequence[Any]) -> Any:
    """Emit the layer's ops on ``args`` into the open block, all but the last: it is returned."""
    return _BODIES[type(layer)].write(BodyWriter(builder), layer, args)


def write_move(emit: Callable[[Any], Any], layer: Layer, args: Sequence[Any]) -> Any:
    """The ops of a layer of ``MOVES`` on ``args`` of any type, all but the last by ``emit``."""
    write: Callable[[Any, Layer, Sequence[Any]], Any] = _BODIES[type(layer)].write
    return write(emit, layer, args)


def identifier(node: str) -> str:
    """What functions and variables made for an ONNX node are called."""
    return re.sub(r"\W+", "_", node, flags=re.ASCII).strip("_")


def composite(kind: str) -> str:
    """What a function of this kind has as its attribute ``Composite``."""
    return _PREFIX + kind


def kind_of(function: Any) -> str:
    """The kind of an integer layer's function, "" for any other function."""
    attrs: Any = getattr(function, "attrs", None)
    name = str(attrs.get(COMPOSITE_ATTR, "")) if attrs else ""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""


def is_integer_layer(function: Any) -> bool:
    """Whether the function is one that ``build`` made."""
    return bool(kind_of(function))


def read_layer(function: relax.Function) -> Layer:
    """The layer whose ``build`` made this function; PassError when a pass has rewritten it."""
    kind = next((kind for kind in KINDS if kind.kind == kind_of(function)), None)
    if kind is None:
        raise PassError(f"a function of kind '{kind_of(function)}' is not an integer layer")
    return _BODIES[kind].read(BodyReader(function))


@dataclass(frozen=True)
class _Body:
    """How a kind is written in Relax ops and read back."""

    write: Callable[[BodyWriter, Any, Sequence[Any]], Any]
    read: Callable[[BodyReader], Layer]


def _conv(rank: int) -> tuple[str, Any]:
    """Name and op of the convolution of a tensor of ``rank`` dims."""
    name = f"conv{rank - 2}d"
    return f"nn.{name}", getattr(relax.op.nn, name)


def _write_affine(emit: BodyWriter, acc: Any, layer: ConvLayer | DenseLayer) -> Any:
    wide = SUMS[layer.x.dtype].dtype
    acc = emit(relax.op.add(acc, along_channels(layer.bias, len(acc.ty.shape), wide)))
    scaled = emit.scaled(acc, layer.mult)
    return emit.rounded(scaled, layer.shift, layer.lo, layer.hi, layer.y)


def _read_affine(body: BodyReader) -> dict[str, Any]:
    zero_x, _, bias, mult, _, shift, zero_y, lo, hi = body.constants
    return {
        "x": body.input(0, int(zero_x)),
        "y": body.output(int(zero_y)),
        "bias": bias.reshape(-1).astype(np.int32),
        "mult": mult.reshape(-1).astype(np.int32),
        "shift": shift.reshape(-1).astype(np.int32),
        "lo": int(lo),
        "hi": int(hi),
    }


def _write_conv(emit: BodyWriter, layer: ConvLayer, args: Sequence[Any]) -> Any:
    _, conv = _conv(len(layer.x.shape))
    acc = conv(
        emit.centred(args[0], layer.x.zero_point),
        constant(layer.weight, "int8"),
        strides=list(layer.strides),
        padding=list(layer.padding),
        dilation=list(layer.dilation),
        groups=layer.groups,
        out_dtype=SUMS[layer.x.dtype].dtype,
    )
    return _write_affine(emit, emit(acc), layer)


def _read_conv(body: BodyReader) -> ConvLayer:
    name, _ = _conv(len(body.function.params[0].ty.shape))
    body.expect((*_CENTRE, name, *_AFFINE), constants=9)
    attrs = body.calls[2].attrs
    return ConvLayer(
        weight=body.constants[1],
        strides=_ints(attrs.strides),
        padding=_ints(attrs.padding),
        dilation=_ints(attrs.dilation),
        groups=int(attrs.groups),
        **_read_affine(body),
    )


def _write_dense(emit: BodyWriter, layer: DenseLayer, args: Sequence[Any]) -> Any:
    x = emit.centred(args[0], layer.x.zero_point)
    acc = emit(relax.op.matmul(x, constant(layer.weight.T, "int8"), SUMS[layer.x.dtype].dtype))
    return _write_affine(emit, acc, layer)


def _read_dense(body: BodyReader) -> DenseLayer:
    body.expect((*_CENTRE, "matmul", *_AFFINE), constants=9)
    return DenseLayer(weight=np.ascontiguousarray(body.constants[1].T), **_read_affine(body))


def _write_add(emit: BodyWriter, layer: AddLayer, args: Sequence[Any]) -> Any:
    a = emit.scaled(emit.centred(args[0], layer.a.zero_point), layer.mult_a)
    b = emit.scaled(emit.centred(args[1], layer.b.zero_point), layer.mult_b)
    total = emit(relax.op.add(a, b))
    return emit.evened(total, layer.shift, layer.lo, layer.hi, layer.y)


def _read_add(body: BodyReader) -> AddLayer:
    body.expect((*_CENTRE, *_SCALE, *_CENTRE, *_SCALE, "add", *_EVEN), constants=13)
    zero_a, mult_a, zero_b, mult_b, *rest = map(int, body.constants)
    shift, zero_y, lo, hi = _read_even(rest)
    return AddLayer(
        a=body.input(0, zero_a),
        b=body.input(1, zero_b),
        y=body.output(zero_y),
        mult_a=mult_a,
        mult_b=mult_b,
        shift=shift,
        lo=lo,
        hi=hi,
    )


def _write_multiply(emit: BodyWriter, layer: MultiplyLayer, args: Sequence[Any]) -> Any:
    a, b = (
        emit(relax.op.astype(emit.centred(arg, x.zero_point), "int32"))
        for arg, x in zip(args, layer.inputs, strict=True)
    )
    product = emit.scaled(emit(relax.op.multiply(a, b)), layer.mult)
    return emit.evened(product, layer.shift, layer.lo, layer.hi, layer.y)


def _read_multiply(body: BodyReader) -> MultiplyLayer:
    body.expect((*(*_CENTRE, "astype") * 2, "multiply", *_SCALE, *_EVEN), constants=12)
    zero_a, zero_b, mult, *rest = map(int, body.constants)
    shift, zero_y, lo, hi = _read_even(rest)
    a, b, y = body.input(0, zero_a), body.input(1, zero_b), body.output(zero_y)
    return MultiplyLayer(a=a, b=b, y=y, mult=mult, shift=shift, lo=lo, hi=hi)


def _write_avgpool(emit: BodyWriter, layer: AvgPoolLayer, args: Sequence[Any]) -> Any:
    """Relax's integer pooling divides; a depthwise convolution by ones only sums."""
    _, conv = _conv(len(layer.x.shape))
    channels = layer.x.shape[1]
    total = conv(
        emit.centred(args[0], layer.x.zero_point),
        constant(np.ones((channels, 1, *layer.kernel)), "int8"),
        strides=list(layer.strides),
        padding=list(layer.padding),
        groups=channels,
        out_dtype=SUMS[layer.x.dtype].dtype,
    )
    scaled = emit.scaled(emit(total), layer.mult)
    return emit.evened(scaled, layer.shift, layer.lo, layer.hi, layer.y)


def _read_avgpool(body: BodyReader) -> AvgPoolLayer:
    name, _ = _conv(len(body.function.params[0].ty.shape))
    body.expect((*_CENTRE, name, *_SCALE, *_EVEN), constants=12)
    zero_x, ones, *numbers = body.constants
    mult, *rest = map(int, numbers)
    shift, zero_y, lo, hi = _read_even(rest)
    attrs = body.calls[2].attrs
    return AvgPoolLayer(
        x=body.input(0, int(zero_x)),
        y=body.output(zero_y),
        kernel=tuple(ones.shape[2:]),
        strides=_ints(attrs.strides),
        padding=_ints(attrs.padding),
        mult=mult,
        shift=shift,
        lo=lo,
        hi=hi,
    )


def _read_even(numbers: Sequence[int]) -> tuple[int, int, int, int]:
    """Shift, zero point, lo and hi from the constants of ``BodyWriter.evened``."""
    _half, dropped, kept, _one, _below_half, _kept, zero_y, lo, hi = numbers
    return dropped + kept, zero_y, lo, hi


def _write_maxpool(emit: BodyWriter, layer: MaxPoolLayer, args: Sequence[Any]) -> Any:
    pool = getattr(relax.op.nn, f"max_pool{len(layer.kernel)}d")
    best = pool(
        args[0],
        pool_size=list(layer.kernel),
        strides=list(layer.strides),
        padding=list(layer.padding),
        dilation=list(layer.dilation),
    )
    return emit.clipped(emit(best), layer.lo, layer.hi, layer.x.dtype)


def _read_maxpool(body: BodyReader) -> MaxPoolLayer:
    rank = len(body.function.params[0].ty.shape) - 2
    body.expect((f"nn.max_pool{rank}d", "maximum", "minimum"), constants=2)
    attrs = body.calls[0].attrs
    return MaxPoolLayer(
        x=body.input(0),
        y=body.output(),
        kernel=_ints(attrs.pool_size),
        strides=_ints(attrs.strides),
        padding=_ints(attrs.padding),
        dilation=_ints(attrs.dilation),
        lo=int(body.constants[0]),
        hi=int(body.constants[1]),
    )


def _write_requantize(emit: BodyWriter, layer: RequantizeLayer, args: Sequence[Any]) -> Any:
    v = emit.scaled(emit.centred(args[0], layer.x.zero_point), layer.mult)
    return emit.evened(v, layer.shift, layer.lo, layer.hi, layer.y)


def _read_requantize(body: BodyReader) -> RequantizeLayer:
    body.expect((*_CENTRE, *_SCALE, *_EVEN), constants=11)
    zero_x, mult, *rest = map(int, body.constants)
    shift, zero_y, lo, hi = _read_even(rest)
    x, y = body.input(0, zero_x), body.output(zero_y)
    return RequantizeLayer(x=x, y=y, mult=mult, shift=shift, lo=lo, hi=hi)


def _write_lookup(emit: BodyWriter, layer: LookupLayer, args: Sequence[Any]) -> Any:
    """The zero points are in it: the index is counted from x's, and the table from y's."""
    zero_x, zero_y = layer.x.zero_point, layer.y.zero_point
    index = emit.centred(args[0], zero_x)
    index = emit(relax.op.add(index, constant(zero_x - BOUNDS[layer.x.dtype][0], "int16")))
    index = emit(relax.op.astype(index, "int32"))
    centred = layer.table.astype(np.int16) - zero_y
    found = emit(relax.op.take(constant(centred, "int16"), index, axis=0))
    found = emit(relax.op.add(found, constant(zero_y, "int16")))
    return relax.op.astype(found, layer.y.dtype)


def _read_lookup(body: BodyReader) -> LookupLayer:
    body.expect((*_CENTRE, "add", "astype", "take", "add", "astype"), constants=4)
    zero_x, _first, centred, zero_y = body.constants
    y = body.output(int(zero_y))
    table = (centred + zero_y).astype(y.dtype)
    return LookupLayer(x=body.input(0, int(zero_x)), y=y, table=table)


def _write_concat(emit: BodyWriter, layer: ConcatLayer, args: Sequence[Any]) -> Any:
    return relax.op.concat(list(args), axis=layer.axis)


def _read_concat(body: BodyReader) -> ConcatLayer:
    body.expect(("concat",), constants=0)
    xs = tuple(body.input(i) for i in range(len(body.function.params)))
    return ConcatLayer(xs=xs, y=body.output(), axis=int(body.calls[0].attrs.axis))


def _write_reshape(emit: BodyWriter, layer: ReshapeLayer, args: Sequence[Any]) -> Any:
    return relax.op.reshape(args[0], layer.y.shape)


def _read_reshape(body: BodyReader) -> ReshapeLayer:
    body.expect(("reshape",), constants=0)
    return ReshapeLayer(x=body.input(0), y=body.output())


def _write_gather(emit: BodyWriter, layer: GatherLayer, args: Sequence[Any]) -> Any:
    value = args[0]
    picked = [(axis, at) for axis, at in enumerate(layer.indices, 1) if at is not None]
    for number, (axis, at) in enumerate(picked):
        value = relax.op.take(emit(value) if number else value, constant(at, "int64"), axis, "clip")
    return value


def _read_gather(body: BodyReader) -> GatherLayer:
    count = len(body.calls)
    body.expect(("take",) * count, constants=count)
    x, y = body.input(0), body.output()
    indices: list[tuple[int, ...] | None] = [None] * (len(x.shape) - 1)
    for call, at in zip(body.calls, body.constants, strict=True):
        indices[int(call.attrs.axis) - 1] = _ints(at.tolist())
    return GatherLayer(x=x, y=y, indices=tuple(indices))


def _write_depth_to_space(emit: BodyWriter, layer: DepthToSpaceLayer, args: Sequence[Any]) -> Any:
    """Its channels as [*block, C], each block dim moved behind the spatial dim that it widens."""
    rank, (batch, _, *spatial) = len(layer.block), layer.x.shape
    apart = emit(relax.op.reshape(args[0], (batch, *layer.block, layer.y.shape[1], *spatial)))
    order = [axis for each in range(rank) for axis in (rank + 2 + each, 1 + each)]
    woven = emit(relax.op.permute_dims(apart, [0, rank + 1, *order]))
    return relax.op.reshape(woven, layer.y.shape)


def _read_depth_to_space(body: BodyReader) -> DepthToSpaceLayer:
    body.expect(("reshape", "permute_dims", "reshape"), constants=0)
    x, y = body.input(0), body.output()
    block = tuple(wide // size for wide, size in zip(y.shape[2:], x.shape[2:], strict=True))
    return DepthToSpaceLayer(x=x, y=y, block=block)


def _ints(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


_BODIES: dict[type[Layer], _Body] = {
    ConvLayer: _Body(_write_conv, _read_conv),
    DenseLayer: _Body(_write_dense, _read_dense),
    AddLayer: _Body(_write_add, _read_add),
    MultiplyLayer: _Body(_write_multiply, _read_multiply),
    AvgPoolLayer: _Body(_write_avgpool, _read_avgpool),
    MaxPoolLayer: _Body(_write_maxpool, _read_maxpool),
    RequantizeLayer: _Body(_write_requantize, _read_requantize),
    LookupLayer: _Body(_write_lookup, _read_lookup),
    ConcatLayer: _Body(_write_concat, _read_concat),
    ReshapeLayer: _Body(_write_reshape, _read_reshape),
    GatherLayer: _Body(_write_gather, _read_gather),
    DepthToSpaceLayer: _Body(_write_depth_to_space, _read_depth_to_space),
}
