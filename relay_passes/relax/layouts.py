"""Channels first: the one layout of the passes here, for modules that have another.

TVM's ConvertLayout moves the transpositions to where the layout begins and ends; what is left of
them is folded here as far as it can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

from zeroskip.relay_passes.relax.fold import fold_constants
from zeroskip.relay_passes.relax.operators import CONVOLUTIONS
from zeroskip.relay_passes.relax.quiet import quiet
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    const_value,
    make_const,
    op_name,
    rebuild,
    substitute,
)

_FIRST = {
    "relax.nn.conv1d": ["NCW", "OIW"],
    "relax.nn.conv2d": ["NCHW", "OIHW"],
    "relax.nn.conv3d": ["NCDHW", "OIDHW"],
}
_BINARY = {
    f"relax.{name}" for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
}


def channels_first(mod: tvm.IRModule) -> tvm.IRModule:
    """The module with the convolutions of `main` in channels first, and with them what stands
    between; the module itself if they are.

    The inputs and outputs keep their layouts, between which and the layers transpositions are left
    where sizes do not make them reshapes.
    """
    func = mod["main"]
    if all(_is_first(binding.value) for binding in bindings(func)):
        return mod
    updated = tvm.IRModule(mod.functions, attrs=mod.attrs)
    updated["main"] = fold_constants(_with_full_ranks(_with_one_result(func)))
    with quiet():
        updated = relax.transform.ConvertLayout(_FIRST)(updated)
    updated["main"] = fold_transpositions(fold_constants(updated["main"]))
    return updated


def _is_first(value: relax.Expr) -> bool:
    name = op_name(value)
    if name not in CONVOLUTIONS:
        return True
    layouts = [str(value.attrs.data_layout), str(value.attrs.kernel_layout)]
    return layouts == _FIRST[name]


def _with_one_result(func: relax.Function) -> relax.Function:
    """The function with what it returns bound to one variable: ConvertLayout keeps the layout of
    each variable that leaves the block, also where it is read inside."""
    result = func.body.body
    if isinstance(result, relax.Var):
        return func
    var = relax.Var("results", result.ty)
    last = relax.BindingBlock([relax.VarBinding(var, result)])
    body = relax.SeqExpr([*func.body.blocks, last], var)
    made = relax.Function(func.params, body, func.ret_ty, func.is_pure)
    return rebuild(made.with_attrs(func.attrs) if func.attrs else made, lambda *_: None)


def _with_full_ranks(func: relax.Function) -> relax.Function:
    """Constants beside a tensor of more dimensions get as many, which ConvertLayout asks for."""

    def visit(_builder: Any, binding: relax.VarBinding, env: Env) -> relax.Expr | None:
        call = binding.value
        if op_name(call) not in _BINARY:
            return None
        rank = len(binding.var.ty.shape)
        args = []
        for arg in call.args:
            value = const_value(arg)
            if value is not None and 0 < value.ndim < rank:
                arg = make_const(value.reshape((1,) * (rank - value.ndim) + value.shape))
            args.append(substitute(arg, env))
        return tvm.ir.Call(call.op, args, call.attrs)

    return rebuild(func, visit)


def fold_transpositions(func: relax.Function) -> relax.Function:
    """Join transpositions that follow each other; those that move no element become reshapes, and
    one that is flattened before a matrix product goes into the product's weights."""
    made: dict[Any, relax.Expr] = {}  # what each variable of the new function is bound to
    last: list[tuple[Any, relax.Expr]] = []  # the binding before, whose new variable env has by now

    def visit(builder: Any, binding: relax.VarBinding, env: Env) -> relax.Expr | None:
        for var, value in last:
            made[env[var]] = value
        value = substitute(binding.value, env)
        name = op_name(value)
        if name == "relax.permute_dims":
            value = _joined(value, made)
        elif name == "relax.reshape":
            value = _of_reshaped(value, made)
        elif name == "relax.matmul":
            value = _of_flattened(builder, value, made)
        last[:] = [(binding.var, value)]
        return value

    return rebuild(func, visit)


def _axes(call: Any) -> list[int]:
    rank = len(call.args[0].ty.shape)
    if call.attrs.axes is None:
        return list(range(rank))[::-1]
    return [int(axis) % rank for axis in call.attrs.axes]


def _joined(call: Any, made: Mapping[Any, Any]) -> relax.Expr:
    """A transposition and the one before it as one, as a reshape or as nothing."""
    axes, source = _axes(call), call.args[0]
    before: Any = made.get(source)
    if op_name(before) == "relax.permute_dims":
        axes, source = [_axes(before)[axis] for axis in axes], before.args[0]
    if axes == sorted(axes):
        return source
    shape = [int(size) for size in source.ty.shape]
    if _moves_nothing(axes, shape):
        return relax.op.reshape(source, [shape[axis] for axis in axes])
    return relax.op.permute_dims(source, axes)


def _of_reshaped(call: Any, made: Mapping[Any, Any]) -> relax.Expr:
    """A reshape of a reshape as one."""
    before: Any = made.get(call.args[0])
    if op_name(before) != "relax.reshape":
        return call
    return relax.op.reshape(before.args[0], call.args[1])


def _moves_nothing(axes: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether the axes of more than one element stay in order."""
    kept = [axis for axis in axes if shape[axis] != 1]
    return kept == sorted(kept)


def _of_flattened(builder: Any, call: Any, made: Mapping[Any, Any]) -> relax.Expr:
    """matmul(flatten(transposed x), W) as matmul(flatten(x), W with its rows in x's order)."""
    weight = const_value(call.args[1])
    flat: Any = made.get(call.args[0])
    if op_name(flat) not in ("relax.reshape", "relax.flatten") or weight is None:
        return call
    moved: Any = made.get(flat.args[0])
    if weight.ndim != 2 or op_name(moved) != "relax.permute_dims" or len(flat.ty.shape) != 2:
        return call
    axes, source = _axes(moved), moved.args[0]
    batch, *sizes = (int(size) for size in moved.ty.shape)
    if axes[0] != 0 or int(flat.ty.shape[0]) != batch:
        return call
    back = [int(axis) for axis in np.argsort(axes)[1:]]  # where each axis of x is in the moved one
    rows = weight.reshape(*sizes, -1).transpose(*(axis - 1 for axis in back), len(sizes))
    straight = builder.emit(relax.op.reshape(source, [batch, weight.shape[0]]))
    return relax.op.matmul(straight, make_const(rows.reshape(weight.shape)))
