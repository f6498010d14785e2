"""A dense integer oracle of the layers, plain numpy, sharing no code with compiler or machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.relay_passes.integer import layers

Array = npt.NDArray[Any]


def requantize(v: Array, mult: Array, shift: Array, zp: int, lo: int, hi: int) -> Array:
    v = v.astype(np.int64)
    result: Array = np.clip(((v * mult + (np.int64(1) << (shift - 1))) >> shift) + zp, lo, hi)
    return result


def evened(
    p: Array,
    layer: layers.AddLayer | layers.MultiplyLayer | layers.AvgPoolLayer | layers.RequantizeLayer,
) -> Array:
    """``p / 2^shift`` to 16 bits of fraction, halves to even, in units of 2^-f."""
    f = min(layer.shift, 16)
    t = p >> (layer.shift - f)
    if layer.shift > f:
        t = t + ((p >> (layer.shift - f - 1)) & 1)
    whole, rest = t >> f, t & ((1 << f) - 1)
    whole = whole + (2 * rest + (whole & 1) > 1 << f)
    result: Array = np.clip(whole + layer.y.zero_point, layer.lo, layer.hi)
    return result


def per_channel(values: Array, rank: int) -> Array:
    return np.asarray(values, np.int64).reshape(1, -1, *[1] * (rank - 2))


def padded(x: Array, padding: tuple[int, ...], fill: int) -> Array:
    half = len(padding) // 2
    pads = list(zip(padding[:half], padding[half:], strict=True))
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)


def windows(
    x: Array, kernel: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> Array:
    """[1, C, *out, *kernel] of a padded input."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    axes = tuple(range(2, x.ndim))
    view: Array = np.lib.stride_tricks.sliding_window_view(x, reach, axis=axes)
    index = [slice(None)] * 2 + [slice(None, None, s) for s in strides]
    index += [slice(None, None, d) for d in dilation]
    every: Array = view[tuple(index)]
    return every


def conv(layer: layers.ConvLayer, x: Array) -> Array:
    spatial = layer.weight.ndim - 2
    x = padded(x.astype(np.int64) - layer.x.zero_point, layer.padding, 0)
    per_in, per_out = x.shape[1] // layer.groups, layer.weight.shape[0] // layer.groups
    parts = []
    for g in range(layer.groups):
        seen = windows(
            x[:, g * per_in : (g + 1) * per_in],
            layer.weight.shape[2:],
            layer.strides,
            layer.dilation,
        )
        w = layer.weight[g * per_out : (g + 1) * per_out].astype(np.int64)
        axes = [1, *range(2 + spatial, 2 + 2 * spatial)]
        acc = np.tensordot(seen, w, axes=(axes, list(range(1, w.ndim))))
        parts.append(np.moveaxis(acc, -1, 1))
    acc = np.concatenate(parts, axis=1) + per_channel(layer.bias, x.ndim)
    return requantize(
        acc,
        per_channel(layer.mult, x.ndim),
        per_channel(layer.shift, x.ndim),
        layer.y.zero_point,
        layer.lo,
        layer.hi,
    )


def evaluate_layer(layer: layers.Layer, args: list[Array]) -> Array:
    """The layer's output of its own dtype."""
    x = args[0]
    if isinstance(layer, layers.ConvLayer):
        y = conv(layer, x)
    elif isinstance(layer, layers.DenseLayer):
        acc = (x.astype(np.int64) - layer.x.zero_point) @ layer.weight.T.astype(np.int64)
        y = requantize(
            acc + layer.bias,
            np.asarray(layer.mult, np.int64),
            np.asarray(layer.shift, np.int64),
            layer.y.zero_point,
            layer.lo,
            layer.hi,
        )
    elif isinstance(layer, layers.AddLayer):
        total = (x.astype(np.int64) - layer.a.zero_point) * layer.mult_a + (
            args[1].astype(np.int64) - layer.b.zero_point
        ) * layer.mult_b
        y = evened(total, layer)
    elif isinstance(layer, layers.MultiplyLayer):
        a, b = (v.astype(np.int64) - t.zero_point for v, t in zip(args, layer.inputs, strict=True))
        y = evened(a * b * layer.mult, layer)
    elif isinstance(layer, layers.MaxPoolLayer):
        seen = windows(
            padded(x.astype(np.int64), layer.padding, -(1 << 20)),
            layer.kernel,
            layer.strides,
            layer.dilation,
        )
        y = np.clip(seen.max(axis=tuple(range(x.ndim, seen.ndim))), layer.lo, layer.hi)
    elif isinstance(layer, layers.AvgPoolLayer):
        seen = windows(
            padded(x.astype(np.int64) - layer.x.zero_point, layer.padding, 0),
            layer.kernel,
            layer.strides,
            (1,) * len(layer.kernel),
        )
        total = seen.sum(axis=tuple(range(x.ndim, seen.ndim)))
        y = evened(total * layer.mult, layer)
    elif isinstance(layer, layers.RequantizeLayer):
        y = evened((x.astype(np.int64) - layer.x.zero_point) * layer.mult, layer)
    elif isinstance(layer, layers.LookupLayer):
        y = layer.table[x.astype(np.int64) - layers.BOUNDS[layer.x.dtype][0]]
    elif isinstance(layer, layers.ConcatLayer):
        y = np.concatenate(args, axis=layer.axis)
    elif isinstance(layer, layers.ReshapeLayer):
        y = x.reshape(layer.y.shape)
    elif isinstance(layer, layers.GatherLayer):
        y = x
        for axis, picked in enumerate(layer.indices, 1):
            y = y if picked is None else np.stack([y.take(i, axis) for i in picked], axis)
    elif isinstance(layer, layers.DepthToSpaceLayer):
        s, t = ((1, 1, *layer.block))[-2:]
        deep = x if x.ndim == 4 else x[:, :, None]
        images, every, rows, cols = deep.shape
        y = np.zeros((images, every // (s * t), rows * s, cols * t), x.dtype)
        for at, channel in enumerate(np.moveaxis(deep, 1, 0)):
            phase, c = divmod(at, y.shape[1])
            y[:, c, phase // t :: s, phase % t :: t] = channel
        y = y.reshape(layer.y.shape)
    else:
        raise TypeError(type(layer).__name__)
    assert y.shape == layer.y.shape, (y.shape, layer.y.shape)
    return y.astype(layer.y.dtype)


def evaluate(graph: LayerGraph, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every value of the graph, by name."""
    values = dict(inputs)
    for node in graph.ordered():
        values[node.output] = evaluate_layer(node.layer, [values[n] for n in node.inputs])
    return values
