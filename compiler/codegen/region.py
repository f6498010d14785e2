"""Emitting a whole region: its plans to a program."""

from __future__ import annotations

from collections.abc import Sequence

from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.group import emit_group
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan


def emit_region(region: Region, spec: AccelSpec, groups: Sequence[GroupPlan]) -> Program:
    """The program of a planned region."""
    out = ProgramBuilder(region, spec)
    first = 0
    for group in groups:
        emit_group(out, first, group)
        first += len(group.plans)
    return out.program()
