"""A group of float ops and the scales around it, turned into integer layers."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.relax_functions import (
    BOUNDS,
    SUMS,
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    DepthToSpaceLayer,
    GatherLayer,
    Layer,
    MaxPoolLayer,
    MultiplyLayer,
    QTensor,
    RequantizeLayer,
    ReshapeLayer,
    quantize_multiplier,
)
from zeroskip.relay_passes.quantize.constants import Constant
from zeroskip.relay_passes.quantize.float_graph import Group, Scale
from zeroskip.relay_passes.quantize.fusion_groups import end_padding
from zeroskip.relay_passes.quantize.layer_calls import (
    NO_TABLE,
    Doubles,
    LayerCall,
    Shape,
    table_of,
    tensor_of,
    terms_of,
)
from zeroskip.relay_passes.quantize.moves import Deepen, Pick, result_shape
from zeroskip.relay_passes.quantize.norm_layers import norm_layers

_MAX_WEIGHT = 127  # of weights that are quantized here: symmetric, without -128
_MAX_BIAS = 2.0**29  # leaves the accumulator of 32 bits room for the products
_MOST_TAPS = 2**16  # of an average of int16: a sum of them times 2^31 fits in int64
_SMALL_KERNEL = 16  # weights of a filter that may be multiples of a step of their own
_MOST_STEPS = 16  # of which the least of them is so many, at most
_WHOLE = 1e-4  # of a step
_PART = 127  # of a square: its high part's weight, the largest there is
_NO_TABLE = "of 16-bit activations a table would have 65536 results, and the accelerator's have 256"
_LEAST_SCALE = 1e-30  # weights below are zeros; the inverse stays in float32


def layers_of(
    group: Group,
    shapes: Mapping[str, Shape],
    scales: Mapping[str, Scale],
    weight_scale: Doubles | None = None,
) -> list[LayerCall] | str:
    """The layers that compute the group, the last giving its output; or why there are none.

    Most groups are one layer. A mean that drops its axes is followed by a reshape, an input of a
    concat with another scale goes through a requantize. weight_scale: of each output channel, if
    it is not to be chosen by the group's own weights.
    """
    work = _Work(group, shapes, scales, weight_scale)
    match group.kind:
        case "conv" | "dense":
            return work.weighted()
        case "add":
            return [LayerCall(work.add(), (0, 1))]
        case "multiply":
            return [LayerCall(work.multiply(), (0, 1))]
        case "extremum":
            return work.extremum()
        case "concat":
            return work.concat()
        case "requantise":
            return [LayerCall(work.rescale(work.x, work.x_scale, work.bounds(work.y_scale)))]
        case "lookup":
            return work.lookup()
        case "avgpool":
            return work.avgpool()
        case "layer_norm":
            return norm_layers(group, work.shape, scales)
        case "maxpool":
            return work.in_scale_of_y(work.maxpool())
        case "reshape":
            return work.in_scale_of_y(ReshapeLayer(x=work.x, y=_as(work.x, work.shape)))
        case "move":
            return work.moved()


class _Work:
    def __init__(
        self,
        group: Group,
        shapes: Mapping[str, Shape],
        scales: Mapping[str, Scale],
        weight_scale: Doubles | None,
    ) -> None:
        self.group = group
        self.weight_scale = weight_scale
        self.shape = shapes[group.output]
        self.xs = [tensor_of(shapes[x], scales[x]) for x in group.inputs]
        self.x_scales = [scales[x] for x in group.inputs]
        self.x, self.x_scale = self.xs[0], self.x_scales[0]
        self.y_scale = scales[group.output]
        self.y = tensor_of(self.shape, self.y_scale)
        self.scales = scales

    def bounds(self, scale: Scale) -> dict[str, Any]:
        """The activation's bounds as integers of this scale."""
        low, high = BOUNDS[scale.dtype]
        reals = np.array([self.group.lo, self.group.hi])
        lo, hi = np.clip(np.rint(reals / scale.scale) + scale.zero_point, low, high)
        return {"lo": int(lo), "hi": int(hi)}

    def weighted(self) -> list[LayerCall] | str:
        assert self.group.weight is not None
        if not np.isfinite(self.group.weight.value).all():
            return "its weights are not finite"
        bias, sx, sy = _bias(self.group), self.x_scale.scale, self.y_scale.scale
        given = _given_weight(self.group.weight)
        if isinstance(given, str):
            return given
        if given is None:
            scale = self.weight_scale
            if scale is None:
                scale = _symmetric_scale(self.group.weight.value, bias, sx, sy)
            given = _symmetric(self.group.weight.value, scale), scale
        weight, scale = given
        biases = np.rint(bias / (sx * scale))
        form = SUMS[self.x.dtype]
        sums = np.abs(weight.reshape(len(weight), -1).astype(np.int16)).sum(axis=1, dtype=np.int64)
        if not np.all(sums * form.reach + np.abs(biases) < 2 ** (form.bits - 1)):
            return f"its sums can exceed {form.bits} bits"
        mults = [quantize_multiplier(float(real), form.mult_bits) for real in sx * scale / sy]
        affine: dict[str, Any] = {
            "x": self.x,
            "y": self.y,
            "weight": np.ascontiguousarray(weight),
            "bias": biases.astype(np.int32),
            "mult": np.array([mult for mult, _ in mults], np.int32),
            "shift": np.array([shift for _, shift in mults], np.int32),
            **self.bounds(self.y_scale),
        }
        if self.group.kind == "dense":
            return [LayerCall(DenseLayer(**affine))]
        attrs = self.group.call.attrs
        conv = ConvLayer(
            strides=_ints(attrs.strides),
            padding=_ints(attrs.padding),
            dilation=_ints(attrs.dilation),
            groups=int(attrs.groups),
            **affine,
        )
        return [LayerCall(conv)]

    def add(self) -> AddLayer:
        first, second = self.x_scales
        mult_a, mult_b, shift = terms_of(first, second, self.y_scale)
        if str(self.group.call.op.name) == "relax.subtract":
            swapped = tuple(int(d) for d in self.group.call.args[0].ty.shape) != self.shape
            mult_a, mult_b = (-mult_a, mult_b) if swapped else (mult_a, -mult_b)
        a, b = self.xs
        return AddLayer(
            a=a,
            b=b,
            y=self.y,
            mult_a=mult_a,
            mult_b=mult_b,
            shift=shift,
            **self.bounds(self.y_scale),
        )

    def multiply(self) -> MultiplyLayer:
        a, b = self.xs
        real = self.x_scales[0].scale * self.x_scales[1].scale / self.y_scale.scale
        mult, shift = quantize_multiplier(real)
        bounds = self.bounds(self.y_scale)
        return MultiplyLayer(a=a, b=b, y=self.y, mult=mult, shift=shift, **bounds)

    def extremum(self) -> list[LayerCall] | str:
        """The larger (smaller) of two integers of one scale, exactly: what the one has more than
        the other, at least 0, is added to the other (taken from the one)."""
        if self.y.dtype == "int16":
            return "two 16-bit activations may differ by more than a third one holds"
        steps, (a, b) = self.inputs_in_scale_of_y()
        x, other = (_as(self.y, each.shape) for each in self.xs)
        more = QTensor(self.shape, "uint8", 0)
        mult, shift = quantize_multiplier(1.0)
        low, high = BOUNDS["uint8"]
        excess = AddLayer(
            a=x, b=other, y=more, mult_a=mult, mult_b=-mult, shift=shift, lo=low, hi=high
        )
        steps.append(LayerCall(excess, (a, b)))
        at = len(self.xs) + len(steps) - 1
        one, two, sign, args = x, more, -mult, (a, at)
        if str(self.group.call.op.name) == "relax.maximum":
            one, two, sign, args = more, other, mult, (at, b)
        bounds = self.bounds(self.y_scale)
        y = AddLayer(a=one, b=two, y=self.y, mult_a=mult, mult_b=sign, shift=shift, **bounds)
        return [*steps, LayerCall(y, args)]

    def inputs_in_scale_of_y(self) -> tuple[list[LayerCall], list[int]]:
        """Changes of scale of those inputs that have another, and each input's number behind
        them."""
        low, high = BOUNDS[self.y.dtype]
        steps: list[LayerCall] = []
        args = list(range(len(self.xs)))
        for i, (x, scale) in enumerate(zip(self.xs, self.x_scales, strict=True)):
            if scale != self.y_scale:
                args[i] = len(self.xs) + len(steps)
                steps.append(LayerCall(self.rescale(x, scale, {"lo": low, "hi": high}), (i,)))
        return steps, args

    def concat(self) -> list[LayerCall]:
        steps, args = self.inputs_in_scale_of_y()
        parts = tuple(_as(self.y, x.shape) for x in self.xs)
        axis = int(self.group.call.attrs.axis) % len(self.shape)
        return [*steps, LayerCall(ConcatLayer(xs=parts, y=self.y, axis=axis), tuple(args))]

    def rescale(self, x: QTensor, scale: Scale, bounds: dict[str, Any]) -> RequantizeLayer:
        """``x`` in the scale of the output."""
        mult, shift = quantize_multiplier(scale.scale / self.y_scale.scale)
        return RequantizeLayer(x=x, y=_as(self.y, x.shape), mult=mult, shift=shift, **bounds)

    def lookup(self) -> list[LayerCall] | str:
        """The function at the 256 values that the input can have."""
        assert self.group.function is not None
        if self.x.dtype == "int16":
            return NO_TABLE
        layer = table_of(self.group.function, self.x, self.scales)
        return layer if isinstance(layer, str) else [LayerCall(layer)]

    def avgpool(self) -> list[LayerCall] | str:
        attrs, spatial = self.group.call.attrs, self.x.shape[2:]
        if str(self.group.call.op.name).startswith("relax.nn.avg_pool"):
            kernel, strides = _ints(attrs.pool_size), _ints(attrs.strides)
            padding, shape = _ints(attrs.padding), self.shape
        else:
            kernel, strides = spatial, (1,) * len(spatial)
            padding, shape = (0, 0) * len(spatial), (*self.x.shape[:2], *(1,) * len(spatial))
        area = int(np.prod(kernel))
        if self.x.dtype == "int16" and area > _MOST_TAPS:
            return f"it averages {area} values of 16 bits, and of up to {_MOST_TAPS} sums are exact"
        mult, shift = quantize_multiplier(self.x_scale.scale / (self.y_scale.scale * area))
        pool = AvgPoolLayer(
            x=self.x,
            y=_as(self.y, shape),
            kernel=kernel,
            strides=strides,
            padding=padding,
            mult=mult,
            shift=shift,
            **self.bounds(self.y_scale),
        )
        if shape == self.shape:
            return [LayerCall(pool)]
        return [LayerCall(pool), LayerCall(ReshapeLayer(x=pool.y, y=self.y), (1,))]

    def maxpool(self) -> MaxPoolLayer:
        attrs, count = self.group.call.attrs, len(self.shape) - 2
        begins = _ints(attrs.padding)[:count]
        return MaxPoolLayer(
            x=self.x,
            y=_as(self.x, self.shape),
            kernel=_ints(attrs.pool_size),
            strides=_ints(attrs.strides),
            padding=(*begins, *end_padding(self.group.call, self.shape[2:])),
            dilation=_ints(attrs.dilation),
            **self.bounds(self.x_scale),
        )

    def moved(self) -> list[LayerCall]:
        """The steps of a move, one layer each or, of pixels as channels, a gather for each pixel of
        a block and their concatenation; and the change of scale if needed."""
        made: list[LayerCall] = []
        x, at = self.x, 0
        for step in self.group.moves:
            y = _as(x, result_shape(x.shape, step))
            if isinstance(step, Pick):
                made.append(LayerCall(GatherLayer(x=x, y=y, indices=step.indices), (at,)))
            elif isinstance(step, Deepen):
                made.append(LayerCall(DepthToSpaceLayer(x=x, y=y, block=step.block), (at,)))
            else:
                made += _flattened(x, y, step.block, at, len(made) + 1)
            x, at = y, len(made)
        if self.x_scale != self.y_scale:
            made.append(LayerCall(self.rescale(x, self.x_scale, self.bounds(self.y_scale)), (at,)))
        return made

    def in_scale_of_y(self, layer: Layer) -> list[LayerCall]:
        """A layer whose result has the input's scale, and the change to the output's if needed."""
        if self.x_scale == self.y_scale:
            return [LayerCall(layer)]
        rescale = self.rescale(layer.y, self.x_scale, self.bounds(self.y_scale))
        return [LayerCall(layer), LayerCall(rescale, (1,))]


