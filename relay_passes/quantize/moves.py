"""Float operators that only move data, read as the steps that integer layers take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import const_value, op_name

Shape: TypeAlias = tuple[int, ...]
Indices: TypeAlias = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True)
class Pick:
    """Elements picked along axes: ``indices`` as of ``GatherLayer``."""

    indices: Indices


@dataclass(frozen=True)
class Deepen:
    """Channels that take turns in space, depth first: ``block`` as of ``DepthToSpaceLayer``."""

    block: Shape


@dataclass(frozen=True)
class Flatten:
    """Pixels of blocks as channels, depth first, as ONNX's SpaceToDepth: ``block`` likewise."""

    block: Shape


Step: TypeAlias = Pick | Deepen | Flatten


def step_of(call: Call) -> Pick | None:
    """The step of one operator; None if it is none, or one along the batch."""
    read = _READERS.get(op_name(call) or "")
    return None if read is None or len(_shape(call.args[0])) < 2 else read(call)


def with_step(steps: tuple[Step, ...], more: Pick) -> tuple[Step, ...] | None:
    """The steps and a pick, joined to the pick before it; None if there is none before it."""
    if not steps or not isinstance(steps[-1], Pick):
        return None
    joined = tuple(
        old if new is None else new if old is None else tuple(old[at] for at in new)
        for old, new in zip(steps[-1].indices, more.indices, strict=True)
    )
    return (*steps[:-1], Pick(joined))


def steps_of(calls: Sequence[Call]) -> tuple[Step, ...] | None:
    """The steps of a reshape, a permutation of axes and a reshape back; None if they are others:
    depth to space, space to depth (both with channels or blocks first) and a channel shuffle."""
    apart, turned, joined = calls
    shape, split, made = (_shape(each) for each in (apart.args[0], apart, joined))
    if len(shape) < 3 or len(shape) != len(made) or shape[0] != made[0]:
        return None
    if turned.attrs.axes is None:
        return None
    axes, rank = tuple(int(axis) for axis in turned.attrs.axes), len(shape) - 2
    for read in (_shuffled, _deepened, _flattened):
        found = read(shape, split, axes, rank)
        if found is not None:
            return found if _result(shape, found) == made else None
    return None


def _taken(call: Call) -> Pick | None:
    shape, at = _shape(call.args[0]), const_value(call.args[1])
    if at is None or at.ndim != 1 or call.attrs.axis is None:
        return None
    axis = int(call.attrs.axis) % len(shape)
    values = at.astype(np.int64)
    if str(call.attrs.mode) == "wrap":
        values %= shape[axis]
    elif str(call.attrs.mode) == "clip":
        values = np.clip(values, 0, shape[axis] - 1)
    inside = len(values) and values.min() >= 0 and values.max() < shape[axis]
    return _along(axis, tuple(values.tolist()), len(shape)) if inside else None


def _sliced(call: Call) -> Pick | None:
    shape = _shape(call.args[0])
    numbers = [_numbers(arg) for arg in call.args[1:]]
    if len(numbers) not in (3, 4) or any(each is None for each in numbers):
        return None
    axes, begins, ends, *steps = (list(each or ()) for each in numbers)
    picked: list[tuple[int, ...] | None] = [None] * (len(shape) - 1)
    for axis, begin, end, step in zip(
        axes, begins, ends, steps[0] if steps else [1] * len(axes), strict=True
    ):
        chosen = tuple(range(*slice(begin, end, step).indices(shape[axis])))
        if chosen == tuple(range(shape[axis])):
            continue
        if axis % len(shape) == 0 or not chosen:
            return None
        picked[axis % len(shape) - 1] = chosen
    if all(each is None for each in picked):
        picked[0] = tuple(range(shape[1]))  # a slice of everything is a view
    found = Pick(tuple(picked))
    return found if _result(shape, [found]) == _shape(call) else None


