"""TVM's code of a module, kept for the next test that compiles the same module: a tenth of the time
of all tests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import tvm
from tvm_ffi.structural import structural_equal, structural_hash

from zeroskip.relay_passes.relax import cpu

KEPT = 64  # lists of modules
Modules: TypeAlias = Sequence[tvm.IRModule]

_compile = cpu._compile
_kept: OrderedDict[tuple[int, ...], tuple[Modules, list[Any]]] = OrderedDict()


def compile_once(mods: Modules) -> list[Any]:
    """``cpu._compile``, or what it gave for equal modules while ``tvm.compile`` was the same: a test
    may have put another in its place."""
    key = (id(tvm.compile), *(structural_hash(mod, map_free_vars=True) for mod in mods))
    before = _kept.pop(key, None)
    if before is None or not all(
        structural_equal(one, other, map_free_vars=True)
        for one, other in zip(before[0], mods, strict=True)
    ):
        before = list(mods), _compile(mods)
    _kept[key] = before
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return before[1]
