"""DianNao and DaDianNao: adder trees over 16 inputs, for 16 filters a tile.

DianNao (Chen et al., ASPLOS 2014) has one tile, DaDianNao (Chen et al., MICRO 2014) 16 that share
inputs and have other filters. Nothing is skipped. docs/arrays/diannao.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    EVENTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Case,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    in_channel_order,
)
from zeroskip.accel_model.arrays.pricing import Floats, Int64, OutputsPrice
from zeroskip.accel_model.formats import DENSE, WeightFormat
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.physics.common import Datapath, unit_stream_bytes
from zeroskip.accel_model.physics.part import PartPort, Resource
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import (
    AccelSpec,
    Energy,
    channelwise_outputs,
    number,
)

BANKS = 4  # of WGT for a filter, each of which gives 4 weights a cycle


@dataclass(frozen=True)
class TreeGeometry:
    """Tiles of adder trees; a tree adds 16 products a cycle for its filter."""

    kind: str
    tiles: int = number(
        "tiles, each with its own weights and all with the same inputs", 1, 64, power_of_two=True
    )
    trees: int = number("filters of a tile: adder trees", 1, 16, power_of_two=True)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = number(
        "cycles from an input row's read to its output row's write: ACT, multiply, add, requantize",
        0,
        1000,
    )

    @property
    def filters(self) -> int:
        """Filters that are worked on together."""
        return self.tiles * self.trees

    @property
    def macs(self) -> int:
        """Multiply-accumulates per cycle at full use."""
        return BLOCK * self.filters

    @property
    def dimensions(self) -> str:
        tiles = "" if self.tiles == 1 else f"{self.tiles} x "
        return f"{tiles}{self.trees}x{BLOCK}"


class DianNao(Kind[TreeGeometry]):
    """Adder trees over a row of ACT."""

    name = "diannao"
    Geometry = TreeGeometry
    Energy = Energy
    events = EVENTS
    skips = frozenset()
    reference = "zeroskip.accel_model.reference.diannao:step"
    slots = (
        MULTIPLY,
        Slot("zeros", "multipliers at zero weights, which are not skipped", "zeros"),
        PADDING,
        Slot("narrow", "inputs that a block of fewer than 16 channels lacks", "ragged"),
        Slot("unused", "trees without a filter: a last group that is not full", "ragged"),
        Slot("operand", "waiting for the operand of a fused addition, read from ACT", "fetch"),
        CONFLICTS,  # of channelwise instructions
        Slot("drain", "the pipeline running empty at the end of a convolution", "drain"),
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: TreeGeometry) -> WeightFormat:
        return DENSE

    def banks(self, geometry: TreeGeometry) -> int:
        """Four for each filter, which give its 16 weights a cycle."""
        return BANKS * geometry.filters

    def datapath(self, spec: AccelSpec) -> Datapath:
        """A result of each tree in a cycle, and ranks of ACT for rows of 16 of them."""
        ranks = max(1, self.geometry(spec).filters // BLOCK)
        return Datapath(
            results=self.geometry(spec).filters,
            rows=ranks,
            stream_bytes=unit_stream_bytes(spec),
            ranks=ranks,
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        """A row of inputs, or one of the operand for each 16 trees, is broadcast; of channelwise
        instructions a row for each of ``pixels``."""
        width = spec.act_row_bytes * max(self.datapath(spec).rows, spec.array.pixels)
        value = spec.storage.activation_bytes
        port = PartPort("fetch", "w", flows=("act_fetched",), unit=value)
        return (*super().resources(spec), Resource("input registers", 1, 0, width, (port,)))

    def placement(self, geometry: TreeGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.filters, BANKS)

    def granule(self, geometry: TreeGeometry, mode: int) -> int:
        """A row of outputs leaves as soon as its sums are complete."""
        return 1

    # ------------------------------------------------------------------------------------ time

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        """Events: every output reads its rows of ACT once for each group of filters, and all
        weights, not the streams' headers of a word each: trees take filters in their order."""
        array, window, filters = self.geometry(spec), case.window, case.filters
        in_channel_order(filters)
        count, outputs, shape = len(filters), window.outputs, filters.shape
        groups, rows = -(-count // array.filters), blocks(shape.channels) * window.taps
        operand = case.last and case.operand_row is not None
        ends, width = case.last * (1 + operand), array.macs
        cycles = outputs * groups * (rows + operand) + array.pipeline_cycles
        every, real = filters.products(window)
        used = shape.entries * count * outputs
        fed = BLOCK * rows * count * outputs  # multiplier-cycles of trees that have a filter
        return Timing(
            cycles,
            {
                "multiply": real,
                "zeros": used - every,
                "padding": every - real,
                "narrow": fed - used,
                "unused": outputs * groups * rows * width - fed,
                "operand": outputs * groups * operand * width,
                "drain": array.pipeline_cycles * width,
            },
            {
                "act_rows": (groups * rows + ends * blocks(count)) * outputs,
                "wgt_words": (filters.words - count) * outputs,
                "acc_rows": ((not case.first) + (not case.last))
                * len(accumulator_rows(array.filters, count))
                * outputs,
                "requantised": ends * count * outputs,
            },
        )

    def price(self, spec: AccelSpec, case: Case) -> OutputsPrice:
        array, filters = self.geometry(spec), case.filters
        rows = blocks(filters.shape.channels) * filters.shape.taps
        operand = case.last and case.operand_row is not None
        pace = -(-len(filters) // array.filters) * (rows + operand)

        def cycles(outputs: Int64) -> Floats:
            return np.asarray(outputs * pace + array.pipeline_cycles, np.float64)

        return OutputsPrice(((cycles, 1.0),))


DIANNAO = DianNao()
