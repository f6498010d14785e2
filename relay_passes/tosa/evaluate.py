"""What a text of TOSA means, operator by operator in numpy: the judge of what is read from it.

Written from the specification (TOSA 1.0) and from ``linalg``'s definition; nothing here knows of
integer layers. Tensors are those of the text, channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.tosa import operators as of
from zeroskip.relay_passes.tosa.arithmetic import reciprocal, run_body, scaled
from zeroskip.relay_passes.tosa.syntax import Array, Function, Module, Operation, Value

Ints = npt.NDArray[np.int64]
MAX_CALLS = 1 << 12


def evaluate(module: Module, inputs: Sequence[Array]) -> list[Array]:
    """The results of the module's main function for int8 arrays, as int8."""
    return [each.astype(np.int8) for each in _Evaluation(module).call(module.main, inputs)]


class _Evaluation:
    def __init__(self, module: Module) -> None:
        self._module = module
        self._calls = 0

    def call(self, function: Function, inputs: Sequence[Array]) -> list[Array]:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise RecursionError("functions call each other without end")
        known: dict[Value, Array] = dict(zip(function.block.params, inputs, strict=True))
        for op in function.block.ops:
            operands = [known[each] for each in op.operands]
            if op.name == "func.call":
                results = self.call(self._module.functions[op.attributes["callee"]], operands)
                known |= dict(zip(op.results, results, strict=True))
            else:
                known[op.result] = compute(op, operands, known.get)
        return [known[each] for each in function.block.results]


