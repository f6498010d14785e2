"""Unstructured pruning by magnitude."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.pruning.layers import left, with_weights
from zeroskip.relay_passes.pruning.options import (
    Choice,
    Options,
    Ratio,
    chosen_layers,
    layers_option,
    option,
)


@dataclass(frozen=True)
class UnstructuredOptions(Options):
    """Of ``PruneUnstructured``."""

    scheme = "unstructured"
    doc = "weights of least magnitude become zero"

    sparsity: float = option(0.5, Ratio("ratio of weights to remove"))
    scope: str = option("layer", Choice("what is ranked together", words=("layer", "global")))
    layers: str = layers_option()


@relax.transform.function_pass(opt_level=0, name="zeroskip.PruneUnstructured")
class PruneUnstructured:
    """The weights of least magnitude become zero (Han et al., NIPS 2015).

    sparsity: the fraction of zeros, of each layer (scope ``layer``) or of all layers together
    (``global``). Depthwise convolutions stay. ``layers`` is a glob on ONNX node names.
    Arguments are those of ``UnstructuredOptions``; PassError for a value out of range.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.options = UnstructuredOptions(*args, **options)

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return prune_unstructured(func, self.options)


def prune_unstructured(func: relax.Function, options: UnstructuredOptions) -> relax.Function:
    """The function of ``PruneUnstructured``."""
    found = [layer for layer in chosen_layers(func, options.scheme, options.layers)
             if not layer.is_depthwise]
    groups = [found] if options.scope == "global" else [[layer] for layer in found]
    weights, notes = {}, {}
    for group in filter(None, groups):
        flat = np.concatenate([layer.weight.reshape(-1) for layer in group])
        order = np.argsort(np.abs(flat), kind="stable")
        flat[order[: int(options.sparsity * flat.size)]] = 0
        pieces = np.split(flat, np.cumsum([layer.weight.size for layer in group])[:-1])
        for layer, piece in zip(group, pieces, strict=True):
            weights[layer.var] = piece.reshape(layer.weight.shape)
            notes[layer.node] = f"unstructured {options.sparsity:g}: {left(weights[layer.var])}"
    return with_weights(func, weights, notes)
