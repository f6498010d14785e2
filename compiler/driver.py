"""From a model to a network that runs: the whole compiler, read from top to bottom."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import tvm
from tvm.ir import IRModule

from zeroskip.accel_model.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.cache import PlanCache
from zeroskip.compiler.data import load_arrays, match_inputs
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.extract import direct_plan, extract
from zeroskip.compiler.graph import makers
from zeroskip.compiler.network import Network, Port, crossing_bytes
from zeroskip.compiler.passes import TileAndSchedule, embed, estimated_cycles, programs_of
from zeroskip.compiler.placement import Placement
from zeroskip.compiler.support import supports
from zeroskip.compiler.tune import Tuning
from zeroskip.relay_passes.calibrate import Method, Range, has_own_scales
from zeroskip.relay_passes.calibrate import calibrate as measure_ranges
from zeroskip.relay_passes.fold import FoldBatchNorm
from zeroskip.relay_passes.graph import nodes_of
from zeroskip.relay_passes.import_check import check_import
from zeroskip.relay_passes.importer import import_onnx
from zeroskip.relay_passes.keep_float import KeepFloat
from zeroskip.relay_passes.multiplies import weighted_of
from zeroskip.relay_passes.onnx_batch import for_one_image
from zeroskip.relay_passes.onnx_load import check_constants, load_onnx
from zeroskip.relay_passes.onnx_normalise import normalise_onnx, normalise_own
from zeroskip.relay_passes.partition import PartitionForAccelerator, reference_module
from zeroskip.relay_passes.pruning.dead_channels import RemoveDeadChannels
from zeroskip.relay_passes.pruning.idle_filters import DropIdleFilters
from zeroskip.relay_passes.pruning.layers import prunables
from zeroskip.relay_passes.pruning.prune import prune as prune_by
from zeroskip.relay_passes.pruning.recipe import Recipe, read_recipe
from zeroskip.relay_passes.quantise import QuantizeInt8
from zeroskip.relay_passes.quantise_scales import wide_observed

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Model: TypeAlias = str | Path | onnx.ModelProto
Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, steps done, steps

BLOCK = 16  # channels that the arrays treat together
ALL = 2**31  # a block of more channels than there are
ODD = 0.02  # of the cycles; set by hand: beside 32 or 64 channels, 0.2 to 12 % with 57, 63 and 25
SAMPLES = 4  # random images that stand in for calibration data
CPU_ATTR = "zeroskip.cpu"
BATCH_ATTR = "zeroskip.batch"


@dataclass(frozen=True, eq=False)
class Stages:
    """The module after each stage, for those who want to look (``--emit``)."""

    floating: IRModule
    partitioned: IRModule
    scheduled: IRModule
    programs: dict[str, Program]


def compile(  # the name that users expect: zeroskip.compiler.compile
    model: Model,
    target: str | AccelSpec = "dense256",
    *,
    prune: Recipe | None = None,
    calibrate: str | Path | Arrays | None = None,
    method: Method = "auto",
    float_nodes: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | Path | None = None,
    tune: Tuning | None = None,
    progress: Progress | None = None,
) -> Network:
    """Compile an ONNX model for an accelerator.

    model: a path or a ModelProto. target: a built-in target's name, a TOML file's path or a spec.
    prune: a recipe: a text such as ``pattern:connectivity=0.5``, the path of a TOML file or option
    values (see ``relay_passes.pruning.recipe``).
    calibrate: an .npz path or arrays, one for each input, whose leading axis counts samples; None:
    a few random ones, good for cycles and bits but not for accuracy; of a model that has scales,
    what it gives none stays float. method: ``auto``,
    ``minmax``, ``percentile`` or ``mse`` (see ``relay_passes.calibrate``); random inputs are no
    ground to choose by, there ``auto`` is ``minmax``. float_nodes: ONNX nodes, or globs of their
    names, that stay in float on the CPU. shapes: sizes of inputs that the model leaves open.
    cache: a folder in which schedules are looked up and kept. tune: ``runtime.tuning(n)`` times n
    schedules of each layer and keeps the fastest; the result is never slower than without.

    Raises a ZeroskipError that says in one sentence what is wrong, where, and what to do.
    """
    spec = target if isinstance(target, AccelSpec) else load_spec(target)
    stages = lower(model, spec, prune=prune, calibrate=calibrate, method=method,
                   float_nodes=float_nodes, shapes=shapes, cache=cache, tune=tune,
                   progress=progress)
    return network_of(stages, model, spec)


def network_of(stages: Stages, model: Model, spec: AccelSpec) -> Network:
    """The network of a model's last stages."""
    main = stages.floating["main"]
    reference = reference_module(stages.partitioned)
    cpu = reasons_of(stages.partitioned)
    placement, host_macs = placement_of(reference, stages.programs, cpu)
    return Network(
        name=_name(model),
        spec=spec,
        inputs=ports_of(main, "inputs"),
        outputs=ports_of(main, "outputs"),
        host=embed(stages.scheduled, stages.programs),
        programs=stages.programs,
        reference=reference,
        floating=stages.floating,
        cpu=cpu,
        placement=placement,
        host_macs=host_macs,
        batch=int(main.attrs.get(BATCH_ATTR, 1)),
        results={name: makers(extract(stages.partitioned, name)) for name in stages.programs},
        direct=direct_plan(stages.scheduled),
    )


