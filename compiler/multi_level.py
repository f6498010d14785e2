"""From a model to nested levels: each is pruned from the one before and has the same scales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tvm.ir import IRModule

from zeroskip.accel_model.formats.nested import MAX_LEVELS
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.artifact.nested_file import Levels
from zeroskip.compiler.artifact.nested_packer import Level, pack_levels
from zeroskip.compiler.autotune import Tuning
from zeroskip.compiler.driver import (
    Arrays,
    First,
    Model,
    given_samples,
    network_of,
    prepare,
    ranges_of,
)
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.from_relax import extract
from zeroskip.compiler.stages import Stages, lower_float, without_dead
from zeroskip.relay_passes.progress import Progress, no_progress
from zeroskip.relay_passes.pruning.apply import prune as prune_by
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe
from zeroskip.relay_passes.quantize.calibrate import Method
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8, choose_weight_scales

LONGEST = 160  # characters of a recipe by which a level is called


def compile_levels(
    model: Model,
    target: str | AccelSpec,
    levels: Sequence[Recipe],
    *,
    prune: Recipe | None = None,
    calibrate: str | Path | Arrays | None = None,
    method: Method = "auto",
    float_nodes: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | Path | None = None,
    tune: Tuning | None = None,
    on_progress: Progress | None = None,
    first: Sequence[First] = (),
) -> Levels:
    """Compile an ONNX model at several sparsities whose weights are stored once.

    levels: recipes, the densest first; each prunes what the one before left and may only remove
    weights. prune: what they have in common, applied first; it may change tensors. first: as of
    ``compile``, one for each level. All else as in ``compile``. CompileError for a level that does
    more than remove weights.
    """
    spec = target if isinstance(target, AccelSpec) else load_spec(target)
    every = lower_levels(
        model,
        spec,
        levels,
        prune=prune,
        calibrate=calibrate,
        method=method,
        float_nodes=float_nodes,
        shapes=shapes,
        cache=cache,
        tune=tune,
        on_progress=on_progress,
        first=first,
    )
    return pack_levels(
        Level(
            recipe_text(recipe),
            network_of(stages, model, spec),
            {name: extract(stages.partitioned, name) for name in stages.programs},
        )
        for recipe, stages in zip(levels, every, strict=True)
    )


def lower_levels(
    model: Model,
    spec: AccelSpec,
    levels: Sequence[Recipe],
    *,
    prune: Recipe | None = None,
    calibrate: str | Path | Arrays | None = None,
    method: Method = "auto",
    float_nodes: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    cache: str | Path | None = None,
    tune: Tuning | None = None,
    on_progress: Progress | None = None,
    first: Sequence[First] = (),
) -> Iterator[Stages]:
    """The stages of each level of ``compile_levels``, when it is asked for."""
    if not 1 <= len(levels) <= MAX_LEVELS:
        raise CompileError(
            f"{len(levels)} levels cannot be compiled together; give 1 to {MAX_LEVELS} recipes"
        )
    on_progress = on_progress or no_progress
    module, _ = prepare(model, shapes, prune, calibrate, float_nodes, on_progress, more=True)
    module = without_dead(module)
    samples, scales = given_samples(module, calibrate), None
    for number, recipe in enumerate(levels):
        told = partial(_tell_level, on_progress, number)
        before, module = module, prune_by(module, recipe, samples=samples)
        if number > 0:
            _check_level(before, module, number, recipe_text(recipe))
        ranges = ranges_of(module, calibrate, method, told, first=first[number] if first else None)
        # Each level has its own activations, but a weight is one integer in all of them.
        scales = choose_weight_scales(module, ranges) if scales is None else scales
        yield lower_float(
            module,
            spec,
            QuantizeInt8(ranges=ranges, weight_scales=scales),
            cache=cache,
            tune=tune,
            on_progress=told,
        )


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


def _tell_level(on_progress: Progress, level: int, what: str, done: int, total: int) -> None:
    on_progress(f"level {level}: {what}", done, total)


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
