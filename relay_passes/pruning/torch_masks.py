"""Training a torch network under pruning masks: masks that hold, and ADMM towards a structure.

Only the ``train`` extra needs torch; nothing else of ours imports this module. Masks are numpy
bool arrays of the shape of the weights, True where a weight stays, by parameter name; they can come
from any structure here or from the zeros of a pruned network.

    choose = masker(PatternOptions(connectivity=0.5))
    held = hold_masks(model, choose({name: weights(model)[name] for name in wanted}), optimiser)
    ...                                                  # train as before
    held.release()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import MaskOptions, magnitude

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Masker = Callable[[Mapping[str, Floats]], Mapping[str, Mask]]


def weights(model: nn.Module) -> dict[str, Floats]:
    """Copies of the weights that pruning may change, by parameter name.

    Those of convolutions [K, C/groups, *kernel] and linear layers [out, in].
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return {
        f"{name}.weight": _array(layer.weight)
        for name, layer in model.named_modules()
        if isinstance(layer, kinds)
    }


def _array(values: torch.Tensor) -> Floats:
    array: Floats = values.detach().cpu().numpy().copy()
    return array


def masker(options: MaskOptions) -> Masker:
    """What a scheme keeps of weights by their size, by name; PassError for one it cannot take."""

    def choose(given: Mapping[str, Floats]) -> dict[str, Mask]:
        layers = [PrunableLayer(name, name, weight, 1, False) for name, weight in given.items()]
        for layer in layers:
            why = options.concerns(layer) or options.refusal(layer)
            if why is not None:
                raise PassError(f"Pruning scheme {options.scheme}: '{layer.node}' {why}.")
        masks = options.keep(layers, [magnitude(layer.weight) for layer in layers])
        return dict(zip(given, masks, strict=True))

    return choose


class HeldMasks:
    """Masks in force on a network, as ``hold_masks`` made them; also a context manager."""

    def __init__(
        self,
        parameters: list[tuple[nn.Parameter, torch.Tensor]],
        optimiser: torch.optim.Optimizer | None,
    ) -> None:
        self._parameters = parameters
        self._hooks = [
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
            for parameter, mask in parameters
        ]
        if optimiser is not None:
            self._hooks.append(optimiser.register_step_post_hook(lambda *_: self.apply()))
        self.apply()

    def apply(self) -> None:
        """Zero what the masks remove: done after each step of the optimiser that was given."""
        with torch.no_grad():
            for parameter, mask in self._parameters:
                parameter.mul_(mask)

    def release(self) -> None:
        """Let the removed weights be trained again; they are still zero."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def __enter__(self) -> HeldMasks:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def hold_masks(
    model: nn.Module, masks: Mapping[str, Mask], optimiser: torch.optim.Optimizer | None = None
) -> HeldMasks:
    """Zero the weights that the masks remove and keep them zero through training.

    Gradients are masked, which is enough for an optimiser that starts with the masks: weight decay
    and momentum of zero are zero. One that has momentum from before moves removed weights; given
    here, its every step is followed by the masks. PassError for a mask without its weight.
    """
    parameters = []
    for name, parameter in _named(model, masks):
        mask = np.asarray(masks[name])
        if mask.shape != tuple(parameter.shape):
            raise PassError(
                f"The mask of '{name}' has shape {mask.shape} and the weight "
                f"{tuple(parameter.shape)}; a mask has its weight's shape."
            )
        kept = torch.from_numpy(mask.astype(np.bool_)).to(parameter.device, parameter.dtype)
        if parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last):
            kept = kept.contiguous(memory_format=torch.channels_last)
        parameters.append((parameter, kept))
    return HeldMasks(parameters, optimiser)


def _named(model: nn.Module, names: Mapping[str, Any]) -> list[tuple[str, nn.Parameter]]:
    known = dict(model.named_parameters())
    for name in names:
        if name not in known:
            raise PassError(
                f"The network has no parameter '{name}' to mask; there are "
                f"{', '.join(list(known)[:5])}, ..."
            )
    return [(name, known[name]) for name in names]


class Admm:
    """Training towards a structure by the alternating direction method of multipliers.

    Minimises loss(W) subject to W in the structure, by turns: training on
    loss + rho/2 |W - Z + U|^2 (``penalty``), then Z = projection of W + U, U += W - Z
    (``update``). Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011, section 9.1;
    for weights Zhang et al., ECCV 2018; with kernel patterns PCONV (Ma et al., AAAI 2020) and
    PatDNN (Niu et al., ASPLOS 2020, section 4.2). Afterwards prune with ``masks`` and train on
    with ``hold_masks``.

    masker: keep-masks of all weights together; the masked weight is the projection, exact where
    the masker keeps what has the largest L2 norm. names: the parameters that it is given.
    """

    def __init__(self, model: nn.Module, masker: Masker, names: list[str], rho: float) -> None:
        if not rho > 0:
            raise PassError(f"ADMM's rho={rho} must be above 0.")
        self._parameters = dict(_named(model, dict.fromkeys(names)))
        self._masker, self.rho = masker, rho
        self._dual = {name: torch.zeros_like(each) for name, each in self._parameters.items()}
        self._target = self._project()

    def penalty(self) -> torch.Tensor:
        """rho/2 sum |W - Z + U|^2, to be added to the loss: a scalar with a gradient."""
        return (
            self.rho
            / 2
            * sum(
                (each - self._target[name] + self._dual[name]).square().sum()
                for name, each in self._parameters.items()
            )
        )

    def update(self) -> float:
        """Move Z and U, as after each epoch; returns |W - Z| / |W|, which goes to 0."""
        with torch.no_grad():
            self._target = self._project()
            apart = whole = 0.0
            for name, each in self._parameters.items():
                difference = each - self._target[name]
                self._dual[name] += difference
                apart += float(difference.square().sum())
                whole += float(each.square().sum())
        return float(np.sqrt(apart / whole))

    def masks(self) -> dict[str, Mask]:
        """The keep-masks of the weights as they are."""
        return dict(self._masker({name: _array(each) for name, each in self._parameters.items()}))

    def _project(self) -> dict[str, torch.Tensor]:
        """Z: the structured weights nearest to W + U."""
        with torch.no_grad():
            moved = {
                name: (each + self._dual[name]).detach() for name, each in self._parameters.items()
            }
            masks = self._masker({name: _array(each) for name, each in moved.items()})
            return {
                name: each * torch.from_numpy(np.asarray(masks[name])).to(each.device)
                for name, each in moved.items()
            }
