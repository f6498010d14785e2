"""The search for the fastest schedule of an operation.

A convolution is cut into tiles of filters, output rows and columns, and chunks of input channels;
its lanes are ganged; either the weights or the pixels are the outer loop. The search tries every
combination that fits and ranks them by their estimated cycles. Time on the array comes from the
array's own timing function, run on the layer's own weights for a few pixel groups.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product

import numpy as np

from zeroskip.accel_model import formats, lanes
from zeroskip.accel_model.isa import BLOCK
from zeroskip.accel_model.layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler import ops
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.plan import ChannelPlan, ConvPlan, Plan
from zeroskip.compiler.tiles import Patch, Span, act_rows, even_spans, patches, source
from zeroskip.compiler.weights import Weights

PAR_ROWS = 9  # rows of PAR for the parameters of 16 channels
CHANNEL_SETS = (3, 2, 4, 6, 8, 12)  # tiles in ACT at once
SAMPLE_TILES = 6  # pixel groups that the array's timing function is run on


def candidates(op: ops.Op, spec: AccelSpec, count: int) -> list[Plan]:
    """Up to ``count`` schedules of an operation, the one with the least estimated cycles first.

    CompileError if not even the smallest tile fits, or a step of it in the lanes' windows.
    """
    if not isinstance(op, ops.Conv) or isinstance(op, ops.Depthwise):
        return [*islice(channel_plans(op, spec), count)]
    search = ConvSearch(op, spec, Weights(op, spec.array.kind))
    try:
        ranked = heapq.nsmallest(count, search.plans(), key=lambda plan: (plan.cycles, str(plan)))
    except lanes.WindowError as problem:
        raise CompileError(f"'{op.node}': {problem}") from None
    if not ranked:
        raise search.refusal()
    return list(ranked)


@dataclass(frozen=True)
class _Cut:
    """An output cut into patches: their pixels, and the input pixels that they look at in all."""

    pixels: tuple[int, ...]
    looked: int


@dataclass(frozen=True, eq=False)
class ConvSearch:
    """The schedules of a convolution that fit; ``cuts`` are remembered."""

    conv: ops.Conv
    spec: AccelSpec
    weights: Weights
    cuts: dict[tuple[int, int], _Cut] = field(default_factory=dict)

    def cut(self, rows: int, cols: int) -> _Cut:
        """The output in patches of a size; remembered, as the search asks again and again."""
        if (rows, cols) not in self.cuts:
            conv = self.conv
            cut = patches(conv.y.value.spatial, rows, cols)
            looked = sum(source(conv.window, one, conv.x.value.spatial).patch.pixels
                         for one in cut)
            self.cuts[rows, cols] = _Cut(tuple(one.pixels for one in cut), looked)
        return self.cuts[rows, cols]

    def plans(self) -> Iterator[ConvPlan]:
        array = self.spec.array
        for gang in range(array.max_gang + 1):
            for filters in self._filter_tiles(gang):
                compute = self._cycles_per_group(gang, filters)
                for channels in self._channel_chunks(gang, filters):
                    yield from self._patch_plans(gang, filters, channels, compute)

    def _filter_tiles(self, gang: int) -> list[int]:
        """Filters of a tile: whole groups, doubling, as far as staging and PAR allow."""
        array, sram = self.spec.array, self.spec.sram
        slots = max(array.lanes >> gang, BLOCK)
        whole = blocks(self.weights.filters) * BLOCK
        staged = sram.staging_bytes // (2 * (array.pixels << gang))
        params = (self.spec.par_rows - self._table_rows) // (2 * PAR_ROWS) * BLOCK
        most = min(staged, params)
        sizes = {min(slots << shift, whole) for shift in range(12)} | {whole}
        return sorted(size for size in sizes if size <= most)

    @property
    def _table_rows(self) -> int:
        table = self.weights.table
        return 2 * len(table.masks) if table is not None else 1

    def _channel_chunks(self, gang: int, filters: int) -> list[int]:
        """Channels of a chunk: all, halves, quarters...; those whose weights fit in WGT."""
        every = self.weights.channels
        sizes = sorted({blocks(-(-every // parts)) * BLOCK for parts in
                        (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)}, reverse=True)
        fitting = []
        for size in sizes:
            chunk = min(size, every)
            rows = self._weight_rows(gang, filters, chunk)
            single = filters >= self.weights.filters and chunk == every
            if rows * (1 if single else 2) <= self.spec.wgt_rows:
                fitting.append(chunk)
            if len(fitting) == 3:
                break
        return fitting

    def _weight_rows(self, gang: int, filters: int, channels: int) -> int:
        """WGT rows that a weight tile takes at most."""
        slots = self.spec.array.lanes >> gang
        groups = -(-min(filters, self.weights.filters) // slots)
        heaviest = int(self.weights.total.max()) * channels / self.weights.channels
        if channels < self.weights.channels:
            heaviest *= 1.15
        header = 4 + {"dense": 0.0, "bitmap": channels * self.weights.taps / 8,
                      "pattern": channels * -(-self.weights.taps // 16) * 0.75}[self.weights.kind]
        most = {"dense": channels * self.weights.taps}.get(self.weights.kind)
        body = header + (most if most is not None else heaviest)
        words = -(-int(body + 7) // 4)
        return groups * -(-words // (1 << gang))

    def _cycles_per_group(self, gang: int, filters: int) -> float:
        """Cycles of a pixel group with all filters, at steady state."""
        array = self.spec.array
        wide = min(array.pixels << gang, self.conv.y.value.pixels)
        quads = -(-wide // array.pixels)
        total = 0.0
        stages = formats.stages_of(self.weights.kind, self.weights.channels, self.weights.taps)
        tiles = np.full(SAMPLE_TILES, quads, np.int32)
        pixels = np.full(SAMPLE_TILES, wide, np.int32)
        for part in even_spans(self.weights.filters, filters):
            order = self.weights.order(part)
            work = self.weights.work[part.start : part.end][order]
            operand = tiles if self.conv.residual is not None else None
            timing = lanes.conv_cycles(array, self.weights.kind, work, order, stages, tiles,
                                       pixels, gang, blocks(part.size), True, operand)
            total += timing.cycles / SAMPLE_TILES
        return total

    def _patch_plans(
        self, gang: int, filters: int, channels: int, per_group: float
    ) -> Iterator[ConvPlan]:
        rows, cols = self.conv.y.value.spatial
        chunks = -(-self.weights.channels // channels)
        for split, keep, outer in product(_splits(rows), (False, True), ("weights", "pixels")):
            high = -(-rows // split)
            wide = cols
            while wide >= 1:
                fits = self._fits(gang, filters, channels, high, wide, keep)
                if fits:
                    break
                if high > 1 or wide == 1:
                    break
                wide = -(-wide // 2)
            if not fits or (keep and chunks > 1 and outer == "pixels"):
                continue
            cycles = self._estimate(gang, filters, channels, (high, wide), outer, keep, per_group)
            yield ConvPlan(gang, filters, high, wide, channels, outer, keep, cycles)

    def _fits(self, gang: int, filters: int, channels: int, rows: int, cols: int,
              keep: bool) -> bool:
        spec, conv = self.spec, self.conv
        out = Patch(Span(0, rows), Span(0, cols))
        looked = self._input_patch(out)
        each = act_rows(filters, out) * (2 if conv.residual is not None else 1)
        kept = 0
        if keep:
            kept = blocks(self.weights.channels) * conv.x.value.pixels
            if (conv.x.value.spatial[0] - 1) * conv.x.value.spatial[1] >= 1 << 14:
                return False
        else:
            each += blocks(channels) * looked.pixels
        single = (rows, cols) == conv.y.value.spatial and filters >= self.weights.filters
        copies = 1 if single and channels >= self.weights.channels else 2
        if kept + copies * each > spec.act_rows * (1.0 if copies == 1 else 0.95):
            return False
        if channels < self.weights.channels:
            wide = spec.array.pixels << gang
            groups = -(-filters // (spec.array.lanes >> gang))
            slots = min(spec.array.lanes >> gang, filters)
            needed = -(-rows * cols // wide) * groups * wide * blocks(slots)
            return needed <= spec.acc_rows
        return True

    def _input_patch(self, out: Patch) -> Patch:
        window, spatial = self.conv.window, self.conv.x.value.spatial
        high = min(window.span(0, out.rows.size), spatial[0])
        wide = min(window.span(1, out.cols.size), spatial[1])
        return Patch(Span(0, high), Span(0, wide))

    def _estimate(self, gang: int, filters: int, channels: int, size: tuple[int, int],
                  outer: str, keep: bool, per_group: float) -> int:
        """Cycles of the whole layer: the slower of array and bus, with what cannot overlap."""
        spec, conv = self.spec, self.conv
        cut = self.cut(*size)
        pieces = len(cut.pixels)
        chunks = -(-self.weights.channels // channels)
        tiles = -(-self.weights.filters // filters)
        steps = pieces * chunks * tiles
        wide = spec.array.pixels << gang
        groups = sum(-(-pixels // wide) for pixels in cut.pixels)
        tail = wide + spec.array.pipeline_cycles + wide // spec.array.pixels + 6
        compute = groups * per_group * (1 + 0.01 * (chunks - 1)) + steps * tail
        once = cut.looked * self.weights.channels
        if keep:
            moved_in = conv.x.value.pixels * self.weights.channels
        else:
            again = tiles > 1 and ((outer == "weights" and pieces > 1) or chunks > 1)
            moved_in = once * (tiles if again else 1)
        again = pieces > 1 and (chunks > 1 or (outer == "pixels" and tiles > 1))
        moved_weights = self.weights.nbytes * (pieces if again else 1)
        written = conv.y.value.pixels * self.weights.filters
        if conv.residual is not None:
            written *= 2
        width = spec.dram.bytes_per_cycle
        bus = (moved_in + moved_weights + written) * 1.01 / width
        first = (moved_in / (1 if keep else steps) + moved_weights / (tiles * chunks)) / width
        last = min(filters, self.weights.filters) * cut.pixels[-1] / width
        return int(max(compute, bus) + first / 2 + last / 2)

    def refusal(self) -> CompileError:
        spec, conv = self.spec, self.conv
        looked = self._input_patch(Patch(Span(0, 1), Span(0, 1)))
        needed = 16 * (looked.pixels + 1 + (conv.residual is not None)) * 2
        return too_big(conv.node, spec, needed, 2 * 4 * spec.array.lanes
                       * self._weight_rows(0, BLOCK, min(BLOCK, self.weights.channels)))


def too_big(node: str, spec: AccelSpec, act: int, wgt: int = 0) -> CompileError:
    """The refusal of an operation whose smallest tile does not fit."""
    weights = f" and {wgt} bytes of WGT" if wgt else ""
    return CompileError(
        f"'{node}': its smallest tile needs {act} bytes of ACT{weights}, {spec.name} has "
        f"{spec.sram.act_bytes} and {spec.sram.wgt_bytes}; choose a target with more SRAM"
    )


def _splits(rows: int) -> list[int]:
    """Numbers of pieces to cut rows into: 1..16, then powers of two, then single rows."""
    tried = {*range(1, 17), *(1 << n for n in range(5, 13)), rows}
    return sorted(n for n in tried if n <= rows)


def channel_plans(op: ops.Op, spec: AccelSpec) -> Iterator[ChannelPlan]:
    """The largest tile of which three sets fit, room to load, compute and store at once; then
    those for other shares of ACT."""
    seen = set()
    for sets in CHANNEL_SETS:
        plan = _plan_channels(op, spec, spec.act_rows // sets)
        if plan not in seen:
            seen.add(plan)
            yield plan


def _plan_channels(op: ops.Op, spec: AccelSpec, goal: int) -> ChannelPlan:
    """The largest tile that takes no more than ``goal`` rows of ACT, or the smallest one."""
    window = getattr(op, "window", ops.Window())
    operands = 2 if isinstance(op, ops.Add) or getattr(op, "residual", None) is not None else 1
    rows, cols = op.y.value.spatial
    channels = op.y.channels
    if isinstance(op, ops.Depthwise):
        lanes_ = spec.array.lanes
        words = -(-window.taps // 4) + 1
        channels = min(channels, max(1, spec.wgt_rows // (2 * words)) * lanes_,
                       max(1, (spec.par_rows - 1) // (2 * PAR_ROWS)) * BLOCK)

    def needed(channels: int, rows: int, cols: int) -> int:
        looked = (min(window.span(0, rows), op.x.value.spatial[0])
                  * min(window.span(1, cols), op.x.value.spatial[1]))
        return blocks(channels) * (looked + operands * rows * cols)

    while needed(channels, rows, cols) > goal:
        if needed(BLOCK, rows, cols) <= goal and channels > BLOCK:
            channels = blocks(-(-channels // 2)) * BLOCK
        elif rows > 1:
            rows = -(-rows // 2)
        elif channels > BLOCK:
            channels = BLOCK
        elif cols > 1:
            cols = -(-cols // 2)
        else:
            break
    if needed(channels, rows, cols) > spec.act_rows:
        raise too_big(op.node, spec, needed(channels, rows, cols) * 16)
    return ChannelPlan(channels, rows, cols)
