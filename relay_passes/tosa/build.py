"""Integer layers from what the text computes, each the very integers wherever a layer has them.

TOSA's rounding is that of convolutions here. Averages, changes of scale and additions round halves
to even: such a layer is taken where it gives the text's result for every value there is, which is
tried; else a convolution by ones that does, or, of an addition, the layer that differs least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.integer.layers import (
    BOUNDS,
    KEEPS_SCALE,
    AddLayer,
    AvgPoolLayer,
    ConvLayer,
    DenseLayer,
    DepthToSpaceLayer,
    DType,
    GatherLayer,
    Layer,
    LookupLayer,
    MultiplyLayer,
    QTensor,
    RequantizeLayer,
    ReshapeLayer,
    quantize_multiplier,
    spreads_over,
)
from zeroskip.relay_passes.tosa.arithmetic import evened, scaled
from zeroskip.relay_passes.tosa.operators import Window
from zeroskip.relay_passes.tosa.scalings import Average, Requantize, SumOf
from zeroskip.relay_passes.tosa.syntax import Operation
from zeroskip.relay_passes.tosa.tensors import (
    FIRST,
    LAST,
    UNSIGNED,
    Activation,
    Padded,
    Product,
    Scale,
    Step,
    Steps,
    Sums,
    View,
    axis_in,
    deepened,
    order_of,
    turned,
)

Ints = npt.NDArray[np.int64]
BYTES = np.arange(-128, 128, dtype=np.int64)
ONE = (1 << 30, 30)  # a scale of 1
_MOST_SCALE = 2.0**29  # of what has a multiplier
HELD: dict[DType, QTensor] = {
    dtype: QTensor((), dtype, 0) for dtype in cast("tuple[DType, ...]", ("int8", "uint8"))
}


@dataclass(frozen=True)
class Difference:
    """A layer that is not the text's to the last step. how: in words."""

    label: str
    line: int
    how: str


