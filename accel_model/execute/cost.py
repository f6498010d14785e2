"""What each instruction costs: cycles on its unit, and the events that cost energy.

DMA never conflicts with the array inside the chip: ACT's banks have two ports and are clocked twice
per cycle (two reads and two writes), so the array and the store unit read, and the load unit and
the array write, in the same cycle. Outside, load and store share one bus (``timeline.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.execute.footprint import moved_cells
from zeroskip.accel_model.execute.state import State, accumulator_rows
from zeroskip.accel_model.formats import dense, reduction_steps_of
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.address_sets import AddressSet, bursts
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.operand_window import OperandWindow
from zeroskip.accel_model.memory.wgt_banks import DecodedFilters
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import Array
from zeroskip.accel_model.timing.lane_array import (
    ConvTiming,
    Int32,
    conv_cycles,
    group_pixels,
    quad_conflicts,
    simple_cycles,
    tile_fetch,
)


class InstructionCost(NamedTuple):
    """Of one instruction.

    cycles: its unit is busy (a DMA: the bus too). macs: multiplies by a weight that is not zero,
    padding included; real_macs: of those, by inputs within the tile. dram_bytes: on the bus, in
    whole bursts; useful_bytes: of those, asked for. lane_busy, imbalance, fetch_wait,
    drain_wait, unused: lane-cycles of a ``conv``, together cycles * lanes (see
    ``lanes.ConvTiming``). The rest count energy events: window_bytes, act_rows, wgt_words, acc_rows
    read or written, and outputs requantized or added.
    """

    cycles: int = 1
    macs: int = 0
    real_macs: int = 0
    dram_bytes: int = 0
    useful_bytes: int = 0
    lane_busy: int = 0
    imbalance: int = 0
    fetch_wait: int = 0
    drain_wait: int = 0
    unused: int = 0
    window_bytes: int = 0
    act_rows: int = 0
    wgt_words: int = 0
    acc_rows: int = 0
    requantised: int = 0


def _register(_state: State, _one: isa.Instruction) -> InstructionCost:
    return InstructionCost()


# --------------------------------------------------------------------------------------- moves


def _transfer(state: State, cells: AddressSet, **events: int) -> InstructionCost:
    dram = state.spec.dram
    moved = bursts(np.array(cells.joined()), dram.burst_bytes) * dram.burst_bytes
    return InstructionCost(
        cycles=moved // dram.bytes_per_cycle, dram_bytes=moved, useful_bytes=cells.total, **events
    )


def _move(state: State, one: isa.Load | isa.Store) -> InstructionCost:
    shape = (
        state.register(isa.LoadShape)
        if isinstance(one, isa.Load)
        else state.register(isa.StoreShape)
    )
    cells, _ = moved_cells(one, shape)
    return _transfer(state, cells, act_rows=one.blocks * one.height * one.width)


def _load_weights(state: State, one: isa.LoadWeights) -> InstructionCost:
    return _transfer(state, AddressSet(one.dram, one.size), wgt_words=one.size // 4)


def _load_params(state: State, one: isa.LoadParams) -> InstructionCost:
    return _transfer(state, AddressSet(one.dram, 16 * one.rows))


# ------------------------------------------------------------------------------------- compute


def _patterns(_state: State, one: isa.Patterns) -> InstructionCost:
    return InstructionCost(cycles=1 + 2 * one.slabs)


@lru_cache(maxsize=4096)
def _input_conflicts(window: OperandWindow, banks: int, pixels: int) -> Int32:
    return quad_conflicts(
        window.out_height,
        window.out_width,
        row=window.row,
        top=window.top,
        left=window.left,
        row_stride=window.row_stride,
        col_stride=window.col_stride,
        banks=banks,
        pixels=pixels,
    )


@lru_cache(maxsize=4096)
def _operand_conflicts(height: int, width: int, row: int, banks: int, pixels: int) -> Int32:
    return quad_conflicts(height, width, row=row, banks=banks, pixels=pixels)


def _operand_row(state: State, residual: int) -> int | None:
    return state.register(isa.Operand).row if residual else None


def _conv(state: State, one: isa.Conv) -> InstructionCost:
    """Events: every pass fetches the inputs of all stages once for all lanes, and every slot with
    a filter has them written to its window (a dense array has one window). A weight that is not
    zero, in a dense array any weight, reads its entry. Streams are read again for every tile."""
    array, window, filters = state.spec.array, state.window(), state.decoded()
    timing = _conv_timing(state, one)
    outputs, out_blocks = window.outputs, blocks(one.filters)
    slots = array.lanes >> one.gang
    groups = -(-one.filters // slots)
    entries = one.channels * window.taps
    pixel_reads = blocks(one.channels) * window.taps * groups
    copies = groups if array.kind == "dense" else one.filters
    read = groups * entries if array.kind == "dense" else filters.nonzeros
    ends = one.last * (1 + one.residual)
    sums = len(accumulator_rows(slots, one.filters))
    return InstructionCost(
        cycles=timing.cycles,
        **_multiplies(filters, window),
        lane_busy=timing.lane_busy,
        imbalance=timing.imbalance,
        fetch_wait=timing.fetch_wait,
        drain_wait=timing.drain_wait,
        unused=timing.unused,
        window_bytes=(copies * entries + read) * outputs,
        act_rows=(pixel_reads + ends * out_blocks) * outputs,
        wgt_words=filters.words * -(-outputs // (array.pixels << one.gang)),
        acc_rows=((1 - one.first) + (1 - one.last)) * sums * outputs,
        requantised=ends * one.filters * outputs,
    )


def _multiplies(filters: DecodedFilters, window: OperandWindow) -> dict[str, int]:
    """All of the outputs' multiplies by weights that are not zero, and those by real inputs."""
    macs, real = filters.nonzeros * window.outputs, window.real
    if int(real.min()) == window.outputs:
        return {"macs": macs, "real_macs": macs}
    return {"macs": macs, "real_macs": int(filters.nonzeros_at @ real)}