def lower(
    model: Model,
    spec: AccelSpec,
    *,
    prune: Recipe | None = None,
    calibrate: str | Path | Arrays | None = None,
    method: Method = "auto",
    float_nodes: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | Path | None = None,
    tune: Tuning | None = None,
    progress: Progress | None = None,
) -> Stages:
    """Every stage of ``compile``."""
    tell = progress or (lambda what, done, total: None)
    pruned = prepare(model, shapes, prune, calibrate, float_nodes, tell)
    # Channels that cannot matter go last: without them, groups of n of m no longer line up.
    module = apply_passes(pruned, RemoveDeadChannels())
    # A pruned network is another than the model: only one that is not pruned is compared.
    ranges = ranges_of(module, calibrate, method, tell,
                       None if read_recipe(prune or ()) else model, shapes)
    return lower_fastest(pruned, module, spec, QuantizeInt8(ranges=ranges), cache=cache, tune=tune,
                         tell=tell)


def without_idle(pruned: IRModule, quantise: QuantizeInt8) -> IRModule:
    """The module without filters that cannot move a step of what QuantizeInt8 makes of them."""
    if quantise.ranges is None or not quantise.has_ranges(pruned):
        return pruned
    dropped = apply_passes(pruned, DropIdleFilters(quantise.ranges))
    enough = quantise.has_ranges(apply_passes(dropped, RemoveDeadChannels()))
    return dropped if enough else pruned


def prepare(model: Model, shapes: Mapping[str, Sequence[int]] | None, prune: Recipe | None,
            calibrate: str | Path | Arrays | None, float_nodes: Sequence[str], tell: Progress
            ) -> IRModule:
    """The float module that is quantised: the model imported, its normalisations folded, pruned."""
    recipe = read_recipe(prune or ())
    tell("import", 0, 1)
    module = import_float(model, shapes or {})
    if float_nodes:
        module = apply_passes(module, KeepFloat(float_nodes))
    tell("prune", 0, 1)
    return prune_by(module, recipe, samples=given_samples(module, calibrate))


def ranges_of(module: IRModule, calibrate: str | Path | Arrays | None, method: Method,
              tell: Progress, model: Model | None = None,
              shapes: Mapping[str, Sequence[int]] | None = None) -> dict[str, Range] | None:
    """The ranges of a float module's activations over calibration data; with the model that it
    was imported from, its outputs on the first sample are compared with onnxruntime's.

    None without data for a module that brings scales: those of random inputs are none for what it
    gives no scale, which stays float.
    """
    samples = read_samples(module, calibrate)
    tell("calibrate", 0, 1)
    ranges = measure_ranges(module, samples, method=method_for(calibrate, method),
                            check=None if model is None else _import_check(
                                module, model, shapes or {}),
                            progress=lambda done, total: tell("calibrate", done, total))
    if calibrate is None and has_own_scales(module["main"]):
        return None
    _tell_narrowed(module["main"])
    return ranges


