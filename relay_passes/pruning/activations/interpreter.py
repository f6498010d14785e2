"""Runs a float function binding by binding over many samples at once.

Between two bindings only what is still to be read is kept. So whoever walks with it can look at
what a layer reads and makes, for all samples, and put another result in its place: the layers
behind it then read that. Convolutions and matmuls are BLAS products of columns (``im2col.py``),
simple arithmetic is numpy's; every other operator is compiled by TVM, once for each operator and
shape, and called for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call, GenericConst

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.im2col import Im2col
from zeroskip.relay_passes.quantize.calibrate import batches
from zeroskip.relay_passes.relax.cpu import compile_for_cpu
from zeroskip.relay_passes.relax.operators import SAME_ELEMENTS
from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    const_value,
    function_in,
    node_of,
    op_name,
    outputs,
    used_vars,
)

Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = "Array | tuple[Array, ...]"  # of a variable: its values in each run, stacked

_ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
    "relax.nn.relu": lambda x: np.maximum(x, 0),
}


class Operators:
    """Operators that TVM compiled, by their text; may be shared by interpreters.

    functions: what ``call_tir`` may call, as a module holds it beside ``main``.
    """

    def __init__(self, functions: Mapping[relax.GlobalVar, Any] | None = None) -> None:
        self._functions = dict(functions or {})
        self._compiled: dict[str, Callable[..., Any]] = {}

    def compiled(self, call: Call, leaves: list[relax.Expr]) -> Callable[..., list[Array]]:
        """From the values of a call's leaves (constants and variables, in order) to its results."""
        func = _as_function(call, leaves)
        text = func.script(show_meta=True)
        if text not in self._compiled:
            module = tvm.IRModule({**self._functions, relax.GlobalVar("main"): func})
            self._compiled[text] = relax.VirtualMachine(compile_for_cpu(module), tvm.cpu())["main"]
        function = self._compiled[text]

        def run(*values: Array) -> list[Array]:
            made = function(*(tvm.runtime.tensor(np.ascontiguousarray(each)) for each in values))
            parts = [made] if isinstance(made, tvm.runtime.Tensor) else made
            return [part.numpy() for part in parts]

        return run


def _as_function(call: Call, leaves: list[relax.Expr]) -> relax.Function:
    """A function of the leaves of a call, each an argument."""
    params = [relax.Var(f"a{at}", leaf.ty) for at, leaf in enumerate(leaves)]
    rest = iter(params)

    def replaced(expr: relax.Expr) -> relax.Expr:
        if isinstance(expr, relax.Var | GenericConst):
            return next(rest)
        if isinstance(expr, relax.Tuple):
            return relax.Tuple([replaced(field) for field in expr.fields])
        return expr

    builder = relax.BlockBuilder()
    with function_in(builder, "main", params):
        with builder.dataflow():
            made = builder.emit_output(
                Call(call.op, [replaced(arg) for arg in call.args], call.attrs, call.ty_args)
            )
        builder.emit_func_output(made)
    return builder.finalize()["main"]


def _leaves(expr: relax.Expr) -> list[relax.Expr]:
    if isinstance(expr, relax.Var | GenericConst):
        return [expr]
    if isinstance(expr, Call):
        return [leaf for arg in expr.args for leaf in _leaves(arg)]
    if isinstance(expr, relax.Tuple):
        return [leaf for field in expr.fields for leaf in _leaves(field)]
    return []


