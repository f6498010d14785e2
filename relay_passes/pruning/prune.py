"""Pruning a float module by a recipe: what ``compile --prune`` and ``zeroskip prune`` share."""

from __future__ import annotations

from dataclasses import dataclass

import tvm

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.layers import PRUNED_ATTR, Prunable, prunables
from zeroskip.relay_passes.pruning.recipe import Recipe, parse_recipe


def prune(module: tvm.IRModule, recipe: Recipe = ()) -> tvm.IRModule:
    """The module after the schemes of a recipe.

    module: float, its normalisations folded (``FoldBatchNorm``), so that the weights that are
    judged are those that will run. PassError for a recipe that is wrong or does not fit.
    """
    passes = parse_recipe(recipe)
    if passes and not prunables(module["main"]):
        raise PassError("The model has no convolution or matmul with float weights to prune; a "
                        "quantised model is pruned before it is quantised.")
    return tvm.transform.Sequential(passes)(module)


@dataclass(frozen=True, eq=False)
class LayerChange:
    """What became of a layer. note: what was done to it. before, after: None if it is not there."""

    node: str
    note: str
    before: Prunable | None
    after: Prunable | None


def layer_changes(dense: tvm.IRModule, pruned: tvm.IRModule) -> list[LayerChange]:
    """What pruning made of each layer, in the order of the pruned module, then what has gone."""
    func = pruned["main"]
    before = {layer.node: layer for layer in prunables(dense["main"])}
    after = {layer.node: layer for layer in prunables(func)}
    notes = dict(func.attrs[PRUNED_ATTR]) if PRUNED_ATTR in (func.attrs or {}) else {}
    return [LayerChange(node, str(notes.get(node, "")), before.get(node), after.get(node))
            for node in dict.fromkeys([*after, *before])]
