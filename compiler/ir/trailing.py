"""Dense layers that trail: their weights are loaded while what they look at is still being made.

A dense layer looks at a whole map, so by itself it begins when the map is there, and the bus, idle
while the convolutions before it compute, has all of its weights to bring. As the last operation of
a group in bands it *trails* the others by one: while they make a band of the map, it multiplies the
rows of the band before by its kernel rows for them, an instruction of its own between any two of
theirs, and the sums of all its filters wait in ACC. A group in n bands therefore takes n + 1
passes: the first is without the dense layer, the last has it alone.

Behind a global pool there are no rows to trail, but channels. In a group that runs once the dense
layer *follows* a convolution: when that has made some channels, they are pooled and multiplied by
the weights for them, while it makes the next ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.program.tensor_layout import accumulator_rows
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.kernel_parts import Cuts
from zeroskip.compiler.ir.ops import ConvOp, Op
from zeroskip.compiler.ir.schedule import ConvPlan, Plan
from zeroskip.compiler.ir.tiles import Interval, intervals
from zeroskip.compiler.ir.window import Window

Ints = npt.NDArray[np.int64]


def can_trail(op: Op) -> bool:
    """Whether an operation makes one output, of all of a map of several rows."""
    return _is_dense(op) and op.x.spatial[0] > 1


def _is_dense(op: Op) -> bool:
    """Whether an operation makes one output of all that it looks at. Of a batch every image would
    need the weights anew."""
    return (
        type(op) is ConvOp
        and op.y.pixels == op.x.value.images == 1
        and op.x.frames is None
        and op.residual is None
        and op.shared is None
        and op.window == Window(op.x.spatial)
    )


def leader(steps: Sequence[Op]) -> int | None:
    """The convolution whose channels the last of these operations can follow: what is between them
    makes each channel of the one before it alone. None if there is none."""
    if not steps or not _is_dense(steps[-1]):
        return None
    for index in range(len(steps) - 2, -1, -1):
        op, made = steps[index], steps[index + 1].x
        alone = op.y.value == made.value and op.y.channels == made.channels == made.value.channels
        if not alone or op.y.frames is not None:
            return None
        if type(op) is ConvOp:
            return index
        if op.moves_only or op.x.channels != op.y.channels:
            return None
    return None


def kernel_of_rows(op: ConvOp) -> Cuts:
    """The parts of the kernel: one for each row of the map."""
    return op.window.kernel[0], 1


def map_edges(rows: int, bands: int) -> Ints:
    """Rows of the map that are there after each band, int64 [bands]. Those left over go to the
    last bands: the sooner the first one is there, the longer the bus has work."""
    return rows * np.arange(1, bands + 1) // bands


def waiting_sums(op: Op, plan: Plan, spec: AccelSpec) -> int:
    """Rows of ACC that the sums of its filters take."""
    assert isinstance(op, ConvOp)
    assert isinstance(plan, ConvPlan)
    slots = spec.kind.placement(spec.array, plan.mode).slots
    tiles = intervals(len(op.weight), plan.filters)
    return sum(len(accumulator_rows(slots, tile.size)) for tile in tiles)


def due_steps(channels: Sequence[Sequence[tuple[Interval, Interval]]]) -> list[list[int]]:
    """When steps follow: after each of the leader's, how many of each operation behind it.
    channels: of these operations, the leader first, the channels that each step reads and makes.
    What finds its channels is done at once, but for the last operation's, which are spread over the
    steps up to those that make more for it."""
    ready, counts = np.arange(len(channels[0])), list[Ints]()
    for before, own in pairwise(channels):
        starts = [made.start for _, made in before]
        later = np.minimum.accumulate(starts[:0:-1])[::-1]  # the first that is made after a step
        whole = np.append(later, max(made.end for _, made in before))
        ready = ready[np.searchsorted(whole, [read.end for read, _ in own])]
        counts.append(np.bincount(ready, minlength=len(channels[0])))
    counts[-1] = _spread(counts[-1])
    return [[int(count) for count in each] for each in zip(*counts, strict=True)]


def _spread(counts: Ints) -> Ints:
    """Of counts at points in time, those of each evenly over the points before the next one."""
    found, some = np.zeros_like(counts), np.flatnonzero(counts)
    for at, end in zip(some, [*some[1:], some[-1] + 1], strict=True):
        found[at:end] = np.diff(-(-counts[at] * np.arange(end - at + 1) // (end - at)))
    return found


def rows_before(stripe: int, edges: Ints) -> Interval:
    """The rows of the map that are multiplied in a pass: those that the pass before made."""
    before = [0, 0, *edges.tolist()]
    return Interval(before[stripe], before[stripe + 1] - before[stripe])
