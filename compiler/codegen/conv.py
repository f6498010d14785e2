"""Instructions of convolutions."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.formats import Shape
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.program.address_set import AddressSet
from zeroskip.accel_model.program.tensor_layout import accumulator_rows, blocks
from zeroskip.compiler.codegen.act_tile import ActTile, TileRequest
from zeroskip.compiler.codegen.param_rows import requantize_rows, sum_rows
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.codegen.rows import Rows
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.kernel_parts import kernel_parts
from zeroskip.compiler.ir.schedule import CHANNELS, ROWS, ConvPlan
from zeroskip.compiler.ir.tiles import (
    InputTile,
    Interval,
    Tile2D,
    full,
    intervals,
    looked_at,
    patches_of,
)
from zeroskip.compiler.ir.weight_packing import PackedWeights, packed_parts


@dataclass(frozen=True)
class ConvStep:
    """One ``conv`` instruction: a tile of filters on a patch, over a chunk of channels and a part
    of the kernel, by its number. outputs: of other patches or tiles of filters, whose sums lie in
    ACC before its own."""

    filters: Interval
    patch: Tile2D
    part: int
    channels: Interval
    first: bool
    last: bool
    outputs: int = 0

    @property
    def weights(self) -> tuple[int, Interval, Interval]:
        """What its weights are found by: part of the kernel, filters, channels."""
        return self.part, self.filters, self.channels


def steps(conv: ops.ConvOp, plan: ConvPlan, rows: Interval) -> Iterator[ConvStep]:
    """The steps that make some rows of a convolution's output, in the order of its plan."""
    count, channels = conv.weight.shape[:2]
    filter_tiles = intervals(count, plan.filters)
    cuts = patches_of(conv, rows, plan.rows, plan.cols)
    numbers = range(len(kernel_parts(conv, plan.kernel_cuts)))
    chunks = [*product(numbers, intervals(channels, plan.channels))]
    if plan.outer == "chunks":
        before = [0, *accumulate(cut.pixels for cut in cuts)]
        for part, chunk in product(filter_tiles, chunks):
            ends = chunk == chunks[0], chunk == chunks[-1]
            for cut, outputs in zip(cuts, before, strict=False):
                yield ConvStep(part, cut, *chunk, *ends, outputs)
        return
    pairs = (
        [(part, cut) for part in filter_tiles for cut in cuts]
        if plan.outer == "weights"
        else [(part, cut) for cut in cuts for part in filter_tiles]
    )
    for part, cut in pairs:
        for chunk in chunks:
            yield ConvStep(part, cut, *chunk, chunk == chunks[0], chunk == chunks[-1])


def trailing_steps(conv: ops.ConvOp, plan: ConvPlan, rows: Interval) -> Iterator[ConvStep]:
    """The steps that multiply some rows of the input of a dense layer that trails by its kernel
    rows for them."""
    count, channels = conv.weight.shape[:2]
    chunks = intervals(channels, plan.channels)
    output = full(conv.y.spatial)
    for number, part in enumerate(intervals(count, plan.filters)):
        for row, chunk in product(range(rows.start, rows.end), chunks):
            first = row == 0 and chunk == chunks[0]
            last = row == conv.x.spatial[0] - 1 and chunk == chunks[-1]
            yield ConvStep(part, output, row, chunk, first, last, number)


def following_steps(conv: ops.ConvOp, plan: ConvPlan, _rows: Interval) -> Iterator[ConvStep]:
    """The steps of a dense layer that follows: all filters over a chunk of channels, then over the
    next one."""
    count, channels = conv.weight.shape[:2]
    chunks = intervals(channels, plan.channels)
    output = full(conv.y.spatial)
    for chunk in chunks:
        for number, part in enumerate(intervals(count, plan.filters)):
            yield ConvStep(part, output, 0, chunk, chunk == chunks[0], chunk == chunks[-1], number)


ORDERS = {ROWS: trailing_steps, CHANNELS: following_steps}  # of dense layers; all others: ``steps``


