"""What each instruction reads and writes, to the cell, and how much work it asks for.

A footprint follows from the instruction and the registers alone; only how many rows of WGT its
streams take is read from memory when it is executed (``READERS``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.state import State, block_masks, tile_cells
from zeroskip.accel_model.formats import DENSE, Shape
from zeroskip.accel_model.functional.convolution import largest_array
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.access_check import STREAM_LENGTH, Access
from zeroskip.accel_model.memory.address_sets import AddressSet
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.memories import ACC, ACT, DRAM, PAR, WGT, WHOLE
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks


@dataclass(frozen=True, eq=False)
class Footprint:
    """accesses: int64 [n, 12], rows of ``Access``: what is read and then written; None: nothing.
    work: multiplies. largest: bytes of the largest array that is needed."""

    accesses: npt.NDArray[np.int64] | None
    work: int = 0
    largest: int = 0


NOTHING = Footprint(None)


def _made(
    reads: Sequence[Access], writes: Sequence[Access], work: int = 0, largest: int = 0
) -> Footprint:
    """A footprint of what is read and what is written."""
    return Footprint(np.array([one.row for one in (*reads, *writes)], np.int64), work, largest)


def _read(memory: int, cells: AddressSet, mask: int) -> Access:
    return Access(memory, 0, mask, 0, cells)


def _write(state: State, memory: int, cells: AddressSet, mask: int) -> Access:
    inside = cells.last < state.memories.places[memory, 0]
    return Access(memory, 1, mask, int(inside and cells.repeats()), cells)


def _none(_state: State, _one: isa.Instruction) -> Footprint:
    return NOTHING


# --------------------------------------------------------------------------------------- moves


def moved_cells(
    one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape
) -> tuple[AddressSet, AddressSet]:
    """Bytes of DRAM and rows of ACT that a move touches, both [blocks, height, width] strided."""
    dram = AddressSet(
        one.dram,
        one.bytes,
        one.width,
        shape.dram_pixel,
        one.height,
        shape.dram_row,
        one.blocks,
        shape.dram_block,
    )
    act = AddressSet(
        one.act, 1, one.width, 1, one.height, shape.act_row, one.blocks, shape.act_block
    )
    return dram, act


def _moved(
    one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape
) -> tuple[AddressSet, AddressSet, int]:
    """Bytes of DRAM, rows of ACT, and which bytes of these."""
    if one.lane + one.bytes > isa.BLOCK:
        raise InstructionFault(
            f"moves bytes {one.lane}..{one.lane + one.bytes - 1} of rows of {isa.BLOCK}"
        )
    dram, act = moved_cells(one, shape)
    return dram.joined(), act.joined(), ((1 << one.bytes) - 1) << one.lane


def _load(state: State, one: isa.Load) -> Footprint:
    dram, act, mask = _moved(one, state.register(isa.LoadShape))
    return _made([_read(DRAM, dram, WHOLE)], [_write(state, ACT, act, mask)])


def _store(state: State, one: isa.Store) -> Footprint:
    dram, act, mask = _moved(one, state.register(isa.StoreShape))
    if one.dram < state.memories.image_bytes:
        raise InstructionFault(f"writes DRAM byte {one.dram}, which holds weights and parameters")
    return _made([_read(ACT, act, mask)], [_write(state, DRAM, dram, WHOLE)])


def _load_weights(state: State, one: isa.LoadWeights) -> Footprint:
    if one.size % 4:
        raise InstructionFault(f"loads {one.size} bytes of weights, not a multiple of 4")
    state.placement(one.mode)  # there is such a mode
    return _made(
        [_read(DRAM, AddressSet(one.dram, one.size), WHOLE)],
        [Access(WGT, 1, 1, 0, AddressSet(one.wgt, STREAM_LENGTH))],
    )


def _load_params(state: State, one: isa.LoadParams) -> Footprint:
    return _made(
        [_read(DRAM, AddressSet(one.dram, 16 * one.rows), WHOLE)],
        [_write(state, PAR, AddressSet(one.par, one.rows), 1)],
    )


# ------------------------------------------------------------------------------------- compute


def _set_table(_state: State, one: isa.Table) -> Footprint:
    return _made([_par(one.par, one.rows)], [])


def _conv(state: State, one: isa.Conv) -> Footprint:
    window = state.window()
    reads = [_streams(one.wgt), *_input(state, one.channels)]
    if not one.first:
        reads += [_read(ACC, *sums) for sums in _sums(state, one)]
    if not one.last:
        writes = [_write(state, ACC, *sums) for sums in _sums(state, one)]
    else:
        reads.append(_par(one.par, isa.PAR_ROWS * blocks(one.filters)))
        reads += _residual(state, one.filters) if one.residual else []
        writes = _output(state, one.filters)
    return _made(
        reads,
        writes,
        work=window.outputs * one.channels * window.taps * one.filters,
        largest=largest_array(window, one.channels, one.filters),
    )


def _sums(state: State, one: isa.Conv) -> list[tuple[AddressSet, int]]:
    """Rows of ACC, see ``accumulator_rows``, and which sums of them; neighbours that are used alike
    together."""
    used = accumulator_rows(state.placement(one.mode).slots, one.filters)
    outputs = state.window().outputs
    found, at = [], one.acc
    for sums, alike in groupby(used):
        count = len(list(alike))
        found.append((AddressSet(at, count, outputs, len(used)).joined(), (1 << sums) - 1))
        at += count
    return found


def _depthwise(state: State, one: isa.Depthwise) -> Footprint:
    reads = [
        _streams(one.wgt),
        *_input(state, one.channels),
        _par(one.par, isa.PAR_ROWS * blocks(one.channels)),
    ]
    reads += _residual(state, one.channels) if one.residual else []
    return _by_channel(state, one.channels, reads)


def _max_pool(state: State, one: isa.MaxPool) -> Footprint:
    return _by_channel(state, one.channels, _input(state, one.channels))


def _avg_pool(state: State, one: isa.AvgPool) -> Footprint:
    return _by_channel(state, one.channels, [*_input(state, one.channels), _par(one.par, 1)])


def _add(state: State, one: isa.Add) -> Footprint:
    if state.window().taps != 1:
        raise InstructionFault("needs a kernel of one tap")
    return _by_channel(
        state, one.channels, [*_input(state, one.channels), *_operand(state, one.channels)]
    )


def _by_channel(state: State, channels: int, reads: list[Access]) -> Footprint:
    """Of an instruction that treats channels alike."""
    window = state.window()
    return _made(
        reads,
        _output(state, channels),
        work=window.outputs * channels * window.taps,
        largest=4 * channels * max(window.outputs, window.taps),
    )


def _streams(wgt: int) -> Access:
    return _read(WGT, AddressSet(wgt, STREAM_LENGTH), 0)


def _par(first: int, rows: int) -> Access:
    return _read(PAR, AddressSet(first, rows), 1)


def _input(state: State, channels: int) -> list[Access]:
    window = state.window()
    return [
        _read(ACT, cells.joined(), mask)
        for first, count, mask in block_masks(channels)
        for cells in window.cells(first, count)
    ]


def _residual(state: State, channels: int) -> list[Access]:
    """The operand of an addition to a result of 8 bits."""
    operand = state.register(isa.Operand)
    if not -128 <= operand.mid_low <= operand.mid_high <= min(255, operand.mid_low + 255):
        raise InstructionFault(
            f"limits its own result to {operand.mid_low}..{operand.mid_high}, not a range of 8 bits"
        )
    return _operand(state, channels)


def _operand(state: State, channels: int) -> list[Access]:
    """The operand's tile and its scale."""
    operand = state.register(isa.Operand)
    return [*(_read(ACT, *tile) for tile in _tile(state, operand, channels)), _par(operand.par, 1)]


