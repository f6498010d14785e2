"""Layers that were read as Relax: the integer module that is compiled, and a float one beside it.

The float module computes what the integers stand for, in units of each tensor's own step (its scale
is 1), and rounds nowhere but at its outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import (
    CPU_ATTR,
    FLOATS_ATTR,
    INPUTS_ATTR,
    NODES_ATTR,
    OUTPUTS_ATTR,
    SCALES_ATTR,
)
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.integer.layers import MOVES
from zeroskip.relay_passes.integer.relax_functions import (
    BOUNDS,
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    Layer,
    LookupLayer,
    MaxPoolLayer,
    MultiplyLayer,
    QTensor,
    RequantizeLayer,
    build,
    identifier,
    write_move,
)
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.relax.rewriting import bind, function_in, make_const
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.tensors import Activation

_MOVED = "it orders a tensor otherwise than layers do, channels first"


def write_modules(
    reader: Reader, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[tvm.IRModule, tvm.IRModule]:
    """The integer module (as QuantizeInt8 leaves one) and the float module."""
    if not reader.building.made:
        raise FrontError("The TOSA text holds no layer: give a network with one.")
    return _Writer(reader, inputs, outputs, real=False).module(), _Writer(
        reader, inputs, outputs, real=True
    ).module()


class _Writer:
    def __init__(
        self, reader: Reader, inputs: Sequence[str], outputs: Sequence[str], *, real: bool
    ) -> None:
        self._reader, self._inputs, self._outputs, self._real = reader, inputs, outputs, real
        self._builder = relax.BlockBuilder()
        self._taken: set[str] = set()
        self._named: set[str] = set()
        self._known: dict[Activation, Any] = {}
        self._names: dict[Activation, str] = {}
        self._nodes: dict[str, str] = {}
        self._cpu: dict[str, str] = {}

    def module(self) -> tvm.IRModule:
        builder, leaving = self._builder, self._reader.outputs
        params = []
        for name, each in zip(self._inputs, self._reader.inputs, strict=True):
            word = unused_name(_identifier(name), self._taken)
            params.append(relax.Var(word, relax.TensorType(each.shape, each.dtype)))
            builder.get_unique_name(word)
            self._names[each] = word
        with function_in(builder, "main", params):
            with builder.dataflow():
                for param, each in zip(params, self._reader.inputs, strict=True):
                    self._known[each] = self._entering(param, each) if self._real else param
                for each in self._reader.building.made:
                    self._emit(each, each in leaving and not self._real)
                results = [self._leaving(each) for each in leaving]
            builder.emit_func_output(results[0] if len(results) == 1 else relax.Tuple(results))
        module = builder.finalize()
        main = relax.analysis.remove_all_unused(module["main"])
        attrs: dict[str, Any] = {
            INPUTS_ATTR: list(self._inputs),
            OUTPUTS_ATTR: list(self._outputs),
            NODES_ATTR: self._nodes,
        }
        if not self._real:
            attrs[CPU_ATTR] = self._cpu
            attrs[SCALES_ATTR] = {
                str(self._known[each].name): f"scale=1 zp={each.zero}" for each in self._known
            }
        module.update_func(module.get_global_var("main"), main.with_attrs(attrs))
        return module

    def _emit(self, made: Activation, leaves: bool) -> None:
        node = unused_name(made.label, self._named)
        name = unused_name(_identifier(node), self._taken)
        self._names[made] = name
        args = [self._known[each] for each in made.sources]
        if made.layer is None:
            value = args[0]
            for kind, numbers in made.steps[:-1]:
                value = self._step(value, kind, numbers, node)
            value = _turned(value, *made.steps[-1])
            self._cpu[node] = _MOVED
        elif self._real:
            value = _REAL[type(made.layer)](self._part, tensors_of(made), args)
        else:
            floats = [(self._names[x], 1.0, x.zero) for x in (*made.sources, made)]
            layer = build(tensors_of(made), node).with_attr(FLOATS_ATTR, json.dumps(floats))
            function = self._builder.add_func(layer, f"int8_{identifier(node)}")
            value = tvm.ir.Call(function, args)
        self._known[made] = bind(self._builder, value, name, output=leaves)
        self._nodes[name] = node

    def _step(self, value: Any, kind: str, numbers: tuple[int, ...], node: str) -> Any:
        name = unused_name(f"{_identifier(node)}_{kind}", self._taken)
        self._nodes[name] = node
        return bind(self._builder, _turned(value, kind, numbers), name)

    def _part(self, value: Any) -> Any:
        """An operation within the float form of a layer."""
        return self._builder.emit(value)

    def _entering(self, param: Any, each: Activation) -> Any:
        zero = make_const(np.array(each.zero, each.dtype))
        real = relax.op.dequantize(param, _one(), zero, axis=-1, out_dtype="float32")
        name = unused_name(f"{param.name}_real", self._taken)
        self._names[each] = name
        return bind(self._builder, real, name)

    def _leaving(self, each: Activation) -> Any:
        value = self._known[each]
        if not self._real:
            return (
                value
                if not isinstance(value, relax.DataflowVar)
                else self._builder.emit_output(value)
            )
        zero = make_const(np.array(each.zero, each.dtype))
        result = relax.op.quantize(value, _one(), zero, axis=-1, out_dtype=each.dtype)
        return self._builder.emit_output(result)


def tensors_of(made: Activation) -> Layer:
    """The layer with the tensors that it reads and makes."""
    layer: Any = made.layer
    xs = [QTensor(x.shape, x.dtype, x.zero) for x in made.sources]
    y = QTensor(made.shape, made.dtype, made.zero)
    if isinstance(layer, ConcatLayer):
        return replace(layer, xs=tuple(xs), y=y)
    if isinstance(layer, AddLayer | MultiplyLayer):
        return replace(layer, a=xs[0], b=xs[1], y=y)
    found: Layer = replace(layer, x=xs[0], y=y)
    return found


def _identifier(name: str) -> str:
    word = identifier(name)
    return word if word and not word[0].isdigit() and word != "main" else f"n_{word}"


def _one() -> Any:
    return make_const(np.float32(1))


def _turned(value: Any, kind: str, numbers: tuple[int, ...]) -> Any:
    if kind == "turn":
        return relax.op.permute_dims(value, list(numbers))
    return relax.op.reshape(value, numbers)


# The layers on real values, less their zero points.

_Emit = Callable[[Any], Any]


def _clipped(emit: _Emit, value: Any, layer: Any) -> Any:
    zero = layer.y.zero_point
    return relax.op.clip(emit(value), float(layer.lo - zero), float(layer.hi - zero))


def _scales(layer: ConvLayer | DenseLayer) -> Any:
    return layer.mult.astype(np.float64) / np.exp2(layer.shift.astype(np.float64))


def _real_conv(emit: _Emit, layer: ConvLayer, args: Sequence[Any]) -> Any:
    scale, rank = _scales(layer), layer.weight.ndim
    weight = layer.weight * scale.reshape(-1, *(1,) * (rank - 1))
    conv = getattr(relax.op.nn, f"conv{rank - 2}d")
    total = emit(
        conv(
            args[0],
            make_const(weight.astype(np.float32)),
            strides=list(layer.strides),
            padding=list(layer.padding),
            dilation=list(layer.dilation),
            groups=layer.groups,
        )
    )
    bias = (layer.bias * scale).astype(np.float32).reshape(1, -1, *(1,) * (rank - 2))
    return _clipped(emit, relax.op.add(total, make_const(bias)), layer)


def _real_dense(emit: _Emit, layer: DenseLayer, args: Sequence[Any]) -> Any:
    scale = _scales(layer)
    weight = (layer.weight * scale[:, None]).T.astype(np.float32)
    total = emit(relax.op.matmul(args[0], make_const(np.ascontiguousarray(weight))))
    bias = make_const((layer.bias * scale).astype(np.float32))
    return _clipped(emit, relax.op.add(total, bias), layer)


def _times(value: Any, mult: int, shift: int) -> Any:
    return relax.op.multiply(value, make_const(np.float32(mult / 2.0**shift)))


def _real_add(emit: _Emit, layer: AddLayer, args: Sequence[Any]) -> Any:
    terms = [
        emit(_times(x, mult, layer.shift))
        for x, mult in zip(args, (layer.mult_a, layer.mult_b), strict=True)
    ]
    return _clipped(emit, relax.op.add(*terms), layer)


def _real_product(emit: _Emit, layer: MultiplyLayer, args: Sequence[Any]) -> Any:
    product = emit(relax.op.multiply(*args))
    return _clipped(emit, _times(product, layer.mult, layer.shift), layer)


def _real_average(emit: _Emit, layer: AvgPoolLayer, args: Sequence[Any]) -> Any:
    pool = getattr(relax.op.nn, f"avg_pool{len(layer.kernel)}d")
    mean = emit(
        pool(
            args[0],
            pool_size=list(layer.kernel),
            strides=list(layer.strides),
            padding=list(layer.padding),
            count_include_pad=True,
        )
    )
    area = int(np.prod(layer.kernel))
    return _clipped(emit, _times(mean, layer.mult * area, layer.shift), layer)


def _real_largest(emit: _Emit, layer: MaxPoolLayer, args: Sequence[Any]) -> Any:
    pool = getattr(relax.op.nn, f"max_pool{len(layer.kernel)}d")
    best = pool(
        args[0],
        pool_size=list(layer.kernel),
        strides=list(layer.strides),
        padding=list(layer.padding),
        dilation=list(layer.dilation),
    )
    return _clipped(emit, best, layer)


def _real_requantize(emit: _Emit, layer: RequantizeLayer, args: Sequence[Any]) -> Any:
    return _clipped(emit, _times(args[0], layer.mult, layer.shift), layer)


def _real_lookup(emit: _Emit, layer: LookupLayer, args: Sequence[Any]) -> Any:
    """What the table has for the nearest integer: between its entries nothing is known."""
    zero_x, zero_y = layer.x.zero_point, layer.y.zero_point
    low, high = BOUNDS[layer.x.dtype]
    nearest = emit(relax.op.clip(args[0], float(low - zero_x), float(high - zero_x)))
    first = make_const(np.float32(zero_x - low))
    index = emit(relax.op.astype(emit(relax.op.add(emit(relax.op.round(nearest)), first)), "int32"))
    return relax.op.take(make_const(layer.table.astype(np.float32) - zero_y), index, axis=0)


_REAL: dict[type[Layer], Callable[[_Emit, Any, Sequence[Any]], Any]] = {
    ConvLayer: _real_conv,
    DenseLayer: _real_dense,
    AddLayer: _real_add,
    MultiplyLayer: _real_product,
    AvgPoolLayer: _real_average,
    MaxPoolLayer: _real_largest,
    RequantizeLayer: _real_requantize,
    LookupLayer: _real_lookup,
    **dict.fromkeys(MOVES, write_move),
}
