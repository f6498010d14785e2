"""Calibration that chooses: what is kept of the runs for it, and how choices are judged."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.metrics import noise
from zeroskip.relay_passes.multiplies import weighted_of
from zeroskip.relay_passes.quantize.calibrate_auto import (
    choose_by_outputs,
    least_local_error,
    no_worse_than_fixed,
    ranges_by,
)
from zeroskip.relay_passes.quantize.calibrate_ranges import Counts, candidates_of, count
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.scales import Range, choose_scales, integer_groups
from zeroskip.relay_passes.quantize.trial import TrialError, trial_of
from zeroskip.relay_passes.relax.operators import SAME_ELEMENTS
from zeroskip.relay_passes.relax.rewriting import bindings, op_name, outputs, used_vars

Array = npt.NDArray[Any]

KEPT = 2**16  # values of a variable, of all runs together
LEAST_KEPT = 64  # of one run
MOST_HELD, MOST_TRIALS, LEAST_TRIALS = 32, 160, 12
WORK = 30e9  # multiplies that trials may take: 0.4 to 0.8 s of processor where it was measured
ROUNDING = 64  # multiplies that rounding one value takes the time of
TENSOR = 2**20  # and what there is to do for one tensor
MOST_ENDS = 8  # tensors besides the results
FEW = 2**12  # numbers
MOST_ANSWERS = 0.1  # of the largest values of rows of a result: what a range may cut off
_SOFTMAX = ("relax.nn.softmax", "relax.nn.log_softmax")
_SAME_VALUES = (*SAME_ELEMENTS, "relax.permute_dims")
_WEIGHTED = ("relax.nn.conv", "relax.matmul")


class Judge:
    """Sees every run of a calibration, then chooses each variable's range.

    The last third of the runs is held back: candidates come from the others, the choice from
    these, and the ranges at last from all. A single run is both. ``ends`` are the float variables
    by which a choice is judged: the results, before a softmax (behind it all answers look alike),
    and where these are few numbers, what the last layers read: few numbers say little.
    """

    def __init__(
        self, mod: tvm.IRModule, names: Sequence[str], runs: Sequence[list[Array]]
    ) -> None:
        self.mod, self.names, self.runs = mod, list(names), runs
        self.ends = _ends(mod["main"])
        held = max(1, min(MOST_HELD, len(runs) // 3))
        self.fitted = max(1, len(runs) - held)
        self.held = range(len(runs) - held, len(runs))
        self.values: dict[str, list[Array]] = {name: [] for name in names}
        self.wanted: list[list[Array]] = []  # of each run that is held back, by ends
        self._places: dict[str, Any] = {}

    def see(self, run: int, values: Mapping[str, Array]) -> None:
        """Keep some values of each variable, and the results of a run that is held back."""
        most = max(KEPT // len(self.runs), LEAST_KEPT)
        rng = np.random.default_rng(0)
        for name in self.names:
            flat = values[name].reshape(-1)
            if name not in self._places:
                self._places[name] = (
                    rng.integers(0, flat.size, most) if flat.size > most else slice(None)
                )
            self.values[name].append(flat[self._places[name]].copy())
        if run in self.held:
            self.wanted.append([values[name] for name in self.ends])

    def ranges(self, lows: Array, highs: Array, percentile: float) -> dict[str, Range]:
        """The ranges; lows and highs [runs, variables] are the extremes seen."""
        if not self.names:
            return {}
        fit = self._seen(lows[: self.fitted], highs[: self.fitted])
        every = self._seen(lows, highs)
        known = {
            name: count(np.concatenate(kept[: self.fitted]), fit[name])
            for name, kept in self.values.items()
        }
        uncut = uncut_results(self.mod["main"], percentile)
        candidates = candidates_of(known, fit, percentile, uncut)
        back = {
            name: np.concatenate([kept[at] for at in self.held])
            for name, kept in self.values.items()
        }
        choice = least_local_error(candidates, back)
        judged = self._judged(fit)
        if judged is not None:
            with suppress(TrialError):
                choice = choose_by_outputs(candidates, choice, *judged)
        if len(self.runs) > 1:
            counts: dict[str, Counts] = {
                name: count(np.concatenate(kept), every[name]) for name, kept in self.values.items()
            }
            candidates = candidates_of(counts, every, percentile, uncut)
            if judged is not None:
                with suppress(TrialError):
                    choice = no_worse_than_fixed(candidates, choice, judged[0])
        return ranges_by(candidates, choice)

    def _seen(self, lows: Array, highs: Array) -> dict[str, Range]:
        return {
            name: Range(float(lo), float(hi))
            for name, lo, hi in zip(self.names, lows.min(axis=0), highs.max(axis=0), strict=True)
        }

    def _judged(self, some: Mapping[str, Range]) -> tuple[Any, int] | None:
        """Noise to signal of a choice, and how many choices to try; None if none can be tried."""
        func = self.mod["main"]
        graph = read_graph(func)
        groups = integer_groups(func, graph, scaled=True)
        rounded = [
            name
            for name in choose_scales(func, graph, groups, some, "int8")
            if name not in graph.scales
        ]
        trial = trial_of(self.mod, rounded, self.ends) if self.ends else None
        if trial is None:
            return None
        work = sum(each.macs for each in weighted_of(func)) + sum(
            TENSOR + ROUNDING * prod(graph.shape(name)) for name in rounded
        )
        trials = WORK / max(work, 1)
        held = list(self.held)[: max(1, int(trials / LEAST_TRIALS))]
        wanted = self.wanted[: len(held)]
        parts = [slice(None), slice(0, None, 2), slice(1, None, 2)][: len(held) + 1]

        def judged(ranges: Mapping[str, Range]) -> Array:
            scales = choose_scales(func, graph, groups, ranges, "int8")
            made = [trial(self.runs[run], scales) for run in held]
            return np.array([_noise(wanted[part], made[part]) for part in parts])

        return judged, min(MOST_TRIALS, int(trials / len(held)))


def _ends(func: relax.Function) -> list[str]:
    """The float variables by which a network is judged."""
    known = {str(var.name): var.ty for var in (*func.params, *(b.var for b in bindings(func)))}
    made = {str(each.var.name): each.value for each in bindings(func)}
    ends = list(
        dict.fromkeys(
            str(_before_softmax(out, made).name)
            for out in outputs(func)
            if isinstance(out, relax.Var)
        )
    )
    ends = [name for name in ends if str(getattr(known[name], "dtype", "")) == "float32"]
    if sum(prod(map(int, known[name].shape)) for name in ends) < FEW:
        ends += [name for name in _last_read(ends, made) if name not in ends]
    return ends


def uncut_results(func: relax.Function, percentile: float) -> set[str]:
    """Results, before a softmax, of rows so long that a range without ``100 - percentile`` per cent
    of the values could cut off the answers, which are one of each row: all would be alike."""
    made = {str(each.var.name): each.value for each in bindings(func)}
    longest = MOST_ANSWERS / max((100 - percentile) / 200, 1e-12)
    found: set[str] = set()
    for out in outputs(func):
        var: relax.Expr = _before_softmax(out, made) if isinstance(out, relax.Var) else out
        while isinstance(var, relax.Var) and _longest_axis(var) > longest:
            found.add(str(var.name))
            call = made.get(str(var.name))
            if call is None or op_name(call) not in _SAME_VALUES:
                break
            var = call.args[0]
    return found


def _longest_axis(var: relax.Var) -> int:
    return max(map(int, getattr(var.ty, "shape", None) or ()), default=0)


def _before_softmax(out: relax.Var, made: Mapping[str, Any]) -> relax.Var:
    """What the softmax reads that makes a result, reshaped or not; otherwise the result."""
    var = out
    while (call := made.get(str(var.name))) is not None:
        name = op_name(call)
        if name not in (*_SOFTMAX, *_SAME_VALUES) or not isinstance(call.args[0], relax.Var):
            break
        var = call.args[0]
        if name in _SOFTMAX:
            return var
    return out


def _last_read(ends: Sequence[str], made: Mapping[str, Any]) -> list[str]:
    """What is read by the layers with weights behind which there are no others."""
    found: dict[str, None] = {}
    left, seen = list(ends), set(ends)
    while left:
        call = made.get(left.pop())
        if call is None:
            continue
        if (op_name(call) or "").startswith(_WEIGHTED):
            found.update(dict.fromkeys(str(var.name) for var in used_vars(call.args[0])))
            continue
        before = {str(var.name) for var in used_vars(call)} - seen
        seen |= before
        left += sorted(before)
    return list(found)[:MOST_ENDS]


def _noise(wanted: Sequence[Sequence[Array]], made: Sequence[Sequence[Array]]) -> float:
    """Noise to signal in nepers, the mean over the tensors, each of all runs."""
    tensors = zip(zip(*wanted, strict=True), zip(*made, strict=True), strict=True)
    return float(np.mean([np.log(max(noise(want, got), 1e-12)) for want, got in tensors]))
