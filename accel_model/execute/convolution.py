"""The convolution on the array: its time is the array's own, of the filters decoded from WGT and,
where the array looks at them, of the inputs in ACT."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from zeroskip.accel_model.arrays.base import ArrayError, Case, Timing
from zeroskip.accel_model.execute.accesses import (
    read,
    read_input,
    read_params,
    read_residual,
    read_streams,
    write,
    write_output,
)
from zeroskip.accel_model.execute.model import Cost, Footprint, InstructionModel
from zeroskip.accel_model.execute.results import operand_row, result_of, with_lookups
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.formats import Shape
from zeroskip.accel_model.functional.activations import PartialSum
from zeroskip.accel_model.functional.convolution import largest_array
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.memories import ACC
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks


def _footprint(state: State, one: isa.Conv) -> Footprint:
    window = state.window()
    reads = [read_streams(one.wgt), *read_input(state, one.channels)]
    if not one.first:
        reads += [read(ACC, *sums) for sums in _sums(state, one)]
    if not one.last:
        writes = [write(state, ACC, *sums) for sums in _sums(state, one)]
    else:
        reads.append(read_params(one.par, isa.PAR_ROWS * blocks(one.filters)))
        reads += read_residual(state, one.filters) if one.residual else []
        writes = write_output(state, one.filters)
    return Footprint.of(
        reads,
        writes,
        work=window.outputs * one.channels * window.taps * one.filters,
        largest=largest_array(window, one.channels, one.filters, state.value_bytes),
    )


def _sums(state: State, one: isa.Conv) -> list[tuple[AddressSet, int]]:
    """Rows of ACC, see ``accumulator_rows``, and which sums of them; neighbours that are used alike
    together."""
    used = accumulator_rows(state.placement(one.mode).slots, one.filters)
    outputs = state.window().outputs
    accesses, first = [], one.acc
    for sums, alike in groupby(used):
        count = len(list(alike))
        accesses.append((AddressSet(first, count, outputs, len(used)).joined(), (1 << sums) - 1))
        first += count
    return accesses


def _read_streams(state: State, one: isa.Conv) -> int:
    shape = Shape(one.channels, state.window().taps)
    placement, weights = state.placement(one.mode), state.spec.format
    return state.read_streams(one.wgt, one.filters, shape, placement, weights).rows


def _cost(state: State, one: isa.Conv) -> Cost:
    filters, tile = state.decoded(), state.window()
    window, kind, numbers = tile.shape, state.spec.kind, state.numbers
    case = Case(
        window,
        filters,
        one.mode,
        bool(one.first),
        bool(one.last),
        operand_row(state, one.last and one.residual),
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
            raise InstructionFault(str(problem)) from None
        if case.inputs is None:
            filters.memo[key] = timing
    every, real = filters.products(window)
    done = every if timing.multiplies is None else timing.multiplies
    cost = Cost(
        timing.cycles,
        done,
        real,
        products=timing.products,
        passed_over=every - done,
        slots=timing.slots,
        events=timing.events,
        traffic=kind.traffic(state.spec, case, timing),
    )
    return with_lookups(state, cost, one.filters, residual=one.residual) if one.last else cost


def _semantics(state: State, one: isa.Conv) -> None:
    if state.numbers is None:
        return
    window, part, result = state.window(), None, None
    if not (one.first and one.last):
        part = PartialSum(one.acc, state.placement(one.mode).slots, one.first, one.last)
    if one.last:
        result = result_of(state, one.par, one.filters, one.residual)
    state.numbers.conv(window, one.channels, state.decoded(), part, result)


def _result(one: isa.Conv) -> int:
    return one.filters if one.last else 0


MODELS: dict[type[isa.Instruction], InstructionModel] = {
    isa.Conv: InstructionModel(
        _footprint,
        _cost,
        _semantics,
        streams=_read_streams,
        weighted=True,
        result=_result,
    ),
}
