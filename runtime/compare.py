"""Pruning schemes side by side: what each costs in accuracy and what it gains on each accelerator.

Every scheme is taken at the same sparsities, quantized and compiled as ``compile`` would do it. Its
quality is that of the int8 network: the answers are computed by the machine of the first target,
all samples together, and are the same on every one. Cycles, bytes and energy are each machine's
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.accel_model import physics
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.driver import (
    compare_import,
    import_float,
    method_for,
    name_of,
    ports_of,
    read_samples,
)
from zeroskip.compiler.options import Arrays, CompileOptions
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe, read_recipe
from zeroskip.relay_passes.read_model import Model, Params, read_model
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Mask
from zeroskip.runtime.execution.judge import Judge
from zeroskip.runtime.execution.labelled_data import read_labelled
from zeroskip.runtime.execution.preprocessing import Preprocessing
from zeroskip.runtime.measure import Bench, recipe_text

Array = npt.NDArray[Any]


class CompareError(ZeroskipError):
    """A comparison that cannot be made as it was asked for."""


def compare(
    model: Model | Any,
    schemes: Sequence[Recipe],
    targets: Sequence[str | AccelSpec],
    *,
    sparsities: Sequence[float] = (0.5, 0.75),
    data: str | Path | Arrays | None = None,
    calibrate: str | Path | Arrays | None = None,
    reconstruct: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    layer: str | None = None,
    cache: str | Path | None = None,
    objective: Goal = "cycles",
    batch: int | None = None,
    preprocessing: Preprocessing | None = None,
    seeds: int = 0,
    losing: Sequence[float] = (),
    params: Params | None = None,
    example: Any = None,
    progress: Progress | None = None,
) -> Comparison:
    """Prune a model by each scheme at each sparsity, compile it for each target and measure.

    model, params, example, shapes: as of ``compile``. schemes: recipes of one scheme, taken at the
    sparsities, or of several, taken as they are. losing: each scheme is taken too at the largest
    sparsity at which the int8 network loses at most so many points of accuracy (dB without labels)
    against the dense one, by the data. data: an .npz path or arrays, one for each input, whose
    leading axis counts samples, and ``labels`` [n] if the model classifies, or a folder of pictures
    (``labelled_data.py``, with ``preprocessing``); None: the calibration data. calibrate: what
    ranges, and with ``reconstruct`` (``weights`` or ``statistics``) weights, are fitted to; None:
    the data without their labels. layer: the node whose masks are kept; None: of the layer with the
    most weights. cache: a folder for schedules. objective: what these are chosen by. batch: images
    that one program computes; figures are of an image. seeds: how often the quality is measured
    again, with as many calibration samples drawn from these with replacement, two times at least:
    bootstrap draws, whose spread is the interval's (``Entry.interval``). A seed draws the same
    samples for every network.

    A ZeroskipError says in one sentence what is wrong, where, and what to do.
    """
    progress = progress or no_progress
    specs = [each if isinstance(each, AccelSpec) else load_spec(each) for each in targets]
    for spec in specs:
        physics.check(spec)
    if not schemes or not specs:
        raise CompareError("Nothing to compare: name one scheme and one target at least.")
    recipes = [(each, read_recipe(each)) for each in schemes]
    progress("import", 0, 1)
    model = read_model(model, params, example)
    dense = import_float(model, shapes or {})
    given, labels, classes = read_data(dense, data, preprocessing)
    known = calibrate if calibrate is not None else given
    if preprocessing is not None and data is None:
        raise CompareError("A preprocessing is of data: give --data, or leave --preprocess out.")
    if seeds and known is None:
        raise CompareError("Nothing to draw samples from: give --calibrate or --data with --seeds.")
    if any(not each > 0 for each in losing):
        raise CompareError("A loss is a number of points (dB without labels) above 0: --losing 1.")
    if seeds == 1:
        raise CompareError("One draw has no spread: draw two times at least with --seeds.")
    compare_import(dense, model, shapes or {}, known)
    samples = read_samples(dense, known)
    if seeds and runs_of(dense, samples)[1] < 2:
        raise CompareError(
            "Of one calibration sample every draw is the same: give more of them, or leave --seeds out."
        )
    judged_by = read_samples(dense, given) if given is not None else samples
    judge = Judge.of(dense, judged_by, labels, classes)
    shown = chosen_layer(dense, layer)
    entries: list[Entry] = []
    masks: dict[str, Mask] = {}
    missed: list[str] = []
    wanted = list(_candidates(recipes, sparsities, losing))
    options: CompileOptions = {"cache": cache, "objective": objective, "batch": batch}
    bench = Bench(model, dense, samples, method_for(known), judge, specs, reconstruct, options)
    for done, (name, recipe, wish) in enumerate([(DENSE, (), None), *wanted]):
        title = name if wish is None else f"{name} {wish}"
        progress(title, done, len(wanted) + 1)
        if wish is not None:
            found = wish.of(bench, recipe[0], entries[0])
            if found is None:
                missed.append(f"{name} loses more than {wish.losing:g} at every sparsity tried")
                continue
            applied: tuple[Options, ...] = (found,)
        else:
            applied = recipe
        pruned = bench.pruned(applied)
        entry = bench.measure(name, applied, pruned)
        repeats = []
        for seed in range(seeds):
            progress(f"{title}, seed {seed}", done, len(wanted) + 1)
            other = drawn(dense, samples, seed)
            again = applied
            if wish is not None and wish.sparsity is not None:
                again = (bench.at_sparsity(recipe[0], wish.sparsity, other),)
            repeats.append(bench.quality(bench.pruned(again, other), other))
        entry = replace(entry, repeats=tuple(repeats), losing=None if wish is None else wish.losing)
        entries.append(entry)
        masks[entry.title] = mask_of(pruned, shown.node)
    return Comparison(
        name_of(model),
        judge.count,
        tuple(spec.name for spec in specs),
        tuple(entries),
        shown.node,
        masks,
        judge.before,
        batch,
        tuple(missed),
    )


class _Wish(NamedTuple):
    """What decides how much goes: a sparsity, or a loss of quality."""

    sparsity: float | None = None
    losing: float | None = None

    def __str__(self) -> str:
        return f"at {self.sparsity:g}" if self.losing is None else f"losing {self.losing:g}"

    def of(self, bench: Bench, scheme: Options, dense: Entry) -> Options | None:
        """The scheme with the strength that is wished; None if it has none that is weak enough."""
        if self.sparsity is not None:
            return bench.at_sparsity(scheme, self.sparsity)
        assert self.losing is not None
        lost = self.losing if dense.accuracy is None else self.losing / 100
        found = bench.strongest(scheme, dense.quality - lost)
        return None if found is None else found.options


def _candidates(
    recipes: Sequence[tuple[Recipe, tuple[Options, ...]]],
    sparsities: Sequence[float],
    losing: Sequence[float],
) -> Iterator[tuple[str, tuple[Options, ...], _Wish | None]]:
    """Name, options and what decides their strength (None: nothing) of each network."""
    wishes = [*(_Wish(sparsity=each) for each in sparsities), *(_Wish(losing=x) for x in losing)]
    for written, options in recipes:
        name = written if isinstance(written, str) else recipe_text(options)
        if len(options) == 1:
            yield from ((name, options, wish) for wish in wishes)
        else:
            yield name, options, None


def drawn(dense: tvm.IRModule, samples: Samples, seed: int) -> Samples:
    """As many samples drawn from these with replacement, a run's together: a bootstrap draw."""
    batch, runs = runs_of(dense, samples)
    first = np.random.default_rng(seed).integers(0, runs, runs) * batch
    rows = (first[:, np.newaxis] + np.arange(batch)).ravel()
    return {name: array[rows] for name, array in samples.items()}


