"""How operators compute in another layout: for `onnx_layout`, a rule for each.

A rule takes the walk and a node, and gives the node's results as views of what it makes; or makes
nothing and returns False, and the node stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import Array, attributes
from zeroskip.relay_passes.frontend.layout_axes import (
    AXIS_RULES,
    Rule,
    compute,
    inner,
    size,
    turned,
)
from zeroskip.relay_passes.frontend.views import (
    Axes,
    Lazy,
    Shape,
    View,
    apply,
    axes_of,
    identity,
    inverse,
    reshaped,
    row_order,
    transposed,
)

if TYPE_CHECKING:
    from zeroskip.relay_passes.frontend.layout import LayoutWalk

_UNARY = (
    "Abs",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "DequantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "QuantizeLinear",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
)
_BROADCAST = (
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
)
_QUANTIZERS = ("DequantizeLinear", "QuantizeLinear")
MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
ELEMENTWISE = frozenset({*_UNARY, *_BROADCAST})


# ------------------------------------------------------------------------- what only moves data


def moved(walk: LayoutWalk, node: onnx.NodeProto) -> tuple[Lazy, View, int] | None:
    """What a Transpose or Reshape makes, as a view, and how many elements the node itself moves;
    None for other nodes and unknown shapes."""
    if node.op_type not in MOVES:
        return None
    before, after = walk.shape(node.input[0]), walk.shape(node.output[0])
    if before is None or after is None:
        return None
    lazy = walk.plain(node.input[0], node)
    if node.op_type != "Transpose":
        return lazy, reshaped(lazy.view, after), 0
    perm = attributes(node).get("perm", list(range(len(before)))[::-1])
    own = turned(identity(before), perm)
    view = transposed(lazy.view, perm)
    if view is None:  # not by axes: the one before is made, and this one begins anew
        made = walk.read(lazy, lazy.view)
        lazy, view = Lazy(made, before, identity(before), -1, node, False), own
    return lazy, view, view.size if own.moves else 0


def _hold(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    found = moved(walk, node)
    if found is None:
        return False
    walk.hold(node, *found)
    return True


# ---------------------------------------------------------------------------------- elementwise


def _unary(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """Any view will do, where the other operands are single constants; else they hold numbers
    along an axis, those of a quantizer."""
    lazy = walk.lazy(node.input[0])
    others = list(filter(None, node.input[1:]))
    sizes = [size(walk, name) for name in others if name in walk.index.constants]
    if lazy is None or len(sizes) < len(others):
        return False
    if all(size == 1 for size in sizes):
        walk.sink(
            node, [lazy.source, *node.input[1:]], lazy, [(lazy.shape, lazy.view)], elementwise=True
        )
        return True
    attrs = attributes(node)
    axes = axes_of(lazy.view, lazy.shape)
    if axes is None or node.op_type not in _QUANTIZERS or attrs.get("block_size", 0):
        return False
    axis = int(attrs.get("axis", 1)) % len(axes.perm)
    compute(walk, node, lazy, axes, node.input[1:], elementwise=True, axis=axes.perm[axis])
    return True


def _broadcast(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """In the layout of the operand that makes the others cheapest to have; constants are turned."""
    shape = walk.shape(node.output[0])
    if shape is None or any(walk.shape(name) is None for name in node.input):
        return False
    plans = [plan for name in dict.fromkeys(node.input) if (plan := _plan(walk, node, name, shape))]
    best = min(plans, key=lambda plan: plan[0], default=None)
    lazies = [lazy for name in dict.fromkeys(node.input) if (lazy := walk.lazy(name))]
    if best is None or best[0] > sum(walk.cost(lazy, lazy.view) for lazy in lazies):
        return False
    _, lazy, target, view, operands = best
    inputs = [
        _operand(walk, name, each, lazy) for name, each in zip(node.input, operands, strict=True)
    ]
    walk.join([each.group for each in lazies])
    walk.sink(node, inputs, lazy, [(target, view)], elementwise=True)
    return True


_Operand: TypeAlias = "str | tuple[Lazy, View] | Array"
_Plan: TypeAlias = "tuple[int, Lazy, Shape, View, list[_Operand]]"


def _plan(walk: LayoutWalk, node: onnx.NodeProto, name: str, shape: Shape) -> _Plan | None:
    """What it costs to compute in the layout of this operand's source, and from what."""
    lazy = walk.lazy(name)
    if lazy is None or lazy.view.size != int(np.prod(shape)):
        return None
    view = reshaped(lazy.view, shape)
    axes = axes_of(view, lazy.shape)
    scalars = all(each == name or size(walk, each) == 1 for each in node.input)
    if axes is None or scalars:
        return _plan_flat(walk, node, replace(lazy, view=view), shape)
    operands: list[_Operand] = []
    cost = 0
    for each in node.input:
        operand = _along(walk, node, each, axes, len(shape))
        if operand is None:
            return None
        cost += walk.cost(*operand) if isinstance(operand, tuple) else 0
        operands.append(operand)
    target = inner(axes, shape)
    return cost, lazy, target, turned(identity(target), axes.perm), operands


def _plan_flat(walk: LayoutWalk, node: onnx.NodeProto, lazy: Lazy, shape: Shape) -> _Plan | None:
    """Of a view that has no axes: constants are written out, other operands are such views too."""
    operands: list[_Operand] = []
    back = inverse(lazy.view, lazy.shape)
    for each in node.input:
        value, other = walk.known(each), walk.lazy(each)
        if value is not None and value.size == 1:
            operands.append(value.reshape(()))
        elif size(walk, each) == 1 and (single := walk.plain(each, node)).view != lazy.view:
            operands.append((single, reshaped(single.view, ())))
        elif value is not None:
            operands.append(apply(back, np.broadcast_to(value, shape)))
        elif other is not None and (other.view.dims, other.view.perm) == (
            lazy.view.dims,
            lazy.view.perm,
        ):
            operands.append((other, reshaped(identity(other.shape), lazy.shape)))
        else:
            return None
    return 0, lazy, lazy.shape, lazy.view, operands


