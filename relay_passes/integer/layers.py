"""The integer layers as values: every kind of layer that can leave the CPU, declared once.

Arithmetic (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, with one rounding shift of the whole int64 product):

    requantize(v) = clip(((v * mult + (1 << (shift - 1))) >> shift) + y.zero_point, lo, hi)

with ``v`` int32, ``mult`` in [0, 2^31) and ``shift`` in 1..62, so that the int64 sum never wraps.
Of activations in int16 ``v`` is int64 and holds 48 bits, and ``mult`` is in [0, 2^15), as in
TFLite's kernels of 16-bit activations and 8-bit weights. Averages, changes of scale and additions
round halves to even, as ONNX's QuantizeLinear does: small integers over a power of two lie halfway
often (a quarter of all averages of 2 x 2, half of all (a + b) / 2), sums of products next to never.

    even(p, shift) = (t + (1 << (f - 1)) - 1 + ((t >> f) & 1)) >> f
    with t = (p + ((1 << d) >> 1)) >> d, d = max(shift - 16, 0), f = min(shift, 16)

``t`` has 16 bits of fraction: what lies halfway does so again in spite of the 2^-31 by which
``mult`` is off, and nothing else does that float32 could tell from it.
A zero activation is one equal to its zero point, padding is the zero point, a zero weight is 0.
"""

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.fixed_point import BOUNDS as BOUNDS
from zeroskip.relay_passes.integer.fixed_point import FRACTION as FRACTION
from zeroskip.relay_passes.integer.fixed_point import MAX_SHIFT as MAX_SHIFT
from zeroskip.relay_passes.integer.fixed_point import OF_BYTES, SUMS, SumForm
from zeroskip.relay_passes.integer.fixed_point import DType as DType
from zeroskip.relay_passes.integer.fixed_point import quantize_multiplier as quantize_multiplier

Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True)
class QTensor:
    """An integer activation: ``real = scale * (value - zero_point)``; the scale stays outside."""

    shape: tuple[int, ...]
    dtype: DType
    zero_point: int

    def __post_init__(self) -> None:
        low, high = BOUNDS[self.dtype]
        if not low <= self.zero_point <= high:
            raise PassError(f"zero point {self.zero_point} is outside {self.dtype}'s {low}..{high}")
        if self.dtype == "int16" and self.zero_point:
            raise PassError(f"zero point {self.zero_point} of int16, which is symmetric: 0")


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """What the kinds share. Layers are equal when every field is, arrays element by element."""

    kind: ClassVar[str]
    y: QTensor

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The activations the layer reads, in the order of its function's parameters."""
        raise NotImplementedError  # every kind says its own

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.kind, self.inputs, self.y))


@dataclass(frozen=True, eq=False, kw_only=True)
class Unary(Layer):
    """A layer of one activation."""

    x: QTensor

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        return (self.x,)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvLayer(Unary):
    """Convolution with 1 to 3 spatial dims, strides, dilation and groups.

    ``acc[n,k,...] = sum over c and taps of (x - x.zero_point) * weight[k,c,taps]`` in int32, of
    int16 in int64, with zeros around ``x - x.zero_point``; ``y = requantize(acc + bias)``, a
    ``mult`` and ``shift`` per k.

    x: [N, C, *spatial]; weight: int8 [K, C/groups, *kernel]; bias, mult, shift: int32 [K];
    strides, dilation: one per spatial dim; padding: all begins, then all ends.
    """

    kind: ClassVar[str] = "conv"
    weight: Int8Array
    bias: Int32Array
    mult: Int32Array
    shift: Int32Array
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_channels(self.weight, self.bias, self.mult, self.shift)
        _check_requantize(self.y, self.mult, self.shift, self.lo, self.hi, SUMS[self.x.dtype])


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseLayer(Unary):
    """``y = requantize((x - x.zero_point) @ weight.T + bias)``.

    x: [N, C]; weight: int8 [K, C]; bias, mult, shift: int32 [K].
    """

    kind: ClassVar[str] = "dense"
    weight: Int8Array
    bias: Int32Array
    mult: Int32Array
    shift: Int32Array
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_channels(self.weight, self.bias, self.mult, self.shift)
        _check_requantize(self.y, self.mult, self.shift, self.lo, self.hi, SUMS[self.x.dtype])


