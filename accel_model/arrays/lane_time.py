"""The time of a convolution on lanes, from what its weights store (``timing.lane_array``)."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.broadcast import output_groups
from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry
from zeroskip.accel_model.formats import ReductionSteps, reduction_steps_of
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.timing.lane_array import ConvTiming, OutputGroups, conv_cycles
from zeroskip.accel_model.timing.padding import WorkedTaps, every_tap, worked_steps, worked_taps
from zeroskip.accel_model.timing.shape import Strips, WindowShape

Int32 = npt.NDArray[np.int32]
Key: TypeAlias = tuple[WindowShape, int, bool, int | None]  # window, mode, last, operand's row


def strips_of(array: LaneGeometry, banks: int, mode: int) -> Strips:
    """How outputs are worked on."""
    return Strips(array.pixels << mode, array.pixels * array.together(mode), banks)


def taps_worked_on(array: LaneGeometry, banks: int, window: WindowShape, mode: int) -> WorkedTaps:
    """The taps that each group of outputs works on."""
    taps_of = worked_taps if array.skip_padding else every_tap
    return taps_of(window, strips_of(array, banks, mode))


@lru_cache(maxsize=4096)
def lock_step_time(
    array: LaneGeometry, banks: int, written: int, key: Key, channels: int, order: bytes
) -> ConvTiming:
    """No weight makes a difference."""
    window, mode = key[:2]
    streams, worked = np.frombuffer(order, np.int32), taps_worked_on(array, banks, window, mode)
    steps = worked_steps(reduction_steps_of(1, channels, window.taps), 1, worked)
    work = np.repeat(steps.window_entries[:, np.newaxis], len(streams), axis=1)
    return lane_time(array, banks, written, key, steps, streams, work, worked, lock_step=True)


def lane_time(
    array: LaneGeometry,
    banks: int,
    written: int,
    key: Key,
    steps: ReductionSteps,
    order: Int32,
    stored: Int32,
    worked: WorkedTaps,
    *,
    lock_step: bool = False,
) -> ConvTiming:
    """stored: int32 [V, F, J], for the V sets of taps of ``worked``; steps: [V, J]."""
    window, mode, last, operand_row = key
    groups = groups_of_outputs(
        array, banks, written, mode, window, operand_row, strips=bool(array.skip_padding)
    )
    return conv_cycles(
        array,
        np.maximum(stored, 1),
        order,
        steps,
        groups._replace(sets=worked.sets),
        mode,
        blocks(len(order)),
        last,
        lock_step=lock_step,
        fetched=array.pixels * array.together(mode),
    )


def groups_of_outputs(
    array: LaneGeometry,
    banks: int,
    written: int,
    mode: int,
    window: WindowShape,
    operand_row: int | None,
    *,
    strips: bool = False,
) -> OutputGroups:
    """``broadcast.output_groups`` of a window on the lanes."""
    return output_groups(
        window,
        banks,
        array.pixels,
        mode,
        operand_row,
        array.together(mode),
        written=written,
        strips=strips,
    )
