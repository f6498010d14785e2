"""Instructions of a group of operations, stripe by stripe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain, islice
from typing import Any, NamedTuple, Protocol

from zeroskip.compiler.codegen.act_tile import ActTile
from zeroskip.compiler.codegen.channelwise import (
    INSTRUCTIONS,
    ChannelEmitter,
    Channelwise,
    CopyEmitter,
    ReshapeEmitter,
    cuts,
)
from zeroskip.compiler.codegen.conv import ConvEmitter
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.codegen.weave import WeaveEmitter
from zeroskip.compiler.dump import describe_step
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.compulsory_traffic import touched
from zeroskip.compiler.ir.kernel_parts import WHOLE
from zeroskip.compiler.ir.layer_info import layer_info
from zeroskip.compiler.ir.liveness import Liveness, LiveRange
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.schedule import ChannelPlan, ConvPlan, GroupPlan
from zeroskip.compiler.ir.stripes import plan_stripes
from zeroskip.compiler.ir.tiles import Interval, Tile2D
from zeroskip.compiler.ir.trailing import due_steps, leader, map_edges, rows_before, waiting_sums
from zeroskip.compiler.ir.views import whole
from zeroskip.compiler.ir.weight_packing import PackedWeights, weights_of


class OpEmitter(Protocol):
    """What appends an operation's instructions."""

    @property
    def weight_rows(self) -> Sequence[int]:
        """WGT rows of each of its tiles of weights."""

    def emit(self, rows: Interval) -> Iterator[None]:
        """Append the instructions that make some rows of the output, a step at a time."""


class EmitterOf(NamedTuple):
    """How the instructions of an operation are made.

    plan: the kind of its schedule.
    make: its emitter, given where to, operation, schedule, its number in the region, weights.
    """

    plan: type[ConvPlan | ChannelPlan]
    make: Callable[[ProgramBuilder, Any, Any, int, PackedWeights | None], OpEmitter]


def _conv(
    out: ProgramBuilder, op: ops.ConvOp, plan: ConvPlan, number: int, weights: PackedWeights | None
) -> OpEmitter:
    return ConvEmitter(out, op, plan, weights or PackedWeights(op, out.spec), number)


def _channelwise(
    out: ProgramBuilder,
    op: Channelwise,
    plan: ChannelPlan,
    number: int,
    _weights: PackedWeights | None,
) -> OpEmitter:
    return ChannelEmitter(out, op, plan, number)


def _copy(
    out: ProgramBuilder,
    op: ops.CopyOp,
    plan: ChannelPlan,
    number: int,
    _weights: PackedWeights | None,
) -> OpEmitter:
    return CopyEmitter(out, op, plan, number)


def _reshape(
    out: ProgramBuilder,
    op: ops.ReshapeOp,
    _plan: ChannelPlan,
    number: int,
    _weights: PackedWeights | None,
) -> OpEmitter:
    return ReshapeEmitter(out, op, number)


def _weave(
    out: ProgramBuilder,
    op: ops.WeaveOp,
    plan: ChannelPlan,
    number: int,
    _weights: PackedWeights | None,
) -> OpEmitter:
    return WeaveEmitter(out, op, plan, number)


EMITTERS: dict[type[Op], EmitterOf] = {
    ops.ConvOp: EmitterOf(ConvPlan, _conv),
    **dict.fromkeys(INSTRUCTIONS, EmitterOf(ChannelPlan, _channelwise)),
    ops.CopyOp: EmitterOf(ChannelPlan, _copy),
    ops.ReshapeOp: EmitterOf(ChannelPlan, _reshape),
    ops.WeaveOp: EmitterOf(ChannelPlan, _weave),
}


def emit_groups(out: ProgramBuilder, groups: Sequence[GroupPlan]) -> None:
    """Append the groups of a region one after the other."""
    ends = accumulate(len(group.plans) for group in groups)
    emitters = [
        _GroupEmitter(out, end - len(group.plans), group)
        for end, group in zip(ends, groups, strict=True)
    ]
    for at, each in enumerate(emitters):
        each.emit(emitters[at + 1 :])