@dataclass(eq=False)
class Building:
    """The layers so far, in order, and where they differ from the text."""

    made: list[Activation] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    _moved: dict[tuple[Activation, Steps], Activation] = field(default_factory=dict)

    # Activations

    def add(
        self,
        layer: Layer | None,
        shape: tuple[int, ...],
        dtype: DType,
        sources: tuple[Activation, ...],
        label: str,
        scale: Scale | None = None,
        steps: Steps = (),
    ) -> Activation:
        """The result of a layer; scale: that of its input, if it has the same."""
        made = Activation(shape, dtype, scale or Scale(), layer, sources, steps, label)
        self.made.append(made)
        return made

    def lying(self, view: View, step: Step | None, label: str) -> Activation:
        """An activation in the order of a view that is turned once more."""
        steps = view.steps if step is None else turned(view.of.shape, view.steps, step)
        if not steps:
            return view.of
        if (view.of, steps) not in self._moved:
            shape = order_of(view.of.shape, steps).shape
            form = HELD[view.of.dtype]
            plain = len(steps) == 1 and steps[0][0] == "shape"
            block = deepened(view.of.shape, steps)
            layer: Layer | None = ReshapeLayer(x=form, y=form) if plain else None
            if block is not None:
                x, y = (QTensor(each, view.of.dtype, 0) for each in (view.of.shape, shape))
                layer = DepthToSpaceLayer(x=x, y=y, block=block)
            kept = () if layer is not None else steps
            kind = "reshape" if plain else "transpose" if block is None else "depth2space"
            name = f"{label}/{kind}"
            self._moved[view.of, steps] = self.add(
                layer, shape, view.of.dtype, (view.of,), name, view.of.scale, kept
            )
        return self._moved[view.of, steps]

    def cut(self, view: View, start: Sequence[int], size: Sequence[int], label: str) -> View | None:
        """Some elements along axes of a view, in one piece; None of some images only."""
        axes = {
            axis: axis_in(view.steps, axis)
            for axis, (own, whole) in enumerate(
                zip(size, order_of(view.of.shape, view.steps).shape, strict=True)
            )
            if own != whole
        }
        if not axes:
            return view
        if None in axes.values():
            view = View(self.lying(view, None, label), moved=view.moved)
            axes = {axis: axis for axis in axes}
        if 0 in axes.values():
            return None
        shape = list(view.of.shape)
        indices: list[tuple[int, ...] | None] = [None] * len(shape)
        for axis, own in axes.items():
            assert own is not None
            shape[own] = size[axis]
            indices[own] = tuple(range(start[axis], start[axis] + size[axis]))
        x, y = (QTensor(tuple(each), view.of.dtype, 0) for each in (view.of.shape, shape))
        layer = GatherLayer(x=x, y=y, indices=tuple(indices[1:]))
        made = self.add(layer, tuple(shape), view.of.dtype, (view.of,), label, view.of.scale)
        return View(made, view.steps, view.moved)

    def planar(self, op: Operation, view: View, label: str) -> Activation:
        """A view [N, H, W, C] as an activation [N, C, H, W]."""
        self.signed(op, view)
        return self.lying(view, ("turn", FIRST), label)

    @staticmethod
    def signed(op: Operation, view: View) -> None:
        if view.unsigned:
            op.refuse("reads a uint8 tensor as int8: rescale it first")

    def with_zero(self, x: Activation, zero: int, label: str) -> Activation:
        """The same numbers with this zero point: themselves, or a copy where they have another."""
        if x.scale.zero is None:
            x.scale.zero = zero
        if x.scale.zero == zero:
            return x
        # (x - own zero + own zero - zero) + zero
        shape = x.shape if len(x.shape) > 2 else (*x.shape, *(1,) * (3 - len(x.shape)))
        flat = self.lying(View(x), ("shape", shape), label) if shape != x.shape else x
        bias = np.full(shape[1], x.scale.zero - zero, np.int32)
        low, high = BOUNDS[x.dtype]
        layer = _by_ones(shape, x.dtype, bias, np.full(shape[1], ONE[0]), ONE[1], low, high)
        made = self.add(layer, shape, x.dtype, (flat,), f"{label}/zero_point", Scale(zero))
        return made if shape == x.shape else self.lying(View(made), ("shape", x.shape), label)

    # Convolutions

    def conv(self, op: Operation, sums: Sums, by: Requantize) -> View:
        """Sums scaled by the rounding of convolutions."""
        dtype, low, high = _form(by)
        count = sums.out[1]
        affine: dict[str, Any] = {
            "mult": np.broadcast_to(by.mult, count).astype(np.int32),
            "shift": np.broadcast_to(by.shift, count).astype(np.int32),
            "lo": low,
            "hi": high,
            "x": HELD["int8"],
            "y": HELD[dtype],
        }
        _check_limits(op, sums, affine, by.zero)
        _check_sums(op, sums)
        scale, view = Scale(by.zero), sums.view.view
        sides = order_of(view.of.shape, view.steps).shape[1:3]
        padding = padding_of(op, sums.view, sums.window, sides, sums.zero)
        dense = sides == (1, 1) and sums.weight.shape[2:] == (1, 1) and sums.groups == 1
        if dense and sums.out[0] == 1 and not any(padding):
            found = self._dense(op, sums, affine)
            if found is not None:
                product, source = found
                y = self.add(product, (1, count), dtype, (source,), sums.label, scale)
                return View(y, (("shape", (1, 1, 1, count)),))
        x = self.planar(op, view, sums.label)
        zero, bias = self._zero_of(x, sums, view.offset, any(padding))
        x = self.with_zero(x, zero, sums.label)
        layer = ConvLayer(
            weight=np.ascontiguousarray(sums.weight),
            bias=bias,
            strides=sums.window.strides,
            padding=padding,
            dilation=sums.window.dilation,
            groups=sums.groups,
            **affine,
        )
        y = self.add(layer, sums.out, dtype, (x,), sums.label, scale)
        return View(y, (("turn", LAST),))

    def _dense(
        self, op: Operation, sums: Sums, affine: dict[str, Any]
    ) -> tuple[DenseLayer, Activation] | None:
        """A matrix product on what was flattened, its weights in the order of the activation; None
        where that is a convolution of one pixel already."""
        view = sums.view.view
        self.signed(op, view)
        if len(view.of.shape) == 4 and view.of.shape[2:] == (1, 1):
            return None
        places = order_of(view.of.shape, view.steps).reshape(-1)
        weight = np.empty(sums.weight.shape[:2], np.int8)
        weight[:, places] = sums.weight[:, :, 0, 0]
        flat = self.lying(View(view.of), ("shape", (1, places.size)), sums.label)
        zero, bias = self._zero_of(flat, sums, view.offset, padded=False)
        source = self.with_zero(flat, zero, sums.label)
        return DenseLayer(weight=weight, bias=bias, **affine), source

    def _zero_of(
        self, x: Activation, sums: Sums, offset: int, padded: bool
    ) -> tuple[int, npt.NDArray[np.int32]]:
        """The zero point that a layer reads x with, and its bias then: without padding the tensor's
        own will do."""
        zero, own = sums.zero + offset, x.scale.zero
        if own is None or own == zero or padded:
            return zero, sums.bias
        each = sums.weight.reshape(len(sums.weight), -1).astype(np.int64).sum(axis=1)
        bias = sums.bias + (own - zero) * each
        if np.any(np.abs(bias) >= 1 << 31):
            return zero, sums.bias
        return own, bias.astype(np.int32)

    # Averages

    def average(self, op: Operation, variants: Sequence[Average]) -> View:
        """Windows summed up and scaled: an average where that gives the text's result of every sum
        there can be, else a convolution by ones. variants: ways to say the same, the best first."""
        found = [(each, *self._tried(op, each)) for each in variants]
        for each, even, _ in found:
            x = self.planar(op, each.sums.view.view, each.sums.label)
            zero = each.sums.zero + each.sums.view.view.offset
            if not even and x.scale.zero in (None, zero):
                return self._average(op, each, self.with_zero(x, zero, each.sums.label))
        best, _, wrong = min(found, key=lambda each: each[2])
        self._tell(op, best.sums.label, wrong, best.reach.size, "sums")
        view, zero = self.conv(op, best.sums, best.by), variants[0].by.zero
        if best.by.zero == zero:
            return view
        return replace(view, of=self.with_zero(view.of, zero, best.sums.label))

    @staticmethod
    def _tried(op: Operation, each: Average) -> tuple[int, int]:
        """How many sums an average and a convolution scale otherwise than the text."""
        by, want = each.by, each.truth(each.reach)
        real, shift = int(by.mult.flat[0]), int(by.shift.flat[0])
        mult, even_shift = _fixed(op, by)
        even = np.clip(evened(each.reach * mult, even_shift) + by.zero, by.low, by.high)
        one = np.clip(scaled(each.reach, real, shift) + by.zero, by.low, by.high)
        return int(np.count_nonzero(even != want)), int(np.count_nonzero(one != want))

    def _average(self, op: Operation, each: Average, x: Activation) -> View:
        sums, (dtype, low, high) = each.sums, _form(each.by)
        view = sums.view.view
        sides = order_of(view.of.shape, view.steps).shape[1:3]
        mult, shift = _fixed(op, each.by)
        layer = AvgPoolLayer(
            x=HELD[x.dtype], y=HELD[dtype], kernel=sums.window.kernel, mult=mult, shift=shift,
            strides=sums.window.strides, lo=low, hi=high,
            padding=padding_of(op, sums.view, sums.window, sides, sums.zero),
        )  # fmt: skip
        y = self.add(layer, sums.out, dtype, (x,), sums.label, Scale(each.by.zero))
        return View(y, (("turn", LAST),))

    # Elements

    def requantize(
        self, op: Operation, view: View, by: Requantize, zero: int, want: Ints, label: str
    ) -> View:
        """One result for each of the 256 values. zero: of the text's tensor. want: the results."""
        dtype, low, high = _form(by)
        mult, shift = _fixed(op, by)
        offset = UNSIGNED if view.of.dtype == "uint8" else 0
        x = self.with_zero(view.of, zero + offset, label)
        values = BYTES - zero
        even = np.clip(evened(values * mult, shift) + by.zero, low, high)
        one = np.clip(
            scaled(values, int(by.mult.flat[0]), int(by.shift.flat[0])) + by.zero, low, high
        )
        worse = np.count_nonzero(even != want) > np.count_nonzero(one != want)
        got = one if worse and len(x.shape) > 2 else even
        self._tell(op, label, int(np.count_nonzero(got != want)), want.size, "values")
        layer: Layer = RequantizeLayer(
            x=HELD[x.dtype], y=HELD[dtype], mult=mult, shift=shift, lo=low, hi=high
        )
        if got is one:
            bias, scale = np.zeros(x.shape[1], np.int32), np.full(x.shape[1], by.mult.flat[0])
            layer = _by_ones(x.shape, dtype, bias, scale, int(by.shift.flat[0]), low, high)
        y = self.add(layer, x.shape, dtype, (x,), label, Scale(by.zero))
        return View(y, view.steps)

    def lookup(self, view: View, table: npt.NDArray[np.int8], label: str) -> View:
        """A table of the text's numbers, which are in the order of the activation's too."""
        layer = LookupLayer(x=HELD[view.of.dtype], y=HELD["int8"], table=table)
        return View(self.add(layer, view.of.shape, "int8", (view.of,), label), view.steps)

    def clip(self, view: View, low: int, high: int, label: str) -> View:
        """Limits, in the text's numbers; those of the layer before if nothing else reads it."""
        low, high = low + view.offset, high + view.offset
        layer: Any = view.of.layer
        if view.sole and hasattr(layer, "lo"):
            view.of.layer = replace(
                layer, lo=min(max(layer.lo, low), high), hi=max(min(layer.hi, high), low)
            )
            return view
        form = HELD[view.of.dtype]
        clip = RequantizeLayer(x=form, y=form, mult=ONE[0], shift=ONE[1], lo=low, hi=high)
        scale = view.of.scale
        y = self.add(clip, view.of.shape, view.of.dtype, (view.of,), label, scale)
        return View(y, view.steps, view.moved)

    def as_unsigned(self, view: View) -> View | None:
        """An int8 view as uint8, 128 above, where nothing need be computed for it."""
        if view.moved:
            return replace(view, moved=False)
        layer = view.of.layer
        linked = layer is None or isinstance(layer, KEEPS_SCALE)
        if not view.sole or linked:
            return None
        held: Any = layer
        if isinstance(layer, LookupLayer):
            table = (layer.table.astype(np.int16) + UNSIGNED).astype(np.uint8)
            view.of.layer = replace(layer, y=HELD["uint8"], table=table)
        else:
            low, high = held.lo + UNSIGNED, held.hi + UNSIGNED
            y = replace(held.y, dtype="uint8")
            view.of.layer = replace(held, y=y, lo=low, hi=high)
        view.of.dtype = "uint8"
        zero = view.of.scale.zero
        view.of.scale = Scale(None if zero is None else zero + UNSIGNED)
        return view

    def sum(
        self, op: Operation, pair: tuple[View, View], by: SumOf, want: Ints, label: str
    ) -> View:
        """Two tensors added. want: [256, 256], the result of each pair of values."""
        (a, b), (dtype, low, high) = pair, _form(by.out)
        largest, most = max(map(abs, by.reals)), 2**31 - 1
        if largest >= _MOST_SCALE:
            op.refuse("scales by more than a layer can")
        _, shift = quantize_multiplier(max(largest, 1e-9))
        mults = [min(max(round(real * 2**shift), -most), most) for real in by.reals]
        terms = [(BYTES - zero) * mult for zero, mult in zip(by.zeros, mults, strict=True)]
        total = terms[0][:, None] + terms[1][None, :]
        got = np.clip(evened(total, shift) + by.out.zero, low, high)
        self._tell(op, label, int(np.count_nonzero(got != want)), want.size, "pairs of values")
        steps = a.steps
        if a.of.shape != b.of.shape or a.steps != b.steps:
            turned = any(("turn", LAST) in view.steps[-1:] for view in pair)
            same = prod(a.of.shape) == prod(b.of.shape)
            four = len(order_of(a.of.shape, a.steps).shape) == 4 and (same or turned)
            x, y = (self.lying(v, ("turn", FIRST) if four else None, label) for v in pair)
            steps = (("turn", LAST),) if four else ()
        else:
            x, y = a.of, b.of
        if x.shape != y.shape and not spreads_over(y.shape, x.shape):
            op.refuse("broadcasts an addend that is not one for each channel or each pixel")
        x = self.with_zero(x, by.zeros[0] + a.offset, label)
        y = self.with_zero(y, by.zeros[1] + b.offset, label)
        layer = AddLayer(
            a=HELD[x.dtype], b=HELD[y.dtype], y=HELD[dtype], mult_a=mults[0], mult_b=mults[1],
            shift=shift, lo=low, hi=high,
        )  # fmt: skip
        return View(self.add(layer, x.shape, dtype, (x, y), label, Scale(by.out.zero)), steps)

    def product(
        self, op: Operation, of: Product, by: Requantize, truth: tuple[Ints, Ints], label: str
    ) -> View:
        """Two tensors multiplied. truth: every product that there can be, and its result."""
        dtype, low, high = _form(by)
        mult, shift = _fixed(op, by)
        got = np.clip(evened(truth[0] * mult, shift) + by.zero, low, high)
        self._tell(op, label, int(np.count_nonzero(got != truth[1])), truth[1].size, "products")
        four = len(of.out) == 4 and any(("turn", LAST) in view.steps[-1:] for view in of.views)
        turn, steps = (("turn", FIRST), (("turn", LAST),)) if four else (None, ())
        xs = []
        for view, zero in zip(of.views, of.zeros, strict=True):
            self.signed(op, view)
            lying = self.lying(view, turn, label)
            xs.append(self.with_zero(lying, zero + view.offset, label))
        a, b = (QTensor(x.shape, x.dtype, 0) for x in xs)
        if not spreads_over(b.shape, a.shape):
            op.refuse("broadcasts a factor that is not one for each channel or each pixel")
        y = QTensor(a.shape, dtype, 0)
        layer = MultiplyLayer(a=a, b=b, y=y, mult=mult, shift=shift, lo=low, hi=high)
        made = self.add(layer, a.shape, dtype, (xs[0], xs[1]), label, Scale(by.zero))
        return View(made, steps)

    def _tell(self, op: Operation, label: str, wrong: int, of: int, what: str) -> None:
        if wrong:
            how = f"{wrong:,} of {of:,} {what} round another way"
            self.differences.append(Difference(label, op.line, how))