def _conv_timing(state: State, one: isa.Conv) -> ConvTiming:
    filters, array, banks = state.decoded(), state.spec.array, state.spec.sram.act_banks
    place = (
        state.window().anywhere,
        one.gang,
        one.last,
        _operand_row(state, one.last and one.residual),
    )
    found: ConvTiming | None = filters.timings.get(place)
    if found is None:
        try:
            if array.kind == "dense":  # no weight makes a difference
                found = _dense_timing(array, banks, *place, one.channels, filters.order.tobytes())
            else:
                found = _timing(array, banks, *place, one.channels, filters.order, filters.work)
        except ZeroskipError as problem:
            raise InstructionFault(str(problem)) from None
        filters.timings[place] = found
    return found


@lru_cache(maxsize=4096)
def _dense_timing(
    array: Array,
    banks: int,
    window: OperandWindow,
    gang: int,
    last: int,
    operand_row: int | None,
    channels: int,
    order: bytes,
) -> ConvTiming:
    streams = np.frombuffer(order, np.int32)
    work = dense.work(len(streams), channels, window.taps)
    return _timing(array, banks, window, gang, last, operand_row, channels, streams, work)


def _timing(
    array: Array,
    banks: int,
    window: OperandWindow,
    gang: int,
    last: int,
    operand_row: int | None,
    channels: int,
    order: Int32,
    work: Int32,
) -> ConvTiming:
    tile_ft, pixels, operand = _tiles(window, banks, array.pixels, gang, operand_row)
    return conv_cycles(
        array,
        array.kind,
        work,
        order,
        reduction_steps_of(array.kind, channels, window.taps),
        tile_ft,
        pixels,
        gang,
        blocks(len(order)),
        bool(last),
        operand,
    )


@lru_cache(maxsize=4096)
def _tiles(
    window: OperandWindow, banks: int, pixels: int, gang: int, operand_row: int | None
) -> tuple[Int32, Int32, Int32 | None]:
    """Of each tile: cycles to fetch a tap of a block, outputs, cycles to fetch a block of the
    operand."""
    operand = None
    if operand_row is not None:
        operand = tile_fetch(
            _operand_conflicts(window.out_height, window.out_width, operand_row, banks, pixels),
            gang,
        )
    return (
        tile_fetch(_input_conflicts(window, banks, pixels), gang),
        group_pixels(window.outputs, pixels << gang),
        operand,
    )


@lru_cache(maxsize=4096)
def _simple_cycles(
    array: Array, banks: int, window: OperandWindow, count: int, operand_row: int | None
) -> int:
    operand = None
    if operand_row is not None:
        operand = _operand_conflicts(
            window.out_height, window.out_width, operand_row, banks, array.pixels
        )
    return simple_cycles(
        array,
        count,
        window.taps,
        _input_conflicts(window, banks, array.pixels),
        window.outputs,
        operand,
    )


def _by_channel(state: State, channels: int, operand: int, **events: int) -> InstructionCost:
    """Of an instruction that treats channels alike: rows are read once for each tap."""
    window, count = state.window(), blocks(channels)
    cycles = _simple_cycles(
        state.spec.array,
        state.spec.sram.act_banks,
        window.anywhere,
        count,
        _operand_row(state, operand),
    )
    return InstructionCost(
        cycles=cycles, act_rows=count * (window.taps + operand + 1) * window.outputs, **events
    )


def _depthwise(state: State, one: isa.Depthwise) -> InstructionCost:
    """Events: the weights of a block are read again for every quad of outputs."""
    filters, window = state.decoded(), state.window()
    quads = -(-window.outputs // state.spec.array.pixels)
    return _by_channel(
        state,
        one.channels,
        one.residual,
        **_multiplies(filters, window),
        wgt_words=filters.words * quads,
        requantised=(1 + one.residual) * one.channels * window.outputs,
    )


def _max_pool(state: State, one: isa.MaxPool) -> InstructionCost:
    return _by_channel(state, one.channels, 0)


def _avg_pool(state: State, one: isa.AvgPool) -> InstructionCost:
    return _by_channel(state, one.channels, 0, requantised=one.channels * state.window().outputs)


def _add(state: State, one: isa.Add) -> InstructionCost:
    return _by_channel(state, one.channels, 1, requantised=one.channels * state.window().outputs)


TIMING: dict[type[isa.Instruction], Callable[[State, Any], InstructionCost]] = {
    isa.LoadShape: _register,
    isa.Load: _move,
    isa.LoadWeights: _load_weights,
    isa.LoadParams: _load_params,
    isa.Kernel: _register,
    isa.Input: _register,
    isa.Output: _register,
    isa.Operand: _register,
    isa.Patterns: _patterns,
    isa.Conv: _conv,
    isa.Depthwise: _depthwise,
    isa.MaxPool: _max_pool,
    isa.AvgPool: _avg_pool,
    isa.Add: _add,
    isa.StoreShape: _register,
    isa.Store: _move,
}

DECIDED_BY_WEIGHTS = (isa.Conv, isa.Depthwise)  # the other costs follow from the registers
