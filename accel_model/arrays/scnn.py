"""SCNN (Parashar et al., ISCA 2017): every non-zero input by every non-zero weight of its channel.

A grid of PEs, each with a planar piece of the input tile. For a group of Kc filters a PE goes
through the channels: ``vector`` inputs that are not zero by ``vector`` weights that are not zero a
cycle. ``sparse_w`` and ``sparse_a`` skip only one of the two. docs/arrays/scnn.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    ArrayError,
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
    filters_at,
    looked_at,
    mask_of,
    patch_window,
    result_events,
    supplies,
    supply_cycles,
    there_at,
    two_sets,
)
from zeroskip.accel_model.formats import DENSE, RUNS, WeightFormat
from zeroskip.accel_model.physics.common import (
    SUM_BYTES,
    Datapath,
    Widths,
    node_of,
    stream_row_bytes,
)
from zeroskip.accel_model.physics.cost import alike, parts
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.selection import bits_of
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.spec import (
    AccelSpec,
    Energy,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.timing.shape import WindowShape

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScnnGeometry:
    """A grid of PEs that multiply vectors of inputs by vectors of weights."""

    kind: str
    pe_rows: int = number("rows of PEs, each with a band of the rows of the input tile", 1, 64)
    pe_cols: int = number("columns of PEs, each with a band of its columns", 1, 64)
    vector: int = number("inputs, and weights, that a PE multiplies all by all in a cycle", 1, 16)
    accumulators: int = number("sums in each of the two accumulator sets of a PE", 16, 1 << 16)
    group_filters: int = number(
        "most filters of a group, all of whose sums are in a PE's accumulators at once",
        1,
        256,
    )
    weight_banks: int = number("banks of WGT, a filter's stream in one", 16, 256, power_of_two=True)
    fifo_bytes: int = number("weights of the current channel that a PE holds, bytes", 1, 1 << 16)
    drain_width: int = number("sums of a PE that leave its accumulators in a cycle", 1, 64)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum drained")

    @property
    def pes(self) -> int:
        return self.pe_rows * self.pe_cols

    @property
    def macs(self) -> int:
        """Multipliers."""
        return self.pes * self.vector**2

    @property
    def dimensions(self) -> str:
        return f"{self.pe_rows}x{self.pe_cols} PEs of {self.vector}x{self.vector}"


@dataclass(frozen=True)
class ScnnEnergy(Energy):
    """Picojoules per event."""

    input_vector: float = number("a vector of inputs read from a PE's memory", 0)
    weight_vector: float = number("a vector of weights read from a PE's FIFO", 0)
    accumulate: float = number("a product added to one of a PE's accumulators", 0)
    fifo_weight: float = number("a weight written to a PE's FIFO", 0, default=0.0)


SLOTS = (
    MULTIPLY,
    Slot(
        "fragmentation",
        "multipliers without an input or a weight: vectors of a channel that are not full",
        "ragged",
    ),
    Slot("zeros", "multiplying a zero weight that the array does not skip", "zeros"),
    Slot("outside", "products that belong to no output of the tile and are dropped", "zeros"),
    PADDING,
    Slot("imbalance", "PEs waiting at the end of a group of filters for the slowest", "imbalance"),
    CONFLICTS,
    Slot("drain", "waiting for accumulators to be drained, and for the end", "drain"),
    SUPPLY,
    Slot("unused", "PEs that have no part of the input tile", "ragged"),
    CHANNELWISE,
    SETUP,
)


class Bands(NamedTuple):
    """How an axis of the tile is shared out over PEs.

    inputs: float32 [phases, PEs, size], 1 where a PE has the place, its phase is the one and some
        output looks at it.
    sums: int64 [PEs], outputs that each PE has sums of; those that no input reaches are the first
        PE's.
    used: PEs with any place.
    """

    inputs: npt.NDArray[np.float32]
    sums: Int64
    used: int

    @property
    def pes(self) -> int:
        return len(self.sums)


@lru_cache(maxsize=4096)
def bands(
    pes: int, size: int, first: int, stride: int, taps: int, dilation: int, outputs: int
) -> Bands:
    """An axis of ``size`` inputs, ceil(size / PEs) neighbours in each PE."""
    wide = -(-size // pes)
    place = np.arange(size)
    owner = place // wide
    phases = np.arange(stride)
    at = first + np.add.outer(np.arange(taps) * dilation, np.arange(outputs) * stride)
    inside = (at >= 0) & (at < size)
    there = ((place - first) % stride == phases[:, None]) & np.isin(place, at)
    inputs = (there[:, None] & (owner == np.arange(pes)[:, None])).astype(np.float32)
    reached = np.zeros((pes, outputs), np.bool_)
    tap, output = np.nonzero(inside)
    reached[at[tap, output] // wide, output] = True
    reached[0] |= ~reached.any(axis=0)
    return Bands(inputs, reached.sum(axis=1), -(-size // wide))


class Groups(NamedTuple):
    """Weights of groups of filters, for each channel and phase.

    counts: float64 [G, C, phases], multiplied. vectors: float64 [G, C, phases], cycles that an
    input vector meets them in. all_vectors: float64 [phases, G], of all channels. filters: int64
    [G].
    """

    counts: Floats
    vectors: Floats
    all_vectors: Floats
    filters: Int64


class CartesianKind(Kind[ScnnGeometry]):
    """PEs that multiply all by all. There is one mode: accumulators decide the filters of a
    group."""

    Geometry = ScnnGeometry
    Energy = ScnnEnergy
    slots = SLOTS
    events = beside(
        MULTIPLIED,
        input_vector="input_vectors",
        weight_vector="weight_vectors",
        accumulate="accumulated",
        fifo_weight="fifo_written",
    )
    reference = "zeroskip.accel_model.reference.scnn:step"

    def __init__(self, name: str, weights: WeightFormat, skips: frozenset[str]) -> None:
        self.name, self.skips = name, skips
        self.weights, self.zeros = weights, "weights" not in skips

    def format(self, geometry: ScnnGeometry) -> WeightFormat:
        return self.weights

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        array = self.geometry(spec)
        return [
            (
                array.group_filters <= array.weight_banks,
                f"array.group_filters = {array.group_filters} is more than the "
                f"{array.weight_banks} banks of weights, and each filter of a group has one",
            ),
        ]

    def banks(self, geometry: ScnnGeometry) -> int:
        return geometry.weight_banks

    def sram_bytes(self, spec: AccelSpec) -> int:
        """Two accumulator sets of 4 bytes a sum, and the weight FIFO, in each PE."""
        array = self.geometry(spec)
        return array.pes * (2 * SUM_BYTES * array.accumulators + array.fifo_bytes)

    def datapath(self, spec: AccelSpec) -> Datapath:
        """ACT is the PEs' own memories: each reads a vector of inputs, and writes what it
        drains."""
        array = self.geometry(spec)
        return Datapath(
            results=array.pes * array.drain_width,
            in_rows=False,
            fetched=("act_fetched", "input_read"),
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Accumulators are two banks for each multiplier in each of the two sets of a PE; a set is
        added to or drained."""
        array = self.geometry(spec)
        size, banks, width = array.vector, 2 * array.vector**2, _broadcast_weights(spec)
        value, weight = spec.storage.activation_bytes, spec.storage.weight_bytes
        accumulators = Resource(
            "accumulators",
            2 * banks * array.pes,
            SUM_BYTES * -(-array.accumulators // banks),
            SUM_BYTES,
            (
                PartPort("products or drain", "r", flows=("sums_read", "sums_drained")),
                PartPort("products", "w", flows=("sums_written",)),
            ),
        )
        fifos = Resource(
            "weight FIFOs",
            array.pes,
            array.fifo_bytes,
            width * weight,
            (
                PartPort("broadcast", "w", flows=("fifo_written",), unit=weight),
                PartPort("multipliers", "r", size / width, ("fifo_read",), weight),
            ),
        )
        port = PartPort("multipliers", "r", flows=("input_read",), unit=value)
        vectors = Resource("input vectors", array.pes, 0, size * value, (port,))
        return (*super().resources(spec), accumulators, fifos, vectors)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """A product's place is the sum of its input's and its weight's. Any multiplier of a PE
        reaches each of its banks, two for a multiplier, which have an adder each."""
        array, cells, bits = self.geometry(spec), logic(node_of(spec)), Widths.of(spec)
        products, place = array.vector**2, bits_of(array.accumulators)
        held = cells.register(array.vector * bits.activation)
        yield from super().parts(spec)
        yield of_logic(
            "input vectors", array.pes, held, array.vector * spec.storage.activation_bytes
        )
        yield of_logic("place adders", array.macs, cells.adder(place))
        bank = cells.mux(products, bits.product + place)
        yield of_logic("scatter crossbars", 2 * array.macs, bank)
        yield of_logic("second adders of banks", array.macs, cells.adder(bits.sum))

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """Of a word of ACT and of a FIFO what a vector is of it; a sum is read and written."""
        array = self.geometry(spec)
        cost = {part.name: part for part in parts(spec)}
        act, fifo, sums, held = (
            cost[name] for name in ("ACT", "weight FIFOs", "accumulators", "input vectors")
        )
        weight = spec.storage.weight_bytes / fifo.width
        way = cost["place adders"].read_pj + cost["scatter crossbars"].read_pj
        own = {
            "input_vector": act.read_pj * held.width / act.width + held.write_pj,
            "weight_vector": fifo.read_pj * array.vector * weight,
            "accumulate": way + sums.read_pj + sums.write_pj,
            "fifo_weight": fifo.write_pj * weight,
        }
        return super().event_energy(spec) | alike(own)

    def placement(self, geometry: ScnnGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.weight_banks)

    def granule(self, geometry: ScnnGeometry, mode: int) -> int:
        """Sums of a group go straight to the PEs' memories; staging holds a row for each PE."""
        return geometry.pes

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        mask = mask_of(case) if "inputs" in self.skips else None
        down, right = _axes(array, window)
        sums = int(down.sums.max() * right.sums.max())
        groups = groups_of(
            there_at(filters, self.zeros), filters, window, group_filters(array, sums), array.vector
        )
        inputs = _input_counts(down, right, mask)  # [P, C or 1, phases]
        vectors = np.ceil(inputs / array.vector)
        if mask is None:  # all channels are alike
            weights = groups.vectors.sum(axis=1, keepdims=True)
            there = (groups.vectors > 0).sum(axis=1, keepdims=True).astype(np.float64)
            counts = groups.counts.sum(axis=(0, 1))[np.newaxis]
        else:
            weights, there = groups.vectors, (groups.vectors > 0).astype(np.float64)
            counts = groups.counts.sum(axis=0)
        flat = vectors.reshape(array.pes, -1)
        busy = flat @ weights.reshape(len(weights), -1).T  # [P, G]
        read = flat.sum(axis=0) @ there.reshape(len(there), -1).sum(axis=0)
        pairs = int((inputs.sum(axis=0) * counts).sum())
        times = np.maximum(busy.max(axis=0), 1).astype(np.int64)
        _, end = two_sets(times, -(-groups.filters * sums // array.drain_width))
        wanted = vectors.any(axis=0)  # [C or 1, phases]: some PE has an input
        sent = array.vector * int((groups.vectors * wanted).sum())
        fetched = array.vector * int(read)
        needs = (
            *supplies(spec, self.datapath(spec), case, filters.words, fetched),
            (sent, _broadcast_weights(spec)),
        )
        late = supply_cycles(int(end), needs)
        cycles = int(end) + late + array.pipeline_cycles

        at = looked_at(mask, window)
        inside = int((filters_at(filters, self.zeros) * at).sum())
        products = int((filters_at(filters, zeros=False) * at).sum())
        square, group_cycles, work = array.vector**2, int(times.sum()), int(busy.sum())
        used = down.used * right.used
        return Timing(
            cycles,
            {
                "multiply": products,
                "fragmentation": work * square - pairs,
                "zeros": inside - products,
                "outside": pairs - inside,
                "imbalance": (group_cycles * used - work) * square,
                "drain": (cycles - late - group_cycles) * array.macs,
                "supply": late * array.macs,
                "unused": group_cycles * (array.pes - used) * square,
            },
            {
                **result_events(case, array.weight_banks),
                "wgt_words": filters.words,
                "multiplies": pairs,
                "accumulated": inside,
                "input_vectors": int(read),
                "weight_vectors": work,
            },
            products if "inputs" in self.skips else None,
            {
                "input_read": fetched,
                "fifo_written": sent * array.pes,
                "fifo_read": array.vector * work,
                "sums_read": SUM_BYTES * inside,
                "sums_written": SUM_BYTES * inside,
                "sums_drained": SUM_BYTES * len(filters) * int(down.sums.sum() * right.sums.sum()),
            },
        )

    def price(self, spec: AccelSpec, case: Case) -> ExactPrice:
        """As if all inputs were there: masks belong to tiles, and the search has none."""
        return ExactPrice(((cache(partial(self._patch_cycles, spec, case)), 1.0),))

    def _patch_cycles(self, spec: AccelSpec, case: Case, high: int, wide: int) -> float:
        """Infinite if a PE has too few accumulators for one filter."""
        array, window = self.geometry(spec), patch_window(case.window, high, wide)
        down, right = _axes(array, window)
        sums = int(down.sums.max() * right.sums.max())
        if sums > array.accumulators:
            return float("inf")
        groups = groups_of(
            there_at(case.filters, self.zeros),
            case.filters,
            window,
            group_filters(array, sums),
            array.vector,
        )
        vectors = np.ceil(_input_counts(down, right, None)[:, 0] / array.vector)
        times = np.maximum((vectors @ groups.all_vectors).max(axis=0), 1).astype(np.int64)
        _, end = two_sets(times, -(-groups.filters * sums // array.drain_width))
        return float(end + array.pipeline_cycles)


def _broadcast_weights(spec: AccelSpec) -> int:
    """Weights that all PEs get in a cycle: as many as a row of a bank of WGT has room for."""
    held = stream_row_bytes(spec) // spec.storage.weight_bytes
    return max(cast(ScnnGeometry, spec.array).vector, held)


def group_filters(array: ScnnGeometry, sums: int) -> int:
    """Kc: the most filters with ``sums`` each whose sums a PE can hold.

    ArrayError if that is none.
    """
    if sums > array.accumulators:
        raise ArrayError(
            f"a PE would have {sums} sums of a filter and holds {array.accumulators}; make tiles "
            "of fewer outputs"
        )
    return min(array.group_filters, array.accumulators // sums)


def groups_of(
    there: npt.NDArray[np.int8], filters: FilterSet, window: WindowShape, size: int, vector: int
) -> Groups:
    """The filters in groups of ``size`` neighbours, in the order of their streams; there: int8
    [F, C, taps], the weights that are multiplied."""
    strides, dilations = window[7:9], window[9:11]
    key = ("groups", size, vector, window.rows, window.cols, strides, dilations)
    found: Groups | None = filters.memo.get(key)
    if found is None:
        starts = np.arange(0, len(filters), size)
        together = np.add.reduceat(there, starts, axis=0, dtype=np.int64)
        phase = _tap_phases(window)
        counts = together.astype(np.float64) @ (phase[:, None] == np.arange(np.prod(strides)))
        vectors = np.ceil(counts / vector)
        found = filters.memo[key] = Groups(
            counts,
            vectors,
            vectors.sum(axis=1).T,
            np.diff(np.append(starts, len(filters))).astype(np.int64),
        )
    return found


def _tap_phases(window: WindowShape) -> Int64:
    """int64 [taps]: the phase whose inputs a tap's weights multiply, row-major."""
    down = np.arange(window.rows) * window.row_dilation % window.row_stride
    right = np.arange(window.cols) * window.col_dilation % window.col_stride
    phases: Int64 = np.add.outer(down * window.col_stride, right).reshape(-1)
    return phases


def _axes(array: ScnnGeometry, window: WindowShape) -> tuple[Bands, Bands]:
    return (
        bands(
            array.pe_rows,
            window.height,
            window.top,
            window.row_stride,
            window.rows,
            window.row_dilation,
            window.out_height,
        ),
        bands(
            array.pe_cols,
            window.width,
            window.left,
            window.col_stride,
            window.cols,
            window.col_dilation,
            window.out_width,
        ),
    )


def _input_counts(down: Bands, right: Bands, mask: Bools | None) -> Floats:
    """float64 [PEs, C, phases]: inputs of a channel that each PE has; mask: bool [C, H, W], or
    None: all, of one channel."""
    if mask is None:
        rows, cols = down.inputs.sum(axis=2), right.inputs.sum(axis=2)  # [phases, PEs]
        one: Floats = np.einsum("ap,bq->pqab", rows, cols, dtype=np.float64)
        return one.reshape(down.pes * right.pes, 1, -1)
    channels, high, wide = mask.shape
    strides = len(down.inputs), len(right.inputs)
    across = mask.reshape(-1, wide).astype(np.float32) @ right.inputs.reshape(-1, wide).T
    across = across.reshape(channels, high, -1).transpose(1, 0, 2).reshape(high, -1)
    counts = down.inputs.reshape(-1, high) @ across  # [phases x PEs, C x phases x PEs]
    counts = counts.reshape(strides[0], down.pes, channels, strides[1], right.pes)
    return (
        counts.transpose(1, 4, 2, 0, 3).reshape(-1, channels, np.prod(strides)).astype(np.float64)
    )


SCNN = CartesianKind("scnn", RUNS, frozenset({"weights", "inputs"}))
SPARSE_W = CartesianKind("sparse_w", RUNS, frozenset({"weights"}))
SPARSE_A = CartesianKind("sparse_a", DENSE, frozenset({"inputs"}))
