"""A layer normalisation over the channels as integer layers.

Mean and variance are convolutions of one filter, whose sums are exact; what is lost is in the eight
bits of x, of the mean and of what they differ by, of the variance, of its inverse root and of the
result. A square has 15 bits, in two bytes, which two tables give: in one, the squares of values
under a sixteenth of the largest would all be 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.relax_functions import (
    BOUNDS,
    SUMS,
    AddLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    LookupLayer,
    MultiplyLayer,
    QTensor,
    quantize_multiplier,
)
from zeroskip.relay_passes.quantize.float_graph import Group, Scale
from zeroskip.relay_passes.quantize.layer_calls import (
    NO_TABLE,
    LayerCall,
    Shape,
    steps_of,
    table_of,
    tensor_of,
    terms_of,
)

PART = 127  # of a square: its high part's weight, the largest there is
_BYTES = Scale(1.0, 0, "uint8")


def norm_layers(group: Group, shape: Shape, scales: Mapping[str, Scale]) -> list[LayerCall] | str:
    """The layers of a "layer_norm" of this shape, or why there are none. scales: of its input, its
    ``inner`` variables and its output."""
    assert group.function is not None
    mean, centred, variance, inverse = group.inner
    x_scale, y_scale, scale = (scales[name] for name in (*group.inputs, group.output, centred))
    count, form = shape[1], SUMS[x_scale.dtype]
    if x_scale.dtype == "int16":
        return NO_TABLE
    if count * (PART + 1) * form.reach >= 2 ** (form.bits - 1):
        return f"its sums of {count} squares can exceed {form.bits} bits"
    x, less = tensor_of(shape, x_scale), tensor_of(shape, scale)
    ones = np.ones((1, count), np.int8)
    first = _sum(x, ones, x_scale.scale / count, scales[mean])
    mult_x, mult_mean, shift = terms_of(x_scale, scales[mean], scale)
    difference = AddLayer(
        a=x, b=first.y, y=less, mult_a=mult_x, mult_b=-mult_mean, shift=shift, **_unclipped(scale)
    )
    high, low, unit = squares(less, scale)
    parts = QTensor((shape[0], 2 * count, *shape[2:]), "uint8", 0)
    both = ConcatLayer(xs=(high.y, low.y), y=parts, axis=1)
    weight = np.concatenate([PART * ones, ones], axis=1)
    second = _sum(parts, weight, unit * scale.scale**2 / count, scales[variance])
    table = table_of(group.function, second.y, scales, least=0)
    if isinstance(table, str):
        return table
    mult, shift = quantize_multiplier(scale.scale * scales[inverse].scale / y_scale.scale)
    y, bounds = tensor_of(shape, y_scale), _unclipped(y_scale)
    product = MultiplyLayer(a=less, b=table.y, y=y, mult=mult, shift=shift, **bounds)
    return [
        LayerCall(first, (0,), (mean, scales[mean])),
        LayerCall(difference, (0, 1), (centred, scale)),
        LayerCall(high, (2,), ("", _BYTES)),
        LayerCall(low, (2,), ("", _BYTES)),
        LayerCall(both, (3, 4), ("", _BYTES)),
        LayerCall(second, (5,), (variance, scales[variance])),
        LayerCall(table, (6,), (inverse, scales[inverse])),
        LayerCall(product, (2, 7)),
    ]


def squares(x: QTensor, scale: Scale) -> tuple[LookupLayer, LookupLayer, float]:
    """Tables of the high and the low part of the square of each value, and the unit: ``square =
    unit * (PART * high + low)`` in steps of ``scale`` squared; the unit is 1 if that is exact."""
    whole = steps_of(scale) ** 2
    unit = max(float(whole.max()) / (PART * (BOUNDS["uint8"][1] + 1) - 1), 1.0)
    y = QTensor(x.shape, "uint8", 0)
    high, low = (
        LookupLayer(x=x, y=y, table=part.astype(np.uint8))
        for part in np.divmod(np.rint(whole / unit), PART)
    )
    return high, low, unit


def _sum(
    x: QTensor, weight: npt.NDArray[np.int8], real: float, y_scale: Scale
) -> ConvLayer | DenseLayer:
    """The sum over the channels by these weights [1, C], one step of which is ``real``."""
    mult, shift = quantize_multiplier(real / y_scale.scale)
    affine: dict[str, Any] = {
        "x": x,
        "y": tensor_of((x.shape[0], 1, *x.shape[2:]), y_scale),
        "bias": np.zeros(1, np.int32),
        "mult": np.array([mult], np.int32),
        "shift": np.array([shift], np.int32),
        **_unclipped(y_scale),
    }
    rank = len(x.shape) - 2
    if not rank:
        return DenseLayer(weight=weight, **affine)
    return ConvLayer(
        weight=weight.reshape(*weight.shape, *(1,) * rank),
        strides=(1,) * rank,
        padding=(0,) * (2 * rank),
        dilation=(1,) * rank,
        groups=1,
        **affine,
    )


def _unclipped(scale: Scale) -> dict[str, Any]:
    low, high = BOUNDS[scale.dtype]
    return {"lo": low, "hi": high}
