"""Relax modules as files: TVM's JSON with the large constants lifted out into raw arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule

from zeroskip.accel_model.io.archive import Chunks, digest, npy_chunks, read_npy
from zeroskip.relay_passes.attrs import PACKED
from zeroskip.relay_passes.relax.rewriting import const_value, make_const

LARGE = 1024  # bytes from which a constant is lifted out
_CALLS = ("relax.call_tir", "relax.call_dps_packed")  # operators that a module may call with
_CALLING = (
    "call",
    "packed",
    "extern",
    "closure",
    "intrin",
    ".vm.",
    ".builtin.",
    ".memory.",
    ".cuda.",
    ".ptx.",
)


def constant_member(array: np.ndarray) -> tuple[str, Chunks]:
    """The member that holds a constant: its name is its content's digest."""
    parts = npy_chunks(array)
    return f"constants/{digest(parts)}.npy", parts


def dump_module(name: str, module: IRModule) -> dict[str, Chunks]:
    """The members of a network file that hold a module.

    Each large constant becomes a parameter of its function and a member of its own, so that equal
    ones, of whatever module, are stored once.
    """
    members: dict[str, Chunks] = {}
    lifted: dict[str, dict[str, str]] = {}
    small = IRModule(attrs=module.attrs)
    for gvar, func in module.functions.items():
        if isinstance(func, relax.Function):
            lifting = _Lifting()
            func = lifting.apply(func)
            lifted[gvar.name_hint] = {}
            for variable, array in lifting.found.items():
                member, parts = constant_member(array)
                members[member] = parts
                lifted[gvar.name_hint][variable] = member
        small[gvar] = func
    members[f"modules/{name}.json"] = [tvm.ir.save_json(small).encode()]
    members[f"modules/{name}.constants.json"] = [json.dumps(lifted).encode()]
    return members


def large_constants(module: IRModule) -> dict[str, Any]:
    """The constants of ``main`` that ``dump_module`` makes members, by these members' names."""
    found: dict[str, Any] = {}

    def look(expr: Any) -> None:
        array = const_value(expr)
        if array is not None and array.nbytes >= LARGE:
            found[constant_member(array)[0]] = expr

    relax.analysis.post_order_visit(module["main"], look)
    return found


def load_module(
    name: str, read: Callable[[str], bytes], elsewhere: Mapping[str, Any] | None = None
) -> IRModule:
    """The module that ``dump_module`` wrote; ``read`` gives a member's bytes. elsewhere: constants
    whose members are not read."""
    raw = read(f"modules/{name}.json").decode()
    _check_calls(json.loads(raw)["nodes"])
    module = tvm.ir.load_json(raw)
    lifted = json.loads(read(f"modules/{name}.constants.json"))
    known = dict(elsewhere or {})
    for function, variables in lifted.items():
        if not variables:
            continue
        for member in variables.values():
            if member not in known:
                known[member] = make_const(read_npy(read(member)))
        gvar = module.get_global_var(function)
        values = {variable: known[member] for variable, member in variables.items()}
        module[gvar] = _bind(module[gvar], values)
    return module


def _check_calls(nodes: list[dict[str, Any]]) -> None:
    """ValueError if the nodes of a module's JSON call anything by its name but ``zeroskip.run``:
    TVM's registry has functions that load libraries."""
    for node in nodes:
        kind, data = node["type"], node.get("data")
        if kind == "relax.expr.ExternFunc":
            allowed = nodes[dict(data or {})["global_symbol"]].get("data") == PACKED
        elif kind == "ir.EnvFunc":
            allowed = str(data).startswith("tvm.relax.")
        else:
            allowed = (
                kind != "ir.Op" or data in _CALLS or not any(word in str(data) for word in _CALLING)
            )
        if not allowed:
            raise ValueError(f"a module calls {str(data)[:100]!r}")


@relax.expr_functor.mutator
class _Lifting(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
    """Replaces large constants by new parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, np.ndarray] = {}
        self.params: list[relax.Var] = []

    def apply(self, func: relax.Function) -> relax.Function:
        body = self.visit_expr(func.body)
        if not self.params:
            return func
        return relax.Function(
            [*func.params, *self.params], body, func.ret_ty, func.is_pure, func.attrs
        )

    def visit_generic_const_(self, constant: Any) -> relax.Expr:
        array = const_value(constant)
        if array is None or array.nbytes < LARGE:
            return constant
        name = f"constant{len(self.params)}"
        self.found[name] = array
        self.params.append(relax.Var(name, constant.ty))
        return self.params[-1]


def _bind(func: relax.Function, values: dict[str, Any]) -> relax.Function:
    """Put the constants back in place of the parameters of these names."""
    params = [param for param in func.params if str(param.name) not in values]
    binding = {param: values[str(param.name)] for param in func.params if str(param.name) in values}
    bound = relax.Function(params, func.body, func.ret_ty, func.is_pure, func.attrs)
    return _Substituting(binding).visit_expr(bound)


@relax.expr_functor.mutator
class _Substituting(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
    def __init__(self, binding: dict[Any, Any]) -> None:
        super().__init__()
        self.binding = binding

    def visit_var_(self, var: relax.Var) -> relax.Expr:
        return self.binding.get(var, super().visit_var_(var))
