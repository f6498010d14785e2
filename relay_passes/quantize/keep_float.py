"""Nodes that stay in float because the user asked for it."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import FLOAT_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import nodes_of

BY_REQUEST = "it is kept in float by request (--float)"


@function_pass("KeepFloat")
class KeepFloat(Pass):
    """Marks ONNX nodes that QuantizeInt8 is to leave in float, on the CPU.

    Names or globs, as pruning's ``layers`` takes them. What of a layer is one integer operation
    stays together: with its convolution a bias and an activation are float too, and the other way
    round. PassError for what is no node's name, with those nearest to it.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = tuple(nodes)

    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        known = list(dict.fromkeys(nodes_of(func).values()))
        chosen: set[str] = set()
        for glob in self.nodes:
            found = {node for node in known if node == glob or fnmatchcase(node, glob)}
            if not found:
                raise PassError(_unknown(glob, known))
            chosen |= found
        return func.with_attr(FLOAT_ATTR, [node for node in known if node in chosen])


def kept_float(func: relax.Function) -> set[str]:
    """The nodes that ``KeepFloat`` marked."""
    if func.attrs is None or FLOAT_ATTR not in func.attrs:
        return set()
    return {str(node) for node in func.attrs[FLOAT_ATTR]}


def _unknown(glob: str, known: Sequence[str]) -> str:
    close = get_close_matches(glob, known, n=3, cutoff=0.3) or known[:3]
    there = ", ".join(f"'{node}'" for node in close)
    return (
        f"No node is named '{glob}', which is to stay in float; the nearest are {there}"
        if close
        else f"No node is named '{glob}', which is to stay in float: there are none"
    )
