"""Dense layers that trail: their weights are loaded while what they look at is still being made.

A dense layer looks at a whole map, so by itself it begins when the map is there, and the bus, idle
while the convolutions before it compute, has all of its weights to bring. As the last operation of
a group in bands it *trails* the others by one: while they make a band of the map, it multiplies the
rows of the band before by its kernel rows for them, an instruction of its own between any two of
theirs, and the sums of all its filters wait in ACC. A group in n bands therefore takes n + 1
passes: the first is without the dense layer, the last has it alone.
"""

from __future__ import annotations

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
    """Whether an operation makes one output, of all of a map of several rows. Of a batch every
    image would need the weights anew."""
    return (
        type(op) is ConvOp
        and op.y.pixels == op.x.value.images == 1
        and op.x.frames is None
        and op.residual is None
        and op.shared is None
        and op.window == Window(op.x.spatial)
        and op.x.spatial[0] > 1
    )


def kernel_of_rows(op: ConvOp) -> Cuts:
    """The parts of the kernel: one for each row of the map."""
    return op.window.kernel[0], 1


def map_edges(rows: int, bands: int) -> Ints:
    """Rows of the map that are there after each band, int64 [bands]. Those left over go to the
    first bands: nothing hides the weights of the last one."""
    return -(-rows * np.arange(1, bands + 1) // bands)


def waiting_sums(op: Op, plan: Plan, spec: AccelSpec) -> int:
    """Rows of ACC that the sums of its filters take."""
    assert isinstance(op, ConvOp)
    assert isinstance(plan, ConvPlan)
    slots = spec.kind.placement(spec.array, plan.mode).slots
    tiles = intervals(len(op.weight), plan.filters)
    return sum(len(accumulator_rows(slots, tile.size)) for tile in tiles)


def rows_before(stripe: int, edges: Ints) -> Interval:
    """The rows of the map that are multiplied in a pass: those that the pass before made."""
    before = [0, 0, *edges.tolist()]
    return Interval(before[stripe], before[stripe + 1] - before[stripe])