def _flattened(x: QTensor, y: QTensor, block: Shape, at: int, first: int) -> list[LayerCall]:
    """Blocks of pixels of the value number ``at`` as channels; ``first``: the number of the first
    step's result."""
    made: list[LayerCall] = []
    part = _as(x, (*x.shape[:2], *y.shape[2:]))
    for phase in product(*map(range, block)):
        picked = tuple(
            tuple(range(begin, size, step))
            for begin, size, step in zip(phase, x.shape[2:], block, strict=True)
        )
        made.append(LayerCall(GatherLayer(x=x, y=part, indices=(None, *picked)), (at,)))
    args = tuple(range(first, first + len(made)))
    return [*made, LayerCall(ConcatLayer(xs=(part,) * len(made), y=y, axis=1), args)]


def _given_weight(weight: Constant) -> tuple[npt.NDArray[np.int8], Doubles] | str | None:
    """The integers of an already quantized weight, zero point subtracted, and their scale per
    output channel; why int8 does not hold them; None if it is not quantized.

    They are kept or the layer is not: other integers would be another model's.
    """
    integers, scale = weight.integers, weight.scale
    if integers is None or scale is None:
        return None
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    if low < BOUNDS["int8"][0] or high > BOUNDS["int8"][1]:
        return (
            f"its weights less their zero point reach from {low} to {high}: that takes more "
            "than 8 bits; quantize weights to symmetric int8"
        )
    rows = np.broadcast_to(scale, (len(integers), *scale.shape[1:])).reshape(len(integers), -1)
    if np.any(rows != rows[:, :1]):
        return (
            "its weights have several scales in an output channel; quantize them by output channel"
        )
    return integers.astype(np.int8), rows[:, 0].astype(np.float64)