@dataclass(frozen=True, eq=False, kw_only=True)
class AddLayer(Layer):
    """Sum of two activations, each brought to the scale of the output; a difference where a
    multiplier is negative.

    ``y = clip(even((a - a.zero_point) * mult_a + (b - b.zero_point) * mult_b, shift)
    + y.zero_point, lo, hi)`` with the sum in int64.

    a: y's shape. b: the same, or one channel, one pixel or one number of it (``spreads_over``).
    """

    kind: ClassVar[str] = "add"
    a: QTensor
    b: QTensor
    mult_a: int
    mult_b: int
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        for mult in (self.mult_a, self.mult_b):
            _check_requantize(self.y, abs(mult), self.shift, self.lo, self.hi)
        _check_spread(self)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        return (self.a, self.b)


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiplyLayer(Layer):
    """Product of two activations:
    ``y = clip(even((a - a.zero_point) * (b - b.zero_point) * mult, shift) + y.zero_point, lo, hi)``
    with the product in int64.

    a: y's shape. b: the same, or one channel ([N, 1, *spatial]), one pixel ([N, C, 1, ...]: squeeze
    and excite, Hu et al., CVPR 2018) or both (``spreads_over``), which all of a share.
    """

    kind: ClassVar[str] = "multiply"
    a: QTensor
    b: QTensor
    mult: int
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_requantize(self.y, self.mult, self.shift, self.lo, self.hi)
        _check_spread(self)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        return (self.a, self.b)


