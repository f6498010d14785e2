"""How operators compute in another layout: for `onnx_layout`, a rule for each.

A rule takes the walk and a node, and gives the node's results as views of what it makes; or makes
nothing and returns False, and the node stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx

from zeroskip.relay_passes.onnx_graph import Array, attributes, input_name
from zeroskip.relay_passes.onnx_views import (
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
    from zeroskip.relay_passes.onnx_layout import Walk

Rule: TypeAlias = Callable[["Walk", onnx.NodeProto], bool]

_UNARY = ("Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "DequantizeLinear", "Elu", "Erf", "Exp",
          "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Not",
          "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin",
          "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu")
_BROADCAST = ("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
              "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where",
              "Xor")
_QUANTIZERS = ("DequantizeLinear", "QuantizeLinear")
REDUCING = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
             "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare")
MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
ELEMENTWISE = frozenset({*_UNARY, *_BROADCAST})


# ------------------------------------------------------------------------- what only moves data


def moved(walk: Walk, node: onnx.NodeProto) -> tuple[Lazy, View, int] | None:
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
    own = _turned(identity(before), perm)
    view = transposed(lazy.view, perm)
    if view is None:  # not by axes: the one before is made, and this one begins anew
        made = walk.read(lazy, lazy.view)
        lazy, view = Lazy(made, before, identity(before), -1, node, False), own
    return lazy, view, view.size if own.moves else 0


def _hold(walk: Walk, node: onnx.NodeProto) -> bool:
    found = moved(walk, node)
    if found is None:
        return False
    walk.hold(node, *found)
    return True


# ---------------------------------------------------------------------------------- elementwise


def _unary(walk: Walk, node: onnx.NodeProto) -> bool:
    """Any view will do, where the other operands are single constants; else they hold numbers
    along an axis, those of a quantizer."""
    lazy = walk.lazy(node.input[0])
    others = list(filter(None, node.input[1:]))
    sizes = [_size(walk, name) for name in others if name in walk.index.constants]
    if lazy is None or len(sizes) < len(others):
        return False
    if all(size == 1 for size in sizes):
        walk.sink(node, [lazy.source, *node.input[1:]], lazy, [(lazy.shape, lazy.view)],
                  elementwise=True)
        return True
    attrs = attributes(node)
    axes = axes_of(lazy.view, lazy.shape)
    if axes is None or node.op_type not in _QUANTIZERS or attrs.get(
            "block_size", 0):
        return False
    axis = int(attrs.get("axis", 1)) % len(axes.perm)
    _compute(walk, node, lazy, axes, node.input[1:], elementwise=True, axis=axes.perm[axis])
    return True


def _broadcast(walk: Walk, node: onnx.NodeProto) -> bool:
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
    inputs = [_operand(walk, name, each, lazy)
              for name, each in zip(node.input, operands, strict=True)]
    walk.join([each.group for each in lazies])
    walk.sink(node, inputs, lazy, [(target, view)], elementwise=True)
    return True


_Operand: TypeAlias = "str | tuple[Lazy, View] | Array"
_Plan: TypeAlias = "tuple[int, Lazy, Shape, View, list[_Operand]]"


def _plan(walk: Walk, node: onnx.NodeProto, name: str, shape: Shape) -> _Plan | None:
    """What it costs to compute in the layout of this operand's source, and from what."""
    lazy = walk.lazy(name)
    if lazy is None or lazy.view.size != int(np.prod(shape)):
        return None
    view = reshaped(lazy.view, shape)
    axes = axes_of(view, lazy.shape)
    scalars = all(each == name or _size(walk, each) == 1 for each in node.input)
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
    target = _inner(axes, shape)
    return cost, lazy, target, _turned(identity(target), axes.perm), operands