def weight_scale(group: Group, scales: Mapping[str, Scale]) -> Doubles | None:
    """The scale of each output channel that ``layers_of`` chooses; None if it chooses none."""
    if (
        group.weight is None
        or _given_weight(group.weight) is not None
        or not np.isfinite(group.weight.value).all()
    ):
        return None
    return _symmetric_scale(
        group.weight.value, _bias(group), scales[group.inputs[0]].scale, scales[group.output].scale
    )


def _bias(group: Group) -> Doubles:
    """The bias of each output channel, zero where there is none."""
    assert group.weight is not None
    if group.bias is None:
        return np.zeros(len(group.weight.value))
    bias: Doubles = group.bias.value.astype(np.float64)
    return bias


def _symmetric_scale(weight: npt.NDArray[Any], bias: Doubles, sx: float, sy: float) -> Doubles:
    """A scale per output channel for symmetric int8 weights, by the weights that survive.

    It is also large enough for the bias to fit; a channel without weights gets one that keeps its
    bias to a 256th of a step of the output.
    """
    flat = weight.reshape(len(weight), -1)
    largest = np.maximum(flat.max(axis=1, initial=0), -flat.min(axis=1, initial=0))
    scale = largest.astype(np.float64) / _MAX_WEIGHT
    if flat.shape[1] <= _SMALL_KERNEL:
        scale = _own_steps(flat.astype(np.float64), scale)
    scale = np.where(scale < _LEAST_SCALE, sy / (sx * 256), scale)
    fitting: Doubles = np.maximum(scale, np.abs(bias) / (sx * _MAX_BIAS))
    return fitting


