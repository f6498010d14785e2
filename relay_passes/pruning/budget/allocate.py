"""Budgets: how strongly each layer is pruned, so that all together cost no more than is allowed.

What the layers add to the noise of the network's outputs is minimised, what they cost is limited:
the multiple-choice knapsack problem, solved exactly on costs that are rounded up to 1/4096 of the
budget, by dynamic programming (Kellerer, Pferschy and Pisinger, "Knapsack Problems", 2004,
section 11.5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.accel_model.io.telling import Progress
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.masks import MaskOptions
from zeroskip.relay_passes.pruning.base.options import Options, nearest
from zeroskip.relay_passes.pruning.budget.sensitivity import (
    Cost,
    StrengthCandidate,
    candidates,
    macs,
    weights,
)
from zeroskip.relay_passes.pruning.reconstruction.reconstruct import Reconstruct
from zeroskip.relay_passes.pruning.schemes.recipe import pass_of

BINS = 1 << 12  # of a budget
STEPS = 7  # halvings of the interval in which the least cost of a quality lies
HELD_BACK = 4  # one of so many samples is not fitted to but measured with


@dataclass(frozen=True)
class Budget:
    """What may be left of the dense network (``macs``, ``weights``, ``cycles``: limit is a ratio of
    it, over all convolutions and matmuls), or how well the pruned one must do (``snr``: of its
    outputs against the dense ones, in dB) at the least cost."""

    what: str
    limit: float

    def __post_init__(self) -> None:
        if self.what not in KINDS:
            raise PassError(f"Budget '{self.what}' is not known; {nearest(self.what, KINDS)}")
        low, high, wanted = KINDS[self.what]
        if not (low < self.limit <= high):  # also refuses NaN
            raise PassError(f"Budget {self.what}={self.limit:g} must be {wanted}.")

    @staticmethod
    def parse(text: str) -> Budget:
        """Of ``macs=0.25``, ``cycles=0.4``, ``weights=0.25`` or ``snr=20dB``."""
        what, equals, limit = text.partition("=")
        number = limit.removesuffix("dB") if what == "snr" else limit
        try:
            if equals:
                return Budget(what, float(number))
        except ValueError:
            pass
        raise PassError(
            f"Budget '{text}' is not one; write macs=0.25, weights=0.25, cycles=0.4 or snr=20dB."
        )

    def __str__(self) -> str:
        return f"{self.what}={self.limit:g}{'dB' if self.what == 'snr' else ''}"


KINDS = {
    name: (0.0, 1.0, "a ratio above 0 and at most 1") for name in ("macs", "weights", "cycles")
} | {"snr": (0.0, math.inf, "a number of dB above 0")}


@dataclass(frozen=True)
class Allocation:
    """What each layer gets, by node, and what that costs of the dense network's ``cost``: a
    ratio. snr: what was measured for a budget of it, in dB."""

    budget: Budget
    cost: str
    layers: dict[str, StrengthCandidate]
    dense: dict[str, float]
    snr: float | None = None

    @property
    def recipe(self) -> tuple[MaskOptions, ...]:
        """Options for each layer that is pruned."""
        return tuple(each.options for each in self.layers.values() if each.options is not None)

    @property
    def ratio(self) -> float:
        return sum(each.cost for each in self.layers.values()) / sum(self.dense.values())

    def __str__(self) -> str:
        quality = "" if self.snr is None else f", {self.snr:.1f} dB"
        lines = [f"budget {self.budget}: {self.ratio:.4f} of the {self.cost}{quality}"]
        for node, each in self.layers.items():
            what = str(each.options) if each.options is not None else "stays"
            lines.append(
                f"  {node}: {what}; error {each.error:.3g}, {self.cost} "
                f"{each.cost / max(self.dense[node], 1e-30):.3f}"
            )
        return "\n".join(lines)


def allocate(
    mod: tvm.IRModule,
    budget: Budget,
    recipe: Sequence[Options],
    samples: Samples,
    *,
    dense: tvm.IRModule | None = None,
    cycles: Cost | None = None,
    method: str | None = "weights",
    progress: Progress | None = None,
) -> Allocation:
    """How a budget is shared out over the layers of a float module.

    recipe: schemes of masks; of those that take a layer it gets one or none, at some strength.
    samples: input -> float32 [n, ...]. dense: what an snr is measured against, if the module was
    pruned before. cycles: the cost of a layer on the target, which a budget
    of cycles needs; with it an snr is reached with the fewest cycles, else with the fewest
    multiplies. method: how the pruned module will be reconstructed (None: not at all); only an snr
    asks: it is measured with the last quarter of the samples, the module reconstructed with the
    others.
    PassError for a budget that cannot be reached, which says what can.
    """
    kind = budget.what if budget.what != "snr" else "macs" if cycles is None else "cycles"
    cost = {"macs": macs, "weights": weights, "cycles": cycles}[kind]
    if cost is None:
        raise PassError(f"Budget {budget} needs a target whose cycles can be counted: name one.")
    offered = candidates(mod, recipe, samples, cost, progress)
    if all(len(each) == 1 for each in offered.values()):
        raise PassError(f"Budget {budget} has nothing to share out: the recipe takes no layer.")
    whole = {node: each[0].cost for node, each in offered.items()}

    def at_most(ratio: float) -> Allocation | None:
        chosen = choose(
            [[(one.error, one.cost) for one in each] for each in offered.values()],
            ratio * sum(whole.values()),
        )
        return (
            None
            if chosen is None
            else Allocation(
                budget,
                kind,
                {node: each[at] for (node, each), at in zip(offered.items(), chosen, strict=True)},
                whole,
            )
        )

    least = sum(min(one.cost for one in each) for each in offered.values()) / sum(whole.values())
    if budget.what == "snr":
        return _cheapest(mod, dense or mod, budget, samples, method, least, at_most, progress)
    found = at_most(budget.limit)
    if found is None:
        raise PassError(
            f"Budget {budget} cannot be reached: with every layer pruned as far as "
            f"the recipe goes, {math.ceil(1e4 * least) / 1e4} of the dense network's "
            f"{kind} are left; ask for more, or let the recipe take more layers."
        )
    return found


def _cheapest(
    mod: tvm.IRModule,
    dense: tvm.IRModule,
    budget: Budget,
    samples: Samples,
    method: str | None,
    least: float,
    at_most: Callable[[float], Allocation | None],
    progress: Progress | None,
) -> Allocation:
    """The allocation of least cost whose measured snr reaches the budget's, by bisection."""
    known, held_back = _split(mod["main"], samples)
    wanted = Interpreter(dense, held_back).run()
    low, high = least * (1 + 1e-9), 1.0
    found: Allocation | None = None
    missed = (0.0, 1.0)  # snr and ratio of the last that did not do
    for step in range(STEPS):
        if progress is not None:
            progress(f"trying {budget}", step, STEPS)
        ratio = low if step == 0 else (low + high) / 2
        tried = at_most(ratio)
        assert tried is not None, "a ratio of at least the least"
        passes = [pass_of(each, known) for each in tried.recipe]
        if method == "weights":
            passes = [Reconstruct(dense, known, schemes=tried.recipe)]
        elif method is not None:
            passes.append(Reconstruct(dense, known, method))
        made = tvm.transform.Sequential(passes)(mod)
        reached = snr_db(wanted, Interpreter(made, held_back).run())
        if reached >= budget.limit:
            found, high = replace(tried, snr=reached), ratio
            if step == 0:
                break
        else:
            low, missed = ratio, (reached, tried.ratio)
    if found is None:
        raise PassError(
            f"Budget {budget} cannot be reached by pruning: {missed[0]:.1f} dB are "
            f"reached with {missed[1]:.3f} of the cost left; ask for less, or give "
            "more samples or a finer scheme."
        )
    return found