def _numbers(expr: relax.Expr) -> list[int] | None:
    """The integers of a tuple of attributes."""
    fields = getattr(expr, "fields", None)
    if fields is None or not all(hasattr(each, "value") for each in fields):
        return None
    return [int(each.value) for each in fields]


def _along(axis: int, chosen: tuple[int, ...], rank: int) -> Pick | None:
    if axis == 0:
        return None
    return Pick(tuple(chosen if each == axis else None for each in range(1, rank)))


def _channels(order: np.ndarray, rank: int) -> tuple[Step, ...]:
    """The step that puts channels in another order; none where it is the order that they have."""
    if (order == np.arange(len(order))).all():
        return ()
    return (Pick((tuple(order.tolist()), *(None,) * rank)),)


def _shuffled(shape: Shape, split: Shape, axes: Shape, rank: int) -> tuple[Step, ...] | None:
    """[N, g, C/g, ...] with g and C/g exchanged (Zhang et al., "ShuffleNet", CVPR 2018)."""
    if len(split) != rank + 3 or split[3:] != shape[2:]:
        return None
    if axes != (0, 2, 1, *range(3, rank + 3)):
        return None
    return _channels(np.arange(shape[1]).reshape(split[1:3]).T.reshape(-1), rank)


def _deepened(shape: Shape, split: Shape, axes: Shape, rank: int) -> tuple[Step, ...] | None:
    """[N, *block, C, *spatial] (DCR) or [N, C, *block, *spatial] (CRD), each part of the block
    moved behind its spatial axis."""
    if len(split) != 2 * rank + 2 or split[rank + 2 :] != shape[2:]:
        return None
    for channel in (rank + 1, 1):
        blocks = [axis for axis in range(1, rank + 2) if axis != channel]
        woven = [
            axis
            for pair in zip(range(rank + 2, 2 * rank + 2), blocks, strict=True)
            for axis in pair
        ]
        if axes == (0, channel, *woven):
            block = tuple(split[axis] for axis in blocks)
            order = np.arange(shape[1])
            if channel == 1:
                order = order.reshape(split[1], -1).T.reshape(-1)
            return (*_channels(order, rank), Deepen(block))
    return None


def _flattened(shape: Shape, split: Shape, axes: Shape, rank: int) -> tuple[Step, ...] | None:
    """[N, C, H, s, W, t], the block's parts moved before the channels or behind them."""
    blocks, outer = [*range(3, 2 * rank + 2, 2)], [*range(2, 2 * rank + 2, 2)]
    if len(split) != 2 * rank + 2 or split[1] != shape[1]:
        return None
    if any(split[o] * split[o + 1] != size for o, size in zip(outer, shape[2:], strict=True)):
        return None
    block = tuple(split[axis] for axis in blocks)
    if axes == (0, *blocks, 1, *outer):
        return (Flatten(block),)
    if axes == (0, 1, *blocks, *outer):
        order = np.arange(shape[1] * int(np.prod(block))).reshape(-1, shape[1]).T.reshape(-1)
        return (Flatten(block), *_channels(order, rank))
    return None


def _result(shape: Shape, steps: Sequence[Step]) -> Shape:
    """The shape of what the steps make of a tensor."""
    for step in steps:
        shape = result_shape(shape, step)
    return shape


def result_shape(shape: Shape, step: Step) -> Shape:
    """The shape of what a step makes of a tensor of this shape."""
    if isinstance(step, Pick):
        sizes = zip(shape[1:], step.indices, strict=True)
        return (shape[0], *(size if at is None else len(at) for size, at in sizes))
    area, pairs = int(np.prod(step.block)), list(zip(shape[2:], step.block, strict=True))
    if isinstance(step, Deepen):
        return (shape[0], shape[1] // area, *(size * by for size, by in pairs))
    return (shape[0], shape[1] * area, *(size // by for size, by in pairs))


def _shape(expr: relax.Expr) -> Shape:
    return tuple(int(size) for size in expr.ty.shape)


_READERS = {"relax.take": _taken, "relax.strided_slice": _sliced}
