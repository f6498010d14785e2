"""Where compute instructions put what they compute, from the registers, and what they have put."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.model import Cost
from zeroskip.accel_model.execute.state import State, tile_cells
from zeroskip.accel_model.functional.activations import OutputSpec
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.operand_window import ResidualOperand, Target
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import PAR_ROW_BYTES


def target_of(state: State) -> Target:
    """The output's tile, as `output` set it, with the table that its results go through; limits of
    16 bits are those of `limits`."""
    y = state.register(isa.Output)
    if state.wide:
        limits = state.register(isa.Limits)
        return Target.of(y)._replace(low=limits.low, high=limits.high)
    return Target.of(y, state.result_table()) if y.lookup else Target.of(y)


def with_lookups(state: State, cost: Cost, channels: int, *, residual: int = 0) -> Cost:
    """The cost of an instruction and of the results of so many channels that go through the table,
    before an operand is added or after, for each of which a copy of it reads a row."""
    y = state.register(isa.Output)
    if not y.lookup and not (residual and state.register(isa.Operand).mid_lookup):
        return cost
    results = channels * y.height * y.width
    return cost._replace(
        events={**cost.events, "lookups": results},
        traffic={**cost.traffic, "looked_up": PAR_ROW_BYTES * results},
    )


def operand_of(state: State) -> tuple[ResidualOperand, npt.NDArray[np.uint8]]:
    """The operand, as `operand` set it, and its scale: uint8 [16], a row of PAR."""
    operand = state.register(isa.Operand)
    scale = state.memories.par[operand.par]
    if state.wide:
        limits = state.register(isa.Limits)
        made = ResidualOperand.of(operand, value_bytes=state.value_bytes)
        return made._replace(mid_low=limits.mid_low, mid_high=limits.mid_high), scale
    own = (state.result_table(),) if operand.mid_lookup else ()
    return ResidualOperand.of(operand, *own), scale


def result_of(state: State, par: int, channels: int, residual: int) -> OutputSpec:
    """What requantizes sums: rows of PAR, the output and, for a residual, the operand."""
    rows = state.memories.par[par : par + isa.PAR_ROWS * blocks(channels)]
    y = target_of(state)
    return OutputSpec(rows, y, *operand_of(state)) if residual else OutputSpec(rows, y)


def operand_row(state: State, residual: int) -> int | None:
    """ACT rows between image rows of the operand; None without a residual."""
    return state.register(isa.Operand).row if residual else None


def written_values(state: State, channels: int) -> npt.NDArray[np.generic]:
    """int8, uint8 or int16 [N, channels, height, width]: what a compute instruction has just
    written."""
    y = state.register(isa.Output)
    act = state.memories.act
    rows = tile_cells(y, y.height, y.width, 0, blocks(channels)).of(act.swapaxes(0, 1))
    tile = rows[:, :, 0].transpose(3, 0, 4, 1, 2).reshape(len(act), -1, y.height, y.width)
    kind = f"{'u' if y.unsigned else 'i'}{act.itemsize}"
    return np.ascontiguousarray(tile[:, :channels]).view(kind)
