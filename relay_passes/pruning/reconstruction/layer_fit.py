"""One layer fitted to what is wanted of it: new weights in the place of the old, and a shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from tvm import relax

from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.pruning.activations.statistics import Columns, columns
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, bias_of, left, only_reader
from zeroskip.relay_passes.pruning.base.masks import MaskOptions, magnitude
from zeroskip.relay_passes.pruning.reconstruction.least_squares import (
    Places,
    Problem,
    fit,
    problems,
)
from zeroskip.relay_passes.relax.rewriting import bindings, const_number, op_name

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

REFINEMENTS = 3  # times that targets behind an activation give way
ROUNDS = 4  # of growing strength in which masks are chosen
ROUGH = 1e-4  # tolerance of a fit that is not the last


@dataclass(frozen=True, eq=False)
class Fit:
    """What a layer becomes. weight: as in ``PrunableLayer``; shift: [K], added to its results;
    note: how near it came; scarce: fewer columns than a filter has weights."""

    weight: Floats
    shift: Floats
    note: str
    scarce: bool = False


@dataclass(frozen=True, eq=False)
class Bounds:
    """What of a layer's results an activation lets through: [G, K/G, 1] each, or infinite."""

    low: Floats
    high: Floats

    def of(self, rows: tuple[int, Places]) -> Bounds:
        """Those of some rows of a group."""
        return Bounds(self.low[rows], self.high[rows])

    def cut(self, y: Floats) -> Floats:
        """Results as the activation sees them."""
        cut: Floats = np.clip(y, self.low, self.high)
        return cut

    def relax_targets(self, wanted: Floats, made: Floats) -> Floats:
        """Of the targets that lead to the same activations those nearest to what was made."""
        low = np.where(wanted <= self.low, np.minimum(made, self.low), wanted)
        eased: Floats = np.where(wanted >= self.high, np.maximum(made, self.high), low)
        return eased


def bounds_of(func: relax.Function, layer: PrunableLayer) -> Bounds | None:
    """The bounds of a relu or clip behind a layer and its bias; None if none follows directly."""
    bias, reader = bias_of(func, layer.var), only_reader(func, layer.var)
    shift: Floats = np.zeros(len(layer.weight))
    if bias is not None:
        made = next(each for each in bindings(func) if str(each.var.name) == bias.var)
        if op_name(made.value) != "relax.add":
            return None  # a batch normalisation
        shift, reader = bias.value.reshape(-1), only_reader(func, bias.var)
    if reader is None:
        return None
    name = op_name(reader.value)
    if name == "relax.nn.relu":
        low, high = 0.0, np.inf
    elif name == "relax.clip":
        low, high = (cast(float, const_number(arg)) for arg in reader.value.args[1:3])
    else:
        return None
    shape = (layer.groups, -1, 1)
    return Bounds(
        (low - shift).reshape(shape).astype(np.float32),
        (high - shift).reshape(shape).astype(np.float32),
    )


def fit_weights(
    layer: PrunableLayer,
    im2col: Im2col,
    read: Floats,
    wanted: Floats,
    bounds: Bounds | None,
    schemes: Sequence[MaskOptions] = (),
) -> Fit:
    """Least squares over the weights that are not zero, and the mean by the shift.

    read, wanted: what the layer reads and should make. schemes: which weights are to go, of the
    layer by itself (``choose_mask``). Of each filter, of its pruned weights and the fits that were
    tried, what comes nearest as the activation sees it.
    """
    seen = columns(im2col, read)
    goal = np.ascontiguousarray(seen.take(im2col.rows(wanted)), np.float32)
    start = layer.weight.reshape(layer.groups, -1, seen.x.shape[1]).astype(np.float64)
    note = ""
    if schemes:
        start = choose_mask(layer, seen, seen.cross(goal), schemes)
        note = (
            "".join(
                f"{scheme.note(layer, (start != 0).reshape(layer.weight.shape))}: "
                for scheme in schemes
            )
            + f"{left(start)}; "
        )
    support = start != 0
    weight, shift = start.copy(), np.zeros((*start.shape[:2], 1))
    errors = np.zeros(3)
    for part in problems(seen, start, support):
        weight[part.at], shift[part.at], some = _fit_rows(
            part, goal[part.at], None if bounds is None else bounds.of(part.at)
        )
        errors += some
    before, after = errors[:2] / (errors[2] if errors[2] > 0 else 1.0)
    unknowns = int(support.sum(axis=2).max(initial=0))
    scarce = seen.count < unknowns
    note += f"reconstructed: error {before:.3g} -> {after:.3g}"
    if scarce:
        note += f", {seen.count} columns for {unknowns} unknowns: damped"
    return Fit(
        weight.reshape(layer.weight.shape).astype(layer.weight.dtype),
        shift.reshape(-1),
        note,
        scarce,
    )