def _plan_flat(walk: Walk, node: onnx.NodeProto, lazy: Lazy, shape: Shape) -> _Plan | None:
    """Of a view that has no axes: constants are written out, other operands are such views too."""
    operands: list[_Operand] = []
    back = inverse(lazy.view, lazy.shape)
    for each in node.input:
        value, other = walk.index.constant(each), walk.lazy(each)
        if value is not None and value.size == 1:
            operands.append(value.reshape(()))
        elif _size(walk, each) == 1 and (single := walk.plain(each, node)).view != lazy.view:
            operands.append((single, reshaped(single.view, ())))
        elif value is not None:
            operands.append(apply(back, np.broadcast_to(value, shape)))
        elif other is not None and (other.view.dims, other.view.perm) == (
                lazy.view.dims, lazy.view.perm):
            operands.append((other, reshaped(identity(other.shape), lazy.shape)))
        else:
            return None
    return 0, lazy, lazy.shape, lazy.view, operands


def _operand(walk: Walk, name: str, operand: _Operand, lazy: Lazy) -> str:
    """What a plan says of an operand, made; its cost is that of the view that it goes with."""
    if isinstance(operand, str):
        return operand
    if isinstance(operand, tuple):
        other, view = operand
        return walk.read(replace(other, group=lazy.group)
                         if other.group < 0 else other, view)
    return walk.constant(name, operand)


def _along(walk: Walk, node: onnx.NodeProto, name: str, axes: Axes, rank: int) -> _Operand | None:
    """An operand, of this rank after broadcasting, in the layout of a source."""
    shape = walk.shape(name) or ()
    full = (1,) * (rank - len(shape)) + shape
    value = walk.index.constant(name)
    if value is not None:
        return value.reshape(full).transpose(axes.inverse)
    lazy = walk.plain(name, node)
    view = transposed(reshaped(lazy.view, full), axes.inverse)
    return None if view is None else (lazy, view)


# -------------------------------------------------------------------------------------- by axis


