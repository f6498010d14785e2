"""The weights that pruning may change, and a function with other weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.graph import (
    Env,
    bindings,
    const_value,
    make_const,
    node_of,
    op_name,
    rebuild,
    substitute,
)

PRUNED_ATTR = "zeroskip.pruned"
Floats = npt.NDArray[np.floating]
Globs: TypeAlias = str | tuple[str, ...]  # one glob, or any of several


@dataclass(frozen=True, eq=False)
class Prunable:
    """A convolution or matmul with constant weights.

    var: of its result. node: the ONNX node. weight: [K, C/groups, *kernel], of a matmul [out, in],
    whatever way round the graph holds it. first: reads an input of the network. positions: results
    of each filter, so that it multiplies ``positions`` times by each of its weights.
    """

    var: str
    node: str
    weight: Floats
    groups: int
    first: bool
    positions: int = 1

    @property
    def is_conv(self) -> bool:
        return self.weight.ndim > 2

    @property
    def is_depthwise(self) -> bool:
        return self.is_conv and self.weight.shape[1] == 1 and self.groups > 1

    @property
    def macs(self) -> int:
        """Multiplies by weights that are not zero, padding included."""
        return self.positions * int(np.count_nonzero(self.weight))

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]


def matches(node: str, globs: Globs) -> bool:
    """Whether a node's name is among those that globs stand for."""
    return any(fnmatchcase(node, glob) for glob in ((globs,) if isinstance(globs, str) else globs))


def prunables(func: relax.Function, globs: Globs = "*") -> list[Prunable]:
    """The layers of a float function whose node matches, in order."""
    params = set(func.params)
    found = []
    for binding in bindings(func):
        call, name = binding.value, op_name(binding.value) or ""
        if not name.startswith("relax.nn.conv") and name != "relax.matmul":
            continue
        weight = const_value(call.args[1])
        if weight is None or "transpose" in name or weight.dtype.kind != "f" or weight.ndim < 2:
            continue
        if name == "relax.matmul" and weight.ndim > 2:
            continue
        node = node_of(func, binding.var)
        if matches(node, globs):
            matmul = name == "relax.matmul"
            held = cast(Floats, weight.T if matmul else weight)
            results = prod(int(size) for size in binding.var.ty.shape)
            found.append(Prunable(
                str(binding.var.name), node, held, 1 if matmul else int(call.attrs.groups),
                call.args[0] in params, results // len(held)))
    return found


def with_weights(func: relax.Function, weights: Mapping[str, Floats],
                 notes: Mapping[str, str]) -> relax.Function:
    """The function with some layers' weights, by variable and as in ``Prunable``, replaced.

    notes: node -> what was done to it, added to the attribute ``zeroskip.pruned``.
    """

    def visit(_builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
              ) -> relax.Expr | None:
        weight = weights.get(str(binding.var.name))
        if weight is None:
            return None
        old = substitute(binding.value, env)
        held = weight.T if op_name(old) == "relax.matmul" else weight
        constant = make_const(held.astype(str(old.args[1].ty.dtype), copy=False))
        return Call(old.op, [old.args[0], constant, *old.args[2:]], old.attrs, old.ty_args,
                    old.span)

    return with_notes(rebuild(func, visit), notes)


def with_notes(func: relax.Function, notes: Mapping[str, str]) -> relax.Function:
    """The function with ``zeroskip.pruned`` extended; of one node, earlier notes come first."""
    known = dict(func.attrs[PRUNED_ATTR]) if func.attrs and PRUNED_ATTR in func.attrs else {}
    merged = {str(node): str(note) for node, note in known.items()}
    for node, note in notes.items():
        merged[node] = f"{merged[node]}; {note}" if node in merged else note
    return func.with_attr(PRUNED_ATTR, merged)


def left(weight: Floats) -> str:
    """How much of a weight is left, in words."""
    return f"{np.count_nonzero(weight)} of {weight.size} weights left"
