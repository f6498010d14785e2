"""The node for which TVM has no code, of a module that it cannot compile."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import HOST_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.rewriting import (
    bindings,
    function_in,
    node_of,
    op_name,
    substitute,
    used_vars,
)


def refused_compile(mod: tvm.IRModule, compiles: Callable[[tvm.IRModule], Any]) -> PassError | None:
    """What to say of a module that did not compile; None if each of its nodes does by itself.

    compiles: raises for a module that TVM cannot compile.
    """
    hosts = [func for func in mod.functions.values() if func.attrs and HOST_ATTR in func.attrs]
    for func in (mod["main"], *hosts):
        for binding in bindings(func):
            if op_name(binding.value) is None:
                continue
            try:
                compiles(_alone(binding))
            except Exception:  # TVM's, of many kinds
                return PassError(
                    f"Node '{node_of(func, binding.var)}' cannot be compiled by TVM for "
                    "the CPU: replace it by other ONNX operators before export"
                )
    return None


def _alone(binding: relax.VarBinding) -> tvm.IRModule:
    """A module of one operator, its inputs parameters."""
    read = list(dict.fromkeys(used_vars(binding.value)))
    params = [relax.Var(f"x{number}", var.ty) for number, var in enumerate(read)]
    builder = relax.BlockBuilder()
    with function_in(builder, "main", params):
        with builder.dataflow():
            value = substitute(binding.value, dict(zip(read, params, strict=True)))
            result = builder.emit_output(builder.normalize(value))
        builder.emit_func_output(result)
    return builder.finalize()
