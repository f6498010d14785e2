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
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.accel_model import physics
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.batching import images_of, in_batch
from zeroskip.compiler.driver import (
    compare_import,
    import_float,
    method_for,
    name_of,
    network_of,
    placement_of,
    ports_of,
    read_samples,
    reasons_of,
)
from zeroskip.compiler.options import Arrays, CompileOptions
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.compiler.stages import (
    Stages,
    apply_passes,
    lower_fastest,
    without_dead,
    without_idle,
)
from zeroskip.relay_passes.partition import reference_module
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.apply import layer_changes, prune
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.match_sparsity import at_sparsity, sparsity_of
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe, read_recipe
from zeroskip.relay_passes.quantize.calibrate import Method
from zeroskip.relay_passes.quantize.calibrate import calibrate as measure_ranges
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.read_model import Model
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Gain, Mask
from zeroskip.runtime.analysis.efficiency import efficiency
from zeroskip.runtime.execution.judge import Judge, together
from zeroskip.runtime.execution.labelled_data import read_labelled
from zeroskip.runtime.execution.preprocessing import Preprocessing
from zeroskip.runtime.execution.session import Session

TIMED = 4  # inputs whose times are averaged on an array that looks at activations

Array = npt.NDArray[Any]


class CompareError(ZeroskipError):
    """A comparison that cannot be made as it was asked for."""


def compare(
    model: Model,
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
    progress: Progress | None = None,
) -> Comparison:
    """Prune a model by each scheme at each sparsity, compile it for each target and measure.

    schemes: recipes of one scheme, taken at the sparsities, or of several, taken as they are. data:
    an .npz path or arrays, one for each input, whose leading axis counts samples, and ``labels``
    [n] if the model classifies, or a folder of pictures (``labelled_data.py``, with
    ``preprocessing``); None: the calibration data. calibrate: what ranges, and with ``reconstruct``
    (``weights`` or ``statistics``) weights, are fitted to; None: the data without their labels.
    layer: the node whose masks are kept; None: of the layer with the most weights. cache: a folder
    for schedules. objective: what these are chosen by. batch: images that one program computes;
    figures are of an image. seeds: how often the quality is measured again, with as many
    calibration samples drawn from these with replacement, two times at least: bootstrap draws,
    whose spread is the interval's (``Entry.interval``). A seed draws the same samples for every
    network.

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
    dense = import_float(model, shapes or {})
    given, labels, classes = read_data(dense, data, preprocessing)
    known = calibrate if calibrate is not None else given
    if preprocessing is not None and data is None:
        raise CompareError("A preprocessing is of data: give --data, or leave --preprocess out.")
    if seeds and known is None:
        raise CompareError("Nothing to draw samples from: give --calibrate or --data with --seeds.")
    if seeds == 1:
        raise CompareError("One draw has no spread: draw two times at least with --seeds.")
    compare_import(dense, model, shapes or {}, known)
    samples = read_samples(dense, known)
    if seeds and _runs_of(dense, samples)[1] < 2:
        raise CompareError(
            "Of one calibration sample every draw is the same: give more of them, or leave --seeds out."
        )
    judged_by = read_samples(dense, given) if given is not None else samples
    judge = Judge.of(dense, judged_by, labels, classes)
    shown = chosen_layer(dense, layer)
    entries: list[Entry] = []
    masks: dict[str, Mask] = {}
    wanted = list(_candidates(recipes, sparsities))
    method: Method = method_for(known)
    options: CompileOptions = {"cache": cache, "objective": objective, "batch": batch}
    for done, (name, recipe, sparsity) in enumerate([(DENSE, (), None), *wanted]):
        title = name if sparsity is None else f"{name} at {sparsity:g}"
        progress(title, done, len(wanted) + 1)
        applied, pruned = _pruned(dense, recipe, sparsity, samples, reconstruct)
        entry = _measure(
            name, _text(applied), model, dense, pruned, samples, method, judge, specs, options
        )
        repeats = []
        for seed in range(seeds):
            progress(f"{title}, seed {seed}", done, len(wanted) + 1)
            drawn = _drawn(dense, samples, seed)
            _, again = _pruned(dense, recipe, sparsity, drawn, reconstruct)
            repeats.append(_quality(model, again, drawn, method, judge, specs[0], options))
        entry = replace(entry, repeats=tuple(repeats))
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
    )


def _candidates(
    recipes: Sequence[tuple[Recipe, tuple[Options, ...]]], sparsities: Sequence[float]
) -> Iterator[tuple[str, tuple[Options, ...], float | None]]:
    """Name, options and sparsity (None: as they are) of each network."""
    for written, options in recipes:
        name = written if isinstance(written, str) else _text(options)
        if len(options) == 1:
            yield from ((name, options, sparsity) for sparsity in sparsities)
        else:
            yield name, options, None


def _pruned(
    dense: tvm.IRModule,
    recipe: tuple[Options, ...],
    sparsity: float | None,
    samples: Samples,
    reconstruct: str | None,
) -> tuple[tuple[Options, ...], tvm.IRModule]:
    """What was applied, and the network that it leaves."""
    if sparsity is not None:
        recipe = (at_sparsity(dense, recipe[0], sparsity, samples).options,)
    if not recipe:
        return recipe, dense
    return recipe, prune(dense, recipe, samples=samples, method=reconstruct)


def _drawn(dense: tvm.IRModule, samples: Samples, seed: int) -> Samples:
    """As many samples drawn from these with replacement, a run's together: a bootstrap draw."""
    batch, runs = _runs_of(dense, samples)
    first = np.random.default_rng(seed).integers(0, runs, runs) * batch
    rows = (first[:, np.newaxis] + np.arange(batch)).ravel()
    return {name: array[rows] for name, array in samples.items()}


