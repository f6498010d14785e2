"""What each instruction reads and writes, to the cell.

Bounds, poison and races are all checked against these sets, before the instruction executes, so
``semantics.py`` may rely on them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

from zeroskip.accel_model import isa
from zeroskip.accel_model.cells import Cells
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.formats import place
from zeroskip.accel_model.layout import blocks
from zeroskip.accel_model.memory import Memory
from zeroskip.accel_model.state import State, accumulator_rows, block_masks, tile_cells

PAR_ROWS = 9  # of the parameters of 16 channels


class Access(NamedTuple):
    """Cells of a memory, and which of their parts (``Memory.written``) are meant."""

    memory: Memory
    cells: Cells
    mask: int


class Footprint(NamedTuple):
    """Everything that an instruction reads and then writes."""

    reads: list[Access]
    writes: list[Access]


NOTHING = Footprint([], [])


def _none(_state: State, _one: isa.Instruction) -> Footprint:
    return NOTHING


# --------------------------------------------------------------------------------------- moves


def moved_cells(one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape
                ) -> tuple[Cells, Cells]:
    """Bytes of DRAM and rows of ACT that a move touches, both [blocks, height, width] strided."""
    dram = Cells(one.dram, one.bytes, one.width, shape.dram_pixel, one.height, shape.dram_row,
                 one.blocks, shape.dram_block)
    act = Cells(one.act, 1, one.width, 1, one.height, shape.act_row, one.blocks, shape.act_block)
    return dram, act


def _move(state: State, one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape
          ) -> tuple[Access, Access]:
    if one.lane + one.bytes > isa.BLOCK:
        raise Fault(f"moves bytes {one.lane}..{one.lane + one.bytes - 1} of rows of {isa.BLOCK}")
    dram, act = moved_cells(one, shape)
    return (Access(state.memories.dram, dram.joined(), 1),
            Access(state.memories.act, act.joined(), ((1 << one.bytes) - 1) << one.lane))


def _load(state: State, one: isa.Load) -> Footprint:
    dram, act = _move(state, one, state.register(isa.LoadShape))
    return Footprint([dram], [act])


def _store(state: State, one: isa.Store) -> Footprint:
    dram, act = _move(state, one, state.register(isa.StoreShape))
    if one.dram < state.memories.image_bytes:
        raise Fault(f"writes DRAM byte {one.dram}, which holds weights and parameters")
    return Footprint([act], [dram])


def _load_weights(state: State, one: isa.LoadWeights) -> Footprint:
    array = state.spec.array
    if one.size % 4:
        raise Fault(f"loads {one.size} bytes of weights, not a multiple of 4")
    if one.gang > array.max_gang:
        raise Fault(f"gangs {1 << one.gang} lanes, the array {1 << array.max_gang} at most")
    source = Access(state.memories.dram, Cells(one.dram, one.size), 1)
    lengths = state.incoming_streams(source.cells).lengths
    _, rows = place(lengths, array.lanes >> one.gang, one.gang)
    return Footprint([source], [Access(state.memories.wgt, Cells(one.wgt, rows), 1)])


def _load_params(state: State, one: isa.LoadParams) -> Footprint:
    return Footprint([Access(state.memories.dram, Cells(one.dram, 16 * one.rows), 1)],
                     [Access(state.memories.par, Cells(one.par, one.rows), 1)])


# ------------------------------------------------------------------------------------- compute


def _patterns(state: State, one: isa.Patterns) -> Footprint:
    return Footprint([_par(state, one.par, 2 * one.slabs)], [])


def _conv(state: State, one: isa.Conv) -> Footprint:
    window = state.window()
    state.spend(window.outputs, one.channels * window.taps, one.filters)
    streams = state.read_streams(one.wgt, one.filters, one.channels, window.taps, one.gang,
                                 state.spec.array.kind)
    reads = [Access(state.memories.wgt, Cells(one.wgt, streams.rows), 0),
             *_input(state, one.channels)]
    sums = [] if one.first and one.last else _sums(state, one)
    if not one.first:
        reads += sums
    if not one.last:
        return Footprint(reads, sums)
    reads.append(_par(state, one.par, PAR_ROWS * blocks(one.filters)))
    if one.residual:
        reads += _residual(state, one.filters)
    return Footprint(reads, _output(state, one.filters))


def _sums(state: State, one: isa.Conv) -> list[Access]:
    """Rows of ACC, see ``accumulator_rows``; one access for neighbours that are used alike."""
    used = accumulator_rows(state.spec.array.lanes >> one.gang, one.filters)
    outputs = state.window().outputs
    found, at = [], one.acc
    for sums, alike in groupby(used):
        count = len(list(alike))
        found.append(Access(state.memories.acc, Cells(at, count, outputs, len(used)).joined(),
                            (1 << sums) - 1))
        at += count
    return found


def _depthwise(state: State, one: isa.Depthwise) -> Footprint:
    window = state.window()
    _spend(state, one.channels)
    streams = state.read_streams(one.wgt, one.channels, 1, window.taps, 0, "dense")
    reads = [Access(state.memories.wgt, Cells(one.wgt, streams.rows), 0),
             *_input(state, one.channels),
             _par(state, one.par, PAR_ROWS * blocks(one.channels))]
    if one.residual:
        reads += _residual(state, one.channels)
    return Footprint(reads, _output(state, one.channels))


def _max_pool(state: State, one: isa.MaxPool) -> Footprint:
    _spend(state, one.channels)
    return Footprint(_input(state, one.channels), _output(state, one.channels))


def _avg_pool(state: State, one: isa.AvgPool) -> Footprint:
    _spend(state, one.channels)
    return Footprint([*_input(state, one.channels), _par(state, one.par, 1)],
                     _output(state, one.channels))


def _add(state: State, one: isa.Add) -> Footprint:
    if state.window().taps != 1:
        raise Fault("needs a kernel of one tap")
    _spend(state, one.channels)
    return Footprint([*_input(state, one.channels), *_operand(state, one.channels)],
                     _output(state, one.channels))


def _spend(state: State, channels: int) -> None:
    """The work of an instruction that treats channels alike."""
    window = state.window()
    state.spend(window.outputs, channels * window.taps)


def _par(state: State, first: int, rows: int) -> Access:
    return Access(state.memories.par, Cells(first, rows), 1)


def _input(state: State, channels: int) -> list[Access]:
    window = state.window()
    return [Access(state.memories.act, cells.joined(), mask)
            for first, count, mask in block_masks(channels)
            for cells in window.cells(first, count)]


def _residual(state: State, channels: int) -> list[Access]:
    """The operand of an addition to a result of 8 bits."""
    operand = state.register(isa.Operand)
    if not -128 <= operand.mid_low <= operand.mid_high <= min(255, operand.mid_low + 255):
        raise Fault(f"limits its own result to {operand.mid_low}..{operand.mid_high}, not a range "
                    "of 8 bits")
    return _operand(state, channels)


def _operand(state: State, channels: int) -> list[Access]:
    """The operand's tile and its scale."""
    operand = state.register(isa.Operand)
    return [*_tile(state, operand, channels), _par(state, operand.par, 1)]


