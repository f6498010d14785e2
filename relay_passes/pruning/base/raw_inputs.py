"""What a network's layers see of its inputs before anything was learned of them."""

from __future__ import annotations

from collections.abc import Set

from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.relax.rewriting import bindings, op_name, used_vars

_PRODUCTS = {"relax.matmul", "relax.einsum"}
_LOOKUPS = {"relax.take", "relax.gather_nd", "relax.gather_elements"}


def raw_inputs(func: relax.Function) -> set[relax.Var]:
    """The variables that hold the inputs, as they are or after operators without learned weights:
    transposed, cast, normalised, padded, cut, joined, pooled, quantized.

    What is made of an input and of a layer's result is no longer raw.
    """
    raw = set(func.params)
    fixed: set[relax.Var] = set()  # what depends on constants alone
    for binding in bindings(func):
        read = set(used_vars(binding.value))
        if read <= fixed:
            fixed.add(binding.var)
        elif read <= raw | fixed and not _has_weights(binding.value, raw):
            raw.add(binding.var)
    return raw


def _has_weights(value: relax.Expr, raw: Set[relax.Var]) -> bool:
    """Whether a call is a layer: a convolution, a product with a constant, a table's rows."""
    name = op_name(value) or ""
    if name.startswith("relax.nn.conv"):
        return True
    if not isinstance(value, Call) or name not in _PRODUCTS | _LOOKUPS:
        return False
    parts = [
        part
        for arg in value.args
        for part in (arg.fields if isinstance(arg, relax.Tuple) else [arg])
    ]
    factors = parts if name in _PRODUCTS else parts[:1]
    return any(part not in raw for part in factors)
