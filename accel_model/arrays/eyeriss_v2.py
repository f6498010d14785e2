"""PEs of Eyeriss v2 (Chen et al., JETCAS 2019): one product of two non-zeros a cycle.

A column of PEs has filters, a row of PEs neighbouring outputs; ``2^mode`` rows share outputs and
have a part of the channels each. docs/arrays/eyeriss_v2.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Bools,
    Case,
    FilterSet,
    Int64,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    beside,
)
from zeroskip.accel_model.arrays.pricing import ExactPrice
from zeroskip.accel_model.arrays.tile_counts import (
    MULTIPLIED,
    SUPPLY,
    Needs,
    by_tap,
    in_tile,
    looked_up,
    mask_of,
    patch_window,
    result_events,
    supplies,
    supply_cycles,
    two_sets,
)
from zeroskip.accel_model.formats import CSC, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import SUM_BYTES, Widths, node_of
from zeroskip.accel_model.physics.cost import alike, named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.selection import bits_of
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import (
    ACT_ROW,
    AccelSpec,
    Energy,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.timing.shape import WindowShape

Floats = npt.NDArray[np.float64]
LOOKED_UP = 1 << 24  # bytes of what taps see, at a time


@dataclass(frozen=True)
class EyerissGeometry:
    """A grid of PEs, each with one multiplier."""

    kind: str
    pe_rows: int = number("rows of PEs; a row has neighbouring outputs", 1, 64, power_of_two=True)
    pe_cols: int = number("columns of PEs; a column has filters and a bank of WGT", 1, 128)
    filters: int = number("filters of a PE", 1, 64)
    outputs: int = number("neighbouring outputs of a PE", 1, 64)
    pad_bytes: int = number("scratch pads of a PE for inputs and weights, bytes", 0, 1 << 16)
    drain_width: int = number("sums that leave the grid in a cycle", 1, 256)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum")

    @property
    def macs(self) -> int:
        """Multipliers."""
        return self.pe_rows * self.pe_cols

    @property
    def dimensions(self) -> str:
        return f"{self.pe_rows}x{self.pe_cols} PEs"


@dataclass(frozen=True)
class EyerissEnergy(Energy):
    """Picojoules per event."""

    pad: float = number("what a product reads and writes in scratch pads", 0)
    input: float = number("a non-zero input written to a PE's scratch pad", 0)


class EyerissKind(Kind[EyerissGeometry]):
    """One product a cycle. A mode is log2 of the rows of PEs that share outputs."""

    name = "eyeriss_v2"
    Geometry = EyerissGeometry
    Energy = EyerissEnergy
    in_rows = False
    skips = frozenset({"weights", "inputs"})
    events = beside(MULTIPLIED, pad="pad_accesses", input="inputs_read")
    reference = "zeroskip.accel_model.reference.eyeriss_v2:step"
    slots = (
        MULTIPLY,
        PADDING,
        Slot("imbalance", "PEs waiting for the one with the most products", "imbalance"),
        CONFLICTS,
        Slot("drain", "waiting for sums to leave the PEs, and for the end", "drain"),
        SUPPLY,
        Slot("unused", "PEs without outputs, filters or channels", "ragged"),
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: EyerissGeometry) -> WeightFormat:
        return CSC

    def banks(self, geometry: EyerissGeometry) -> int:
        """One for each column."""
        return geometry.pe_cols

    def sram_bytes(self, spec: AccelSpec) -> int:
        """Scratch pads, those of sums twice and with 4 bytes a sum."""
        array = self.geometry(spec)
        return array.macs * (array.pad_bytes + 2 * SUM_BYTES * array.filters * array.outputs)

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """A row of ACT in a cycle goes to a row of PEs; a PE reads an input and a weight, and has
        two sets of sums, one of which is added to. Where only one of the two has 16 bits, a pad
        gives the other as if it had them too."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        widest = max(value, spec.storage.weight_bytes)
        pads = Resource(
            "scratch pads",
            array.macs,
            array.pad_bytes,
            BLOCK * widest,
            (
                PartPort("row of inputs", "w", value / widest, ("pad_written",), value),
                PartPort("multiplier", "r", 2 / BLOCK, ("pad_read",), widest),
            ),
        )
        sums = Resource(
            "sums",
            2 * array.macs,
            SUM_BYTES * array.filters * array.outputs,
            SUM_BYTES,
            (
                PartPort("adder or drain", "r", flows=("sums_read", "sums_drained")),
                PartPort("adder", "w", flows=("sums_written",)),
            ),
        )
        rows = Resource(
            "buses of rows",
            array.pe_rows,
            0,
            spec.act_row_bytes,
            (PartPort("fetch", "w", flows=("rows_sent",), unit=value),),
        )
        return (*super().resources(spec), pads, sums, rows)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """What finds a PE's next pair: addresses of the input's column of weights, of the weight in
        it and of the sum, an input and a weight with their places, and whether the column ends."""
        array, cells, bits = self.geometry(spec), logic(node_of(spec)), Widths.of(spec)
        pads, sums = bits_of(array.pad_bytes), bits_of(array.filters * array.outputs)
        held = cells.register(bits.activation + bits.weight + 2 * bits_of(BLOCK) + 2 * pads + sums)
        finder = cells.adder(pads) * 2 + cells.adder(sums) + cells.adder(pads) + held
        yield from super().parts(spec)
        yield of_logic("pair finders", array.macs, finder)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """Of a word of a pad what a value is of it; a sum is read and written."""
        pads, sums, finder = (
            named(spec, name) for name in ("scratch pads", "sums", "pair finders")
        )
        storage = spec.storage
        values = (storage.activation_bytes + storage.weight_bytes) / pads.width
        own = {
            "pad": finder.read_pj + values * pads.read_pj + sums.read_pj + sums.write_pj,
            "input": pads.write_pj * storage.activation_bytes / pads.width,
        }
        return super().event_energy(spec) | alike(own)

    def modes(self, geometry: EyerissGeometry) -> range:
        return range(geometry.pe_rows.bit_length())

    def placement(self, geometry: EyerissGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.pe_cols)

    def granule(self, geometry: EyerissGeometry, mode: int) -> int:
        return (geometry.pe_rows >> mode) * geometry.outputs

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        mask = mask_of(case)
        inputs = _inputs(mask, window, array.outputs, filters.shape.channels)
        share = 1 << case.mode
        products = _products(inputs, _weights(filters, array), share)  # [share, S, G, columns]
        most = products.max(axis=(0, 3))
        times, drains, active = _passes(array, window, len(filters), case.mode, most)
        _, end = two_sets(times, drains)
        groups = products.shape[2]
        batches = len(times) // groups
        sent = groups * blocks(filters.shape.channels) * int(window.real.sum())
        late = supply_cycles(int(end), self._needs(spec, case, sent, batches))
        cycles = int(end) + late + array.pipeline_cycles
        done, busy = int(products.sum()), int(times.sum())
        parts = min(share, filters.shape.channels)
        worked = int((times * active * parts).sum())
        per_group = np.minimum(array.pe_cols, _sizes(array, len(filters)))
        seen = int(inputs.sum()) * (filters.shape.channels if mask is None else 1)
        return Timing(
            cycles,
            {
                "multiply": done,
                "imbalance": worked - done,
                "drain": (cycles - late - busy) * array.macs,
                "supply": late * array.macs,
                "unused": busy * array.macs - worked,
            },
            _joined(
                result_events(case, array.pe_cols),
                {
                    "act_rows": sent,
                    "wgt_words": filters.words * batches,
                    "multiplies": done,
                    "pad_accesses": done,
                    "inputs_read": seen * int(per_group.sum()),
                },
            ),
            done,
            {
                "rows_sent": ACT_ROW * sent,
                "pad_written": seen * int(per_group.sum()),
                "pad_read": 2 * done,
                "sums_read": SUM_BYTES * done,
                "sums_written": SUM_BYTES * done,
                "sums_drained": SUM_BYTES * parts * len(filters) * window.outputs,
            },
        )

    def _needs(self, spec: AccelSpec, case: Case, rows: int, batches: int) -> Needs:
        """rows: of ACT that are sent to rows of PEs; batches: outputs that are on the grid at once,
        for each of which all streams are read."""
        inputs, words = ACT_ROW * rows, case.filters.words * batches
        way = (inputs, ACT_ROW * self.geometry(spec).pe_rows)
        return (*supplies(spec, self.datapath(spec), case, words, inputs), way)

    def price(self, spec: AccelSpec, case: Case) -> ExactPrice:
        """As if all inputs were there: masks belong to tiles, and the search has none."""
        return ExactPrice(((cache(partial(self._patch_cycles, spec, case)), 1.0),))

    def _patch_cycles(self, spec: AccelSpec, case: Case, high: int, wide: int) -> float:
        array, filters = self.geometry(spec), case.filters
        window = patch_window(case.window, high, wide)
        inputs, alike = _alike_segments(window, array.outputs)
        weights = _part_weights(filters, array, 1 << case.mode)  # [taps, share x G x columns]
        groups = len(_sizes(array, len(filters)))
        products = (inputs @ weights).reshape(len(inputs), 1 << case.mode, groups, -1)
        most = products.max(axis=(1, 3)).astype(np.int64)[alike]
        times, drains, _ = _passes(array, window, len(filters), case.mode, most)
        _, end = two_sets(times, drains)
        sent = groups * blocks(filters.shape.channels) * int(window.real.sum())
        needs = self._needs(spec, replace(case, window=window), sent, len(times) // groups)
        return float(end + supply_cycles(int(end), needs) + array.pipeline_cycles)


def _joined(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}


def _sizes(array: EyerissGeometry, filters: int) -> Int64:
    """int64 [G]: filters of each group."""
    size = array.pe_cols * array.filters
    return np.minimum(size, filters - np.arange(0, filters, size))


def _passes(
    array: EyerissGeometry, window: WindowShape, filters: int, mode: int, most: Int64
) -> tuple[Int64, Int64, Int64]:
    """int64 [passes] each: cycles, cycles to drain, and pairs of outputs and columns of PEs that
    are at work; for all outputs that fit on the grid at once, group by group.

    most: int64 [S, G], products of the PE with the most, of a segment and a group of filters.
    """
    rows, share = array.pe_rows >> mode, 1 << mode
    sizes = _sizes(array, filters)
    segments = len(most)
    starts = np.arange(0, segments, rows)
    times = np.maximum(np.maximum.reduceat(most, starts, axis=0), 1)
    held = np.minimum(rows, segments - starts)
    outputs = np.minimum(rows * array.outputs, window.outputs - starts * array.outputs)
    drains = share - 1 - -np.multiply.outer(outputs, sizes) // array.drain_width  # up, and out
    active = np.multiply.outer(held, np.minimum(array.pe_cols, sizes))
    return times.reshape(-1), drains.reshape(-1), active.reshape(-1)


def _weights(filters: FilterSet, array: EyerissGeometry) -> Int64:
    """int64 [G, columns, C, taps]: weights of each column's filters that are not zero."""
    key = ("columns", array.pe_cols, array.filters)
    found: Int64 | None = filters.memo.get(key)
    if found is None:
        there = by_tap(filters.matrix != 0, filters)
        size = array.pe_cols * array.filters
        padded = np.pad(there, ((0, -len(there) % size), (0, 0), (0, 0)))
        shape = (-1, array.filters, array.pe_cols, *there.shape[1:])
        found = filters.memo[key] = padded.reshape(shape).sum(axis=1, dtype=np.int64)
    return found


def _part_weights(filters: FilterSet, array: EyerissGeometry, share: int) -> Floats:
    """float64 [taps, share x G x columns]: ``_weights`` of all channels of a part."""
    key = ("parts", array.pe_cols, array.filters, share)
    found: Floats | None = filters.memo.get(key)
    if found is None:
        weights = _weights(filters, array)
        parts = [weights[:, :, part::share].sum(axis=2) for part in range(share)]
        flat = np.stack(parts).reshape(-1, weights.shape[3])
        found = filters.memo[key] = np.ascontiguousarray(flat.T, np.float64)
    return found


def _inputs(mask: Bools | None, window: WindowShape, size: int, channels: int) -> Int64:
    """int64 [S, C or 1, taps]: inputs that ``size`` neighbouring outputs see at each tap."""
    starts = np.arange(0, window.outputs, size)
    if mask is None:
        one = np.add.reduceat(in_tile(window), starts, axis=1, dtype=np.int64)
        return one.T[:, np.newaxis]
    counts = np.empty((len(starts), channels, window.taps), np.int64)
    step = max(1, LOOKED_UP // (channels * window.taps * size)) * size
    for first in range(0, window.outputs, step):
        last = min(first + step, window.outputs)
        seen = looked_up(mask, window, slice(first, last))
        rows = np.add.reduceat(seen, np.arange(0, last - first, size), axis=2, dtype=np.int64)
        counts[first // size : first // size + rows.shape[2]] = rows.transpose(2, 0, 1)
    return counts


@lru_cache(maxsize=1 << 12)
def _alike_segments(window: WindowShape, size: int) -> tuple[Int64, Int64]:
    """``_inputs`` without a mask, int64 [kinds, taps], and the kind of each segment: they differ
    only in how many of their outputs see padding, and most see none."""
    inputs = _inputs(None, window, size, 1)[:, 0]
    kinds, alike = np.unique(inputs, axis=0, return_inverse=True)
    return kinds, alike.reshape(-1)


def _products(inputs: Int64, weights: Int64, share: int) -> Int64:
    """int64 [share, S, G, columns]: products of each PE; channels are dealt to ``share`` parts."""
    groups, cols = weights.shape[:2]
    parts = []
    for part in range(share):
        mine = weights[:, :, part::share].astype(np.float64)
        if inputs.shape[1] == 1:  # all channels alike
            a, w = inputs[:, 0], mine.sum(axis=2)
        else:
            a, w = inputs[:, part::share], mine
        product = a.reshape(len(a), -1).astype(np.float64) @ w.reshape(groups * cols, -1).T
        parts.append(product.reshape(len(a), groups, cols))
    products: Int64 = np.rint(np.stack(parts)).astype(np.int64)
    return products


EYERISS_V2 = EyerissKind()
