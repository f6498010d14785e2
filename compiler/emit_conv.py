"""Instructions of convolutions."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model import formats, isa
from zeroskip.accel_model.layout import blocks
from zeroskip.compiler import ops
from zeroskip.compiler.emit import ActTile, Emitter, requantise_rows, scalar_rows
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.plan import ConvPlan
from zeroskip.compiler.rows import Rows
from zeroskip.compiler.tiles import Patch, Span, patches, source, spans
from zeroskip.compiler.weights import Weights


@dataclass(frozen=True)
class Step:
    """One ``conv`` instruction: a tile of filters on a patch, over a chunk of channels."""

    filters: Span
    patch: Patch
    channels: Span
    first: bool
    last: bool


def steps(conv: ops.Conv, plan: ConvPlan) -> Iterator[Step]:
    """The steps of a convolution in the order of its plan."""
    count, channels = conv.weight.shape[:2]
    filter_tiles = spans(count, plan.filters)
    cuts = patches(conv.y.value.spatial, plan.rows, plan.cols)
    chunks = spans(channels, plan.channels)
    pairs = ([(part, cut) for part in filter_tiles for cut in cuts] if plan.outer == "weights"
             else [(part, cut) for cut in cuts for part in filter_tiles])
    for part, cut in pairs:
        for chunk in chunks:
            yield Step(part, cut, chunk, chunk.start == 0, chunk.end == channels)


def emit_conv(emitter: Emitter, conv: ops.Conv, plan: ConvPlan, weights: Weights) -> None:
    """Append the instructions of a convolution."""
    _ConvEmitter(emitter, conv, plan, weights, len(emitter.stream.instructions)).emit()


@dataclass(frozen=True, eq=False)
class _ConvEmitter:
    out: Emitter
    conv: ops.Conv
    plan: ConvPlan
    weights: Weights
    id: int  # makes the keys of this operation its own

    def emit(self) -> None:
        self._load_table()
        for step in steps(self.conv, self.plan):
            self._step(step)
        self.out.act.unpin(self._kept)

    @property
    def _kept(self) -> Hashable:
        return (self.id, "kept")

    def _keep_input(self) -> ActTile:
        """The whole input in ACT, held there until the convolution is done."""
        x = self.conv.x
        full = Patch(Span(0, x.value.spatial[0]), Span(0, x.value.spatial[1]))
        held = self.out.act.pin(self._kept, blocks(x.channels) * full.pixels)
        if held is None:
            raise CompileError(f"'{self.conv.node}': its input does not fit in ACT")
        tile = ActTile.packed(held[0], full)
        if held[1]:
            self.out.load(x, Span(0, x.channels), tile)
        return tile

    def _load_table(self) -> None:
        table = self.weights.table
        if table is None:
            return
        rows = table.to_rows()
        (par,) = self.out.params(((self.id, "table"), rows))
        reads = [Rows("par", par, len(rows))]
        made = isa.Patterns(par=par, slabs=len(rows) // 2, id_bits=table.id_bits)
        self.out.stream.add(made, reads)

    def _step(self, step: Step) -> None:
        """Constants are loaded first: they wait for no other layer, activations may."""
        out, conv, plan = self.out, self.conv, self.plan
        wgt = self._place_weights(step)
        reads = [Rows("wgt", *wgt)]
        par, par_sum = 0, 0
        if step.last:
            par, par_sum, used = self._place_params(step.filters)
            reads += used
        looked = source(conv.window, step.patch, conv.x.value.spatial)
        x, result, operand = self._place_tiles(step, looked.patch)
        reads.append(x.rows(blocks(step.channels.size)))
        writes = []
        tile = -1
        out.set_kernel(conv.window)
        out.set_input(x, looked, conv.x.value)
        if step.last:
            if conv.residual is not None and operand is not None:
                out.set_operand(operand, conv.residual.r.value, par_sum, conv.residual)
                reads.append(operand.rows(blocks(step.filters.size)))
            writes.append(result.rows(blocks(step.filters.size)))
            tile = out.tile(conv.y.offset + step.filters.start, step.filters.size, step.patch)
        out.set_output(result, conv.y.value, _final_clip(conv))
        made = isa.Conv(wgt=wgt[0], par=par, acc=0, filters=step.filters.size,
                        channels=step.channels.size, gang=plan.gang, first=int(step.first),
                        last=int(step.last),
                        residual=int(step.last and conv.residual is not None))
        out.stream.add(made, reads, writes, tile)
        if step.last:
            out.store(conv.y, step.filters, result)

    def _place_tiles(
        self, step: Step, looked: Patch
    ) -> tuple[ActTile, ActTile, ActTile | None]:
        """Input, output and operand tiles of a step; what is not there yet is loaded."""
        conv, out = self.conv, self.out
        kept = self._keep_input() if self.plan.keep_input else None
        needs: list[tuple[Hashable, int]] = []
        if kept is None:
            size = blocks(step.channels.size) * looked.pixels
            needs.append(((self.id, "x", step.patch, step.channels), size))
        written = blocks(step.filters.size) * step.patch.pixels
        needs.append(((self.id, "y", step.patch, step.filters), written))
        if conv.residual is not None:
            needs.append(((self.id, "r", step.patch, step.filters), written))
        places = out.reserve(out.act, needs)
        if kept is None:
            act, fresh = places.pop(0)
            x = ActTile.packed(act, looked)
            if fresh:
                out.load(conv.x, step.channels, x)
        else:
            first = kept.at(looked)
            x = ActTile(first.act + step.channels.start // isa.BLOCK * kept.block, looked,
                        kept.row, kept.block)
        result = ActTile.packed(places[0][0], step.patch)
        if conv.residual is None:
            return x, result, None
        operand = ActTile.packed(places[1][0], step.patch)
        if places[1][1]:
            out.load(conv.residual.r, step.filters, operand)
        return x, result, operand

    def _place_weights(self, step: Step) -> tuple[int, int]:
        """(first WGT row, rows) of the step's weights, loaded if they are not there."""
        raw, rows = self._packed[step.filters, step.channels]
        key = (self.id, "w", step.filters, step.channels)
        (wgt, fresh), = self.out.reserve(self.out.wgt, [(key, rows)])
        if fresh:
            dram = self.out.image.add(key, raw.tobytes)
            made = isa.LoadWeights(wgt=wgt, dram=dram, size=len(raw), gang=self.plan.gang)
            self.out.stream.add(made, [], [Rows("wgt", wgt, rows)])
        return wgt, rows

    @cached_property
    def _packed(self) -> dict[tuple[Span, Span], tuple[npt.NDArray[np.uint8], int]]:
        """Streams and WGT rows of each tile of filters and chunk of channels."""
        weights, plan = self.weights, self.plan
        lanes = self.out.spec.array.lanes
        packed = {}
        for part in spans(weights.filters, plan.filters):
            order = weights.order(part)
            for chunk in spans(weights.channels, plan.channels):
                matrix = weights.part(part, chunk)[order]
                raw, lengths = formats.pack(weights.kind, matrix, chunk.size, weights.taps,
                                            order, weights.table)
                _, rows = formats.place(lengths, lanes >> plan.gang, plan.gang)
                packed[part, chunk] = (raw, int(rows))
        return packed

    def _place_params(self, filters: Span) -> tuple[int, int, list[Rows]]:
        """PAR rows of the filters' parameters and of the addition's, and all that is read."""
        conv = self.conv
        part = slice(filters.start, filters.end)
        own = requantise_rows(conv.bias[part], conv.mult[part], conv.shift[part])
        key = (self.id, "p", filters)
        if conv.residual is None:
            (par,) = self.out.params((key, own))
            return par, 0, [Rows("par", par, len(own))]
        total = conv.residual.sum
        scale = scalar_rows(total.mult_a, total.mult_b, shift=total.shift)
        par, par_sum = self.out.params((key, own), ((self.id, "s"), scale))
        return par, par_sum, [Rows("par", par, len(own)), Rows("par", par_sum, 1)]


def _final_clip(conv: ops.Conv) -> ops.Clip:
    return conv.clip if conv.residual is None else conv.residual.sum.clip
