"""ABM-SpConv (Wang et al., DAC 2019), Sparse-YOLO: inputs of equal weights are added first.

A lane has a filter, and an accumulator for each of its neighbouring outputs: it adds one position's
inputs a cycle, value after value; a finished value's sums are multiplied by it, on multipliers that
several accumulators share. docs/arrays/abm.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    ArrayError,
    Case,
    FilterSet,
    Int8,
    Int32,
    Int64,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    beside,
)
from zeroskip.accel_model.arrays.tile_counts import (
    MULTIPLIED,
    SUPPLY,
    result_events,
    supplies,
    supply_cycles,
)
from zeroskip.accel_model.formats import VALUED, Shape, WeightFormat
from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import Widths, multiplier_cell, node_of
from zeroskip.accel_model.physics.cost import alike, clocked, named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import SPLITS, WINDOW_SPLIT, Price
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


@dataclass(frozen=True)
class AbmGeometry:
    """Lanes of accumulators that share multipliers."""

    kind: str
    lanes: int = number("filters in flight, a lane and a bank of WGT each", 1, 256)
    vector: int = number("accumulators of a lane, one for each of as many outputs", 1, 256)
    share: int = number("accumulators of a lane that share a multiplier", 1, 256)
    window_entries: int = number("positions in each half of a window", 16, 1 << 16)
    window_ports: int = number("lanes that read a copy of the window in a cycle", 1, 8)
    fetch_rows: int = number("rows of ACT that are read into the windows in a cycle", 1, 64)
    drain_width: int = number("sums that leave the lanes in a cycle", 1, 256)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum")

    @property
    def macs(self) -> int:
        """Accumulators: each adds the input of a weight that is not zero in a cycle."""
        return self.lanes * self.vector

    @property
    def dimensions(self) -> str:
        return (
            f"{self.lanes} lanes of {self.vector} adders, {self.vector // self.share} multipliers"
        )


@dataclass(frozen=True)
class AbmEnergy(Energy):
    """Picojoules per event."""

    add: float = number("an input added to an accumulator", 0)
    window_byte: float = number("a byte written to or read from a window", 0)


class AbmKind(Kind[AbmGeometry]):
    """Additions of the inputs of equal weights, then a multiply for each value."""

    name = "abm"
    Geometry = AbmGeometry
    Energy = AbmEnergy
    in_rows = False
    events = beside(MULTIPLIED, add="additions", window_byte="window_bytes")
    splits = beside(SPLITS, window_byte=WINDOW_SPLIT)
    reference = "zeroskip.accel_model.reference.abm:step"
    slots = (
        MULTIPLY,
        Slot("fragmentation", "adders of outputs that the last vector of a tile lacks", "ragged"),
        PADDING,
        Slot("values", "adders waiting for the multipliers that they share", "work"),
        Slot("imbalance", "lanes waiting for the slowest", "imbalance"),
        Slot("fetch", "waiting for the inputs of a window", "fetch"),
        CONFLICTS,
        Slot("drain", "waiting for sums to leave the lanes, and for the end", "drain"),
        SUPPLY,
        Slot("unused", "lanes without a filter", "ragged"),
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: AbmGeometry) -> WeightFormat:
        return VALUED

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        array = self.geometry(spec)
        return [
            (
                array.vector % array.share == 0,
                f"array.share = {array.share} does not divide the {array.vector} accumulators of "
                "a lane",
            ),
        ]

    def banks(self, geometry: AbmGeometry) -> int:
        """One for each lane."""
        return geometry.lanes

    def sram_bytes(self, spec: AccelSpec) -> int:
        """Copies of the window, two halves of an activation a position and output."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        copies = -(-array.lanes // array.window_ports)
        return copies * 2 * array.window_entries * array.vector * value

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Halves of copies of the window, 16 banks by channel. A half is filled, or read by the
        ``window_ports`` lanes of its copy, which may all want the same bank."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        copies = -(-array.lanes // array.window_ports)
        lanes = array.window_ports / 2
        windows = Resource(
            "windows",
            2 * BLOCK * copies,
            -(-array.window_entries // BLOCK) * array.vector * value,
            array.vector * value,
            (
                PartPort("fetch or half of the lanes", "rw", lanes, ("window_written",), value),
                PartPort("half of the lanes", "r", lanes, ()),
            ),
        )
        readers = Resource(
            "lane inputs",
            array.lanes,
            0,
            array.vector * value,
            (PartPort("lane", "r", flows=("window_read",), unit=value),),
        )
        return (*super().resources(spec), windows, readers)

    def arithmetic(self, spec: AccelSpec) -> Iterable[Part]:
        """Accumulators of a value and of a filter, two sets of each, and the multipliers that they
        share."""
        array, cells, bits = self.geometry(spec), logic(node_of(spec)), Widths.of(spec)
        adder = cells.adder(bits.sum) + cells.register(bits.sum)
        yield of_logic("multiplier cells", array.macs // array.share, multiplier_cell(cells, bits))
        yield of_logic("adders", array.macs, adder)
        yield of_logic("second accumulators", 3 * array.macs, cells.register(bits.sum))

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        """A lane takes what one of the window's banks reads."""
        array, cells = self.geometry(spec), logic(node_of(spec))
        channel = cells.mux(BLOCK, array.vector * spec.storage.activation_bits)
        yield from super().parts(spec)
        width = array.vector * spec.storage.activation_bytes
        yield of_logic("lane inputs", array.lanes, channel, width)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        window, chosen, adder = (named(spec, name) for name in ("windows", "lane inputs", "adders"))
        vector = self.geometry(spec).vector
        read, write = window.read_pj + chosen.read_pj, window.write_pj
        return (
            super().event_energy(spec)
            | alike({"add": adder.read_pj})
            | {"window_byte": Price(clocked(read) / vector, clocked(write) / vector)}
        )

    def takes(self, geometry: AbmGeometry, shape: Shape) -> bool:
        """A window holds all positions, since values are scattered over them."""
        return shape.entries <= geometry.window_entries

    def placement(self, geometry: AbmGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.lanes)

    def granule(self, geometry: AbmGeometry, mode: int) -> int:
        return geometry.vector

    def order(self, geometry: AbmGeometry, work: Int64) -> Int32:
        """Filters of similar weights beside each other."""
        return np.argsort(-work, kind="stable").astype(np.int32)

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        if not self.takes(array, filters.shape):
            raise ArrayError(
                f"a window holds {array.window_entries} positions and a filter has "
                f"{filters.shape.entries}; use fewer channels at a time"
            )
        lengths, values = self._lengths(filters, array.share)
        starts = np.arange(0, len(filters), array.lanes)
        sizes = np.diff(np.append(starts, len(filters)))
        times = np.maximum.reduceat(lengths, starts)
        vectors = -(-window.outputs // array.vector)
        outputs = np.minimum(array.vector, window.outputs - np.arange(vectors) * array.vector)
        stages = window.taps * blocks(filters.shape.channels)
        fetches = stages * -(-outputs // array.fetch_rows)
        end, fetch_wait = _walk(fetches, times, sizes, outputs, array.drain_width)
        words, rows = filters.words * vectors, stages * window.outputs
        needs = supplies(spec, self.datapath(spec), case, words, ACT_ROW * rows)
        late = supply_cycles(end, needs)
        cycles = end + late + array.pipeline_cycles
        every, real = filters.products(window)
        busy = vectors * int(times.sum())
        held = vectors * int(lengths.sum()) * array.vector
        worked = vectors * int((times * sizes).sum()) * array.vector
        issued = vectors * filters.nonzeros * array.vector
        copies = -(-array.lanes // array.window_ports)
        results = result_events(case, array.lanes)
        return Timing(
            cycles,
            {
                "multiply": real,
                "padding": every - real,
                "fragmentation": issued - every,
                "values": held - issued,
                "imbalance": worked - held,
                "fetch": fetch_wait * array.macs,
                "drain": (cycles - late - busy - fetch_wait) * array.macs,
                "supply": late * array.macs,
                "unused": busy * array.macs - worked,
            },
            {
                **results,
                "act_rows": results["act_rows"] + rows,
                "wgt_words": words,
                "multiplies": values * window.outputs,
                "additions": every,
                "window_bytes": copies * filters.shape.entries * window.outputs + every,
            },
            traffic={
                "window_written": copies * filters.shape.entries * window.outputs,
                "window_read": every,
            },
        )

    def _lengths(self, filters: FilterSet, share: int) -> tuple[Int64, int]:
        """int64 [F]: cycles that each filter takes a lane; and the values of all."""
        key = ("values", share)
        if key not in filters.memo:
            lengths = np.empty(len(filters), np.int64)
            values = _lane_cycles(filters.matrix, share, np.empty(256, np.int64), lengths)
            filters.memo[key] = lengths, values
        found: tuple[Int64, int] = filters.memo[key]
        return found


@njit_cached
def _lane_cycles(matrix: Int8, share: int, counts: Int64, lengths: Int64) -> int:
    """The values that all filters have. lengths: int64 [F], cycles of each. counts: room, int64
    [256].

    Value by value: a cycle for each position, then ``share`` for the products; the sums of two
    values have room.
    """
    values = 0
    for f in range(matrix.shape[0]):
        for value in range(256):
            counts[value] = 0
        for e in range(matrix.shape[1]):
            counts[np.uint8(matrix[f, e])] += 1
        added, before, last = 0, 0, 0
        for value in range(1, 256):
            if counts[value]:
                values += 1
                added = max(added, before) + counts[value]
                before, last = last, max(added, last) + share
        lengths[f] = max(last, 1)
    return values


@njit_cached
def _walk(
    fetches: Int64, times: Int64, sizes: Int64, outputs: Int64, drain_width: int
) -> tuple[int, int]:
    """Vector by vector, group by group: the last drain's end, and cycles that lanes wait for a
    window.

    fetches: int64 [V]; times: int64 [G]; sizes: int64 [G]; outputs: int64 [V].
    """
    fetched, done, freed = 0, 0, 0  # freed: when the vector before the last was done
    drained, drained_before, fetch_wait = 0, 0, 0
    for v in range(len(fetches)):
        fetched = max(fetched, freed) + fetches[v]
        freed = done
        for g in range(len(times)):
            free = max(done, drained_before)
            start = max(free, fetched)
            fetch_wait += start - free
            done = start + times[g]
            drained_before, drained = (
                drained,
                max(done, drained) + (sizes[g] * outputs[v] + drain_width - 1) // drain_width,
            )
    return drained, fetch_wait


ABM = AbmKind()
