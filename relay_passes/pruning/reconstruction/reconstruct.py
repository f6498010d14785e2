"""Reconstruction: the weights that pruning left make again what the dense layers made.

Layer by layer, in order, over calibration inputs without labels: a layer reads what the pruned and
already reconstructed layers before it give, and its surviving weights and bias are fitted so that
its output is the dense network's again.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Container, Mapping, Sequence, Set

import numpy as np
import tvm
from tvm import relax

from zeroskip.accel_model.io.telling import Progress
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.interpreter import (
    Array,
    Interpreter,
    Operators,
    joined,
)
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers, with_weights
from zeroskip.relay_passes.pruning.base.masks import MaskOptions, scores_of, taken_layers
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.pruning.reconstruction.layer_fit import (
    Fit,
    bounds_of,
    fit_statistics,
    fit_weights,
)
from zeroskip.relay_passes.pruning.schemes.channels import kept_filters
from zeroskip.relay_passes.relax.passes import Pass, module_pass, with_main, with_unique_names
from zeroskip.relay_passes.relax.rewriting import bindings, used_vars

METHODS = ("weights", "statistics")


@module_pass("Reconstruct")
class Reconstruct(Pass):
    """Fits the layers of a pruned module to what the dense module's layers make of samples.

    dense: the float module that was pruned, as it was before. samples: input -> float32 [n, ...],
    without labels. Layers are taken in order, those that pruning changed and those
    behind them; of each the targets are the dense layer's results (of the filters that are left),
    the inputs what the pruned module gives with the layers before it fitted already. Layers
    correspond by their ONNX node; one that the dense module does not have, such as the first factor
    of a decomposed layer, stays as it is.

    method ``weights``: the surviving weights and the bias by least squares, damped towards the
    pruned weights (``least_squares.fit``). Relatives of it are channel pruning by regression (He et
    al., ICCV 2017), Optimal Brain Compression (Frantar and Alistarh, NeurIPS 2022) and SparseGPT
    (ICML 2023). Where an activation follows, what it cuts off need not be reproduced: targets
    beyond its bounds give way to what the layer makes, if that is beyond them too, and the fit is
    repeated (the alternation of Zhang et al., CVPR 2015). A fit is kept if it is closer to its
    target than the pruned weights were: on the same inputs no layer's error grows.
    ``statistics``: each channel is scaled and shifted to the mean and variance of the dense one,
    which is bias correction (Nagel et al., ICCV 2019) and what re-estimating a batch normalisation
    does; hundreds of times less work.

    schemes: of masks, that are yet to be applied, by ``weights``: of each layer that they take the
    mask is then chosen in a few rounds of growing strength, the weights that are left being fitted
    after each (``refit.choose_mask``); nearer to the dense outputs than a mask chosen at once.

    Zeros stay zero. ``zeroskip.pruned`` says each layer's error, relative to the variance of its
    target, before and after, and whether the columns were fewer than the unknowns, of which there
    is also one RuntimeWarning. progress(node, done, total) is called before each layer.
    PassError for samples that do not fit the model or that a layer answers with NaN.
    """

    def __init__(
        self,
        dense: tvm.IRModule,
        samples: Samples,
        method: str = "weights",
        schemes: Sequence[MaskOptions] = (),
        progress: Progress | None = None,
    ) -> None:
        if method not in METHODS:
            raise PassError(
                f"Reconstruction method '{method}' is not known; use {' or '.join(METHODS)}."
            )
        if schemes and method != "weights":
            raise PassError(
                f"Reconstruction by {method} chooses no masks: prune first, or use weights."
            )
        self.dense, self.samples, self.method = with_unique_names(dense), samples, method
        self.schemes, self.progress = tuple(schemes), progress

    @repeatable
    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        made = reconstruct(mod, self.dense, self.samples, self.method, self.schemes, self.progress)
        return with_main(mod, made)


def reconstruct(
    mod: tvm.IRModule,
    dense: tvm.IRModule,
    samples: Samples,
    method: str = "weights",
    schemes: Sequence[MaskOptions] = (),
    progress: Progress | None = None,
) -> relax.Function:
    """The function of ``Reconstruct``."""
    func, masked = mod["main"], _by_layer(mod, schemes, samples)
    jobs, kept = jobs_of(func, dense["main"], masked), kept_filters(func)
    operators = Operators()
    walk = Interpreter(mod, samples, operators)
    targets = _Targets(Interpreter(dense, samples, operators), set(jobs.values()))
    layers = {layer.var: layer for layer in prunable_layers(func)}
    fits: dict[str, Fit] = {}
    while len(fits) < len(jobs) and walk.next is not None:
        binding = walk.next
        if str(binding.var.name) not in jobs:
            walk.step()
            continue
        layer = layers[str(binding.var.name)]
        if progress is not None:
            progress(layer.node, len(fits), len(jobs))
        wanted = _of_filters(targets.take(jobs[layer.var]), layer, kept)
        im2col, read = Im2col.of(binding.value), walk.read(binding)
        if not (np.isfinite(read).all() and np.isfinite(wanted).all()):
            raise PassError(
                f"Node '{layer.node}' reads or gives NaN or infinity on the samples: "
                "calibrate with inputs scaled as the model was trained."
            )
        if method == "weights":
            fits[layer.var] = fit_weights(
                layer, im2col, read, wanted, bounds_of(func, layer), masked.get(layer.var, ())
            )
        else:
            fits[layer.var] = fit_statistics(layer, im2col, read, wanted)
        made = im2col.apply(fits[layer.var].weight, read)
        walk.put(walk.split(im2col.shifted(made, fits[layer.var].shift)))
    if progress is not None:
        progress("", len(jobs), len(jobs))
    _warn([layers[name].node for name, fit in fits.items() if fit.scarce])
    return with_weights(
        func,
        {name: fit.weight for name, fit in fits.items()},
        {layers[name].node: fit.note for name, fit in fits.items()},
        {name: fit.shift for name, fit in fits.items()},
    )


def _by_layer(
    mod: tvm.IRModule, schemes: Sequence[MaskOptions], samples: Samples
) -> dict[str, list[MaskOptions]]:
    """The schemes of each layer, by variable, in order, as they prune it alone."""
    found: dict[str, list[MaskOptions]] = {}
    for scheme in schemes:
        layers = taken_layers(mod["main"], scheme)
        scores = scores_of(mod, layers, scheme.criterion, samples)
        for layer, own in zip(layers, scheme.apart(layers, scores), strict=True):
            found.setdefault(layer.var, []).append(own)
    return found


def jobs_of(
    func: relax.Function, dense: relax.Function, masked: Container[str] = ()
) -> dict[str, str]:
    """The layers to fit and their dense ones, by variable: those that are not as in the dense
    function or will be masked, and those that read anything that is not as in the dense one."""
    known, own = _by_node(dense), _by_node(func)
    counterparts = {layer.var: known[node] for node, layer in own.items() if node in known}
    layers = {layer.var: layer for layer in prunable_layers(func)}
    other: set[str] = set()  # variables that do not have the dense values
    jobs: dict[str, str] = {}
    for binding in bindings(func):
        name = str(binding.var.name)
        reads_other = any(str(var.name) in other for var in used_vars(binding.value))
        counterpart = counterparts.get(name)
        if reads_other or (
            name in layers
            and (
                counterpart is None
                or name in masked
                or not np.array_equal(layers[name].weight, counterpart.weight)
            )
        ):
            other.add(name)
            if counterpart is not None:
                jobs[name] = counterpart.var
    return jobs


def _by_node(func: relax.Function) -> dict[str, PrunableLayer]:
    """The layers by the names of their nodes, those without a name of their own left out."""
    layers = prunable_layers(func)
    count = Counter(layer.node for layer in layers)
    return {layer.node: layer for layer in layers if count[layer.node] == 1}


class _Targets:
    """The results of dense layers, in whatever order they are asked for, each once."""

    def __init__(self, walk: Interpreter, wanted: Set[str]) -> None:
        self._walk, self._wanted = walk, wanted
        self._ready: dict[str, Array] = {}

    def take(self, name: str) -> Array:
        while name not in self._ready:
            made = self._walk.step()
            if made in self._wanted:
                value = self._walk.values[made]
                assert isinstance(value, np.ndarray)
                self._ready[made] = joined(value)
        return self._ready.pop(name)


def _of_filters(wanted: Array, layer: PrunableLayer, kept: Mapping[str, Array]) -> Array:
    """Of a dense layer's results those of the filters that a layer still has."""
    axis = 1 if layer.is_conv else wanted.ndim - 1
    filters = kept.get(layer.node)
    if filters is not None:
        wanted = np.take(wanted, filters, axis)
    if wanted.shape[axis] != len(layer.weight):
        raise PassError(
            f"Layer '{layer.node}' has {len(layer.weight)} filters and the dense one "
            f"{wanted.shape[axis]}: give the module that was pruned as dense."
        )
    return wanted


def _warn(scarce: list[str]) -> None:
    if scarce:
        names = ", ".join(f"'{node}'" for node in scarce[:3]) + (", ..." if scarce[3:] else "")
        warnings.warn(
            f"The samples give fewer columns than a filter has weights in {len(scarce)} "
            f"layers ({names}), which were damped: give more samples.",
            RuntimeWarning,
            stacklevel=2,
        )