def _own_steps(rows: Doubles, scale: Doubles) -> Doubles:
    """The scale of rows of weights, or, where they are small whole multiples of a step of their
    own, as those of an interpolation are, that step: the integers are exact then."""
    magnitudes = np.where(rows == 0, np.inf, np.abs(rows))
    least = magnitudes.min(axis=1)
    found = scale.copy()
    open_ = np.isfinite(least) & ~_are_whole(rows, scale)
    for parts in range(1, _MOST_STEPS + 1):
        step = np.where(open_, least / parts, 1.0)
        taken = open_ & _are_whole(rows, step) & (np.abs(rows).max(axis=1) <= _MAX_WEIGHT * step)
        found, open_ = np.where(taken, step, found), open_ & ~taken
    return found


def _are_whole(rows: Doubles, step: Doubles) -> npt.NDArray[np.bool_]:
    """Whether each row holds whole multiples of its step, to the precision of float32."""
    counts = rows / np.where(step > 0, step, 1.0)[:, None]
    return np.asarray((np.abs(counts - np.rint(counts)) < _WHOLE).all(axis=1))


def _symmetric(weight: npt.NDArray[Any], scale: Doubles) -> npt.NDArray[np.int8]:
    """Symmetric int8 weights. Zeros stay zeros."""
    integers = weight.reshape(len(weight), -1) * (1 / scale[:, None]).astype(weight.dtype)
    np.rint(integers, out=integers)
    np.clip(integers, -_MAX_WEIGHT, _MAX_WEIGHT, out=integers)
    made: npt.NDArray[np.int8] = integers.astype(np.int8).reshape(weight.shape)
    return made


def _ints(values: Any) -> Shape:
    return tuple(int(v) for v in values)


def _as(form: QTensor, shape: Shape) -> QTensor:
    return QTensor(shape, form.dtype, form.zero_point)