def _tell_narrowed(main: Any) -> None:
    """Warn of tensors that the model gives 16 bits and that get 8."""
    nodes = nodes_of(main)
    found = sorted({nodes.get(name, name) for name in wide_observed(main)})
    if found:
        named = ", ".join(f"'{node}'" for node in found[:3])
        named += f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn("Tensors that the model gives 16 bits become 8 bits by the samples: those of "
                      f"{named}; leave the samples out to keep these in float, or name "
                      "their nodes with --float.", RuntimeWarning, stacklevel=3)


def method_for(calibrate: object | None, method: Method = "auto") -> Method:
    """The method of a calibration: random inputs, in place of none, are no ground to choose by."""
    return "minmax" if calibrate is None and method == "auto" else method


def _import_check(module: IRModule, model: Model, shapes: Mapping[str, Sequence[int]]
                  ) -> Callable[[list[Any], list[Any]], None]:
    """Takes inputs and outputs of the module, and refuses it if they are not the model's."""
    main = module["main"]
    sources, ends = ([port.name for port in ports_of(main, side)] for side in ("inputs", "outputs"))

    def check(batch: list[Any], results: list[Any]) -> None:
        check_import(model, module, dict(zip(sources, batch, strict=True)),
                     {n: x for n, x in zip(ends, results, strict=True) if x is not None},
                     int(main.attrs.get(BATCH_ATTR, 1)), lambda: _imported(model, shapes)[0])

    return check


def lower_float(floating: IRModule, spec: AccelSpec, quantise: QuantizeInt8, *,
                cache: str | Path | None, tune: Tuning | None, tell: Progress) -> Stages:
    """The stages behind a float module whose normalisations are folded."""
    # One integer function for each layer, then whole regions of them for the accelerator.
    tell("quantise", 0, 1)
    module = apply_passes(floating, quantise, PartitionForAccelerator(supports(spec)))
    partitioned = module

    module = apply_passes(module, TileAndSchedule(
        spec, progress=lambda node, done, total: tell(f"schedule {node}", done, total),
        cache=None if cache is None else PlanCache(cache), tuning=tune))
    tell("emit", 0, 1)
    return Stages(floating, partitioned, module, programs_of(module, spec))


def lower_fastest(pruned: IRModule, least: IRModule, spec: AccelSpec, quantise: QuantizeInt8, *,
                  cache: str | Path | None, tune: Tuning | None, tell: Progress) -> Stages:
    """The stages with the fewest cycles: without dead channels (``least``), without whole blocks of
    them, or with all. Fewer channels may need a schedule that is slower; the results are the same.

    Cycles are measured where schedules are tuned, estimated elsewhere; an estimate of odd counts
    of channels is too low by ``ODD``. ``quantise`` has the ranges of ``least``.
    """
    some = without_idle(pruned, quantise)
    if not some["main"].same_as(pruned["main"]):
        pruned, least = some, apply_passes(some, RemoveDeadChannels())
    stages = first = lower_float(least, spec, quantise, cache=cache, tune=tune, tell=tell)
    others = _with_more(pruned, least, quantise)
    cycles = _cycles(stages, spec, tune) if others else 0.0
    for other in others:
        made = lower_float(other, spec, quantise, cache=cache, tune=tune, tell=tell)
        taken = _cycles(made, spec, tune)
        if taken * (1.0 if tune is not None or stages is not first else 1 - ODD) < cycles:
            stages, cycles = made, taken
    return stages


def _with_more(pruned: IRModule, least: IRModule, quantise: QuantizeInt8) -> list[IRModule]:
    """The modules with some and with all of the dead channels, as far as they differ and the
    ranges are enough."""
    sizes = [[layer.weight.shape for layer in prunables(least["main"])]]
    found = []
    for block in (BLOCK, ALL):
        module = apply_passes(pruned, RemoveDeadChannels(block))
        shapes = [layer.weight.shape for layer in prunables(module["main"])]
        if shapes not in sizes and quantise.has_ranges(module):
            sizes.append(shapes)
            found.append(module)
    return found


def _cycles(stages: Stages, spec: AccelSpec, tune: Tuning | None) -> float:
    if tune is not None:
        return sum(tune.measure(program) for program in stages.programs.values())
    return estimated_cycles(stages.scheduled, spec)


