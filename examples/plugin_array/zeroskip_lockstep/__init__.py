"""An array of one's own: 16 filters x 16 outputs, every filter in step with the densest of them.

A stage is one tap of a block of 16 channels. All filters of a group take as many cycles for it as
the one with most weights there, at least one: so q of every 16 is skipped exactly where every
filter keeps as many weights as the others, and unstructured zeros hardly are. Weights are stored as
a bitmap. Sums leave beside the multiplying, a row of 16 a cycle: a group of outputs takes no less
than its rows. Everything else (fetching) is hidden but for a fixed pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Case,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
)
from zeroskip.accel_model.formats import BITMAP, WeightFormat
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import AccelSpec, number


@dataclass(frozen=True)
class LockstepGeometry:
    """The [array] section of a target."""

    kind: str
    filters: int = number("filters in step", 16, 256, power_of_two=True)
    pixels: int = number("outputs of each filter", 1, 64, power_of_two=True)
    pipeline_cycles: int = number("cycles from the last multiply to the last row", 0, 1000)

    @property
    def macs(self) -> int:
        return self.filters * self.pixels

    @property
    def dimensions(self) -> str:
        return f"{self.filters}x{self.pixels}"


class Lockstep(Kind[LockstepGeometry]):
    """q of every 16, all filters of a group in step."""

    name = "lockstep"
    Geometry = LockstepGeometry
    slots = (
        MULTIPLY,
        PADDING,
        Slot("step", "filters waiting for the one with most weights in a block", "imbalance"),
        Slot("ragged", "filters and outputs that the last group lacks", "ragged"),
        Slot("drain", "waiting for rows of results to leave, and for the end", "drain"),
        CONFLICTS,
        CHANNELWISE,
        SETUP,
    )
    reference = "zeroskip_lockstep.stepped:step"

    def format(self, geometry: LockstepGeometry) -> WeightFormat:
        return BITMAP

    def banks(self, geometry: LockstepGeometry) -> int:
        return geometry.filters

    def placement(self, geometry: LockstepGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.filters)

    def granule(self, geometry: LockstepGeometry, mode: int) -> int:
        return geometry.pixels

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, filters, outputs = self.geometry(spec), case.filters, case.window.outputs
        count, quads = len(filters), -(-outputs // array.pixels)
        groups = -(-count // array.filters)
        padded = np.zeros((groups * array.filters, filters.stored_counts.shape[1]), np.int64)
        padded[:count] = np.maximum(filters.stored_counts, 1)
        of_group = padded.reshape(groups, array.filters, -1).max(axis=1).sum(axis=1)
        sizes = np.minimum(array.filters, count - array.filters * np.arange(groups))
        widths = np.minimum(array.pixels, outputs - array.pixels * np.arange(quads))
        rows = np.multiply.outer(-(-sizes // 16), widths)  # of results, that leave one a cycle
        steps, busy = int(of_group.sum()), int(np.maximum(of_group[:, None], rows).sum())
        cycles = busy + array.pipeline_cycles
        every, real = filters.products(case.window)
        at_work = self._at_work(padded, array, count) * outputs
        ends = case.last * (1 + (case.operand_row is not None))
        sums = len(accumulator_rows(array.filters, count))
        return Timing(
            cycles,
            {
                "multiply": real,
                "padding": every - real,
                "step": at_work - every,
                "ragged": steps * quads * array.macs - at_work,
                "drain": (cycles - steps * quads) * array.macs,
            },
            {
                "act_rows": (filters.stored_counts.shape[1] * groups + ends * blocks(count))
                * outputs,
                "wgt_words": filters.words * quads,
                "acc_rows": ((not case.first) + (not case.last)) * sums * outputs,
                "requantised": ends * count * outputs,
            },
        )

    def _at_work(self, padded: np.ndarray, array: LockstepGeometry, count: int) -> int:
        """Cycles of an output, summed over the filters that there are."""
        groups = padded.reshape(-1, array.filters, padded.shape[1])
        of_group = groups.max(axis=1).sum(axis=1)
        there = np.minimum(array.filters, count - array.filters * np.arange(len(of_group)))
        return int(of_group @ there)


LOCKSTEP = Lockstep()
