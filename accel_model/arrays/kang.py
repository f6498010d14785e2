"""Kang's array: q of every g neighbouring channels have a weight, so lanes in step need q cycles.

Accelerator-aware pruning (Kang, IEEE TCSVT 2020): weights are pruned in the groups in which an
array fetches activations. N:M sparsity (2:4, 1:4) is the same with g = 4. docs/arrays/kang.md has
the rules; they are the lane array's (docs/ARRAYS.md) but for what a lane does with a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    ArrayError,
    Case,
    FilterSet,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
)
from zeroskip.accel_model.arrays.broadcast import (
    DRAIN,
    FETCH,
    FRAGMENTATION,
    IMBALANCE,
    UNUSED,
    WINDOW_EVENTS,
    WINDOW_SPLITS,
    WindowEnergy,
    act_rows,
    ends,
    last_units,
    output_groups,
    streams_sent,
    sums_moved,
    useful_gangs,
    waits,
    window_price,
)
from zeroskip.accel_model.arrays.pricing import LinearPrice
from zeroskip.accel_model.formats import GROUPED, Shape, WeightFormat, reduction_steps_of
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import (
    Datapath,
    gang_selectors,
    node_of,
    rows_of_results,
    stream_rate,
    unit_stream_bytes,
)
from zeroskip.accel_model.physics.cost import named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import WINDOW_SPLIT, Price
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec, cycles_to_last_row, number
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.timing.lane_array import ConvTiming, WindowError, conv_cycles

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class KangGeometry:
    """Lanes in step, each taking one weight of a group of channels a cycle."""

    kind: str
    lanes: int = number(
        "filters in flight in mode 0, each with its own weight bank; or the 16 channels of a block",
        16,
        256,
        power_of_two=True,
    )
    pixels: int = number("output pixels of a lane: multipliers per lane", 1, 64, power_of_two=True)
    max_gang: int = number("log2 of the most lanes that may share a filter", 0, 7)
    group: int = number(
        "channels of a group, of which all filters keep as many weights", 2, 16, power_of_two=True
    )
    window_entries: int = number(
        "activation entries (one per weight position) that the window holds, one for all lanes",
        16,
        1 << 16,
    )
    drain_width: int = number("outputs requantized per cycle", 1, 256, power_of_two=True)
    pipeline_cycles: int = cycles_to_last_row("the last output drained")

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.lanes * self.pixels

    @property
    def dimensions(self) -> str:
        return f"{self.lanes}x{self.pixels}"


class Kang(Kind[KangGeometry]):
    """Lanes in step over groups. A mode is a gang: log2 of the lanes that share a filter."""

    name = "kang"
    Geometry = KangGeometry
    Energy = WindowEnergy
    events = WINDOW_EVENTS
    splits = WINDOW_SPLITS
    reference = "zeroskip.accel_model.reference.kang:step"
    slots = (
        MULTIPLY,
        FRAGMENTATION,
        Slot("zeros", "lanes at the zeros that fill a group", "zeros"),
        PADDING,
        Slot(
            "instep",
            "lanes done with a group waiting for the one with most weights in it",
            "imbalance",
        ),
        IMBALANCE,
        FETCH,
        CONFLICTS,
        DRAIN,
        UNUSED,
        CHANNELWISE,
        SETUP,
    )

    def check(self, spec: AccelSpec) -> Iterable[tuple[bool, str]]:
        array = self.geometry(spec)
        return [
            (
                (1 << array.max_gang) <= array.lanes,
                f"array.max_gang = {array.max_gang} gangs more than the {array.lanes} lanes there "
                "are",
            ),
        ]

    def format(self, geometry: KangGeometry) -> WeightFormat:
        return GROUPED[geometry.group]

    def banks(self, geometry: KangGeometry) -> int:
        """One for each lane."""
        return geometry.lanes

    def sram_bytes(self, spec: AccelSpec) -> int:
        """A window for each lane of a gang, which all gangs share, an activation an entry and
        pixel."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        return (array.pixels << array.max_gang) * array.window_entries * value

    def datapath(self, spec: AccelSpec) -> Datapath:
        width = self.geometry(spec).drain_width
        return Datapath(
            results=width,
            rows=rows_of_results(spec, width),
            stream_bytes=unit_stream_bytes(spec),
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """Windows are 16 banks by channel; of the entries of a group that are read together each
        lane selects one."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        windows = Resource(
            "windows",
            BLOCK << array.max_gang,
            max(1, array.window_entries // BLOCK) * array.pixels * value,
            array.pixels * value,
            (
                PartPort("fetch", "w", flows=WINDOW_SPLIT.writes, unit=value),
                PartPort("lanes", "r", flows=("window_broadcast",), unit=value),
            ),
        )
        selectors = Resource(
            "lane selectors",
            array.lanes,
            0,
            array.pixels * value,
            (PartPort("lane", "r", flows=WINDOW_SPLIT.reads, unit=value),),
        )
        return (*super().resources(spec), windows, selectors)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        array, cells = self.geometry(spec), logic(node_of(spec))
        selector = cells.mux(array.group, spec.storage.activation_bits * array.pixels)
        gangs = gang_selectors(spec, array.lanes, array.max_gang)
        return (*super().parts(spec), of_logic("lane selectors", array.lanes, selector), *gangs)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        return super().event_energy(spec) | {
            "window_byte": window_price(spec, named(spec, "lane selectors").read_pj)
        }

    def modes(self, geometry: KangGeometry) -> range:
        return range(geometry.max_gang + 1)

    def useful_modes(self, geometry: KangGeometry, filters: int, outputs: int) -> list[int]:
        return useful_gangs(geometry, filters, outputs)

    def placement(self, geometry: KangGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.lanes >> mode, 1 << mode)

    def granule(self, geometry: KangGeometry, mode: int) -> int:
        return geometry.pixels << mode

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """Events: as in the dense lane array, but a lane reads the window and its bank only for
        the weights that are stored."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        slots, count, outputs = array.lanes >> case.mode, len(filters), window.outputs
        work = step_work(filters, array.group, slots)
        granule = self.granule(array, case.mode)
        groups, pixel_groups = -(-count // slots), -(-outputs // granule)
        words = filters.words * pixel_groups
        timing = streams_sent(
            self._timing(spec, case, work),
            words,
            stream_rate(spec, self.datapath(spec)),
            last_units(count, slots, 1 << case.mode),
            array.pipeline_cycles,
        )
        stored = int(filters.stored_counts.sum(dtype=np.int64))
        in_step = int(work[::slots].sum(dtype=np.int64))
        busy, stepped = timing.lane_busy * array.pixels, int(work.sum(dtype=np.int64))
        assert timing.lane_busy == stepped * pixel_groups << case.mode
        every, real = filters.products(window)
        return Timing(
            timing.cycles,
            {
                "multiply": real,
                "fragmentation": busy - stepped * outputs,
                "zeros": stored * outputs - every,
                "padding": every - real,
                "instep": (stepped - stored) * outputs,
                **waits(timing, array.pixels),
            },
            {
                "window_bytes": (groups * filters.shape.entries + stored) * outputs,
                "act_rows": act_rows(case, groups),
                "wgt_words": words,
                "acc_rows": sums_moved(case, slots),
                "requantised": ends(case) * count * outputs,
            },
            traffic={
                "window_written": groups * filters.shape.entries * outputs,
                "window_read": stored * outputs,
                "window_broadcast": in_step * array.group * pixel_groups * granule,
            },
        )

    def _timing(self, spec: AccelSpec, case: Case, work: Int32) -> ConvTiming:
        array, filters = self.geometry(spec), case.filters
        groups = output_groups(
            case.window,
            spec.sram.act_banks,
            array.pixels,
            case.mode,
            case.operand_row if case.last else None,
            written=self.datapath(spec).rows,
        )
        try:
            return conv_cycles(
                array,
                work,
                filters.order,
                reduction_steps_of(1, filters.shape.channels, filters.shape.taps),
                groups,
                case.mode,
                blocks(len(filters)),
                case.last,
                lock_step=True,
            )
        except WindowError as problem:
            raise ArrayError(str(problem)) from None

    def price(self, spec: AccelSpec, case: Case) -> LinearPrice:
        """A few groups of outputs in rows of the full width."""
        array = self.geometry(spec)
        work = step_work(case.filters, array.group, array.lanes >> case.mode)
        return LinearPrice.of_windows(
            self.granule(array, case.mode),
            case.window,
            lambda window: self._timing(spec, replace(case, window=window), work).cycles,
        )


def step_work(filters: FilterSet, group: int, slots: int) -> Int32:
    """int32 [F, J]: cycles that each filter's lane takes for each tap of each block.

    Lanes in flight together take as many for a group as the one with most weights in it, and at
    least one.
    """
    shape, starts = filters.shape, np.arange(0, len(filters), slots)
    taken = np.minimum(slots, len(filters) - starts)
    stage_groups = _stage_groups(shape, group)
    if filters.format.name == GROUPED[group].name:
        # the fullest lane has most in every group of a stage
        most = np.maximum.reduceat(filters.stored_counts, starts, axis=0)
        work = np.maximum(most, stage_groups)
    else:
        firsts = _group_starts(shape, group)
        counts = np.add.reduceat(filters.stored, firsts, axis=1, dtype=np.int32)
        most = np.maximum(np.maximum.reduceat(counts, starts, axis=0), 1)
        stages = np.cumsum(stage_groups) - stage_groups
        work = np.add.reduceat(most, stages, axis=1)
    return np.repeat(work, taken, axis=0).astype(np.int32)


def _widths(shape: Shape) -> Int32:
    """int32 [J]: channels of each tap of each block."""
    return reduction_steps_of(1, shape.channels, shape.taps).window_entries


def _stage_groups(shape: Shape, group: int) -> Int32:
    """int32 [J]: groups of each tap of each block."""
    return -(-_widths(shape) // group)


def _group_starts(shape: Shape, group: int) -> npt.NDArray[np.int64]:
    """int64 [groups]: the first position of each group in canonical order."""
    widths = _widths(shape)
    begins = np.cumsum(widths) - widths
    return np.array(
        [
            begin + at
            for begin, width in zip(begins.tolist(), widths.tolist(), strict=True)
            for at in range(0, width, group)
        ],
        np.int64,
    )


KANG = Kang()
