"""Activations of the integer layers, and how the text's tensors lie in them.

TOSA has channels last and moves axes by operators; layers are [N, C, *spatial]. A tensor of the
text is a ``View``: an activation, turned and reshaped. Only where a layer needs another order is
anything moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.layers import DType, Layer

Step: TypeAlias = "tuple[str, tuple[int, ...]]"  # ("turn", axes) or ("shape", sizes)
Steps: TypeAlias = "tuple[Step, ...]"

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels last, channels first
UNSIGNED = 128  # what a uint8 activation is moved by where the text has int8


@dataclass(eq=False)
class Scale:
    """The zero point that tensors of one scale share; None: nothing has said yet."""

    zero: int | None = None


@dataclass(eq=False)
class Activation:
    """A tensor between layers.

    layer: what makes it, the tensors in it not yet those they will be (None: an input, or moved).
    steps: of one that is moved from its only source. label: of its layer.
    """

    shape: tuple[int, ...]
    dtype: DType
    scale: Scale = field(default_factory=Scale)
    layer: Layer | None = None
    sources: tuple[Activation, ...] = ()
    steps: Steps = ()
    label: str = ""

    @property
    def zero(self) -> int:
        return self.scale.zero or 0


@dataclass(frozen=True)
class View:
    """A tensor of the text. moved: an int8 tensor whose activation is uint8, 128 above. sole:
    nothing else reads the activation, nor what was made of it on the way here."""

    of: Activation
    steps: Steps = ()
    moved: bool = False
    sole: bool = True

    @property
    def unsigned(self) -> bool:
        """Whether the text's bits are those of a uint8."""
        return self.of.dtype == "uint8" and not self.moved

    @property
    def offset(self) -> int:
        """What the activation is above the text's int8."""
        return UNSIGNED if self.moved else 0


@dataclass(frozen=True)
class Padded:
    """A view [N, H, W, C] with pixels of ``fill`` around it, or without the last ones (below 0).

    before, after: of rows and columns."""

    view: View
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    fill: int | None = None


@dataclass(frozen=True)
class ChannelSlice:
    """Channels of a view [N, H, W, C], padded or not."""

    whole: Padded
    start: int
    size: int


def turned(shape: tuple[int, ...], steps: Steps, step: Step) -> Steps:
    """These steps and one more, in as few as do the same."""
    more = (*steps, step)
    flat = order_of(shape, more)
    if np.array_equal(flat.reshape(-1), np.arange(flat.size)):
        return () if flat.shape == shape else (("shape", flat.shape),)
    if len(more) > 1 and step[0] == more[-2][0] == "turn":
        return (*more[:-2], ("turn", tuple(more[-2][1][axis] for axis in step[1])))
    if len(more) > 1 and step[0] == more[-2][0] == "shape":
        return (*more[:-2], step)
    return more


@lru_cache(maxsize=8)
def order_of(shape: tuple[int, ...], steps: Steps) -> npt.NDArray[np.int32]:
    """For each element of a view of this activation, its place in the activation."""
    places = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.int32).reshape(shape)
    for kind, numbers in steps:
        places = places.transpose(numbers) if kind == "turn" else places.reshape(numbers)
    return places


def deepened(shape: tuple[int, ...], steps: Steps) -> tuple[int, ...] | None:
    """The block by which these steps take depth to space; None where they do something else, or no
    more than turn axes, which of single pixels is the same."""
    if all(kind == "turn" for kind, _ in steps):
        return None
    flat = order_of(shape, steps)
    if len(shape) < 3 or flat.ndim != len(shape) or flat.shape[0] != shape[0]:
        return None
    pairs = list(zip(flat.shape[2:], shape[2:], strict=True))
    block = tuple(wide // size for wide, size in pairs)
    if any(wide % size for wide, size in pairs) or flat.shape[1] * prod(block) != shape[1]:
        return None
    rank = len(block)
    woven = [axis for each in range(rank) for axis in (rank + 2 + each, 1 + each)]
    apart = ("shape", (shape[0], *block, flat.shape[1], *shape[2:]))
    same = order_of(shape, (apart, ("turn", (0, rank + 1, *woven)), ("shape", flat.shape)))
    return block if prod(block) > 1 and np.array_equal(flat, same) else None


def axis_in(steps: Steps, axis: int) -> int | None:
    """The activation's axis that an axis of a view is; None where it was reshaped."""
    for kind, numbers in reversed(steps):
        if kind != "turn":
            return None
        axis = numbers[axis]
    return axis


@dataclass(frozen=True)
class Sums:
    """What convolutions add up, on its way to be scaled.

    view: the input, padded; zero: the zero point that it is read with. weight: [K, C / groups,
    rows, columns], bias: [K]. out: [N, K, rows, columns]. low, high: limits of each K, if there are
    any.
    """

    view: Padded
    zero: int
    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    window: Any
    groups: int
    out: tuple[int, int, int, int]
    label: str
    low: npt.NDArray[np.int64] | None = None
    high: npt.NDArray[np.int64] | None = None
    part: ChannelSlice | None = None  # of the whole input that this is a group's share of

    @property
    def average(self) -> bool:
        """Whether windows of single channels are only added up."""
        return (
            self.groups == self.out[1]
            and bool(np.all(self.weight == 1))
            and not self.bias.any()
            and self.window.dilation == (1, 1)
        )


@dataclass(frozen=True)
class Wide:
    """int32 numbers, each a function of an element of one or two int8 views, added up.

    tables: of each view, what its 256 values become, from -128 on. scales: by how much, about.
    zeros: which value becomes 0.
    """

    views: tuple[View, ...]
    tables: tuple[npt.NDArray[np.int64], ...]
    scales: tuple[float, ...]
    zeros: tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """Products of ``x - zero`` of two int8 views, int32. out: the shape of the text's tensor."""

    views: tuple[View, View]
    zeros: tuple[int, int]
    out: tuple[int, ...]


@dataclass(frozen=True)
class Reduced:
    """Sums of ``x - zero`` of a view [N, H, W, C] over its rows, its columns or both."""

    view: View
    zero: int
    axes: tuple[int, ...]
