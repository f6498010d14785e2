"""What pruning a layer does to the network's outputs, and what it saves, at many strengths.

Each layer is looked at alone, with the dense network's inputs: the error of its output after the
weights that stay were fitted again, relative to the output's variance. What of that arrives at the
network's outputs is measured at one strength and taken to be proportional at the others; of several
layers together it adds up, as it would of small errors that know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.accel_model.io.telling import Progress
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.metrics import noise
from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter, Operators
from zeroskip.relay_passes.pruning.activations.statistics import Columns, Samples, layer_columns
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.masks import MaskOptions, Scores, scores_of, taken_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.reconstruction.layer_fit import ROUGH
from zeroskip.relay_passes.pruning.reconstruction.least_squares import fit
from zeroskip.relay_passes.relax.rewriting import bindings

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

PROBE = 0.75  # the strength at which it is measured what arrives at the outputs
PROBED = 16  # samples that are run for that, or one run of the model
STRENGTHS = (0.0, *(1 - 2 ** (-step / 3) for step in range(1, 16)))  # what stays: 1 down to 1/32
FILTERS = 64  # of a layer whose error is looked at


@dataclass(frozen=True, eq=False)
class Site:
    """A layer and where it stands: what its cost may depend on. inputs, outputs: shapes."""

    layer: PrunableLayer
    im2col: Im2col
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


Cost: TypeAlias = Callable[[Site, Floats], float]  # of a layer with these weights


def macs(site: Site, weight: Floats) -> float:
    """Multiplies by weights that are not zero."""
    return float(site.layer.positions * np.count_nonzero(weight))


def weights(_site: Site, weight: Floats) -> float:
    """Weights that are not zero."""
    return float(np.count_nonzero(weight))


@dataclass(frozen=True)
class StrengthCandidate:
    """A way to prune a layer: options for it alone (None: not at all), what that adds to the noise
    of the network's outputs, over their power, and the layer's cost then."""

    options: MaskOptions | None
    error: float
    cost: float


def sites(func: relax.Function) -> list[Site]:
    """Every layer of a function."""
    made = {str(binding.var.name): binding for binding in bindings(func)}
    found = []
    for layer in prunable_layers(func):
        binding = made[layer.var]
        inputs, outputs = (
            tuple(int(size) for size in each.ty.shape)
            for each in (binding.value.args[0], binding.var)
        )
        found.append(Site(layer, Im2col.of(binding.value), inputs, outputs))
    return found


def candidates(
    mod: tvm.IRModule,
    recipe: Sequence[Options],
    samples: Samples,
    cost: Cost,
    progress: Progress | None = None,
) -> dict[str, list[StrengthCandidate]]:
    """For each layer of ``main``, by node, the ways to prune it; the first is not to.

    The schemes of the recipe that take a layer are alternatives; each is tried with its own options
    at all of ``STRENGTHS``. PassError for a scheme that is not one of masks.
    """
    func = mod["main"]
    schemes: dict[str, list[tuple[MaskOptions, Scores]]] = {}
    for options in recipe:
        if not isinstance(options, MaskOptions):
            raise PassError(
                f"A budget shares out schemes that set weights to zero, and "
                f"'{options.scheme}' does not: give its strength in the recipe and the "
                "budget to what comes behind it."
            )
        layers = taken_layers(func, options.with_strength(STRENGTHS[-1]))
        for layer, score in zip(
            layers, scores_of(mod, layers, options.criterion, samples), strict=True
        ):
            schemes.setdefault(layer.var, []).append((options, score))
    places = {site.layer.var: site for site in sites(func)}
    tried: dict[str, list[tuple[MaskOptions, float, float]]] = {}
    probes: dict[str, Probe] = {}
    for done, (name, seen) in enumerate(layer_columns(mod, samples, schemes)):
        site = places[name]
        if progress is not None:
            progress(site.layer.node, done, len(schemes))
        options, score = schemes[name][0]
        weight = _pruned(site.layer, _alone(options, PROBE, site.layer), score)
        probes[name] = _probe(site.layer, weight, seen)
        ways = {
            _alone(options, strength, site.layer): score
            for options, score in schemes[name]
            for strength in STRENGTHS
        }
        tried[name] = []
        for own, score in ways.items():
            if own.refusal(site.layer) is None:
                weight = _pruned(site.layer, own, score)
                tried[name].append(
                    (own, output_error(site.layer, weight, seen), cost(site, weight))
                )
    arrives = influences(mod, probes, samples)
    return {
        site.layer.node: [
            StrengthCandidate(None, 0.0, cost(site, site.layer.weight)),
            *(
                StrengthCandidate(own, error * arrives[name], price)
                for own, error, price in tried.get(name, ())
            ),
        ]
        for name, site in places.items()
    }


def _alone(options: MaskOptions, strength: float, layer: PrunableLayer) -> MaskOptions:
    """Options of another strength for one layer."""
    return replace(options.with_strength(strength), layers=escape(layer.node))


def _pruned(layer: PrunableLayer, options: MaskOptions, score: Scores) -> Floats:
    [mask] = options.keep([layer], [score])
    return np.where(mask, layer.weight, 0)


@dataclass(frozen=True, eq=False)
class Probe:
    """A layer that was pruned and fitted: weights, [K] added to its results, and its error."""

    weight: Floats
    shift: Floats
    error: float


def _probe(layer: PrunableLayer, pruned: Floats, seen: Columns) -> Probe:
    change, error = _fitted(layer, pruned, seen, len(pruned))
    weight = layer.weight - change.reshape(layer.weight.shape)
    return Probe(weight.astype(layer.weight.dtype), (change @ seen.mean).reshape(-1), error)


def output_error(layer: PrunableLayer, pruned: Floats, seen: Columns) -> float:
    """The squared error of a layer's output after pruned weights were fitted to its own, over the
    output's variance: of ``FILTERS`` of the filters of a group, evenly chosen."""
    return _fitted(layer, pruned, seen, FILTERS)[1]


