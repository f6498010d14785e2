"""The mappings in which an array can work through a convolution's weights, and what each costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import Case, StreamPlacement
from zeroskip.accel_model.arrays.pricing import LinearPrice, PatchPrice, of_pairs, unique_pairs
from zeroskip.accel_model.formats import Shape
from zeroskip.accel_model.isa.instructions import BLOCK, MOST_CHANNELS, PAR_ROWS
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.shape import WindowShape
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.kernel_parts import WHOLE, Cuts
from zeroskip.compiler.ir.tiles import intervals
from zeroskip.compiler.ir.weight_packing import PackedWeights, packed_parts
from zeroskip.compiler.scheduling.cost_model import Floats, Ints, Tilings
from zeroskip.compiler.scheduling.objective import output_pj

STEP = 3  # cycles of a step besides its work: registers are set
PARTS = 3  # tiles of filters that the array's timing is run for
CHUNKS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64, 128)  # parts that a reduction is cut into
GROUPS = 4  # of outputs, whose energy on the array is counted
CHUNKINGS = 3  # of those whose weights fit, how many are tried, the largest parts first


@dataclass(frozen=True)
class Mappings:
    """Ways to work through the weights; arrays [mappings, 1].

    mode: the array's. filters: of a tile; channels: of a chunk; tiles, chunks:
    how many there are; granule: outputs that are worked on together. slots: filters that are.
    rows: of WGT, of the largest tile of weights; part_rows: of all chunks of a tile of filters;
    all_rows: of all. nbytes: of all weights, packed. energy: picojoules on the array for each
    output, 0 where nobody asks.
    prices: cycles of a patch, of each mapping.
    """

    mode: Ints
    filters: Ints
    channels: Ints
    tiles: Ints
    chunks: Ints
    granule: Ints
    slots: Ints
    rows: Ints
    part_rows: Ints
    all_rows: Ints
    nbytes: Floats
    energy: Floats
    prices: tuple[PatchPrice, ...]

    @staticmethod
    def of(rows: Sequence[Sequence[float]], prices: Sequence[PatchPrice]) -> Mappings:
        """Ways of which each row has the fields before ``prices``, in order."""
        sizes = np.array(rows, np.float64).reshape(-1, len(fields(Mappings)) - 1).T[..., np.newaxis]
        *counts, nbytes, energy = sizes
        columns: list[Any] = [*(column.astype(np.int64) for column in counts), nbytes, energy]
        columns.append(tuple(prices))
        return Mappings(*columns)

    def __len__(self) -> int:
        return len(self.mode)

    def only(self, at: int) -> Mappings:
        """One of them."""
        return Mappings(*(getattr(self, column.name)[at : at + 1] for column in fields(self)))

    def sizes(self, at: int) -> tuple[int, int, int]:
        """Mode, filters and channels of one of them."""
        return int(self.mode[at, 0]), int(self.filters[at, 0]), int(self.channels[at, 0])

    def array_cycles(self, cuts: Tilings) -> Floats:
        """Cycles of all steps, float64 [mappings, cuts]."""
        total = np.asarray(STEP * cuts.pieces * self.tiles * self.chunks, np.float64)
        for high, wide, many in cuts.patches():
            total += many * np.where(many, self._patch_cycles(high, wide), 0.0)
        return total

    def _patch_cycles(self, high: Ints, wide: Ints) -> Floats:
        if self._linear is None:
            highs, wides, which = unique_pairs(high, wide)
            return np.stack([price.cycles_of(highs, wides) for price in self.prices])[:, which]
        groups = -(-high * wide // self.granule)
        single, base, pace, passed = self._linear
        cycles = np.where(groups == 1, single, base + pace * groups)
        cycles *= passed + (1 - passed) * self._shares(high, wide)
        if self._least is None:
            return cycles
        single, base, pace, _ = self._least
        return np.maximum(cycles, np.where(groups == 1, single, base + pace * groups))

    def _shares(self, high: Ints, wide: Ints) -> Floats:
        """``LinearPrice.share`` of patches, [mappings, cuts]."""
        shares = [price.share for price in self.prices if isinstance(price, LinearPrice)]
        whole = np.ones(np.broadcast(high, wide).shape)
        known = {
            share: whole if share is None else of_pairs(share.of, high, wide)
            for share in dict.fromkeys(shares)
        }
        return np.stack([known[share] for share in shares])

    @cached_property
    def _linear(self) -> tuple[Floats, ...] | None:
        """``_columns``, where all prices are linear."""
        prices = [price for price in self.prices if isinstance(price, LinearPrice)]
        return _columns(prices) if len(prices) == len(self.prices) else None

    @cached_property
    def _least(self) -> tuple[Floats, ...] | None:
        """``_columns`` of ``LinearPrice.least``, where all prices have one."""
        least = [price.least for price in self.prices if isinstance(price, LinearPrice)]
        known = [price for price in least if price is not None]
        return _columns(known) if len(known) == len(self.prices) else None


def _columns(prices: list[LinearPrice]) -> tuple[Floats, ...]:
    """``single``, ``base``, ``pace`` and ``passed``, each [prices, 1]."""
    columns = [[each.single, each.base, each.pace, each.passed] for each in prices]
    return tuple(np.array(columns, np.float64).reshape(-1, 4).T[..., np.newaxis])


def enumerate_mappings(
    whole: PackedWeights,
    wgt_rows: int,
    *,
    energy: bool = False,
    cuts: Cuts = WHOLE,
    chunks: int = 1,
) -> Mappings:
    """Every mapping of which two tiles of weights fit in so many rows of WGT, with or without its
    energy; ``cuts``: of the kernel, whose parts count as chunks; ``chunks``: of the channels, at
    the least. ArrayError if the array cannot do any step of it."""
    conv, spec, every = whole.conv, whole.spec, packed_parts(whole, cuts)
    kind, geometry, weights = spec.kind, spec.array, every[-1]
    found: list[tuple[float, ...]] = []
    prices: list[PatchPrice] = []
    for mode in _modes(conv, spec):
        placement, granule = kind.placement(geometry, mode), kind.granule(geometry, mode)
        for filters in _filter_tiles(weights, spec, placement.slots, granule):
            chunkings = _chunkings(every, spec, placement, filters, wgt_rows, chunks)
            for channels, rows in islice(chunkings, CHUNKINGS):
                found.append(
                    (
                        mode,
                        filters,
                        channels,
                        *rows.shape,
                        granule,
                        placement.slots,
                        rows.max(),
                        rows.sum(axis=1).max(),
                        rows.sum(),
                        sum(part.packed_bytes(channels) for part in every),
                        sum(
                            _output_energy(part.conv, part, spec, mode, filters, channels)
                            for part in every
                            if energy
                        ),
                    )
                )
                found_prices = (
                    _patch_price(part.conv, part, spec, mode, filters, channels) for part in every
                )
                prices.append(reduce(lambda one, two: one.plus(two, 1), found_prices))
    return Mappings.of(found, prices)


def least_rows(conv: ops.ConvOp, spec: AccelSpec, several: bool = False) -> int:
    """WGT rows of the smallest tile of weights, or of two of it where there are several."""
    weights, least = PackedWeights(conv, spec), []
    size = min(blocks(-(-weights.channels // CHUNKS[-1])) * BLOCK, weights.channels)
    for mode in _modes(conv, spec):
        placement = spec.kind.placement(spec.array, mode)
        granule = spec.kind.granule(spec.array, mode)
        for filters in _filter_tiles(weights, spec, placement.slots, granule)[:1]:
            rows = weights.rows(filters, size, placement)
            least.append(int(rows.max()) * (2 if several or rows.size > 1 else 1))
    return min(least, default=0)


def _modes(conv: ops.ConvOp, spec: AccelSpec) -> Iterable[int]:
    """The array's, less those that cannot be fastest."""
    return spec.kind.useful_modes(spec.array, len(conv.weight), prod(conv.y.spatial))


