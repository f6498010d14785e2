"""The stages behind a float module: quantized, partitioned, scheduled, emitted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import tvm
from tvm.ir import IRModule

from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.artifact.float_source import FloatSource
from zeroskip.compiler.autotune import Tuning
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.regions import Regions
from zeroskip.compiler.options import CompileOptions, progress_of
from zeroskip.compiler.passes import TileAndSchedule, estimated_cycles, misfits, programs_of
from zeroskip.compiler.scheduling.schedule_cache import PlanCache
from zeroskip.relay_passes.partition import PartitionForAccelerator
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels
from zeroskip.relay_passes.pruning.schemes.idle_filters import DropIdleFilters
from zeroskip.relay_passes.quantize.fold_shuffles import FoldShuffles
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.relax.fold_forward import AffineLayers
from zeroskip.relay_passes.relax.interpolation_layers import InterpolationLayers
from zeroskip.relay_passes.tosa.read_tosa import IntegerModel, check_integers, told_differences

BLOCK = 16  # channels that the arrays treat together
ALL = 2**31  # a block of more channels than there are
ODD = 0.02  # of the cycles; set by hand: beside 32 or 64 channels, 0.2 to 12 % with 57, 63 and 25
_OF_FLOATS: Mapping[Literal["prune", "activation_bits", "float_nodes", "shapes", "batch"], str] = {
    "activation_bits": "its activations have the bits that they have",
    "prune": "prune the float network before it is quantized",
    "float_nodes": "keep layers in float where it is quantized",
    "shapes": "write it with the sizes that it is to have",
    "batch": "write it with the batch that it is to have",
}


@dataclass(frozen=True, eq=False)
class Stages:
    """The module after each stage, for those who want to look (``--emit``). kept: ONNX node -> why,
    of the layers that stay on the CPU because no tile of them fits. regions: the regions lowered.
    source: where the float weights are that a file need not hold."""

    floating: IRModule
    partitioned: IRModule
    scheduled: IRModule
    programs: dict[str, Program]
    kept: Mapping[str, str] = field(default_factory=dict)
    regions: Regions = field(default_factory=Regions)
    source: FloatSource | None = None


def apply_passes(module: IRModule, *passes: Any) -> IRModule:
    return tvm.transform.Sequential(list(passes))(module)


def lower_float(
    floating: IRModule,
    spec: AccelSpec,
    quantize: QuantizeInt8,
    options: CompileOptions,
    *,
    kept: Mapping[str, str] | None = None,
) -> Stages:
    """The stages behind a float module whose normalisations are folded.

    kept: nodes that stay on the CPU, and why; so does whatever no tile fits of, which is known when
    it cannot be scheduled.
    """
    progress_of(options)("quantize", 0, 1)
    return lower_integers(floating, apply_passes(floating, quantize), spec, options, kept=kept)


def lower_integers(
    floating: IRModule,
    quantized: IRModule,
    spec: AccelSpec,
    options: CompileOptions,
    *,
    kept: Mapping[str, str] | None = None,
) -> Stages:
    """The stages behind a module that has one integer function for each layer.

    floating: the float module that it was, or stands for. kept: as of ``lower_float``.
    """
    progress, cache, regions = progress_of(options), options.get("cache"), Regions()
    # Whole regions of layers for the accelerator.
    schedule = TileAndSchedule(
        spec,
        progress=lambda node, done, total: progress(f"schedule {node}", done, total),
        cache=None if cache is None else PlanCache(cache),
        tuning=options.get("tune"),
        regions=regions,
        objective=options.get("objective", "cycles"),
    )
    kept = dict(kept or {})
    while True:
        partitioned = apply_passes(quantized, PartitionForAccelerator(supports(spec), kept))
        try:
            scheduled = apply_passes(partitioned, schedule)
            break
        except CompileError:
            more = misfits(partitioned, spec, regions)
            if more.keys() <= kept.keys():
                raise
            kept |= more
    progress("emit", 0, 1)
    programs = programs_of(scheduled, spec, regions)
    return Stages(floating, partitioned, scheduled, programs, kept, regions)


def lower_integer_model(model: IntegerModel, spec: AccelSpec, options: CompileOptions) -> Stages:
    """The stages of a network that is integers already; it is held to the text it was read from.

    CompileError for options that choose other integers. A warning says which layers round otherwise
    than the text.
    """
    if options.get("calibrate") is not None and not spec.kind.looks_at_inputs:
        raise CompileError(f"'{model.name}' has its scales: leave calibration samples out")
    check_integer_model(model, options)
    return lower_integers(model.floating, model.integer, spec, options)


def check_integer_model(model: IntegerModel, options: CompileOptions) -> None:
    """CompileError for options that choose other integers, FrontError for layers that do not give
    what the text does; a warning says which may be a step off."""
    refuse_float_options(model.name, options)
    progress_of(options)("compare with the text", 0, 1)
    check_integers(model)
    if model.differences:
        warnings.warn(told_differences(model), RuntimeWarning, stacklevel=5)


def refuse_float_options(name: str, options: CompileOptions) -> None:
    """CompileError for options that a network of integers cannot have. name: the network's."""
    for option, remedy in _OF_FLOATS.items():
        if options.get(option):
            raise CompileError(f"'{name}' is integers already: {remedy}")