def import_float(model: Model, shapes: Mapping[str, Sequence[int]], *, by_image: bool = True
                 ) -> IRModule:
    """The model in Relax with its normalisations folded: the weights that will run.

    by_image: a batch of images that do not depend on each other becomes one image; attribute
    ``zeroskip.batch`` of main says how many there are. What the model was before may be as large
    and is gone when this returns.
    """
    module, batch = _imported(model, shapes, by_image)
    module = apply_passes(module, FoldBatchNorm())
    if batch > 1:
        module["main"] = module["main"].with_attr(BATCH_ATTR, batch)
    return module


def _imported(model: Model, shapes: Mapping[str, Sequence[int]], by_image: bool = True
              ) -> tuple[IRModule, int]:
    """The model in Relax, nothing folded, and how many images of its batch it stands for."""
    if isinstance(model, str | Path):
        proto = normalise_own(load_onnx(model), shapes)
    else:
        check_constants(model)
        proto = normalise_onnx(model, shapes)
    proto, batch = for_one_image(proto) if by_image else (proto, 1)
    return import_onnx(proto), batch


def apply_passes(module: IRModule, *passes: Any) -> IRModule:
    return tvm.transform.Sequential(list(passes))(module)


def given_samples(module: IRModule, calibrate: str | Path | Arrays | None
                  ) -> dict[str, Any] | None:
    """Calibration data by variable, if there are any: what a scheme may look at."""
    return None if calibrate is None else read_samples(module, calibrate)


def read_samples(module: IRModule, calibrate: str | Path | Arrays | None) -> dict[str, Any]:
    """Calibration data by variable, or seeded random numbers in its place."""
    ports = ports_of(module["main"], "inputs")
    for port in ports:
        if not port.shape:
            raise CompileError(f"input '{port.name}' is a single number; networks here take "
                               "tensors, whose leading axis counts samples")
    if calibrate is None:
        rng = np.random.default_rng(0)
        return {port.variable: rng.standard_normal(
            (SAMPLES * port.shape[0], *port.shape[1:])).astype(port.dtype) for port in ports}
    if isinstance(calibrate, str | Path):
        calibrate = load_arrays(calibrate)
    matched = match_inputs(calibrate, ports, "calibration data", samples=True)
    return {port.variable: matched[port.name] for port in ports}


def ports_of(main: Any, side: str) -> tuple[Port, ...]:
    """Names, shapes and types of the network's inputs or outputs."""
    names = [str(name) for name in main.attrs[f"zeroskip.{side}"]]
    if side == "inputs":
        found = [(str(param.name), param.ty) for param in main.params]
    else:
        result = main.ret_ty if hasattr(main, "ret_ty") else main.ret_struct_info
        fields = list(result.fields) if hasattr(result, "fields") else [result]
        found = [("", field) for field in fields]
    return tuple(
        Port(name, variable, tuple(int(n) for n in kind.shape), str(kind.dtype))
        for name, (variable, kind) in zip(names, found, strict=True)
    )


def reasons_of(module: IRModule) -> dict[str, str]:
    """The nodes of a partitioned module that stay on the CPU, and why."""
    attrs = module["main"].attrs
    reasons: Mapping[Any, Any] = attrs.get(CPU_ATTR, {}) if attrs else {}
    return {str(node): str(why) for node, why in reasons.items()}


def placement_of(reference: IRModule, programs: Mapping[str, Program], cpu: Mapping[str, str]
                 ) -> tuple[Placement, dict[str, int]]:
    """What is where, counted in the ordinary ops of main and of each region; and multiplies of the
    nodes on the CPU."""
    host = weighted_of(reference["main"])
    every = [*host, *(each for name in programs for each in weighted_of(reference[name]))]
    host_macs: dict[str, int] = {}
    for each in host:
        host_macs[each.node] = host_macs.get(each.node, 0) + each.macs
    placement = Placement(
        regions=len(programs), crossing=crossing_bytes(programs), nodes_on_cpu=len(cpu),
        layers=len(every), layers_on_cpu=len(host), macs=sum(each.macs for each in every),
        macs_on_cpu=sum(each.macs for each in host))
    return placement, host_macs


def _name(model: Model) -> str:
    if isinstance(model, str | Path):
        return Path(model).stem
    return str(model.graph.name) or "network"
