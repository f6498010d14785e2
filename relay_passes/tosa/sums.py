"""Convolutions, pools and what else adds up: sums, and how they are scaled to int8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zeroskip.relay_passes.integer.layers import BOUNDS, MaxPoolLayer
from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.arithmetic import odds, reciprocal, rounds_twice, scaled
from zeroskip.relay_passes.tosa.build import BYTES, HELD, Difference, Ints, padding_of
from zeroskip.relay_passes.tosa.evaluate import compute
from zeroskip.relay_passes.tosa.reading import Held, Reading
from zeroskip.relay_passes.tosa.scalings import Average, Requantize
from zeroskip.relay_passes.tosa.syntax import Operation
from zeroskip.relay_passes.tosa.tensors import (
    LAST,
    ChannelSlice,
    Padded,
    Reduced,
    Sums,
    View,
    Wide,
    order_of,
)

WIDE_AREA = 1 << 14  # pixels of an average whose sums are all tried


def conv(read: Reading, op: Operation) -> Held:
    weight, bias, zero = of.weights(op, read.constant)
    window = of.window(op, weight.shape[2:])
    groups = 1
    if op.name == "tosa.depthwise_conv2d":
        groups = weight.shape[0]
        weight = weight.reshape(-1, 1, *weight.shape[2:])
    n, rows, columns, count = op.result.type.shape
    held = read.held(op.operand(0))
    part = held if isinstance(held, ChannelSlice) else None
    padded = read.padded(op) if part is None else part.whole
    return Sums(
        padded, zero, weight, bias, window, groups, (n, count, rows, columns),
        read.label(op), part=part,
    )  # fmt: skip


def limits(read: Reading, op: Operation) -> Held:
    """``tosa.minimum`` and ``maximum`` of sums with constants of each channel."""
    operands = [read.held(each) for each in op.operands]
    sums = next((each for each in operands if isinstance(each, Sums)), None)
    limit = next((each for each in operands if isinstance(each, np.ndarray)), None)
    if len(operands) != 2 or sums is None or limit is None or sums.part is not None:
        op.refuse("is taken of a convolution's sums and a constant only")
    if (
        limit.ndim != 4
        or limit.size not in (1, limit.shape[3])
        or limit.size not in (1, sums.out[1])
    ):
        op.refuse("has other limits than one for each channel")
    wide = np.broadcast_to(limit.astype(np.int64).reshape(-1), sums.out[1])
    if op.name == "tosa.minimum":
        high = wide if sums.high is None else np.minimum(sums.high, wide)
        return replace(sums, high=high)
    return replace(sums, low=wide if sums.low is None else np.maximum(sums.low, wide))


def rescaled_sums(read: Reading, op: Operation, sums: Sums, by: of.Rescale) -> View:
    out = requantize_to(read, op, by)
    if by.zero_x or by.unsigned[0]:
        op.refuse("gives sums a zero point")
    if sums.part is not None:
        op.refuse("scales the convolution of some channels only: join its groups before")
    if sums.average and by.mult.size == 1 and sums.low is None and sums.high is None:
        double = by.double

        def truth(values: Ints) -> Ints:
            y = scaled(values, by.mult, by.shift, double) + by.zero_y
            return np.clip(y, by.low, by.high)

        if np.prod(sums.window.kernel) <= WIDE_AREA:
            return read.building.average(op, [Average(sums, out, truth)])
    if rounds_twice(by.shift, by.double):
        how = (
            f"it rounds twice (DOUBLE_ROUND), layers once, which is a step in {odds(by.shift)} sums"
        )
        read.building.differences.append(Difference(sums.label, op.line, how))
    return read.building.conv(op, sums, out)


def requantize_to(read: Reading, op: Operation, by: of.Rescale) -> Requantize:
    if op.result.type.element != "i8":
        op.refuse(f"makes {op.result.type} of sums: int8 is taken")
    if not BOUNDS["int8"][0] <= by.zero_y <= by.high:
        op.refuse(f"has the zero point {by.zero_y}")
    return Requantize(by.mult, by.shift, by.zero_y, by.low, by.high)


def average_pool(read: Reading, op: Operation) -> Held:
    window = of.window(op, op.numbers("kernel", 2, 1))
    zeros = [of.zero_point(op, at, read.constant) for at in (1, 2)]
    padded = read.padded(op)
    if any(window.padding) or any((*padded.before, *padded.after)):
        op.refuse("averages windows beyond the border, each by its own count: use no padding")
    if op.operand(0).type.element != "i8" or not all(-128 <= zero <= 127 for zero in zeros):
        op.refuse("is taken of int8")
    n, rows, columns, channels = op.result.type.shape
    area = int(np.prod(window.kernel))
    if area > WIDE_AREA or channels != op.operand(0).type.shape[3]:
        op.refuse(f"averages {area} pixels: up to {WIDE_AREA}")
    mult, shift = (np.array([each]) for each in reciprocal(area))

    def variant(zero_x: int, zero_y: int) -> Average:
        def truth(values: Ints) -> Ints:
            own = values + area * (zero_x - zeros[0])
            return np.clip(scaled(own, mult, shift) + zeros[1], -128, 127)

        sums = Sums(
            padded, zero_x, np.ones((channels, 1, *window.kernel), np.int8),
            np.zeros(channels, np.int32), window, channels, (n, channels, rows, columns),
            read.label(op),
        )  # fmt: skip
        return Average(sums, Requantize(mult, shift, zero_y, -128, 127), truth)

    own = padded.view.of.scale.zero
    variants = [variant(zeros[0], zeros[1])]
    if own is not None and zeros[0] == zeros[1]:
        here = own - padded.view.offset  # the same average about another zero
        variants.insert(0, variant(here, here))
    return read.building.average(op, variants)


def max_pool(read: Reading, op: Operation) -> Held:
    window = of.window(op, op.numbers("kernel", 2, 1))
    return _largest(read, op, read.padded(op), window)


def largest_of_windows(read: Reading, op: Operation) -> Held:
    """``linalg.pooling_nhwc_max``, as --emit=tosa writes a pool with dilations."""
    shape, kernel = op.operand(0).type.shape, read.constant(op.operand(1))
    if kernel is None or kernel.ndim != 2 or len(shape) != 4:
        op.refuse("has no constant window")
    # The judge's own reading of the operator, on a tensor of least values, refuses the rest.
    compute(
        op,
        [np.full(shape, -128, np.int8), kernel, of.constant(op, 2, "a start", read.constant)],
        read.constant,
    )
    pair = [
        tuple(int(n) for n in op.attributes[name].reshape(-1)) for name in ("strides", "dilations")
    ]
    window = of.Window(
        (kernel.shape[0], kernel.shape[1]), (pair[0][0], pair[0][1]), (0, 0, 0, 0),
        (pair[1][0], pair[1][1]),
    )  # fmt: skip
    return _largest(read, op, read.padded(op), window)


def _largest(read: Reading, op: Operation, padded: Padded, window: of.Window) -> View:
    n, rows, columns, channels = op.result.type.shape
    if op.operand(0).type.element != "i8" or channels != op.operand(0).type.shape[3]:
        op.refuse("is taken of int8")
    view, label = padded.view, read.label(op)
    sides = order_of(view.of.shape, view.steps).shape[1:3]
    x = read.building.planar(op, view, label)
    low, high = BOUNDS[x.dtype]
    layer = MaxPoolLayer(
        x=HELD[x.dtype], y=HELD[x.dtype], kernel=window.kernel, strides=window.strides,
        padding=padding_of(op, padded, window, sides, None), dilation=window.dilation,
        lo=low, hi=high,
    )  # fmt: skip
    y = read.building.add(layer, (n, channels, rows, columns), x.dtype, (x,), label, x.scale)
    return View(y, (("turn", LAST),), view.moved)


def reduce_sum(read: Reading, op: Operation) -> Held:
    axis, held = of.axis_of(op), read.held(op.operand(0))
    if isinstance(held, Wide) and len(held.views) == 1:
        zero = held.zeros[0]
        if not np.array_equal(held.tables[0], BYTES - zero):
            op.refuse("adds up numbers that were scaled before: scale their sum")
        held = Reduced(held.views[0], zero, ())
    if not isinstance(held, Reduced) or len(op.operand(0).type.shape) != 4 or axis not in (1, 2):
        op.refuse("is taken over rows and columns of int8 [N, H, W, C] only")
    return replace(held, axes=(*held.axes, axis))


def groups(read: Reading, op: Operation, parts: list[Sums], axis: int) -> Sums:
    """Convolutions of slices of channels that are the groups of one."""
    first, size = parts[0], parts[0].weight.shape[1]
    for number, each in enumerate(parts):
        part = each.part
        same = part is not None and first.part is not None and axis == 3 and (
            _alike(part.whole, first.part.whole)
            and (part.start, part.size) == (number * size, size)
            and (each.zero, each.window, each.groups) == (first.zero, first.window, 1)
            and each.weight.shape == first.weight.shape
        )  # fmt: skip
        if not same:
            op.refuse("joins sums that are not the groups of one convolution: scale them before")
    view = first.view.view
    if order_of(view.of.shape, view.steps).shape[3] != len(parts) * size:
        op.refuse("joins some groups of a convolution: give them all")
    n, _, rows, columns = first.out
    return replace(
        first,
        weight=np.concatenate([each.weight for each in parts]),
        bias=np.concatenate([each.bias for each in parts]),
        groups=len(parts),
        out=(n, sum(each.out[1] for each in parts), rows, columns),
        part=None,
    )


def _alike(a: Padded, b: Padded) -> bool:
    """Whether both are the same pixels of one activation."""
    same = a.view.of is b.view.of and a.view.steps == b.view.steps and a.view.moved == b.view.moved
    return same and (a.before, a.after, a.fill) == (b.before, b.after, b.fill)


def windows_of(held: Reduced, label: str) -> Sums:
    """A sum over rows or columns as one window for each channel."""
    n, rows, columns, channels = order_of(held.view.of.shape, held.view.steps).shape
    kernel = rows if 1 in held.axes else 1, columns if 2 in held.axes else 1
    out = n, channels, 1 if 1 in held.axes else rows, 1 if 2 in held.axes else columns
    window = of.Window(kernel, (1, 1), (0, 0, 0, 0), (1, 1))
    ones = np.ones((channels, 1, *kernel), np.int8)
    zeros = np.zeros(channels, np.int32)
    return Sums(Padded(held.view), held.zero, ones, zeros, window, channels, out, label)