def _operand(walk: LayoutWalk, name: str, operand: _Operand, lazy: Lazy) -> str:
    """What a plan says of an operand, made; its cost is that of the view that it goes with."""
    if isinstance(operand, str):
        return operand
    if isinstance(operand, tuple):
        other, view = operand
        return walk.read(replace(other, group=lazy.group) if other.group < 0 else other, view)
    return walk.remade(name, operand)


def _along(
    walk: LayoutWalk, node: onnx.NodeProto, name: str, axes: Axes, rank: int
) -> _Operand | None:
    """An operand, of this rank after broadcasting, in the layout of a source."""
    shape = walk.shape(name) or ()
    full = (1,) * (rank - len(shape)) + shape
    value = walk.known(name)
    if value is not None:
        return value.reshape(full).transpose(axes.inverse)
    lazy = walk.plain(name, node)
    view = transposed(reshaped(lazy.view, full), axes.inverse)
    return None if view is None else (lazy, view)


# ----------------------------------------------------------------------------- lists and layers


def _concat(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """In the layout of one of the parts, if the others are cheaper to have in it."""
    shape = walk.shape(node.output[0])
    if shape is None or any(walk.shape(name) is None for name in node.input):
        return False
    lazies = [lazy for name in dict.fromkeys(node.input) if (lazy := walk.lazy(name))]
    plans: list[tuple[int, int, Axes, list[_Operand]]] = []
    for at, lazy in enumerate(lazies):
        axes = axes_of(lazy.view, lazy.shape)
        parts = (
            []
            if axes is None
            else [_along(walk, node, name, axes, len(shape)) for name in node.input]
        )
        known = [part for part in parts if part is not None]
        if axes is not None and len(known) == len(parts):
            plans.append(
                (
                    sum(walk.cost(*part) for part in known if isinstance(part, tuple)),
                    at,
                    axes,
                    known,
                )
            )
    best = min(plans, key=lambda plan: plan[:2], default=None)
    if best is None or best[0] > sum(walk.cost(lazy, lazy.view) for lazy in lazies):
        return False
    _, at, axes, operands = best
    inputs = [
        _operand(walk, name, part, lazies[at])
        for name, part in zip(node.input, operands, strict=True)
    ]
    walk.join([lazy.group for lazy in lazies])
    target = inner(axes, shape)
    axis = int(attributes(node)["axis"]) % len(shape)
    walk.sink(
        node,
        inputs,
        lazies[at],
        [(target, turned(identity(target), axes.perm))],
        axis=axes.perm[axis],
    )
    return True


def _dense(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """The order of the columns goes into the rows of a constant matrix."""
    lazy = walk.lazy(node.input[0])
    attrs = attributes(node)
    if lazy is None or not lazy.view.moves or attrs.get("transA", 0):
        return False
    if len(lazy.view.shape) != 2:
        return _pointwise(walk, node, lazy)
    order = row_order(lazy.view)
    axis = 1 if attrs.get("transB", 0) else 0
    weight = None if order is None else _reordered(walk, node.input[1], order, axis)
    if weight is None:
        return False
    data = walk.read(lazy, reshaped(identity(lazy.shape), lazy.view.shape))
    walk.fold(node, [data, weight, *node.input[2:]])
    return True


def _pointwise(walk: LayoutWalk, node: onnx.NodeProto, lazy: Lazy) -> bool:
    """A dense layer on every pixel of channels last is a convolution of one pixel, channels
    first."""
    weight, axes = walk.index.constant(node.input[1]), axes_of(lazy.view, lazy.shape)
    if weight is None or weight.ndim != 2 or axes is None or not 3 <= len(axes.perm) <= 5:
        return False
    if axes.perm[0] != 0 or axes.perm[-1] != 1:
        return False
    kernel = walk.constant(
        node.input[1], weight.T.reshape(*weight.shape[::-1], *(1,) * (len(axes.perm) - 2))
    )
    compute(
        walk, node, replace(lazy, planar=True), axes, [kernel], elementwise=True, op_type="Conv"
    )
    return True


def _reordered(walk: LayoutWalk, name: str, order: View, axis: int) -> str | None:
    """A constant matrix, or one that is dequantized, whose rows (axis 0) or columns go to where
    the order takes them from; None for any other."""
    value, maker = walk.index.constant(name), walk.index.producer.get(name)
    if value is None and maker is not None and maker.op_type == "DequantizeLinear":
        attrs, scale = attributes(maker), walk.index.shape(maker.input[1])
        along = int(attrs.get("axis", 1)) % 2
        value = walk.index.constant(maker.input[0])
        if (
            value is None
            or attrs.get("block_size", 0)
            or scale is None
            or (int(np.prod(scale)) != 1 and along == axis)
        ):
            return None
        moved = _rows(value, order, axis)
        return (
            None
            if moved is None
            else walk.copy(maker, [walk.constant(maker.input[0], moved), *maker.input[1:]])
        )
    moved = None if value is None else _rows(value, order, axis)
    return None if moved is None else walk.constant(name, moved)


def _rows(value: Array, order: View, axis: int) -> Array | None:
    if value.ndim != 2 or value.shape[axis] != order.size:
        return None
    places = apply(order, np.arange(order.size))
    moved = np.empty_like(value)
    if axis:
        moved[:, places] = value
    else:
        moved[places] = value
    return moved


RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, _hold),
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(("MatMul", "Gemm"), _dense),
    "Concat": _concat,
    **AXIS_RULES,
}
