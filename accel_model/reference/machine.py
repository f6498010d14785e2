"""A whole program clock by clock: three units, their tokens, one bus, and what each of them does.

Time only: activations are not looked at, since nothing takes longer for them. Weights are, and come
from the packed words in the banks of WGT.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import UNITS, Instruction, Unit
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.reference.channels import Channelwise, step_channels
from zeroskip.accel_model.reference.convolution import BLOCK, ROW, Convolution, Outcome
from zeroskip.accel_model.reference.dma import Transfer, row_rate, step_transfer
from zeroskip.accel_model.reference.streams import PatternMasks
from zeroskip.accel_model.spec import AccelSpec

WORD = 4
TABLE = 256  # bytes of a table of results
LIMIT = 10_000_000  # cycles


@dataclass
class Happened:
    """When an instruction had its tokens, started, freed its unit and completed; its events."""

    ready: int = 0
    start: int = 0
    free: int = 0
    end: int = 0
    events: Counter[str] = field(default_factory=Counter)


@dataclass
class Memory:
    """What timing depends on: DRAM's constants, WGT's words by (row, bank), PAR's rows."""

    dram: bytes
    wgt: dict[tuple[int, int], bytes] = field(default_factory=dict)
    par: dict[int, bytes] = field(default_factory=dict)


# ------------------------------------------------------------------------------ tokens and bus


@dataclass
class Station:
    """A unit: its instructions in order, the one it is busy with, and those yet to complete."""

    unit: Unit
    todo: deque[int] = field(default_factory=deque)
    now: int | None = None
    left: int = 0  # cycles of the one it is busy with
    completing: deque[tuple[int, int]] = field(default_factory=deque)  # (earliest cycle, pc)


def step_tokens(
    stream: list[Instruction], latency: int, perform: Callable[[int, Instruction], Counter[str]]
) -> list[Happened]:
    """Run instructions under their tokens; ``perform`` says what one does when it starts.

    RuntimeError if nothing can go on, or it does not end.
    """
    stations = [
        Station(unit, deque(pc for pc, one in enumerate(stream) if one.unit == unit))
        for unit in UNITS
    ]
    tokens: dict[tuple[Unit, Unit], deque[int]] = {
        (giver, taker): deque() for giver in UNITS for taker in UNITS
    }
    found = [Happened() for _ in stream]
    bus_owner: Station | None = None
    clock = 0
    while any(each.todo or each.now is not None or each.completing for each in stations):
        for each in stations:
            _complete(each, stream, found, tokens, clock)
        for each in stations:  # load before store: the order of the units is that of the bus
            if each.now is not None or not each.todo:
                continue
            pc = each.todo[0]
            one = stream[pc]
            givers = [unit for unit in UNITS if one.wait & unit]
            if not all(tokens[giver, each.unit] for giver in givers):
                continue
            moves = _on_bus(one)
            if moves and bus_owner is not None:
                continue
            found[pc].ready = max(
                [tokens[giver, each.unit].popleft() for giver in givers], default=0
            )
            found[pc].start = clock
            found[pc].events = perform(pc, one)
            each.todo.popleft()
            each.now, each.left = pc, found[pc].events["cycles"]
            if moves:
                bus_owner = each
        if not any(each.now is not None or each.completing for each in stations) and any(
            each.todo for each in stations
        ):
            raise RuntimeError(f"no unit can go on at cycle {clock}")
        clock += 1
        for each in stations:
            if each.now is None:
                continue
            each.left -= 1
            if each.left:
                continue
            found[each.now].free = clock
            moves = _on_bus(stream[each.now])
            each.completing.append((clock + latency if moves else clock, each.now))
            each.now = None
            if bus_owner is each:
                bus_owner = None
        if clock > LIMIT:
            raise RuntimeError(f"the program is not finished after {LIMIT} cycles")
    return found


def _complete(
    station: Station,
    stream: list[Instruction],
    found: list[Happened],
    tokens: dict[tuple[Unit, Unit], deque[int]],
    clock: int,
) -> None:
    """What a unit has finished by now, in order, completes and gives its tokens."""
    while station.completing and station.completing[0][0] <= clock:
        _, pc = station.completing.popleft()
        found[pc].end = clock
        for taker in UNITS:
            if stream[pc].post & taker:
                tokens[station.unit, taker].append(clock)


def _on_bus(one: Instruction) -> bool:
    return isinstance(one, isa.Load | isa.LoadWeights | isa.LoadParams | isa.Store)


# ------------------------------------------------------------------------------ whole programs


