"""The model of every instruction, by its class; the files beside this one declare them.

An instruction that is not here does not exist for the machine
(``tests/accel_model/test_semantics.py``).
"""

from __future__ import annotations

from zeroskip.accel_model.execute import channelwise, convolution, moves, registers
from zeroskip.accel_model.execute.model import InstructionModel
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.access_check import Access

MODELS: dict[type[isa.Instruction], InstructionModel] = {
    **registers.MODELS,
    **moves.MODELS,
    **convolution.MODELS,
    **channelwise.MODELS,
}


def accesses_of(state: State, instruction: isa.Instruction) -> list[Access]:
    """What an instruction that is about to be executed will read and write."""
    model = MODELS[type(instruction)]
    footprint, rows = model.footprint(state, instruction), model.stream_rows(state, instruction)
    if footprint.accesses is None:
        return []
    return [Access.of(row, rows) for row in footprint.accesses.tolist()]
