"""What pruning costs a layer and what it saves: its output's error and its cost at many strengths.

Each layer is looked at alone, with the dense network's inputs. The error is that of its output
after the weights that stay were fitted again, relative to the variance of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.graph import bindings
from zeroskip.relay_passes.pruning.im2col import Im2col
from zeroskip.relay_passes.pruning.layers import Prunable, prunables
from zeroskip.relay_passes.pruning.least_squares import fit
from zeroskip.relay_passes.pruning.masks import MaskOptions, Scores, scores_of, taken_layers
from zeroskip.relay_passes.pruning.options import Options
from zeroskip.relay_passes.pruning.refit import ROUGH
from zeroskip.relay_passes.pruning.statistics import Columns, Samples, layer_columns

Floats = npt.NDArray[np.floating]
Progress: TypeAlias = Callable[[str, int, int], None]

STRENGTHS = (0.0, *(1 - 2 ** (-step / 3) for step in range(1, 16)))  # what stays: 1 down to 1/32
FILTERS = 64  # of a layer whose error is looked at


@dataclass(frozen=True, eq=False)
class Site:
    """A layer and where it stands: what its cost may depend on. inputs, outputs: shapes."""

    layer: Prunable
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
class Candidate:
    """A way to prune a layer: options for it alone (None: not at all), the error of its output
    relative to the output's variance, and its cost then."""

    options: Options | None
    error: float
    cost: float


def sites(func: relax.Function) -> list[Site]:
    """Every layer of a function."""
    made = {str(binding.var.name): binding for binding in bindings(func)}
    found = []
    for layer in prunables(func):
        binding = made[layer.var]
        inputs, outputs = (tuple(int(size) for size in each.ty.shape)
                           for each in (binding.value.args[0], binding.var))
        found.append(Site(layer, Im2col.of(binding.value), inputs, outputs))
    return found


def candidates(mod: tvm.IRModule, recipe: Sequence[Options], samples: Samples, cost: Cost,
               progress: Progress | None = None) -> dict[str, list[Candidate]]:
    """For each layer of ``main``, by node, the ways to prune it; the first is not to.

    The schemes of the recipe that take a layer are alternatives; each is tried with its own options
    at all of ``STRENGTHS``. PassError for a scheme that is not one of masks.
    """
    func = mod["main"]
    schemes: dict[str, list[tuple[MaskOptions, Scores]]] = {}
    for options in recipe:
        if not isinstance(options, MaskOptions):
            raise PassError(f"A budget shares out schemes that set weights to zero, and "
                            f"'{options.scheme}' does not: give its strength in the recipe and the "
                            "budget to what comes behind it.")
        layers = taken_layers(func, options.at(STRENGTHS[-1]))
        for layer, score in zip(layers, scores_of(mod, layers, options.criterion, samples),
                                strict=True):
            schemes.setdefault(layer.var, []).append((options, score))
    places = {site.layer.var: site for site in sites(func)}
    found = {site.layer.node: [Candidate(None, 0.0, cost(site, site.layer.weight))]
             for site in places.values()}
    for done, (name, seen) in enumerate(layer_columns(mod, samples, schemes)):
        site = places[name]
        if progress is not None:
            progress(site.layer.node, done, len(schemes))
        known: set[Options] = set()
        for options, score in schemes[name]:
            for strength in STRENGTHS:
                own = replace(options.at(strength), layers=escape(site.layer.node))
                if own not in known and own.refusal(site.layer) is None:
                    known.add(own)
                    [mask] = own.keep([site.layer], [score])
                    weight = np.where(mask, site.layer.weight, 0)
                    found[site.layer.node].append(Candidate(
                        own, output_error(site.layer, weight, seen), cost(site, weight)))
    return found


def output_error(layer: Prunable, pruned: Floats, seen: Columns) -> float:
    """The squared error of a layer's output after pruned weights were fitted to its own, over the
    output's variance: of ``FILTERS`` of the filters, evenly chosen."""
    dense, start = (each.reshape(layer.groups, -1, seen.x.shape[1]).astype(np.float64)
                    for each in (layer.weight, pruned))
    count = dense.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, min(count, FILTERS)).astype(np.int64))
    dense, start = dense[:, chosen], start[:, chosen]
    made = seen.times(dense)
    change = dense - fit(seen, made, start, start != 0, tolerance=ROUGH)
    power = float((dense * made).sum())
    return float((change * seen.times(change)).sum()) / power if power > 0 else 0.0