def _output(state: State, channels: int) -> list[Access]:
    y = state.register(isa.Output)
    least, most = (0, 255) if y.unsigned else (-128, 127)
    if not least <= y.low <= y.high <= most:
        raise InstructionFault(
            f"limits its output to {y.low}..{y.high}, not a range of "
            f"{'uint8' if y.unsigned else 'int8'}"
        )
    whole = tile_cells(y, y.height, y.width, 0, blocks(channels))
    if whole.last < state.spec.act_rows and whole.repeats():
        raise InstructionFault("writes a row of ACT twice")
    return [_write(state, ACT, *tile) for tile in _tile(state, y, channels)]


def _tile(
    state: State, tile: isa.Output | isa.Operand, channels: int
) -> list[tuple[AddressSet, int]]:
    """Rows of ACT of a tile like the output's, and which bytes of them."""
    y = state.register(isa.Output)
    return [
        (tile_cells(tile, y.height, y.width, first, count).joined(), mask)
        for first, count, mask in block_masks(channels)
    ]


FOOTPRINTS: dict[type[isa.Instruction], Callable[[State, Any], Footprint]] = {
    isa.LoadShape: _none,
    isa.Load: _load,
    isa.LoadWeights: _load_weights,
    isa.LoadParams: _load_params,
    isa.Kernel: _none,
    isa.Input: _none,
    isa.Extent: _none,
    isa.Output: _none,
    isa.Operand: _none,
    isa.Table: _set_table,
    isa.Conv: _conv,
    isa.Depthwise: _depthwise,
    isa.MaxPool: _max_pool,
    isa.AvgPool: _avg_pool,
    isa.Add: _add,
    isa.StoreShape: _none,
    isa.Store: _store,
}


# ------------------------------------------------------------------------- streams of weights


def _take(state: State, one: isa.LoadWeights) -> int:
    return state.take_streams(one.dram, one.size, state.placement(one.mode))


def _conv_streams(state: State, one: isa.Conv) -> int:
    shape = Shape(one.channels, state.window().taps)
    placement, weights = state.placement(one.mode), state.spec.format
    return state.read_streams(one.wgt, one.filters, shape, placement, weights).rows


def _depthwise_streams(state: State, one: isa.Depthwise) -> int:
    shape = Shape(1, state.window().taps)
    return state.read_streams(one.wgt, one.channels, shape, state.placement(0), DENSE).rows


READERS: dict[type[isa.Instruction], Callable[[State, Any], int]] = {  # rows of WGT
    isa.LoadWeights: _take,
    isa.Conv: _conv_streams,
    isa.Depthwise: _depthwise_streams,
}


def accesses_of(state: State, one: isa.Instruction) -> list[Access]:
    """What an instruction that is about to be executed will read and write."""
    footprint, reader = FOOTPRINTS[type(one)](state, one), READERS.get(type(one))
    rows = 0 if reader is None else reader(state, one)
    found = [] if footprint.accesses is None else footprint.accesses.tolist()
    return [Access.of(row, rows) for row in found]
