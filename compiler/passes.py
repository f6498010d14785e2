"""The compiler's Relax passes: regions get a schedule, then become calls of their programs."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule

from zeroskip.accel_model.arrays.base import ArrayError
from zeroskip.accel_model.formats import FormatError
from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.isa.assembly import disassemble
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import IsaError
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.autotune import Tuning, tune_region
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.dump import describe_region
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.external import with_run_module
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan, group_text, read_group
from zeroskip.compiler.lowering.from_relax import extract, region_names
from zeroskip.compiler.lowering.regions import Regions
from zeroskip.compiler.mlir.tosa import region_text
from zeroskip.compiler.scheduling.fusion import FusionSearch, estimate
from zeroskip.compiler.scheduling.objective import GOALS, Goal
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.compiler.scheduling.schedule_cache import PlanCache
from zeroskip.relay_passes.attrs import PACKED, SCHEDULE_ATTR, TARGET_ATTR, is_region
from zeroskip.relay_passes.relax.rewriting import make_const

# What is raised inside a pass crosses TVM and keeps its class only if TVM knows it.
for _error in (CompileError, FormatError, IsaError, ArrayError):
    tvm_ffi.register_error(_error)


@tvm.transform.module_pass(opt_level=0, name="zeroskip.TileAndSchedule")
class TileAndSchedule:
    """Chooses the tiles of every layer in every region.

    The plans become the region's attribute ``zeroskip.schedule``, one line of JSON for each group
    of operations in execution order; ``zeroskip.target`` says what accelerator they are for.
    cache: where schedules are looked up and kept. tuning: how many schedules of each layer to time.
    regions: where lowered regions are kept for the passes that follow; its own unless given.
    objective: what they are chosen by. CompileError for tuning by anything but cycles.
    """

    def __init__(
        self,
        spec: AccelSpec,
        progress: Progress | None = None,
        cache: PlanCache | None = None,
        tuning: Tuning | None = None,
        regions: Regions | None = None,
        objective: Goal = "cycles",
    ) -> None:
        if objective not in GOALS:
            raise CompileError(f"objective {objective!r} is not one of {', '.join(GOALS)}")
        if tuning is not None and objective != "cycles":
            raise CompileError(
                f"tuning keeps the fastest schedules, and objective '{objective}' does not want "
                "them; leave one of the two out"
            )
        self.spec, self.progress, self.cache, self.tuning = spec, progress, cache, tuning
        self.regions = regions or Regions()
        self.objective: Goal = objective

    def transform_module(self, mod: IRModule, _ctx: Any) -> IRModule:
        updated = IRModule(mod.functions, attrs=mod.attrs)
        for name in region_names(mod):
            groups = self._groups(self.regions.region(mod, name))
            gvar = mod.get_global_var(name)
            lines = [*map(group_text, groups)]
            updated.update_func(
                gvar,
                mod[name].with_attrs(
                    {SCHEDULE_ATTR: lines, TARGET_ATTR: [self.spec.name, self.spec.fingerprint]}
                ),
            )
        return updated

    def _untuned(self, region: Region) -> list[GroupPlan]:
        """By the objective; by cycles where what that finds does not fit beside its neighbours,
        which only emitting it tells."""
        groups = plan_region(region, self.spec, self.progress, self.cache, self.objective)
        if self.objective == "cycles":
            return groups
        try:
            emit_region(region, self.spec, groups)
        except CompileError:
            return plan_region(region, self.spec, self.progress, self.cache)
        return groups

    def _groups(self, region: Region) -> list[GroupPlan]:
        spec, tuning = self.spec, self.tuning
        if tuning is None:
            return self._untuned(region)

        def find() -> list[GroupPlan]:
            groups = plan_region(region, spec, self.progress, self.cache)
            return tune_region(region, spec, groups, tuning, self.progress)

        if self.cache is None:
            return find()
        return self.cache.groups(region, spec, f"tuned {tuning.count}", find)


def misfits(mod: IRModule, spec: AccelSpec, regions: Regions | None = None) -> dict[str, str]:
    """ONNX node -> why it cannot be scheduled, of the layers of a partitioned module whose smallest
    tile does not fit in the target."""
    found: dict[str, str] = {}
    regions = regions or Regions()
    for name in region_names(mod):
        graph = regions.graph(mod, name)
        owners = {node.output: node.node for node in graph.nodes}
        for node, why in FusionSearch(regions.region(mod, name), spec).misfits().items():
            found[owners.get(node, node)] = why
    return found


@tvm.transform.module_pass(opt_level=0, name="zeroskip.EmitProgram")
class EmitProgram:
    """Turns each call of a scheduled region into
    ``R.call_dps_packed("zeroskip.run", (program file as a uint8 constant, inputs...))``.

    The module's attribute ``external_mods`` gets a runtime module that says, where a library is
    loaded without zeroskip, which import lacks (``external.py``); TVM can print such a module, as
    it can those of RunCodegen, but not write it as JSON.
    """

    def __init__(self, spec: AccelSpec, regions: Regions | None = None) -> None:
        self.spec, self.regions = spec, regions

    def transform_module(self, mod: IRModule, _ctx: Any) -> IRModule:
        programs = programs_of(mod, self.spec, self.regions)
        return with_run_module(embed(mod, programs)) if programs else mod


def programs_of(
    mod: IRModule, spec: AccelSpec, regions: Regions | None = None
) -> dict[str, Program]:
    """The program of each scheduled region, by the region's name."""
    programs, regions = {}, regions or Regions()
    for name in region_names(mod):
        func = mod[name]
        if SCHEDULE_ATTR not in func.attrs:
            raise CompileError(f"region '{name}' has no schedule; run TileAndSchedule first")
        made_for, fingerprint = map(str, func.attrs.get(TARGET_ATTR, ("an unknown target", "")))
        if fingerprint != spec.fingerprint:
            another = "another description of it" if made_for == spec.name else spec.name
            raise CompileError(
                f"region '{name}' has a schedule for {made_for} and cannot be "
                f"emitted for {another}; give TileAndSchedule and EmitProgram the "
                "same target"
            )
        programs[name] = emit_region(regions.region(mod, name), spec, _schedule(func))
    return programs


