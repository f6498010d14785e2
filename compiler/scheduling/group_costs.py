"""What a group of several operations is estimated to cost: cycles, and energy where it matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.liveness import Liveness
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.schedule import ConvPlan
from zeroskip.compiler.ir.stripes import StripePlan
from zeroskip.compiler.scheduling.cost_model import Bus, Candidate, Floats
from zeroskip.compiler.scheduling.group_candidates import GroupCandidate
from zeroskip.compiler.scheduling.objective import BusEnergy
from zeroskip.compiler.scheduling.overlap_model import (
    ALL_ROWS,
    ARRAY,
    COLUMNS,
    FIRST_TILE,
    FULL,
    LAST_TILE,
    LOADS,
    NO_PREFETCH_ROOM,
    ROWS,
    STORES,
    TIGHT,
    WAW_STALL,
    WEIGHT_TILE,
    WEIGHTS,
    Turns,
    alternating_cycles,
    in_turn,
    pipelined_cycles,
)

EXPOSED = 0.5  # of a group's last results, the share that the group behind does not hide
HIDDEN = 0.25  # of its first tiles, the share that the group before does


class GroupCosts:
    """The costs of groups of a region's operations. energy: of the bus, where it matters. works:
    those of operations in a place, as far as they were asked for."""

    def __init__(
        self, steps: Sequence[Op], spec: AccelSpec, liveness: Liveness, energy: BusEnergy | None
    ) -> None:
        self.ops, self.spec, self.liveness, self.energy = steps, spec, liveness, energy
        self.works: dict[tuple[Candidate, StripePlan, bool, bool], Floats] = {}

    def of(self, candidate: GroupCandidate, chosen: Sequence[Candidate]) -> tuple[float, float]:
        """Cycles and picojoules of a group of several operations."""
        first, last = candidate.first, candidate.first + len(chosen)
        needed = self.liveness.live_out(first, last)
        priced = []
        for op, place, choice in zip(self.ops[first:last], candidate.places, chosen, strict=True):
            name = op.y.value.name
            key = choice, candidate.stripe_plans[name], name in candidate.on_chip, name in needed
            if key not in self.works:
                self.works[key] = self._work(op, place.rows, *key)
            priced.append(self.works[key])
        table = np.stack(priced, axis=1)
        if candidate.trails:
            self._take_turns(table, candidate)
        table[:, :, WAW_STALL] = candidate.waw_stalls
        moving = [each.cost.act for each in chosen]
        table[:, :, NO_PREFETCH_ROOM] = (
            [3 * own > at.act for own, at in zip(moving, candidate.places, strict=True)]
            if candidate.trails
            else self._rooms(candidate, chosen, table)
        )
        rows = [each.cost.all_rows for each in chosen]
        if sum(rows) <= self.spec.wgt_rows:  # the first stripe's weights stay
            staying = slice(len(chosen) - candidate.trails)
            table[1:, staying, [WEIGHT_TILE, WEIGHTS, ROWS, ALL_ROWS]] = 0
        begin, end = chosen[0].cost.first + chosen[0].cost.tile, chosen[-1].cost.last
        latency = self.spec.dram.latency_cycles
        if candidate.trails:
            cycles = alternating_cycles(table, latency)
        elif candidate.lead is not None:
            turns = self._turns(candidate.lead, self.ops[first:last], chosen)
            works = in_turn(table[0], candidate.lead, turns)
            cycles = pipelined_cycles(works, self.spec.wgt_rows, latency)
        else:
            flat = table.reshape(-1, table.shape[2])
            cycles = pipelined_cycles(flat, self.spec.wgt_rows, latency)
        cycles += EXPOSED * end - HIDDEN * begin
        return cycles, self._picojoules(candidate, chosen, table)

    def _rooms(
        self, candidate: GroupCandidate, chosen: Sequence[Candidate], table: Floats
    ) -> list[float]:
        """Of operations, whether the first tile of each has room beside the tiles of the one before
        it: FULL, if not; TIGHT, if only when results of the one before that are stored."""
        width = self.spec.dram.bytes_per_cycle / self.spec.act_row_bytes
        moving = [each.cost.act for each in chosen]
        stored = table[:, :, STORES].sum(axis=0) > 0
        left = [each.cost.last * width * bool(stored[at]) for at, each in enumerate(chosen)]
        return [
            FULL * (moving[at - 1] + moving[at] > room)
            or TIGHT * (left[at - 2] + moving[at - 1] + moving[at] > room)
            for at, room in enumerate(candidate.shared)
        ]

    def _turns(self, lead: int, steps: Sequence[Op], chosen: Sequence[Candidate]) -> Turns:
        """Of operations of which the last follows the one with number ``lead``."""
        leads, follows = chosen[lead].plan, chosen[-1].plan
        assert isinstance(leads, ConvPlan)
        assert isinstance(follows, ConvPlan)
        op, wgt = steps[lead], self.spec.wgt_rows
        tiles, chunks = -(-op.y.channels // leads.filters), -(-op.x.channels // leads.channels)
        taken = -(-steps[-1].x.channels // follows.channels)
        rows, cols = op.y.spatial
        alone = leads.rows >= rows and leads.cols >= cols and chunks == 1
        free = wgt - 2 * chosen[lead].cost.rows - chosen[-1].cost.rows
        full = self.spec.sram.wgt_bytes / self.spec.dram.bytes_per_cycle
        return Turns(min(tiles, taken), alone, max(free, 0.0) / wgt * full)

    def _take_turns(self, table: Floats, candidate: GroupCandidate) -> None:
        """Spread the work of an operation that trails over the passes [passes, operations, COLUMNS]
        and have the weights of the others only where they make something."""
        weights, steps = [WEIGHT_TILE, WEIGHTS], self.ops[candidate.first :]
        for index, op in enumerate(steps[: table.shape[1] - 1]):
            of = candidate.stripe_plans[op.y.value.name]
            table[of.end == of.made, index] = 0
        of = candidate.stripe_plans[steps[table.shape[1] - 1].x.value.name]
        multiplied = np.append(0, (of.end - of.made)[:-1]) / of.end[-1]
        for column in (ARRAY, *weights):
            table[:, -1, column] = table[-1, -1, column] * multiplied

    def _picojoules(
        self, candidate: GroupCandidate, chosen: Sequence[Candidate], table: Floats
    ) -> float:
        """Of the events of a group: on the array, for all rows that its stripes make, and of what
        the bus moves."""
        if self.energy is None:
            return 0.0
        spent = 0.0
        steps = self.ops[candidate.first :]
        for op, place, choice in zip(steps, candidate.places, chosen, strict=False):
            of = candidate.stripe_plans[op.y.value.name]
            spent += choice.cost.energy * float((of.end - of.made).sum()) / place.rows
        loads, tile, weights, stores = (
            float(table[:, :, column].sum()) for column in (LOADS, WEIGHT_TILE, WEIGHTS, STORES)
        )
        moved: float = self.energy.picojoules(loads, tile + weights, stores)
        return spent + moved

    def _work(
        self, op: Op, rows: int, choice: Candidate, of: StripePlan, on_chip: bool, needed: bool
    ) -> Floats:
        """Of an operation in each stripe (``overlap_model``), from the cost for so many rows."""
        cost, made = choice.cost, of.end - of.made
        work = np.zeros((len(made), COLUMNS))
        work[:, ARRAY] = [
            choice.array(each) + cost.waits if each else 0.0 for each in made.tolist()
        ]
        work[:, LOADS], work[:, STORES] = (
            cycles * made / rows for cycles in (cost.loads, cost.stores)
        )
        if on_chip:
            row = Bus.of(self.spec).cycles(op.y.channels * op.y.spatial[1], 0)
            work[:, STORES] += (of.end - (of.made if needed else of.carried)) * row
            work[:, LOADS] += (of.made - of.needed) * row
        work[:, LAST_TILE] = np.minimum(cost.last, work[:, STORES])
        work[:, FIRST_TILE] = np.minimum(cost.first, work[:, LOADS])
        work[:, WEIGHT_TILE], work[:, WEIGHTS] = cost.tile, cost.weights - cost.tile
        work[:, ROWS], work[:, ALL_ROWS] = cost.rows, cost.all_rows
        return work
