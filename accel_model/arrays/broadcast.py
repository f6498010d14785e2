"""What arrays share that broadcast activations from ACT to units, each at its own filter.

Their time is the lane array's (``timing.lane_array``): a fetch unit fills windows in order, units
take stages in order, accumulators drain behind them. Kinds differ in what a stage is and how long
a unit works on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.arrays.base import EVENTS, Case, Slot
from zeroskip.accel_model.physics.cost import clocked, named
from zeroskip.accel_model.physics.traffic import SPLITS, WINDOW_SPLIT, Price
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.accel_model.spec import WGT_WORD_BYTES, AccelSpec, number
from zeroskip.accel_model.timing.lane_array import (
    ConvTiming,
    OutputGroups,
    group_pixels,
    input_conflicts,
    operand_conflicts,
    tile_fetch,
)
from zeroskip.accel_model.timing.padding import written_cycles
from zeroskip.accel_model.timing.shape import Strips, WindowShape

Int32 = npt.NDArray[np.int32]

SMALL_GANG = 2  # log2 of lanes

FRAGMENTATION = Slot(
    "fragmentation", "work on outputs that the last group of outputs of a tile lacks", "ragged"
)
IMBALANCE = Slot(
    "imbalance", "waiting for the slowest unit, which still holds the window", "imbalance"
)
FETCH = Slot("fetch", "waiting for activations from ACT", "fetch")
DRAIN = Slot(
    "drain",
    "waiting for accumulators to be drained, and for the end of the instruction",
    "drain",
)
UNUSED = Slot(
    "unused", "units without a filter: fewer filters than units, or a last group not full", "ragged"
)


class GangedUnits(Protocol):
    """The numbers of an array whose units may share a filter."""

    @property
    def lanes(self) -> int: ...
    @property
    def pixels(self) -> int: ...
    @property
    def max_gang(self) -> int: ...


@dataclass(frozen=True)
class WindowEnergy:
    """Picojoules per event."""

    mac: float = number("a multiply, 8x9 bits in 8-bit storage, and 32-bit add", 0)
    window_byte: float = number("a byte read from or written to the window of activations", 0)
    act_row: float = number("a row of ACT, 16 activations, read or written", 0)
    wgt_word: float = number("a 4-byte WGT word read or written", 0)
    acc_row: float = number("a 64-byte ACC row read or written", 0)
    requantise: float = number("a requantized output", 0)
    lookup: float = number("a row of a table of results read or written", 0)
    dram_byte: float = number("a byte on the DRAM bus", 0)


WINDOW_EVENTS = MappingProxyType({**EVENTS, "window_byte": "window_bytes"})
WINDOW_SPLITS = MappingProxyType({**SPLITS, "window_byte": WINDOW_SPLIT})


def window_price(spec: AccelSpec, selecting: float) -> Price:
    """Picojoules of an entry of the part "windows"; selecting: picojoules of the way of a word to
    the unit that wants it."""
    part = named(spec, "windows")
    entries = part.width // spec.storage.activation_bytes
    read, write = part.read_pj + selecting, part.write_pj
    return Price(clocked(read) / entries, clocked(write) / entries)


def ends(case: Case) -> int:
    """Roundings of each output: 0 unless sums end here, 2 with a residual operand."""
    return case.last * (1 + (case.operand_row is not None))


def act_rows(case: Case, groups: int) -> int:
    """Rows of ACT read for each group of filters, and of operand and output."""
    shape = case.filters.shape
    rows = blocks(shape.channels) * shape.taps * groups + ends(case) * blocks(len(case.filters))
    return rows * case.window.outputs


def sums_moved(case: Case, slots: int) -> int:
    """Rows of ACC read and written, with so many filters in flight."""
    rows = len(accumulator_rows(slots, len(case.filters)))
    return ((not case.first) + (not case.last)) * rows * case.window.outputs


def waits(timing: ConvTiming, multipliers: int) -> dict[str, int]:
    """Multiplier-cycles of units that wait, each of so many multipliers.

    Of the waits for the fetch unit, *conflicts* are as large a part as of the unit's cycles are
    lost to bank conflicts: every cycle beyond one for each fetch.
    """
    waited = timing.fetch_wait * multipliers
    lost = timing.fetch_cycles - timing.tap_fetches
    conflicts = waited * lost // max(1, timing.fetch_cycles)
    return {
        "imbalance": timing.imbalance * multipliers,
        "fetch": waited - conflicts,
        "conflicts": conflicts,
        "drain": timing.drain_wait * multipliers,
        "unused": timing.unused * multipliers,
    }


def streams_sent(
    timing: ConvTiming, words: int, rate: int, units: tuple[int, int], pipeline_cycles: int
) -> ConvTiming:
    """The time with a wait at the end for what WGT has still to send: where a pass has a weight or
    two, its streams' headers take longer than its multiplies.

    words: of streams that are read; rate: bytes of all banks in a cycle; units: that have a filter
    in the last pass, and that have none.
    """
    late = -(-WGT_WORD_BYTES * words // rate) - (timing.cycles - pipeline_cycles)
    if late <= 0:
        return timing
    used, unused = units
    return replace(
        timing,
        cycles=timing.cycles + late,
        drain_wait=timing.drain_wait + late * used,
        unused=timing.unused + late * unused,
    )


def last_units(filters: int, slots: int, members: int = 1) -> tuple[int, int]:
    """Units of ``slots`` gangs of so many members that have a filter in the last pass of so many
    filters, and those that have none."""
    used = (filters - 1) % slots + 1
    return used * members, (slots - used) * members


@lru_cache(maxsize=4096)
def output_groups(
    window: WindowShape,
    banks: int,
    pixels: int,
    gang: int,
    operand_row: int | None,
    together: int = 1,
    *,
    written: int,
    strips: bool = False,
) -> OutputGroups:
    """Of ``pixels << gang`` outputs: ``together`` quads are fetched at once, of the operand one,
    and ``written`` rows written back. strips: they are counted strip by strip where that
    pays (``shape.counted_outputs``)."""
    granule, members = pixels << gang, 1 << gang
    counted = Strips(granule, pixels * together, banks) if strips else None
    fetch = input_conflicts(window, banks, pixels * together, counted)
    outputs = group_pixels(window.outputs, granule)
    operand = None
    if operand_row is not None:
        each = operand_conflicts(window, operand_row, banks, pixels, counted)
        operand = tile_fetch(each, members)
    return OutputGroups(
        tile_fetch(fetch, members // together),
        outputs,
        -(-outputs // written) if counted is None else written_cycles(window, counted, written),
        operand,
    )


def useful_gangs(array: GangedUnits, filters: int, outputs: int) -> list[int]:
    """Gangs that a convolution may be fastest in: all of up to ``SMALL_GANG``, since fewer filters
    in flight wait less for each other, and of larger ones, for which more is fetched, those that
    take fewer passes than any smaller one, each a filter group of a pixel group."""
    found: list[int] = []
    fewest = math.inf
    for gang in range(array.max_gang + 1):
        groups = -(-filters // (array.lanes >> gang))
        passes = groups * -(-outputs // (array.pixels << gang))
        if gang <= SMALL_GANG or passes < fewest:
            found.append(gang)
        fewest = min(fewest, passes)
    return found