class _GroupEmitter:
    """Appends a group whose first operation has this number in the region."""

    def __init__(self, out: ProgramBuilder, first: int, group: GroupPlan) -> None:
        self.out, self.first, self.group = out, first, group
        last = first + len(group.plans)
        self.steps = out.region.ops[first:last]
        self.stripe_plans = plan_stripes(self.steps, group.stripes, group.trails)
        uses = Liveness(out.region.ops, out.region.outputs)
        self.needed = uses.live_out(first, last)
        act = {buffer.maker: buffer.act for buffer in group.buffers}
        self.homes = [
            (each, act[each.first]) for each in uses.resident(first, last) if each.first in act
        ]
        # read while any operation runs, by one that trails
        self.early = self.steps[-1].x.value if group.trails else None
        # the first of the operations that take turns, where one follows
        self.lead = leader(self.steps) if group.follows else None
        self.layers: list[int] = []
        self.places: dict[str, ActTile] = {}  # of values that stay on chip, in a stripe
        # rows that a stripe needs and that are not on chip yet
        self.missing: dict[str, Interval] = {}
        # of operations, by their place in the group; made in their order, before they are needed
        self.emitters: dict[int, OpEmitter] = {}

    def emit(self, later: Sequence[_GroupEmitter]) -> None:
        """Append the instructions of the group. later: the groups that follow."""
        out = self.out
        if self.group.passes > 1:
            rows = [rows for at in range(len(self.steps)) for rows in self._emitter(at).weight_rows]
            out.weights_stay = sum(rows) <= out.wgt.rows
        if self.group.trails:
            self._emit_with_trailing(later)
        elif self.lead is not None:
            self._emit_following(self.lead, later)
        else:
            for stripe in range(self.group.stripes):
                for _ in self._emit(stripe, len(self.steps), later):
                    pass
        out.weights_stay = False
        out.wgt.unpin()
        self.emitters.clear()

    def _weights_after(self, index: int, stripe: int, later: Sequence[_GroupEmitter]) -> int:
        """WGT rows of the first weights behind an operation in a stripe."""
        again = range(index + 1 if stripe + 1 < self.group.stripes else 0)
        own = ((self, at) for at in (*range(index + 1, len(self.steps)), *again))
        behind = ((each, at) for each in later for at in range(len(each.steps)))
        rows = (each._emitter(at).weight_rows for each, at in chain(own, behind))
        return next((each[0] for each in rows if each), 0)

    def _emit(self, stripe: int, count: int, later: Sequence[_GroupEmitter]) -> Iterator[int]:
        """Append the instructions of the first ``count`` operations in a stripe, a step at a time;
        gives the operation of each step."""
        self._open(stripe)
        for index in range(count):
            emitter = self._emitter(index)
            self._enter(index)
            made = self._made(index, stripe)
            if made.size:
                self._bring(self.steps[index])
                self.out.weights_next = partial(self._weights_after, index, stripe, later)
                for _ in emitter.emit(made):
                    yield index

    def _made(self, index: int, stripe: int) -> Interval:
        """The rows of its output that an operation makes in a stripe."""
        of = self.stripe_plans[self.steps[index].y.value.name]
        return of.span(of.made, of.end, stripe)

    def _emit_with_trailing(self, later: Sequence[_GroupEmitter]) -> None:
        """Append all instructions of a group whose last operation trails: in each pass its steps
        are spread over those of the others as the time is in which these leave the bus idle."""
        *others, last = map(self._emitter, range(len(self.steps)))
        index, edges = len(others), map_edges(self.steps[-1].x.spatial[0], self.group.stripes)
        assert isinstance(last, ConvEmitter)
        self.out.waiting_sums = waiting_sums(last.conv, last.plan, self.out.spec)
        for stripe in range(self.group.passes):
            rows = rows_before(stripe, edges)
            trailing, count = last.emit(rows), len([*last.steps(rows)])
            idle = [self._idle_bus(at, each, stripe) for at, each in enumerate(others)]
            every, left = sum(map(sum, idle)), [*map(iter, idle)]
            done, passed = 0, 0.0
            for at in self._emit(stripe, index, later):
                passed += next(left[at], 0.0)
                due = int(count * passed / every) if every else 0
                if due > done:
                    self._append(index, islice(trailing, due - done))
                    done = due
            self._enter(index)
            self._append(index, trailing)
        self.out.waiting_sums = 0

    def _emit_following(self, lead: int, later: Sequence[_GroupEmitter]) -> None:
        """Append all instructions of a group whose last operation follows the channels of another:
        those before it, then a step of the leader, what channels are there for, and so on."""
        for _ in self._emit(0, lead, later):
            pass
        indices = range(lead, len(self.steps))
        emitters, made = [*map(self._emitter, indices)], [self._made(at, 0) for at in indices]
        last = emitters[-1]
        assert isinstance(last, ConvEmitter)
        self.out.waiting_sums = waiting_sums(last.conv, last.plan, self.out.spec)
        self.out.weights_next = partial(self._weights_after, indices[-1], 0, later)
        first, *others = [each.emit(rows) for each, rows in zip(emitters, made, strict=True)]
        due = due_steps([self._channels(at, rows) for at, rows in zip(indices, made, strict=True)])
        self._enter(lead)
        for counts in due:
            self._append(lead, islice(first, 1))
            for at, steps, count in zip(indices[1:], others, counts, strict=True):
                self._append(at, islice(steps, count))
        for at, steps in zip(indices, (first, *others), strict=True):
            self._append(at, steps)  # what comes after the last step
        self.out.waiting_sums = 0

    def _channels(self, index: int, rows: Interval) -> list[tuple[Interval, Interval]]:
        """Of each step of an operation the channels that it reads and those that it makes."""
        op, plan, emitter = self.steps[index], self.group.plans[index], self._emitter(index)
        if isinstance(emitter, ConvEmitter):
            return [(step.channels, step.filters) for step in emitter.steps(rows)]
        assert isinstance(plan, ChannelPlan)
        return [(channels, channels) for channels, _ in cuts(op, plan, rows)]

    def _idle_bus(self, index: int, emitter: OpEmitter, stripe: int) -> list[float]:
        """About the cycles of the bus that each step of an operation leaves to others in a stripe;
        none of one whose steps are short."""
        made = self._made(index, stripe)
        if not isinstance(emitter, ConvEmitter) or not made.size:
            return []
        return emitter.idle_bus(made)

    def _append(self, index: int, steps: Iterable[None]) -> None:
        """Append steps of an operation among those of another, whose values are on chip."""
        stream = self.out.stream
        layer, stream.layer = stream.layer, self.layers[index]
        self._bring(self.steps[index])
        for _ in steps:
            pass
        stream.layer = layer

    def _emitter(self, index: int) -> OpEmitter:
        """Of an operation."""
        if index not in self.emitters:
            self.emitters[index] = self._make_emitter(index)
        return self.emitters[index]

    def _make_emitter(self, index: int) -> OpEmitter:
        """Of an operation, whose layer is entered."""
        op, plan, number = self.steps[index], self.group.plans[index], self.first + index
        weights = weights_of(op, self.out.spec)
        schedule = describe_step(self.group, self.steps, index)
        read = touched(op)
        kernel = plan.kernel_cuts if isinstance(plan, ConvPlan) else WHOLE
        info = layer_info(op, schedule, weights, read, kernel, self.out.wide)
        self.layers.append(self.out.enter(info, read))
        emitter = EMITTERS[type(op)]
        if not isinstance(plan, emitter.plan):
            raise CompileError(f"'{op.node}': a {type(op).__name__} has no schedule like '{plan}'")
        return emitter.make(self.out, op, plan, number, weights)

    def _open(self, stripe: int) -> None:
        """Say where values stay on chip and what goes to DRAM in a stripe."""
        self.places = {
            of.value.name: ActTile(
                act,
                Tile2D(of.span(of.needed, of.end, stripe), Interval(0, of.value.spatial[1])),
                of.value.spatial[1],
                of.value.spatial[1] * of.height,
            )
            for of, act in ((self.stripe_plans[each.value.name], act) for each, act in self.homes)
        }
        self.out.stored = {
            name: of.span(
                of.carried if name in self.places and name not in self.needed else of.made,
                of.end,
                stripe,
            )
            for name, of in self.stripe_plans.items()
        }
        self.missing = {
            name: self.stripe_plans[name].span(
                self.stripe_plans[name].needed, self.stripe_plans[name].made, stripe
            )
            for name in self.places
        }

    def _enter(self, index: int) -> None:
        """Make room for what is made or read from this operation on. A value that stays until its
        last reader is in DRAM alone for an operation behind that, which only moves it."""
        live = self._live(index)
        self.out.stream.layer = self.layers[index]
        self.out.resident = {each.value.name: self.places[each.value.name] for each, _ in live}
        behind = self._live((index + 1) % len(self.steps))  # of the last one: in the next stripe
        self.out.act.block_out(self._rows_of(live), self._rows_of(behind))

    def _live(self, index: int) -> list[tuple[LiveRange, int]]:
        """The values that are on chip while an operation is executed, and where."""
        return [
            (each, act)
            for each, act in self.homes
            if each.first <= index <= each.last
            or each.value == self.early
            or (self.lead is not None and self.lead <= min(index, each.last))
        ]

    def _rows_of(self, live: Sequence[tuple[LiveRange, int]]) -> list[tuple[int, int]]:
        """First row and rows of the buffers of values."""
        return [(act, self.stripe_plans[each.value.name].buffer_rows) for each, act in live]

    def _bring(self, op: Op) -> None:
        """Load what is missing of what an operation reads: rows that earlier stripes have made."""
        for view in op.reads:
            value = view.value
            home = self.out.resident.get(value.name)
            if home is None:
                continue
            rows = self.missing.pop(value.name, Interval(0, 0))
            if rows.size:
                self.out.load(
                    whole(value),
                    Interval(0, value.channels),
                    home.at(Tile2D(rows, home.patch.cols)),
                )
