"""Instructions that move bytes between DRAM and the chip.

DMA never conflicts with the array inside the chip: ACT's banks have two ports, one of the fetch
unit and one that write-back, load and store share, which walk through the banks in order
(docs/PHYSICS.md). Outside, load and store share one bus (``timeline.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from zeroskip.accel_model.execute.accesses import read, write
from zeroskip.accel_model.execute.model import Cost, Footprint, InstructionModel
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.functional.activations import DmaCopy
from zeroskip.accel_model.functional.kernels import Int64
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.access_check import STREAM_LENGTH, Access
from zeroskip.accel_model.memory.address_sets import bursts
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.memories import ACT, DRAM, PAR, WGT, WHOLE
from zeroskip.accel_model.memory.wgt_banks import scatter
from zeroskip.accel_model.physics.common import bus_rows
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.spec import ACT_ROW, PAR_ROW_BYTES, WGT_WORD_BYTES
from zeroskip.accel_model.timing.dram_rows import row_timing, transfer_cycles


def _transfer(
    state: State,
    cells: AddressSet,
    traffic: Mapping[str, int],
    *,
    reads: bool = True,
    least: int = 0,
    **events: int,
) -> Cost:
    """Cost of moving these bytes of DRAM: the bus is busy for every burst that they touch, and,
    unless it is flat, while rows are opened, closed and refreshed.

    reads: DRAM, which is written otherwise. least: cycles that the chip's side takes.
    """
    dram, runs = state.spec.dram, np.array(cells.joined())
    moved = bursts(runs, dram.burst_bytes) * dram.burst_bytes
    if dram.timing is None:
        cycles = moved // dram.bytes_per_cycle
    else:
        cycles = transfer_cycles(runs, row_timing(state.spec, writes=not reads))
    return Cost(
        cycles=max(cycles, least),
        dram_bytes=moved,
        useful_bytes=cells.total,
        events=events,
        traffic={"dram_read" if reads else "dram_written": moved, **traffic},
    )


# --------------------------------------------------------------------------------- activations


def moved_cells(
    one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape, element_bytes: int
) -> tuple[AddressSet, AddressSet]:
    """Bytes of DRAM and rows of ACT that a move touches, both [blocks, height, width] strided."""
    dram = AddressSet(
        one.dram,
        one.bytes * element_bytes,
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


def _shape(state: State, one: isa.Load | isa.Store) -> isa.LoadShape | isa.StoreShape:
    """The strides of a move, as set for its unit."""
    if isinstance(one, isa.Load):
        return state.register(isa.LoadShape)
    return state.register(isa.StoreShape)


def _checked_cells(state: State, one: isa.Load | isa.Store) -> tuple[AddressSet, AddressSet, int]:
    """Bytes of DRAM, rows of ACT, and which elements of these."""
    shape, wide = _shape(state, one), state.spec.storage.activation_bytes
    if one.lane + one.bytes > isa.BLOCK:
        raise InstructionFault(
            f"moves elements {one.lane}..{one.lane + one.bytes - 1} of rows of {isa.BLOCK}"
        )
    if any(at % wide for at in (one.dram, shape.dram_pixel, shape.dram_row, shape.dram_block)):
        raise InstructionFault(
            f"moves activations of {wide} bytes, of which DRAM byte {one.dram} or a stride of "
            f"`{shape.mnemonic}` is no multiple"
        )
    dram, act = moved_cells(one, shape, wide)
    return dram.joined(), act.joined(), ((1 << one.bytes) - 1) << one.lane


def _move_cost(state: State, one: isa.Load | isa.Store) -> Cost:
    """A row of ACT is one access, however few of its elements are moved."""
    loads = isinstance(one, isa.Load)
    cells, _ = moved_cells(one, _shape(state, one), state.spec.storage.activation_bytes)
    rows = one.blocks * one.height * one.width
    return _transfer(
        state,
        cells,
        {"act_loaded" if loads else "act_stored": ACT_ROW * rows},
        reads=loads,
        least=-(-rows // bus_rows(state.spec)),
        act_rows=rows,
    )


def _moved(state: State, one: isa.Load | isa.Store) -> DmaCopy:
    shape, wide = _shape(state, one), state.spec.storage.activation_bytes
    reach, to_act, to_dram = _runs(
        one.bytes,
        one.width,
        one.height,
        one.blocks,
        shape.dram_pixel // wide,
        shape.dram_row // wide,
        shape.dram_block // wide,
        shape.act_row,
        shape.act_block,
    )
    return DmaCopy(one.dram, isa.BLOCK * one.act + one.lane, reach * wide, to_act, to_dram)


@lru_cache(maxsize=4096)
def _runs(
    size: int,
    width: int,
    height: int,
    count: int,
    dram_pixel: int,
    dram_row: int,
    dram_block: int,
    act_row: int,
    act_block: int,
) -> tuple[int, Int64, Int64]:
    """The last three fields of ``DmaCopy``, the first of them in elements."""
    levels = [(width, dram_pixel, 1), (height, dram_row, act_row), (count, dram_block, act_block)]
    reach = size + sum((n - 1) * step for n, step, _ in levels)
    left: list[tuple[int, int, int]] = []
    for n, dram_step, act_rows in levels:
        act_step = isa.BLOCK * act_rows
        if n > 1 and not left and dram_step == act_step == size:
            size *= n
        elif n > 1:
            left.append((n, dram_step, act_step))
    left += [(1, 0, 0)] * (3 - len(left))
    to_act = [size, *(step for level in left for step in level)]
    to_dram = [size, *(step for n, dram, act in left for step in (n, act, dram))]
    return reach, np.array(to_act), np.array(to_dram)


def _load_footprint(state: State, one: isa.Load) -> Footprint:
    dram, act, mask = _checked_cells(state, one)
    return Footprint.of([read(DRAM, dram, WHOLE)], [write(state, ACT, act, mask)])


def _load(state: State, one: isa.Load) -> None:
    if state.numbers is not None:
        state.numbers.load(_moved(state, one))


def _store_footprint(state: State, one: isa.Store) -> Footprint:
    dram, act, mask = _checked_cells(state, one)
    if one.dram < state.memories.image_bytes:
        raise InstructionFault(f"writes DRAM byte {one.dram}, which holds weights and parameters")
    return Footprint.of([read(ACT, act, mask)], [write(state, DRAM, dram, WHOLE)])


def _store(state: State, one: isa.Store) -> None:
    if state.numbers is not None:
        state.numbers.store(_moved(state, one))


# ------------------------------------------------------------------------------------- weights


def _load_weights_footprint(state: State, one: isa.LoadWeights) -> Footprint:
    if one.size % 4:
        raise InstructionFault(f"loads {one.size} bytes of weights, not a multiple of 4")
    state.placement(one.mode)  # there is such a mode
    return Footprint.of(
        [read(DRAM, AddressSet(one.dram, one.size), WHOLE)],
        [Access(WGT, 1, 1, 0, AddressSet(one.wgt, STREAM_LENGTH))],
    )


def _load_weights_cost(state: State, one: isa.LoadWeights) -> Cost:
    return _transfer(
        state,
        AddressSet(one.dram, one.size),
        {"wgt_loaded": one.size},
        wgt_words=one.size // WGT_WORD_BYTES,
    )


def _take_streams(state: State, one: isa.LoadWeights) -> int:
    return state.take_streams(one.dram, one.size, state.placement(one.mode))


def _load_weights(state: State, one: isa.LoadWeights) -> None:
    assert state.incoming is not None  # its streams were taken up before
    words, rows = state.incoming
    placement = state.placement(one.mode)
    scatter(
        words,
        one.wgt,
        placement.slots,
        placement.banks,
        state.memories.wgt,
        state.memories.wgt_written,
    )
    state.overwrite_streams(one.wgt, rows)


# ---------------------------------------------------------------------------------- parameters


def _load_params_footprint(state: State, one: isa.LoadParams) -> Footprint:
    return Footprint.of(
        [read(DRAM, AddressSet(one.dram, 16 * one.rows), WHOLE)],
        [write(state, PAR, AddressSet(one.par, one.rows), 1)],
    )


def _load_params_cost(state: State, one: isa.LoadParams) -> Cost:
    size = PAR_ROW_BYTES * one.rows
    return _transfer(state, AddressSet(one.dram, size), {"par_loaded": size})


def _load_params(state: State, one: isa.LoadParams) -> None:
    raw = state.memories.dram.constant(one.dram, 16 * one.rows)
    state.memories.par[one.par : one.par + one.rows] = raw.reshape(-1, 16)


MODELS: dict[type[isa.Instruction], InstructionModel] = {
    isa.Load: InstructionModel(_load_footprint, _move_cost, _load),
    isa.Store: InstructionModel(_store_footprint, _move_cost, _store),
    isa.LoadWeights: InstructionModel(
        _load_weights_footprint, _load_weights_cost, _load_weights, streams=_take_streams
    ),
    isa.LoadParams: InstructionModel(_load_params_footprint, _load_params_cost, _load_params),
}
