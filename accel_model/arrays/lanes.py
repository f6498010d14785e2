"""The lane array: filters in lanes, neighbouring outputs in each, private windows of activations.

Three kinds that differ in what their streams hold: every weight (``dense``; all lanes in lock
step, one window for all), the weights that are not zero (``bitmap``), or those under kernel
patterns (``pattern``). docs/ARRAYS.md has the rules; ``timing/lane_array.py`` computes their time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from zeroskip.accel_model.arrays.base import (
    EVENTS,
    ArrayError,
    Case,
    Int32,
    Int64,
    Kind,
    StreamPlacement,
    Timing,
)
from zeroskip.accel_model.arrays.broadcast import tiles, useful_gangs
from zeroskip.accel_model.arrays.lane_slots import SLOTS
from zeroskip.accel_model.arrays.least_cycles import ConvWork, least_lane_cycles
from zeroskip.accel_model.arrays.pricing import SAMPLES, LinearPrice
from zeroskip.accel_model.formats import (
    BITMAP,
    DENSE,
    PATTERN,
    ReductionSteps,
    WeightFormat,
    reduction_steps_of,
)
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import Datapath
from zeroskip.accel_model.physics.lane_array import (
    lane_datapath,
    lane_energy,
    lane_parts,
    lane_resources,
    lane_row_unit,
    windows_of,
)
from zeroskip.accel_model.physics.part import Part, Resource
from zeroskip.accel_model.physics.traffic import ROW_SPLIT, SPLITS, WINDOW_SPLIT, Price
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import AccelSpec, cycles_to_last_row, number
from zeroskip.accel_model.timing.lane_array import (
    ConvTiming,
    WindowError,
    conv_cycles,
)
from zeroskip.accel_model.timing.row_unit import RowUnit
from zeroskip.accel_model.timing.shape import WindowShape

_Key: TypeAlias = tuple[WindowShape, int, bool, int | None]  # window, mode, last, operand's row


@dataclass(frozen=True)
class LaneGeometry:
    """The multiply-accumulate lanes."""

    kind: str
    lanes: int = number(
        "filters in flight in mode 0, each with its own weight bank; or the 16 channels of a block",
        16,
        256,
        power_of_two=True,
    )
    pixels: int = number("output pixels of a lane: multipliers per lane", 1, 64, power_of_two=True)
    max_gang: int = number("log2 of the most lanes that may share a filter", 0, 7)
    window_entries: int = number(
        "activation entries (one per weight position) that a lane's private window holds; a dense "
        "array has one for each lane of a gang, which all gangs share",
        32,
        1 << 16,
    )
    drain_width: int = number("outputs requantized per cycle", 1, 256, power_of_two=True)
    pipeline_cycles: int = cycles_to_last_row("the last output drained")
    row_pixels: int = number(
        "pixels of an image row, 16 channels of each, that a row register holds: depthwise and pools "
        "serve all taps of a kernel row from it; 0: no such registers, one tap after another",
        0,
        64,
        default=0,
    )
    fetch_quads: int = number(
        "quads of a gang that the fetch unit brings in a cycle, each to the lanes of other members",
        1,
        16,
        power_of_two=True,
        default=1,
    )

    def together(self, gang: int) -> int:
        """Quads that are fetched at once for a gang, each of other members."""
        return min(self.fetch_quads, 1 << gang)

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.lanes * self.pixels

    @property
    def dimensions(self) -> str:
        return f"{self.lanes}x{self.pixels}"


@dataclass(frozen=True)
class LaneEnergy:
    """Picojoules per event."""

    mac: float = number("a multiply, 8x9 bits in 8-bit storage, and 32-bit add", 0)
    window_byte: float = number("a byte read from or written to a lane's window", 0)
    act_row: float = number("a 16-byte ACT row read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a 64-byte ACC row read or written", 0)
    requantise: float = number("a requantized output", 0)
    lookup: float = number("a row of a table of results read or written", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)
    row_byte: float = number("a byte written to or read from a row register", 0, default=0.0)


LANE_EVENTS = {**EVENTS, "window_byte": "window_bytes", "row_byte": "row_bytes"}
LANE_SPLITS = {**SPLITS, "window_byte": WINDOW_SPLIT, "row_byte": ROW_SPLIT}


class LaneKind(Kind[LaneGeometry]):
    """Lanes with one weight format. A mode is a gang: log2 of the lanes that share a filter."""

    Geometry = LaneGeometry
    Energy = LaneEnergy
    slots = SLOTS
    events, wide_sums = LANE_EVENTS, True
    splits = LANE_SPLITS
    reference = "zeroskip.accel_model.reference.lanes:step"

    def __init__(self, name: str, weights: WeightFormat, *, lock_step: bool) -> None:
        self.name = name
        self.weights, self.lock_step = weights, lock_step
        if lock_step:
            self.skips = frozenset()

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        array = self.geometry(spec)
        return [
            (
                (1 << array.max_gang) <= array.lanes,
                f"array.max_gang = {array.max_gang} gangs more than the {array.lanes} lanes there "
                "are",
            ),
            (
                array.fetch_quads <= 1 << array.max_gang,
                f"array.fetch_quads = {array.fetch_quads} quads are more than a gang has lanes; "
                f"array.max_gang = {array.max_gang} allows {1 << array.max_gang}",
            ),
        ]

    def format(self, geometry: LaneGeometry) -> WeightFormat:
        return self.weights

    def banks(self, geometry: LaneGeometry) -> int:
        """One for each lane."""
        return geometry.lanes

    def sram_bytes(self, spec: AccelSpec) -> int:
        """The windows, an activation an entry and pixel: one for each lane, or for each of a
        gang."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        copies = windows_of(array, lock_step=self.lock_step)
        return copies * array.pixels * array.window_entries * value

    def datapath(self, spec: AccelSpec) -> Datapath:
        return lane_datapath(spec, self.geometry(spec))

    def row_unit(self, spec: AccelSpec) -> RowUnit | None:
        return lane_row_unit(spec, self.geometry(spec))

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        return lane_resources(spec, self.geometry(spec), lock_step=self.lock_step)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        return lane_parts(spec, self.geometry(spec), lock_step=self.lock_step)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        return lane_energy(spec, self.geometry(spec), lock_step=self.lock_step)

    def traffic(self, spec: AccelSpec, case: Case, timing: Timing) -> dict[str, int]:
        """Every slot with a filter has the inputs of all stages written to its window (a dense
        array: every group of filters); the rest of ``window_bytes`` are read."""
        streams = len(case.filters)
        copies = -(-streams // (self.geometry(spec).lanes >> case.mode))
        if not self.lock_step:
            copies = streams
        written = copies * case.filters.shape.entries * case.window.outputs
        return super().traffic(spec, case, timing) | {
            "window_written": written,
            "window_read": timing.events["window_bytes"] - written,
        }

    def modes(self, geometry: LaneGeometry) -> range:
        return range(geometry.max_gang + 1)

    def useful_modes(self, geometry: LaneGeometry, filters: int, outputs: int) -> list[int]:
        return useful_gangs(geometry, filters, outputs)

    def placement(self, geometry: LaneGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.lanes >> mode, 1 << mode)

    def granule(self, geometry: LaneGeometry, mode: int) -> int:
        return geometry.pixels << mode

    def order(self, geometry: LaneGeometry, work: Int64) -> Int32:
        """Sorted within each residue of their channel modulo the columns of staging and dealt out,
        so that neighbours have similar work, whatever the size of a group, and the results that are
        drained together belong to different columns (filter kernel reorder: PatDNN, ASPLOS
        2020)."""
        if self.lock_step:
            return np.arange(len(work), dtype=np.int32)
        columns = max(BLOCK, geometry.drain_width)
        dealt = np.full((columns, -(-len(work) // columns)), -1, np.int32)
        for residue in range(columns):
            filters = np.arange(residue, len(work), columns)
            dealt[residue, : len(filters)] = filters[np.argsort(-work[filters], kind="stable")]
        order = dealt.T.reshape(-1)
        return order[order >= 0]

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """Events: every pass fetches the inputs of all stages once for all lanes, and every slot
        with a filter has them written to its window (a dense array has one window). A weight that
        is not zero, in a dense array any weight, reads its entry. Streams are read again for every
        tile."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        timing = self._timing(spec, case)
        outputs, out_blocks, count = window.outputs, blocks(len(filters)), len(filters)
        slots = array.lanes >> case.mode
        groups = -(-count // slots)
        entries = filters.shape.entries
        copies = groups if self.lock_step else count
        read = groups * entries if self.lock_step else filters.nonzeros
        ends = case.last * (1 + (case.operand_row is not None))
        sums = len(accumulator_rows(slots, count))
        return Timing(
            timing.cycles,
            self._slots(spec, case, timing),
            {
                "window_bytes": (copies * entries + read) * outputs,
                "act_rows": (
                    blocks(filters.shape.channels) * window.taps * groups + ends * out_blocks
                )
                * outputs,
                "wgt_words": filters.words * -(-outputs // (array.pixels << case.mode)),
                "acc_rows": ((not case.first) + (not case.last)) * sums * outputs,
                "requantised": ends * count * outputs,
            },
        )

    def least_cycles(self, spec: AccelSpec, work: ConvWork) -> Fraction:
        array = self.geometry(spec)
        return least_lane_cycles(
            work,
            array.lanes,
            array.pixels,
            array.lanes >> array.max_gang,
            array.pixels * array.fetch_quads,
            lock_step=self.lock_step,
        )

    def _timing(self, spec: AccelSpec, case: Case) -> ConvTiming:
        """The lanes' time, which first chunks and others have alike."""
        key = (case.window, case.mode, case.last, case.operand_row)
        memo = case.filters.memo
        if key not in memo:
            try:
                memo[key] = self._timed(spec, case, key)
            except WindowError as problem:
                raise ArrayError(str(problem)) from None
        found: ConvTiming = memo[key]
        return found

    def _timed(self, spec: AccelSpec, case: Case, key: _Key) -> ConvTiming:
        array, banks, filters = self.geometry(spec), spec.sram.act_banks, case.filters
        shape, written = filters.shape, self.datapath(spec).rows
        if self.lock_step:
            order = filters.order.tobytes()
            return _lock_step(array, banks, written, key, shape.channels, order)
        stages = reduction_steps_of(self.weights.stage_taps, shape.channels, shape.taps)
        return _lanes(
            array,
            banks,
            written,
            key,
            stages,
            filters.order,
            filters.stored_counts,
            lock_step=False,
        )

    def _slots(self, spec: AccelSpec, case: Case, timing: ConvTiming) -> dict[str, int]:
        """Multiplier-cycles.

        Of a busy lane's slots, those on outputs that the last group of pixels lacks are
        *fragmentation*: every group takes as long as a full one. Of the rest, those that multiply a
        weight that is not zero by an input within the image are *multiply*, by padding *padding*,
        the others *zeros*. Of the waits for the fetch unit, *conflicts* are as large a part as of
        the unit's cycles are lost to bank conflicts: every cycle beyond one for each fetch.
        """
        pixels, outputs = spec.array.pixels, case.window.outputs
        groups = -(-outputs // (pixels << case.mode))
        busy = timing.lane_busy * pixels
        useful = timing.lane_busy // (groups << case.mode) * outputs
        every, real = case.filters.products(case.window)
        waits = timing.fetch_wait * pixels
        conflicts = waits * (timing.fetch_cycles - timing.tap_fetches) // timing.fetch_cycles
        return {
            "multiply": real,
            "fragmentation": busy - useful,
            "zeros": useful - every,
            "padding": every - real,
            "imbalance": timing.imbalance * pixels,
            "fetch": waits - conflicts,
            "conflicts": conflicts,
            "drain": timing.drain_wait * pixels,
            "unused": timing.unused * pixels,
        }

    def price(self, spec: AccelSpec, case: Case) -> LinearPrice:
        """Groups of outputs in rows of the full width, as if none lay in padding."""
        array, whole, filters = self.geometry(spec), case.window, case.filters
        granule = self.granule(array, case.mode)
        most = min(SAMPLES, -(-whole.outputs // granule))
        rows = min(whole.out_height, -(-most * granule // whole.out_width))
        window = whole._replace(out_height=rows, top=0, left=0)
        fetch, _, operand = _tiles(array, spec.sram.act_banks, case.mode, window, case.operand_row)
        fetch = np.resize(fetch, most)
        operand = None if operand is None else np.resize(operand, most)
        pixels = np.full(most, min(granule, whole.outputs), np.int32)
        stages = reduction_steps_of(
            self.weights.stage_taps, filters.shape.channels, filters.shape.taps
        )
        work = np.maximum(filters.stored_counts, 1)

        def cycles(groups: int) -> int:
            return conv_cycles(
                array,
                work,
                filters.order,
                stages,
                fetch[:groups],
                pixels[:groups],
                case.mode,
                blocks(len(filters)),
                case.last,
                None if operand is None else operand[:groups],
                lock_step=self.lock_step,
                written=self.datapath(spec).rows,
            ).cycles

        try:
            return LinearPrice.sampled(granule, whole.outputs, cycles)
        except WindowError as problem:
            raise ArrayError(str(problem)) from None


@lru_cache(maxsize=4096)
def _lock_step(
    array: LaneGeometry, banks: int, written: int, key: _Key, channels: int, order: bytes
) -> ConvTiming:
    """No weight makes a difference."""
    streams, stages = np.frombuffer(order, np.int32), reduction_steps_of(1, channels, key[0].taps)
    work = np.broadcast_to(stages.window_entries, (len(streams), len(stages)))
    return _lanes(array, banks, written, key, stages, streams, work, lock_step=True)


def _lanes(
    array: LaneGeometry,
    banks: int,
    written: int,
    key: _Key,
    stages: ReductionSteps,
    order: Int32,
    stored: Int32,
    *,
    lock_step: bool,
) -> ConvTiming:
    window, mode, last, operand_row = key
    tile_ft, pixels, operand = _tiles(array, banks, mode, window, operand_row)
    return conv_cycles(
        array,
        np.maximum(stored, 1),
        order,
        stages,
        tile_ft,
        pixels,
        mode,
        blocks(len(order)),
        last,
        operand,
        lock_step=lock_step,
        written=written,
        fetched=array.pixels * array.together(mode),
    )


def _tiles(
    array: LaneGeometry, banks: int, mode: int, window: WindowShape, operand_row: int | None
) -> tuple[Int32, Int32, Int32 | None]:
    """``broadcast.tiles`` of a window on the lanes."""
    return tiles(window, banks, array.pixels, mode, operand_row, array.together(mode))


DENSE_LANES = LaneKind("dense", DENSE, lock_step=True)
BITMAP_LANES = LaneKind("bitmap", BITMAP, lock_step=False)
PATTERN_LANES = LaneKind("pattern", PATTERN, lock_step=False)
