"""The lane array: filters in lanes, neighbouring outputs in each, private windows of activations.

Three kinds that differ in what their streams hold: every weight (``dense``; all lanes in lock
step, one window for all), the weights that are not zero (``bitmap``), or those under kernel
patterns (``pattern``). docs/ARRAYS.md has the rules; ``timing/lane_array.py`` computes their time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from zeroskip.accel_model.arrays.base import (
    ArrayError,
    Case,
    FilterSet,
    Int32,
    Int64,
    Kind,
    StreamPlacement,
    Timing,
)
from zeroskip.accel_model.arrays.broadcast import last_units, streams_sent, useful_gangs, waits
from zeroskip.accel_model.arrays.lane_geometry import (
    LANE_EVENTS,
    LANE_SPLITS,
    LaneEnergy,
    LaneGeometry,
)
from zeroskip.accel_model.arrays.lane_slots import SLOTS
from zeroskip.accel_model.arrays.lane_time import (
    Key,
    groups_of_outputs,
    lane_time,
    lock_step_time,
    strips_of,
    taps_worked_on,
)
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
from zeroskip.accel_model.physics.common import Datapath, stream_rate
from zeroskip.accel_model.physics.lane_array import (
    lane_datapath,
    lane_energy,
    lane_parts,
    lane_resources,
    lane_row_unit,
    windows_of,
)
from zeroskip.accel_model.physics.part import Part, Resource
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec
from zeroskip.accel_model.timing.lane_array import (
    ConvTiming,
    OutputGroups,
    WindowError,
    conv_cycles,
)
from zeroskip.accel_model.timing.padding import (
    PatchShare,
    WorkedTaps,
    no_tap,
    stored_at_taps,
    values_passed_over,
    worked_counts,
    worked_steps,
)
from zeroskip.accel_model.timing.row_unit import RowUnit


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
        fetched = int(self._worked(spec, case).outputs.sum())
        written = copies * case.filters.shape.channels * fetched
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
        """Events: every pass fetches the inputs of all stages that it works on once for all lanes,
        and every slot with a filter has them written to its window (a dense array has one window).
        A weight that is not zero, in a dense array any weight, reads its entry. Streams are read
        again for every tile."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        worked = self._worked(spec, case)
        words = self._words(spec, case, worked)
        outputs, out_blocks, count = window.outputs, blocks(len(filters)), len(filters)
        slots, channels = array.lanes >> case.mode, filters.shape.channels
        timing = streams_sent(
            self._timing(spec, case),
            words,
            stream_rate(spec, self.datapath(spec)),
            last_units(count, slots, 1 << case.mode),
            array.pipeline_cycles,
        )
        groups, fetched = -(-count // slots), int(worked.outputs.sum())
        copies = groups if self.lock_step else count
        read = groups * channels * fetched
        if not self.lock_step:
            read = int(filters.nonzeros_at @ worked.outputs)
        ends = case.last * (1 + (case.operand_row is not None))
        sums = len(accumulator_rows(slots, count))
        return Timing(
            timing.cycles,
            self._slots(spec, case, timing),
            {
                "window_bytes": copies * channels * fetched + read,
                "act_rows": blocks(channels) * groups * fetched + ends * out_blocks * outputs,
                "wgt_words": words,
                "acc_rows": ((not case.first) + (not case.last)) * sums * outputs,
                "requantised": ends * count * outputs,
            },
            multiplies=int(filters.nonzeros_at @ worked.outputs),
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

    def _timed(self, spec: AccelSpec, case: Case, key: Key) -> ConvTiming:
        array, banks, filters = self.geometry(spec), spec.sram.act_banks, case.filters
        shape, written = filters.shape, self.datapath(spec).rows
        if self.lock_step:
            order = filters.order.tobytes()
            return lock_step_time(array, banks, written, key, shape.channels, order)
        worked, step = self._worked(spec, case), self.weights.stage_taps
        steps = worked_steps(reduction_steps_of(step, shape.channels, shape.taps), step, worked)
        stored = self._stored_counts(filters, worked)
        return lane_time(array, banks, written, key, steps, filters.order, stored, worked)

    def _stored_counts(self, filters: FilterSet, worked: WorkedTaps) -> Int32:
        """int32 [V, F, J]: weights that each filter stores for the taps of each stage that a set
        works on."""
        step = self.weights.stage_taps
        if worked.taps.all():
            return filters.stored_counts[np.newaxis]
        if step > 1:
            return worked_counts(filters.stored, filters.shape.channels, step, worked)
        there = np.tile(worked.taps, blocks(filters.shape.channels))
        return filters.stored_counts * there[:, np.newaxis]

    def _words(self, spec: AccelSpec, case: Case, worked: WorkedTaps) -> int:
        """Words of WGT that are read: all streams for every group of outputs, without the values
        that it passes over."""
        filters, groups = case.filters, len(worked.sets)
        if worked.taps.all():
            return filters.words * groups
        stages, taps = blocks(filters.shape.channels), filters.shape.taps
        if self.lock_step:
            stored = np.full((len(filters), taps), filters.shape.channels)
        elif self.weights.stage_taps > 1:
            stored = stored_at_taps(filters.stored, filters.shape.channels, taps)
        else:
            counts = filters.stored_counts.reshape(len(filters), stages, taps)
            stored = counts.sum(axis=1, dtype=np.int64)
        left_out = values_passed_over(stored, worked) * spec.storage.weight_bytes // WGT_WORD_BYTES
        of_sets = np.bincount(worked.sets, minlength=len(worked.taps))
        return filters.words * groups - int(of_sets @ left_out.sum(axis=1))

    def _worked(self, spec: AccelSpec, case: Case) -> WorkedTaps:
        """The taps that each group of outputs works on."""
        return taps_worked_on(self.geometry(spec), spec.sram.act_banks, case.window, case.mode)

    def _slots(self, spec: AccelSpec, case: Case, timing: ConvTiming) -> dict[str, int]:
        """Multiplier-cycles.

        Of a busy lane's slots, those on outputs that the last group of pixels lacks are
        *fragmentation*: every group takes as long as a full one. Of the rest, those that multiply a
        weight that is not zero by an input within the image are *multiply*, by padding *padding*,
        the others, stages that are passed over among them, *zeros*.
        """
        _, real = case.filters.products(case.window)
        every = int(case.filters.nonzeros_at @ self._worked(spec, case).outputs)
        return {
            "multiply": real,
            "fragmentation": timing.lane_busy * spec.array.pixels - timing.useful,
            "zeros": timing.useful - every,
            "padding": every - real,
            **waits(timing, spec.array.pixels),
        }

    def price(self, spec: AccelSpec, case: Case) -> LinearPrice:
        """Groups of outputs in rows of the full width, as if none lay in padding; then less by what
        is passed over, but not less than if all were."""
        array, whole, filters = self.geometry(spec), case.window, case.filters
        granule = self.granule(array, case.mode)
        most = min(SAMPLES, -(-whole.outputs // granule))
        rows = min(whole.out_height, -(-most * granule // whole.out_width))
        window, written = whole._replace(out_height=rows, top=0, left=0), self.datapath(spec).rows
        few = groups_of_outputs(
            array, spec.sram.act_banks, written, case.mode, window, case.operand_row
        )
        samples = OutputGroups(
            np.resize(few.fetch, most),
            np.full(most, min(granule, whole.outputs), np.int32),
            np.full(most, -(-min(granule, whole.outputs) // written), np.int32),
            None if few.operand is None else np.resize(few.operand, most),
        )
        step = self.weights.stage_taps
        stages = reduction_steps_of(step, filters.shape.channels, filters.shape.taps)
        work = np.maximum(filters.stored_counts, 1)

        def priced(work: Int32, stages: ReductionSteps) -> LinearPrice:
            def cycles(groups: int) -> int:
                return conv_cycles(
                    array,
                    work,
                    filters.order,
                    stages,
                    samples.first(groups),
                    case.mode,
                    blocks(len(filters)),
                    case.last,
                    lock_step=self.lock_step,
                ).cycles

            return LinearPrice.sampled(granule, whole.outputs, cycles)

        try:
            price = priced(work, stages)
        except WindowError as problem:
            raise ArrayError(str(problem)) from None
        if not array.skip_padding or min(whole.real) == whole.outputs:
            return price
        strips = strips_of(array, spec.sram.act_banks, case.mode)
        passed = work.size / int(work.sum(dtype=np.int64))
        if step > 1:  # to pass over some taps of a stage takes no cycle
            passed = 0.0
        left = np.maximum(self._stored_counts(filters, no_tap(filters.shape.taps))[0], 1)
        notes = ReductionSteps(np.zeros_like(stages.tap_fetches), np.ones_like(left[0]))
        least = priced(left, notes)
        return replace(price, share=PatchShare(whole, strips), passed=passed, least=least)


DENSE_LANES = LaneKind("dense", DENSE, lock_step=True)
BITMAP_LANES = LaneKind("bitmap", BITMAP, lock_step=False)
PATTERN_LANES = LaneKind("pattern", PATTERN, lock_step=False)
