"""A convolution's kernel in parts: for one whose smallest tile would not fit with all of its taps.

The parts are convolutions of some taps each, whose sums are added up in ACC as those of chunks of
channels are: exact, since an int32 sum is the same in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zeroskip.compiler.ir.ops import ConvOp
from zeroskip.compiler.ir.tiles import Interval, even_intervals
from zeroskip.compiler.ir.window import Window

Cuts = tuple[int, int]  # of the rows of a kernel, and of its columns
WHOLE: Cuts = (1, 1)


def kernel_parts(conv: ConvOp, cuts: Cuts) -> tuple[ConvOp, ...]:
    """The convolution of each part, row by row, the largest at the end; of a whole kernel,
    itself."""
    if cuts == WHOLE:
        return (conv,)
    rows, cols = (
        even_intervals(Interval(0, taps), -(-taps // count))
        for taps, count in zip(conv.window.kernel, cuts, strict=True)
    )
    return tuple(_part(conv, down, right) for down in rows for right in cols)


def fullest_tap(conv: ConvOp) -> ConvOp:
    """The convolution of the tap with most weights that are not zero."""
    row, col = np.unravel_index(int(conv.tap_weights.argmax()), conv.tap_weights.shape)
    return _part(conv, Interval(int(row), 1), Interval(int(col), 1))


def _part(conv: ConvOp, down: Interval, right: Interval) -> ConvOp:
    own = conv.window
    window = Window(
        (down.size, right.size),
        own.stride,
        own.dilation,
        (own.pad[0] - down.start * own.dilation[0], own.pad[1] - right.start * own.dilation[1]),
    )
    weight = conv.weight[:, :, down.start : down.end, right.start : right.end]
    return replace(conv, window=window, weight=weight, shared=None)


def smaller_cuts(kernel: tuple[int, int]) -> Iterator[Cuts]:
    """Ways to cut a kernel, the fewest parts first: the longer side of a part in two, down to
    taps."""
    cuts = list(WHOLE)
    while tuple(cuts) != kernel:
        sides = [-(-taps // count) for taps, count in zip(kernel, cuts, strict=True)]
        axis = int(sides[1] > sides[0])
        cuts[axis] = min(2 * cuts[axis], kernel[axis])
        yield cuts[0], cuts[1]
