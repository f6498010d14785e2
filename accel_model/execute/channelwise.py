"""Instructions that treat channels alike: depthwise convolution, pooling, addition, multiplication.

Where the array has row registers, a row of the input serves all taps of a kernel row from them
(``timing/row_unit.py``); otherwise, and for one tap, rows are read once for each tap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from zeroskip.accel_model.arrays.base import CHANNELWISE, CONFLICTS, MULTIPLY, PADDING
from zeroskip.accel_model.execute.accesses import (
    read_input,
    read_operand,
    read_params,
    read_residual,
    read_streams,
    write_output,
)
from zeroskip.accel_model.execute.model import NO_COUNTS, Cost, Footprint, InstructionModel
from zeroskip.accel_model.execute.results import (
    operand_of,
    result_of,
    target_of,
    with_lookups,
)
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.formats import DENSE, Shape
from zeroskip.accel_model.functional.convolution import check_fit
from zeroskip.accel_model.functional.pooling import held_values
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.memory.access_check import Access
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.physics.common import stream_rate
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.spec import ACT_ROW, PAR_ROW_BYTES, WGT_WORD_BYTES, AccelSpec
from zeroskip.accel_model.timing.lane_array import (
    input_conflicts,
    operand_conflicts,
    shared_operand,
    simple_cycles,
)
from zeroskip.accel_model.timing.row_unit import kernel_cycles, row_timing, strip_of
from zeroskip.accel_model.timing.shape import WindowShape

MOST_BANKS = 64  # that a target may have

Channelwise: TypeAlias = isa.Depthwise | isa.MaxPool | isa.AvgPool | isa.Add | isa.Multiply


class OperandRows(NamedTuple):
    """ACT rows between image rows of the operand, and between pixels."""

    row: int
    step: int


def _footprint(state: State, channels: int, reads: list[Access]) -> Footprint:
    window = state.window()
    values = max(window.outputs, window.taps, held_values(window))
    return Footprint.of(
        reads,
        write_output(state, channels),
        work=window.outputs * channels * window.taps,
        largest=4 * state.value_bytes * channels * values,
    )


class Pace(NamedTuple):
    """How an instruction is worked on.

    cycles: what it takes. unhindered: the same without conflicts in banks of ACT.
    fetched: rows of ACT read, the operand's included.
    by_rows: whether row registers serve all taps of a kernel row.
    """

    cycles: int
    unhindered: int
    fetched: int
    by_rows: bool


@lru_cache(maxsize=4096)
def _pace(
    spec: AccelSpec, window: WindowShape, count: int, rows: OperandRows | None, weighted: bool
) -> Pace:
    """Of ``count`` channel blocks; rows: of the operand; weighted: with a kernel for each
    channel."""
    unit = spec.kind.row_unit(spec)
    strip = None if unit is None else strip_of(unit, window, weighted)
    if unit is None or strip is None:
        return _tap_by_tap(spec, window, count, rows)
    words = kernel_cycles(window.taps, spec.storage.weight_bytes) if weighted else 0
    enough = spec.kind.row_unit(_with_enough_banks(spec)) or unit
    found, unhindered = (
        row_timing(each, window, strip, count, words, rows is not None) for each in (unit, enough)
    )
    ends = spec.array.pipeline_cycles
    return Pace(found.cycles + ends, unhindered.cycles + ends, found.fetched, by_rows=True)


def _with_enough_banks(spec: AccelSpec) -> AccelSpec:
    """The target with a bank of ACT for every row of a cycle."""
    return replace(spec, sram=replace(spec.sram, act_banks=MOST_BANKS))


def _tap_by_tap(spec: AccelSpec, window: WindowShape, count: int, rows: OperandRows | None) -> Pace:
    banks, pixels, operand, second = spec.sram.act_banks, spec.array.pixels, None, 0
    reads = input_conflicts(window, banks, pixels)
    if rows is not None and rows.step:
        operand, second = operand_conflicts(window, rows.row, banks, pixels), window.outputs
    elif rows is not None:
        operand, second = shared_operand(window, rows.row, banks, pixels)
    taken, free = (
        simple_cycles(
            spec.array,
            count,
            window.taps,
            one_tap,
            window.outputs,
            None if operand is None else one_operand,
            written=each.kind.datapath(each).rows,
        )
        for each, one_tap, one_operand in (
            (spec, reads, operand),
            (
                _with_enough_banks(spec),
                np.ones_like(reads),
                None if operand is None else np.ones_like(operand),
            ),
        )
    )
    fetched = count * (window.taps * window.outputs + second)
    return Pace(taken, free, fetched, by_rows=False)


def _cost(
    state: State,
    channels: int,
    operand: int,
    products: tuple[int, int] = (0, 0),
    traffic: Mapping[str, int] = NO_COUNTS,
    residual: int = 0,
    **events: int,
) -> Cost:
    """operand: 1 if there is one. residual: 1 if it is added to a sum's result. products:
    multiplies, and those by inputs within the tile. traffic: bytes that do not go through ACT;
    streams take as long as WGT needs to send them. What row registers hold is written to them as it
    is fetched, and read by each tap."""
    window, count = state.window().shape, blocks(channels)
    pace = _pace_of(state, channels, operand, weighted="wgt_read" in traffic)
    (every, real), width, spec = products, state.spec.array.macs, state.spec
    sent = -(-traffic.get("wgt_read", 0) // stream_rate(spec, spec.kind.datapath(spec)))
    taken, free = max(pace.cycles, sent), max(pace.unhindered, sent)
    written = count * window.outputs
    if pace.by_rows:
        own = {
            "row_written": ACT_ROW * pace.fetched,
            "row_read": channels * (window.taps + operand) * window.outputs,
        }
        traffic, events = {**traffic, **own}, {**events, "row_bytes": sum(own.values())}
    cost = Cost(
        taken,
        every,
        real,
        slots={
            MULTIPLY.name: real,
            PADDING.name: every - real,
            CONFLICTS.name: (taken - free) * width,
            CHANNELWISE.name: free * width - every,
        },
        events={
            "act_rows": pace.fetched + written,
            "multiplies": every,
            **events,
        },
        traffic={
            "act_fetched": ACT_ROW * pace.fetched,
            "act_written": ACT_ROW * written,
            "added": ACT_ROW * written,
            **traffic,
        },
    )
    return with_lookups(state, cost, channels, residual=residual)


def _operand_rows(state: State, operand: int) -> OperandRows | None:
    if not operand:
        return None
    found = state.register(isa.Operand)
    return OperandRows(found.row, found.step)


def _pace_of(state: State, channels: int, operand: int, *, weighted: bool) -> Pace:
    rows = _operand_rows(state, operand)
    return _pace(state.spec, state.window().shape, blocks(channels), rows, weighted)


def _result(one: Channelwise) -> int:
    return one.channels


# ----------------------------------------------------------------------------------- depthwise


def _depthwise_footprint(state: State, one: isa.Depthwise) -> Footprint:
    reads = [
        read_streams(one.wgt),
        *read_input(state, one.channels),
        read_params(one.par, isa.PAR_ROWS * blocks(one.channels)),
    ]
    reads += read_residual(state, one.channels) if one.residual else []
    return _footprint(state, one.channels, reads)


def _depthwise_streams(state: State, one: isa.Depthwise) -> int:
    shape, dense = Shape(1, state.window().taps), state.spec.stored(DENSE)
    return state.read_streams(one.wgt, one.channels, shape, state.placement(0), dense).rows


def _depthwise_cost(state: State, one: isa.Depthwise) -> Cost:
    """Events: the weights of a block are read once by row registers, else for every quad of
    outputs."""
    filters, window = state.decoded(), state.window().shape
    words = filters.words
    if not _pace_of(state, one.channels, one.residual, weighted=True).by_rows:
        words *= -(-window.outputs // state.spec.array.pixels)
    results = one.channels * window.outputs
    return _cost(
        state,
        one.channels,
        one.residual,
        filters.products(window),
        {
            "wgt_read": WGT_WORD_BYTES * words,
            "par_read": PAR_ROW_BYTES * (results + one.residual),
            "scaled": results,
        },
        one.residual,
        wgt_words=words,
        requantised=(1 + one.residual) * results,
    )


def _depthwise(state: State, one: isa.Depthwise) -> None:
    if state.numbers is None:
        return
    filters, window = state.decoded(), state.window()
    check_fit(filters.matrix, *window.limits, state.memories.sum_bits)
    weights = np.empty_like(filters.matrix)
    weights[filters.order] = filters.matrix
    state.numbers.weighted(
        window,
        np.ascontiguousarray(weights.T),
        result_of(state, one.par, one.channels, one.residual),
    )


# ------------------------------------------------------------------------------------- pooling


def _max_pool_footprint(state: State, one: isa.MaxPool) -> Footprint:
    return _footprint(state, one.channels, read_input(state, one.channels))


def _max_pool_cost(state: State, one: isa.MaxPool) -> Cost:
    return _cost(state, one.channels, 0)


def _max_pool(state: State, one: isa.MaxPool) -> None:
    if state.numbers is not None:
        state.numbers.maxima(state.window(), one.channels, target_of(state))


def _avg_pool_footprint(state: State, one: isa.AvgPool) -> Footprint:
    reads = [*read_input(state, one.channels), read_params(one.par, 1)]
    return _footprint(state, one.channels, reads)


def _avg_pool_cost(state: State, one: isa.AvgPool) -> Cost:
    """One row of PAR is for all channels."""
    results = one.channels * state.window().outputs
    traffic = {"par_read": PAR_ROW_BYTES, "scaled": results}
    return _cost(state, one.channels, 0, traffic=traffic, requantised=results)


def _avg_pool(state: State, one: isa.AvgPool) -> None:
    if state.numbers is not None:
        state.numbers.average(
            state.window(), one.channels, target_of(state), state.memories.par[one.par]
        )


# --------------------------------------------------------------------- addition, multiplication


def _pair_footprint(state: State, one: isa.Add | isa.Multiply) -> Footprint:
    if state.window().taps != 1:
        raise InstructionFault("needs a kernel of one tap")
    reads = [*read_input(state, one.channels), *read_operand(state, one.channels)]
    return _footprint(state, one.channels, reads)


def _pair_cost(state: State, one: isa.Add | isa.Multiply) -> Cost:
    return _cost(
        state,
        one.channels,
        1,
        traffic={"par_read": PAR_ROW_BYTES},
        requantised=one.channels * state.window().outputs,
    )


def _pair(state: State, one: isa.Add | isa.Multiply) -> None:
    if state.numbers is not None:
        state.numbers.pair(
            state.window(),
            one.channels,
            target_of(state),
            *operand_of(state),
            product=isinstance(one, isa.Multiply),
        )


_PAIR = InstructionModel(_pair_footprint, _pair_cost, _pair, result=_result)

MODELS: dict[type[isa.Instruction], InstructionModel] = {
    isa.Depthwise: InstructionModel(
        _depthwise_footprint,
        _depthwise_cost,
        _depthwise,
        streams=_depthwise_streams,
        weighted=True,
        result=_result,
    ),
    isa.MaxPool: InstructionModel(_max_pool_footprint, _max_pool_cost, _max_pool, result=_result),
    isa.AvgPool: InstructionModel(_avg_pool_footprint, _avg_pool_cost, _avg_pool, result=_result),
    isa.Add: _PAIR,
    isa.Multiply: _PAIR,
}