def _fit_rows(
    part: Problem, goal: Floats, bounds: Bounds | None
) -> tuple[Doubles, Doubles, Doubles]:
    """Weights [r, E] and shifts [r, 1] of rows of a layer for their goal [r, n]; the sums of their
    errors before and after, and of the variances of the goal, all as the activation sees them."""
    columns, target = part.columns, goal
    seen = goal if bounds is None else bounds.cut(goal)
    weight, shift = part.start, np.zeros((len(goal), 1))
    before = least = _errors(_made(columns, weight, shift), seen, bounds)
    for _ in range(1 if bounds is None else 1 + REFINEMENTS):
        tried = part.solve(columns.cross(target[None])[0])
        moved = target.mean(axis=1, keepdims=True, dtype=np.float64) - tried @ columns.mean[0]
        made = _made(columns, tried, moved)
        errors = _errors(made, seen, bounds)
        better = (errors < least)[:, None]
        weight, shift = np.where(better, tried, weight), np.where(better, moved, shift)
        least = np.minimum(errors, least)
        if bounds is not None:
            target = bounds.relax_targets(goal, made)
    power = seen.var(axis=1, dtype=np.float64)
    return weight, shift, np.array([before.sum(), least.sum(), power.sum()])


def choose_mask(
    layer: PrunableLayer, seen: Columns, cross: Doubles, schemes: Sequence[MaskOptions]
) -> Doubles:
    """A layer's weights [G, K/G, E] with those at zero that schemes remove, one after the other.

    In ``ROUNDS`` steps of growing strength, after each of which the weights that are left are
    fitted: what is removed next is judged by what they are then, as in Optimal Brain Surgeon
    (Hassibi and Stork, NIPS 1992), a share of the weights at a time.
    """
    weight = layer.weight.reshape(cross.shape).astype(np.float64)
    mask = np.ones(weight.shape, np.bool_)
    for step in range(1, ROUNDS + 1):
        for scheme in schemes:
            now = scheme
            if step < ROUNDS:
                now = scheme.with_strength(1 - (1 - scheme.removed) ** (step / ROUNDS))
            scores = magnitude(weight)
            if scheme.criterion == "saliency":
                scores *= seen.variance[:, None]
            [kept] = now.keep([layer], [scores.reshape(layer.weight.shape)])
            mask &= kept.reshape(mask.shape)
            weight = np.where(mask, weight, 0)
        if step < ROUNDS:
            weight = fit(seen, cross, weight, mask, tolerance=ROUGH)
    return weight


def _made(columns: Columns, weight: Doubles, shift: Doubles) -> Floats:
    """What weights [r, E] and shifts [r, 1] make of the columns of a group: [r, n]."""
    made: Floats = weight.astype(np.float32) @ columns.x[0]
    made += (shift + weight @ columns.mean[0]).astype(np.float32)
    return made


def _errors(made: Floats, seen: Floats, bounds: Bounds | None) -> Doubles:
    """The mean squared error of each row [r] against what the activation is to see."""
    if bounds is not None:
        made = bounds.cut(made)
    errors: Doubles = np.square(made - seen).mean(axis=1, dtype=np.float64)
    return errors


def fit_statistics(layer: PrunableLayer, im2col: Im2col, read: Floats, wanted: Floats) -> Fit:
    """The scale and the shift of each filter that give its results the mean and the variance of
    what is wanted. A filter whose results do not vary keeps its scale."""
    made = im2col.rows(im2col.apply(layer.weight, read))
    goal = im2col.rows(wanted)
    mean, spread = (y.mean(axis=2, dtype=np.float64).reshape(-1) for y in (made, goal))
    wide, wished = (y.std(axis=2, dtype=np.float64).reshape(-1) for y in (made, goal))
    scale = np.divide(wished, wide, out=np.ones_like(wide), where=wide > 0)
    weight = layer.weight * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    note = f"mean and variance of {len(scale)} channels restored"
    return Fit(weight.astype(layer.weight.dtype), spread - scale * mean, note)
