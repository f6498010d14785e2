"""Tensors within a function of TOSA: their type and zero point, their scales, order and cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.mlir.operations import MlirValue, Operations, integers
from zeroskip.compiler.mlir.program_text import MlirError
from zeroskip.relay_passes.integer.layers import BOUNDS, MAX_SHIFT, QTensor

Array = npt.NDArray[Any]

LEAST, MOST = BOUNDS["int8"]
UNSIGNED = 128  # what a uint8 activation is moved by
LEAST_SHIFT = 2  # that TOSA has
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels last, channels first


def tensor_type(tensor: QTensor) -> str:
    return MlirValue("", tensor.shape, "i8").type


def zero_of(tensor: QTensor) -> int:
    """The zero point of a tensor within a function."""
    return tensor.zero_point - UNSIGNED * (tensor.dtype == "uint8")


def limits_of(layer: Any) -> tuple[int, int]:
    """The clip bounds of a layer within a function."""
    moved = UNSIGNED * (layer.y.dtype == "uint8")
    return layer.lo - moved, layer.hi - moved


def moved(emit: Operations, x: MlirValue, dtype: str, to: str) -> MlirValue:
    """A tensor of one 8-bit type as the other, by 128; TOSA takes uint8 in ``rescale`` only."""
    if dtype == to:
        return x
    zero = np.array([UNSIGNED], np.uint8).view(np.int8)[0]
    return rescaled(
        emit,
        x,
        np.array([1 << 30], np.int32),
        np.array([30], np.int8),
        int(zero) if dtype == "uint8" else 0,
        int(zero) if to == "uint8" else 0,
        unsigned=(dtype == "uint8", to == "uint8"),
    )


def rescaled(
    emit: Operations,
    x: MlirValue,
    mult: Array,
    shift: Array,
    zero_x: int,
    zero_y: int,
    unsigned: tuple[bool, bool] = (False, False),
    element: str = "i8",
) -> MlirValue:
    """``clip(((x - zero_x) * mult + (1 << (shift - 1)) >> shift) + zero_y)``; mult and shift for
    each channel, the last axis, or one for all."""
    operands = [
        x,
        emit.constant(mult.astype(np.int32)),
        emit.constant(shift.astype(np.int8)),
        emit.number(zero_x, f"int{x.element[1:]}"),
        emit.number(zero_y, f"int{element[1:]}"),
    ]
    return emit(
        "tosa.rescale",
        operands,
        x.shape,
        element,
        input_unsigned=str(unsigned[0]).lower(),
        output_unsigned=str(unsigned[1]).lower(),
        per_channel=str(mult.size > 1).lower(),
        rounding_mode="#tosa.rounding_mode<SINGLE_ROUND>",
        scale32="true",
    )


def clamped(emit: Operations, x: MlirValue, low: int, high: int) -> MlirValue:
    if (low, high) == (LEAST, MOST):
        return x
    return emit("tosa.clamp", [x], x.shape, "i8", max_val=f"{high} : i8", min_val=f"{low} : i8")


def normalised_scales(mult: Array, shift: Array) -> tuple[Array, Array]:
    """The same scales with multipliers of 31 bits, or with the largest shift there is.

    TOSA scales sums below 2^(shift - 1) only (``apply_scale_32``): for these every sum that does
    not end at a limit anyway is. Its shifts begin at 2; by what would need 1, a scale of 2^29 or
    more, every sum but 0 ends at a limit, and so it does by 2^28.
    """
    room = 30 - np.floor(np.log2(np.maximum(mult, 1))).astype(np.int64)
    more = np.where(mult == 0, MAX_SHIFT, np.minimum(room, MAX_SHIFT - shift.astype(np.int64)))
    moved = np.where(mult == 0, MAX_SHIFT, shift + more)
    wide = mult.astype(np.int64) << np.where(mult == 0, 0, more)
    steep = moved < LEAST_SHIFT
    return np.where(steep, 1 << 30, wide), np.where(steep, LEAST_SHIFT, moved)


# ------------------------------------------------------------------------------- shapes and order


def reshaped(emit: Operations, x: MlirValue, shape: Sequence[int]) -> MlirValue:
    if tuple(shape) == x.shape:
        return x
    return emit("tosa.reshape", [x, emit.shape(shape)], shape, x.element)


def transposed(emit: Operations, x: MlirValue, order: Sequence[int]) -> MlirValue:
    shape = [x.shape[axis] for axis in order]
    return emit("tosa.transpose", [x], shape, x.element, perms=integers(order, 32))


def channels_last(emit: Operations, x: MlirValue) -> MlirValue:
    """[N, C], [N, C, W] or [N, C, H, W] as [N, H, W, C]."""
    return transposed(emit, reshaped(emit, x, planar(x.shape)), LAST)


def channels_first(emit: Operations, x: MlirValue, shape: Sequence[int]) -> MlirValue:
    return reshaped(emit, transposed(emit, x, FIRST), shape)


def planar(shape: Sequence[int]) -> tuple[int, ...]:
    """[N, C, *spatial] with two spatial dimensions."""
    if len(shape) > 4:
        raise MlirError(
            f"{len(shape) - 2} spatial dimensions: up to 2 are written as TOSA; use --emit=layers "
            "or mlir, and validate against TVM"
        )
    return (*shape[:2], *(1,) * (4 - len(shape)), *shape[2:])


def pairs(values: Sequence[int], fill: int) -> tuple[int, int]:
    """Numbers of up to two spatial dimensions, of the last two."""
    rows, cols = (*(fill,) * (2 - len(values)), *values)
    return rows, cols


def windows(
    emit: Operations, x: MlirValue, layer: Any, kernel: Sequence[int], out: Sequence[int]
) -> tuple[MlirValue, list[int], tuple[int, int], tuple[int, int]]:
    """The input, padding (top, bottom, left, right), strides and dilations of windows that divide
    exactly, as TOSA wants them: end padding that no window reaches is left away, then pixels."""
    half = len(layer.padding) // 2
    strides, dilation = pairs(layer.strides, 1), pairs(getattr(layer, "dilation", ()), 1)
    begins, ends = list(pairs(layer.padding[:half], 0)), list(pairs(layer.padding[half:], 0))
    sizes = list(x.shape)
    for axis in range(2):
        reach = (out[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        spare = begins[axis] + sizes[1 + axis] + ends[axis] - reach
        if spare >= ends[axis] + sizes[1 + axis]:  # no window reaches a pixel
            x = _padded(emit, x, axis, begins[axis], zero_of(layer.x))
            sizes[1 + axis], begins[axis], ends[axis] = reach, 0, 0
        else:
            sizes[1 + axis] -= max(0, spare - ends[axis])
            ends[axis] = max(0, ends[axis] - spare)
    x = sliced(emit, x, (0, 0, 0, 0), sizes)
    return x, [begins[0], ends[0], begins[1], ends[1]], strides, dilation


def _padded(emit: Operations, x: MlirValue, axis: int, pixels: int, fill: int) -> MlirValue:
    """Rows (axis 0) or columns (1) of ``fill`` before an int8 [N, H, W, C]."""
    amounts = [0] * 8
    amounts[2 * (1 + axis)] = pixels
    shape = list(x.shape)
    shape[1 + axis] += pixels
    operands = [x, emit.shape(amounts), emit.number(fill, "int8")]
    return emit("tosa.pad", operands, shape, x.element)


def sliced(emit: Operations, x: MlirValue, start: Sequence[int], sizes: Sequence[int]) -> MlirValue:
    if tuple(sizes) == x.shape:
        return x
    return emit("tosa.slice", [x, emit.shape(start), emit.shape(sizes)], sizes, x.element)


def joined(emit: Operations, xs: Sequence[MlirValue], axis: int) -> MlirValue:
    if len(xs) == 1:
        return xs[0]
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return emit("tosa.concat", xs, shape, xs[0].element, axis=f"{axis} : i32")


def taken(emit: Operations, x: MlirValue, axis: int, at: Sequence[int]) -> MlirValue:
    """``tosa.gather`` takes whole rows of [1, K, C]: the axis goes to the front and back again."""
    order = [axis, *(each for each in range(len(x.shape)) if each != axis)]
    front = transposed(emit, x, order)
    rows = reshaped(emit, front, (1, front.shape[0], int(np.prod(front.shape[1:]))))
    indices = emit.constant(np.array([at], np.int32))
    taken = emit("tosa.gather", [rows, indices], (1, len(at), rows.shape[2]), x.element)
    made = reshaped(emit, taken, (len(at), *front.shape[1:]))
    return transposed(emit, made, [order.index(each) for each in range(len(order))])
