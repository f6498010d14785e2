"""What each instruction does to registers and memories: the equations of ``isa.py``.

``footprint.py`` has been checked before, so every address is within its memory and every cell that
is read was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import isa, kernels
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.faults import Fault
from zeroskip.accel_model.footprint import PAR_ROWS, moved_cells
from zeroskip.accel_model.formats import PatternTable
from zeroskip.accel_model.kernels import Int32, Int64
from zeroskip.accel_model.layout import blocks
from zeroskip.accel_model.state import State, accumulator_rows, tile_cells
from zeroskip.accel_model.weights import Filters, scatter

BATCH = 128  # outputs that a weight is multiplied with at a time: their sums stay in the L1 cache
MAX_SHIFT = 62  # so that the rounding term and the product fit in int64 together


def _set(state: State, one: isa.Instruction) -> None:
    state.registers[type(one)] = one


# --------------------------------------------------------------------------------------- moves


def _load(state: State, one: isa.Load) -> None:
    if state.numbers:
        dram, act = moved_cells(one, state.register(isa.LoadShape))
        rows = act.of(state.memories.act.data)[:, :, :, 0]
        rows[..., one.lane : one.lane + one.bytes] = dram.of(state.memories.dram.data)


def _store(state: State, one: isa.Store) -> None:
    if state.numbers:
        dram, act = moved_cells(one, state.register(isa.StoreShape))
        rows = act.of(state.memories.act.data)[:, :, :, 0]
        dram.of(state.memories.dram.data)[...] = rows[..., one.lane : one.lane + one.bytes]


def _load_weights(state: State, one: isa.LoadWeights) -> None:
    assert state.incoming is not None  # its footprint was taken before
    scatter(state.incoming.words, state.incoming.lengths, one.wgt,
            state.spec.array.lanes >> one.gang, one.gang, state.memories.wgt.data,
            state.memories.wgt_words)


def _load_params(state: State, one: isa.LoadParams) -> None:
    raw = state.memories.dram.data[one.dram : one.dram + 16 * one.rows]
    state.memories.par.data[one.par : one.par + one.rows] = raw.reshape(-1, 16)


def _patterns(state: State, one: isa.Patterns) -> None:
    rows = state.memories.par.data[one.par : one.par + 2 * one.slabs]
    try:
        state.table = PatternTable.from_rows(rows, one.slabs, one.id_bits)
    except ZeroskipError as problem:
        raise Fault(str(problem)) from None


# ------------------------------------------------------------------------------- convolutions


def _conv(state: State, one: isa.Conv) -> None:
    if not state.numbers:
        return
    filters = state.decoded()
    sums = _convolve(state, filters, one.channels)
    if not one.first:
        sums += _accumulated(state, one).reshape(sums.shape[0], -1)[:, _slots(state, one)]
    if one.last:
        _finish(state, sums, filters.order, one.par, bool(one.residual))
        return
    if int(sums.min()) < -(1 << 31) or int(sums.max()) >= 1 << 31:
        raise Fault("makes a partial sum that does not fit in int32")
    _accumulated(state, one).reshape(sums.shape[0], -1)[:, _slots(state, one)] = sums


def _convolve(state: State, filters: Filters, channels: int) -> Int64:
    """int64 [outputs, F], streams in their order."""
    window = state.window()
    lowest, highest = (0, 255) if state.register(isa.Input).unsigned else (-128, 127)
    greatest = max(highest - window.zero_point, window.zero_point - lowest)
    if filters.magnitude * greatest >= 1 << 31:
        raise Fault("has a filter whose sum may not fit in int32")
    batches = -(-window.outputs // BATCH)
    inputs = np.empty((batches, channels * window.taps, -(-window.outputs // batches)), np.int16)
    kernels.columns(state.input_bytes(), window, channels, inputs)
    sums = np.empty((window.outputs, len(filters.order)), np.int64)
    kernels.filter_sums(inputs, *filters.sparse, sums)
    return sums


def _accumulated(state: State, one: isa.Conv) -> Int32:
    """View int32 [outputs, rows, 16] of ACC, see ``accumulator_rows``."""
    used = accumulator_rows(state.spec.array.lanes >> one.gang, one.filters)
    outputs = state.window().outputs
    rows: Int32 = state.memories.acc.data[one.acc : one.acc + outputs * len(used)]
    return rows.reshape(outputs, len(used), 16)


def _slots(state: State, one: isa.Conv) -> npt.NDArray[np.intp]:
    """Where the sum of each stream is among those of a pixel."""
    used = accumulator_rows(state.spec.array.lanes >> one.gang, one.filters)
    return np.concatenate([16 * row + np.arange(count) for row, count in enumerate(used)])


def _finish(state: State, sums: Int64, order: Int32, par: int, residual: bool) -> None:
    """Requantise, add the operand if there is one, and write the tile."""
    y = state.register(isa.Output)
    bias, mult, shift = _parameters(state, par, order)
    if not residual:
        fits = kernels.requantise(sums, bias, mult, shift, y.zero_point, y.low, y.high)
    else:
        r = state.register(isa.Operand)
        fits = kernels.requantise(sums, bias, mult, shift, r.mid_zero_point, r.mid_low, r.mid_high)
        _add_operand(state, sums, order, r.mid_zero_point)
    if not fits:
        raise Fault("makes a sum that does not fit in int32")
    _write(state, sums, order)


def _parameters(state: State, par: int, order: Int32) -> tuple[Int64, Int64, Int64]:
    """bias, mult and shift of each column; channel k's are in PAR[par + 9*(k//16) : +9]."""
    count = blocks(len(order))
    raw = state.memories.par.data[par : par + PAR_ROWS * count].reshape(count, PAR_ROWS * 16)
    words = np.ascontiguousarray(raw[:, :128]).view("<i4").astype(np.int64)
    bias, mult = words[:, :16].reshape(-1)[order], words[:, 16:].reshape(-1)[order]
    shift = raw[:, 128:].reshape(-1)[order].astype(np.int64)
    _check_shift(int(shift.min()), int(shift.max()))
    return bias, mult, shift


