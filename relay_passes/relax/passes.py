"""What every pass here begins with: the module's entry as `main`, in which each variable has a name
of its own.

Functions that the entry does not call are set aside meanwhile (``entry.py``). Relax does not
promise that the names of variables are unique, and TVM's own passes reuse them. Here names carry
facts from pass to pass (ranges of activations, ONNX nodes), so a pass first gives a name of its own
to each variable that shares one. The names depend on the module alone: what is measured of a module
by one function is found in it by the next.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import tvm
import tvm_ffi
from tvm import relax

from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.relax.entry import MAIN, Entry, entry_of
from zeroskip.relay_passes.relax.refusals import refuse_open_shapes, refuse_unbound
from zeroskip.relay_passes.relax.rewriting import nodes_of, substitute, used_vars


class Pass:
    """Declares of a class that it is decorated here: its instances are TVM passes."""

    if TYPE_CHECKING:  # the decorators replace the class by a tvm.transform.Pass, which has it

        def __call__(self, mod: tvm.IRModule) -> tvm.IRModule: ...


C = TypeVar("C", bound=type[Pass])
PREFIX = "zeroskip."  # of the name of every pass of ours


def is_own(name: str) -> bool:
    """Whether a pass of this name is one of ours, not of TVM's."""
    return name.startswith(PREFIX)


def function_pass(name: str, required: Sequence[str] = ()) -> Callable[[C], C]:
    """A TVM pass of a class whose ``transform_function(func, mod, ctx)`` gets the module's entry
    with unique names and gives what takes its place. name, required: as of ``module_pass``."""

    def decorate(cls: C) -> C:
        inner: Any = cls.transform_function  # type: ignore[attr-defined]  # a pass has it

        def transform_module(self: Any, mod: Any, ctx: Any) -> Any:
            func = inner(self, mod[MAIN], mod, ctx)
            return mod if func.same_as(mod[MAIN]) else with_main(mod, func)

        cls.transform_module = transform_module  # type: ignore[attr-defined]  # see above
        return module_pass(name, required)(cls)

    return decorate


def module_pass(name: str, required: Sequence[str] = ()) -> Callable[[C], C]:
    """A TVM pass of a class whose ``transform_module(mod, ctx)`` gets the module's entry as `main`,
    of unique names, with what it calls.

    name: ``PassContext(disabled_pass=["zeroskip.<name>"])`` leaves the pass out of a
    ``Sequential``. required: names of passes that a ``Sequential`` runs before it. A pass that
    needs no arguments is found by its name, in ``required`` of any other.
    """

    def decorate(cls: C) -> C:
        inner: Any = cls.transform_module  # type: ignore[attr-defined]  # a pass has it

        @wraps(inner)
        def transform_module(self: Any, mod: Any, ctx: Any) -> Any:
            entry = entry_of(mod)
            return entry.put_back(inner(self, _unique(entry), ctx))

        cls.transform_module = transform_module  # type: ignore[attr-defined]  # see above
        full = PREFIX + name
        made: C = tvm.transform.module_pass(opt_level=0, name=full, required=list(required))(cls)
        tvm_ffi.register_global_func(f"transform.{full}", made, override=True)
        return made

    return decorate


def with_unique_names(mod: tvm.IRModule) -> tvm.IRModule:
    """The module's entry as ``main``, with what it calls and ``unique_names``; the module itself if
    it is that."""
    return _unique(entry_of(mod))


def with_main(mod: tvm.IRModule, main: relax.Function) -> tvm.IRModule:
    """The module with another ``main``."""
    updated = tvm.IRModule(mod.functions, attrs=mod.attrs)
    updated.update_func(mod.get_global_var(MAIN), main)
    return updated


def _unique(entry: Entry) -> tvm.IRModule:
    mod = entry.module
    main = mod[MAIN]
    refuse_open_shapes(main)
    refuse_unbound(main)
    named = unique_names(main)
    return mod if named is main else with_main(mod, named)


def unique_names(func: relax.Function) -> relax.Function:
    """The function with a name of its own for every parameter and variable.

    The first that bears a name keeps it. ``zeroskip.nodes`` follows: a variable that is renamed
    keeps the node that its name stood for. A function of unique names is returned as it is.
    """
    blocks = list(func.body.blocks)
    variables = [*func.params, *(binding.var for block in blocks for binding in block.bindings)]
    names = [str(var.name) for var in variables]
    if len(set(names)) == len(names):
        return func
    taken, known = set(names), nodes_of(func)
    seen: set[str] = set()
    env: dict[relax.Var, relax.Expr] = {}
    nodes = dict(known)
    for var, name in zip(variables, names, strict=True):
        if name in seen:
            own = unused_name(name, taken)
            env[var] = type(var)(own, var.ty)
            if name in known:
                nodes[own] = known[name]
        seen.add(name)
    made = [type(block)([_renamed(each, env) for each in block.bindings]) for block in blocks]
    body = relax.SeqExpr(made, substitute(func.body.body, env))
    relax.expr._update_type(body, func.body.ty)
    attrs = {str(key): value for key, value in func.attrs.items()} if func.attrs else {}
    params = [env.get(param, param) for param in func.params]
    result = relax.Function(params, body, func.ret_ty, func.is_pure)
    return result.with_attrs(attrs | ({NODES_ATTR: nodes} if known else {})) if attrs else result


def _renamed(binding: Any, env: dict[relax.Var, relax.Expr]) -> Any:
    """A binding of renamed variables; one that is no plain binding is refused by whoever reads
    it, and stays."""
    if not isinstance(binding, relax.VarBinding):
        return binding
    value = binding.value
    if any(var in env for var in used_vars(value)):
        value = relax.BlockBuilder().normalize(substitute(value, env))
    return relax.VarBinding(env.get(binding.var, binding.var), value)
