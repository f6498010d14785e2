"""What a point gives: its front (import, pruning, calibration, quality), then its figures.

Both run in a worker. They give what they found or the sentence of what refused it as values, so
that one point's failure ends nothing else.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.accel_model import physics
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.spec import AccelSpec, spec_from_table
from zeroskip.compiler.batching import in_batch
from zeroskip.compiler.driver import (
    compare_import,
    import_float,
    method_for,
    network_of,
    not_float,
    read_samples,
)
from zeroskip.compiler.options import CompileOptions
from zeroskip.compiler.scheduling.objective import Goal
from zeroskip.compiler.stages import (
    Stages,
    apply_passes,
    check_integer_model,
    lower_fastest,
    lower_integers,
    refuse_float_options,
    without_dead,
    without_idle,
)
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.apply import layer_changes, prune
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.match_sparsity import at_sparsity, sparsity_of
from zeroskip.relay_passes.quantize.calibrate import Range, batches
from zeroskip.relay_passes.quantize.calibrate import calibrate as measure_ranges
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.read_model import read_model
from zeroskip.relay_passes.tosa.read_tosa import IntegerModel
from zeroskip.runtime.analysis.comparison import Gain
from zeroskip.runtime.compare import read_data
from zeroskip.runtime.execution.judge import Judge
from zeroskip.runtime.experiments.errors import EngineError
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.sources import Source, code_version
from zeroskip.runtime.experiments.store import Outcome
from zeroskip.runtime.measure import TIMED, gain_of

Figures: TypeAlias = Mapping[str, Any]
KEPT = 2  # networks that a worker keeps imported


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A network pruned and calibrated.

    pruned: the float module, with channels that cannot matter; least: without them. ranges: of its
    activations, or None for a model that brings its scales.
    """

    pruned: tvm.IRModule
    least: tvm.IRModule
    ranges: dict[str, Range] | None

    @property
    def quantized(self) -> tvm.IRModule:
        """Its integer layers."""
        return apply_passes(self.least, QuantizeInt8(ranges=self.ranges))

    def lower(self, spec: AccelSpec, options: CompileOptions) -> Stages:
        """The stages of its compile."""
        least, pruned = in_batch([self.least, self.pruned], options.get("batch"))
        return lower_fastest(pruned, least, spec, QuantizeInt8(ranges=self.ranges), options)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A network that was integers already. least: on real values, rounded nowhere; quantized: its
    integer layers."""

    name: str
    least: tvm.IRModule
    quantized: tvm.IRModule

    def lower(self, spec: AccelSpec, options: CompileOptions) -> Stages:
        """The stages of its compile; CompileError with a batch."""
        refuse_float_options(self.name, options)
        return lower_integers(self.least, self.quantized, spec, options)


@dataclass(frozen=True, eq=False)
class Front:
    """A network from which the figures of every hardware follow.

    inputs: of the first runs, for arrays whose time depends on them. figures: those that do not
    depend on the hardware. notes: what was warned of. seconds: that it took.
    """

    network: FloatNetwork | IntegerNetwork
    inputs: list[list[npt.NDArray[Any]]]
    figures: Figures
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network as it is. dense: on real values. integer: of one that is integers already, the
    model. judge: of quality; None without data to measure it with. notes: what was warned of."""

    dense: tvm.IRModule
    integer: IntegerModel | None
    samples: Samples
    judge: Judge | None
    notes: tuple[str, ...] = ()


@dataclass
class _Noted:
    """Warnings of what ran within ``_noting``, each once, and the seconds that it took."""

    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def _noting() -> Any:
    began, noted = time.perf_counter(), _Noted()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield noted
    noted.notes = list(dict.fromkeys(str(each.message) for each in found))
    noted.seconds = time.perf_counter() - began


def _outcome_or(make: Callable[[], Front | Figures]) -> Front | Outcome:
    """What was made; or the sentence of what refused it. EngineError goes on to whoever asked."""
    with _noting() as noted:
        made, failure = None, None
        try:
            made = make()
        except EngineError:
            raise
        except ZeroskipError as problem:
            failure = str(problem)
        except MemoryError:
            failure = "the worker has not enough memory for it"
        except Exception as problem:
            words = str(problem).strip().partition("\n")[0][:200]
            failure = f"internal error, please report it ({type(problem).__name__}: {words})"
    if failure is not None or made is None:
        return Outcome(failure=failure, seconds=noted.seconds)
    if isinstance(made, Front):
        return replace(made, notes=tuple(noted.notes), seconds=noted.seconds)
    return Outcome({**made, "notes": list(noted.notes)}, seconds=noted.seconds)


def make_front(point: FrontPoint, code: str, cache: str | None) -> Front | Outcome:
    """Import, prune, calibrate and judge. code: the version of the code that asks; EngineError
    where this process has another, or sees other files. cache: a folder for schedules."""
    return _outcome_or(lambda: _front(point, code, cache))


def measure(front: Front | Outcome, point: Point, code: str, cache: str | None) -> Outcome:
    """Compile for the point's hardware and time it. A front that was refused is the point's
    failure."""
    if isinstance(front, Outcome):
        return front
    made = _outcome_or(lambda: _figures(front, point, code, cache))
    assert isinstance(made, Outcome)
    if made.failure is not None:
        return made
    notes = dict.fromkeys((*front.notes, *made.figures["notes"]))
    return replace(made, figures={**made.figures, "notes": "; ".join(notes)})


