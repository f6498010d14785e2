"""What a schedule is estimated to cost: cycles of the array and of the bus.

The searches price many schedules at once, so most of this takes and gives arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.isa.instructions import BLOCK, MOST_SIDE
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.dram_rows import row_timing
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.schedule import Plan
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.scheduling.objective import CYCLES, BusEnergy, Objective

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

HIDDEN = 0.5  # of a cycle on the bus, what it counts where other operations can hide it
SHORTER = 0.1  # of a cycle of array or bus, what it counts where the other takes longer
ENDS = 0.5  # of what overlaps with neither, the share that operations before and after leave


@dataclass(frozen=True)
class Bus:
    """What transfers are estimated to take: cycles. width: bytes of a cycle. opening: beside the
    bytes of a transfer, to open its first row and close its last. stretch: cycles for each one
    without refreshes. A flat bus has neither. Rows in between are taken to be opened ahead."""

    width: int
    opening: float = 0.0
    stretch: float = 1.0

    @staticmethod
    def of(spec: AccelSpec) -> Bus:
        """Of a target, on the average of loads and stores."""
        if spec.dram.timing is None:
            return Bus(spec.dram.bytes_per_cycle)
        load, store = (row_timing(spec, writes=writes) for writes in (False, True))
        opening = load.rcd + load.rp + (load.recovery + store.recovery) / 2
        return Bus(spec.dram.bytes_per_cycle, opening, load.stretch)

    def cycles(self, nbytes: Any, transfers: Any) -> Any:
        """Of so many bytes in so many transfers; numbers or arrays."""
        if not self.opening:
            return nbytes / self.width
        return (nbytes / self.width + self.opening * transfers) * self.stretch


class Part(Enum):
    """What an operation is in a group whose last one trails or follows (``ir.trailing``): its steps
    are by themselves, or take turns with those of the one that trails; that one; the leader of one
    that follows; that one."""

    OWN = "own"
    OTHER = "other"
    TRAILING = "trailing"
    LEADING = "leading"
    FOLLOWING = "following"


@dataclass(frozen=True)
class TileContext:
    """What a schedule is searched for.

    rows: image rows of the output that are made at a time, usually; most: at most, if more than
    these.
    act: rows of ACT that are free in one piece.
    x, y, operand: of input, output and operand, whether they stay on chip, so that no tile of them
    is moved.
    part: in a group whose last operation trails or follows, what the operation is to it.
    sums: rows of ACC that are taken.
    ends: of what it loads before its first step and stores after its last, the share that nothing
    hides, by which convolutions are ranked.
    pieces: of a leader, tiles of filters, of the one that follows, chunks of channels, at least.
    """

    rows: int
    act: int
    x: bool = False
    y: bool = False
    operand: bool = False
    part: Part = Part.OWN
    most: int = 0
    sums: int = 0
    ends: float = ENDS
    pieces: int = 1


@dataclass(frozen=True)
class CostEstimate:
    """Estimated cycles. array: it computes; waits: it waits, for weights that find no room beside
    those in use; loads, weights, stores: the bus moves activations in, weights in and activations
    out; tile: of weights, those for the first step; first: activations for it; last: after the
    array is done. rows, all_rows: of WGT, of a tile of weights, of all; act: rows of ACT, of the
    tiles of a step that are moved. energy: picojoules on the array, 0 where nobody asks."""

    array: float
    waits: float
    loads: float
    weights: float
    stores: float
    tile: float
    first: float
    last: float
    rows: float
    all_rows: float
    act: float
    energy: float

    def picojoules(self, bus: BusEnergy) -> float:
        """Of all events: on the array, and of what the bus moves."""
        moved: float = bus.picojoules(self.loads, self.weights, self.stores)
        return self.energy + moved

    @property
    def bus(self) -> float:
        return self.loads + self.weights + self.stores

    def alone(self, latency: int, ends: float = ENDS) -> float:
        """Cycles of the operation by itself: the slower of array and bus, and of what cannot
        overlap with either, the latencies of a load and a store too, the share ``ends``."""
        exposed = self.tile + self.first + self.last + 2 * latency
        return max(self.array + self.waits, self.bus) + ends * exposed


@dataclass(frozen=True, eq=False)
class Candidate:
    """A schedule that fits. cost: for the rows it was searched for; array: cycles of the array for
    other numbers of rows."""

    plan: Plan
    cost: CostEstimate
    array: Callable[[int], float]


@dataclass(frozen=True)
class CostEstimates:
    """The costs of many schedules, and whether they fit: flat arrays."""

    array: Floats
    waits: Floats
    loads: Floats
    weights: Floats
    stores: Floats
    tile: Floats
    first: Floats
    last: Floats
    rows: Floats
    all_rows: Floats
    act: Floats
    energy: Floats
    fits: Bools

    @staticmethod
    def of(**numbers: Any) -> CostEstimates:
        """From numbers and arrays of several dimensions that broadcast to one shape."""
        flat = [each.ravel() for each in np.broadcast_arrays(*numbers.values())]
        return CostEstimates(**dict(zip(numbers, flat, strict=True)))

    @staticmethod
    def join(several: Sequence[CostEstimates]) -> CostEstimates:
        """All of them, one after another."""
        return CostEstimates(
            *(
                np.concatenate([getattr(each, field.name) for each in several])
                for field in fields(CostEstimates)
            )
        )

    def order(
        self,
        count: int,
        wgt_rows: int | None,
        objective: Objective = CYCLES,
        energy: BusEnergy | None = None,
        ends: float = ENDS,
    ) -> list[int]:
        """Up to ``count`` that fit, the best first: of the fewest cycles by itself; or, among
        others that share ``wgt_rows``, of the least time on the array, as they hide time on the
        bus, but not that of a tile of weights for which there is no room beside another. Cycles are
        weighed against energy as the objective says; ``energy``: of the bus, where it matters;
        ``ends``: as of ``TileContext``."""
        array, bus = self.array + self.waits, self.loads + self.weights + self.stores
        if wgt_rows is None:
            exposed = ends * (self.tile + self.first + self.last)
            score = np.maximum(array, bus) + SHORTER * np.minimum(array, bus) + exposed
        else:
            score = array + HIDDEN * bus + np.where(2 * self.rows > wgt_rows, self.tile, 0)
        if energy is not None:
            moved = energy.picojoules(self.loads, self.weights, self.stores)
            score = objective.score(score, self.energy + moved)
        ranked = np.argsort(np.where(self.fits, score, np.inf), kind="stable")
        return [int(at) for at in ranked[: min(count, int(self.fits.sum()))]]

    def pick(self, at: int) -> CostEstimate:
        """Of one schedule."""
        return CostEstimate(
            *(float(getattr(self, field.name)[at]) for field in fields(CostEstimate))
        )


# ------------------------------------------------------------------------------------- cuts


def least_across(window: Window, cols: int, limit: int) -> int:
    """Pieces that ``cols`` columns of a result are cut into at least, so that an instruction has
    the bits for those of a piece and for those of ``limit`` that it looks at; 1 where no cut
    helps."""
    if min(window.span(1, 1), limit) > MOST_SIDE:
        return 1
    least = -(-cols // MOST_SIDE)
    while min(window.span(1, -(-cols // least)), limit) > MOST_SIDE:
        least += 1
    return least


def images_in(op: Op, rows: int) -> tuple[int, int]:
    """Images that no tile may cross and that some rows of an operation's result are, and the rows
    of one."""
    own = op.y.value.image[0]
    return (1, rows) if op.images == 1 or rows <= own else (-(-rows // own), own)


@dataclass(frozen=True)
class TileTraffic:
    """Patches that are moved, one by one: arrays [cuts]. patch: pixels of the largest; pixels: of
    all, those that are moved several times counted as often; runs: pieces of a channel block that
    lie in one piece in DRAM; run: pixels of one."""

    patch: Ints
    pixels: Ints
    runs: Ints
    run: Ints

    def nbytes(self, spec: AccelSpec, channels: int) -> Floats:
        """On the bus: runs that are not whole bursts also pay for parts of others."""
        burst, value = spec.dram.burst_bytes, spec.storage.activation_bytes
        width = min(BLOCK, channels) * value
        wasted = np.where(self.run * width % burst, max(burst - spec.act_row_bytes, 0), 0)
        return self.pixels * channels * value + self.runs * blocks(channels) * wasted * 1.0


@dataclass(frozen=True)
class AxisTiling:
    """An axis of ``total`` positions cut evenly into each of ``count`` pieces."""

    total: int
    count: Ints

    @property
    def most(self) -> Ints:
        """Positions of the largest piece; others may have one less."""
        return -(-self.total // self.count)

    def sizes(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        """(positions of a piece, how many such pieces) twice."""
        more = self.total - self.count * (self.most - 1)
        return (self.most, more), (self.most - 1, self.count - more)

    def input_footprint(self, window: Window, axis: int, limit: int) -> tuple[Ints, Ints]:
        """Of ``limit`` input positions, those that a piece looks at at most, and that all do."""
        (most, many), (less, few) = (
            (np.minimum(window.span(axis, size), limit), times) for size, times in self.sizes()
        )
        padding = max(0, window.span(axis, self.total) - limit)
        return most, np.maximum(most, most * many + less * few - padding * (self.count > 1))


@dataclass(frozen=True)
class Tilings:
    """An image cut into patches in several ways: arrays [cuts]. images: how many of a batch are cut
    so."""

    rows: AxisTiling
    cols: AxisTiling
    images: int = 1

    @staticmethod
    def of(rows: int, cols: int, images: int = 1, across: int = 1) -> Tilings:
        """1 to 16 pieces of rows, then powers of two, all of ``across`` pieces of columns, then
        single rows of halves of these, quarters..."""
        tried = {*range(1, 17), *(1 << n for n in range(5, 20)), rows}
        down = [n for n in sorted(tried) if n <= rows]
        beside = [across] * len(down)
        while beside[-1] < cols:
            down.append(rows)
            beside.append(min(2 * beside[-1], cols))
        return Tilings(AxisTiling(rows, np.array(down)), AxisTiling(cols, np.array(beside)), images)

    @staticmethod
    def into(rows: int, cols: int, high: int, wide: int, images: int = 1) -> Tilings:
        """Patches of about ``high`` x ``wide``."""
        return Tilings(
            AxisTiling(rows, np.array([-(-rows // high)])),
            AxisTiling(cols, np.array([-(-cols // wide)])),
            images,
        )

    @staticmethod
    def whole(rows: int, cols: int, images: int = 1) -> Tilings:
        """One patch."""
        return Tilings(AxisTiling(rows, np.array([1])), AxisTiling(cols, np.array([1])), images)

    @property
    def pieces(self) -> Ints:
        return self.images * self.rows.count * self.cols.count

    def patches(self) -> list[tuple[Ints, Ints, Ints]]:
        """(rows of a patch, its columns, how many such patches), four times."""
        return [
            (high, wide, self.images * many * times)
            for high, many in self.rows.sizes()
            for wide, times in self.cols.sizes()
        ]

    def take_no_more(self, window: Window, spatial: tuple[int, int]) -> Bools:
        """Whether patches, and what they look at, have no more rows and columns than an instruction
        has bits for."""
        fits = np.ones(len(self.pieces), np.bool_)
        for axis, cut in enumerate((self.rows, self.cols)):
            looked = np.minimum(window.span(axis, cut.most), spatial[axis])
            fits &= np.maximum(looked, cut.most) <= MOST_SIDE
        return fits

    def input_footprint(self, window: Window, spatial: tuple[int, int]) -> TileTraffic:
        """Of images of size ``spatial``, what each patch looks at."""
        down, all_down = self.rows.input_footprint(window, 0, spatial[0])
        right, all_right = self.cols.input_footprint(window, 1, spatial[1])
        in_one = right == spatial[1]
        return TileTraffic(
            down * right,
            self.images * all_down * all_right,
            self.pieces * np.where(in_one, 1, down),
            np.where(in_one, down * right, right),
        )
