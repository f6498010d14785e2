"""TVM's code of a module, kept for the next test that compiles the same module and, for small
networks, not optimised by LLVM: the schedules are the same, and so are the numbers. TVM's own code
of a module, as tests' reference, likewise.

LLVM's compiler within a process optimises whatever the target says; a library of the smallest is
made in a third of the time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import tvm
from tvm.target import Target
from tvm_ffi.structural import structural_equal, structural_hash, structural_walk

from zeroskip.relay_passes.relax import cpu

KEPT = 64  # lists of modules
SMALL = 1 << 20  # numbers in constants: to compile these takes longer than to run them
TINY = 1 << 16  # numbers in constants: to optimise these at all takes longer than to run them
Modules: TypeAlias = Sequence[tvm.IRModule]

_LINKER = shutil.which("ld") if sys.platform == "linux" else None

_compile = cpu._compile
_cpu_target = cpu.cpu_target
_kept: OrderedDict[tuple[str | int, ...], tuple[Modules, list[Any]]] = OrderedDict()


def compile_once(mods: Modules) -> list[Any]:
    """``cpu._compile``, or what it gave for equal modules while ``tvm.compile`` was the same: a
    test may have put another in its place."""
    return _once("ours", mods, _of_cpu)


def by_tvm(mod: tvm.IRModule) -> Any:
    """``tvm.compile(mod, "llvm")``, or what it gave for an equal module. Its functions do not check
    their arguments: that is most of what LLVM would get of a small network."""
    return _once("TVM's", [mod], _plainly)[0]


def _once(way: str, mods: Modules, make: Callable[[Modules], list[Any]]) -> list[Any]:
    hashes = (structural_hash(mod, map_free_vars=True) for mod in mods)
    key = (way, id(tvm.compile), *hashes)
    before = _kept.pop(key, None)
    if before is None or not all(
        structural_equal(one, other, map_free_vars=True)
        for one, other in zip(before[0], mods, strict=True)
    ):
        before = list(mods), make(mods)
    _kept[key] = before
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return before[1]


def _of_cpu(mods: Modules) -> list[Any]:
    size = sum(map(numbers_in, mods))
    cpu.cpu_target = quick_target if size <= SMALL else _cpu_target
    return [linked(each) if size <= TINY else each for each in _compile(mods)]


def _plainly(mods: Modules) -> list[Any]:
    size = sum(map(numbers_in, mods))
    target = Target({"kind": "llvm", "opt-level": 0} if size <= SMALL else "llvm")
    with cpu._without_argument_checks():
        made = [tvm.compile(mod, target) for mod in mods]
    return [linked(each) if size <= TINY else each for each in made]


def linked(executable: Any) -> Any:
    """The executable with its code in a shared library, where there is a linker for it."""
    codes = [each for each in executable.mod.imports if each.kind == "llvm"]
    if _LINKER is None or len(executable.mod.imports) != 1 or len(codes) != 1:
        return executable
    with TemporaryDirectory() as folder:
        made, library = f"{folder}/code.o", f"{folder}/code.so"
        codes[0].write_to_file(made, "o")
        subprocess.run([_LINKER, "-shared", "-o", library, made], check=True)
        code = tvm.runtime.load_module(library)
    executable.mod.clear_imports()
    executable.mod.import_module(code)
    return executable


def numbers_in(mod: tvm.IRModule) -> int:
    """How many numbers the constants of a module hold."""
    sizes: list[int] = []
    for func in mod.functions.values():
        structural_walk(
            func, (tvm.ir.GenericConst, lambda each: sizes.append(prod(each.value.shape)))
        )
    return sum(sizes)


def quick_target(processor: str | None = None) -> Target:
    """``cpu.cpu_target`` without LLVM's optimisations, most of the time of a small network."""
    return Target({**_cpu_target(processor).export(), "opt-level": 0})
