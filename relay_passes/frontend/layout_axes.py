"""How operators that name axes compute in another layout; and what all rules of `onnx_layout_rules`
share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import attributes, input_name
from zeroskip.relay_passes.frontend.views import (
    Axes,
    Lazy,
    Shape,
    View,
    axes_of,
    identity,
    reshaped,
    transposed,
)

if TYPE_CHECKING:
    from zeroskip.relay_passes.frontend.layout import LayoutWalk

Rule: TypeAlias = Callable[["LayoutWalk", onnx.NodeProto], bool]

REDUCING = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)
_DEFAULT_AXES = {"Split": 0, "Gather": 0}


def by_axes(walk: LayoutWalk, node: onnx.NodeProto) -> tuple[Lazy, Axes] | None:
    """The view that the node reads first, by its axes."""
    lazy = walk.lazy(node.input[0])
    axes = None if lazy is None else axes_of(lazy.view, lazy.shape)
    if (
        lazy is None
        or axes is None
        or not axes.perm
        or any(walk.shape(name) is None for name in node.output)
    ):
        return None
    if not all(name in walk.index.constants for name in filter(None, node.input[1:])):
        return None
    return lazy, axes


def compute(
    walk: LayoutWalk,
    node: onnx.NodeProto,
    lazy: Lazy,
    axes: Axes,
    others: Sequence[str],
    *,
    elementwise: bool = False,
    op_type: str = "",
    **attrs: Any,
) -> None:
    """Compute a node that keeps the number of axes, in the source's layout."""
    data = walk.read(lazy, reshaped(identity(lazy.shape), axes.shape))
    shapes = [inner(axes, walk.shape(name) or ()) for name in node.output]
    walk.sink(
        node,
        [data, *others],
        lazy,
        [(shape, turned(identity(shape), axes.perm)) for shape in shapes],
        elementwise=elementwise,
        op_type=op_type,
        **attrs,
    )


def inner(axes: Axes, shape: Shape) -> Shape:
    """A shape of the result's layout in the source's."""
    return tuple(shape[axis] for axis in axes.inverse)


def turned(view: View, perm: Sequence[int]) -> View:
    """`transposed` of a view whose axes are its source's."""
    made = transposed(view, perm)
    assert made is not None
    return made


def size(walk: LayoutWalk, name: str) -> int:
    return (
        int(np.prod(walk.index.shape(name) or (), dtype=np.int64))
        if walk.index.shape(name) is not None
        else 0
    )


def listed(walk: LayoutWalk, node: onnx.NodeProto, name: str, place: int) -> list[int] | None:
    """Axes that an attribute or a constant input lists; [] for none, None if not constant."""
    if name and name in (attrs := attributes(node)):
        return [int(axis) for axis in attrs[name]]
    if not input_name(node, place):
        return []
    value = walk.index.constant(node.input[place])
    return None if value is None else [int(axis) for axis in value.reshape(-1)]


