"""Cambricon-X: elements that pick up to 16 inputs a cycle out of a window of 256.

Zhang et al., MICRO 2016. Each processing element (PE) is at a filter of its own, holds its weights
with their step indices, and its indexing module picks their inputs from a window that all share.
docs/arrays/cambricon_x.md has the rules.
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
    waits,
)
from zeroskip.accel_model.arrays.pricing import LinearPrice
from zeroskip.accel_model.formats import STEP, ReductionSteps, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import (
    Datapath,
    node_of,
    rows_of_results,
    stream_rate,
    unit_stream_bytes,
)
from zeroskip.accel_model.physics.cost import clocked, named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import WINDOW_SPLIT, Price
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import (
    WGT_WORD_BYTES,
    AccelSpec,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic
from zeroskip.accel_model.timing.lane_array import ConvTiming, conv_cycles

Int32 = npt.NDArray[np.int32]
PAIR_BYTES = 2  # a step and a weight, of 8 bits each


@dataclass(frozen=True)
class CambriconGeometry:
    """Processing elements and the window of inputs that they share."""

    kind: str
    pes: int = number("processing elements: filters in flight", 1, 64, power_of_two=True)
    multipliers: int = number(
        "multipliers of an element: inputs that it picks a cycle", 2, 64, power_of_two=True
    )
    window_rows: int = number(
        "ACT rows of a window: 16 channels of a tap each", 1, 64, power_of_two=True
    )
    windows: int = number("windows that are held: elements are less than so many apart", 1, 16)
    row_reads: int = number(
        "rows of a window that are read together, from ranks of ACT of their own",
        1,
        64,
        power_of_two=True,
    )
    max_outputs: int = number(
        "log2 of the most neighbouring outputs whose windows are held side by side", 0, 4
    )
    pixels: int = channelwise_outputs()
    drain_width: int = number("outputs requantized per cycle", 1, 256, power_of_two=True)
    pipeline_cycles: int = cycles_to_last_row("the last output drained")

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return self.pes * self.multipliers

    @property
    def dimensions(self) -> str:
        return f"{self.pes}x{self.multipliers}"


@dataclass(frozen=True)
class _Units:
    """The elements as ``timing.lane_array`` knows them: windows instead of entries."""

    lanes: int
    pixels: int
    window_entries: int
    drain_width: int
    pipeline_cycles: int


class CambriconX(Kind[CambriconGeometry]):
    """Elements that pick inputs. A mode is log2 of the outputs that are worked on together."""

    name = "cambricon_x"
    Geometry = CambriconGeometry
    Energy = WindowEnergy
    events = WINDOW_EVENTS
    splits = WINDOW_SPLITS
    reference = "zeroskip.accel_model.reference.cambricon_x:step"
    slots = (
        MULTIPLY,
        FRAGMENTATION,
        Slot("zeros", "multipliers at placeholders, which bridge long distances", "zeros"),
        PADDING,
        Slot(
            "picks",
            "multipliers without an input: fewer weights left in a window than an element can pick",
            "ragged",
        ),
        IMBALANCE,
        FETCH,
        CONFLICTS,
        DRAIN,
        UNUSED,
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: CambriconGeometry) -> WeightFormat:
        return STEP

    def banks(self, geometry: CambriconGeometry) -> int:
        """As many for each element as give it its pairs of step and weight in a cycle."""
        return geometry.pes * self._banks_of_pe(geometry)

    def _banks_of_pe(self, geometry: CambriconGeometry) -> int:
        return -(-geometry.multipliers * PAIR_BYTES // WGT_WORD_BYTES)

    def sram_bytes(self, spec: AccelSpec) -> int:
        """The windows, for as many outputs as are worked on together."""
        return self._window_inputs(self.geometry(spec)) * spec.storage.activation_bytes

    def _window_inputs(self, geometry: CambriconGeometry) -> int:
        inputs = BLOCK * geometry.window_rows * geometry.windows
        return inputs << geometry.max_outputs

    def datapath(self, spec: AccelSpec) -> Datapath:
        """Rows of a window that are read together come from as many ranks of ACT."""
        array = self.geometry(spec)
        return Datapath(
            results=array.drain_width,
            rows=rows_of_results(spec, array.drain_width),
            stream_bytes=unit_stream_bytes(spec),
            ranks=array.row_reads,
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """The windows are registers, each with the inputs of all outputs worked on together: an
        element selects any of them."""
        array, value = self.geometry(spec), spec.storage.activation_bytes
        windows = Resource(
            "windows",
            BLOCK * array.row_reads,
            0,
            value << array.max_outputs,
            (PartPort("fetch", "w", flows=WINDOW_SPLIT.writes, unit=value),),
        )
        selectors = Resource(
            "selectors",
            array.macs,
            0,
            value,
            (PartPort("element", "r", flows=WINDOW_SPLIT.reads, unit=value),),
        )
        return (*super().resources(spec), windows, selectors)

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        array, cells = self.geometry(spec), logic(node_of(spec))
        inputs, bits = BLOCK * array.window_rows, spec.storage.activation_bits
        value = spec.storage.activation_bytes
        yield from super().parts(spec)
        yield of_logic("windows", self._window_inputs(array), cells.register(bits), value)
        yield of_logic("selectors", array.macs, cells.mux(inputs, bits), value)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        write, read = (named(spec, name).write_pj for name in ("windows", "selectors"))
        byte = Price(clocked(read), clocked(write))
        return super().event_energy(spec) | {"window_byte": byte}

    def modes(self, geometry: CambriconGeometry) -> range:
        return range(geometry.max_outputs + 1)

    def placement(self, geometry: CambriconGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.pes, self._banks_of_pe(geometry))

    def granule(self, geometry: CambriconGeometry, mode: int) -> int:
        return 1 << mode

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """Events: windows are filled again for every group of filters; a weight reads its input,
        and its bank, once for every output; headers of streams, a word each, are read once."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        count, outputs, together = len(filters), window.outputs, 1 << case.mode
        picks = window_picks(filters, array.window_rows, array.multipliers)
        words = filters.words * outputs - count * (outputs - 1)
        timing = streams_sent(
            self._timing(spec, case, picks),
            words,
            stream_rate(spec, self.datapath(spec)),
            last_units(count, array.pes),
            array.pipeline_cycles,
        )
        groups, output_groups = -(-count // array.pes), -(-outputs // together)
        stored = int(filters.stored_counts.sum(dtype=np.int64))
        every, real = filters.products(window)
        width, cycles = array.multipliers, int(picks.sum(dtype=np.int64))
        assert timing.lane_busy == cycles * output_groups * together
        return Timing(
            timing.cycles,
            {
                "multiply": real,
                "fragmentation": (output_groups * together - outputs) * cycles * width,
                "zeros": stored * outputs - every,
                "padding": every - real,
                "picks": (cycles * width - stored) * outputs,
                **waits(timing, width),
            },
            {
                "window_bytes": (groups * filters.shape.entries + stored) * outputs,
                "act_rows": act_rows(case, groups),
                "wgt_words": words,
                "acc_rows": sums_moved(case, array.pes),
                "requantised": ends(case) * count * outputs,
            },
            traffic={
                "window_written": groups * filters.shape.entries * outputs,
                "window_read": stored * outputs,
            },
        )

    def _timing(self, spec: AccelSpec, case: Case, picks: Int32) -> ConvTiming:
        array, filters, together = self.geometry(spec), case.filters, 1 << case.mode
        groups = output_groups(
            case.window,
            spec.sram.act_banks,
            together,
            0,
            case.operand_row if case.last else None,
            written=self.datapath(spec).rows,
        )
        rows = blocks(filters.shape.channels) * filters.shape.taps
        firsts = np.arange(0, rows, array.window_rows)
        held = np.minimum(array.window_rows, rows - firsts)
        return conv_cycles(
            _Units(array.pes, together, array.windows, array.drain_width, array.pipeline_cycles),
            picks * np.int32(together),
            filters.order,
            ReductionSteps(
                (-(-held // array.row_reads)).astype(np.int32), np.ones(len(held), np.int32)
            ),
            groups,
            0,
            blocks(len(filters)),
            case.last,
            lock_step=False,
        )

    def price(self, spec: AccelSpec, case: Case) -> LinearPrice:
        """A few groups of outputs in rows of the full width."""
        array = self.geometry(spec)
        picks = window_picks(case.filters, array.window_rows, array.multipliers)
        return LinearPrice.of_windows(
            1 << case.mode,
            case.window,
            lambda window: self._timing(spec, replace(case, window=window), picks).cycles,
        )


def window_picks(filters: FilterSet, rows: int, multipliers: int) -> Int32:
    """int32 [F, W]: cycles in which an element goes through each window of ``rows`` ACT rows."""
    firsts = np.arange(0, filters.stored_counts.shape[1], rows)
    stored = np.add.reduceat(filters.stored_counts, firsts, axis=1, dtype=np.int32)
    picks: Int32 = np.maximum(-(-stored // multipliers), 1).astype(np.int32)
    return picks


CAMBRICON_X = CambriconX()