def runs_of(dense: tvm.IRModule, samples: Samples) -> tuple[int, int]:
    """How many samples a run takes, and how many runs there are."""
    batch = int(dense["main"].params[0].ty.shape[0])
    return batch, len(next(iter(samples.values()))) // batch


def read_data(
    dense: tvm.IRModule,
    data: str | Path | Arrays | None,
    preprocessing: Preprocessing | None = None,
) -> tuple[Arrays | None, Array | None, tuple[str, ...]]:
    """The data without their labels, these, and the names of classes, as ``read_labelled`` has
    them."""
    if data is None:
        return None, None, ()
    found = read_labelled(data, ports_of(dense["main"], "inputs"), preprocessing)
    return found.part(0, found.count), found.labels, found.classes


def chosen_layer(dense: tvm.IRModule, node: str | None) -> PrunableLayer:
    """The layer of a node; of None, the convolution, if there is one, with the most weights."""
    layers = prunable_layers(dense["main"])
    if not layers:
        raise CompareError("The model has no convolution or matmul with float weights to prune.")
    if node is None:
        return max(layers, key=lambda layer: (len(layer.kernel) > 0, layer.weight.size))
    for layer in layers:
        if layer.node == node:
            return layer
    names = ", ".join(f"'{layer.node}'" for layer in layers[:5])
    raise CompareError(
        f"The model has no convolution or matmul '{node}' whose masks could be "
        f"shown; there are {names}, ..."
    )


def mask_of(pruned: tvm.IRModule, node: str) -> Mask:
    """bool [K, C, *kernel]: which weights a layer still has; empty if it has gone."""
    for layer in prunable_layers(pruned["main"]):
        if layer.node == node:
            mask: Mask = layer.weight != 0
            return mask
    return np.zeros((0, 0), np.bool_)
