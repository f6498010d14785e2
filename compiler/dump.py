"""Schedules as text: what ``--emit=schedule`` prints and a program says of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zeroskip.compiler.ir.liveness import Liveness
from zeroskip.compiler.ir.ops import Op, Region
from zeroskip.compiler.ir.schedule import GroupPlan

ROLES = ("input", "operand")


def describe_step(group: GroupPlan, steps: Sequence[Op], index: int) -> str:
    """The tiles of one operation of a group, and which of its tensors stay on chip."""
    op, kept = steps[index], {buffer.maker for buffer in group.buffers}
    on_chip = {
        each.value.name for each in Liveness(steps).resident(0, len(steps)) if each.first in kept
    }
    named = [*zip(ROLES, op.reads, strict=False), ("output", op.y)]
    roles = [role for role, view in named if view.value.name in on_chip]
    stripes = f", {group.stripes} bands" if group.stripes > 1 else ""
    return f"{group.plans[index]}{stripes}{'; on chip: ' * bool(roles)}{', '.join(roles)}"


def describe_region(region: Region, groups: Sequence[GroupPlan]) -> Iterator[str]:
    """A line for each operation; those of a group are set in under a line of its own."""
    first = 0
    for group in groups:
        steps = region.ops[first : first + len(group.plans)]
        first += len(steps)
        indent = ""
        if len(steps) > 1:
            indent = "  "
            yield f"{len(steps)} operations together, {_count(group.stripes, 'band')}"
        for index, op in enumerate(steps):
            yield f"{indent}{op.node}: {describe_step(group, steps, index)}"


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'s' * (many != 1)}"
