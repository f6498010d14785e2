"""Who makes and who reads each value: what may stay on chip between operations, what may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zeroskip.accel_model.isa.instructions import BLOCK
from zeroskip.compiler.ir.ops import Op
from zeroskip.compiler.ir.views import ChannelSlice, Value


@dataclass(frozen=True)
class LiveRange:
    """Operations of a group, first to last, during which a value is made or read."""

    value: Value
    first: int
    last: int


@dataclass
class _ValueUse:
    """Of a value: the operations that write it and read it, those that read it in DRAM; whether the
    host reads it; and whether it can be on chip: computed, and all its parts on whole blocks of all
    its rows."""

    value: Value
    writers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)
    movers: list[int] = field(default_factory=list)
    is_output: bool = False
    can_stay: bool = True


class Liveness:
    """The uses of all values of operations in execution order; ``outputs`` go to the host."""

    def __init__(self, steps: Sequence[Op], outputs: Sequence[Value] = ()) -> None:
        self._steps = steps
        self._of: dict[str, _ValueUse] = {}
        for index, op in enumerate(steps):
            for view in op.reads:
                use = self._note(view)
                (use.movers if op.moves_only else use.readers).append(index)
            use = self._note(op.y)
            use.writers.append(index)
            use.can_stay &= not op.moves_only
        for value in outputs:
            self._of.setdefault(value.name, _ValueUse(value)).is_output = True

    def _note(self, view: ChannelSlice) -> _ValueUse:
        use = self._of.setdefault(view.value.name, _ValueUse(view.value))
        use.can_stay &= view.offset % BLOCK == 0 and view.frames is None
        return use

    def resident(self, first: int, last: int) -> list[LiveRange]:
        """Values that may stay on chip while operations first..last-1 run as a group: they make and
        read them. Numbers count from ``first``."""
        found = []
        for index in range(first, last):
            use = self._of[self._steps[index].y.value.name]
            mine = [reader for reader in use.readers if first <= reader < last]
            if use.can_stay and use.writers[0] == index and use.writers[-1] < last and mine:
                end = max(mine[-1], use.writers[-1])
                found.append(LiveRange(use.value, index - first, end - first))
        return found

    def earliest_start(self, index: int) -> int | None:
        """The last operation that a group can begin with so that this one finds something that it
        reads on chip; None if there is none."""
        if self._steps[index].moves_only:
            return None
        read = (self._of[view.value.name] for view in self._steps[index].reads)
        return max(
            (
                use.writers[0]
                for use in read
                if use.can_stay and use.writers and use.writers[-1] < index
            ),
            default=None,
        )

    def live_out(self, first: int, last: int) -> frozenset[str]:
        """Values that operations first..last-1 write and that must be in DRAM for others, for the
        host, or for those among them that only move."""
        return frozenset(
            op.y.value.name
            for op in self._steps[first:last]
            if self._live_out(self._of[op.y.value.name], first, last)
        )

    def live_in(self, first: int, last: int) -> tuple[Value, ...]:
        """Values that operations first..last-1 read and do not make themselves, or not all of."""
        read = {view.value.name for op in self._steps[first:last] for view in op.reads}
        return tuple(
            use.value
            for name, use in self._of.items()
            if name in read
            and not (use.writers and first <= use.writers[0] and use.writers[-1] < last)
        )

    @staticmethod
    def _live_out(use: _ValueUse, first: int, last: int) -> bool:
        outside = any(not first <= index < last for index in (*use.writers, *use.readers))
        return outside or bool(use.movers) or use.is_output