def lower_fastest(
    pruned: IRModule,
    least: IRModule,
    spec: AccelSpec,
    quantize: QuantizeInt8,
    options: CompileOptions,
) -> Stages:
    """The stages with the fewest cycles: without dead channels (``least``), without whole blocks of
    them, or with all. Fewer channels may need a schedule that is slower; the results are the same.

    What leaves more to the CPU is not compared. Cycles are measured where schedules are tuned,
    estimated elsewhere; an estimate of odd counts of channels is too low by ``ODD``. ``quantize``
    has the ranges of ``least``, which is the float
    network that the result is judged by: with the filters that cannot move a step.
    """
    measured, tune = least, options.get("tune")
    some = without_idle(pruned, quantize)
    if not some["main"].same_as(pruned["main"]):
        pruned, least = some, without_dead(some)
    stages = first = lower_float(least, spec, quantize, options)
    others = _with_more(pruned, least, quantize)
    cycles = _cycles(stages, spec, tune) if others else 0.0
    for other in others:
        made = lower_float(other, spec, quantize, options)
        if made.kept != stages.kept:
            continue
        taken = _cycles(made, spec, tune)
        if taken * (1.0 if tune is not None or stages is not first else 1 - ODD) < cycles:
            stages, cycles = made, taken
    return replace(stages, floating=measured)


def without_dead(pruned: IRModule, block: int = 1) -> IRModule:
    """``with_move_layers`` of the module without channels that cannot matter, as far as whole
    blocks of them go.

    This comes after pruning: with fewer channels, groups of n of m no longer line up.
    """
    return with_move_layers(without_dead_channels(pruned, block))


def without_dead_channels(pruned: IRModule, block: int = 1) -> IRModule:
    """The module without channels that cannot matter; affine arithmetic that is left is layers
    then."""
    return apply_passes(pruned, RemoveDeadChannels(block), AffineLayers())


def with_move_layers(pruned: IRModule) -> IRModule:
    """The module with shuffles of channels and bilinear resizes as weights of layers, which no
    pruning may see: they are not learned."""
    return apply_passes(pruned, FoldShuffles(), InterpolationLayers())


def without_idle(pruned: IRModule, quantize: QuantizeInt8) -> IRModule:
    """The module without filters that cannot move a step of what QuantizeInt8 makes of them."""
    if quantize.ranges is None or not quantize.has_ranges(pruned):
        return pruned
    drop = DropIdleFilters(quantize.ranges, quantize.activation_dtype)
    dropped = apply_passes(pruned, drop)
    enough = quantize.has_ranges(without_dead(dropped))
    return dropped if enough else pruned


def _with_more(pruned: IRModule, least: IRModule, quantize: QuantizeInt8) -> list[IRModule]:
    """The modules with some and with all of the dead channels, as far as they differ and the
    ranges are enough."""
    sizes = [[layer.weight.shape for layer in prunable_layers(least["main"])]]
    found = []
    for block in (BLOCK, ALL):
        module = without_dead(pruned, block)
        shapes = [layer.weight.shape for layer in prunable_layers(module["main"])]
        if shapes not in sizes and quantize.has_ranges(module):
            sizes.append(shapes)
            found.append(module)
    return found


def _cycles(stages: Stages, spec: AccelSpec, tune: Tuning | None) -> float:
    if tune is not None:
        return sum(tune.measure(program) for program in stages.programs.values())
    return estimated_cycles(stages.scheduled, spec, stages.regions)
