"""Random integer layers, and what each computes, in plain int64 numpy loops over the taps."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.relax_functions import (
    BOUNDS,
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    DepthToSpaceLayer,
    DType,
    GatherLayer,
    Layer,
    LookupLayer,
    MaxPoolLayer,
    MultiplyLayer,
    QTensor,
    RequantizeLayer,
    ReshapeLayer,
)

Array = npt.NDArray[Any]


def evaluate(layer: Layer, inputs: Sequence[Array]) -> Array:
    """The layer's definition, read off its docstring."""
    x = inputs[0].astype(np.int64)
    match layer:
        case ConvLayer():
            acc = convolve(x - layer.x.zero_point, layer)
            channels = (-1, *(1,) * (x.ndim - 2))
            acc += layer.bias.reshape(channels)
            result = requantize(
                acc * layer.mult.astype(np.int64).reshape(channels),
                layer.shift.astype(np.int64).reshape(channels),
                layer,
            )
        case DenseLayer():
            acc = (x - layer.x.zero_point) @ layer.weight.astype(np.int64).T + layer.bias
            result = requantize(acc * layer.mult, layer.shift.astype(np.int64), layer)
        case AddLayer():
            a = (x - layer.a.zero_point) * layer.mult_a
            b = (inputs[1].astype(np.int64) - layer.b.zero_point) * layer.mult_b
            result = evened(a + b, layer)
        case MultiplyLayer():
            a, b = x - layer.a.zero_point, inputs[1].astype(np.int64) - layer.b.zero_point
            result = evened(a * b * layer.mult, layer)
        case AvgPoolLayer():
            ones = np.ones((x.shape[1], 1, *layer.kernel), np.int64)
            acc = sum_taps(x - layer.x.zero_point, ones, layer, (1,) * (x.ndim - 2), x.shape[1])
            result = evened(acc * layer.mult, layer)
        case MaxPoolLayer():
            windows = taps(x, layer.kernel, layer, layer.dilation, fill=-(2**40))
            result = np.clip(np.max([window for _, window in windows], axis=0), layer.lo, layer.hi)
        case RequantizeLayer():
            result = evened((x - layer.x.zero_point) * layer.mult, layer)
        case LookupLayer():
            result = layer.table[x - (-128 if layer.x.dtype == "int8" else 0)]
        case ConcatLayer():
            result = np.concatenate(inputs, axis=layer.axis)
        case ReshapeLayer():
            result = x.reshape(layer.y.shape)
        case GatherLayer():
            every = [np.arange(size) for size in x.shape]
            for axis, picked in enumerate(layer.indices, 1):
                every[axis] = every[axis] if picked is None else np.asarray(picked)
            result = x[np.ix_(*every)]
        case DepthToSpaceLayer():
            result = np.empty(layer.y.shape, np.int64)
            each = layer.y.shape[1]
            for phase, begins in enumerate(itertools.product(*map(range, layer.block))):
                where = tuple(slice(a, None, s) for a, s in zip(begins, layer.block, strict=True))
                part = x[:, phase * each : (phase + 1) * each]
                result[(slice(None), slice(None), *where)] = part
    assert result.shape == layer.y.shape
    return result.astype(layer.y.dtype)


def requantize(v: Array, shift: Any, layer: Any) -> Array:
    v = ((v + (1 << (shift - 1))) >> shift) + layer.y.zero_point
    return np.clip(v, layer.lo, layer.hi)


def evened(p: Array, layer: Any) -> Array:
    result: Array = np.clip(even(p, layer.shift) + layer.y.zero_point, layer.lo, layer.hi)
    return result


def even(p: Array, shift: Any) -> Array:
    """``p / 2^shift`` to 16 bits of fraction, then to the nearest integer, halves to even."""
    finest = max(int(shift) - 16, 0)
    fine = (p + (1 << finest >> 1)) >> finest
    below, rest = np.divmod(fine, 1 << (int(shift) - finest))
    half = 1 << (int(shift) - finest) >> 1
    up = (rest > half) | ((rest == half) & (below % 2 == 1))
    result: Array = below + up
    return result


def convolve(x: Array, layer: ConvLayer) -> Array:
    return sum_taps(x, layer.weight.astype(np.int64), layer, layer.dilation, layer.groups)