def _reduce(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    attrs = attributes(node)
    given = _listed(walk, node, "axes", 1)
    if given is None or (not given and attrs.get("noop_with_empty_axes", 0)):
        return False
    rank = len(axes.perm)
    out = sorted({axis % rank for axis in given}) or list(range(rank))
    inner = sorted(axes.perm[axis] for axis in out)
    _reduced(walk, node, lazy, axes, out, bool(attrs.get("keepdims", 1)),
             [walk.constant(node.input[1], np.asarray(inner))] if input_name(node, 1) else [],
             **({"axes": inner} if "axes" in attrs else {}))
    return True


def _choose(walk: Walk, node: onnx.NodeProto) -> bool:
    """ArgMax and ArgMin."""
    found = _by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    attrs = attributes(node)
    axis = int(attrs.get("axis", 0)) % len(axes.perm)
    _reduced(walk, node, lazy, axes, [axis], bool(attrs.get("keepdims", 1)), [],
             axis=axes.perm[axis])
    return True


def _reduced(walk: Walk, node: onnx.NodeProto, lazy: Lazy, layout: Axes, out: Sequence[int],
             kept: bool, others: Sequence[str], **attrs: Any) -> None:
    """Compute a reduction over these axes of the result's layout."""
    inner = [layout.perm[axis] for axis in out]
    shape = [1 if at in inner else size for at, size in enumerate(layout.shape)]
    perm = list(layout.perm)
    if not kept:
        left = [at for at in range(len(shape)) if at not in inner]
        shape = [shape[at] for at in left]
        perm = [left.index(at) for axis, at in enumerate(layout.perm) if axis not in out]
    data = walk.read(lazy, reshaped(identity(lazy.shape), layout.shape))
    walk.sink(node, [data, *others], lazy, [(tuple(shape), _turned(identity(shape), perm))],
              **attrs)


def _softmax(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    axis = int(attributes(node).get("axis", -1)) % len(axes.perm)
    _compute(walk, node, lazy, axes, [], axis=axes.perm[axis])
    return True


def _split(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    axis = int(attributes(node).get("axis", 0)) % len(axes.perm)
    _compute(walk, node, lazy, axes, node.input[1:], axis=axes.perm[axis])
    return True


def _gather(walk: Walk, node: onnx.NodeProto) -> bool:
    """Gather by a list of constant indices: the axis stays one."""
    found = _by_axes(walk, node)
    if found is None or len(walk.shape(node.input[1]) or ()) != 1:
        return False
    lazy, axes = found
    axis = int(attributes(node).get("axis", 0)) % len(axes.perm)
    _compute(walk, node, lazy, axes, node.input[1:], axis=axes.perm[axis])
    return True


def _slice(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    starts = walk.index.shape(node.input[1])
    given = _listed(walk, node, "", 3)
    if found is None or starts is None or given is None:
        return False
    lazy, axes = found
    named = given or list(range(starts[0]))
    inner = np.asarray([axes.perm[axis % len(axes.perm)] for axis in named], np.int64)
    others = [*node.input[1:3], walk.constant(f"{node.name}/axes", inner), *node.input[4:5]]
    _compute(walk, node, lazy, axes, others)
    return True


def _pad(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    amounts = walk.index.constant(input_name(node, 1))
    given = _listed(walk, node, "", 3)
    if found is None or amounts is None or given is None:
        return False
    lazy, axes = found
    rank = len(axes.perm)
    full = np.zeros((2, rank), np.int64)
    full[:, [axis % rank for axis in given] or range(rank)] = amounts.reshape(2, -1)
    pads = walk.constant(f"{node.name}/pads", full[:, axes.inverse].reshape(-1))
    _compute(walk, node, lazy, axes, [pads, *node.input[2:3]])
    return True


def _repeat(walk: Walk, node: onnx.NodeProto) -> bool:
    """Tile."""
    found = _by_axes(walk, node)
    counts = walk.index.constant(input_name(node, 1))
    if found is None or counts is None:
        return False
    lazy, axes = found
    _compute(walk, node, lazy, axes,
             [walk.constant(f"{node.name}/repeats", counts[list(axes.inverse)])])
    return True


def _resize(walk: Walk, node: onnx.NodeProto) -> bool:
    found = _by_axes(walk, node)
    attrs = attributes(node)
    if found is None or "axes" in attrs or attrs.get("keep_aspect_ratio_policy", "stretch") != (
            "stretch") or attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return False
    lazy, axes = found
    others = [""]
    for at in (2, 3):
        value = walk.index.constant(input_name(node, at))
        if input_name(node, at) and (value is None or value.size not in (0, len(axes.perm))):
            return False
        others.append("" if value is None or not value.size else
                      walk.constant(f"{node.name}/{at}", value[list(axes.inverse)]))
    while not others[-1]:
        others.pop()
    _compute(walk, node, lazy, axes, others)
    return True


def _concat(walk: Walk, node: onnx.NodeProto) -> bool:
    """In the layout of one of the parts, if the others are cheaper to have in it."""
    shape = walk.shape(node.output[0])
    if shape is None or any(walk.shape(name) is None for name in node.input):
        return False
    lazies = [lazy for name in dict.fromkeys(node.input) if (lazy := walk.lazy(name))]
    plans: list[tuple[int, int, Axes, list[_Operand]]] = []
    for at, lazy in enumerate(lazies):
        axes = axes_of(lazy.view, lazy.shape)
        parts = [] if axes is None else [
            _along(walk, node, name, axes, len(shape)) for name in node.input]
        known = [part for part in parts if part is not None]
        if axes is not None and len(known) == len(parts):
            plans.append((sum(walk.cost(*part) for part in known if isinstance(part, tuple)), at,
                          axes, known))
    best = min(plans, key=lambda plan: plan[:2], default=None)
    if best is None or best[0] > sum(walk.cost(lazy, lazy.view) for lazy in lazies):
        return False
    _, at, axes, operands = best
    inputs = [_operand(walk, name, part, lazies[at])
              for name, part in zip(node.input, operands, strict=True)]
    walk.join([lazy.group for lazy in lazies])
    target = _inner(axes, shape)
    axis = int(attributes(node)["axis"]) % len(shape)
    walk.sink(node, inputs, lazies[at], [(target, _turned(identity(target), axes.perm))],
              axis=axes.perm[axis])
    return True


def _dense(walk: Walk, node: onnx.NodeProto) -> bool:
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


def _pointwise(walk: Walk, node: onnx.NodeProto, lazy: Lazy) -> bool:
    """A dense layer on every pixel of channels last is a convolution of one pixel, channels
    first."""
    weight, axes = walk.index.constant(node.input[1]), axes_of(lazy.view, lazy.shape)
    if weight is None or weight.ndim != 2 or axes is None or not 3 <= len(axes.perm) <= 5:
        return False
    if axes.perm[0] != 0 or axes.perm[-1] != 1:
        return False
    kernel = walk.constant(node.input[1], weight.T.reshape(
        *weight.shape[::-1], *(1,) * (len(axes.perm) - 2)))
    _compute(walk, node, replace(lazy, planar=True), axes, [kernel], elementwise=True,
             op_type="Conv")
    return True


def _reordered(walk: Walk, name: str, order: View, axis: int) -> str | None:
    """A constant matrix, or one that is dequantized, whose rows (axis 0) or columns go to where
    the order takes them from; None for any other."""
    value, maker = walk.index.constant(name), walk.index.producer.get(name)
    if value is None and maker is not None and maker.op_type == "DequantizeLinear":
        attrs, scale = attributes(maker), walk.index.shape(maker.input[1])
        along = int(attrs.get("axis", 1)) % 2
        value = walk.index.constant(maker.input[0])
        if value is None or attrs.get("block_size", 0) or scale is None or (
                int(np.prod(scale)) != 1 and along == axis):
            return None
        moved = _rows(value, order, axis)
        return None if moved is None else walk.copy(maker, [
            walk.constant(maker.input[0], moved), *maker.input[1:]])
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


# -------------------------------------------------------------------------------------- helpers


def _by_axes(walk: Walk, node: onnx.NodeProto) -> tuple[Lazy, Axes] | None:
    """The view that the node reads first, by its axes."""
    lazy = walk.lazy(node.input[0])
    axes = None if lazy is None else axes_of(lazy.view, lazy.shape)
    if lazy is None or axes is None or any(walk.shape(name) is None for name in node.output):
        return None
    if not all(name in walk.index.constants for name in filter(None, node.input[1:])):
        return None
    return lazy, axes


def _compute(walk: Walk, node: onnx.NodeProto, lazy: Lazy, axes: Axes, others: Sequence[str], *,
             elementwise: bool = False, op_type: str = "", **attrs: Any) -> None:
    """Compute a node that keeps the number of axes, in the source's layout."""
    data = walk.read(lazy, reshaped(identity(lazy.shape), axes.shape))
    shapes = [_inner(axes, walk.shape(name) or ()) for name in node.output]
    walk.sink(node, [data, *others], lazy,
              [(shape, _turned(identity(shape), axes.perm)) for shape in shapes],
              elementwise=elementwise, op_type=op_type, **attrs)


def _inner(axes: Axes, shape: Shape) -> Shape:
    """A shape of the result's layout in the source's."""
    return tuple(shape[axis] for axis in axes.inverse)


def _turned(view: View, perm: Sequence[int]) -> View:
    """`transposed` of a view whose axes are its source's."""
    made = transposed(view, perm)
    assert made is not None
    return made


def _size(walk: Walk, name: str) -> int:
    return int(np.prod(walk.index.shape(name) or (), dtype=np.int64)) if walk.index.shape(
        name) is not None else 0


def _listed(walk: Walk, node: onnx.NodeProto, name: str, place: int) -> list[int] | None:
    """Axes that an attribute or a constant input lists; [] for none, None if not constant."""
    if name and name in (attrs := attributes(node)):
        return [int(axis) for axis in attrs[name]]
    if not input_name(node, place):
        return []
    value = walk.index.constant(node.input[place])
    return None if value is None else [int(axis) for axis in value.reshape(-1)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, _hold),
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(REDUCING, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _choose),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("MatMul", "Gemm"), _dense),
    "Split": _split,
    "Gather": _gather,
    "Slice": _slice,
    "Pad": _pad,
    "Tile": _repeat,
    "Resize": _resize,
    "Concat": _concat,
}