def _check_code(code: str) -> None:
    if code != code_version():
        raise EngineError(
            "a worker runs another version of zeroskip, or of the libraries below it, than this "
            "process; install the same on both"
        )


@lru_cache(maxsize=KEPT)
def _load(source: Source, _digest: str) -> _Loaded:
    """A network imported and checked, once in a process as long as few others come between."""
    with _noting() as noted:
        loaded = _read(source)
    return replace(loaded, notes=tuple(noted.notes))


def _read(source: Source) -> _Loaded:
    model = read_model(source.model, source.params)
    integer = model if isinstance(model, IntegerModel) else None
    if integer is not None:
        check_integer_model(integer, {"shapes": source.sizes})
    dense = import_float(model, source.sizes) if integer is None else integer.floating
    data, labels, classes = read_data(dense, source.data, source.preprocessing)
    known = source.calibrate if source.calibrate is not None else data
    if integer is None:
        compare_import(dense, model, source.sizes, known)
    samples = read_samples(dense, known)
    judge = None
    if data is not None:
        judge = Judge.of(dense, read_samples(dense, data), labels, classes)
    elif source.calibrate is not None:
        judge = Judge.of(dense, samples, None)
    return _Loaded(dense, integer, samples, judge)


def _front(point: FrontPoint, code: str, cache: str | None) -> Front:
    _check_code(code)
    source = point.source
    if replace(source).digest != source.digest:
        raise EngineError(
            f"a worker sees another '{source.model}', or other data, than this process; give paths "
            "that lead to the same files on both"
        )
    loaded = _load(source, source.digest)
    for note in loaded.notes:  # of each front, whichever of them loaded it
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    pruned, recipe = _pruned(loaded, point)
    layers = prunable_layers(pruned["main"])
    network: FloatNetwork | IntegerNetwork
    if loaded.integer is None:
        network = _calibrated(loaded, pruned, source)
    else:
        network = IntegerNetwork(loaded.integer.name, loaded.dense, loaded.integer.integer)
    snr, accuracy = None, None
    if loaded.judge is not None:
        stages = network.lower(point.base, _options("cycles", cache))
        compiled = network_of(stages, source.model, point.base)
        snr, accuracy = loaded.judge.of_int8(compiled, network.quantized)
    figures = {
        "recipe": "+".join(map(str, recipe)),
        "sparsity": sparsity_of(layer_changes(loaded.dense, pruned)) if recipe else 0.0,
        "weights": sum(int(np.count_nonzero(layer.weight)) for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "snr_db": snr,
        "accuracy": accuracy,
    }
    inputs = batches(loaded.dense["main"], loaded.samples)[:TIMED]
    if loaded.judge is not None:
        inputs = loaded.judge.inputs[:TIMED]
    return Front(network, inputs, figures)


def _pruned(loaded: _Loaded, point: FrontPoint) -> tuple[tvm.IRModule, tuple[Options, ...]]:
    """The network with the point's recipe applied, and this; CompileError where there is something
    to prune of one that is integers already."""
    recipe, dense = point.recipe, loaded.dense
    if not recipe:
        return dense, recipe
    if loaded.integer is not None:
        raise not_float(loaded.integer)
    if point.sparsity is not None:
        recipe = (at_sparsity(dense, recipe[0], point.sparsity, loaded.samples).options,)
    return prune(dense, recipe, samples=loaded.samples, method=point.reconstruct), recipe


def _calibrated(loaded: _Loaded, pruned: tvm.IRModule, source: Source) -> FloatNetwork:
    has_data = source.calibrate is not None or source.data is not None
    ranges = measure_ranges(
        without_dead(pruned), loaded.samples, method=method_for(has_data or None)
    )
    pruned = without_idle(pruned, QuantizeInt8(ranges=ranges))
    return FloatNetwork(pruned, without_dead(pruned), ranges)


def _figures(front: Front, point: Point, code: str, cache: str | None) -> Figures:
    _check_code(code)
    spec = spec_from_table(point.table, point.target.name)
    physics.check(spec)
    stages = front.network.lower(spec, _options(point.objective, cache, point.batch))
    gain = gain_of(stages, spec, Path(point.front.source.model), front.inputs)
    return {**front.figures, **_hardware_figures(gain, spec)}


def _options(objective: Goal, cache: str | None, batch: int | None = None) -> CompileOptions:
    return {"cache": cache, "objective": objective, "batch": batch}


def _hardware_figures(gain: Gain, spec: AccelSpec) -> Figures:
    """None where nothing runs on the accelerator, or its target names no technology."""
    of, runs = gain.efficiency, gain.placement.regions > 0
    milliseconds = gain.cycles / spec.clock_mhz / 1000
    return {
        "cycles": gain.cycles if runs else None,
        "milliseconds": milliseconds if runs else None,
        "stored_bytes": gain.stored_bytes if runs else None,
        "microjoules": None if not runs else gain.microjoules if of is None else of.microjoules,
        "area_mm2": None if of is None else of.area_mm2,
        "milliwatts": None if of is None else of.milliwatts,
        "edp": None if of is None else of.edp,
        "images_a_second": 1000 / milliseconds if runs and milliseconds else None,
        "dense_tops_a_watt": None if of is None else of.dense_tops_a_watt,
        "dense_tops_a_mm2": None if of is None else of.dense_tops_a_mm2,
        "sram_bytes": spec.sram_bytes,
        "cpu_share": gain.placement.cpu_share,
    }