def step_program(program: Program) -> list[Happened]:
    """When everything in a program happens, and what is counted for each instruction."""
    stream = decode_all(program.words)
    engine = _Engine(program.spec, Memory(program.image.tobytes()))
    return step_tokens(
        stream, program.spec.dram.latency_cycles, lambda _pc, one: engine.perform(one)
    )


@dataclass
class _Engine:
    """Registers and memories, and what each instruction makes of them."""

    spec: AccelSpec
    memory: Memory
    registers: dict[str, Any] = field(default_factory=dict)
    table: PatternMasks | None = None

    def perform(self, one: Instruction) -> Counter[str]:
        act: Callable[[Any], Outcome] | None = getattr(self, f"_{one.mnemonic}", None)
        if act is None:  # sets a register
            self.registers[one.mnemonic] = one
            return Counter(cycles=1)
        return act(one).events

    # Transfers. The shapes of `load` and `store` come from their own registers.

    def _load(self, one: isa.Load) -> Outcome:
        return self._move(one, self.registers["loadshape"], "act_loaded", "dram_read")

    def _store(self, one: isa.Store) -> Outcome:
        return self._move(one, self.registers["storeshape"], "act_stored", "dram_written")

    def _move(self, one: Any, shape: Any, act: str, dram: str) -> Outcome:
        outcome = step_transfer(
            self.spec,
            Transfer(
                one.dram,
                one.bytes * self.spec.storage.activation_bytes,
                (one.width, one.height, one.blocks),
                (shape.dram_pixel, shape.dram_row, shape.dram_block),
            ),
            one.width * one.height * one.blocks,
            row_rate(self.spec),
            writes=isinstance(one, isa.Store),
        )
        for _block in range(one.blocks):
            for _row in range(one.height):
                outcome.events["act_rows"] += one.width
                outcome.events[act] += ROW * one.width
        outcome.events[dram] = outcome.events["dram_bytes"]
        return outcome

    def _loadweights(self, one: isa.LoadWeights) -> Outcome:
        raw = self.memory.dram[one.dram : one.dram + one.size]
        slots, wide = self._placement(one.mode)
        row, at, n, tall = one.wgt, 0, 0, 0
        while at < len(raw):
            if n % slots == 0:
                row, tall = row + tall, 0
            words = int.from_bytes(raw[at + 2 : at + WORD], "little")
            for k in range(words):
                place = (row + k // wide, n % slots * wide + k % wide)
                self.memory.wgt[place] = raw[at + WORD * k : at + WORD * (k + 1)]
                tall = max(tall, k // wide + 1)
            at, n = at + WORD * words, n + 1
        outcome = step_transfer(self.spec, Transfer(one.dram, one.size))
        outcome.events["wgt_words"] = one.size // WORD
        outcome.events["wgt_loaded"] = one.size
        outcome.events["dram_read"] = outcome.events["dram_bytes"]
        return outcome

    def _loadparams(self, one: isa.LoadParams) -> Outcome:
        for row in range(one.rows):
            at = one.dram + 16 * row
            self.memory.par[one.par + row] = self.memory.dram[at : at + 16]
        outcome = step_transfer(self.spec, Transfer(one.dram, ROW * one.rows))
        outcome.events["par_loaded"] = ROW * one.rows
        outcome.events["dram_read"] = outcome.events["dram_bytes"]
        return outcome

    def _placement(self, mode: int) -> tuple[int, int]:
        """Streams of a group, and neighbouring banks that share one."""
        placement = self.spec.kind.placement(self.spec.array, mode)
        return placement.slots, placement.banks

    # Computation.

    def _table(self, one: isa.Table) -> Outcome:
        rows = [self.memory.par[one.par + row] for row in range(one.rows)]
        masks = []
        for slab in range(one.rows // 2):
            raw = rows[2 * slab] + rows[2 * slab + 1]
            masks.append([int.from_bytes(raw[2 * n : 2 * n + 2], "little") for n in range(16)])
        self.table = PatternMasks(masks, one.argument)
        outcome = Outcome(cycles=1)
        for _row in rows:
            outcome.cycles += 1
            outcome.events["par_read"] += ROW
        outcome.events["cycles"] = outcome.cycles
        return outcome

    def _lookup(self, one: isa.Lookup) -> Outcome:
        """A row of PAR a cycle to every copy of the table, of which there is one for each result
        that is written back in a cycle."""
        outcome = Outcome(cycles=1)
        for _row in range(TABLE // ROW):
            outcome.cycles += 1
            outcome.events["par_read"] += ROW
            for _copy in range(self._written_back):
                outcome.events["lookups"] += 1
                outcome.events["table_written"] += ROW
        outcome.events["cycles"] = outcome.cycles
        return outcome

    @property
    def _written_back(self) -> int:
        """Results that are written back in a cycle: whole rows of 16, or each alone."""
        way = self.spec.kind.datapath(self.spec)
        return BLOCK * way.rows if way.in_rows else max(BLOCK, way.results)

    def _looked_up(self, outcome: Outcome, channels: int, residual: int = 0) -> Outcome:
        """With a row of a table read for each result, where `output` says so or, of one that an
        operand is added to, `operand`."""
        y = self.registers["output"]
        looked = y.lookup or (residual and self.registers["operand"].mid_lookup)
        for _output in range(y.height * y.width * bool(looked)):
            outcome.events["lookups"] += channels
            outcome.events["looked_up"] += ROW * channels
        return outcome

    def _streams(self, wgt: int, count: int, mode: int) -> list[bytes]:
        """Streams in WGT from a row on: one in each slot, groups one after another."""
        slots, wide = self._placement(mode)
        streams: list[bytes] = []
        row, tall = wgt, 0
        for n in range(count):
            if n % slots == 0:
                row, tall = row + tall, 0
            bank = n % slots * wide
            words = int.from_bytes(self.memory.wgt[row, bank][2:], "little")
            streams.append(
                b"".join(self.memory.wgt[row + k // wide, bank + k % wide] for k in range(words))
            )
            tall = max(tall, -(-words // wide))
        return streams

    def _conv(self, one: isa.Conv) -> Outcome:
        x, operand = self.registers["input"], self.registers.get("operand")
        extent = self.registers["extent"]
        nothing = [[0] * extent.width] * extent.height
        step: Callable[[AccelSpec, Convolution], Outcome] = resolve_name(self.spec.kind.reference)
        outcome = step(
            self.spec,
            Convolution(
                image=[nothing] * one.channels,
                row=x.row,
                **self._window(),
                streams=self._streams(one.wgt, one.filters, one.mode),
                mode=one.mode,
                table=self.table,
                first=bool(one.first),
                last=bool(one.last),
                out_blocks=-(-one.filters // BLOCK),
                operand_row=operand.row if operand and one.last and one.residual else None,
                weight_bytes=self.spec.storage.weight_bytes,
            ),
        )
        return self._looked_up(outcome, one.filters, one.residual) if one.last else outcome

    def _window(self) -> dict[str, Any]:
        extent, y, kernel = (self.registers[name] for name in ("extent", "output", "kernel"))
        return {
            "kernel": (kernel.rows, kernel.cols),
            "top": extent.top,
            "left": extent.left,
            "stride": (kernel.row_stride, kernel.col_stride),
            "output": (y.height, y.width),
            "dilation": (kernel.row_dilation, kernel.col_dilation),
        }

    def _channelwise(self, channels: int, residual: int = 0, **more: Any) -> Outcome:
        x, extent = self.registers["input"], self.registers["extent"]
        outcome = step_channels(
            self.spec,
            Channelwise(
                channels=channels,
                size=(extent.height, extent.width),
                row=x.row,
                **self._window(),
                **more,
            ),
        )
        return self._looked_up(outcome, channels, residual)

    def _depthwise(self, one: isa.Depthwise) -> Outcome:
        taps = self.registers["kernel"].rows * self.registers["kernel"].cols
        wide = self.spec.storage.weight_bytes
        streams = self._streams(one.wgt, one.channels, 0)
        weights = [[0]] * one.channels
        for stream in streams:
            held = stream[WORD : WORD + taps * wide : wide]
            weights[int.from_bytes(stream[:2], "little")] = list(held)
        return self._channelwise(
            one.channels,
            one.residual,
            weights=weights,
            words=sum(len(stream) for stream in streams) // WORD,
            operand_row=self.registers["operand"].row if one.residual else None,
            requantised=True,
        )

    def _maxpool(self, one: isa.MaxPool) -> Outcome:
        return self._channelwise(one.channels)

    def _avgpool(self, one: isa.AvgPool) -> Outcome:
        return self._channelwise(one.channels, requantised=True)

    def _add(self, one: isa.Add) -> Outcome:
        return self._pair(one.channels)

    def _multiply(self, one: isa.Multiply) -> Outcome:
        return self._pair(one.channels)

    def _pair(self, channels: int) -> Outcome:
        operand = self.registers["operand"]
        return self._channelwise(
            channels, operand_row=operand.row, operand_step=operand.step, requantised=True
        )
