"""Resizes that interpolate between neighbours, as layers that the accelerator has."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.depth_to_space import depth_to_space
from zeroskip.relay_passes.relax.interpolation import axis_matrix
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import Env, bindings, make_const, op_name, rebuild

MOST_PHASES = 64  # convolutions that a resize may become
_FLOATS = (None, "relax.nn.softmax")  # what makes an operand, or that nothing does
_MODES = ("half_pixel", "asymmetric", "pytorch_half_pixel")


@function_pass("InterpolationLayers")
class InterpolationLayers(Pass):
    """Bilinear resizes by whole factors become a pad by edge values, depthwise convolutions, one
    for each place between pixels, and depth to space.

    Of factors s and t output ``(s*i + a, t*j + b)`` weighs the same neighbours of pixel ``(i, j)``
    for every i and j; beyond the edges these are the edge's. Corners that are aligned have other
    weights everywhere: such a resize stays, as does one of more than 64 places or of an input. The
    pass comes after pruning, which would take these weights for a layer's.
    """

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        made = {binding.var: op_name(binding.value) for binding in bindings(func)}

        def visit(
            builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
        ) -> relax.Expr | None:
            axes = _axes(binding)
            # What is an input, or not of a layer's making, stays as it is: it is float.
            if axes is None or made.get(binding.value.args[0]) in _FLOATS:
                return None
            return _layers(builder, binding, env, axes)

        return rebuild(func, visit)


class _Axis(NamedTuple):
    """An axis of a resize.

    weights: of each place between two pixels, on its own neighbours, float64 [places, taps].
    first: where the first neighbour is, seen from the pixel.
    """

    weights: np.ndarray
    first: int

    def around(self, size: int) -> np.ndarray:
        """Of an axis with its neighbours at both edges, which pixel each is."""
        last = self.first + self.weights.shape[1] - 1
        return np.clip(np.arange(self.first, size + last), 0, size - 1)


def _axes(binding: relax.VarBinding) -> list[_Axis] | None:
    """Rows and columns of a bilinear resize by whole factors; None of all else."""
    call = binding.value
    if op_name(call) != "relax.image.resize2d":
        return None
    attrs = call.attrs
    mode = str(attrs.coordinate_transformation_mode)
    if str(attrs.method) != "linear" or str(attrs.layout) != "NCHW" or mode not in _MODES:
        return None
    before, after = ([int(n) for n in each.ty.shape][2:] for each in (call.args[0], binding.var))
    if any(large % small for small, large in zip(before, after, strict=True)):
        return None
    found = [_axis(*sizes, mode) for sizes in zip(before, after, strict=True)]
    axes = [each for each in found if each is not None]
    places = [len(each.weights) for each in axes]
    return axes if len(axes) == len(found) and 1 < np.prod(places) <= MOST_PHASES else None


def _axis(size: int, out: int, mode: str) -> _Axis | None:
    """None where the places are not those between any two pixels."""
    factor = out // size
    how: Mapping[str, str] = {"mode": "linear", "coordinate_transformation_mode": mode}
    places = np.arange(factor) / factor
    if mode != "asymmetric":
        places = places + 0.5 / factor - 0.5
    below = np.floor(places).astype(int)
    first, last = int(below.min()), int((below + (places > below)).max())
    weights = np.zeros((factor, last - first + 1))
    for place, (low, at) in enumerate(zip(below, places, strict=True)):
        weights[place, low - first] += 1 - (at - low)
        if at > low:
            weights[place, low + 1 - first] += at - low
    axis = _Axis(weights, first)
    made = np.zeros((out, size))
    around = axis.around(size)
    for pixel, place in product(range(size), range(factor)):
        row = made[pixel * factor + place]
        np.add.at(row, around[pixel : pixel + weights.shape[1]], weights[place])
    return axis if np.allclose(made, axis_matrix(size, out, factor, how), atol=1e-6) else None


def _layers(
    builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env, axes: Sequence[_Axis]
) -> relax.Expr:
    """What a resize becomes, all but the last operator emitted."""
    call, name = binding.value, str(binding.var.name)
    assert isinstance(call, Call)
    data = env.get(call.args[0], call.args[0])
    _, channels, *sizes = [int(n) for n in call.args[0].ty.shape]
    for at, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        around = axis.around(size)
        if len(around) > size:
            taken = relax.op.take(data, make_const(around.astype(np.int64)), 2 + at, "clip")
            data = builder.emit(taken, f"{name}_edges")
    parts = []
    for rows, cols in product(*(axis.weights for axis in axes)):
        kernel = np.outer(rows, cols).astype(np.float32)
        weight = np.ascontiguousarray(np.broadcast_to(kernel, (channels, 1, *kernel.shape)))
        conv = relax.op.nn.conv2d(data, make_const(weight), groups=channels)
        parts.append(builder.emit(conv, f"{name}_place"))
    deep = builder.emit(relax.op.concat(parts, 1), f"{name}_places")
    shape = [int(n) for n in binding.var.ty.shape]
    return depth_to_space(builder, name, deep, [len(axis.weights) for axis in axes], shape)
