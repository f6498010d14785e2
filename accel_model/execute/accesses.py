"""What compute instructions read and write, from the registers: inputs, operands, outputs."""

from __future__ import annotations

from zeroskip.accel_model.execute.state import State, block_masks, tile_cells
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.access_check import STREAM_LENGTH, Access
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.memories import ACT, PAR, WGT
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.tensor_layout import blocks


def read(memory: int, cells: AddressSet, mask: int) -> Access:
    """A read of these parts of the cells."""
    return Access(memory, 0, mask, 0, cells)


def write(state: State, memory: int, cells: AddressSet, mask: int) -> Access:
    """A write of these parts of the cells."""
    inside = cells.last < state.memories.places[memory, 0]
    return Access(memory, 1, mask, int(inside and cells.repeats()), cells)


def read_streams(wgt: int) -> Access:
    """Rows of WGT from ``wgt`` on, as many as the streams there take."""
    return read(WGT, AddressSet(wgt, STREAM_LENGTH), 0)


def read_params(first: int, rows: int) -> Access:
    """Rows of PAR."""
    return read(PAR, AddressSet(first, rows), 1)


def read_input(state: State, channels: int) -> list[Access]:
    """Rows of ACT that the window looks at."""
    window = state.window()
    return [
        read(ACT, cells.joined(), mask)
        for first, count, mask in block_masks(channels)
        for cells in window.cells(first, count)
    ]


def read_residual(state: State, channels: int) -> list[Access]:
    """The operand of an addition to a result; Fault if the limits of that are not of its bits."""
    operand = state.register(isa.Operand)
    if not operand.step or operand.spread:
        raise InstructionFault(
            "adds an operand that has not a value for each of its results; step is 1 and spread 0 there"
        )
    if operand.mid_lookup:
        state.result_table()
        if state.register(isa.Output).lookup:
            raise InstructionFault(
                "looks up its own result and the sum; there is one table for both"
            )
    if state.wide:
        limits = state.register(isa.Limits)
        low, high = limits.mid_low, limits.mid_high
        _check_limits(low, high, low <= high, "int16", "own result")
    else:
        low, high = operand.mid_low, operand.mid_high
        _check_limits(low, high, _in_a_byte(low, high), "8 bits", "own result")
    return read_operand(state, channels)


def _in_a_byte(low: int, high: int) -> bool:
    """Whether the values low..high are of int8, or of uint8, or of a byte between them."""
    return -128 <= low <= high <= min(255, low + 255)


def _check_limits(low: int, high: int, fits: bool, kind: str, what: str = "output") -> None:
    if not fits:
        raise InstructionFault(f"limits its {what} to {low}..{high}, not a range of {kind}")


def read_operand(state: State, channels: int) -> list[Access]:
    """The operand's tile and its scale."""
    operand, y = state.register(isa.Operand), state.register(isa.Output)
    height, width = y.height if operand.row else 1, y.width if operand.step else 1
    parts = [(0, blocks(channels), 1)] if operand.spread else block_masks(channels)
    return [
        *(
            read(ACT, tile_cells(operand, height, width, first, count).joined(), mask)
            for first, count, mask in parts
        ),
        read_params(operand.par, 1),
    ]


def write_output(state: State, channels: int) -> list[Access]:
    """The output's tile; Fault if its limits are not of its type, or of 8 bits before a table, if
    there is no table, or its rows lie on each other."""
    y = state.register(isa.Output)
    least, most = (0, 255) if y.unsigned else (-128, 127)
    if state.wide:
        limits = state.register(isa.Limits)
        _check_limits(limits.low, limits.high, limits.low <= limits.high, "int16")
    elif y.lookup:
        state.result_table()
        _check_limits(y.low, y.high, _in_a_byte(y.low, y.high), "8 bits")
    else:
        fits = least <= y.low <= y.high <= most
        _check_limits(y.low, y.high, fits, "uint8" if y.unsigned else "int8")
    whole = tile_cells(y, y.height, y.width, 0, blocks(channels))
    if whole.last < state.spec.act_rows and whole.repeats():
        raise InstructionFault("writes a row of ACT twice")
    return [
        write(state, ACT, tile_cells(y, y.height, y.width, first, count).joined(), mask)
        for first, count, mask in block_masks(channels)
    ]
