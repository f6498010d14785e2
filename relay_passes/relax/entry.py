"""The function of a module that passes work on, apart from the rest of the module.

Passes here take `main`. A user's module may call that function otherwise and hold others, of which
this package knows nothing: they are set aside, and back when the pass is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.ir import GlobalVar

from zeroskip.relay_passes.attrs import CODEGEN_ATTR, COMPOSITE_ATTR, ENTRY_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.names import unused_name

MAIN = "main"
_SYMBOL = "global_symbol"
_PARTS = (
    COMPOSITE_ATTR,
    CODEGEN_ATTR,
    "Primitive",
)  # what passes, of any backend, make of a function


@dataclass(frozen=True, eq=False)
class Entry:
    """One function of a module, as `main`, with what it calls.

    name: of the function in its module.
    module: the function as `main`, what it calls, and the module's TIR functions.
    others: the functions that are set aside.
    """

    name: str
    module: tvm.IRModule
    others: Mapping[GlobalVar, Any]

    def put_back(self, result: tvm.IRModule) -> tvm.IRModule:
        """The whole module: `result`, its `main` under the old name, and the others untouched.

        A function of `result` that is called like one of the others gets a new name.
        """
        if self.name == MAIN and not self.others:
            return result
        others = {var.name_hint for var in self.others}
        taken = {*others, self.name, *(var.name_hint for var in result.get_global_vars())}
        names = {
            var.name_hint: unused_name(var.name_hint, taken)
            for var in result.get_global_vars()
            if var.name_hint in others
        }
        if self.name != MAIN:
            result = tvm.IRModule(result.functions, attrs=result.attrs)
            result[MAIN] = result[MAIN].without_attr(ENTRY_ATTR)
        renamed = renamed_functions(result, names | {MAIN: self.name})
        return tvm.IRModule({**renamed.functions, **self.others}, attrs=result.attrs)


def entry_of(mod: tvm.IRModule, name: str | None = None) -> Entry:
    """The entry called `name`; else `main`, else the module's only public Relax function.

    PassError if there is no such function, or several and none is called `main`.
    """
    name = _entry_name(mod, name)
    mine = _reached(mod, name)
    others = {
        var: func
        for var, func in mod.functions.items()
        if isinstance(func, relax.Function) and var.name_hint not in mine
    }
    if name == MAIN and not others:
        return Entry(name, mod, others)
    view = tvm.IRModule(
        {var: func for var, func in mod.functions.items() if var not in others},
        attrs=mod.attrs,
    )
    if name != MAIN:
        view = renamed_functions(view, {name: MAIN})
        view[MAIN] = view[MAIN].with_attr(ENTRY_ATTR, name)
    return Entry(name, view, others)


def entry_name(main: relax.Function) -> str:
    """How the user's module calls a function that passes take as `main`."""
    return str(main.attrs.get(ENTRY_ATTR, MAIN)) if main.attrs else MAIN


def public_functions(mod: tvm.IRModule) -> list[str]:
    """The Relax functions that a user of the module calls, by name."""
    return sorted(
        var.name_hint
        for var, func in mod.functions.items()
        if isinstance(func, relax.Function)
        and func.attrs
        and _SYMBOL in func.attrs
        and not any(part in func.attrs for part in _PARTS)
    )


def renamed_functions(mod: tvm.IRModule, names: Mapping[str, str]) -> tvm.IRModule:
    """The module with these functions called otherwise, wherever they are called."""
    names = {old: new for old, new in names.items() if old != new}
    made = {mod.get_global_var(old): GlobalVar(new) for old, new in names.items()}
    for old, new in made.items():
        new_type = getattr(mod[old], "ty", None)
        if new_type is not None:
            relax.expr._update_type(new, new_type)
    renaming = _Renaming(made)
    functions = {}
    for var, func in mod.functions.items():
        if isinstance(func, relax.Function) and made:
            func = renaming.visit_expr(func)
        if var in made:
            func = func.with_attr(_SYMBOL, made[var].name_hint)
        functions[made.get(var, var)] = func
    return tvm.IRModule(functions, attrs=mod.attrs)


def _entry_name(mod: tvm.IRModule, name: str | None) -> str:
    known = {
        var.name_hint for var, func in mod.functions.items() if isinstance(func, relax.Function)
    }
    public = public_functions(mod)
    there = ", ".join(f"'{each}'" for each in public or sorted(known))
    if name is not None:
        if name not in known:
            raise PassError(
                f"The module has no Relax function '{name}'"
                + (f": name one of {there}." if there else ".")
            )
        return name
    if MAIN in known:
        return MAIN
    if len(public) == 1:
        return public[0]
    if not public:
        raise PassError("The module has no public Relax function to compile.")
    raise PassError(
        f"The module has the functions {there} and none is called '{MAIN}': name those to compile, "
        "partition_for_zeroskip(..., functions=[...])."
    )


def _reached(mod: tvm.IRModule, name: str) -> set[str]:
    """The function and the Relax functions that it calls, directly or through others."""
    found: set[str] = set()
    open_ = [name]
    while open_:
        name = open_.pop()
        if name in found:
            continue
        found.add(name)
        func = mod[name]
        if isinstance(func, relax.Function):
            open_ += [var.name_hint for var in relax.analysis.all_global_vars(func)]
    return found


@relax.expr_functor.mutator
class _Renaming(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
    def __init__(self, names: Mapping[GlobalVar, GlobalVar]) -> None:
        super().__init__()
        self.names = names

    def visit_global_var_(self, var: GlobalVar) -> GlobalVar:
        return self.names.get(var, var)
