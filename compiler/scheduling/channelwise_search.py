"""The search for the schedule of an operation that treats each channel by itself, or only moves."""

from __future__ import annotations

from functools import cache, cached_property, partial

import numpy as np

from zeroskip.accel_model import physics
from zeroskip.accel_model.isa.instructions import BLOCK, MOST_CHANNELS, PAR_ROWS
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing import lane_array
from zeroskip.accel_model.timing.row_unit import RowTiming, kernel_cycles, row_timing, strip_of
from zeroskip.accel_model.timing.shape import WindowShape, row_by_row
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.schedule import ChannelPlan
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.scheduling.conv_mappings import STEP
from zeroskip.compiler.scheduling.conv_search import too_big
from zeroskip.compiler.scheduling.cost_model import (
    Bools,
    Bus,
    Candidate,
    CostEstimate,
    CostEstimates,
    Floats,
    Ints,
    TileContext,
    Tilings,
    images_in,
    least_across,
)
from zeroskip.compiler.scheduling.objective import CYCLES, BusEnergy, Objective

SETS = (3, 2, 1)  # tiles in ACT at once: one is loaded, one computed, one stored, if there is room
SAMPLE = 2  # blocks after the first that are timed
PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 256)  # that channels are cut to


class ChannelSearch:
    """The schedules of an operation; what does not depend on a place is found once."""

    def __init__(self, op: ops.Op, spec: AccelSpec, *, energy: bool = False) -> None:
        self.op, self.spec = op, spec
        self.energy = BusEnergy.of(spec) if energy else None
        self.window = op.input_window
        self.operand = op.operand is not None
        self.of_channels, self.of_pixels = op.operand_of_channels, op.operand_of_pixels
        weights = op.channel_weights
        wide = spec.storage.weight_bytes
        self.words = 1 + -(-weights * wide // 4) if weights else 0  # of a stream
        self.sends = kernel_cycles(weights, wide) if weights else 0  # cycles in which WGT gives it
        self.rows = spec.kind.row_unit(spec)
        self.paces: dict[int, float] = {}

    def ranked(
        self, place: TileContext, count: int, alone: bool = True, objective: Objective = CYCLES
    ) -> list[Candidate]:
        """Up to ``count`` schedules that fit, the best first (``CostEstimates.order``)."""
        images, rows = images_in(self.op, place.rows)
        cols, (window, spatial) = self.op.y.spatial[1], self._reads(rows, loaded=not place.x)
        cuts = Tilings.of(rows, cols, images, least_across(window, cols, spatial[1]))
        for sets in SETS:
            costs = self._costs(place, cuts, sets)
            if costs.fits.any():
                shared = None if alone else self.spec.wgt_rows
                order = costs.order(count, shared, objective, self.energy)
                return [self._choice(cuts, at, costs.pick(at)) for at in order]
        return []

    def misfit(self) -> str:
        """Why no schedule fits by itself, a phrase."""
        x = self.op.x.spatial
        looked = min(self.window.span(0, 1), x[0]) * min(self.window.span(1, 1), x[1])
        words = 4 * self.spec.wgt_banks * self.words
        return too_big(self.spec, self.spec.act_row_bytes * (looked + 1 + self.operand), words)

    @cached_property
    def _channels(self) -> Ints:
        """Sizes of a tile that are tried, [sizes, 1]."""
        every = self.op.y.channels
        sizes = {min(every, blocks(-(-every // parts)) * BLOCK) for parts in PARTS}
        taken = [size for size in sorted(sizes, reverse=True) if size <= MOST_CHANNELS]
        return np.array(taken).reshape(-1, 1)

    def _choice(self, cuts: Tilings, at: int, cost: CostEstimate) -> Candidate:
        size, cut = divmod(at, len(cuts.pieces))
        plan = ChannelPlan(
            int(self._channels[size, 0]), int(cuts.rows.most[cut]), int(cuts.cols.most[cut])
        )

        @cache
        def array(rows: int) -> float:
            images, own = images_in(self.op, rows)
            patches = Tilings.into(own, self.op.y.spatial[1], plan.rows, plan.cols, images)
            return float(self._array_cycles(self._channels[size], rows, patches).sum())

        return Candidate(plan, cost, array)

    def _costs(self, place: TileContext, cuts: Tilings, sets: int) -> CostEstimates:
        """Of every tile, of which so many must fit in ACT at once."""
        op, spec, bus = self.op, self.spec, Bus.of(self.spec)
        value = spec.storage.activation_bytes
        reads = self._reads(cuts.rows.total, loaded=not place.x)
        x = cuts.input_footprint(*reads)
        y = cuts.input_footprint(Window(), (cuts.rows.total, op.y.spatial[1]))
        channels = self._channels
        deep = -(-channels // BLOCK)
        operand = self.operand and not place.operand
        second = y.patch if not self.of_channels else np.ones_like(y.patch)  # pixels of a tile
        needed = deep * (x.patch * (not place.x) + y.patch * (not place.y))
        needed = needed + (1 if self.of_pixels else deep) * second * operand
        single = (channels == op.y.channels) & (cuts.pieces == 1)
        fits = needed * np.where(single, 1, sets) <= place.act
        fits = fits & cuts.take_no_more(*reads)
        read, written = x.nbytes(spec, op.y.channels), y.nbytes(spec, op.y.channels)
        steps = cuts.pieces * -(-op.y.channels // channels)
        other: Ints | Floats = written
        if op.operand is not None and (self.of_channels or self.of_pixels):
            share = cuts.pieces * value if self.of_channels else y.nbytes(spec, 1)
            other = op.operand.channels * share
        rows = self.words * -(-channels // self.spec.kind.placement(self.spec.array, 0).slots)
        return CostEstimates.of(
            array=self._array_cycles(channels, place.rows, cuts),
            waits=0,
            loads=bus.cycles(
                read * (not place.x) + other * operand, steps * ((not place.x) + operand)
            ),
            weights=bus.cycles(
                4 * self.words * op.y.channels, -(-op.y.channels // channels) * (self.words > 0)
            ),
            stores=bus.cycles(written * (not place.y), steps * (not place.y)),
            tile=bus.cycles(4 * self.words * channels, self.words > 0),
            first=bus.cycles(
                value * channels * (x.patch * (not place.x) + second * operand),
                (not place.x) + operand,
            ),
            last=bus.cycles(value * channels * y.patch, 1),
            rows=rows,
            all_rows=rows * -(-op.y.channels // channels),
            act=needed,
            energy=self._energy(place.rows),
            fits=fits & self._constants_fit(rows),
        )

    def _reads(self, _rows: int, *, loaded: bool) -> tuple[Window, tuple[int, int]]:
        """The window through which tiles look at ``x``, and the size of what it lies in."""
        return self.op.seen(loaded=loaded)

    def _energy(self, rows: int) -> float:
        """Picojoules on the array of so many rows of output: rows of ACT, multiplies, requantized
        results. No schedule changes them much."""
        if self.energy is None or self.op.moves_only:
            return 0.0
        own, taps = physics.energy(self.spec), self.window.taps
        outputs, looked, registers = rows * self.op.y.spatial[1], taps + self.operand, 0.0
        timing = self._by_rows(rows, self.op.y.spatial[1], 1)
        fetched = looked if timing is None else timing.fetched / outputs
        if timing is not None:
            registers = own.row_byte * BLOCK * (fetched + looked)
        deep = blocks(self.op.y.channels) * ((fetched + 1) * own.act_row + registers)
        results = not isinstance(self.op, ops.MaxPoolOp | ops.LookupOp)
        channel = self.op.channel_weights * own.mac + results * own.requantise
        channel += (self.op.table is not None) * own.lookup
        return float(outputs * (deep + self.op.y.channels * channel))

    def _constants_fit(self, rows: Ints) -> Bools:
        """Whether the weights (``rows`` of WGT) and parameters of two tiles fit, or of the only
        one."""
        spec, channels = self.spec, self._channels
        if not self.words:
            return np.ones_like(channels, np.bool_)
        several = np.where(channels == self.op.y.channels, 1, 2)
        par = PAR_ROWS * -(-channels // BLOCK)
        return np.asarray((several * rows <= spec.wgt_rows) & (several * par + 1 <= spec.par_rows))

    def _array_cycles(self, channels: Ints, rows: int, cuts: Tilings) -> Floats:
        """By rows, each patch timed as it will be; tap by tap, block by block and quad by quad
        (``lane_array.simple_cycles``)."""
        if self.op.moves_only:
            return np.zeros(1)
        array, deep = self.spec.array, -(-channels // BLOCK)
        total = np.zeros((1, len(cuts.pieces)))
        for high, wide, many in cuts.patches():
            sizes = list(zip(high.tolist(), wide.tolist(), strict=True))
            first, each = np.array([self._block_cycles(rows, *size) for size in sizes]).T
            taken = first + (deep - 1) * each + array.pipeline_cycles + STEP
            total = total + many * taken
        return total * (self.op.y.channels / channels)

    def _block_cycles(self, rows: int, high: int, wide: int) -> tuple[float, float]:
        """Cycles of the first channel block of a patch, and of each one after it."""
        if not high or not wide:  # of which there is none
            return 0.0, 0.0
        one, several = (self._by_rows(high, wide, blocks) for blocks in (1, 1 + SAMPLE))
        if one is not None and several is not None:
            return one.cycles, (several.cycles - one.cycles) / SAMPLE
        pixels = self.spec.array.pixels
        each = -(-high * wide // pixels) * self._pace(rows)
        return each + pixels, each

    def _by_rows(self, high: int, wide: int, blocks: int) -> RowTiming | None:
        """Of a patch in the middle of the image; None: the array works on it tap by tap."""
        window, span = self.window, self.window.span
        around = (*window.kernel, *window.stride, *window.dilation)
        row = self.op.x.spatial[1]
        shape = WindowShape(row, span(0, high), span(1, wide), 0, 0, *around, high, wide)
        strip = None if self.rows is None else strip_of(self.rows, shape, self.words > 0)
        if self.rows is None or strip is None:
            return None
        return row_timing(self.rows, shape, strip, blocks, self.sends, self.operand)

    def _pace(self, rows: int) -> float:
        """Cycles of a quad of a block, on average over so many rows of output."""
        if rows not in self.paces:
            array, cols = self.spec.array, self.op.y.spatial[1]
            written, (down, right) = self.spec.kind.datapath(self.spec).rows, row_by_row(rows, cols)
            conflicts = partial(
                lane_array.quad_conflicts,
                down,
                right,
                banks=self.spec.sram.act_banks,
                pixels=array.pixels,
            )
            reads = self.window.taps * conflicts(
                row=self.op.x.spatial[1],
                row_stride=self.window.stride[0],
                col_stride=self.window.stride[1],
            )
            if self.of_channels:
                reads = reads + 1
            elif self.operand:
                reads = reads + conflicts(row=cols)
            self.paces[rows] = float(np.maximum(reads, -(-array.pixels // written)).mean())
        return self.paces[rows]


class WeaveSearch(ChannelSearch):
    """The schedules of a move of pixels: what a tile takes is loaded to where it goes."""

    def _reads(self, rows: int, *, loaded: bool) -> tuple[Window, tuple[int, int]]:
        return Window(), (rows, self.op.y.spatial[1])
