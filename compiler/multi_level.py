"""From a model to nested levels: each is pruned from the one before and has the same scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

import numpy as np
from tvm.ir import IRModule

from zeroskip.accel_model import physics
from zeroskip.accel_model.formats.nested import MAX_LEVELS
from zeroskip.accel_model.io.telling import Progress
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.artifact.nested_file import Levels
from zeroskip.compiler.artifact.nested_packer import Level, pack_levels
from zeroskip.compiler.batching import in_batch
from zeroskip.compiler.driver import given_samples, network_of, prepare, ranges_of
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.options import CompileOptions, First, activation_type, checked, progress_of
from zeroskip.compiler.stages import Stages, lower_float, with_move_layers, without_dead_channels
from zeroskip.relay_passes.pruning.apply import prune as prune_by
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8, choose_weight_scales
from zeroskip.relay_passes.read_model import Model, read_model

LONGEST = 160  # characters of a recipe by which a level is called


def compile_levels(
    model: Model,
    target: str | AccelSpec,
    levels: Sequence[Recipe],
    *,
    firsts: Sequence[First] = (),
    **options: Unpack[CompileOptions],
) -> Levels:
    """Compile an ONNX model, or Relay's text, at several sparsities whose weights are stored once.

    levels: recipes, the densest first; each prunes what the one before left and may only remove
    weights. prune: what they have in common, applied first; it may change tensors. firsts:
    ``first`` of ``compile``, one for each level. options: as in ``compile``. CompileError for a
    level that does more than remove weights.
    """
    spec = target if isinstance(target, AccelSpec) else load_spec(target)
    physics.check(spec)
    model = read_model(model, options.get("params"), options.get("example"))
    every = lower_levels(model, spec, levels, firsts=firsts, **options)
    return pack_levels(
        Level(
            recipe_text(recipe),
            network_of(stages, model, spec),
            {name: stages.regions.graph(stages.partitioned, name) for name in stages.programs},
        )
        for recipe, stages in zip(levels, every, strict=True)
    )


def lower_levels(
    model: Model,
    spec: AccelSpec,
    levels: Sequence[Recipe],
    *,
    firsts: Sequence[First] = (),
    **options: Unpack[CompileOptions],
) -> Iterator[Stages]:
    """The stages of each level of ``compile_levels``, when it is asked for."""
    if not 1 <= len(levels) <= MAX_LEVELS:
        raise CompileError(
            f"{len(levels)} levels cannot be compiled together; give 1 to {MAX_LEVELS} recipes"
        )
    progress, dtype = progress_of(checked(options)), activation_type(options, spec)
    module, _ = prepare(model, options, more=True)
    module = without_dead_channels(module)
    samples, scales = given_samples(module, options.get("calibrate")), None
    kept: Mapping[str, str] = {}
    for number, recipe in enumerate(levels):
        mine: CompileOptions = {
            **options,
            "progress": partial(_tell_level, progress, number),
            "first": firsts[number] if firsts else None,
        }
        before, module = module, prune_by(module, recipe, samples=samples)
        if number > 0:
            _check_level(before, module, number, recipe_text(recipe))
        ready = with_move_layers(module)
        ranges = ranges_of(ready, mine)
        # Each level has its own activations, but a weight is one integer in all of them.
        scales = choose_weight_scales(ready, ranges, dtype) if scales is None else scales
        quantize = QuantizeInt8(ranges=ranges, activation_dtype=dtype, weight_scales=scales)
        (ready,) = in_batch([ready], options.get("batch"))
        stages = lower_float(ready, spec, quantize, mine, kept=kept)
        kept = stages.kept  # what does not fit in one level is on the CPU in the sparser ones too
        yield stages


def recipe_text(recipe: Recipe) -> str:
    """What a level is called: its recipe, not longer than a line or two."""
    text = (
        str(recipe)
        if isinstance(recipe, str | Path)
        else "+".join(
            f"{each.scheme}:{each.strength}={getattr(each, each.strength)}" for each in recipe
        )
    )
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _tell_level(progress: Progress, level: int, what: str, done: int, total: int) -> None:
    progress(f"level {level}: {what}", done, total)


def _check_level(before: IRModule, after: IRModule, level: int, recipe: str) -> None:
    """CompileError unless some of the weights of the one before are zero and nothing else moved."""
    old = {layer.var: layer for layer in prunable_layers(before["main"])}
    new = prunable_layers(after["main"])
    odd = [
        layer.node
        for layer in new
        if layer.var not in old
        or layer.weight.shape != old[layer.var].weight.shape
        or not np.all((layer.weight == 0) | (layer.weight == old[layer.var].weight))
    ]
    odd += [layer.node for var, layer in old.items() if var not in {each.var for each in new}]
    if odd:
        raise CompileError(
            f"level {level} '{recipe}' does more to '{odd[0]}' than remove weights "
            f"of level {level - 1}; give what changes tensors or values to --prune, "
            "which all levels share"
        )
