"""Pattern pruning: few taps of each 3x3 kernel, and whole kernels removed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.pruning.layers import Prunable, left, with_weights
from zeroskip.relay_passes.pruning.libraries import (
    PCONV,
    Floats,
    Library,
    connectivity_mask,
    learn_library,
    project,
)
from zeroskip.relay_passes.pruning.options import (
    Choice,
    Count,
    Flag,
    Options,
    Ratio,
    chosen_layers,
    layers_option,
    option,
)


@dataclass(frozen=True)
class PatternOptions(Options):
    """Of ``PrunePattern``."""

    scheme = "pattern"
    doc = "kernel patterns for 3x3 convolutions, whole kernels removed (PCONV, PatDNN)"

    library: str = option("learned", Choice("where patterns come from",
                                            words=("learned", "pconv")))
    patterns: int = option(8, Count("size of the learned library", low=1, high=56))
    connectivity: float = option(0.0, Ratio("ratio of kernels to remove"))
    pointwise: float | None = option(None, Ratio("the same for 1x1 layers",
                                                 unset="as connectivity"))
    balance: str = option("filter", Choice("where equally many kernels stay",
                                           words=("filter", "layer", "global")))
    skip_first: bool = option(True, Flag("leave convolutions that read the input"))
    layers: str = layers_option()


@relax.transform.function_pass(opt_level=0, name="zeroskip.PrunePattern")
class PrunePattern:
    """Kernel patterns for 3x3 convolutions and connectivity pruning (PCONV, Ma et al., AAAI 2020;
    PatDNN, Niu et al., ASPLOS 2020).

    library: ``learned`` chooses ``patterns`` of the 56 of PatDNN from the network's own kernels,
    ``pconv`` takes the four of PCONV. Each 3x3 kernel gets the pattern that keeps most of its L2
    norm; then the kernels of least norm are removed, a ``connectivity`` ratio of them, with
    ``balance``: ``filter`` keeps equally many in every filter, ``layer`` in every layer, ``global``
    has one threshold for the network on norms relative to each layer's mean, under which a layer
    keeps at least one kernel. For a 1x1 layer a kernel is one weight; its ratio is ``pointwise``.
    Other kernel sizes lose whole kernels only. Depthwise convolutions stay, and with ``skip_first``
    those that read the network's input. ``layers`` is a glob on ONNX node names. What was done is
    in the attribute ``zeroskip.pruned``.
    Arguments are those of ``PatternOptions``; PassError for a value out of range.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self.options = PatternOptions(*args, **options)

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return prune_pattern(func, self.options)


def prune_pattern(func: relax.Function, options: PatternOptions) -> relax.Function:
    """The function of ``PrunePattern``."""
    layers = [layer for layer in chosen_layers(func, options.scheme, options.layers)
              if layer.is_conv and not layer.is_depthwise
              and not (options.skip_first and layer.first)]
    patterned = [layer for layer in layers if layer.kernel == (3, 3)]
    library = PCONV
    if options.library == "learned" and patterned:
        library = learn_library([layer.weight for layer in patterned], options.patterns)
    weights = {layer.var: _with_pattern(layer, library) for layer in layers}
    masks = _connectivity(layers, weights, options)
    notes = {}
    for layer in layers:
        mask = masks[layer.var].reshape(*masks[layer.var].shape, *[1] * len(layer.kernel))
        weights[layer.var] = np.where(mask, weights[layer.var], 0)
        what = f"{len(library)} patterns, " if layer.kernel == (3, 3) else ""
        ratio = _ratio(layer, options)
        notes[layer.node] = f"{what}connectivity {ratio:g}: {left(weights[layer.var])}"
    return with_weights(func, weights, notes)


def _with_pattern(layer: Prunable, library: Library) -> Floats:
    return project(layer.weight, library)[0] if layer.kernel == (3, 3) else layer.weight


def _ratio(layer: Prunable, options: PatternOptions) -> float:
    point = all(size == 1 for size in layer.kernel)
    if point and options.pointwise is not None:
        return options.pointwise
    return options.connectivity


def _connectivity(layers: list[Prunable], weights: dict[str, Floats],
                  options: PatternOptions) -> dict[str, Library]:
    """For each layer, which kernels [K, C] stay."""
    norms = {}
    for layer in layers:
        kernels = weights[layer.var].reshape(*layer.weight.shape[:2], -1)
        norms[layer.var] = np.sqrt(np.square(kernels, dtype=np.float64).sum(axis=2))
    if options.balance != "global" or not layers:
        return {layer.var: connectivity_mask(norms[layer.var], _ratio(layer, options),
                                             options.balance) for layer in layers}
    masks = {}
    for ratio in {_ratio(layer, options) for layer in layers}:
        group = [layer.var for layer in layers if _ratio(layer, options) == ratio]
        scaled = [_relative(norms[var]) for var in group]
        together = np.concatenate([each.reshape(-1) for each in scaled])[None]
        mask = connectivity_mask(together, ratio, "layer").reshape(-1)
        for var, piece in zip(group, np.split(mask, np.cumsum([s.size for s in scaled])[:-1]),
                              strict=True):
            masks[var] = piece.reshape(norms[var].shape)
    return masks


def _relative(norms: Floats) -> Floats:
    """Norms in units of the layer's mean; its strongest kernel stays whatever the others are."""
    scaled = norms / max(float(norms.mean()), 1e-30)
    scaled.flat[norms.argmax()] = np.inf
    return scaled
