"""Any user's Relax function in the one form that the passes here take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import INPUTS_ATTR, NODES_ATTR, OUTPUTS_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.entry import MAIN, entry_of
from zeroskip.relay_passes.relax.fold import fold_constants
from zeroskip.relay_passes.relax.layouts import channels_first
from zeroskip.relay_passes.relax.passes import Pass, module_pass, unique_names, with_main
from zeroskip.relay_passes.relax.refusals import (
    refuse_lowered,
    refuse_partitioned,
    refuse_weight_parameters,
)
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    nodes_of,
    outputs,
    rebuild,
    substitute,
)


@module_pass("NormaliseRelax")
class NormaliseRelax(Pass):
    """Brings a float function that was not imported here into the form of ``import_onnx``.

    One dataflow block, private functions inlined, tuples taken apart, constants folded,
    convolutions and what stands between them in channels first (``layouts``). Attributes that are
    not there yet: `zeroskip.nodes` calls each variable a node of its own name, `zeroskip.inputs`
    and `zeroskip.outputs` are the names of the parameters and of what is returned. A function that
    was imported stays as it is.

    PassError for weights that are parameters, and for functions that are quantized, partitioned or
    lowered already.
    """

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        refuse_partitioned(mod)
        if NODES_ATTR in (mod["main"].attrs or {}):
            return mod
        mod = relax.transform.InlinePrivateFunctions()(mod)
        main = mod["main"]
        refuse_lowered(main)
        refuse_weight_parameters(main)
        mod = channels_first(with_main(mod, fold_constants(_without_tuples(main))))
        return with_main(mod, _described(unique_names(_with_plain_results(mod["main"]))))


def bind_shapes(mod: tvm.IRModule, shapes: Mapping[str, Sequence[int]]) -> tvm.IRModule:
    """The module with sizes for the open ones of its entry's parameters.

    shapes: by the parameter's name. PassError for what is no parameter, or a shape that is not one
    of its own.
    """
    if not shapes:
        return mod
    entry = entry_of(mod)
    params = {str(param.name): param for param in entry.module[MAIN].params}
    sizes: dict[Any, int] = {}
    for name, shape in shapes.items():
        known = ", ".join(f"'{each}'" for each in params)
        if name not in params:
            raise PassError(f"'{name}' is given a shape and is no input: the inputs are {known}.")
        own = getattr(params[name].ty, "shape", None)
        own = list(own) if isinstance(own, relax.ShapeExpr) else []
        for size, given in zip(own, shape, strict=False):
            if (
                int(getattr(size, "value", given)) != given
                or sizes.setdefault(size, given) != given
            ):
                own = []
                break
        if len(own) != len(shape):
            raise PassError(
                f"Input '{name}' cannot have the shape {list(shape)}: it is {params[name].ty}."
            )
    bound = {str(var.name): size for var, size in sizes.items() if not hasattr(var, "value")}
    return relax.transform.BindSymbolicVars(bound, entry.name)(mod)


def _without_tuples(func: relax.Function) -> relax.Function:
    """The function with the element itself in the place of one that is taken from a tuple, as torch
    makes of a pool and its indices; what nobody reads then is gone."""
    tuples = {b.var: b.value for b in bindings(func) if isinstance(b.value, relax.Tuple)}

    def visit(_builder: Any, binding: relax.VarBinding, env: Env) -> relax.Expr | None:
        value = binding.value
        if not isinstance(value, relax.TupleGetItem) or value.tuple_value not in tuples:
            return None
        return substitute(tuples[value.tuple_value].fields[value.index], env)

    return rebuild(func, visit)


def _with_plain_results(func: relax.Function) -> relax.Function:
    """The function in one dataflow block; a tuple that is returned by name is written out."""
    result = func.body.body
    made = {binding.var: binding.value for binding in bindings(func)}
    while isinstance(result, relax.Var) and isinstance(made.get(result), relax.Tuple | relax.Var):
        result = made[result]
    body = relax.SeqExpr(func.body.blocks, result)
    plain = relax.Function(func.params, body, func.ret_ty, func.is_pure)
    return rebuild(plain.with_attrs(func.attrs) if func.attrs else plain, lambda *_: None)


def _described(func: relax.Function) -> relax.Function:
    attrs = func.attrs or {}
    names = [str(binding.var.name) for binding in bindings(func)]
    given = {
        NODES_ATTR: nodes_of(func) or {name: name for name in names},
        INPUTS_ATTR: [str(param.name) for param in func.params],
        OUTPUTS_ATTR: _output_names(func),
    }
    return func.with_attrs({key: value for key, value in given.items() if key not in attrs})


def _output_names(func: relax.Function) -> list[str]:
    results = outputs(func)
    names = [str(out.name) if isinstance(out, relax.Var) else "output" for out in results]
    return [
        name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names)
    ]