def _reduce(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    found = by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    attrs = attributes(node)
    given = listed(walk, node, "axes", 1)
    if given is None or (not given and attrs.get("noop_with_empty_axes", 0)):
        return False
    rank = len(axes.perm)
    out = sorted({axis % rank for axis in given}) or list(range(rank))
    inner = sorted(axes.perm[axis] for axis in out)
    _reduced(
        walk,
        node,
        lazy,
        axes,
        out,
        bool(attrs.get("keepdims", 1)),
        [walk.constant(node.input[1], np.asarray(inner))] if input_name(node, 1) else [],
        **({"axes": inner} if "axes" in attrs else {}),
    )
    return True


def _choose(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """ArgMax and ArgMin."""
    found = by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    attrs = attributes(node)
    axis = int(attrs.get("axis", 0)) % len(axes.perm)
    _reduced(
        walk, node, lazy, axes, [axis], bool(attrs.get("keepdims", 1)), [], axis=axes.perm[axis]
    )
    return True


def _reduced(
    walk: LayoutWalk,
    node: onnx.NodeProto,
    lazy: Lazy,
    layout: Axes,
    out: Sequence[int],
    kept: bool,
    others: Sequence[str],
    **attrs: Any,
) -> None:
    """Compute a reduction over these axes of the result's layout."""
    inner = [layout.perm[axis] for axis in out]
    shape = [1 if at in inner else size for at, size in enumerate(layout.shape)]
    perm = list(layout.perm)
    if not kept:
        left = [at for at in range(len(shape)) if at not in inner]
        shape = [shape[at] for at in left]
        perm = [left.index(at) for axis, at in enumerate(layout.perm) if axis not in out]
    data = walk.read(lazy, reshaped(identity(lazy.shape), layout.shape))
    walk.sink(node, [data, *others], lazy, [(tuple(shape), turned(identity(shape), perm))], **attrs)


def _along_axis(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """What computes along one axis and keeps it."""
    found = by_axes(walk, node)
    if found is None:
        return False
    lazy, axes = found
    axis = int(attributes(node).get("axis", _DEFAULT_AXES.get(node.op_type, -1))) % len(axes.perm)
    compute(walk, node, lazy, axes, node.input[1:], axis=axes.perm[axis])
    return True


def _gather(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """Gather by a list of constant indices: the axis stays one."""
    return len(walk.shape(node.input[1]) or ()) == 1 and _along_axis(walk, node)


def _slice(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    found = by_axes(walk, node)
    starts = walk.index.shape(node.input[1])
    given = listed(walk, node, "", 3)
    if found is None or starts is None or given is None:
        return False
    lazy, axes = found
    named = given or list(range(starts[0]))
    inner = np.asarray([axes.perm[axis % len(axes.perm)] for axis in named], np.int64)
    others = [*node.input[1:3], walk.constant(f"{node.name}/axes", inner), *node.input[4:5]]
    compute(walk, node, lazy, axes, others)
    return True


def _pad(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    found = by_axes(walk, node)
    amounts = walk.index.constant(input_name(node, 1))
    given = listed(walk, node, "", 3)
    if found is None or amounts is None or given is None:
        return False
    lazy, axes = found
    rank = len(axes.perm)
    full = np.zeros((2, rank), np.int64)
    full[:, [axis % rank for axis in given] or range(rank)] = amounts.reshape(2, -1)
    pads = walk.constant(f"{node.name}/pads", full[:, axes.inverse].reshape(-1))
    compute(walk, node, lazy, axes, [pads, *node.input[2:3]])
    return True


def _repeat(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    """Tile."""
    found = by_axes(walk, node)
    counts = walk.index.constant(input_name(node, 1))
    if found is None or counts is None:
        return False
    lazy, axes = found
    compute(
        walk, node, lazy, axes, [walk.constant(f"{node.name}/repeats", counts[list(axes.inverse)])]
    )
    return True


def _resize(walk: LayoutWalk, node: onnx.NodeProto) -> bool:
    found = by_axes(walk, node)
    attrs = attributes(node)
    if (
        found is None
        or "axes" in attrs
        or attrs.get("keep_aspect_ratio_policy", "stretch") != ("stretch")
        or attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    ):
        return False
    lazy, axes = found
    others = [""]
    for at in (2, 3):
        value = walk.index.constant(input_name(node, at))
        if input_name(node, at) and (value is None or value.size not in (0, len(axes.perm))):
            return False
        others.append(
            ""
            if value is None or not value.size
            else walk.constant(f"{node.name}/{at}", value[list(axes.inverse)])
        )
    while not others[-1]:
        others.pop()
    compute(walk, node, lazy, axes, others)
    return True


AXIS_RULES: dict[str, Rule] = {
    **dict.fromkeys(REDUCING, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _choose),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "Split"), _along_axis),
    "Gather": _gather,
    "Slice": _slice,
    "Pad": _pad,
    "Tile": _repeat,
    "Resize": _resize,
}
