"""Unstructured pruning by magnitude."""

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.prunable import left, prunables, with_weights


@relax.transform.function_pass(opt_level=0, name="zeroskip.PruneUnstructured")
class PruneUnstructured:
    """The weights of least magnitude become zero (Han et al., NIPS 2015).

    sparsity: the fraction of zeros, of each layer (scope ``layer``) or of all layers together
    (``global``). Depthwise convolutions stay. ``layers`` is a glob on ONNX node names.
    """

    def __init__(self, sparsity: float = 0.5, scope: str = "layer", layers: str = "*") -> None:
        self.sparsity, self.scope, self.layers = sparsity, scope, layers

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return prune_unstructured(func, self.sparsity, self.scope, self.layers)


def prune_unstructured(func: relax.Function, sparsity: float, scope: str = "layer",
                       layers: str = "*") -> relax.Function:
    """The function of ``PruneUnstructured``."""
    found = [layer for layer in prunables(func, layers) if not layer.is_depthwise]
    groups = [found] if scope == "global" else [[layer] for layer in found]
    weights, notes = {}, {}
    for group in groups:
        flat = np.concatenate([layer.weight.reshape(-1) for layer in group] or [np.empty(0)])
        order = np.argsort(np.abs(flat), kind="stable")
        flat[order[: int(sparsity * flat.size)]] = 0
        pieces = np.split(flat, np.cumsum([layer.weight.size for layer in group])[:-1])
        for layer, piece in zip(group, pieces, strict=True):
            weights[layer.var] = piece.reshape(layer.weight.shape)
            notes[layer.node] = f"unstructured {sparsity:g}: {left(weights[layer.var])}"
    return with_weights(func, weights, notes)
