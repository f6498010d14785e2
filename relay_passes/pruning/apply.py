"""Pruning a float module by a recipe: what ``compile --prune`` and ``zeroskip prune`` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tvm

from zeroskip.accel_model.io.telling import Progress
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.masks import MaskOptions
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.pruning.budget.allocate import Allocation, Budget, allocate
from zeroskip.relay_passes.pruning.budget.sensitivity import Cost
from zeroskip.relay_passes.pruning.reconstruction.reconstruct import Reconstruct
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe, pass_of, read_recipe
from zeroskip.relay_passes.relax.passes import with_unique_names


@repeatable
def prune(
    module: tvm.IRModule,
    recipe: Recipe = (),
    *,
    samples: Samples | None = None,
    method: str | None = None,
    progress: Progress | None = None,
) -> tvm.IRModule:
    """The module after the schemes of a recipe.

    module: float, its normalisations folded (``FoldBatchNorm``), so that the weights that are
    judged are those that will run. samples: input -> float32 [n, ...], for schemes that look at
    some and to reconstruct with. method: of ``Reconstruct``; None: the weights that stay are as
    they were. The masks of ``weights`` are chosen while it fits.
    The same bits whatever the number of threads.
    PassError for a recipe that is wrong or does not fit.
    """
    dense = with_unique_names(module)
    shrinking, masks = _parts(dense, recipe)
    made = _apply(module, shrinking, samples)
    if method == "weights":
        reconstruct = Reconstruct(dense, _needed(samples), schemes=masks, progress=progress)
        return tvm.transform.Sequential([reconstruct])(made)
    made = _apply(made, masks, samples)
    if method is None:
        return made
    reconstruct = Reconstruct(dense, _needed(samples), method, progress=progress)
    return tvm.transform.Sequential([reconstruct])(made)


@repeatable
def share_out(
    module: tvm.IRModule,
    recipe: Recipe,
    budget: Budget,
    samples: Samples,
    *,
    cycles: Cost | None = None,
    method: str | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Options, ...], Allocation]:
    """A recipe in whose place its last schemes, those of masks, have the strengths that keep to a
    budget, and how that was shared out (``allocate``). The schemes before them are as given."""
    module = with_unique_names(module)
    shrinking, masks = _parts(module, recipe)
    share = allocate(
        _apply(module, shrinking, samples),
        budget,
        masks,
        samples,
        dense=module,
        cycles=cycles,
        method=method,
        progress=progress,
    )
    return (*shrinking, *share.recipe), share


def _parts(
    module: tvm.IRModule, recipe: Recipe
) -> tuple[tuple[Options, ...], tuple[MaskOptions, ...]]:
    """The schemes of masks that end a recipe, and those before them."""
    schemes = read_recipe(recipe)
    if schemes and not prunable_layers(module["main"]):
        raise PassError(
            "The model has no convolution or matmul with float weights to prune; a "
            "quantized model is pruned before it is quantized."
        )
    masks: list[MaskOptions] = []
    for scheme in reversed(schemes):
        if not isinstance(scheme, MaskOptions):
            break
        masks.insert(0, scheme)
    return schemes[: len(schemes) - len(masks)], tuple(masks)


def _apply(
    module: tvm.IRModule, schemes: Sequence[Options], samples: Samples | None
) -> tvm.IRModule:
    return tvm.transform.Sequential([pass_of(each, samples) for each in schemes])(module)


def _needed(samples: Samples | None) -> Samples:
    if samples is None:
        raise PassError("Reconstruction looks at sample inputs: give samples.")
    return samples


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What became of a layer. note: what was done to it. before, after: None if it is not there."""

    node: str
    note: str
    before: PrunableLayer | None
    after: PrunableLayer | None


def layer_changes(dense: tvm.IRModule, pruned: tvm.IRModule) -> list[LayerChange]:
    """What pruning made of each layer, in the order of the pruned module, then what has gone."""
    func = pruned["main"]
    before = {layer.node: layer for layer in prunable_layers(dense["main"])}
    after = {layer.node: layer for layer in prunable_layers(func)}
    notes = dict(func.attrs[PRUNED_ATTR]) if PRUNED_ATTR in (func.attrs or {}) else {}
    return [
        LayerChange(node, str(notes.get(node, "")), before.get(node), after.get(node))
        for node in dict.fromkeys([*after, *before])
    ]
