"""What the CPU does in a network's host module, call by call."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule

from zeroskip.compiler.artifact.placement import HostCall
from zeroskip.relay_passes.attrs import HOST_ATTR
from zeroskip.relay_passes.relax.rewriting import bindings, used_vars


def host_calls(mod: IRModule) -> tuple[HostCall, ...]:
    """What ``main`` of a module of ``JoinHostCalls`` has the CPU do, in order."""
    every = bindings(mod["main"])
    hosts = [each for each in every if _is_host(mod, each.value)]
    parts: dict[Any, set[Any]] = {}  # of what returns a tuple: the variables that take it apart
    returned: set[Any] = set()
    given: Counter[Any] = Counter()  # variables that regions read, by how many
    for each in every:
        if isinstance(each.value, relax.TupleGetItem):
            parts.setdefault(each.value.tuple_value, set()).add(each.var)
        elif not _is_host(mod, each.value):
            returned.add(each.var)
            given.update(used_vars(each.value))
    returned |= {var for whole in returned for var in parts.get(whole, ())}
    return tuple(
        HostCall(
            tuple(map(str, mod[each.value.op].attrs[HOST_ATTR])),
            sum(_nbytes(var) for var in returned.intersection(used_vars(each.value))),
            sum(_nbytes(var) * given[var] for var in parts.get(each.var, {each.var})),
        )
        for each in hosts
    )


def _is_host(mod: IRModule, value: Any) -> bool:
    return (
        isinstance(value, Call)
        and isinstance(value.op, GlobalVar)
        and HOST_ATTR in mod[value.op].attrs
    )


def _nbytes(var: Any) -> int:
    return prod(int(size) for size in var.ty.shape) * np.dtype(str(var.ty.dtype)).itemsize