def _fixed(op: Operation, by: Requantize) -> tuple[int, int]:
    """The multiplier and shift of a layer that scales as the text does."""
    real = float(by.mult.flat[0]) / 2.0 ** int(by.shift.flat[0])
    if real >= _MOST_SCALE:
        op.refuse("scales by more than a layer can")
    return quantize_multiplier(real)


def _form(by: Requantize) -> tuple[DType, int, int]:
    return ("uint8" if by.high > BOUNDS["int8"][1] else "int8"), by.low, by.high


def _by_ones(
    shape: tuple[int, ...], dtype: DType, bias: Any, mult: Any, shift: int, low: int, high: int
) -> ConvLayer:
    """Each element by itself: a depthwise convolution of one pixel and weight."""
    rank, channels = len(shape) - 2, shape[1]
    return ConvLayer(
        x=HELD["int8"], y=HELD[dtype], weight=np.ones((channels, 1, *(1,) * rank), np.int8),
        bias=bias, mult=np.asarray(mult, np.int32), shift=np.full(channels, shift, np.int32),
        strides=(1,) * rank, padding=(0,) * (2 * rank), dilation=(1,) * rank, groups=channels,
        lo=low, hi=high,
    )  # fmt: skip


def padding_of(
    op: Operation, padded: Padded, window: Window, sides: tuple[int, ...], zero: int | None
) -> tuple[int, ...]:
    """Padding of a layer (begins, then ends) whose windows are those of the text on a padded or cut
    tensor. zero: what padding must be; None: the least value."""
    begins, ends = [], []
    for axis in range(2):
        own = window.padding[2 * axis : 2 * axis + 2]
        before, after = padded.before[axis] + own[0], padded.after[axis] + own[1]
        if padded.after[axis] < 0 < own[1]:
            op.refuse("pads what was sliced off before: leave the slice out")
        if (padded.before[axis] or padded.after[axis] > 0) and padded.fill != (
            -128 if zero is None else zero
        ):
            op.refuse(f"reads padding of {padded.fill} where its zero point is {zero}")
        size = sides[axis]
        out = window.out(size + padded.before[axis] + padded.after[axis], axis)
        after = max(after, 0)
        if (size + before + after - window.reach(axis)) // window.strides[axis] + 1 != out:
            op.refuse(
                "reads a part of its input: slices of activations stay within a window's step"
            )
        begins.append(before)
        ends.append(after)
    return (*begins, *ends)


def _check_limits(op: Operation, sums: Sums, affine: dict[str, Any], zero: int) -> None:
    """Refuse limits of sums that change a result: those that no sum reaches do not, nor those
    beyond which the result is at a limit anyway."""
    mult, shift = (affine[name].astype(np.int64) for name in ("mult", "shift"))
    for limit, bound, sign in ((sums.high, affine["hi"], 1), (sums.low, affine["lo"], -1)):
        if limit is None:
            continue
        at = scaled(limit, mult, shift) + zero
        harmless = (sign * at >= sign * bound) | (sign * limit >= _reach(sums))
        if not np.all(harmless | (mult == 0)):
            op.refuse("limits sums before they are scaled: clamp the int8 result instead")


def _reach(sums: Sums) -> Ints:
    """What the sums of each channel do not exceed."""
    each = np.abs(sums.weight.reshape(len(sums.weight), -1).astype(np.int64)).sum(axis=1)
    return np.asarray(each * 255 + np.abs(sums.bias.astype(np.int64)))


def _check_sums(op: Operation, sums: Sums) -> None:
    if np.any(_reach(sums) >= 1 << 31):
        op.refuse("may have sums beyond 32 bits: quantize with smaller weights")