def compute(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    """The result of one operation; FrontError for one that is not read."""
    operator = OPERATORS.get(op.name)
    if operator is None:
        op.refuse("is not read")
    result = operator(op, operands, known)
    kind = op.result.type
    if result.shape != kind.shape and kind.element != "shape":
        op.refuse(f"makes {list(result.shape)}, not {kind}")
    return result


def _int8(values: Ints) -> Array:
    return values.astype(np.uint8).view(np.int8)  # of uint8 the same bits


def _const(op: Operation, _operands: Sequence[Array], _known: of.Constant) -> Array:
    value = op.attributes.get("values", op.attributes.get("value"))
    if not isinstance(value, np.ndarray):
        op.refuse("has no dense values")
    return value


def _rescale(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    by = of.rescale(op, known)
    x = operands[0]
    values = (x.view(np.uint8) if by.unsigned[0] else x).astype(np.int64) - by.zero_x
    y = np.clip(scaled(values, by.mult, by.shift, by.double) + by.zero_y, by.low, by.high)
    return _int8(y) if op.result.type.element == "i8" else y.astype(np.int32)


def _windows(x: Ints, window: of.Window, fill: int) -> list[Ints]:
    """For each tap, the pixels of all windows: [N, rows, columns, C]."""
    top, bottom, left, right = window.padding
    wide = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    rows, columns = (window.out(x.shape[1 + axis], axis) for axis in (0, 1))
    found = []
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            at = i * window.dilation[0], j * window.dilation[1]
            found.append(
                wide[
                    :,
                    at[0] : at[0] + (rows - 1) * window.strides[0] + 1 : window.strides[0],
                    at[1] : at[1] + (columns - 1) * window.strides[1] + 1 : window.strides[1],
                ]
            )
    return found


def _conv(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    weight, bias, zero = of.weights(op, known)
    window = of.window(op, weight.shape[2:])
    taps = weight.reshape(*weight.shape[:2], -1).astype(np.float64)
    total: Any = bias.astype(np.float64)
    for at, pixels in enumerate(_windows(operands[0].astype(np.int64), window, zero)):
        centred = (pixels - zero).astype(np.float64)  # sums below 2^53: exact in float64
        if op.name == "tosa.conv2d":
            total = total + centred @ taps[:, :, at].T
        else:
            each = centred[..., None] * taps[:, :, at]
            total = total + each.reshape(*each.shape[:3], -1)
    return np.asarray(total.astype(np.int64).astype(np.int32))


def _max_pool(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    window = of.window(op, op.numbers("kernel", 2, 1))
    found = np.max(_windows(operands[0].astype(np.int64), window, -128), axis=0)
    return np.asarray(found.astype(np.int8))


def _avg_pool(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    window = of.window(op, op.numbers("kernel", 2, 1))
    zero_x, zero_y = (of.zero_point(op, at, known) for at in (1, 2))
    x = operands[0].astype(np.int64) - zero_x
    total = np.sum(_windows(x, window, 0), axis=0)
    counts = np.sum(_windows(np.ones_like(x), window, 0), axis=0)
    y = np.zeros_like(total)
    for count in np.unique(counts):
        here = counts == count
        y[here] = scaled(total[here], *reciprocal(max(int(count), 1)))
    return np.asarray(np.clip(y + zero_y, -128, 127).astype(np.int8))


def _generic(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    if op.body is None or len(op.body.params) != len(operands):
        op.refuse("has not a number of its body for each tensor")
    maps, kinds = op.attributes.get("indexing_maps"), op.attributes.get("iterator_types")
    shape = op.result.type.shape
    axes = [f"d{axis}" for axis in range(len(shape))]
    plain = tuple(  # an axis of size 1 serves all of the result's
        f"affine_map<({', '.join(axes)}) -> ({', '.join(own)})>"
        for own in (
            [
                axis if own == size else "0"
                for axis, own, size in zip(axes, x.shape, shape, strict=False)
            ]
            for x in operands
        )
    )
    if maps != plain or any("parallel" not in str(kind) for kind in kinds or "?"):
        op.refuse("is not element by element")
    return run_body(op.body, [x.astype(np.int64) for x in operands]).astype(np.int8)


def _largest(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    x, kernel, least = operands
    names = [each.name for each in op.body.ops] if op.body else []
    if names != ["arith.maxsi"] or np.any(least != -128):
        op.refuse("is not the largest of int8 windows")
    strides, dilation = (_pair(op, name) for name in ("strides", "dilations"))
    window = of.Window((kernel.shape[0], kernel.shape[1]), strides, (0, 0, 0, 0), dilation)
    found = _windows(x.astype(np.int64), window, -128)
    return np.asarray(np.max([least.astype(np.int64), *found], axis=0).astype(np.int8))


def _pair(op: Operation, name: str) -> tuple[int, int]:
    value = op.attributes.get(name)
    if not isinstance(value, np.ndarray) or value.size != 2 or np.any((value < 1) | (value > 999)):
        op.refuse(f"needs two numbers as {name}")
    return int(value.reshape(-1)[0]), int(value.reshape(-1)[1])


def _pad(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    pads, fill = of.pads_of(op, known)
    return np.pad(operands[0], pads, constant_values=fill)


def _slice(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    start, size = of.slice_of(op, known)
    return operands[0][tuple(slice(a, a + b) for a, b in zip(start, size, strict=True))]


def _gather(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    return operands[0][:, list(of.taken_rows(op, known))]


def _reshape(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    if operands[0].size != np.prod(op.result.type.shape, dtype=np.int64):
        op.refuse(f"makes {op.result.type} of {op.operand(0).type}")
    return operands[0].reshape(op.result.type.shape)


def _clamp(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    low, high = of.bounds(op)
    return np.clip(operands[0].astype(np.int64), low, high).astype(operands[0].dtype)


def _multiply(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    if of.constant(op, 2, "a shift", known).any():
        op.refuse("shifts its product: rescale that instead")
    a, b = (each.astype(np.int64) for each in operands[:2])
    pairs = zip(a.shape, b.shape, strict=False)
    if a.ndim != b.ndim or any(x != y and 1 not in (x, y) for x, y in pairs):
        op.refuse(f"takes no {op.operand(0).type} with {op.operand(1).type}")
    return np.asarray((a * b).astype(np.int32))


def _table(op: Operation, operands: Sequence[Array], known: of.Constant) -> Array:
    return of.table(op, known)[operands[0].astype(np.int64) + 128]


def _pairwise(compute: Callable[[Ints, Ints], Ints]) -> Any:
    def run(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
        if len(operands) != 2 or operands[0].ndim != operands[1].ndim:
            op.refuse("takes two tensors of one rank")
        try:
            result = compute(operands[0].astype(np.int64), operands[1].astype(np.int64))
        except ValueError:
            op.refuse(f"takes no {op.operand(0).type} with {op.operand(1).type}")
        return result.astype(operands[0].dtype)

    return run


def _concat(op: Operation, operands: Sequence[Array], _known: of.Constant) -> Array:
    axis = of.axis_of(op)
    try:
        return np.concatenate(operands, axis=axis)
    except ValueError:
        op.refuse("joins tensors of shapes that do not fit")


OPERATORS: dict[str, Callable[[Operation, Sequence[Array], of.Constant], Array]] = {
    "tosa.const": _const,
    "tosa.const_shape": _const,
    "tosa.conv2d": _conv,
    "tosa.depthwise_conv2d": _conv,
    "tosa.rescale": _rescale,
    "tosa.clamp": _clamp,
    "tosa.table": _table,
    "tosa.max_pool2d": _max_pool,
    "tosa.avg_pool2d": _avg_pool,
    "tosa.add": _pairwise(np.add),
    "tosa.mul": _multiply,
    "tosa.minimum": _pairwise(np.minimum),
    "tosa.maximum": _pairwise(np.maximum),
    "tosa.reduce_sum": lambda op, x, _: np.asarray(
        x[0].sum(axis=of.axis_of(op), keepdims=True, dtype=np.int64).astype(np.int32)
    ),
    "tosa.concat": _concat,
    "tosa.reshape": _reshape,
    "tosa.transpose": lambda op, x, _: x[0].transpose(of.order(op)),
    "tosa.slice": _slice,
    "tosa.gather": _gather,
    "tosa.pad": _pad,
    "tosa.identity": lambda _op, x, _known: x[0],
    "tensor.empty": lambda op, _operands, _known: np.zeros(op.result.type.shape, np.int8),
    "linalg.generic": _generic,
    "linalg.pooling_nhwc_max": _largest,
}
