"""The layers of a function in which several are written out one after another.

``partition.reference_module`` makes such functions: the ops of each layer in order, and a tuple of
all results. Between one result and the next lie the ops of one layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.attrs import COMPOSITE_ATTR, NODE_ATTR, ZERO_POINT_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.layers import Layer
from zeroskip.relay_passes.integer.relax_functions import composite, read_layer
from zeroskip.relay_passes.relax.rewriting import bindings, outputs, used_vars


@dataclass(frozen=True, eq=False)
class WrittenOut:
    """A layer, the tensors it reads and the one it makes: inputs of the function first, then the
    layers' results. Of a layer that only moves data the zero points are not known: they are 0."""

    layer: Layer
    reads: tuple[int, ...]
    makes: int


def layers_in(
    function: relax.Function, nodes: Sequence[str], kinds: Sequence[str]
) -> list[WrittenOut]:
    """The layers of a function, whose nodes and kinds are known, in order.

    PassError if the function's ops are not those that these kinds write.
    """
    same: dict[Any, Any] = {}
    for binding in bindings(function):
        if isinstance(binding.value, relax.Var):
            same[binding.var] = same.get(binding.value, binding.value)
    results = [same.get(result, result) for result in outputs(function)]
    tensors = {param: at for at, param in enumerate(function.params)}
    calls = [each for each in bindings(function) if isinstance(each.value, Call)]
    layers: list[WrittenOut] = []
    start = 0
    for node, kind, result in zip(nodes, kinds, results, strict=True):
        stop = next((at for at, each in enumerate(calls) if each.var.same_as(result)), -1) + 1
        mine = calls[start:stop]
        start = stop
        inside = {each.var for each in mine}
        read = [arg for each in mine for arg in used_vars(each.value) if arg not in inside]
        if not mine or any(arg not in tensors for arg in read):
            raise PassError(f"the reference of '{node}' is not that of one layer; compile again")
        # A parameter for each use: a layer may read a tensor twice.
        params = [relax.Var(f"x{at}", arg.ty) for at, arg in enumerate(read)]
        alone = relax.Function(
            params, relax.SeqExpr([relax.BindingBlock(mine)], result), result.ty
        ).with_attrs({COMPOSITE_ATTR: composite(kind), NODE_ATTR: node, ZERO_POINT_ATTR: 0})
        layers.append(
            WrittenOut(read_layer(alone), tuple(tensors[arg] for arg in read), len(tensors))
        )
        tensors[result] = len(tensors)
    return layers
