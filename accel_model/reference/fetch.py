"""The fetch unit and the windows that it fills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from zeroskip.accel_model.reference.convolution import (
    BLOCK,
    ROW,
    ConvolutionWalk,
    Outcome,
    ReductionStep,
)


class WindowBuffer:
    """What has been fetched and not yet freed. Every lane holds its own copy of it."""

    def __init__(self, entries: int) -> None:
        self.size = entries
        self.held: list[ReductionStep] = []  # written or being written, and not yet freed
        self.values: dict[tuple[int, int], dict[tuple[int, int, int], int]] = {}
        self.ready: set[tuple[int, int]] = set()
        self.stalled: Counter[tuple[int, int]] = Counter()  # cycles a stage found no room
        self.latest = (-1, 0)  # the stage that arrived last
        self.arrived: list[ReductionStep] = []
        self.freed: list[ReductionStep] = []

    def has_room(self, step: ReductionStep) -> bool:
        return sum(each.entries for each in self.held) + step.entries <= self.size

    def begin(self, step: ReductionStep) -> None:
        self.held.append(step)
        self.values[step.run, step.index] = {}

    def settle(self) -> None:
        for step in self.arrived:
            self.latest = (step.run, step.index)
            self.ready.add(self.latest)
        for step in self.freed:
            self.held.remove(step)
            self.ready.discard((step.run, step.index))
            del self.values[step.run, step.index]
        self.arrived, self.freed = [], []


class FetchUnit:
    """Reads quads of ACT rows, several at once for a gang, one row of each bank in a cycle, and
    writes them to the windows."""

    def __init__(
        self, plan: ConvolutionWalk, window: WindowBuffer, banks: int, outcome: Outcome
    ) -> None:
        self.plan, self.window, self.banks, self.outcome = plan, window, banks, outcome
        self.together = min(plan.array.fetch_quads, 1 << plan.conv.mode)
        self.todo = self._reads()
        self.now = next(self.todo, None)
        self.waiting: list[int] = []  # bank of each row that the current quad still needs

    def _reads(self) -> Iterator[tuple[ReductionStep | None, int, list[int], bool, bool]]:
        """(stage or None for the operand, tap or block, outputs, stage's first, stage's last): a
        quad of the operand, as many of an input as may be fetched at once for members of a gang;
        of a stage that is passed over, no outputs."""
        plan = self.plan
        for tile in range(len(plan.tiles)):
            quads, ganged = plan.quads(tile), plan.quads(tile, self.together)
            if plan.conv.operand_row is not None:
                for block in range(plan.conv.out_blocks):
                    for quad in quads:
                        yield None, block, quad, False, False
            for group in range(plan.groups):
                for index, (block, taps, width) in enumerate(plan.stages):
                    worked = plan.worked_taps(tile, taps)
                    step = ReductionStep(
                        tile, tile * plan.groups + group, index, block, taps, worked, width
                    )
                    if not worked:
                        yield step, -1, [], True, True
                    reads = [(tap, several) for tap in worked for several in ganged]
                    for n, (tap, several) in enumerate(reads):
                        yield step, tap, several, n == 0, n == len(reads) - 1

    def step(self) -> None:
        if self.now is None:
            return
        step, tap, quad, first, last = self.now
        if not quad:  # passed over, but there was no room for the note
            assert step is not None
            self.window.stalled[step.run, step.index] += 1
            return
        if not self.waiting:
            if step is not None and first:
                if not self.window.has_room(step):
                    self.window.stalled[step.run, step.index] += 1
                    return
                self.window.begin(step)
            self.outcome.events["act_rows"] += len(quad)
            self.outcome.events["act_fetched"] += ROW * len(quad)
            self.waiting = [self._address(step, tap, n) % self.banks for n in quad]
        for bank in set(self.waiting):
            self.waiting.remove(bank)
        if self.waiting:
            return
        if step is not None:
            self._deliver(step, tap, quad)
            if last:
                self.window.arrived.append(step)
        self.now = next(self.todo, None)

    def settle(self) -> None:
        """Notes of stages that are passed over take no cycle of their own."""
        while self.now is not None and not self.now[2]:
            step = self.now[0]
            assert step is not None
            if not self.window.has_room(step):
                return
            self.window.begin(step)
            self.window.arrived.append(step)
            self.window.settle()
            self.now = next(self.todo, None)

    def _address(self, step: ReductionStep | None, tap: int, output: int) -> int:
        conv = self.plan.conv
        if step is None:
            assert conv.operand_row is not None
            return output // conv.output[1] * conv.operand_row + output % conv.output[1]
        y, x = self.plan.place(tap, output)
        return y * conv.row + x

    def _deliver(self, step: ReductionStep, tap: int, quad: list[int]) -> None:
        image = self.plan.conv.image
        values = self.window.values[step.run, step.index]
        for n in quad:
            y, x = self.plan.place(tap, n)
            inside = self.plan.inside(tap, n)
            for counter in ("window_bytes", "window_written"):
                self.outcome.events[counter] += step.width * self._windows(step)
            for c in range(step.width):
                value = image[BLOCK * step.block + c][y][x] if inside else 0
                values[tap - step.taps[0], c, n] = value

    def _windows(self, step: ReductionStep) -> int:
        """Windows that an entry is written to: one of each slot in use, or the one there is."""
        if self.plan.array.kind == "dense":
            return 1
        return sum(self.plan.stream(step.run, slot) is not None for slot in range(self.plan.slots))
