"""The mappings in which the lanes can work through a convolution's weights, and what each costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing import lane_array
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.tiles import intervals
from zeroskip.compiler.ir.weight_packing import PackedWeights
from zeroskip.compiler.scheduling.cost_model import Floats, Ints, Tilings

Int32 = npt.NDArray[np.int32]

STEP = 3  # cycles of a step besides its work: registers are set
PAR_ROWS = 9  # rows of PAR for the parameters of 16 channels
SAMPLES = (1, 4, 12)  # pixel groups that the array's timing function is run on
PARTS = 3  # and tiles of filters that it is run for
CHUNKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)  # parts that a reduction is cut into
CHUNKINGS = 3  # of those whose weights fit, how many are tried, the largest parts first


@dataclass(frozen=True)
class Mappings:
    """Ways to work through the weights; arrays [mappings, 1].

    gang: lanes that share a filter (log2); filters: of a tile; channels: of a chunk; tiles, chunks:
    how many there are; wide: pixels of a group. rows: of WGT, of the largest tile of weights;
    part_rows: of all chunks of a tile of filters; all_rows: of all. nbytes: of all weights, packed.
    single: cycles of a patch of one pixel group; base, pace: ``base + pace * n`` cycles of one of n
    groups.
    """

    gang: Ints
    filters: Ints
    channels: Ints
    tiles: Ints
    chunks: Ints
    wide: Ints
    rows: Ints
    part_rows: Ints
    all_rows: Ints
    nbytes: Floats
    single: Floats
    base: Floats
    pace: Floats

    def __len__(self) -> int:
        return len(self.gang)

    def only(self, at: int) -> Mappings:
        """One of them."""
        return Mappings(*(getattr(self, each.name)[at : at + 1] for each in fields(self)))

    def sizes(self, at: int) -> tuple[int, int, int]:
        """Gang, filters and channels of one of them."""
        return int(self.gang[at, 0]), int(self.filters[at, 0]), int(self.channels[at, 0])

    def array_cycles(self, cuts: Tilings) -> Floats:
        """Cycles of all steps, float64 [mappings, cuts]."""
        total = np.asarray(STEP * cuts.pieces * self.tiles * self.chunks, np.float64)
        for pixels, many in cuts.patches():
            groups = -(-pixels // self.wide)
            total += many * np.where(groups == 1, self.single, self.base + self.pace * groups)
        return total


def enumerate_mappings(conv: ops.ConvOp, spec: AccelSpec) -> Mappings:
    """Every mapping whose weights fit on chip. WindowError if no step fits in the lanes'
    windows."""
    weights = PackedWeights(conv, spec.array.kind)
    found: list[tuple[float, ...]] = []
    for gang in range(spec.array.max_gang + 1):
        for filters in _filter_tiles(weights, spec, gang):
            chunkings = _chunkings(weights, spec, gang, filters)
            for channels, rows in islice(chunkings, CHUNKINGS):
                found.append(
                    (
                        gang,
                        filters,
                        channels,
                        *rows.shape,
                        spec.array.pixels << gang,
                        rows.max(),
                        rows.sum(axis=1).max(),
                        rows.sum(),
                        weights.packed_bytes(channels),
                        *_patch_cycles(conv, weights, spec, gang, filters, channels),
                    )
                )
    columns: list[Any] = [
        column.reshape(-1, 1).astype(np.int64 if each.type == "Ints" else np.float64)
        for column, each in zip(
            np.array(found, np.float64).reshape(-1, len(fields(Mappings))).T,
            fields(Mappings),
            strict=True,
        )
    ]
    return Mappings(*columns)


def _filter_tiles(weights: PackedWeights, spec: AccelSpec, gang: int) -> list[int]:
    """Filters of a tile: whole groups, doubling, as far as staging and PAR allow."""
    array = spec.array
    slots = max(array.lanes >> gang, BLOCK)
    whole = blocks(weights.filters) * BLOCK
    staged = spec.sram.staging_bytes // (2 * (array.pixels << gang))
    table = 1 if weights.table is None else 2 * len(weights.table.masks)
    params = (spec.par_rows - table) // (2 * PAR_ROWS) * BLOCK
    sizes = {min(slots << shift, whole) for shift in range(12)} | {whole}
    return sorted(size for size in sizes if size <= min(staged, params))


def _chunkings(
    weights: PackedWeights, spec: AccelSpec, gang: int, filters: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Channels of a chunk, and the WGT rows of every tile of weights [tiles, chunks], where two
    tiles fit or all of them do."""
    every = weights.channels
    sizes = {min(blocks(-(-every // parts)) * BLOCK, every) for parts in CHUNKS}
    for size in sorted(sizes, reverse=True):
        rows = weights.rows(filters, size, spec.array.lanes >> gang, gang)
        if rows.max() * (1 if rows.size == 1 else 2) <= spec.wgt_rows:
            yield size, rows


def _patch_cycles(
    conv: ops.ConvOp,
    weights: PackedWeights,
    spec: AccelSpec,
    gang: int,
    filters: int,
    channels: int,
) -> tuple[float, float, float]:
    """``single``, ``base`` and ``pace`` of a mapping; chunks before the last are taken to be
    equal."""
    y, wide = conv.y.value, spec.array.pixels << gang
    counts = [min(count, -(-y.pixels // wide)) for count in SAMPLES]
    fetch = _fetch(conv, spec, gang, counts[-1])
    pixels = np.full(counts[-1], min(wide, y.pixels), np.int32)
    chunks = intervals(weights.channels, channels)
    cycles = dict.fromkeys(counts, 0.0)
    parts = intervals(weights.filters, filters)
    few = parts[:: -(-len(parts) // PARTS)]
    scale = weights.total.sum() / sum(int(weights.total[p.start : p.end].sum()) for p in few)
    for part in few:
        order = weights.order(part)
        for chunk, times in ((chunks[0], len(chunks) - 1), (chunks[-1], 1)):
            last = chunk == chunks[-1]
            work = weights.part_work(part, chunk)[order]
            stages = formats.reduction_steps_of(weights.kind, chunk.size, weights.taps)
            for n in cycles if times else ():
                operand = fetch[1][:n] if last and conv.residual is not None else None
                cycles[n] += (
                    scale
                    * times
                    * lane_array.conv_cycles(
                        spec.array,
                        weights.kind,
                        work,
                        order,
                        stages,
                        fetch[0][:n],
                        pixels[:n],
                        gang,
                        blocks(part.size),
                        last,
                        operand,
                    ).cycles
                )
    less, more = counts[0 if len(cycles) < len(SAMPLES) else -2], counts[-1]
    pace = (cycles[more] - cycles[less]) / (more - less) if more > less else cycles[more]
    return cycles[1], cycles[more] - pace * more, pace


def _fetch(conv: ops.ConvOp, spec: AccelSpec, gang: int, count: int) -> tuple[Int32, Int32]:
    """Cycles to fetch a tap of a block, and a block of the operand, for the first pixel groups of
    the output in full width."""
    array, (high, wide) = spec.array, conv.y.value.spatial
    rows = min(high, -(-count * (array.pixels << gang) // wide))

    def cycles(**layout: int) -> Int32:
        found = lane_array.quad_conflicts(
            rows, wide, banks=spec.sram.act_banks, pixels=array.pixels, **layout
        )
        return np.resize(lane_array.tile_fetch(found, gang), count)

    window = conv.window
    return cycles(
        row=conv.x.value.spatial[1], row_stride=window.stride[0], col_stride=window.stride[1]
    ), cycles(row=wide)