def sum_taps(
    x: Array, weight: Array, layer: ConvLayer | AvgPoolLayer, dilation: Sequence[int], groups: int
) -> Array:
    total: Any = 0
    batch, per_group = x.shape[0], weight.shape[1]
    for tap, window in taps(x, weight.shape[2:], layer, dilation, fill=0):
        grouped = window.reshape(batch, groups, per_group, *window.shape[2:])
        w = weight[(slice(None), slice(None), *tap)].reshape(groups, -1, per_group)
        total = total + np.einsum("ngc...,gkc->ngk...", grouped, w)
    result: Array = total.reshape(batch, weight.shape[0], *total.shape[3:])
    return result


def taps(x: Array, kernel: Sequence[int], layer: Any, dilation: Sequence[int], fill: int) -> Any:
    """Each tap of the kernel with the input elements it meets, one per output position."""
    rank = len(kernel)
    pads = list(zip(layer.padding[:rank], layer.padding[rank:], strict=True))
    padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)
    counts = [
        (size - (k - 1) * d - 1) // s + 1
        for size, k, d, s in zip(padded.shape[2:], kernel, dilation, layer.strides, strict=True)
    ]
    for tap in itertools.product(*map(range, kernel)):
        where = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, dilation, counts, layer.strides, strict=True)
        )
        yield tap, padded[(slice(None), slice(None), *where)]


def random_input(rng: np.random.Generator, tensor: QTensor) -> Array:
    low, high = BOUNDS[tensor.dtype]
    return rng.integers(low, high + 1, tensor.shape).astype(tensor.dtype)


def random_layer(rng: np.random.Generator, kind: type[Layer]) -> Layer:
    """A small layer with parameters all over their ranges."""
    x = random_tensor(rng, random_shape(rng))
    y_form = random_tensor(rng, ())
    low, high = BOUNDS[y_form.dtype]
    lo = int(rng.integers(low, high))
    clip: dict[str, Any] = {"lo": lo, "hi": int(rng.integers(lo, high + 1))}
    scale: dict[str, Any] = {
        "mult": int(rng.integers(0, 2**31)),
        "shift": int(rng.integers(28, 40)),
    }

    def like(shape: tuple[int, ...], form: QTensor = y_form) -> QTensor:
        return QTensor(shape, form.dtype, form.zero_point)

    if kind is ConvLayer:
        return random_conv(rng, x, y_form, clip)
    if kind is DenseLayer:
        x = random_tensor(rng, (int(rng.integers(1, 4)), int(rng.integers(1, 40))))
        k = int(rng.integers(1, 20))
        weight = rng.integers(-128, 128, (k, x.shape[1])).astype(np.int8)
        y = like((x.shape[0], k))
        return DenseLayer(x=x, y=y, weight=weight, **random_affine(rng, k), **clip)
    if kind is AddLayer:
        b = random_tensor(rng, x.shape)
        mults = {"mult_a": scale["mult"], "mult_b": int(rng.integers(-(2**31) + 1, 2**31))}
        return AddLayer(a=x, b=b, y=like(x.shape), shift=scale["shift"], **mults, **clip)
    if kind is MultiplyLayer:
        by_channel, by_pixel = (bool(n) for n in rng.integers(0, 2, 2))
        factors = x.shape[2:] if by_pixel else (1,) * len(x.shape[2:])
        b = random_tensor(rng, (x.shape[0], x.shape[1] if by_channel else 1, *factors))
        scale["shift"] += 4
        return MultiplyLayer(a=x, b=b, y=like(x.shape), **scale, **clip)
    if kind is RequantizeLayer:
        return RequantizeLayer(x=x, y=like(x.shape), **scale, **clip)
    if kind is LookupLayer:
        table = rng.integers(low, high + 1, 256).astype(y_form.dtype)
        return LookupLayer(x=x, y=like(x.shape), table=table)
    if kind is ConcatLayer:
        axis = int(rng.integers(0, len(x.shape)))
        shapes = [
            tuple(int(rng.integers(1, 5)) if i == axis else d for i, d in enumerate(x.shape))
            for _ in range(rng.integers(1, 4))
        ]
        total = tuple(
            sum(s[axis] for s in shapes) if i == axis else d for i, d in enumerate(x.shape)
        )
        return ConcatLayer(xs=tuple(like(s) for s in shapes), y=like(total), axis=axis)
    if kind is ReshapeLayer:
        return ReshapeLayer(x=x, y=like((x.shape[0], int(np.prod(x.shape[1:]))), x))
    if kind is GatherLayer:
        chosen = [
            tuple(int(i) for i in rng.integers(0, d, rng.integers(1, 9))) if rng.choice(2) else None
            for d in x.shape[1:]
        ]
        chosen[0] = chosen[0] or (0,)
        made = [d if at is None else len(at) for d, at in zip(x.shape[1:], chosen, strict=True)]
        return GatherLayer(x=x, y=like((x.shape[0], *made), x), indices=tuple(chosen))
    if kind is DepthToSpaceLayer:
        block = tuple(int(b) for b in rng.integers(1, 4, len(x.shape) - 2))
        batch, channels, *spatial = x.shape
        deep = QTensor((batch, channels * int(np.prod(block)), *spatial), x.dtype, x.zero_point)
        wide = (d * b for d, b in zip(spatial, block, strict=True))
        return DepthToSpaceLayer(x=deep, y=like((batch, channels, *wide), x), block=block)
    window, shape = random_window(rng, x, dilated=kind is MaxPoolLayer)
    if kind is AvgPoolLayer:
        window.pop("dilation")
        return AvgPoolLayer(x=x, y=like((*x.shape[:2], *shape)), **window, **scale, **clip)
    assert kind is MaxPoolLayer
    return MaxPoolLayer(x=like(x.shape), y=like((*x.shape[:2], *shape)), **window, **clip)