def _output(state: State, channels: int) -> list[Access]:
    y = state.register(isa.Output)
    least, most = (0, 255) if y.unsigned else (-128, 127)
    if not least <= y.low <= y.high <= most:
        raise Fault(f"limits its output to {y.low}..{y.high}, not a range of "
                    f"{'uint8' if y.unsigned else 'int8'}")
    if tile_cells(y, y.height, y.width, 0, blocks(channels)).repeats():
        raise Fault("writes a row of ACT twice")
    return _tile(state, y, channels)


def _tile(state: State, tile: isa.Output | isa.Operand, channels: int) -> list[Access]:
    y = state.register(isa.Output)
    return [Access(state.memories.act,
                   tile_cells(tile, y.height, y.width, first, count).joined(), mask)
            for first, count, mask in block_masks(channels)]


FOOTPRINTS: dict[type[isa.Instruction], Callable[[State, Any], Footprint]] = {
    isa.LoadShape: _none,
    isa.Load: _load,
    isa.LoadWeights: _load_weights,
    isa.LoadParams: _load_params,
    isa.Kernel: _none,
    isa.Input: _none,
    isa.Output: _none,
    isa.Operand: _none,
    isa.Patterns: _patterns,
    isa.Conv: _conv,
    isa.Depthwise: _depthwise,
    isa.MaxPool: _max_pool,
    isa.AvgPool: _avg_pool,
    isa.Add: _add,
    isa.StoreShape: _none,
    isa.Store: _store,
}