def _check_shift(least: int, most: int) -> None:
    if least < 1 or most > MAX_SHIFT:
        raise Fault(f"shifts by {least if least < 1 else most}, not by 1..{MAX_SHIFT}")


def _add_operand(state: State, values: Int64, order: Int32, offset: int) -> None:
    """``values`` becomes the scaled sum of itself and the operand."""
    y, r = state.register(isa.Output), state.register(isa.Operand)
    row = state.memories.par.data[r.par]
    mult_a, mult_b = (int(m) for m in row[:8].view("<i4"))
    _check_shift(int(row[8]), int(row[8]))
    other = np.empty_like(values)
    kernels.operand_values(state.act_as(r.unsigned), r.act, r.row, r.block, r.zero_point, y.width,
                           order, other)
    kernels.add_scaled(values, other, offset, mult_a, mult_b, int(row[8]), y.zero_point, y.low,
                       y.high)


def _write(state: State, values: Int64, order: Int32) -> None:
    y = state.register(isa.Output)
    kernels.write_tile(state.memories.act.data, y.act, y.row, y.block, y.width, order, values)


# ------------------------------------------------------------------------- channel by channel


def _weighted(state: State, weights: npt.NDArray[np.int8]) -> Int64:
    """int64 [outputs, channels]: sums over the taps; weights int8 [taps, channels]."""
    window = state.window()
    sums = np.empty((window.outputs, weights.shape[1]), np.int64)
    kernels.weighted_sums(state.input_bytes(), window, weights, sums)
    return sums


def _plain_sums(state: State, channels: int) -> Int64:
    return _weighted(state, np.ones((state.window().taps, channels), np.int8))


def _channels(count: int) -> Int32:
    return np.arange(count, dtype=np.int32)


def _depthwise(state: State, one: isa.Depthwise) -> None:
    if state.numbers:
        filters = state.decoded()
        weights = np.empty_like(filters.matrix)
        weights[filters.order] = filters.matrix
        sums = _weighted(state, np.ascontiguousarray(weights.T))
        _finish(state, sums, _channels(one.channels), one.par, bool(one.residual))


def _max_pool(state: State, one: isa.MaxPool) -> None:
    if not state.numbers:
        return
    window, y = state.window(), state.register(isa.Output)
    most = np.empty((window.outputs, one.channels), np.int64)
    if not kernels.maxima(state.input_bytes(), window, one.channels, most):
        raise Fault("has an output that no pixel of the input tile reaches")
    _write(state, np.clip(most + y.zero_point, y.low, y.high), _channels(one.channels))


def _avg_pool(state: State, one: isa.AvgPool) -> None:
    if not state.numbers:
        return
    y, row = state.register(isa.Output), state.memories.par.data[one.par]
    _check_shift(int(row[4]), int(row[4]))
    mult, shift = (np.full(one.channels, value, np.int64)
                   for value in (int(row[:4].view("<i4")[0]), int(row[4])))
    sums = _plain_sums(state, one.channels)
    if not kernels.requantise(sums, np.zeros_like(mult), mult, shift, y.zero_point, y.low, y.high):
        raise Fault("makes a sum that does not fit in int32")
    _write(state, sums, _channels(one.channels))


def _add(state: State, one: isa.Add) -> None:
    if state.numbers:
        sums = _plain_sums(state, one.channels)
        _add_operand(state, sums, _channels(one.channels), 0)
        _write(state, sums, _channels(one.channels))


def result_channels(one: isa.Instruction) -> int:
    """Channels of the tile that an instruction finishes; 0 if it finishes none."""
    if isinstance(one, isa.Conv):
        return one.filters if one.last else 0
    return one.channels if isinstance(
        one, isa.Depthwise | isa.MaxPool | isa.AvgPool | isa.Add) else 0


def written_values(state: State, channels: int) -> npt.NDArray[np.generic]:
    """int8 or uint8 [channels, height, width]: what a compute instruction has just written."""
    y = state.register(isa.Output)
    rows = tile_cells(y, y.height, y.width, 0, blocks(channels)).of(state.memories.act.data)
    tile = rows[:, :, 0].transpose(0, 3, 1, 2).reshape(-1, y.height, y.width)[:channels]
    return np.ascontiguousarray(tile).view(np.uint8 if y.unsigned else np.int8)


SEMANTICS: dict[type[isa.Instruction], Callable[[State, Any], None]] = {
    isa.LoadShape: _set,
    isa.Load: _load,
    isa.LoadWeights: _load_weights,
    isa.LoadParams: _load_params,
    isa.Kernel: _set,
    isa.Input: _set,
    isa.Output: _set,
    isa.Operand: _set,
    isa.Patterns: _patterns,
    isa.Conv: _conv,
    isa.Depthwise: _depthwise,
    isa.MaxPool: _max_pool,
    isa.AvgPool: _avg_pool,
    isa.Add: _add,
    isa.StoreShape: _set,
    isa.Store: _store,
}
