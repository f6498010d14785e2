"""Instructions that set registers, the table of reduction patterns and that of results.

Setting a register of the load or store unit takes a cycle of that unit; the array stands while its
own are set.
"""

from __future__ import annotations

from collections.abc import Mapping

from zeroskip.accel_model.arrays.base import SETUP
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.execute.accesses import read_params
from zeroskip.accel_model.execute.model import (
    NO_COUNTS,
    NO_FOOTPRINT,
    Cost,
    Footprint,
    InstructionModel,
)
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.physics.cost import result_tables
from zeroskip.accel_model.spec import PAR_ROW_BYTES


def _touches_nothing(_state: State, _one: isa.Instruction) -> Footprint:
    return NO_FOOTPRINT


def _move_register_cost(_state: State, _one: isa.Instruction) -> Cost:
    return Cost()


def _array_register_cost(
    state: State,
    _one: isa.Instruction,
    cycles: int = 1,
    traffic: Mapping[str, int] = NO_COUNTS,
    events: Mapping[str, int] = NO_COUNTS,
) -> Cost:
    """The array stands while its registers are set."""
    slots = {SETUP.name: cycles * state.spec.array.macs}
    return Cost(cycles, slots=slots, traffic=traffic, events=events)


def _set(state: State, one: isa.Instruction) -> None:
    state.set(one)


# ------------------------------------------------------------------------------- 16-bit values

_OF_BYTES = ("zero_point", "unsigned", "low", "high", "lookup")  # fields, as those of `operand`


def _set_values(state: State, one: isa.Input | isa.Output | isa.Operand) -> None:
    """What values of 8 bits mean is 0 of those of 16, which are int16 around 0."""
    if state.wide:
        for name, _ in isa.layout(type(one)):
            if name.removeprefix("mid_") in _OF_BYTES and getattr(one, name):
                raise InstructionFault(
                    f"sets {name}={getattr(one, name)}, which is of activations of 8 bits; of 16 "
                    "bits it is 0"
                )
    state.set(one)


def _set_limits(state: State, one: isa.Limits) -> None:
    if not state.wide:
        raise InstructionFault("limits results of 16 bits; `output` and `operand` limit those of 8")
    state.set(one)


# --------------------------------------------------------------------------------------- table


def _table_footprint(_state: State, one: isa.Table) -> Footprint:
    return Footprint.of([read_params(one.par, one.rows)], [])


def _table_cost(state: State, one: isa.Table) -> Cost:
    return _array_register_cost(state, one, 1 + one.rows, {"par_read": PAR_ROW_BYTES * one.rows})


def _set_table(state: State, one: isa.Table) -> None:
    rows = state.memories.par[one.par : one.par + one.rows]
    try:
        state.table = state.spec.format.table_of(rows, one.argument)
    except ZeroskipError as problem:
        raise InstructionFault(str(problem)) from None


# -------------------------------------------------------------------------------------- lookup


def _lookup_footprint(_state: State, one: isa.Lookup) -> Footprint:
    return Footprint.of([read_params(one.par, isa.TABLE_ROWS)], [])


def _lookup_cost(state: State, one: isa.Lookup) -> Cost:
    """A row of PAR a cycle goes to all copies of the table."""
    rows, copies = isa.TABLE_ROWS, result_tables(state.spec).count
    traffic = {"par_read": PAR_ROW_BYTES * rows, "table_written": PAR_ROW_BYTES * rows * copies}
    return _array_register_cost(state, one, 1 + rows, traffic, {"lookups": rows * copies})


def _set_lookup(state: State, one: isa.Lookup) -> None:
    state.results = state.memories.par[one.par : one.par + isa.TABLE_ROWS].reshape(-1).copy()


_MOVE_REGISTER = InstructionModel(_touches_nothing, _move_register_cost, _set)
_ARRAY_REGISTER = InstructionModel(_touches_nothing, _array_register_cost, _set)
_OF_VALUES = InstructionModel(_touches_nothing, _array_register_cost, _set_values)

MODELS: dict[type[isa.Instruction], InstructionModel] = {
    isa.LoadShape: _MOVE_REGISTER,
    isa.StoreShape: _MOVE_REGISTER,
    isa.Kernel: _ARRAY_REGISTER,
    isa.Input: _OF_VALUES,
    isa.Extent: _ARRAY_REGISTER,
    isa.Output: _OF_VALUES,
    isa.Operand: _OF_VALUES,
    isa.Limits: InstructionModel(_touches_nothing, _array_register_cost, _set_limits),
    isa.Table: InstructionModel(_table_footprint, _table_cost, _set_table),
    isa.Lookup: InstructionModel(_lookup_footprint, _lookup_cost, _set_lookup),
}
