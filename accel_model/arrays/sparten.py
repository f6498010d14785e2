"""SparTen (Gondimalla et al., MICRO 2019): inner joins of bitmasks, chunk by chunk.

Clusters of units with one multiplier each. A cluster makes an output of a group of filters at a
time: it sends a chunk of the output's inputs to its units, each of which joins it with the same
chunk of one or two filters. ``sparten_w`` and ``sparten_a`` skip only one of the two operands,
``sparten_dense`` none. docs/arrays/sparten.md has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial

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
    Int32,
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
    filters_at,
    looked_at,
    looked_up,
    mask_of,
    padded_alike,
    patch_window,
    result_events,
    supplies,
    supply_cycles,
)
from zeroskip.accel_model.formats import (
    BITMAP,
    DENSE,
    WeightFormat,
    reduction_steps_of,
    to_reduction_order,
)
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.physics.common import SUM_BYTES, Datapath, node_of, stream_row_bytes
from zeroskip.accel_model.physics.cost import alike, parts
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.selection import bits_of, prefix_sums, priority_encoder
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.spec import (
    ACT_ROW,
    WGT_WORD_BYTES,
    AccelSpec,
    Energy,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic

Words = npt.NDArray[np.uint64]
LOOKED_UP = 1 << 24  # bytes of what taps see, at a time


@dataclass(frozen=True)
class SpartenGeometry:
    """Clusters of units with a multiplier each."""

    kind: str
    clusters: int = number("clusters, each with an output of its own", 1, 256)
    units: int = number("units of a cluster, each with a multiplier and a bank of WGT", 1, 256)
    chunk: int = number(
        "positions of a chunk, which is joined at once", 16, 1024, power_of_two=True
    )
    unit_bytes: int = number("chunks of filters and sums of a unit, bytes", 0, 1 << 16)
    drain_width: int = number("sums that leave a cluster in a cycle", 1, 256)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum")

    @property
    def macs(self) -> int:
        """Multipliers."""
        return self.clusters * self.units

    @property
    def dimensions(self) -> str:
        return f"{self.clusters} clusters of {self.units}"


@dataclass(frozen=True)
class SpartenEnergy(Energy):
    """Picojoules per event."""

    join: float = number("a chunk of inputs joined with a chunk of a filter: masks and prefixes", 0)
    unit: float = number("what a product reads in a unit: an input, a weight and a sum", 0)
    chunk_input: float = number("an input of a chunk written to a unit", 0, default=0.0)
    chunk_byte: float = number("a byte of a filter's chunk written to a unit", 0, default=0.0)


class SpartenKind(Kind[SpartenGeometry]):
    """Two filters a unit, paired so that units have equally many weights."""

    Geometry = SpartenGeometry
    Energy = SpartenEnergy
    events = beside(
        MULTIPLIED,
        join="joins",
        unit="unit_reads",
        chunk_input="chunk_inputs",
        chunk_byte="chunk_weights",
    )
    reference = "zeroskip.accel_model.reference.sparten:step"
    slots = (
        MULTIPLY,
        Slot("zeros", "multiplying a zero that the array does not skip", "zeros"),
        PADDING,
        Slot(
            "imbalance",
            "units waiting for the slowest of their cluster, chunk by chunk",
            "imbalance",
        ),
        Slot("ragged", "clusters that are done before the last", "ragged"),
        CONFLICTS,
        Slot("drain", "waiting for sums to leave the units, and for the end", "drain"),
        SUPPLY,
        CHANNELWISE,
        SETUP,
    )

    def __init__(self, name: str, weights: WeightFormat, skips: frozenset[str]) -> None:
        self.name, self.skips = name, skips
        self.weights = weights

    def format(self, geometry: SpartenGeometry) -> WeightFormat:
        return self.weights

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        array, sums = self.geometry(spec), 4 * SUM_BYTES
        return [
            (
                array.unit_bytes > sums,
                f"array.unit_bytes = {array.unit_bytes} leaves no room for chunks beside the {sums} "
                "bytes of a unit's sums",
            ),
        ]

    def banks(self, geometry: SpartenGeometry) -> int:
        """One for each unit; all clusters read the same words."""
        return geometry.units

    def sram_bytes(self, spec: AccelSpec) -> int:
        array = self.geometry(spec)
        return array.macs * array.unit_bytes

    def datapath(self, spec: AccelSpec) -> Datapath:
        array = self.geometry(spec)
        return Datapath(results=array.clusters * array.drain_width, in_rows=False)

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """A unit has sums of two filters in two sets, and chunks of both operands: a row of each is
        written in a cycle, a value of each is read, the masks of two filters are joined. Where
        only one of the two operands has 16 bits, the other is read as if it had them too."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        widest = max(value, spec.storage.weight_bytes)
        sums = Resource(
            "unit sums",
            array.macs,
            4 * SUM_BYTES,
            SUM_BYTES,
            (
                PartPort("adder", "r", flows=("sums_read",)),
                PartPort("adder", "w", flows=("sums_written",)),
            ),
        )
        stream = stream_row_bytes(spec)
        row = max(spec.act_row_bytes, stream)
        chunks = Resource(
            "unit chunks",
            array.macs,
            array.unit_bytes - 4 * SUM_BYTES,
            row,
            (
                PartPort("cluster", "w", spec.act_row_bytes / row, ("chunk_inputs",), value),
                PartPort("lane", "w", stream / row, ("chunk_weights",)),
                PartPort("multiplier", "r", 2 * widest / row, ("chunk_read",), widest),
            ),
        )
        joins = Resource(
            "inner joins",
            array.macs,
            0,
            4 * array.chunk // 8,
            (PartPort("masks", "r", flows=("joined",)),),
        )
        return (*super().resources(spec), sums, chunks, joins)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """A unit's inner join: both masks' bits together, the first that is left of these, and how
        many bits of either mask are set before it, which is where its values are."""
        array, cells = self.geometry(spec), logic(node_of(spec))
        chunk, place = array.chunk, bits_of(array.chunk)
        join = cells.mux(2, chunk) + prefix_sums(cells, chunk) * 2
        pair = priority_encoder(cells, chunk) + cells.mux(chunk, place) * 2
        yield from super().parts(spec)
        yield of_logic("inner joins", array.macs, join, 4 * chunk // 8)
        yield of_logic("pair selectors", array.macs, pair)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """Of a word of a unit's chunks what masks or values are of it; a join makes its prefix sums
        once, and a product looks them up."""
        cost = {part.name: part for part in parts(spec)}
        chunks, sums, storage = cost["unit chunks"], cost["unit sums"], spec.storage
        masks = 2 * self.geometry(spec).chunk / 8 / chunks.width
        values = (storage.activation_bytes + storage.weight_bytes) / chunks.width
        own = {
            "join": cost["inner joins"].read_pj + masks * chunks.read_pj,
            "unit": cost["pair selectors"].read_pj
            + values * chunks.read_pj
            + sums.read_pj
            + sums.write_pj,
            "chunk_input": chunks.write_pj * storage.activation_bytes / chunks.width,
            "chunk_byte": chunks.write_pj / chunks.width,
        }
        return super().event_energy(spec) | alike(own)

    def placement(self, geometry: SpartenGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.units)

    def granule(self, geometry: SpartenGeometry, mode: int) -> int:
        return geometry.clusters

    def order(self, geometry: SpartenGeometry, work: Int64) -> Int32:
        """Greedy balancing (GB-S): the filters of most and of fewest weights share a unit."""
        left = np.argsort(-work, kind="stable")
        groups = []
        while len(left) > 2 * geometry.units:
            half = geometry.units
            groups.append(np.concatenate([left[:half], left[: -half - 1 : -1]]))
            left = left[half:-half]
        paired = max(0, len(left) - geometry.units)  # units with two filters: of the fewest weights
        alone, rest = np.split(left, [len(left) - 2 * paired])
        groups.append(np.concatenate([rest[:paired], alone, rest[: paired - 1 : -1]]))
        order: Int32 = np.concatenate(groups).astype(np.int32)
        return order

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        mask = mask_of(case) if "inputs" in self.skips else None
        weights, floors = self._weights(filters, array.chunk), _floors(filters, array.chunk)
        inputs = self._inputs(case, mask, array.chunk)
        times, work = _join(inputs, weights, floors, array.units)
        ends, busy = _drained(
            times, np.arange(len(times)), _drains(len(filters), array), array.clusters
        )
        rows, words = self._sent(array, case)
        end, results = int(ends.max()), result_events(case, array.units)
        late = supply_cycles(end, self._needs(spec, case))
        cycles = end + late + array.pipeline_cycles
        at = looked_at(mask, window)
        products = int((filters_at(filters, zeros=False) * at).sum())
        every, _ = filters.products(window)
        padding = 0 if "inputs" in self.skips else every - products
        multiplied, total = int(work.sum()), int(busy.sum())
        drain = int((ends - busy).sum()) + array.clusters * array.pipeline_cycles
        return Timing(
            cycles,
            {
                "multiply": products,
                "zeros": multiplied - products - padding,
                "padding": padding,
                "imbalance": total * array.units - multiplied,
                "ragged": int((ends.max() - ends).sum()) * array.units,
                "drain": drain * array.units,
                "supply": late * array.macs,
            },
            {
                **results,
                "act_rows": results["act_rows"] + rows,
                "wgt_words": words,
                "multiplies": multiplied,
                "unit_reads": multiplied,
                "joins": len(floors) * len(filters) * window.outputs,
            },
            products if "inputs" in self.skips else None,
            {
                "chunk_inputs": ACT_ROW * rows * array.units,
                "chunk_weights": WGT_WORD_BYTES * words * array.clusters,
                "chunk_read": 2 * multiplied,
                "joined": 2 * array.chunk // 8 * len(floors) * len(filters) * window.outputs,
                "sums_read": SUM_BYTES * multiplied,
                "sums_written": SUM_BYTES * multiplied,
            },
        )

    def _sent(self, array: SpartenGeometry, case: Case) -> tuple[int, int]:
        """Rows of ACT that hold the inputs of all chunks, and words of streams."""
        outputs, jobs = case.window.outputs, -(-len(case.filters) // (2 * array.units))
        rows = int(_floors(case.filters, array.chunk).sum()) * outputs * jobs
        return rows, case.filters.words * -(-outputs // array.clusters)

    def _needs(self, spec: AccelSpec, case: Case) -> Needs:
        rows, words = self._sent(self.geometry(spec), case)
        return supplies(spec, self.datapath(spec), case, words, ACT_ROW * rows)

    def _weights(self, filters: FilterSet, chunk: int) -> Words:
        """uint64 [F, chunks, words]: what is stored, in bits."""
        key = ("chunks", chunk)
        found: Words | None = filters.memo.get(key)
        if found is None:
            found = filters.memo[key] = _packed(filters.stored, chunk)
        return found

    def _inputs(self, case: Case, mask: Bools | None, chunk: int) -> Words:
        """uint64 [outputs, chunks, words]: inputs that are not skipped, in bits."""
        window, shape = case.window, case.filters.shape
        if "inputs" not in self.skips:
            one = np.ones((1, shape.entries), np.bool_)
            return np.broadcast_to(
                _packed(one, chunk), (window.outputs, *_packed(one, chunk).shape[1:])
            )
        whole = np.ones((shape.channels, window.height, window.width), np.bool_)
        mask = whole if mask is None else mask
        step = max(1, LOOKED_UP // shape.entries)
        parts = []
        for first in range(0, window.outputs, step):
            seen = looked_up(mask, window, slice(first, min(first + step, window.outputs)))
            rows = to_reduction_order(np.ascontiguousarray(seen.transpose(2, 0, 1)).view(np.int8))
            parts.append(_packed(np.ascontiguousarray(rows).view(np.bool_), chunk))
        return np.concatenate(parts)

    def price(self, spec: AccelSpec, case: Case) -> ExactPrice:
        """As if all inputs were there: masks belong to tiles, and the search has none."""
        array, filters = self.geometry(spec), case.filters
        one = np.ones((1, filters.shape.channels, filters.shape.taps), np.int8)

        @cache
        def join(real: bytes) -> Int64:
            """Joining what is real of the taps, bool [taps]: cycles of each group of filters."""
            there = to_reduction_order(one * np.frombuffer(real, np.bool_)).view(np.bool_)
            weights, floors = (
                self._weights(filters, array.chunk),
                _floors(filters, array.chunk),
            )
            times: Int64 = _join(_packed(there, array.chunk), weights, floors, array.units)[0][0]
            return times

        return ExactPrice(((cache(partial(self._patch_cycles, spec, case, join)), 1.0),))

    def _patch_cycles(
        self,
        spec: AccelSpec,
        case: Case,
        join: Callable[[bytes], Int64],
        high: int,
        wide: int,
    ) -> float:
        """Outputs of the same taps in padding are joined alike where the array skips inputs."""
        array, window = self.geometry(spec), patch_window(case.window, high, wide)
        if "inputs" in self.skips:
            alike, of = padded_alike(window)
        else:
            alike, of = np.ones((1, window.taps), np.bool_), np.zeros(window.outputs, np.int64)
        times = np.stack([join(real.tobytes()) for real in alike])
        drains = _drains(len(case.filters), array)
        end = int(_drained(times, of, drains, array.clusters)[0].max())
        late = supply_cycles(end, self._needs(spec, replace(case, window=window)))
        return end + late + array.pipeline_cycles


def _floors(filters: FilterSet, chunk: int) -> Int64:
    """int64 [chunks]: rows of ACT that a chunk's inputs come from, one a cycle."""
    entries = reduction_steps_of(1, filters.shape.channels, filters.shape.taps).window_entries
    ends = np.cumsum(entries)
    starts = np.arange(0, filters.shape.entries, chunk)
    last = np.minimum(starts + chunk, filters.shape.entries) - 1
    rows: Int64 = (
        np.searchsorted(ends, last, "right") - np.searchsorted(ends, starts, "right") + 1
    ).astype(np.int64)
    return rows


def _packed(bits: Bools, chunk: int) -> Words:
    """uint64 [N, chunks, words] of bool [N, E]."""
    count, entries = bits.shape
    chunks, words = -(-entries // chunk), -(-chunk // 64)
    padded = np.zeros((count, chunks * chunk), np.bool_)
    padded[:, :entries] = bits
    room = np.zeros((count, chunks, words * 64), np.bool_)
    room[:, :, :chunk] = padded.reshape(count, chunks, chunk)
    return np.packbits(room, axis=2, bitorder="little").view(np.uint64)


@njit_cached
def _ones(word: int) -> int:
    """Bits that are set of uint64."""
    x = np.uint64(word)
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


def _drains(filters: int, array: SpartenGeometry) -> Int64:
    """int64 [groups]: cycles in which the sums of each group of filters leave a cluster."""
    sizes = np.diff(np.append(np.arange(0, filters, 2 * array.units), filters))
    drains: Int64 = -(-sizes // array.drain_width)
    return drains


def _join(inputs: Words, weights: Words, floors: Int64, units: int) -> tuple[Int64, Int64]:
    """int64 [outputs, groups]: cycles that the units of a cluster join; int64 [outputs]:
    multiplies. Stream k of a group of 2 x units is joined by unit k % units."""
    times = np.zeros((len(inputs), -(-len(weights) // (2 * units))), np.int64)
    work = np.zeros(len(inputs), np.int64)
    _add_joins(inputs, weights, floors, np.empty(units, np.int64), times, work)
    return times, work


@njit_cached
def _add_joins(
    inputs: Words, weights: Words, floors: Int64, of_unit: Int64, times: Int64, work: Int64
) -> None:
    """``_join``, added. of_unit: room, int64 [units]."""
    count, chunks, words = weights.shape
    units = len(of_unit)
    for n in range(len(inputs)):
        for group in range(times.shape[1]):
            first = group * 2 * units
            for j in range(chunks):
                for u in range(units):
                    of_unit[u] = 0
                for k in range(min(2 * units, count - first)):
                    joined = 0
                    for w in range(words):
                        joined += _ones(inputs[n, j, w] & weights[first + k, j, w])
                    of_unit[k % units] += joined
                    work[n] += joined
                longest = floors[j]
                for u in range(units):
                    longest = max(longest, of_unit[u])
                times[n, group] += longest


def _drained(times: Int64, of: Int64, drains: Int64, clusters: int) -> tuple[Int64, Int64]:
    """int64 [clusters] each: end of the last drain, cycles that units join.

    Output n is made by cluster n % clusters and joined in times[of[n]].
    """
    ends, busy, *latest = np.zeros((5, clusters), np.int64)
    _drain(times, of, drains, ends, busy, *latest)
    return ends, busy


@njit_cached
def _drain(
    times: Int64,
    of: Int64,
    drains: Int64,
    ends: Int64,
    busy: Int64,
    done: Int64,
    before: Int64,
    last: Int64,
) -> None:
    """``_drained``, into zeros. done, before, last: zeros; when a cluster joined, drained all
    groups but one, and drained."""
    clusters = len(ends)
    for n in range(len(of)):
        q = n % clusters
        for group in range(len(drains)):
            time = times[of[n], group]
            busy[q] += time
            done[q] = max(done[q], before[q]) + time
            before[q] = last[q]
            last[q] = max(done[q], last[q]) + drains[group]
            ends[q] = last[q]


BOTH = frozenset({"weights", "inputs"})
SPARTEN = SpartenKind("sparten", BITMAP, BOTH)
SPARTEN_W = SpartenKind("sparten_w", BITMAP, frozenset({"weights"}))
SPARTEN_A = SpartenKind("sparten_a", DENSE, frozenset({"inputs"}))
SPARTEN_DENSE = SpartenKind("sparten_dense", DENSE, frozenset())
