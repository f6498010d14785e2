"""zeroskip by the names that TVM's users know from other backends.

``partition_for_zeroskip`` is the one call; ``pipeline`` the same for ``tvm.compile``'s
``relax_pipeline``; ``codegen`` what ``relax.transform.RunCodegen`` calls.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import tvm
from tvm import relax
from tvm.ir import IRModule

from zeroskip.accel_model import physics
from zeroskip.accel_model.spec import AccelSpec, load_spec, targets
from zeroskip.compiler.driver import lower
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.external import region_module, with_run_module
from zeroskip.compiler.options import Arrays, CompileOptions
from zeroskip.compiler.passes import TileAndSchedule, embed, programs_of
from zeroskip.compiler.stages import Stages, apply_passes
from zeroskip.relay_passes.attrs import SCHEDULE_ATTR, TARGET_ATTR
from zeroskip.relay_passes.host_calls import JoinHostCalls
from zeroskip.relay_passes.multiplies import weighted_of
from zeroskip.relay_passes.partition import reference_module
from zeroskip.relay_passes.quantize.calibrate import has_own_scales
from zeroskip.relay_passes.relax.entry import Entry, entry_of
from zeroskip.relay_passes.relax.refusals import refuse_weight_parameters

Samples: TypeAlias = str | Path | Arrays
KEY = "zeroskip"  # of TVM targets that name an accelerator, their `model`


def partition_for_zeroskip(
    mod: IRModule,
    target: str | AccelSpec | tvm.target.Target | None = None,
    samples: Samples | Mapping[str, Samples] | None = None,
    *,
    functions: Sequence[str] = (),
    emit: bool = True,
    **options: Unpack[CompileOptions],
) -> IRModule:
    """A module whose layers run on an accelerator as far as it takes them, ready for
    ``tvm.compile(mod, "llvm")``.

    Normalises, prunes, calibrates, quantizes, partitions, schedules and emits; what it does to a
    function is what ``zeroskip.compile`` does. The rest of the module is untouched.

    mod: float Relax, before LegalizeOps, with constant weights and fixed shapes, in NCHW or NHWC.
    target: a built-in accelerator's name, a TOML file's path, a spec, a TVM target or tag
        (``zeroskip/pattern256``); None: the TVM target of the context.
    samples: calibration data, arrays by parameter or the path of an .npz file, the leading axis
        counts them; for several functions such data by the function's name. May be left out for a
        module that brings its own scales (R.quantize, R.dequantize).
    functions: which ones; ``main`` unless given, or the module's only public function.
    emit: False leaves regions as functions with ``Codegen = "zeroskip"`` and a schedule, for
        ``relax.transform.RunCodegen``.
    options: as of ``zeroskip.compile``, ``prune`` among them; ``samples`` is its ``calibrate``.

    A RuntimeWarning says which layers with weights stay on the CPU, and why. Raises a ZeroskipError
    that says in one sentence what is wrong, where, and what to do.
    """
    spec = accelerator(target)
    physics.check(spec)
    names = list(functions) or [entry_of(mod).name]
    for name in names:
        entry = entry_of(mod, name)
        refuse_weight_parameters(entry.module["main"])
        given = _samples_of(entry, names, samples)
        mod = entry.put_back(_partitioned(entry, spec, emit, given, options))
    return with_run_module(mod) if emit else mod


def _partitioned(
    entry: Entry,
    spec: AccelSpec,
    emit: bool,
    samples: Samples | None,
    options: CompileOptions,
) -> IRModule:
    """The entry's module after all stages."""
    options["calibrate"] = samples
    stages = lower(entry.module, spec, **options)
    _tell_left(stages, entry.name, spec)
    if not emit:
        return stages.scheduled
    return apply_passes(embed(stages.scheduled, stages.programs), JoinHostCalls())


