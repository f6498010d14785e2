"""Weight formats and lane kinds by name, as tests that run over all of them want them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import StreamPlacement
from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry
from zeroskip.accel_model.formats import (
    FORMATS,
    FormatTable,
    ReductionSteps,
    Shape,
    reduction_steps_of,
)
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing import lane_array

Bytes = npt.NDArray[np.uint8]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]

LANE_KINDS = ("dense", "bitmap", "pattern")
LANE_TARGETS = ("dense256", "sparse256", "pattern256")


def pack(
    name: str,
    matrix: Int8,
    channels: int,
    taps: int,
    order: npt.ArrayLike,
    table: FormatTable | None = None,
) -> tuple[Bytes, Int32]:
    return FORMATS[name].pack(matrix, Shape(channels, taps), order, table)


def unpack(
    name: str, raw: Bytes, filters: int, channels: int, taps: int, table: FormatTable | None = None
) -> tuple[Int8, Int32, Int32, int]:
    """Matrix, the lanes' work, order, weights that are not zero."""
    found = FORMATS[name].unpack(raw, filters, Shape(channels, taps), table)
    return found.matrix, np.maximum(found.stored, 1), found.order, found.nonzeros


def work_matrix(
    name: str, matrix: Int8, channels: int, taps: int, table: FormatTable | None = None
) -> Int32:
    """Cycles of each stage on a lane: its stored weights, at least one."""
    return np.maximum(FORMATS[name].stored_counts(matrix, Shape(channels, taps), table), 1)


def nbytes_ideal(name: str, weight: Int8, table: FormatTable | None = None) -> int:
    return FORMATS[name].least_bytes(weight, table)


def stages(name: str, channels: int, taps: int) -> ReductionSteps:
    return reduction_steps_of(FORMATS[name].stage_taps, channels, taps)


def place(lengths: Int32, slots: int, gang: int) -> int:
    """WGT rows of streams on lanes in gangs."""
    return StreamPlacement(slots, 1 << gang).rows(lengths)


def lanes(spec: AccelSpec) -> LaneGeometry:
    return cast(LaneGeometry, spec.array)


def with_lanes(spec: AccelSpec, **changes: Any) -> AccelSpec:
    """The spec with another geometry of its lanes."""
    return replace(spec, array=replace(lanes(spec), **changes))


def conv_cycles(
    array: LaneGeometry,
    kind: str,
    work: Int32,
    order: Int32,
    reduction_steps: ReductionSteps,
    fetch: Int32,
    outputs: Int32,
    operand: Int32 | None,
    *rest: Any,
    banks: int = 64,
    writes: Int32 | None = None,
    sets: Int32 | None = None,
    **named: Any,
) -> lane_array.ConvTiming:
    """``lane_array.conv_cycles``; as many rows are written in a cycle as columns and banks allow,
    unless ``writes`` says otherwise."""
    if writes is None:
        writes = -(-outputs // min(banks, max(1, array.drain_width // 16)))
    groups = lane_array.OutputGroups(fetch, outputs, writes, operand, sets)
    return lane_array.conv_cycles(
        array, work, order, reduction_steps, groups, *rest, **named, lock_step=kind == "dense"
    )


def slots_at(run: Run, spec: AccelSpec, pc: int) -> dict[str, int]:
    """Multiplier-cycles of an instruction by what they were spent on."""
    return dict(zip((slot.name for slot in spec.kind.slots), run.slots[pc].tolist(), strict=True))


def lane_cycles(spec: AccelSpec, slots: Mapping[str, int]) -> dict[str, int]:
    """What the stepped lanes count of a convolution: lane-cycles, busy ones and waits undivided."""
    parts = {
        "lane_busy": ("multiply", "fragmentation", "zeros", "padding"),
        "imbalance": ("imbalance",),
        "fetch_wait": ("fetch", "conflicts"),
        "drain_wait": ("drain",),
        "unused": ("unused",),
    }
    return {
        name: sum(slots[part] for part in of) // lanes(spec).pixels for name, of in parts.items()
    }