def spreads_over(factor: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a factor has the shape of the whole, one channel of it, one pixel, or one number."""
    if len(factor) != len(whole) or len(whole) < 2 or factor[0] != whole[0]:
        return False
    return factor[1] in (1, whole[1]) and factor[2:] in ((1,) * len(whole[2:]), whole[2:])


def _check_spread(layer: AddLayer | MultiplyLayer) -> None:
    """PassError unless the first operand has the result's shape and the second spreads over it."""
    a, b, y = layer.a.shape, layer.b.shape, layer.y.shape
    if a != y or (b != y and not spreads_over(b, y)):
        raise PassError(
            f"{layer.kind} layer: its second operand is one channel, one pixel or {list(y)}, not "
            f"{list(b)}"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class AvgPoolLayer(Unary):
    """Average over windows:
    ``y = clip(even(mult * sum over taps of (x - x.zero_point), shift) + y.zero_point, lo, hi)``.

    ``mult`` and ``shift`` hold the area of the kernel, so every window divides by the same number:
    the padding, if any, counts.
    """

    kind: ClassVar[str] = "avgpool"
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    mult: int
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_requantize(self.y, self.mult, self.shift, self.lo, self.hi)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPoolLayer(Unary):
    """Maximum over windows, then ``clip(lo, hi)``; x and y share scale and zero point.

    Padding never wins, whatever the zero point.
    """

    kind: ClassVar[str] = "maxpool"
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_same_scale(self)
        _check_bounds(self.y, self.lo, self.hi)


@dataclass(frozen=True, eq=False, kw_only=True)
class RequantizeLayer(Unary):
    """A clip, or a change of scale, element by element:
    ``y = clip(even((x - x.zero_point) * mult, shift) + y.zero_point, lo, hi)``."""

    kind: ClassVar[str] = "requantise"
    mult: int
    shift: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_requantize(self.y, self.mult, self.shift, self.lo, self.hi)


@dataclass(frozen=True, eq=False, kw_only=True)
class LookupLayer(Unary):
    """Any function of an element, as a table: ``y = table[x - the least value of x's dtype]``.

    table: [256] of y's dtype.
    """

    kind: ClassVar[str] = "lookup"
    table: npt.NDArray[np.int8 | np.uint8]

    def __post_init__(self) -> None:
        if {"int16", "int32"} & {self.x.dtype, self.y.dtype} or self.x.shape != self.y.shape:
            raise PassError("a lookup layer takes and gives 8 bits in one shape")
        if self.table.shape != (256,) or self.table.dtype != self.y.dtype:
            raise PassError(f"a lookup layer's table is 256 values of {self.y.dtype}")

    @property
    def by_byte(self) -> npt.NDArray[np.uint8]:
        """The bytes of the results by the byte of the element, uint8 [256]."""
        least = BOUNDS[self.x.dtype][0]
        return np.roll(self.table.view(np.uint8), least)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConcatLayer(Layer):
    """The inputs one after another along ``axis``; all share scale and zero point with y."""

    kind: ClassVar[str] = "concat"
    xs: tuple[QTensor, ...]
    axis: int

    def __post_init__(self) -> None:
        _check_same_scale(self)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        return self.xs


@dataclass(frozen=True, eq=False, kw_only=True)
class ReshapeLayer(Unary):
    """The same data in the same order under another shape."""

    kind: ClassVar[str] = "reshape"

    def __post_init__(self) -> None:
        _check_same_scale(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class GatherLayer(Unary):
    """Elements picked along axes: ``y[n, i, j, ...] = x[n, indices[0][i], indices[1][j], ...]``.

    A slice, a split's part, a channel shuffle, a resize to the nearest, a pad by edge values. x and
    y share scale and zero point. indices: for each axis behind the batch which elements of x, in
    the order of y; None: all of them.
    """

    kind: ClassVar[str] = "gather"
    indices: tuple[tuple[int, ...] | None, ...]

    def __post_init__(self) -> None:
        _check_same_scale(self)
        own = [size if at is None else len(at) for at, size in self._axes()]
        if all(at is None for at in self.indices):
            raise PassError("a gather picks along one axis at least")
        if len(own) != len(self.x.shape) - 1 or self.y.shape != (self.x.shape[0], *own):
            raise PassError(f"a gather from {self.x.shape} gives {own}, not {self.y.shape}")
        if any(at and not 0 <= min(at) <= max(at) < size for at, size in self._axes()):
            raise PassError(f"a gather reads outside {self.x.shape}")

    def _axes(self) -> list[tuple[tuple[int, ...] | None, int]]:
        return list(zip(self.indices, self.x.shape[1:], strict=False))


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthToSpaceLayer(Unary):
    """Channels that take turns in space, depth first as ONNX's DepthToSpace (mode DCR):
    ``y[n, c, s*i + a, t*j + b] = x[n, (a*t + b)*C + c, i, j]`` with a < s, b < t.

    x: [N, s*t*C, *spatial]; y: [N, C, *(spatial * block)]; block: (s, t), or as many numbers as
    there are spatial dims. They share scale and zero point.
    """

    kind: ClassVar[str] = "depth2space"
    block: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_same_scale(self)
        batch, channels, *spatial = self.y.shape
        wide = [size // step for size, step in zip(spatial, self.block, strict=True)]
        if self.x.shape != (batch, channels * math.prod(self.block), *wide) or min(self.block) < 1:
            raise PassError(
                f"depth to space by {self.block} of {self.x.shape} is not {self.y.shape}"
            )


KINDS: tuple[type[Layer], ...] = (
    ConvLayer,
    DenseLayer,
    AddLayer,
    MultiplyLayer,
    AvgPoolLayer,
    MaxPoolLayer,
    RequantizeLayer,
    LookupLayer,
    ConcatLayer,
    ReshapeLayer,
    GatherLayer,
    DepthToSpaceLayer,
)
KEEPS_SCALE: tuple[type[Layer], ...] = (
    MaxPoolLayer,
    ConcatLayer,
    ReshapeLayer,
    GatherLayer,
    DepthToSpaceLayer,
)  # no arithmetic of theirs contains the zero point
MOVES: tuple[type[Layer], ...] = (ConcatLayer, ReshapeLayer, GatherLayer, DepthToSpaceLayer)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


def _check_channels(weight: Int8Array, *per_channel: Int32Array) -> None:
    if weight.dtype != np.int8 or any(
        v.dtype != np.int32 or v.shape != weight.shape[:1] for v in per_channel
    ):
        raise PassError(
            f"an integer layer takes int8 weights and int32 bias, mult and shift of [{len(weight)}]"
        )


def _check_bounds(y: QTensor, lo: int, hi: int) -> None:
    low, high = BOUNDS[y.dtype]
    if not low <= lo <= hi <= high:
        raise PassError(f"clip bounds {lo}..{hi} are outside {y.dtype}'s {low}..{high}")


def _check_requantize(
    y: QTensor,
    mult: Int32Array | int,
    shift: Int32Array | int,
    lo: int,
    hi: int,
    sums: SumForm = OF_BYTES,
) -> None:
    _check_bounds(y, lo, hi)
    if np.min(mult) < 0 or np.max(mult) >= 2**sums.mult_bits:
        raise PassError(f"a requantization multiplier is outside 0..2^{sums.mult_bits}-1")
    if np.min(shift) < 1 or np.max(shift) > MAX_SHIFT:
        raise PassError(f"a requantization shift is outside 1..{MAX_SHIFT}")


def _check_same_scale(layer: Layer) -> None:
    form = (layer.y.dtype, layer.y.zero_point)
    if any((x.dtype, x.zero_point) != form for x in layer.inputs):
        raise PassError(f"a {layer.kind} layer takes and gives one dtype and zero point")