class Interpreter:
    """A float module's ``main`` over samples: as ``calibrate`` takes them, input -> [n, ...].

    values: of each variable that is still to be read, its values; the first dimension counts runs
    of the model, n / its batch of them. ``next`` is the binding that ``step`` evaluates.
    PassError for samples that do not fit, as ``calibrate`` says it.
    """

    def __init__(
        self, mod: tvm.IRModule, samples: Mapping[str, Array], operators: Operators | None = None
    ) -> None:
        self.func = mod["main"]
        self.bindings = bindings(self.func)
        runs = batches(self.func, samples)
        self.runs = len(runs)
        self.values: dict[str, Value] = {
            str(param.name): np.stack([run[at] for run in runs])
            for at, param in enumerate(self.func.params)
        }
        others = {var: func for var, func in mod.functions.items() if var.name_hint != "main"}
        self._operators = operators or Operators(others)
        last = {
            str(var.name): at
            for at, binding in enumerate(self.bindings)
            for var in used_vars(binding.value)
        }
        kept = {str(var.name) for each in outputs(self.func) for var in used_vars(each)}
        self._dying: dict[int, list[str]] = {}
        for name, at in last.items():
            if name not in kept:
                self._dying.setdefault(at, []).append(name)
        self._done = 0

    @property
    def next(self) -> relax.VarBinding | None:
        """The first binding without a value; None after the last."""
        return self.bindings[self._done] if self._done < len(self.bindings) else None

    def step(self) -> str:
        """Evaluate the next binding; returns its variable."""
        return self.put(self._evaluate(self.bindings[self._done]))

    def put(self, value: Value) -> str:
        """Let the next binding have a value, and forget what is not read any more."""
        name = str(self.bindings[self._done].var.name)
        self.values[name] = value
        for dead in self._dying.get(self._done, ()):
            self.values.pop(dead, None)
        self._done += 1
        return name

    def fork(self) -> Interpreter:
        """Another walk on from here, with the values so far."""
        other = copy(self)
        other.values = dict(self.values)
        return other

    def read(self, binding: relax.VarBinding) -> Array:
        """What a layer reads, as ``Im2col`` takes it: runs and batch are one dimension."""
        return joined(self._value(binding.value.args[0]))

    def split(self, result: Array) -> Array:
        """A layer's result as ``Im2col`` gives it, as the value of its variable."""
        return result.reshape(self.runs, -1, *result.shape[1:])

    def outputs(self) -> list[Array]:
        """What the function returns, [runs, ...] each, after the last step."""
        return [self._value(each) for each in outputs(self.func)]

    def run(self) -> list[Array]:
        """Every step that is left, and the outputs."""
        while self.next is not None:
            self.step()
        return self.outputs()

    def _any(self, expr: relax.Expr) -> Value:
        """The values of a variable or constant."""
        return self.values[str(expr.name)] if isinstance(expr, relax.Var) else self._value(expr)

    def _value(self, expr: relax.Expr) -> Array:
        """The values of a tensor."""
        if isinstance(expr, relax.Var):
            return cast(Array, self.values[str(expr.name)])
        constant = const_value(expr)
        assert constant is not None
        return np.broadcast_to(constant, (self.runs, *constant.shape))

    def _evaluate(self, binding: relax.VarBinding) -> Value:
        value, name = binding.value, op_name(binding.value) or ""
        shape = tuple(int(size) for size in getattr(binding.var.ty, "shape", None) or ())
        if isinstance(value, relax.Var | GenericConst):
            return self._any(value)
        if isinstance(value, relax.TupleGetItem):
            return cast(Array, self._any(value.tuple_value)[value.index])
        if isinstance(value, relax.Tuple):
            return tuple(self._value(field) for field in value.fields)
        if not isinstance(value, Call):
            raise PassError(
                f"Node '{node_of(self.func, binding.var)}' cannot be run alone: "
                f"{type(value).__name__}."
            )
        if is_layer(value):
            held = cast(Array, const_value(value.args[1]))
            weight = held.T if name == "relax.matmul" else held
            return self.split(Im2col.of(value).apply(weight, self.read(binding)))
        if name in SAME_ELEMENTS:
            return self._value(value.args[0]).reshape(self.runs, *shape)
        if name in _ELEMENTWISE and str(binding.var.ty.dtype).startswith("float"):
            return _ELEMENTWISE[name](*(self._aligned(arg, len(shape)) for arg in value.args))
        made = self._by_tvm(value)
        return tuple(made) if isinstance(binding.var.ty, relax.TupleType) else made[0]

    def _aligned(self, arg: relax.Expr, rank: int) -> Array:
        """An argument with as many dimensions behind that of the runs as the result."""
        constant = const_value(arg)
        if constant is not None:
            return constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
        value = self._value(arg)
        return value.reshape(self.runs, *(1,) * (rank + 1 - value.ndim), *value.shape[1:])

    def _by_tvm(self, call: Call) -> list[Array]:
        """The results of an operator, of all runs."""
        leaves = _leaves(call)
        values = [self._value(leaf) for leaf in leaves]
        function = self._operators.compiled(call, leaves)
        first = function(*(value[0] for value in values))
        made = [np.empty((self.runs, *part.shape), part.dtype) for part in first]
        for run in range(self.runs):
            results = function(*(value[run] for value in values)) if run else first
            for whole, part in zip(made, results, strict=True):
                whole[run] = part
        return made


def is_layer(call: relax.Expr) -> bool:
    """Whether a call is a convolution or a matmul with constant float weights in TVM's usual
    layout: what ``Im2col`` describes."""
    name = op_name(call) or ""
    if name not in ("relax.nn.conv1d", "relax.nn.conv2d", "relax.nn.conv3d", "relax.matmul"):
        return False
    weight = const_value(call.args[1])
    if weight is None or weight.dtype.kind != "f":
        return False
    if name == "relax.matmul":
        return weight.ndim == 2 and len(call.args[0].ty.shape) > 1
    return str(call.attrs.data_layout).startswith("NC") and str(
        call.attrs.kernel_layout
    ).startswith("OI")


def joined(value: Array) -> Array:
    """Runs and batch as one dimension."""
    return value.reshape(-1, *value.shape[2:])