def random_conv(
    rng: np.random.Generator, x: QTensor, y_form: QTensor, clip: dict[str, Any]
) -> ConvLayer:
    window, shape = random_window(rng, x, dilated=True)
    groups = int(rng.choice([d for d in range(1, x.shape[1] + 1) if x.shape[1] % d == 0]))
    k = groups * int(rng.integers(1, 6))
    kernel = window.pop("kernel")
    weight = rng.integers(-128, 128, (k, x.shape[1] // groups, *kernel)).astype(np.int8)
    return ConvLayer(
        x=x,
        y=QTensor((x.shape[0], k, *shape), y_form.dtype, y_form.zero_point),
        weight=weight,
        groups=groups,
        **window,
        **random_affine(rng, k),
        **clip,
    )


def random_affine(rng: np.random.Generator, k: int) -> dict[str, Any]:
    return {
        "bias": rng.integers(-(2**20), 2**20, k).astype(np.int32),
        "mult": rng.integers(0, 2**31, k).astype(np.int32),
        "shift": rng.integers(30, 48, k).astype(np.int32),
    }


def random_tensor(rng: np.random.Generator, shape: tuple[int, ...]) -> QTensor:
    dtype: DType = "uint8" if rng.choice(2) else "int8"
    low, high = BOUNDS[dtype]
    return QTensor(shape, dtype, int(rng.integers(low, high + 1)))


def random_shape(rng: np.random.Generator) -> tuple[int, ...]:
    rank = int(rng.choice([1, 2, 2, 2, 3]))
    return (
        int(rng.integers(1, 3)),
        int(rng.integers(1, 9)),
        *(int(d) for d in rng.integers(3, 12, rank)),
    )


def random_window(
    rng: np.random.Generator, x: QTensor, dilated: bool
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Kernel, strides, padding and dilation that fit ``x``, and the output's spatial shape."""
    size = x.shape[2:]
    kernel = tuple(int(rng.integers(1, min(4, d) + 1)) for d in size)
    dilation = tuple(
        int(rng.integers(1, 3)) if dilated and k * 2 <= d else 1
        for k, d in zip(kernel, size, strict=True)
    )
    strides = tuple(int(rng.integers(1, 4)) for _ in size)
    padding = tuple(int(rng.integers(0, k)) for k in kernel * 2)
    shape = tuple(
        (d + padding[i] + padding[i + len(size)] - (kernel[i] - 1) * dilation[i] - 1) // strides[i]
        + 1
        for i, d in enumerate(size)
    )
    names = ("kernel", "strides", "padding", "dilation")
    return dict(zip(names, (kernel, strides, padding, dilation), strict=True)), shape