def _runs_of(dense: tvm.IRModule, samples: Samples) -> tuple[int, int]:
    """How many samples a run takes, and how many runs there are."""
    batch = int(dense["main"].params[0].ty.shape[0])
    return batch, len(next(iter(samples.values()))) // batch


def _quality(
    model: Model,
    pruned: tvm.IRModule,
    samples: Samples,
    calibration: Method,
    judge: Judge,
    spec: AccelSpec,
    options: CompileOptions,
) -> float:
    """Accuracy where there are labels, else dB, of the int8 network."""
    pruned, runs, quantize = _quantized(pruned, samples, calibration)
    stages = lower_fastest(pruned, runs, spec, quantize, options)
    snr, found = judge.of_int8(network_of(stages, model, spec), apply_passes(runs, quantize))
    return snr if found is None else found


def _quantized(
    pruned: tvm.IRModule, samples: Samples, calibration: Method
) -> tuple[tvm.IRModule, tvm.IRModule, QuantizeInt8]:
    """A network without what never matters, the same without dead channels, and its
    quantization."""
    ranges = measure_ranges(without_dead(pruned), samples, method=calibration)
    quantize = QuantizeInt8(ranges=ranges)
    pruned = without_idle(pruned, quantize)
    return pruned, without_dead(pruned), quantize


def _text(recipe: Sequence[Options]) -> str:
    return "+".join(map(str, recipe))


def _measure(
    name: str,
    recipe: str,
    model: Model,
    dense: tvm.IRModule,
    pruned: tvm.IRModule,
    samples: Samples,
    calibration: Method,
    judge: Judge,
    specs: Sequence[AccelSpec],
    options: CompileOptions,
) -> Entry:
    sparsity = sparsity_of(layer_changes(dense, pruned))
    layers = prunable_layers(pruned["main"])
    pruned, runs, quantize = _quantized(pruned, samples, calibration)
    integers = apply_passes(runs, quantize)
    runs, pruned = in_batch([runs, pruned], options.get("batch"))
    # What stays of dead channels depends on the target; the bits, which are judged, do not.
    stages = {spec.name: lower_fastest(pruned, runs, spec, quantize, options) for spec in specs}
    snr, accuracy = judge.of_int8(network_of(stages[specs[0].name], model, specs[0]), integers)
    return Entry(
        scheme=name,
        recipe=recipe,
        sparsity=sparsity,
        weights=sum(int(np.count_nonzero(layer.weight)) for layer in layers),
        macs=sum(layer.macs for layer in layers),
        snr_db=snr,
        accuracy=accuracy,
        gains={
            spec.name: gain_of(stages[spec.name], spec, model, judge.inputs[:TIMED])
            for spec in specs
        },
    )


def gain_of(stages: Stages, spec: AccelSpec, model: Model, inputs: list[list[Array]]) -> Gain:
    """What an image takes on one accelerator; cycles and energy are means over ``inputs``, of one
    image each, from the first on again until runs of several are whole, where they depend on
    activations."""
    programs = stages.programs.values()
    if spec.kind.looks_at_inputs:
        runs = _timed(network_of(stages, model, spec), inputs)
    else:
        runs = [Machine(spec).run(program, {}, numbers=False) for program in programs]
    times, of_run = max((run.images for run in runs), default=1), images_of(stages.floating)
    images = times * of_run
    own = [run.of_image(number) for number in range(times) for run in runs]
    cycles = sum(run.cycles for run in own) / images
    energy = {
        event: sum(run.energy[event] for run in own) / images / 1e6 for event in spec.kind.events
    }
    layers = [layer for program in programs for layer in program.layers]
    return Gain(
        cycles=round(cycles),
        stored_bytes=sum(len(program.image) for program in programs),
        microjoules=sum(energy.values()),
        placement=placement_of(
            reference_module(stages.partitioned), stages.programs, reasons_of(stages.partitioned)
        )[0].of_one(of_run),
        efficiency=efficiency(
            spec,
            cycles / spec.clock_mhz / 1000,
            energy,
            sum(layer.real_macs for layer in layers) // of_run,
            sum(layer.macs for layer in layers) // of_run,
        ),
    )


def _timed(network: Network, inputs: list[list[Array]]) -> list[Run]:
    """The runs of a network's regions, of all inputs; of the first alone if outputs have no
    axis."""
    session = Session(replace(network, batch=1))
    session.run(together(network, inputs)[0])
    return list(session.runs.values())


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
