"""The strength of a scheme that leaves as many weights as are asked for.

What a strength means is the scheme's: of patterns it is the ratio of kernels that go beside the
weights that patterns remove, of n:m the nearest n, of channels a ratio whose square stays. To
compare schemes they are brought to the same sparsity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tvm

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.apply import LayerChange, layer_changes
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.pruning.schemes.recipe import pass_of

STEPS = 10  # halvings of the interval of strengths
NEAR = 0.002  # to the sparsity that was asked for


@dataclass(frozen=True)
class Strength:
    """A scheme's options, and the sparsity that they give: the ratio of weights that are gone or
    zero, of the layers that the scheme changes."""

    options: Options
    sparsity: float


@repeatable
def at_sparsity(
    module: tvm.IRModule, options: Options, sparsity: float, samples: Samples | None = None
) -> Strength:
    """The options with the strength that comes nearest to a sparsity.

    module: float, its normalisations folded. sparsity: 0 < x < 1. samples: input -> float32
    [n, ...], for schemes that look at some.
    Found by bisection, as more strength never leaves more weights. A scheme of few strengths (n of
    m) or one that cannot remove as many gives what is nearest. PassError for a sparsity out of
    range, a scheme that takes no layer and whatever its pass refuses.
    """
    if not 0 < sparsity < 1:
        raise PassError(
            f"A sparsity of {sparsity:g} cannot be asked for; it is a ratio above 0 and below 1."
        )
    low, high, strength = 0.0, 1.0, sparsity
    best: Strength | None = None
    for _ in range(STEPS):
        tried = options.with_strength(strength)
        pruned = tvm.transform.Sequential([pass_of(tried, samples)])(module)
        found = sparsity_of(layer_changes(module, pruned))
        if best is None or abs(found - sparsity) < abs(best.sparsity - sparsity):
            best = Strength(tried, found)
        if abs(found - sparsity) < NEAR:
            break
        low, high = (strength, high) if found < sparsity else (low, strength)
        strength = (low + high) / 2
    assert best is not None
    if best.sparsity == 0:
        raise PassError(
            f"Pruning scheme {options.scheme} takes no layer of this model, or removes "
            f"nothing at a sparsity of {sparsity:g}; name layers that it can take."
        )
    return best


def sparsity_of(changes: list[LayerChange]) -> float:
    """The ratio of weights that are gone or zero, of the layers that were changed; 0 if none was.

    A layer that came into being counts with the one it was made from.
    """
    changed = [each for each in changes if _is_changed(each)]
    before, after = (
        sum(0 if layer is None else np.count_nonzero(layer.weight) for layer in layers)
        for layers in ([each.before for each in changed], [each.after for each in changed])
    )
    return 1 - after / before if before else 0.0


def _is_changed(change: LayerChange) -> bool:
    if change.before is None or change.after is None:
        return True
    return not np.array_equal(change.before.weight, change.after.weight)