def _samples_of(entry: Entry, names: Sequence[str], samples: Any) -> Samples | None:
    """The calibration data of one of several functions."""
    if isinstance(samples, Mapping) and len(names) > 1:
        unknown = sorted(set(samples) - set(names))
        if unknown:
            raise CompileError(
                f"samples are for '{unknown[0]}', which is none of the functions: with several, "
                f"give samples by function, of {', '.join(map(repr, names))}"
            )
        samples = samples.get(entry.name)
    if samples is None and not has_own_scales(entry.module["main"]):
        raise CompileError(
            f"function '{entry.name}' is float and has no samples to measure its activations by: "
            "give samples={'input': array}, the leading axis counts them"
        )
    params = [str(param.name) for param in entry.module["main"].params]
    lacking = [name for name in params if isinstance(samples, Mapping) and name not in samples]
    if lacking and len(params) > 1:
        raise CompileError(
            f"samples lack input '{lacking[0]}' of '{entry.name}': give it, or bind it first if it is "
            f"a weight, relax.transform.BindParams('{entry.name}', {{'{lacking[0]}': tensor}})(mod)"
        )
    return samples  # type: ignore[no-any-return]  # what the caller gave


def _tell_left(stages: Stages, name: str, spec: AccelSpec) -> None:
    """Warn of layers with weights that stay on the CPU."""
    main = reference_module(stages.partitioned)["main"]
    left = list(dict.fromkeys(each.node for each in weighted_of(main)))
    if not left:
        return
    cpu = {
        str(node): str(why)
        for node, why in stages.partitioned["main"].attrs["zeroskip.cpu"].items()
    }
    said = "; ".join(f"'{node}': {cpu.get(node, 'no int8 form')}" for node in left[:3])
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    warnings.warn(
        f"Layers of '{name}' stay on the CPU, not on {spec.name}: {said}{more}.",
        RuntimeWarning,
        stacklevel=4,
    )


def accelerator(target: str | AccelSpec | tvm.target.Target | None) -> AccelSpec:
    """The accelerator that is meant; CompileError if none is."""
    if isinstance(target, AccelSpec):
        return target
    if isinstance(target, str):
        prefix, _, name = target.partition("/")
        return load_spec(name if prefix == KEY and name in targets() else target)
    return _of_tvm_target(target or tvm.target.Target.current(allow_none=True))


def _of_tvm_target(target: Any) -> AccelSpec:
    """The accelerator that a TVM target names as its `model`."""
    if target is None or KEY not in target.keys or "model" not in target.attrs:
        raise CompileError(
            "no accelerator is named: give target='pattern256', or compile for a TVM target such "
            f"as '{KEY}/pattern256'; there are {', '.join(targets())}"
        )
    return load_spec(str(target.attrs["model"]))


def pipeline(
    target: str | AccelSpec | tvm.target.Target | None = None,
    samples: Samples | Mapping[str, Samples] | None = None,
    **options: Any,
) -> tvm.transform.Pass:
    """``relax.get_pipeline("zeroskip", ...)``: partition_for_zeroskip, then TVM's default pipeline.

    For ``tvm.compile(mod, "llvm", relax_pipeline=...)``; the arguments are those of
    ``partition_for_zeroskip``.
    """

    def run(mod: IRModule, _ctx: Any) -> IRModule:
        mod = partition_for_zeroskip(mod, target, samples, **options)
        return relax.get_pipeline("default")(mod)

    return tvm.transform.module_pass(run, opt_level=0, name="zeroskip.pipeline")


def codegen(
    functions: Sequence[relax.Function], options: Mapping[str, Any] | None, _constants: Any
) -> list[Any]:
    """``relax.ext.zeroskip``: a runtime module for each region, which calls its program.

    functions: regions as the partition leaves them; one without a schedule gets one.
    options: of ``RunCodegen({"zeroskip": {"target": ...}})``; a region that was scheduled for a
    built-in target needs none.
    """
    made = []
    for func in functions:
        name = str(func.attrs["global_symbol"])
        mod = IRModule({name: func})
        spec = _spec_of(func, name, options or {})
        if SCHEDULE_ATTR not in func.attrs:
            mod = apply_passes(mod, TileAndSchedule(spec))
        made.append(region_module(name, programs_of(mod, spec)[name].to_bytes()))
    return made


def _spec_of(func: relax.Function, name: str, options: Mapping[str, Any]) -> AccelSpec:
    if "target" in options:
        return accelerator(str(options["target"]))
    made_for = str(func.attrs[TARGET_ATTR][0]) if TARGET_ATTR in func.attrs else ""
    if made_for not in targets():
        raise CompileError(
            f"region '{name}' does not say for which built-in target it is: "
            "give RunCodegen({'zeroskip': {'target': ...}}) its name or the path of its TOML file"
        )
    return load_spec(made_for)