def _split(func: relax.Function, samples: Samples) -> tuple[Samples, Samples]:
    """Samples to fit to, and the last ones to measure with; all for both if there are few."""
    batch = {str(param.name): int(param.ty.shape[0]) for param in func.params}
    runs = min(len(each) // batch[name] for name, each in samples.items())
    if runs < HELD_BACK:
        return samples, samples
    kept = runs - runs // HELD_BACK
    return (
        {name: each[: kept * batch[name]] for name, each in samples.items()},
        {name: each[kept * batch[name] :] for name, each in samples.items()},
    )


def choose(layers: Sequence[Sequence[tuple[float, float]]], budget: float) -> list[int] | None:
    """One of each layer's (error, cost) so that the errors' sum is least and the costs' sum is at
    most the budget; None if even the least costs are more.

    Costs are rounded up to 1/``BINS`` of the budget: the choice keeps to the budget, and is no
    worse than the best for a budget less by that much for every layer.
    """
    least = [min(enumerate(each), key=lambda one: one[1][::-1])[0] for each in layers]
    if sum(each[at][1] for each, at in zip(layers, least, strict=True)) > budget:
        return None
    best = np.zeros(BINS + 1)  # the least error of the layers so far for a cost of at most a bin
    taken: list[npt.NDArray[np.int64]] = []
    for each in layers:
        errors = np.full((len(each), BINS + 1), np.inf)
        for at, (error, cost) in enumerate(each):
            units = _units(cost, budget)
            if units <= BINS:
                errors[at, units:] = best[: BINS + 1 - units] + error
        taken.append(errors.argmin(axis=0))
        best = errors.min(axis=0)
    if not np.isfinite(best[BINS]):
        return least  # it fits, but only without rounding
    chosen, left = [], BINS
    for each, choice in zip(reversed(layers), reversed(taken), strict=True):
        chosen.append(int(choice[left]))
        left -= _units(each[chosen[-1]][1], budget)
    return chosen[::-1]


def _units(cost: float, budget: float) -> int:
    return math.ceil(cost / budget * BINS * (1 - 1e-12)) if cost > 0 else 0
