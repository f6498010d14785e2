"""Operators that the accelerator has no layer for, as ones that it has: in float, exactly.

A transposed convolution of stride s is s convolutions along each axis, whose results take turns
(Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016): output
``s*m + a`` sums the taps k with ``k = a + pad (mod s)``.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.depth_to_space import depth_to_space
from zeroskip.relay_passes.relax.interpolation import PLAIN, axis_matrix
from zeroskip.relay_passes.relax.layer_norm import inverse_root, layer_norms, written_out
from zeroskip.relay_passes.relax.operators import TRANSPOSED
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Array,
    Env,
    bindings,
    const_number,
    const_value,
    has_one_use,
    make_const,
    op_name,
    rebuild,
    substitute,
    users,
)

_EXTREMA = {"relax.max": relax.op.maximum, "relax.min": relax.op.minimum}
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@function_pass("DecomposeOperators")
class DecomposeOperators(Pass):
    """Transposed convolutions with constant weights become convolutions and depth to space, parts
    of a split slices, resizes to the nearest rows and columns that are taken, pads by zeros in
    space averages of single pixels that count their padding, the largest or smallest of several
    tensors (ONNX's Max and Min) that of each pair, the quotients of layer normalisations over the
    channels products with the inverse deviation.

    The bias and the ReLU behind a transposed convolution go before the depth to space, where they
    are of the convolution. One of few taps in a phase has zeros in its weights, which an array that
    skips them does not spend time on. Of groups each phase is a convolution of its own.
    """

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        made = {binding.var: binding.value for binding in bindings(func)}
        chains, norms = _chains(func), layer_norms(func)

        def visit(
            builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
        ) -> relax.Expr | None:
            value, name = binding.value, str(binding.var.name)
            if isinstance(value, relax.TupleGetItem):
                return _part(made.get(value.tuple_value), value.index, env)
            if op_name(value) == "relax.nn.pad":
                return _surrounded(value, env)
            if (pair := _EXTREMA.get(op_name(value) or "")) is not None:
                return _extremum(builder, pair, binding, made, env)
            if op_name(value) == "relax.image.resize2d":
                return _nearest(builder, value, binding, env)
            if op_name(value) == "relax.nn.layer_norm":
                return written_out(builder, name, value, substitute(value.args[0], env))
            if name in norms and norms[name].over_channels and not norms[name].inverse:
                inverse = inverse_root(builder, name, env[norms[name].positive])
                return relax.op.multiply(env[norms[name].centred], inverse)
            return _convolved(builder, name, chains[name], env) if name in chains else None

        return rebuild(func, visit)


def _part(split: relax.Expr | None, index: int, env: Env) -> relax.Expr | None:
    """One result of a split as a slice; None of anything else."""
    if split is None or op_name(split) != "relax.split":
        return None
    (data,), axis = split.args, int(split.attrs.axis)
    size, sections = int(data.ty.shape[axis]), split.attrs.indices_or_sections
    if hasattr(sections, "value") or isinstance(sections, int):
        count = int(sections)
        edges = [min(at * -(-size // count), size) for at in range(count + 1)]
    else:
        edges = [0, *(int(each) for each in sections), size]
    begin, end = edges[index], edges[index + 1]
    return relax.op.strided_slice(env.get(data, data), [axis], [begin], [end])


def _extremum(
    builder: relax.BlockBuilder, pair: Any, binding: relax.VarBinding, made: Env, env: Env
) -> relax.Expr | None:
    """The largest of a stack of tensors, as TVM imports ONNX's Max, pair by pair; None of all
    else."""
    attrs, stack = binding.value.attrs, made.get(binding.value.args[0])
    if stack is None or op_name(stack) != "relax.stack":
        return None
    if not isinstance(stack.args[0], relax.Tuple):
        return None
    if [*map(int, attrs.axis or ())] != [0] or int(stack.attrs.axis) or attrs.keepdims:
        return None
    every = [(made.get(field), field) for field in stack.args[0].fields]
    spread = [  # the operators spread their operands themselves
        each.args[0] if each is not None and op_name(each) == "relax.broadcast_to" else field
        for each, field in every
    ]
    value, *others = (env.get(each, each) for each in spread)
    for place, other in enumerate(others, 1):
        value = pair(value, other)
        if place < len(others):
            value = builder.emit(value, f"{binding.var.name}_{place}")
    return value


def _surrounded(call: Call, env: Env) -> relax.Expr | None:
    """A pad by zeros in space as a pool of single pixels; None of any other pad."""
    (data,), attrs = call.args, call.attrs
    rank, widths = len(data.ty.shape) - 2, [int(n) for n in attrs.pad_width]
    outside = str(attrs.pad_mode) != "constant" or float(attrs.pad_value) != 0
    if rank not in (1, 2, 3) or outside or any(widths[:4]) or min(widths) < 0:
        return None
    pool = getattr(relax.op.nn, f"avg_pool{rank}d")
    padding = [*widths[4::2], *widths[5::2]]
    return pool(env.get(data, data), [1] * rank, padding=padding, count_include_pad=True)


def _nearest(
    builder: relax.BlockBuilder, call: Call, binding: relax.VarBinding, env: Env
) -> relax.Expr | None:
    """A resize to the nearest as rows and columns that are taken; None of any other resize."""
    attrs, value = call.attrs, env.get(call.args[0], call.args[0])
    mode = str(attrs.coordinate_transformation_mode)
    if str(attrs.method) != "nearest_neighbor" or str(attrs.layout) != "NCHW" or mode not in PLAIN:
        return None
    before, after = ([int(n) for n in each.ty.shape] for each in (call.args[0], binding.var))
    rounding = str(attrs.rounding_method)
    # How TVM's "round" rounds a half depends on the processor: taken where nothing lies at one.
    ways = (rounding,) if rounding in _ROUNDINGS else _ROUNDINGS[:2]
    axes = [axis for axis in (2, 3) if before[axis] != after[axis]]
    for axis in axes:
        size, out = before[axis], after[axis]
        how = {"mode": "nearest", "coordinate_transformation_mode": mode}
        rows, *others = (
            axis_matrix(size, out, out / size, {**how, "nearest_mode": way}).argmax(1)
            for way in ways
        )
        if any((rows != other).any() for other in others):
            return None
        value = relax.op.take(value, make_const(rows.astype(np.int64)), axis, "clip")
        if axis != axes[-1]:
            value = builder.emit(value, f"{binding.var.name}_rows")
    return value


class _Chain(NamedTuple):
    """A transposed convolution.

    call: itself.
    shape: of its result.
    bias: what is added to each channel behind it; None: nothing.
    limit: the call of the activation behind that; None: there is none.
    """

    call: Call
    shape: tuple[int, ...]
    bias: Array | None
    limit: Call | None


def _chains(func: relax.Function) -> dict[str, _Chain]:
    """The transposed convolutions that become others, by the last variable of what goes with
    each."""
    readers, single = users(func), has_one_use(func)
    found: dict[str, _Chain] = {}
    for binding in bindings(func):
        call = binding.value
        if op_name(call) not in TRANSPOSED or not _is_plain(call):
            continue
        shape = tuple(int(size) for size in binding.var.ty.shape)
        chain, name = _Chain(call, shape, None, None), str(binding.var.name)
        while name in single:
            (reader,) = readers[name]
            longer = _with(chain, reader.value)
            if longer is None:
                break
            chain, name = longer, str(reader.var.name)
        found[name] = chain
    return found


def _is_plain(call: Call) -> bool:
    """Whether its weights are constants in the layout of ONNX."""
    weight, attrs = const_value(call.args[1]), call.attrs
    return (
        weight is not None
        and str(weight.dtype) == "float32"
        and str(attrs.data_layout) in ("NCW", "NCHW")
        and str(attrs.kernel_layout) in ("IOW", "IOHW")
    )


def _with(chain: _Chain, reader: relax.Expr) -> _Chain | None:
    """The chain with a bias or an activation that follows it; None for all else."""
    name = op_name(reader)
    if name == "relax.add" and chain.bias is None and chain.limit is None:
        bias, channels = const_value(reader.args[1]), chain.shape[1]
        along = (1, channels, *(1,) * (len(chain.shape) - 2))
        if bias is None or bias.shape != along:
            return None
        return chain._replace(bias=bias.reshape(-1))
    if name == "relax.nn.relu" and chain.limit is None:
        return chain._replace(limit=reader)
    if name == "relax.clip" and chain.limit is None:
        numbers = [const_number(arg) for arg in reader.args[1:]]
        return None if None in numbers else chain._replace(limit=reader)
    return None


class _Axis(NamedTuple):
    """A transposed convolution along an axis as convolutions, one for each phase.

    taps: of each phase, (tap of the transposed kernel, tap of its own kernel).
    size: taps of each kernel.
    padding: before and behind.
    """

    taps: list[list[tuple[int, int]]]
    size: int
    padding: tuple[int, int]


def _axis(kernel: int, stride: int, dilation: int, pad: int, size: int, out: int) -> _Axis:
    """Output ``stride*m + a`` reads inputs ``m + d`` with ``d*stride = a + pad - tap*dilation``."""
    reads = [
        [
            (tap, (phase + pad - tap * dilation) // stride)
            for tap in range(kernel)
            if (phase + pad - tap * dilation) % stride == 0
        ]
        for phase in range(stride)
    ]
    offsets = [offset for phase in reads for _, offset in phase]
    first, last = min(*offsets, 0), max(*offsets, 0)
    behind = -(-out // stride) + last - size
    taps = [[(tap, offset - first) for tap, offset in phase] for phase in reads]
    return _Axis(taps, last - first + 1, (-first, max(behind, 0)))


def _convolved(builder: relax.BlockBuilder, name: str, chain: _Chain, env: Env) -> relax.Expr:
    """What a transposed convolution becomes, all but the last operator emitted."""
    attrs, (data, kernel) = chain.call.attrs, chain.call.args
    weight = const_value(kernel)
    assert weight is not None
    strides, groups = [int(step) for step in attrs.strides], int(attrs.groups)
    axes = [
        _axis(*numbers)
        for numbers in zip(
            weight.shape[2:],
            strides,
            [int(step) for step in attrs.dilation],
            [int(pad) for pad in attrs.padding],
            [int(size) for size in data.ty.shape][2:],
            chain.shape[2:],
            strict=False,
        )
    ]
    bias = np.zeros(chain.shape[1], np.float32) if chain.bias is None else chain.bias
    phases = [_phase_weight(weight, groups, axes, phase) for phase in product(*map(range, strides))]
    if groups == 1:
        phases, bias = [np.concatenate(phases)], np.tile(bias, len(phases))
    parts = [_layer(builder, name, chain, env[data], each, bias, axes) for each in phases]
    deep = (
        parts[0] if len(parts) == 1 else builder.emit(relax.op.concat(parts, 1), f"{name}_phases")
    )
    return depth_to_space(builder, name, deep, strides, chain.shape)


def _phase_weight(weight: Array, groups: int, axes: Sequence[_Axis], phase: Sequence[int]) -> Array:
    """[C, K/groups, *kernel] of the transposed convolution -> [K, C/groups, *size] of a phase."""
    channels, filters = weight.shape[0] // groups, weight.shape[1]
    own = np.zeros((groups * filters, channels, *(axis.size for axis in axes)), np.float32)
    turned = weight.reshape(groups, channels, filters, *weight.shape[2:]).swapaxes(1, 2)
    for taps in product(*(axis.taps[at] for axis, at in zip(axes, phase, strict=True))):
        before, after = zip(*taps, strict=True)
        own[(..., *after)] = turned[(..., *before)].reshape(groups * filters, channels)
    return own


def _layer(
    builder: relax.BlockBuilder,
    name: str,
    chain: _Chain,
    data: relax.Expr,
    weight: Array,
    bias: Array,
    axes: Sequence[_Axis],
) -> Any:
    """A convolution with its bias and activation."""
    rank = weight.ndim - 2
    conv = getattr(relax.op.nn, f"conv{rank}d")
    padding = [pad for side in range(2) for pad in (axis.padding[side] for axis in axes)]
    groups = int(chain.call.attrs.groups)
    value = builder.emit(
        conv(data, make_const(weight), padding=padding, groups=groups), f"{name}_conv"
    )
    if chain.bias is not None:
        along = make_const(bias.reshape(1, -1, *(1,) * rank))
        value = builder.emit(relax.op.add(value, along), f"{name}_bias")
    if chain.limit is not None:
        limited = Call(chain.limit.op, [value, *chain.limit.args[1:]], chain.limit.attrs)
        value = builder.emit(limited, f"{name}_limit")
    return value
