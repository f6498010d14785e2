"""A float function of one image as one of several, side by side along the first axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    const_value,
    make_const,
    node_of,
    op_name,
    rebuild,
    substitute,
    used_vars,
)

_SHAPED = {"relax.reshape", "relax.broadcast_to"}  # the second argument is the result's shape


@function_pass("BatchImages")
class BatchImages(Pass):
    """A function of one image computes ``images`` of them, as N times as much along the first axis
    of its inputs, of its results and of all that depends on an input.

    images: N, at least 1. PassError, which names the node, where an input has no axis for it or the
    first axis of a result is not that of its operands. What an operator does with the images there
    is not looked at: ``compiler.batching`` compares two with each by itself.
    """

    def __init__(self, images: int) -> None:
        if images < 1:
            raise PassError(f"a batch of {images} images: give 1 or more")
        self.images = images

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return of_images(func, self.images)


def of_images(func: relax.Function, images: int) -> relax.Function:
    """What the pass makes of a function."""
    return func if images == 1 else _Several(images).function(func)


class _Several:
    """The rewriting of a function for so many images."""

    def __init__(self, images: int) -> None:
        self.images = images

    def function(self, func: relax.Function) -> relax.Function:
        params = {param: self._input(param) for param in func.params}
        several = set(func.params)  # the variables that depend on an input

        def visit(
            _builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
        ) -> relax.Expr | None:
            value, var = binding.value, binding.var
            if several.isdisjoint(used_vars(value)):
                return None
            several.add(var)
            made = self._several(value, env, several)
            shape = _shape(var)
            if shape is not None and not isinstance(made, relax.Tuple):
                _check(made, [self.images * shape[0], *shape[1:]] if shape else [], func, var)
            return made

        return rebuild(func, visit, params)

    def _input(self, param: relax.Var) -> relax.Var:
        shape = _shape(param)
        if not shape or shape[0] != 1:
            raise PassError(
                f"input '{param.name}' has the shape {shape}: a batch is of a model whose inputs "
                "begin with an axis of one image"
            )
        kind = relax.TensorType([self.images, *shape[1:]], param.ty.dtype)
        return relax.Var(str(param.name), kind)

    def _several(self, value: relax.Expr, env: Env, several: set[relax.Var]) -> relax.Expr:
        """The value of N images."""
        made = substitute(value, env)
        if op_name(value) in _SHAPED:
            first, *rest = (int(size) for size in value.args[1].values)
            shape = relax.ShapeExpr([self.images * first, *rest])
            return Call(made.op, [made.args[0], shape], made.attrs, made.ty_args, made.span)
        if isinstance(value, relax.Tuple):
            fields = [
                new if several.intersection(used_vars(old)) else self._repeated(new)
                for old, new in zip(value.fields, made.fields, strict=True)
            ]
            return relax.Tuple(fields)
        if isinstance(made, Call):
            args = [self._within(arg) for arg in made.args]
            return Call(made.op, args, made.attrs, made.ty_args, made.span)
        return made

    def _within(self, arg: relax.Expr) -> relax.Expr:
        """An argument of a call; constants that stand beside images in a tuple are there for
        each."""
        if not isinstance(arg, relax.Tuple) or not any(map(used_vars, arg.fields)):
            return arg
        return relax.Tuple(
            [field if used_vars(field) else self._repeated(field) for field in arg.fields]
        )

    def _repeated(self, expr: relax.Expr) -> relax.Expr:
        """A constant for each image."""
        value = const_value(expr)
        if value is None or not value.ndim:
            return expr
        return make_const(np.tile(value, (self.images, *(1,) * (value.ndim - 1))))


def _shape(var: relax.Var) -> list[int] | None:
    """The shape of a tensor; None for anything else."""
    shape = getattr(var.ty, "shape", None)
    return None if shape is None else [int(size) for size in shape]


def _check(value: relax.Expr, wanted: Sequence[int], func: relax.Function, var: relax.Var) -> None:
    """PassError unless a value has this shape."""
    try:
        kind = relax.BlockBuilder().normalize(value).ty
        found = [int(size) for size in kind.shape]
    except (tvm.error.InternalError, ValueError, TypeError):
        found = []
    if found != list(wanted) or not wanted:
        raise PassError(
            f"Node '{node_of(func, var)}' moves the images of a batch out of the first axis; "
            "leave the batch out"
        )
