"""The search for the fastest schedule of a convolution.

A convolution is cut into tiles of filters, output rows and columns, and chunks of input channels;
its lanes are ganged; either the weights or the pixels are the outer loop. The search prices every
combination at once, as arrays, and ranks those that fit. Time on the array comes from the array's
own timing function, run on the layer's own weights for a few pixel groups (``conv_mappings.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import TypeAlias

import numpy as np

from zeroskip.accel_model.arrays.base import ArrayError
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.kernel_parts import (
    WHOLE,
    Cuts,
    fullest_tap,
    kernel_parts,
    smaller_cuts,
)
from zeroskip.compiler.ir.schedule import CHANNELS, ROWS, ConvPlan
from zeroskip.compiler.ir.trailing import kernel_of_rows
from zeroskip.compiler.ir.weight_packing import PackedWeights
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.scheduling.conv_mappings import Mappings, enumerate_mappings, least_rows
from zeroskip.compiler.scheduling.cost_model import (
    Bools,
    Bus,
    Candidate,
    CostEstimate,
    CostEstimates,
    Floats,
    Ints,
    Part,
    TileContext,
    TileTraffic,
    Tilings,
    images_in,
    least_across,
)
from zeroskip.compiler.scheduling.objective import CYCLES, BusEnergy, Objective

Need: TypeAlias = tuple[str, int, int]

MOST_PARTS = 256  # that a kernel is cut into
PACKED = 0.95  # share of ACT that tiles of several sizes can be counted on to fill
TURNS = 2  # operations that share WGT where one of them trails or follows
LOOPS = tuple((outer, keep) for outer in ("weights", "pixels") for keep in (False, True))
# Of a batch, whose images all pass a chunk of the weights before the next is read.
OF_BATCH = (*LOOPS, ("chunks", False), ("chunks", True))
# Of operations whose steps take turns with those of one that trails or follows.
OF_PART = {
    Part.TRAILING: ((ROWS, False),),
    Part.LEADING: LOOPS[:2],
    Part.FOLLOWING: ((CHANNELS, False),),
}


class ConvSearch:
    """The schedules of a convolution; what does not depend on a place is found once."""

    def __init__(self, conv: ops.ConvOp, spec: AccelSpec, *, energy: bool = False) -> None:
        self.conv, self.spec = conv, spec
        self.energy = BusEnergy.of(spec) if energy else None
        self._window = ""  # why no step fits in the lanes' windows
        self._weights = PackedWeights(conv, spec)
        self._known: dict[tuple[Cuts, int, int], Mappings] = {}

    def ranked(
        self, place: TileContext, count: int, alone: bool = True, objective: Objective = CYCLES
    ) -> list[Candidate]:
        """Up to ``count`` schedules that fit, the best first (``CostEstimates.order``), by
        themselves or among others; none where not even the lanes' windows hold a step. By itself a
        kernel of which nothing fits goes in the fewest parts that do."""
        trails = place.part is Part.TRAILING
        kernel = kernel_of_rows(self.conv) if trails else WHOLE
        found = self._ranked(place, count, alone, objective, kernel)
        if found or not alone or any(size > room for _, size, room in self._needs()):
            return found
        for cuts in smaller_cuts(self.conv.window.kernel):
            if found or prod(cuts) > MOST_PARTS:
                break
            found = self._ranked(place, count, alone, objective, cuts)
        return found

    def _ranked(
        self, place: TileContext, count: int, alone: bool, objective: Objective, cuts: Cuts
    ) -> list[Candidate]:
        chunks = place.pieces if place.part is Part.FOLLOWING else 1
        mappings = self.mappings(cuts, 1 if place.part is Part.OWN else TURNS, chunks)
        if not len(mappings):
            return []
        geometry = _Geometry.of(self.conv, place, cuts)
        orders = LOOPS if self.conv.y.value.images == 1 else OF_BATCH
        if cuts != WHOLE:  # the input of another part is another
            orders = tuple((outer, keep) for outer, keep in orders if not keep)
        orders = OF_PART.get(place.part, orders)
        loops = [_Loops(self, mappings, place, geometry, *each) for each in orders]
        array = mappings.array_cycles(geometry.cuts)  # in whatever order
        costs = CostEstimates.join([each.costs(array) for each in loops])
        ranked = []
        shared = None if alone else self.spec.wgt_rows
        for at in costs.order(count, shared, objective, self.energy, place.ends):
            which, rest = divmod(at, len(mappings) * len(geometry.cuts.pieces))
            ranked.append(loops[which].choice(rest, costs.pick(at)))
        return ranked

    def mappings(self, cuts: Cuts = WHOLE, share: int = 1, chunks: int = 1) -> Mappings:
        """How the lanes can work through the weights, two tiles of which take a part of WGT, in so
        many chunks of the reduction at least; none if no step fits in their windows."""
        key = cuts, share, chunks
        if key not in self._known:
            energy, room = self.energy is not None, self.spec.wgt_rows // share
            try:
                found = enumerate_mappings(
                    self._weights, room, energy=energy, cuts=cuts, chunks=chunks
                )
            except ArrayError as problem:
                self._window, found = str(problem), Mappings.of([], [])
            self._known[key] = found
        return self._known[key]

    def misfit(self) -> str:
        """Why no schedule fits by itself, a phrase."""
        if self._window and not any(map(len, self._known.values())):
            return self._window
        return too_big(self.spec, *(size for _, size, _ in self._needs()))

    def _needs(self) -> tuple[Need, Need]:
        """Bytes of ACT and WGT that two of its smallest tiles take, of one tap each."""
        spec, tap = self.spec, fullest_tap(self.conv)
        act = spec.act_row_bytes * (2 + (self.conv.residual is not None)) * 2
        rows = least_rows(tap, spec, self.conv.window.taps > 1)
        return needs(spec, act, rows * 4 * spec.wgt_banks)


def needs(spec: AccelSpec, act: int, wgt: int = 0) -> tuple[Need, Need]:
    """(memory, bytes of it that are needed, bytes that there are) of ACT and WGT."""
    return ("ACT", act, spec.sram.act_bytes), ("WGT", wgt, spec.sram.wgt_bytes)


def too_big(spec: AccelSpec, act: int, wgt: int = 0) -> str:
    """Why an operation does not fit whose smallest tile needs so many bytes of ACT and WGT."""
    found = needs(spec, act, wgt)
    over = [(f"{size} bytes of {name}", str(room)) for name, size, room in found if size > room]
    if not over:
        return f"no tile of it fits in {spec.name}'s SRAM"
    sizes, rooms = (" and ".join(parts) for parts in zip(*over, strict=True))
    return f"its smallest tile needs {sizes}, {spec.name} has {rooms}"


@dataclass(frozen=True)
class _Geometry:
    """The patches of some rows of output, what they look at, and what all of the most rows that are
    made at a time look at together. kernel:
    parts that the kernel is cut into; x is then what patches look at through all of them, its patch
    that of one. small: patches that an instruction has the bits for."""

    kernel: Cuts
    cuts: Tilings
    y: TileTraffic
    x: TileTraffic
    stripe: TileTraffic
    small: Bools

    @staticmethod
    def of(conv: ops.ConvOp, place: TileContext, kernel: Cuts) -> _Geometry:
        parts, loaded = kernel_parts(conv, kernel), not place.x
        window, spatial = parts[-1].seen(loaded=loaded)
        images, high = images_in(conv, place.rows)
        size = high, conv.y.spatial[1]
        across = least_across(window, size[1], spatial[1])
        cuts = Tilings.of(*size, images, across)
        held, tall = images_in(conv, max(place.rows, place.most))
        whole = conv.seen(loaded=loaded)
        stripe = Tilings.whole(tall, size[1], held).input_footprint(*whole)
        x = cuts.input_footprint(window, spatial)
        return _Geometry(
            kernel,
            cuts,
            cuts.input_footprint(Window(), size),
            replace(x, pixels=x.pixels * len(parts), runs=x.runs * len(parts)),
            replace(stripe, patch=stripe.patch * held),
            cuts.take_no_more(window, spatial),
        )


class _Loops:
    """All schedules of one order of loops: arrays [mappings, cuts].

    outer: as of ``ConvPlan``; keep: the input of all patches is held.
    """

    def __init__(
        self,
        search: ConvSearch,
        mappings: Mappings,
        place: TileContext,
        geometry: _Geometry,
        outer: str,
        keep: bool,
    ) -> None:
        self.conv, self.spec, self.mappings = search.conv, search.spec, mappings
        self.place, self.geometry, self.outer, self.keep = place, geometry, outer, keep
        self.count = len(search.conv.weight)
        self.filters = np.minimum(mappings.filters, self.count)  # of a tile, at most

    def choice(self, at: int, cost: CostEstimate) -> Candidate:
        """The schedule at a place of the flattened arrays."""
        mapping, cut = divmod(at, len(self.geometry.cuts.pieces))
        mode, filters, channels = self.mappings.sizes(mapping)
        high, wide = (
            int(axis.most[cut]) for axis in (self.geometry.cuts.rows, self.geometry.cuts.cols)
        )
        cols = self.conv.y.spatial[1]

        @cache
        def array(rows: int) -> float:
            images, own = images_in(self.conv, rows)
            cuts = Tilings.into(own, cols, high, wide, images)
            return float(self.mappings.only(mapping).array_cycles(cuts)[0, 0])

        kernel = self.geometry.kernel
        plan = ConvPlan(mode, filters, high, wide, channels, self.outer, self.keep, *kernel)
        return Candidate(plan, cost, array)

    def costs(self, array: Floats) -> CostEstimates:
        """What each is estimated to cost, of which ``array`` on the array."""
        mappings, place, bus = self.mappings, self.place, Bus.of(self.spec)
        pieces = self.geometry.cuts.pieces
        operand = self.conv.residual is not None and not place.operand
        written, stored = (
            self.geometry.y.nbytes(self.spec, self.count),
            pieces * mappings.tiles,
        )
        value = self.spec.storage.activation_bytes
        tile = self.filters * self.geometry.y.patch * value
        between = (
            mappings.part_rows if self.outer == "weights" else mappings.all_rows
        )  # two uses of a tile
        again = np.where((pieces > 1) & (between > self.spec.wgt_rows), pieces, 1)
        if self.outer == "chunks":
            again = np.ones_like(again)
        read, loaded, first = self._input_bytes()
        weights = mappings.tiles * mappings.chunks
        moving = self._moving_rows()
        loads = bus.cycles(read + written * operand, loaded + stored * operand)
        once = bus.cycles(mappings.nbytes, weights)
        return CostEstimates.of(
            array=array,
            waits=self._waits(array, loads, once),
            loads=loads,
            weights=bus.cycles(mappings.nbytes * again, weights * again),
            stores=bus.cycles(written * (not place.y), stored * (not place.y)),
            tile=bus.cycles(mappings.nbytes / weights, 1),
            first=bus.cycles(first + tile * operand, (not place.x) + operand),
            last=bus.cycles(tile, 1),
            rows=mappings.rows,
            all_rows=mappings.all_rows,
            act=moving,
            energy=mappings.energy * self.place.rows * self.conv.y.spatial[1],
            fits=self._fits(moving) & self._short(array / (pieces * weights)),
        )

    def _waits(self, array: Floats, loads: Floats, weights: Floats) -> Floats:
        """Cycles in which the array waits for the next tile of filters. Where all chunks of a tile
        stay for every patch and two such tiles do not fit, those of the next come in only while the
        last patch uses the others."""
        mappings, pieces, wgt = self.mappings, self.geometry.cuts.pieces, self.spec.wgt_rows
        tiles, chunks, part = mappings.tiles, mappings.chunks, mappings.part_rows
        if self.outer != "weights":
            return np.zeros(1)
        step = 1 / (pieces * tiles * chunks)
        ahead = np.maximum(wgt - part, 0) // mappings.rows
        moved = weights / tiles + loads * step * chunks
        waits = tiles * np.maximum(moved - array * step * (chunks + ahead), 0.0)
        live = (pieces > 1) & (chunks > 1) & (part <= wgt) & (2 * part > wgt)
        return np.asarray(waits * live)

    def _input_bytes(self) -> tuple[Floats, Ints, Floats]:
        """Of the input, all that is loaded, in how many transfers, and what the first step waits
        for."""
        mappings, geometry, channels = self.mappings, self.geometry, self.conv.x.channels
        if self.place.x:
            return np.zeros(1), np.zeros(1, np.int64), np.zeros(1)
        if self.keep:
            held = geometry.stripe.nbytes(self.spec, channels)
            return held, np.ones(1, np.int64), held
        again = (mappings.tiles > 1) & (
            ((self.outer != "pixels") & (geometry.cuts.pieces > 1)) | (mappings.chunks > 1)
        )
        times = np.where(again, mappings.tiles, 1)
        read = geometry.x.nbytes(self.spec, channels) * times
        loaded = geometry.cuts.pieces * mappings.chunks * times
        first = geometry.x.patch * mappings.channels * self.spec.storage.activation_bytes
        return read, loaded, np.asarray(first, np.float64)

    def _moving_rows(self) -> Ints:
        """ACT rows of the tiles of a step that are loaded or stored."""
        mappings, place, geometry = self.mappings, self.place, self.geometry
        written = -(-self.filters // BLOCK) * geometry.y.patch
        operand = self.conv.residual is not None and not place.operand
        rows: Ints = written * (not place.y) + written * operand
        if not self.keep and not place.x:
            rows = rows + -(-mappings.channels // BLOCK) * geometry.x.patch
        return rows

    def _short(self, step: Floats) -> Bools:
        """Whether steps are short enough for others to take turns with them: while the array is at
        one, the bus is to fill no more of WGT than is not in use. step: cycles of one."""
        if self.place.part not in (Part.OTHER, Part.LEADING):
            return np.ones(1, np.bool_)
        return np.asarray(step * 2 * self.spec.dram.bytes_per_cycle <= self.spec.sram.wgt_bytes)

    def _fits(self, moving: Ints) -> Bools:
        """Whether the tiles of two steps fit in ACT, and partial sums in ACC."""
        mappings, place, geometry = self.mappings, self.place, self.geometry
        if self.keep and place.x:
            return np.zeros(1, np.bool_)
        kept = blocks(self.conv.x.channels) * geometry.stripe.patch * self.keep
        single = geometry.cuts.pieces * mappings.tiles * mappings.chunks == 1
        fits = kept + moving * np.where(single, 1, 2 / PACKED) <= place.act
        whole = mappings.chunks == 1
        fits &= geometry.small
        if place.part is Part.LEADING:
            fits &= mappings.tiles >= place.pieces
        if self.keep and self.outer == "pixels":
            fits &= whole
        held = geometry.cuts.pieces if self.outer == "chunks" else 1
        free = self.spec.acc_rows - place.sums
        return np.asarray(fits & (whole | (held * self._sums() <= free)))

    def _sums(self) -> Ints:
        """ACC rows of a patch's partial sums, or of those of all filters."""
        slots, wide = self.mappings.slots, self.mappings.granule
        if self.outer in (ROWS, CHANNELS):
            of_tile = -(-self.filters // slots) * -(-np.minimum(slots, self.filters) // BLOCK)
            return np.asarray(self.mappings.tiles * of_tile)
        sums: Ints = (
            -(-self.geometry.y.patch // wide)
            * wide
            * -(-self.filters // slots)
            * -(-np.minimum(slots, self.filters) // BLOCK)
        )
        return sums
