"""Float operators that only move data, read as the steps that integer layers take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import const_value, op_name

Shape: TypeAlias = tuple[int, ...]
Places: TypeAlias = npt.NDArray[np.int32]
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
    depth to space, space to depth (both with channels or blocks first) and a channel shuffle.

    They are known by where each element goes, whatever the shape between: a batch of one may be
    missing in it, and pixels may be one axis.
    """
    apart, turned, joined = calls
    shape, split, made = (_shape(each) for each in (apart.args[0], apart, joined))
    if len(shape) < 3 or len(shape) != len(made) or shape[0] != made[0]:
        return None
    axes = turned.attrs.axes
    order = range(len(split))[::-1] if axes is None else [int(axis) for axis in axes]
    places = _places(shape).reshape(split).transpose(order).reshape(made)
    return next(
        (each for each in _candidates(shape, made, places) if each and _moved(shape, each, places)),
        None,
    )


def _places(shape: Shape) -> Places:
    """The number of each element."""
    return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)


def _candidates(shape: Shape, made: Shape, places: Places) -> Iterator[tuple[Step, ...]]:
    """Steps that give a result of this shape. places: which element each of the result is."""
    if shape == made:
        pixels = int(np.prod(shape[2:]))
        yield _channels(places[0].reshape(shape[1], -1)[:, 0] // pixels % shape[1], len(shape) - 2)
        return
    larger, smaller = (made, shape) if made[1] < shape[1] else (shape, made)
    block = tuple(wide // size for wide, size in zip(larger[2:], smaller[2:], strict=True))
    area = int(np.prod(block))
    if area < 2 or smaller[1] != area * larger[1]:
        return
    every = np.arange(smaller[1])
    if made[1] < shape[1]:
        yield (Deepen(block),)
        yield (*_channels(every.reshape(-1, area).T.reshape(-1), len(block)), Deepen(block))
    else:
        yield (Flatten(block),)
        yield (Flatten(block), *_channels(every.reshape(area, -1).T.reshape(-1), len(block)))


def _moved(shape: Shape, steps: Sequence[Step], places: Places) -> bool:
    """Whether the steps put each element of a tensor to where it is."""
    found = _places(shape)
    for step in steps:
        found = _step(found, step)
    return found.shape == places.shape and np.array_equal(found, places)


def _step(values: Places, step: Step) -> Places:
    """What a step makes of a tensor."""
    if isinstance(step, Pick):
        for axis, at in enumerate(step.indices, 1):
            values = values if at is None else values.take(at, axis)
        return values
    batch, channels, *sizes = values.shape
    rank = len(step.block)
    if isinstance(step, Deepen):
        apart = values.reshape(batch, *step.block, -1, *sizes)
        order = [axis for each in range(rank) for axis in (rank + 2 + each, 1 + each)]
        return apart.transpose(0, rank + 1, *order).reshape(result_shape(values.shape, step))
    pairs = zip(sizes, step.block, strict=True)
    split = [part for size, by in pairs for part in (size // by, by)]
    inner, outer = range(3, 2 * rank + 2, 2), range(2, 2 * rank + 2, 2)
    apart = values.reshape(batch, channels, *split)
    return apart.transpose(0, *inner, 1, *outer).reshape(result_shape(values.shape, step))


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


def _channels(order: npt.NDArray[np.integer], rank: int) -> tuple[Step, ...]:
    """The step that puts channels in another order; none where it is the order that they have."""
    if (order == np.arange(len(order))).all():
        return ()
    return (Pick((tuple(order.tolist()), *(None,) * rank)),)


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
