"""What Transpose and Reshape do to a tensor, as a value that composes: a `View`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from zeroskip.relay_passes.frontend.editing import Array

Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """The elements of a source in another order and shape.

    The source, reshaped to `dims`, transposed by `perm` and reshaped to `shape`. In the canonical
    form, which the functions of this module make, no dim is 1 and no two neighbours stay
    neighbours: equal views are equal values, and one without a `perm` to speak of is a Reshape.
    """

    dims: Shape
    perm: Shape
    shape: Shape

    @property
    def moves(self) -> bool:
        """Whether elements change places; else the view is a Reshape."""
        return len(self.dims) > 1

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Axes:
    """A view as a Reshape of the source to `shape`, then a Transpose by `perm`."""

    shape: Shape
    perm: Shape

    @property
    def inverse(self) -> Shape:
        return tuple(int(axis) for axis in np.argsort(self.perm))


@dataclass(frozen=True)
class Lazy:
    """A tensor that is a view of `source`, a tensor of this shape.

    group: what stands or falls with it. node: the last Transpose or Reshape that was held back.
    planar: whether a layer of the accelerator's layout makes the source.
    """

    source: str
    shape: Shape
    view: View
    group: int
    node: onnx.NodeProto
    planar: bool

    @property
    def trivial(self) -> bool:
        return not self.view.moves and self.view.shape == self.shape


def identity(shape: Sequence[int]) -> View:
    """The view that changes nothing."""
    return _canonical([math.prod(shape)], [0], shape)


def reshaped(view: View, shape: Sequence[int]) -> View:
    """The view, then a Reshape."""
    return View(view.dims, view.perm, tuple(shape))


def transposed(view: View, perm: Sequence[int]) -> View | None:
    """The view, then a Transpose; None where no axis of the one is made of axes of the other."""
    parts = _split(view, view.shape)
    if parts is None:
        return None
    order = [part for axis in perm for part in parts[axis]]
    atoms = sorted(order)  # in the order of the source
    place = {atom: at for at, atom in enumerate(atoms)}
    return _canonical(
        [atom[2] for atom in atoms],
        [place[atom] for atom in order],
        [view.shape[axis] for axis in perm],
    )


def inverse(view: View, shape: Sequence[int]) -> View:
    """What turns the result of a view back into its source, of this shape."""
    back = np.argsort(view.perm)
    return _canonical([view.dims[axis] for axis in view.perm], [int(axis) for axis in back], shape)


def axes_of(view: View, source: Sequence[int]) -> Axes | None:
    """The view by axes, None if an axis of the result is not consecutive in the source.

    The source keeps its shape where that will do; else axes of 1 stand first if they do so in the
    result, and last otherwise.
    """
    parts = _split(view, view.shape)
    if parts is None or any(len(part) > 1 for part in parts):
        return None
    wide = sorted((part[0], axis) for axis, part in enumerate(parts) if part)
    ones = [axis for axis, part in enumerate(parts) if not part]
    if len(source) == len(parts) and [n for n in source if n != 1] == [
        view.shape[axis] for _, axis in wide
    ]:
        left, right = iter(ones), iter(axis for _, axis in wide)
        order = [next(left) if n == 1 else next(right) for n in source]
    else:
        begin = min((axis for _, axis in wide), default=len(parts))
        order = [
            *(axis for axis in ones if axis < begin),
            *(axis for _, axis in wide),
            *(axis for axis in ones if axis >= begin),
        ]
    perm = [0] * len(order)
    for place, axis in enumerate(order):
        perm[axis] = place
    return Axes(tuple(view.shape[axis] for axis in order), tuple(perm))


def transpose_first(view: View, source: Sequence[int]) -> Shape | None:
    """The permutation of the source's own axes that has the view's order; None if none has."""
    back = inverse(view, source)
    turned = axes_of(back, view.shape)
    return None if turned is None else turned.inverse


def apply(view: View, value: Array) -> Array:
    """The view of an array."""
    return np.ascontiguousarray(value).reshape(view.dims).transpose(view.perm).reshape(view.shape)


def row_order(view: View) -> View | None:
    """For a result [N, K]: the order of the columns, as a view of K numbers in the source's order;
    None if a row is not consecutive in the source."""
    rows, columns = view.shape
    if rows == 1:
        return View(view.dims, view.perm, (columns,))
    parts = _split(view, view.shape)
    if (
        parts is None
        or parts[0] != sorted(part for axis in parts for part in axis)[: len(parts[0])]
    ):
        return None
    atoms = sorted(parts[1])
    place = {atom: at for at, atom in enumerate(atoms)}
    return _canonical([atom[2] for atom in atoms], [place[atom] for atom in parts[1]], (columns,))


_Atom = tuple[int, int, int]  # a dim of the view, which part of it, the size of the part


def _split(view: View, shape: Sequence[int]) -> list[list[_Atom]] | None:
    """The parts of the view's dims that each axis of the shape is made of, in the order of the
    result; None where the two do not divide each other."""
    parts: list[list[_Atom]] = []
    queue = [(axis, view.dims[axis]) for axis in view.perm]
    at, count = 0, 0  # within the queue, and the parts that its first dim gave
    left = queue[0][1] if queue else 1
    for size in shape:
        axis_parts: list[_Atom] = []
        while size > 1:
            if left == 1:
                at, count = at + 1, 0
                if at >= len(queue):  # the shape has more elements than the source
                    return None
                left = queue[at][1]
            step = min(size, left)
            if size % step or left % step:
                return None
            axis_parts.append((queue[at][0], count, step))
            size, left, count = size // step, left // step, count + 1
        parts.append(axis_parts)
    return parts


def _canonical(dims: Sequence[int], perm: Sequence[int], shape: Sequence[int]) -> View:
    """The view without dims of 1, neighbours that stay neighbours joined."""
    order = [axis for axis in perm if dims[axis] != 1]
    rank = {axis: at for at, axis in enumerate(sorted(order))}
    runs: list[list[int]] = []
    for axis in order:
        if runs and rank[axis] == rank[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    first = sorted(runs)
    place = {run[0]: at for at, run in enumerate(first)}
    return View(
        tuple(math.prod(dims[axis] for axis in run) for run in first),
        tuple(place[run[0]] for run in runs),
        tuple(shape),
    )
