"""Emitting a whole region: its plans to a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.codegen.group import emit_groups
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.reachable_bound import reachable_bound
from zeroskip.compiler.ir.schedule import GroupPlan


def emit_region(region: Region, spec: AccelSpec, groups: Sequence[GroupPlan]) -> Program:
    """The program of a planned region, with its reachable bound."""
    out = ProgramBuilder(region, spec)
    emit_groups(out, groups)
    program, weights = out.program(), Counter[str]()
    for layer in program.layers:
        weights[layer.node] += layer.weight_bytes
    return replace(program, reachable=reachable_bound(region, spec, weights, program.needs.moved))