def estimated_cycles(mod: IRModule, spec: AccelSpec, regions: Regions) -> float:
    """Estimated cycles of all scheduled regions together."""
    return sum(
        estimate(regions.region(mod, name), spec, _schedule(mod[name]))
        for name in region_names(mod)
    )


def embed(mod: IRModule, programs: dict[str, Program]) -> IRModule:
    """The module with each region's call replaced by a call of its program."""
    blobs = {
        name: np.frombuffer(program.to_bytes(), np.uint8) for name, program in programs.items()
    }
    updated = IRModule(attrs=mod.attrs)
    for gvar, func in mod.functions.items():
        if isinstance(func, relax.Function) and is_region(func):
            continue
        if isinstance(func, relax.Function) and _calls(func, blobs):
            func = _Embedding(blobs).visit_expr(func)
        updated[gvar] = func
    return updated


def _calls(func: relax.Function, names: Container[str]) -> bool:
    return any(var.name_hint in names for var in relax.analysis.all_global_vars(func))


@relax.expr_functor.mutator
class _Embedding(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
    def __init__(self, blobs: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.blobs = blobs

    def visit_call_(self, call: Call) -> relax.Expr:
        call = self.visit_expr_post_order(call)
        if not isinstance(call.op, GlobalVar) or call.op.name_hint not in self.blobs:
            return call
        blob = make_const(self.blobs[call.op.name_hint])
        outputs = list(call.ty.fields) if hasattr(call.ty, "fields") else call.ty
        return relax.call_dps_packed(PACKED, [blob, *call.args], out_ty=outputs)


def layers_text(mod: IRModule) -> str:
    """``--emit=layers``: the layers of every region."""
    return "\n".join(graph_text(extract(mod, name)) for name in region_names(mod))


def tosa_text(mod: IRModule) -> str:
    """``--emit=tosa``: the layers of every region as TOSA."""
    return "\n".join(region_text(extract(mod, name)) for name in region_names(mod))


def graph_text(graph: LayerGraph) -> str:
    """A region, one line a layer."""
    lines = [f"region {graph.name}({', '.join(graph.inputs)}) -> {', '.join(graph.outputs)}"]
    for node in graph.ordered():
        y = node.layer.y
        shape = "x".join(map(str, y.shape))
        lines.append(
            f"  {node.output}: {y.dtype}[{shape}] zp={y.zero_point} = "
            f"{node.layer.kind}({', '.join(node.inputs)})  # {node.node}"
        )
    return "\n".join(lines) + "\n"


def schedule_text(mod: IRModule) -> str:
    """``--emit=schedule``: the plan of every operation of every region."""
    lines = []
    for name in region_names(mod):
        lines.append(f"region {name}")
        region = Regions().region(mod, name)
        lines += [f"  {line}" for line in describe_region(region, _schedule(mod[name]))]
    return "\n".join(lines) + "\n"


def _schedule(func: relax.Function) -> list[GroupPlan]:
    return [read_group(str(line)) for line in func.attrs[SCHEDULE_ATTR]]


def assembly_text(program: Program) -> str:
    """``--emit=asm``: a program's instructions."""
    return disassemble(decode_all(program.words))