def _fitted(
    layer: PrunableLayer, pruned: Floats, seen: Columns, most: int
) -> tuple[Doubles, float]:
    """How much less the weights [G, R, E] of some filters are after the fit, and the error."""
    dense, start = (
        each.reshape(layer.groups, -1, seen.x.shape[1]).astype(np.float64)
        for each in (layer.weight, pruned)
    )
    count = dense.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
    dense, start = dense[:, chosen], start[:, chosen]
    made = seen.times(dense)
    change = dense - fit(seen, made, start, start != 0, tolerance=ROUGH)
    power = float((dense * made).sum())
    return change, float((change * seen.times(change)).sum()) / power if power > 0 else 0.0


def influences(
    mod: tvm.IRModule, probes: Mapping[str, Probe], samples: Samples
) -> dict[str, float]:
    """How much noise at the outputs a layer's error makes, over the error, by variable.

    Each layer in turn is replaced by its probe, and what is behind it runs on. Over the first
    ``PROBED`` samples."""
    func = mod["main"]
    batch = {str(param.name): int(param.ty.shape[0]) for param in func.params}
    few = {
        name: each[: max(1, PROBED // batch[name]) * batch[name]] for name, each in samples.items()
    }
    operators = Operators()
    wanted = Interpreter(mod, few, operators).run()
    walk = Interpreter(mod, few, operators)
    found: dict[str, float] = {}
    while walk.next is not None:
        binding = walk.next
        probe = probes.get(str(binding.var.name))
        if probe is not None:
            fork, im2col = walk.fork(), Im2col.of(binding.value)
            made = im2col.apply(probe.weight, walk.read(binding))
            fork.put(fork.split(im2col.shifted(made, probe.shift)))
            arrived = noise(wanted, fork.run())
            found[str(binding.var.name)] = arrived / probe.error if probe.error > 0 else 1.0
        walk.step()
    return found
