"""What of a user's Relax function cannot be compiled, by name, and the TVM pass that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, GlobalVar

from zeroskip.relay_passes.attrs import CODEGEN_ATTR, SCALES_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.entry import entry_name
from zeroskip.relay_passes.relax.operators import CONVOLUTIONS, SAME_ELEMENTS
from zeroskip.relay_passes.relax.rewriting import bindings, op_name

_INPUTS = "num_input"  # TVM's importers: so many parameters are inputs, the others weights
_LOWERED = ("relax.call_tir", "relax.call_tir_inplace", "relax.call_tir_with_grad")
_WEIGHTED = (*CONVOLUTIONS, "relax.matmul")
_NAMED = 3  # in one sentence


def refuse_open_shapes(func: relax.Function) -> None:
    """PassError for a parameter or a value whose sizes are not numbers."""
    name = entry_name(func)
    for param in func.params:
        open_sizes = list(_open_sizes(param.ty))
        if open_sizes:
            raise PassError(
                f"Parameter '{param.name}' of '{name}' has no fixed shape ({_shape(param.ty)}): "
                + _remedy(open_sizes, name)
            )
    for block in func.body.blocks:
        for binding in block.bindings:
            open_sizes = list(_open_sizes(binding.var.ty))
            if open_sizes:
                raise PassError(
                    f"Variable '{binding.var.name}' of '{name}' has no fixed shape "
                    f"({_shape(binding.var.ty)}): {_remedy(open_sizes, name)}"
                )


def refuse_unbound(func: relax.Function) -> None:
    """PassError for parameters that TVM's importer made of weights."""
    if func.attrs is None or _INPUTS not in func.attrs:
        return
    weights = [str(param.name) for param in list(func.params)[int(func.attrs[_INPUTS]) :]]
    if weights:
        raise _unbound(weights, entry_name(func))


def refuse_weight_parameters(func: relax.Function) -> None:
    """PassError for parameters that are a convolution's weights or a batch_norm's statistics, be it
    in another shape or layout."""
    source = {param: str(param.name) for param in func.params}
    weights: list[str] = []
    for binding in bindings(func):
        value, called = binding.value, op_name(binding.value)
        if called in (*SAME_ELEMENTS, "relax.permute_dims") and value.args[0] in source:
            source[binding.var] = source[value.args[0]]
        elif called in (*CONVOLUTIONS, "relax.nn.batch_norm"):
            weights += [source[arg] for arg in value.args[1:] if arg in source]
    if weights:
        raise _unbound(list(dict.fromkeys(weights)), entry_name(func))


def refuse_partitioned(mod: tvm.IRModule) -> None:
    """PassError for a `main` that was quantized here before, or calls a backend's regions."""
    main = mod["main"]
    name = entry_name(main)
    if SCALES_ATTR in (main.attrs or {}):
        raise PassError(
            f"Function '{name}' is quantized by zeroskip already: give the float module."
        )
    for var, func in mod.functions.items():
        if isinstance(func, relax.Function) and CODEGEN_ATTR in (func.attrs or {}):
            raise PassError(
                f"Function '{name}' calls '{var.name_hint}', a region of the backend "
                f"'{func.attrs[CODEGEN_ATTR]}': partition for zeroskip first; RunCodegen takes the "
                "regions of all backends."
            )


def refuse_lowered(func: relax.Function) -> None:
    """PassError for a function whose layers are TIR or fused functions already: none of them would
    be found, and all would stay on the CPU."""
    lowered = []
    for binding in bindings(func):
        called = op_name(binding.value)
        if called in _WEIGHTED:
            return
        if called in _LOWERED:
            lowered.append(binding.value.args[0].name_hint)
        elif isinstance(binding.value, Call) and isinstance(binding.value.op, GlobalVar):
            lowered.append(binding.value.op.name_hint)
    if lowered:
        calls = ", ".join(f"'{each}'" for each in dict.fromkeys(lowered[:_NAMED]))
        raise PassError(
            f"Function '{entry_name(func)}' has no convolution or matmul and calls {calls}: its layers are "
            "lowered already; partition the module before relax.transform.LegalizeOps, FuseOps or "
            "another backend's partition."
        )


def _unbound(weights: list[str], name: str) -> PassError:
    first, more = weights[0], len(weights) - 1
    and_more = (
        f" and {more} more are weights without values" if more else " is a weight without a value"
    )
    return PassError(
        f"Parameter '{first}' of '{name}'{and_more}: bind the weights first, "
        f"relax.transform.BindParams('{name}', {{'{first}': tensor, ...}})(mod)."
    )


def _open_sizes(ty: Any) -> Iterator[str]:
    """The sizes of tensors that are not numbers; "" of a tensor whose shape is unknown."""
    if isinstance(ty, relax.TupleType):
        for field in ty.fields:
            yield from _open_sizes(field)
    elif isinstance(ty, relax.TensorType):
        if not isinstance(ty.shape, relax.ShapeExpr):
            yield ""
            return
        for size in ty.shape:
            if not isinstance(size, int) and not hasattr(size, "value"):
                yield str(size)


def _shape(ty: Any) -> str:
    shape = getattr(ty, "shape", None)
    if not isinstance(shape, relax.ShapeExpr):
        return "unknown"
    return ", ".join(str(getattr(size, "value", size)) for size in shape)


def _remedy(open_sizes: list[str], name: str) -> str:
    if "" in open_sizes:
        return "the accelerator's programs are for fixed shapes, so build the module with those."
    size = open_sizes[0]
    return (
        "the accelerator's programs are for fixed sizes; bind them first, "
        f"relax.transform.BindSymbolicVars({{'{size}': 1}}, '{name}')(mod)."
    )
