"""What a program computes, for all inputs at once.

Every byte that depends on the inputs is a *term*, a number of 64 bits that stands for how it comes
about: a byte of an input has a random one, a convolution's sum is the sum of its weights times the
terms, modulo 2^64, and what is scaled, rounded and limited is a hash of the sum, the scale and the
limits. Weights and parameters are the packed ones, decoded by the machine. So two programs whose
outputs have the same terms compute the same function of their inputs, unless two hashes collide: a
chance of about 2^-60 for a network of a few thousand sums (Schwartz, "Fast probabilistic algorithms
for verification of polynomial identities", 1980). A limit that no input can reach, by the sums of a
filter's positive and negative weights, is left out of the hash.

The machine's own walk executes the instructions beforehand and proves them free of races, reads of
unwritten memory and deadlocks; here nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.moves import moved_cells
from zeroskip.accel_model.execute.state import State
from zeroskip.accel_model.formats import from_reduction_order
from zeroskip.accel_model.functional.kernels import even
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.accel_model.machine import tokens
from zeroskip.accel_model.machine.decoded_stream import DecodedInstruction, DecodedProgram
from zeroskip.accel_model.machine.executor import FunctionalExecutor
from zeroskip.accel_model.machine.machine import Machine, Task
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks

Terms = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]
NONE = 1 << 40  # in the place of a limit that no value reaches


class UnprovableError(Exception):
    """A program whose weights or parameters depend on its inputs."""


def outputs(machine: Machine, program: Program) -> dict[str, Terms]:
    """The terms of every element of the outputs. MachineError if the program must not run."""
    stream = machine._check(program)
    state, _ = machine._walk(Task(program, stream))
    with np.errstate(over="ignore"):
        walk = _Symbolic(program, stream, state)
        walk.run(tokens.program_order(stream.unit))
    return {
        each.name: walk.dram[each.address : each.address + each.nbytes : each.element_bytes]
        for each in program.outputs
    }


def computes(machine: Machine, program: Program, wanted: dict[str, Terms]) -> bool:
    """Whether a program is known to give outputs of these terms whatever its inputs."""
    try:
        found = outputs(machine, program)
    except (MachineError, UnprovableError):
        return False
    return all(np.array_equal(found[name], terms) for name, terms in wanted.items())


def mix(kind: int, *parts: Any) -> Terms:
    """A hash of numbers or arrays of them (the finaliser of SplitMix64, Steele et al., 2014)."""
    made = np.asarray(kind, np.uint64)
    for part in parts:
        made = (made ^ np.asarray(part).astype(np.int64).view(np.uint64)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            made = (made ^ (made >> np.uint64(shift))) * np.uint64(factor)
        made = made ^ (made >> np.uint64(31))
    return made


class _Symbolic(FunctionalExecutor):
    """A walk that also computes terms. ``act`` is [rows, 16], ``acc`` [rows, 16], ``dram`` [bytes];
    a byte of the image has a term of its value."""

    def __init__(self, program: Program, stream: DecodedProgram, state: State) -> None:
        super().__init__(program, stream, state)
        memories = state.memories
        self.dram = np.zeros(program.dram_bytes, np.uint64)
        self.dram[: len(program.image)] = mix(1, program.image)
        for number, tensor in enumerate(program.inputs):
            place = slice(tensor.address, tensor.address + tensor.nbytes)
            self.dram[place] = mix(2, number, np.arange(tensor.nbytes))
        self.act = np.zeros(memories.act.shape[1:], np.uint64)
        self.acc = np.zeros(memories.acc.shape[1:], np.uint64)
        self._image = len(program.image)

    def _execute(self, pc: int, step: DecodedInstruction, known: npt.NDArray[np.int32]) -> None:
        super()._execute(pc, step, known)
        apply = getattr(self, f"_{step.one.mnemonic}", None)
        if apply is not None:
            apply(step.one)

    # ------------------------------------------------------------------------------ transfers

    def _load(self, one: isa.Load) -> None:
        wide = self._state.spec.storage.activation_bytes
        dram, act = moved_cells(one, self._state.register(isa.LoadShape), wide)
        rows = act.of(self.act)[:, :, :, 0]
        rows[..., one.lane : one.lane + one.bytes] = dram.of(self.dram)[..., ::wide]

    def _store(self, one: isa.Store) -> None:
        wide = self._state.spec.storage.activation_bytes
        dram, act = moved_cells(one, self._state.register(isa.StoreShape), wide)
        rows = act.of(self.act)[:, :, :, 0]
        dram.of(self.dram)[..., ::wide] = rows[..., one.lane : one.lane + one.bytes]

    def _loadweights(self, one: isa.LoadWeights) -> None:
        self._constant(one.dram + one.size)

    def _loadparams(self, one: isa.LoadParams) -> None:
        self._constant(one.dram + 16 * one.rows)

    def _constant(self, end: int) -> None:
        if end > self._image:
            raise UnprovableError

    # ---------------------------------------------------------------------------- computation

    def _conv(self, one: isa.Conv) -> None:
        filters, window = self._state.decoded(), self._state.window()
        weight = from_reduction_order(filters.matrix, one.channels, (window.taps,)).astype(np.int64)
        seen = self._inputs(one.channels).reshape(window.outputs, -1)
        sums = seen @ weight.reshape(len(weight), -1).T.view(np.uint64)
        used = accumulator_rows(self._state.placement(one.mode).slots, one.filters)
        rows = self.acc[one.acc : one.acc + window.outputs * len(used)]
        slots = np.concatenate([16 * row + np.arange(count) for row, count in enumerate(used)])
        held = rows.reshape(window.outputs, -1)
        if not one.first:
            sums = sums + held[:, slots]
        if not one.last:
            held[:, slots] = sums
            return
        reach = self._reach(weight) if one.first else None
        self._finish(sums, filters.order, one.par, bool(one.residual), reach)

    def _depthwise(self, one: isa.Depthwise) -> None:
        filters, window = self._state.decoded(), self._state.window()
        weight = np.empty((one.channels, 1, window.taps), np.int64)
        weight[filters.order, 0] = filters.matrix
        seen = self._inputs(one.channels)
        sums = (seen * weight[:, 0].view(np.uint64)).sum(axis=2, dtype=np.uint64)
        self._finish(
            sums, np.arange(one.channels), one.par, bool(one.residual), self._reach(weight)
        )

    def _maxpool(self, one: isa.MaxPool) -> None:
        x, y = self._state.register(isa.Input), self._state.register(isa.Output)
        seen = np.sort(self._inputs(one.channels, centred=False), axis=2)
        seen[..., 1:][seen[..., 1:] == seen[..., :-1]] = 0  # a maximum is of a set; 0 is padding
        found = np.where(seen == 0, 0, mix(5, seen)).sum(axis=2, dtype=np.uint64)
        self._write(mix(6, found, y.zero_point - x.zero_point, y.low, y.high))

    def _avgpool(self, one: isa.AvgPool) -> None:
        y, row = self._state.register(isa.Output), self._state.memories.par[one.par]
        weight = np.ones((one.channels, 1, self._state.window().taps), np.int64)
        sums = self._inputs(one.channels).sum(axis=2, dtype=np.uint64)
        scale = np.full(one.channels, int(row[:4].view("<i4")[0])), np.full(one.channels, row[4])
        self._write(_scaled(sums, *scale, y.zero_point, y.low, y.high, self._reach(weight), _even))

    def _add(self, one: isa.Add) -> None:
        self._write(self._total(self._inputs(one.channels)[:, :, 0], np.arange(one.channels)))

    def _multiply(self, one: isa.Multiply) -> None:
        values = self._inputs(one.channels)[:, :, 0]
        self._write(self._total(values, np.arange(one.channels), product=True))

    def _finish(
        self,
        sums: Terms,
        order: npt.NDArray[Any],
        par: int,
        residual: bool,
        reach: tuple[Int64, Int64] | None,
    ) -> None:
        count = blocks(len(order))
        raw = self._state.memories.par[par : par + isa.PAR_ROWS * count].reshape(count, -1)
        words = np.ascontiguousarray(raw[:, :128]).view("<i4").astype(np.int64)
        bias, mult = words[:, :16].reshape(-1)[order], words[:, 16:].reshape(-1)[order]
        shift = raw[:, 128:].reshape(-1)[order].astype(np.int64)
        sums = sums + bias.view(np.uint64)
        reach = None if reach is None else (reach[0] + bias, reach[1] + bias)
        y = self._state.register(isa.Output)
        if residual:
            r = self._state.register(isa.Operand)
            own = _scaled(sums, mult, shift, r.mid_zero_point, r.mid_low, r.mid_high, reach)
            zero = r.mid_zero_point
            if r.mid_lookup:
                own = mix(8, own, self._table_term(), r.mid_lookup)
                zero = int(self._state.memories.par[r.par].view("<i2")[5])
            made = self._total(mix(7, own) - _whole(zero), order)
        else:
            made = _scaled(sums, mult, shift, y.zero_point, y.low, y.high, reach)
        self._write(made[:, np.argsort(order)])

    def _total(self, values: Terms, order: npt.NDArray[Any], *, product: bool = False) -> Terms:
        """The scaled sum of values [outputs, columns] and the operand, or their product."""
        y, r = self._state.register(isa.Output), self._state.register(isa.Operand)
        row = self._state.memories.par[r.par]
        mult_a, mult_b = (int(each) for each in row[:8].view("<i4"))
        n = np.arange(y.height * y.width)
        rows = r.act + n // y.width * r.row + n % y.width * r.step
        lanes = 0 * order if r.spread else order % BLOCK
        held = self.act[rows[:, None] + order // BLOCK * r.block, lanes]
        other = mix(3, held, r.unsigned) - _whole(r.zero_point)
        total = values * _whole(mult_a) + other * _whole(mult_b)
        if product:
            total = values * other * _whole(mult_a)
        return mix(4, total, 1, int(row[8]), y.zero_point, y.low, y.high)

    def _inputs(self, channels: int, centred: bool = True) -> Terms:
        """[outputs, channels, taps]; 0 is padding. centred: the zero point is taken off."""
        window, x = self._state.window(), self._state.register(isa.Input)
        n, channel = np.arange(window.outputs), np.arange(channels)
        found = np.zeros((window.outputs, channels, window.taps), np.uint64)
        for tap in range(window.taps):
            r, s = divmod(tap, window.cols)
            row = window.top + n // window.out_width * window.row_stride + r * window.row_dilation
            col = window.left + n % window.out_width * window.col_stride + s * window.col_dilation
            inside = (row >= 0) & (row < window.height) & (col >= 0) & (col < window.width)
            pixels = (window.act + row * window.row + col)[inside]
            held = self.act[pixels[:, None] + channel // BLOCK * window.block, channel % BLOCK]
            values = mix(3, held, x.unsigned)
            found[inside, :, tap] = values - _whole(x.zero_point) if centred else values
        return found

    def _reach(self, weight: Int64) -> tuple[Int64, Int64]:
        """The least and greatest sum of each filter, int64 [F], whatever the inputs."""
        x = self._state.register(isa.Input)
        low, high = (0, 255) if x.unsigned else (-128, 127)
        low, high = min(low - x.zero_point, 0), max(high - x.zero_point, 0)
        flat = weight.reshape(len(weight), -1)
        ups, downs = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        return ups * low + downs * high, ups * high + downs * low

    def _table_term(self) -> np.uint64:
        """Of the table of results."""
        table = mix(9, np.arange(256), self._state.result_table())
        return np.uint64(table.sum(dtype=np.uint64))

    def _write(self, values: Terms) -> None:
        """Terms [outputs, channels] into the output tile."""
        y = self._state.register(isa.Output)
        if y.lookup:
            values = mix(8, values, self._table_term())
        n, channel = np.arange(len(values)), np.arange(values.shape[1])
        rows = y.act + n // y.width * y.row + n % y.width
        self.act[rows[:, None] + channel // BLOCK * y.block, channel % BLOCK] = values


def _whole(number: int) -> np.uint64:
    """A number modulo 2^64."""
    return np.uint64(number % (1 << 64))


def _half_up(p: Int64, shift: Int64) -> Int64:
    found: Int64 = (p + (1 << (shift - 1))) >> shift
    return found


def _even(p: Int64, shift: Int64) -> Int64:
    return np.array([even(a, int(b)) for a, b in zip(p, shift, strict=True)], np.int64)


def _scaled(
    sums: Terms,
    mult: Int64,
    shift: Int64,
    zero_point: int,
    low: int,
    high: int,
    reach: tuple[Int64, Int64] | None,
    rounded: Callable[[Int64, Int64], Int64] = _half_up,
) -> Terms:
    """Scaled sums [outputs, columns], see isa.py."""
    lows, highs = np.full(len(mult), low), np.full(len(mult), high)
    if reach is not None:
        ends = np.stack([rounded(end * mult, shift) + zero_point for end in reach])
        lows[ends.min(axis=0) >= low] = -NONE
        highs[ends.max(axis=0) <= high] = NONE
    return mix(4, sums, mult, shift, zero_point, lows, highs)
