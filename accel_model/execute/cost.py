"""What each instruction costs: cycles on its unit, and the events that cost energy.

DMA never conflicts with the array inside the chip: ACT's banks have two ports, one of the fetch unit
and one that write-back, load and store share, which walk through the banks in order
(docs/PHYSICS.md). Outside, load and store share one bus (``timeline.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    ArrayError,
    Case,
    Timing,
)
from zeroskip.accel_model.execute.footprint import moved_cells
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.address_sets import Cells, bursts
from zeroskip.accel_model.memory.faults import Fault
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing.dram_rows import row_timing, transfer_cycles
from zeroskip.accel_model.timing.lane_array import (
    input_conflicts,
    operand_conflicts,
    simple_cycles,
)
from zeroskip.accel_model.timing.shape import WindowShape

NOTHING: Mapping[str, int] = MappingProxyType({})


class Cost(NamedTuple):
    """What one instruction costs.

    cycles: its unit is busy (a DMA: the bus too).
    macs: multiplies by a weight that is not zero, padding included.
    real_macs: of those, by inputs within the tile.
    products: of those, by inputs that are not zero, where the array skips the others; None: all.
    dram_bytes: on the bus, in whole bursts.
    useful_bytes: of those, asked for.
    slots: of a compute instruction, what the multipliers do, multiplier-cycles by the names of
        ``Kind.slots``; together cycles x multipliers.
    events: how often each event happens that costs energy, by counter (``Kind.events``).
    """

    cycles: int = 1
    macs: int = 0
    real_macs: int = 0
    dram_bytes: int = 0
    useful_bytes: int = 0
    products: int | None = None
    slots: Mapping[str, int] = NOTHING
    events: Mapping[str, int] = NOTHING


def _register(_state: State, _one: isa.Instruction) -> Cost:
    return Cost()


def _set(state: State, _one: isa.Instruction, cycles: int = 1) -> Cost:
    """The array stands while its registers are set."""
    return Cost(cycles, slots={SETUP.name: cycles * state.spec.array.macs})


# --------------------------------------------------------------------------------------- moves


def _transfer(state: State, cells: Cells, *, writes: bool = False, **events: int) -> Cost:
    dram, runs = state.spec.dram, np.array(cells.joined())
    moved = bursts(runs, dram.burst_bytes) * dram.burst_bytes
    if dram.timing is None:
        cycles = moved // dram.bytes_per_cycle
    else:
        cycles = transfer_cycles(runs, row_timing(state.spec, writes=writes))
    return Cost(
        cycles=cycles,
        dram_bytes=moved,
        useful_bytes=cells.total,
        events=events,
    )


def _move(state: State, one: isa.Load | isa.Store) -> Cost:
    shape = (
        state.register(isa.LoadShape)
        if isinstance(one, isa.Load)
        else state.register(isa.StoreShape)
    )
    cells, _ = moved_cells(one, shape)
    rows = one.blocks * one.height * one.width
    return _transfer(state, cells, writes=isinstance(one, isa.Store), act_rows=rows)


def _load_weights(state: State, one: isa.LoadWeights) -> Cost:
    return _transfer(state, Cells(one.dram, one.size), wgt_words=one.size // 4)


def _load_params(state: State, one: isa.LoadParams) -> Cost:
    return _transfer(state, Cells(one.dram, 16 * one.rows))


# ------------------------------------------------------------------------------------- compute


def _set_table(state: State, one: isa.Table) -> Cost:
    return _set(state, one, 1 + one.rows)


def _operand_row(state: State, residual: int) -> int | None:
    return state.register(isa.Operand).row if residual else None


def _conv(state: State, one: isa.Conv) -> Cost:
    """The array's own time, of the filters that were decoded from WGT and, where the array looks at
    them, of the inputs in ACT."""
    filters, tile = state.decoded(), state.window()
    window, kind, numbers = tile.shape, state.spec.kind, state.numbers
    case = Case(
        window,
        filters,
        one.mode,
        bool(one.first),
        bool(one.last),
        _operand_row(state, one.last and one.residual),
        None
        if numbers is None or not kind.looks_at_inputs
        else partial(numbers.nonzeros, tile, one.channels),
    )
    key = case.key
    timing: Timing | None = filters.memo.get(key) if case.inputs is None else None
    if timing is None:
        try:
            timing = kind.conv(state.spec, case)
        except ArrayError as problem:
            raise Fault(str(problem)) from None
        if case.inputs is None:
            filters.memo[key] = timing
    every, real = filters.products(window)
    return Cost(
        timing.cycles,
        every,
        real,
        products=timing.products,
        slots=timing.slots,
        events=timing.events,
    )


@lru_cache(maxsize=4096)
def _channelwise_cycles(
    spec: AccelSpec, window: WindowShape, count: int, operand_row: int | None
) -> tuple[int, int]:
    """Cycles of an instruction that treats channels alike, and without bank conflicts."""
    banks, pixels, operand = spec.sram.act_banks, spec.array.pixels, None
    reads = input_conflicts(window, banks, pixels)
    if operand_row is not None:
        operand = operand_conflicts(window, operand_row, banks, pixels)
    taken, free = (
        simple_cycles(
            spec.array,
            count,
            window.taps,
            one_tap,
            window.outputs,
            None if operand is None else one_operand,
        )
        for one_tap, one_operand in (
            (reads, operand),
            (np.ones_like(reads), None if operand is None else np.ones_like(operand)),
        )
    )
    return taken, free


def _by_channel(
    state: State, channels: int, operand: int, products: tuple[int, int] = (0, 0), **events: int
) -> Cost:
    """Of an instruction that treats channels alike: rows are read once for each tap."""
    window, count = state.window().shape, blocks(channels)
    taken, free = _channelwise_cycles(state.spec, window, count, _operand_row(state, operand))
    (every, real), width = products, state.spec.array.macs
    return Cost(
        taken,
        every,
        real,
        slots={
            MULTIPLY.name: real,
            PADDING.name: every - real,
            CONFLICTS.name: (taken - free) * width,
            CHANNELWISE.name: free * width - every,
        },
        events={
            "act_rows": count * (window.taps + operand + 1) * window.outputs,
            "multiplies": every,
            **events,
        },
    )


def _depthwise(state: State, one: isa.Depthwise) -> Cost:
    """Events: the weights of a block are read again for every quad of outputs."""
    filters, window = state.decoded(), state.window().shape
    quads = -(-window.outputs // state.spec.array.pixels)
    return _by_channel(
        state,
        one.channels,
        one.residual,
        filters.products(window),
        wgt_words=filters.words * quads,
        requantised=(1 + one.residual) * one.channels * window.outputs,
    )


def _max_pool(state: State, one: isa.MaxPool) -> Cost:
    return _by_channel(state, one.channels, 0)


def _avg_pool(state: State, one: isa.AvgPool) -> Cost:
    return _by_channel(state, one.channels, 0, requantised=one.channels * state.window().outputs)


def _add(state: State, one: isa.Add) -> Cost:
    return _by_channel(state, one.channels, 1, requantised=one.channels * state.window().outputs)


TIMING: dict[type[isa.Instruction], Callable[[State, Any], Cost]] = {
    isa.LoadShape: _register,
    isa.Load: _move,
    isa.LoadWeights: _load_weights,
    isa.LoadParams: _load_params,
    isa.Kernel: _set,
    isa.Input: _set,
    isa.Extent: _set,
    isa.Output: _set,
    isa.Operand: _set,
    isa.Table: _set_table,
    isa.Conv: _conv,
    isa.Depthwise: _depthwise,
    isa.MaxPool: _max_pool,
    isa.AvgPool: _avg_pool,
    isa.Add: _add,
    isa.StoreShape: _register,
    isa.Store: _move,
}

DECIDED_BY_WEIGHTS = (isa.Conv, isa.Depthwise)  # the other costs follow from the registers