@dataclass(frozen=True, eq=False)
class ConvEmitter:
    """Emits a convolution step by step. ``id`` makes its keys its own."""

    out: ProgramBuilder
    conv: ops.ConvOp
    plan: ConvPlan
    weights: PackedWeights
    id: int

    @property
    def _weights_key(self) -> Hashable:
        """What its constants are found again by: its number, or where the frames of a volume share
        them, the constants themselves and the mode that they are packed for."""
        if self.conv.shared is None:
            return self.id
        return id(self.conv.weight), id(self.conv.bias), self.plan.mode

    @property
    def _slots(self) -> int:
        """Streams that the array works on at once."""
        return self.out.spec.kind.placement(self.out.spec.array, self.plan.mode).slots

    @property
    def weight_rows(self) -> list[int]:
        """WGT rows of each tile of weights."""
        return [rows for _, rows in self._packed.values()]

    def emit(self, rows: Interval) -> Iterator[None]:
        """Append the instructions that make some rows of the output, or, of a dense layer that
        trails, those that some rows of the input go through."""
        self.out.weight_table = None
        made = [*self.steps(rows)]
        for step, ahead in zip(made, self._rows_ahead(made), strict=True):
            if self.out.weight_table != (self.id, step.part):
                self._load_table(step.part)
            self._step(step, rows, ahead)
            yield
        self.out.act.unpin()

    def steps(self, rows: Interval) -> Iterator[ConvStep]:
        """The steps of ``emit``."""
        return ORDERS.get(self.plan.outer, steps)(self.conv, self.plan, rows)

    def _rows_ahead(self, made: Sequence[ConvStep]) -> list[int]:
        """Of each step, the WGT rows of the first weights after its own."""
        ahead, coming, after = list[int](), self.out.weights_next(), None
        for step in reversed(made):
            if after is not None and after != step.weights:
                coming = self._packed[after][1]
            ahead.append(coming)
            after = step.weights
        return ahead[::-1]

    def idle_bus(self, rows: Interval) -> list[float]:
        """About the cycles that the array takes longer for each of these steps than the bus for its
        weights."""
        spec, held, found = self.out.spec, None, list[float]()
        granule = spec.kind.granule(spec.array, self.plan.mode)
        for step in self.steps(rows):
            key = step.weights
            outputs = -(-step.patch.pixels // granule) * granule
            products = self._stored * step.filters.size * step.channels.size * outputs
            moved = 0 if key == held else len(self._packed[key][0])
            idle = products / spec.array.macs - moved / spec.dram.bytes_per_cycle
            found.append(max(0.0, idle))
            held = key
        return found

    @cached_property
    def _stored(self) -> float:
        """Weights that are stored of a filter, a channel and a part of the kernel, on average."""
        weights = self.weights
        each = weights.filters * weights.channels * len(self._parts)
        return float(weights.work.sum() / each)

    def _kept_input(self, rows: Interval) -> ActTile:
        """The input of all the steps in ACT, loaded by the first and held until they are done."""
        x = self.conv.x
        stripe = Tile2D(rows, full(self.conv.y.spatial).cols)
        looked = looked_at(self.conv, stripe, loaded=True).patch
        held = self.out.act.pin((self.id, "kept", rows), blocks(x.channels) * looked.pixels)
        if held is None:
            raise CompileError(f"'{self.conv.node}': its input does not fit in ACT")
        tile = ActTile.packed(held[0], looked)
        if held[1]:
            self.out.load(x, Interval(0, x.channels), tile, self.conv.rows_apart)
        return tile

    @cached_property
    def _parts(self) -> list[PackedWeights]:
        """Of the kernel."""
        return packed_parts(self.weights, self.plan.kernel_cuts)

    def _load_table(self, part: int) -> None:
        table = self._parts[part].table
        self.out.weight_table = self.id, part
        if table is None:
            return
        rows = table.to_rows()
        (par,) = self.out.load_params(((self._weights_key, "table", part), rows))
        reads = [Rows("par", AddressSet(par, len(rows)))]
        made = isa.Table(par=par, rows=len(rows), argument=table.argument)
        self.out.stream.add(made, reads)

    def _step(self, step: ConvStep, stripe: Interval, ahead: int) -> None:
        """Constants are loaded first: they wait for no other layer, activations may. ahead: rows of
        the weights that come next."""
        out, conv, residual = self.out, self.conv, self.conv.residual
        part, loaded = self._parts[step.part].conv, conv.x.value.name not in out.resident
        raw, rows = self._packed[step.weights]
        key = (self._weights_key, "w", *step.weights)
        wgt = out.weights(key, raw, rows, self.plan.mode, ahead)
        reads = [wgt]
        par, par_sum = 0, 0
        if step.last:
            out.set_table(conv.any_table)
            par, par_sum, used = self._place_params(step.filters)
            reads += used
        looked = looked_at(part, step.patch, loaded=loaded)
        x, y, *operand = self._tiles(step, looked, stripe, part.rows_apart)
        reads.append(x.rows(blocks(step.channels.size)))
        writes = []
        tile = -1
        out.registers.set_kernel(part.seen(loaded=loaded)[0])
        out.registers.set_input(x, looked, conv.x.value)
        if step.last:
            if residual is not None:
                out.registers.set_operand(operand[0], conv, par_sum)
                reads.append(operand[0].rows(blocks(step.filters.size)))
            writes.append(y.rows(blocks(step.filters.size)))
            tile = out.tile(
                conv.y.offset + step.filters.start,
                step.filters.size,
                step.patch.below(conv.y.first_row),
            )
        out.registers.set_output(y, conv, conv.clip if residual is None else residual.sum.clip)
        made = isa.Conv(
            wgt=wgt.start,
            par=par,
            acc=self._first_sum(step),
            filters=step.filters.size,
            channels=step.channels.size,
            mode=self.plan.mode,
            first=int(step.first),
            last=int(step.last),
            residual=int(step.last and residual is not None),
        )
        out.stream.add(made, reads, writes, tile)
        if step.last:
            out.store(conv.y, step.filters, y)

    def _first_sum(self, step: ConvStep) -> int:
        """The first row of ACC of a step's sums."""
        if self.plan.outer in ORDERS:  # tiles of filters before it, all of them whole
            return step.outputs * len(accumulator_rows(self._slots, self.plan.filters))
        own = step.outputs * len(accumulator_rows(self._slots, step.filters.size))
        return self.out.waiting_sums + own

    def _tiles(
        self, step: ConvStep, looked: InputTile, stripe: Interval, rows_apart: int
    ) -> list[ActTile]:
        """Input, output and operand tiles of a step; what is not there yet is loaded, of the input
        every so-many-th row."""
        conv = self.conv
        wanted = [
            TileRequest(
                (self.id, "y", step.patch, step.filters),
                conv.y,
                step.filters,
                step.patch,
                load=False,
            )
        ]
        if conv.residual is not None and (step.last or self.plan.outer != "chunks"):
            wanted.append(
                TileRequest(
                    (self.id, "r", step.patch, step.filters),
                    conv.residual.addend,
                    step.filters,
                    step.patch,
                )
            )
        if self.plan.keep_input:
            x = self._kept_input(stripe).at(looked.patch, step.channels.start // isa.BLOCK)
            return [x, *self.out.tiles(wanted)]
        wanted.insert(
            0,
            TileRequest(
                (self.id, "x", step.part, step.patch, step.channels),
                conv.x,
                step.channels,
                looked.patch,
                rows_apart=rows_apart,
            ),
        )
        return self.out.tiles(wanted)

    @cached_property
    def _packed(self) -> dict[tuple[int, Interval, Interval], tuple[npt.NDArray[np.uint8], int]]:
        """Streams and WGT rows of each part of the kernel, tile of filters and chunk of
        channels."""
        plan, spec = self.plan, self.out.spec
        placement = spec.kind.placement(spec.array, plan.mode)
        packed = {}
        for filters in intervals(self.weights.filters, plan.filters):
            order = self.weights.order(filters)
            for (number, part), chunk in product(
                enumerate(self._parts), intervals(self.weights.channels, plan.channels)
            ):
                matrix, shape = part.part(filters, chunk)[order], Shape(chunk.size, part.taps)
                raw, lengths = part.format.pack(matrix, shape, order, part.table)
                packed[number, filters, chunk] = (raw, placement.rows(lengths))
        for each in (self.weights, *self._parts):
            each.release()
        return packed

    def _place_params(self, filters: Interval) -> tuple[int, int, list[Rows]]:
        """PAR rows of the filters' parameters and of the addition's, and all that is read."""
        conv = self.conv
        part = slice(filters.start, filters.end)
        own = requantize_rows(conv.bias[part], conv.mult[part], conv.shift[part])
        wanted: list[tuple[Hashable, npt.NDArray[np.uint8]]] = [
            ((self._weights_key, "p", filters), own)
        ]
        if conv.residual is not None:
            wanted.append(((self.id, "t"), sum_rows(conv)))
        pars = self.out.load_params(*wanted)
        reads = [
            Rows("par", AddressSet(par, len(rows)))
            for par, (_, rows) in zip(pars, wanted, strict=True)
        ]
        return pars[0], pars[-1], reads
