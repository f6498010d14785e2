"""Schemes that set weights to zero and leave every shape as it is: what they share.

Such a scheme is a structure: a family of sets of weights that may stay together. Given what every
weight is worth, it keeps the set of the family that is worth most, exactly or by the rule that the
scheme's paper gives. So all of them are one pass that differs in ``MaskOptions.keep``, and what
prunes a trained network also projects weights while a network is being trained.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.statistics import Samples, layer_columns
from zeroskip.relay_passes.pruning.base.layers import Globs, PrunableLayer, left, with_weights
from zeroskip.relay_passes.pruning.base.options import (
    EVERY,
    Flag,
    OneOf,
    Options,
    chosen_layers,
    kernel_option,
    layers_option,
    option,
)
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.relax.passes import Pass

Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LayerOptions(Options):
    """The options of a scheme that treats layers one by one, as ``taken_layers`` chooses them.

    layers, kernel: which layers. A layer that the scheme is not for at all (``concerns``) stays as
    it is if ``layers`` is left open, and is refused if it was named. One that it is for but that
    cannot take it (``refusal``) is refused by name, or with ``skip`` stays as it is.
    """

    skip_first: bool = option(True, Flag("leave convolutions that no layer comes before"))
    skip: bool = option(False, Flag("leave layers that cannot take the scheme"))
    kernel: tuple[int, ...] | None = kernel_option()
    layers: Globs = layers_option()

    def concerns(self, layer: PrunableLayer) -> str | None:
        """Why the scheme is not for a kind of layer; None: it is. Depthwise ones hold few weights,
        and no accelerator here skips in them."""
        return "is a depthwise convolution" if layer.is_depthwise else None

    def refusal(self, layer: PrunableLayer) -> str | None:
        """Why a layer cannot take the scheme, and what would help; None: it can."""
        return None


@dataclass(frozen=True, kw_only=True)
class MaskOptions(LayerOptions):
    """The options of a scheme of masks, and the structure that they describe."""

    criterion: str = option(
        "magnitude",
        OneOf(
            "what a weight is worth: its square, or that times the variance of what it multiplies in "
            "sample inputs",
            words=("magnitude", "saliency"),
        ),
    )

    @property
    def needs_samples(self) -> bool:
        return self.criterion == "saliency"

    @abstractmethod
    def keep(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Mask]:
        """Which weights of the layers stay. scores: what each weight is worth, of its shape, not
        negative. Of sets that are worth the same, always the same one is kept."""

    @property
    def removed(self) -> float:
        """The ratio of what the scheme removes that is removed: what ``at`` takes."""
        return float(getattr(self, self.strength))

    def apart(self, layers: Sequence[PrunableLayer], scores: Sequence[Scores]) -> list[Self]:
        """Options for each of the layers by itself that together prune like these."""
        return [replace(self, layers=escape(layer.node)) for layer in layers]

    def note(self, layer: PrunableLayer, mask: Mask) -> str:
        """What was done to a layer, in words, beside how much is left of it."""
        return f"{self.scheme} {getattr(self, self.strength):g}"


def taken_layers(func: relax.Function, options: LayerOptions) -> list[PrunableLayer]:
    """The layers that a scheme changes; PassError for one that was asked for and cannot be."""
    named = options.layers != EVERY
    taken = []
    for layer in chosen_layers(func, options, options.layers):
        unlike = options.kernel is not None and options.kernel != (layer.kernel or (1,))
        if unlike or (options.skip_first and layer.first and layer.is_conv):
            continue
        why = options.concerns(layer)
        if why is not None and not named:
            continue
        why = why or options.refusal(layer)
        if why is None:
            taken.append(layer)
        elif not options.skip:
            raise PassError(
                f"Pruning scheme {options.scheme}: '{layer.node}' {why}; name other "
                "layers, or say skip=yes to leave such layers as they are."
            )
    return taken


def prune_masked(
    mod: tvm.IRModule, options: MaskOptions, samples: Samples | None = None
) -> relax.Function:
    """``main`` with the weights that a scheme removes at zero; notes say what was done.

    samples: input -> float32 [n, ...], for the criterion that looks at them."""
    func = mod["main"]
    layers = taken_layers(func, options)
    masks = options.keep(layers, scores_of(mod, layers, options.criterion, samples))
    weights, notes = {}, {}
    for layer, mask in zip(layers, masks, strict=True):
        weights[layer.var] = np.where(mask, layer.weight, 0)
        notes[layer.node] = f"{options.note(layer, mask)}: {left(weights[layer.var])}"
    return with_weights(func, weights, notes)


def scores_of(
    mod: tvm.IRModule, layers: Sequence[PrunableLayer], criterion: str, samples: Samples | None
) -> list[Scores]:
    """What the weights of the layers are worth: each of its layer's shape.

    ``magnitude``: their squares. ``saliency``: the squared error of the layer's output if a weight
    alone is removed, the bias making up for the mean: its square times the variance of what it
    multiplies (Le Cun et al., "Optimal Brain Damage", NIPS 1989, for this error's own Hessian).
    """
    scores = [magnitude(layer.weight) for layer in layers]
    if criterion == "magnitude":
        return scores
    if samples is None:
        raise PassError(
            "Pruning option criterion=saliency looks at sample inputs: give samples, "
            "or use criterion=magnitude."
        )
    variance = {
        name: seen.variance
        for name, seen in layer_columns(mod, samples, [layer.var for layer in layers])
    }
    return [
        (
            score.reshape(layer.groups, -1, variance[layer.var].shape[1])
            * variance[layer.var][:, None]
        ).reshape(score.shape)
        for layer, score in zip(layers, scores, strict=True)
    ]


def magnitude(weight: npt.NDArray[np.floating]) -> Scores:
    """What a weight is worth by its size: its square."""
    scores: Scores = np.square(weight, dtype=np.float64)
    return scores


def strongest(scores: Scores, removed: float) -> Mask:
    """All but a ratio of the scores, those that are least; of equal ones the earlier go."""
    return most(scores, scores.size - int(removed * scores.size))


def most(scores: Scores, kept: int) -> Mask:
    """As many of the scores as are to be kept, the largest; of equal ones the earlier go."""
    count = scores.size - kept
    flat = scores.reshape(-1)
    if count == 0:
        return np.ones(scores.shape, np.bool_)
    threshold = np.partition(flat, count - 1)[count - 1]
    mask: Mask = flat > threshold
    equal = np.flatnonzero(flat == threshold)
    mask[equal[count - np.count_nonzero(flat < threshold) :]] = True
    return mask.reshape(scores.shape)


class MaskPass(Pass):
    """The body of every pass of this kind: subclasses name their options and are decorated."""

    Options: type[MaskOptions]

    def __init__(self, *, samples: Samples | None = None, **options: Any) -> None:
        self.options, self.samples = self.Options(**options), samples

    @repeatable
    def transform_function(
        self, func: relax.Function, mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        current = tvm.IRModule({**mod.functions, mod.get_global_var("main"): func})
        return prune_masked(current, self.options, self.samples)
