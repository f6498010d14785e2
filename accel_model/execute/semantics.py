"""What each instruction does to registers and memories: the equations of ``instructions.py``.

Its footprint has been checked before, so every address is within its memory and every cell that is
read was written. Registers, weights and parameters are set here; the values of activations are
computed by ``activations.py``, if they are computed at all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.execute.state import State, tile_cells
from zeroskip.accel_model.functional.activations import DmaCopy, OutputSpec, PartialSum
from zeroskip.accel_model.functional.convolution import check_fit
from zeroskip.accel_model.functional.kernels import Int64
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.operand_window import ResidualOperand, Target
from zeroskip.accel_model.memory.wgt_banks import scatter
from zeroskip.accel_model.program.tensor_layout import blocks


def _set(state: State, one: isa.Instruction) -> None:
    state.set(one)


# --------------------------------------------------------------------------------------- moves


def _load(state: State, one: isa.Load) -> None:
    if state.numbers is not None:
        state.numbers.load(_moved(one, state.register(isa.LoadShape)))


def _store(state: State, one: isa.Store) -> None:
    if state.numbers is not None:
        state.numbers.store(_moved(one, state.register(isa.StoreShape)))


def _moved(one: isa.Load | isa.Store, shape: isa.LoadShape | isa.StoreShape) -> DmaCopy:
    return DmaCopy(
        one.dram,
        isa.BLOCK * one.act + one.lane,
        *_runs(
            one.bytes,
            one.width,
            one.height,
            one.blocks,
            shape.dram_pixel,
            shape.dram_row,
            shape.dram_block,
            shape.act_row,
            shape.act_block,
        ),
    )


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
    """The last three fields of ``DmaCopy``."""
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
    to_act = [size, *(each for level in left for each in level)]
    to_dram = [size, *(each for n, dram, act in left for each in (n, act, dram))]
    return reach, np.array(to_act), np.array(to_dram)


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


def _load_params(state: State, one: isa.LoadParams) -> None:
    raw = state.memories.dram.constant(one.dram, 16 * one.rows)
    state.memories.par[one.par : one.par + one.rows] = raw.reshape(-1, 16)


def _set_table(state: State, one: isa.Table) -> None:
    rows = state.memories.par[one.par : one.par + one.rows]
    try:
        state.table = state.spec.format.table_of(rows, one.argument)
    except ZeroskipError as problem:
        raise InstructionFault(str(problem)) from None


# ------------------------------------------------------------------------------------- compute


def _conv(state: State, one: isa.Conv) -> None:
    if state.numbers is None:
        return
    window, part, result = state.window(), None, None
    if not (one.first and one.last):
        part = PartialSum(one.acc, state.placement(one.mode).slots, one.first, one.last)
    if one.last:
        result = _result(state, one.par, one.filters, one.residual)
    state.numbers.conv(window, one.channels, state.decoded(), part, result)


def _result(state: State, par: int, channels: int, residual: int) -> OutputSpec:
    rows = state.memories.par[par : par + isa.PAR_ROWS * blocks(channels)]
    y = _target(state)
    return OutputSpec(rows, y, *_operand(state)) if residual else OutputSpec(rows, y)


def _target(state: State) -> Target:
    return Target.of(state.register(isa.Output))


def _operand(state: State) -> tuple[ResidualOperand, npt.NDArray[np.uint8]]:
    """The operand and its scale."""
    r = state.register(isa.Operand)
    return ResidualOperand.of(r), state.memories.par[r.par]


def _depthwise(state: State, one: isa.Depthwise) -> None:
    if state.numbers is None:
        return
    filters, window = state.decoded(), state.window()
    check_fit(filters.matrix, *window.limits)
    weights = np.empty_like(filters.matrix)
    weights[filters.order] = filters.matrix
    state.numbers.weighted(
        window, np.ascontiguousarray(weights.T), _result(state, one.par, one.channels, one.residual)
    )


def _max_pool(state: State, one: isa.MaxPool) -> None:
    if state.numbers is not None:
        state.numbers.maxima(state.window(), one.channels, _target(state))


def _avg_pool(state: State, one: isa.AvgPool) -> None:
    if state.numbers is not None:
        state.numbers.average(
            state.window(), one.channels, _target(state), state.memories.par[one.par]
        )


def _add(state: State, one: isa.Add) -> None:
    if state.numbers is not None:
        state.numbers.add(state.window(), one.channels, _target(state), *_operand(state))


def result_channels(one: isa.Instruction) -> int:
    """Channels of the tile that an instruction finishes; 0 if it finishes none."""
    if isinstance(one, isa.Conv):
        return one.filters if one.last else 0
    return (
        one.channels if isinstance(one, isa.Depthwise | isa.MaxPool | isa.AvgPool | isa.Add) else 0
    )


def written_values(state: State, channels: int) -> npt.NDArray[np.generic]:
    """int8 or uint8 [N, channels, height, width]: what a compute instruction has just written."""
    y = state.register(isa.Output)
    act = state.memories.act
    rows = tile_cells(y, y.height, y.width, 0, blocks(channels)).of(act.swapaxes(0, 1))
    tile = rows[:, :, 0].transpose(3, 0, 4, 1, 2).reshape(len(act), -1, y.height, y.width)
    return np.ascontiguousarray(tile[:, :channels]).view(np.uint8 if y.unsigned else np.int8)


SEMANTICS: dict[type[isa.Instruction], Callable[[State, Any], None]] = {
    isa.LoadShape: _set,
    isa.Load: _load,
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
    isa.StoreShape: _set,
    isa.Store: _store,
}