def _filter_tiles(weights: PackedWeights, spec: AccelSpec, slots: int, granule: int) -> list[int]:
    """Filters of a tile: whole groups, doubling, filled to blocks of 16 channels, which are what is
    written; as far as staging and PAR allow."""
    whole = blocks(weights.filters) * BLOCK
    staged = spec.sram.staging_bytes // (2 * granule * spec.storage.activation_bytes)
    params = (spec.par_rows - max(weights.table_rows, 1)) // (2 * PAR_ROWS) * BLOCK
    sizes = {min(blocks(slots << shift) * BLOCK, whole) for shift in range(12)} | {whole}
    return sorted(size for size in sizes if size <= min(staged, params))


def _chunkings(
    parts: Sequence[PackedWeights],
    spec: AccelSpec,
    placement: StreamPlacement,
    filters: int,
    wgt_rows: int,
    least: int,
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Channels of a chunk that the array takes, and the WGT rows of every tile of weights
    [tiles, chunks of all parts], where two tiles fit in ``wgt_rows`` or all of them do. least:
    chunks that there are."""
    every = parts[0].channels
    sizes = {min(blocks(-(-every // parts)) * BLOCK, every) for parts in CHUNKS if parts >= least}
    for size in sorted(sizes, reverse=True):
        takes = (spec.kind.takes(spec.array, Shape(size, part.taps)) for part in parts)
        if size > MOST_CHANNELS or not all(takes):
            continue
        rows = np.concatenate([part.rows(filters, size, placement) for part in parts], axis=1)
        if rows.max() * (1 if rows.size == 1 else 2) <= wgt_rows:
            yield size, rows


def _patch_price(
    conv: ops.ConvOp,
    weights: PackedWeights,
    spec: AccelSpec,
    mode: int,
    filters: int,
    channels: int,
) -> PatchPrice:
    """The price of a mapping."""
    total: PatchPrice | None = None
    for case, times in _cases(conv, weights, mode, filters, channels):
        price = spec.kind.price(spec, case)
        total = price.times(times) if total is None else total.plus(price, times)
    assert total is not None  # the last chunk is counted
    return total


def _output_energy(
    conv: ops.ConvOp,
    weights: PackedWeights,
    spec: AccelSpec,
    mode: int,
    filters: int,
    channels: int,
) -> float:
    """Picojoules of a mapping on the array for each output, from a few groups of outputs."""
    granule, total = spec.kind.granule(spec.array, mode), 0.0
    for case, times in _cases(conv, weights, mode, filters, channels):
        whole = case.window
        rows = min(whole.out_height, -(-GROUPS * granule // whole.out_width))
        few = replace(case, window=whole._replace(out_height=rows))
        total += times * output_pj(spec, few)
    return total


def _cases(
    conv: ops.ConvOp, weights: PackedWeights, mode: int, filters: int, channels: int
) -> Iterator[tuple[Case, float]]:
    """What is timed of a mapping, and how often it counts: a few tiles of filters, of each the last
    chunk and the fullest of those before it. What is left out is taken to be alike, weight for
    weight."""
    chunks = intervals(weights.channels, channels)
    parts = intervals(weights.filters, filters)
    few = parts[:: -(-len(parts) // PARTS)]
    scale = weights.work.sum() / sum(int(weights.work[p.start : p.end].sum()) for p in few)
    window = _whole_window(conv)
    for part in few:
        before = [weights.work_of(part, chunk) for chunk in chunks[:-1]]
        timed = [(chunks[-1], 1.0)]
        if before:
            fullest = int(np.argmax(before))
            timed.append((chunks[fullest], sum(before) / before[fullest]))
        for chunk, times in timed:
            case = Case(
                window,
                weights.filter_set(part, chunk),
                mode,
                chunk == chunks[0],
                chunk == chunks[-1],
                window.out_width if chunk == chunks[-1] and conv.residual is not None else None,
            )
            yield case, scale * times


def _whole_window(conv: ops.ConvOp) -> WindowShape:
    """The window of all outputs, its input in ACT in full width."""
    (high, wide), (height, width), window = conv.y.spatial, conv.x.spatial, conv.window
    if conv.images > 1:  # each has padding of its own
        (high, wide), (height, width) = conv.y.value.image, conv.x.value.image
    return WindowShape(
        width,
        height,
        width,
        -window.pad[0],
        -window.pad[1],
        *window.kernel,
        *window.stride,
        *window.dilation,
        high,
        wide,
    )
