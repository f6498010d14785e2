"""One pruned network measured: its quality as int8, and what it takes on each accelerator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.batching import images_of, in_batch
from zeroskip.compiler.driver import network_of, placement_of, reasons_of
from zeroskip.compiler.options import CompileOptions
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
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.match_sparsity import Strength, at_sparsity, sparsity_of
from zeroskip.relay_passes.quantize.calibrate import Method
from zeroskip.relay_passes.quantize.calibrate import calibrate as measure_ranges
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.read_model import Model
from zeroskip.runtime.analysis.comparison import Entry, Gain
from zeroskip.runtime.analysis.efficiency import efficiency
from zeroskip.runtime.equal_quality import strongest
from zeroskip.runtime.execution.judge import Judge, together
from zeroskip.runtime.execution.session import Session

TIMED = 4  # inputs whose times are averaged on an array that looks at activations
ROUNDING = 5e-10  # of an accuracy, a ratio of whole numbers

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Bench:
    """What networks pruned from one dense network have in common where they are compared.

    dense: float, its normalisations folded. samples: that ranges, and with ``reconstruct``
    weights, are fitted to, calibration: how ranges follow from them. options: of ``compile``.
    """

    model: Model
    dense: tvm.IRModule
    samples: Samples
    calibration: Method
    judge: Judge
    specs: Sequence[AccelSpec]
    reconstruct: str | None
    options: CompileOptions

    def pruned(self, recipe: tuple[Options, ...], samples: Samples | None = None) -> tvm.IRModule:
        """The network that a recipe leaves; samples: other ones than the bench's."""
        if not recipe:
            return self.dense
        own = self.samples if samples is None else samples
        return prune(self.dense, recipe, samples=own, method=self.reconstruct)

    def at_sparsity(
        self, scheme: Options, sparsity: float, samples: Samples | None = None
    ) -> Options:
        """The scheme with the strength that comes nearest to a sparsity."""
        own = self.samples if samples is None else samples
        return at_sparsity(self.dense, scheme, sparsity, own).options

    def strongest(self, scheme: Options, least: float) -> Strength | None:
        """The scheme with the strength that removes most and leaves a quality of ``least``."""

        def quality(tried: Options) -> float:
            return self.quality(self.pruned((tried,))) + ROUNDING

        return strongest(self.dense, scheme, self.samples, least, quality)

    def quality(self, pruned: tvm.IRModule, samples: Samples | None = None) -> float:
        """Accuracy where there are labels, else dB, of the int8 network."""
        pruned, runs, quantize = self._quantized(pruned, samples)
        stages = lower_fastest(pruned, runs, self.specs[0], quantize, self.options)
        network = network_of(stages, self.model, self.specs[0])
        snr, found = self.judge.of_int8(network, apply_passes(runs, quantize))
        return snr if found is None else found

    def measure(self, name: str, recipe: tuple[Options, ...], pruned: tvm.IRModule) -> Entry:
        """All figures of a network."""
        sparsity = sparsity_of(layer_changes(self.dense, pruned))
        layers = prunable_layers(pruned["main"])
        pruned, runs, quantize = self._quantized(pruned)
        integers = apply_passes(runs, quantize)
        runs, pruned = in_batch([runs, pruned], self.options.get("batch"))
        # What stays of dead channels depends on the target; the bits, which are judged, do not.
        stages = {
            spec.name: lower_fastest(pruned, runs, spec, quantize, self.options)
            for spec in self.specs
        }
        first = network_of(stages[self.specs[0].name], self.model, self.specs[0])
        snr, accuracy = self.judge.of_int8(first, integers)
        return Entry(
            scheme=name,
            recipe=recipe_text(recipe),
            sparsity=sparsity,
            weights=sum(int(np.count_nonzero(layer.weight)) for layer in layers),
            macs=sum(layer.macs for layer in layers),
            snr_db=snr,
            accuracy=accuracy,
            gains={
                spec.name: gain_of(stages[spec.name], spec, self.model, self.judge.inputs[:TIMED])
                for spec in self.specs
            },
        )

    def _quantized(
        self, pruned: tvm.IRModule, samples: Samples | None = None
    ) -> tuple[tvm.IRModule, tvm.IRModule, QuantizeInt8]:
        """A network without what never matters, the same without dead channels, and its
        quantization."""
        own = self.samples if samples is None else samples
        ranges = measure_ranges(without_dead(pruned), own, method=self.calibration)
        quantize = QuantizeInt8(ranges=ranges)
        pruned = without_idle(pruned, quantize)
        return pruned, without_dead(pruned), quantize


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


def recipe_text(recipe: Sequence[Options]) -> str:
    return "+".join(map(str, recipe))
