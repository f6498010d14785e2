"""What the integer layers of every kind of group are made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.relax_functions import (
    BOUNDS,
    Layer,
    LookupLayer,
    QTensor,
    quantize_multiplier,
)
from zeroskip.relay_passes.quantize.elementwise import Function
from zeroskip.relay_passes.quantize.float_graph import Scale

Doubles: TypeAlias = npt.NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]

NO_TABLE = "of 16-bit activations a table would have 65536 results, and the accelerator's have 256"


@dataclass(frozen=True)
class LayerCall:
    """One layer of a group. ``args`` count through the group's inputs, then the results of the
    steps in order. ``held``: the float variable that the result stands for, and its scale, where
    the group's kind does not say it."""

    layer: Layer
    args: tuple[int, ...] = (0,)
    held: tuple[str, Scale] | None = None


def tensor_of(shape: Shape, scale: Scale) -> QTensor:
    """A tensor of this shape in a scale."""
    return QTensor(shape, scale.dtype, scale.zero_point)


def steps_of(scale: Scale) -> Doubles:
    """What each integer of a scale stands for, in steps of it."""
    low, high = BOUNDS[scale.dtype]
    values: Doubles = np.arange(low, high + 1, dtype=np.float64) - scale.zero_point
    return values


def quantized(scale: Scale, values: Doubles) -> Doubles:
    """The integers of real values, infinite ones too, as floats."""
    found: Doubles = np.clip(np.rint(values / scale.scale) + scale.zero_point, *BOUNDS[scale.dtype])
    return found


def fake_quantized(scale: Scale, values: Doubles) -> Doubles:
    """Real values as the integers of a scale give them back."""
    return (quantized(scale, values) - scale.zero_point) * scale.scale


def terms_of(a: Scale, b: Scale, y: Scale) -> tuple[int, int, int]:
    """The multiplier of each of two terms of a sum, and its shift."""
    reals = [scale.scale / y.scale for scale in (a, b)]
    _, shift = quantize_multiplier(max(reals))
    mult_a, mult_b = (min(round(real * 2**shift), 2**31 - 1) for real in reals)
    return mult_a, mult_b, shift


def table_of(
    function: Function,
    x: QTensor,
    scales: Mapping[str, Scale],
    *,
    least: float = -np.inf,
) -> LookupLayer | str:
    """A function of ``x`` as a table; where it is none, a phrase. scales: of its root, of its
    result and of what the model rounds on the way. least: no value of ``x`` is smaller."""
    x_scale, y_scale = scales[function.root], scales[function.members[-1]]
    reals = np.maximum(steps_of(x_scale) * x_scale.scale, least)
    inside = {
        name: partial(fake_quantized, scales[name])
        for name in function.members[:-1]
        if name in scales
    }
    values = function(reals, inside)
    if np.isnan(values).any():
        at = reals[int(np.argmax(np.isnan(values)))]
        return f"it is not a number at {at:g}, which is within its input's quantized range"
    table = quantized(y_scale, values).astype(y_scale.dtype)
    return LookupLayer(x=x, y=tensor_of(x.shape, y_scale), table=table)
