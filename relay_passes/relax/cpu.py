"""Compiling a Relax module for the CPU of this machine, and running it.

TVM's default llvm schedules are serial and scalar. The rules here make a vector of the innermost
axis and, for a reduction (convolution, matrix product, pooling), sum a block of output channels in
registers. A schedule changes the order of the terms only: integer results are the same bits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax, s_tir
from tvm.relax.backend.cpu_generic import pipeline as cpu_passes
from tvm.s_tir import dlight
from tvm.s_tir.dlight.analysis import SBlockInfo, normalize_prim_func
from tvm.target import Target, codegen
from tvm_ffi.structural import structural_walk

from zeroskip.relay_passes.relax.cpu_refusal import refused_compile
from zeroskip.relay_passes.relax.quiet import quiet

_VECTOR_ELEMENT_BITS = 32  # float32 and int32, the types that a reduction sums in
_WORTH_A_VECTOR = 4
_VECTOR_BITS = (("avx512f", 512), ("avx", 256), ("sse2", 128))  # the first that a processor has
# The functions of one number that LLVM, or TVM for it, has for vectors; of the others (cosh, sinh,
# erf, ...) there is only the C library's, which takes one number.
_OF_VECTORS = {
    "abs",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "exp",
    "exp10",
    "exp2",
    "fabs",
    "floor",
    "fma",
    "if_then_else",
    "isinf",
    "isnan",
    "large_uint_imm",
    "likely",
    "log",
    "log10",
    "log1p",
    "log2",
    "nearbyint",
    "pow",
    "q_multiply_shift",
    "reinterpret",
    "round",
    "rsqrt",
    "shift_left",
    "shift_right",
    "sigmoid",
    "sqrt",
    "tanh",
    "trunc",
}


def cpu_target(processor: str | None = None) -> Target:
    """llvm for a processor, by default that on which this runs, with all its vector extensions.

    TVM takes every x86 processor for one with vectors of 512 bits.
    """
    target = {"kind": "llvm", "mcpu": processor or codegen.llvm_get_system_cpu()}
    for feature, bits in _VECTOR_BITS:
        if codegen.target_has_features(feature, Target(target)):
            return Target({**target, "vector-width": bits})
    return Target(target)


def compile_for_cpu(mod: tvm.IRModule) -> Any:
    """A TVM executable of the float or integer module, scheduled for this machine's CPU.

    PassError names the ONNX node for which TVM has no code.
    """
    return compile_alike([mod])[0]


def compile_alike(mods: Sequence[tvm.IRModule]) -> list[Any]:
    """An executable of each module, all by the same passes: floats round alike in all of them where
    they compute the same (a multiply and an add that are fused round once).

    PassError as ``compile_for_cpu``.
    """
    with quiet():
        try:
            return _compile(mods)
        except Exception as error:  # TVM's, of many kinds
            refusals = (refused_compile(mod, lambda one: _compile([one])) for mod in mods)
            refusal = next((each for each in refusals if each is not None), None)
            if refusal is None:
                raise
            raise refusal from error


def _compile(mods: Sequence[tvm.IRModule]) -> list[Any]:
    target = cpu_target()
    legalize = cpu_passes.legalize_passes(target)
    # TVM 0.27's FuseTIR fails on some large graphs in some processes and not in others
    # ("buffer_idx == buffers.size()"); unfused, the same ops give the same numbers.
    plain = [one for one in legalize if one.info.name not in ("FuseOps", "FuseTIR")]
    ours = dlight.ApplyDefaultSchedule(
        ScheduleRule("reduction", _schedule_reduction),
        ScheduleRule("elementwise", _schedule_elementwise),
    )
    with target, _without_argument_checks():
        for passes in ([*legalize, ours], [*plain, ours]):
            try:
                return [
                    tvm.compile(mod, target, relax_pipeline=_pipeline(target, passes))
                    for mod in mods
                ]
            except tvm.error.InternalError:  # from a pass or from LLVM
                continue
        return [
            tvm.compile(mod, target, relax_pipeline=_pipeline(target, legalize)) for mod in mods
        ]


def _without_argument_checks() -> tvm.transform.PassContext:
    """The context in force, but functions of a module do not check each other's arguments.

    Relax has inferred their shapes and types, and checks those of what is given to the module; the
    checks of each argument of each function are most of what LLVM gets of a small network.
    """
    outer = tvm.transform.PassContext.current()
    return tvm.transform.PassContext(
        opt_level=outer.opt_level,
        required_pass=outer.required_pass,
        disabled_pass=outer.disabled_pass,
        config={**outer.config, "tirx.disable_assert": True},
    )


def _pipeline(target: Target, legalize: Sequence[Any]) -> Any:
    """TVM's own pipeline for a CPU with these passes in the middle."""
    return tvm.transform.Sequential(
        [
            *cpu_passes.library_dispatch_passes(target),
            *legalize,
            *cpu_passes.dataflow_lower_passes(target),
            *cpu_passes.finalize_passes(target),
        ]
    )


def run_cpu(
    executable: Any, fn_name: str, inputs: Sequence[npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Call one function of an executable of ``compile_for_cpu``; its results, in order."""
    vm = relax.VirtualMachine(executable, tvm.cpu())
    result = vm[fn_name](*(tvm.runtime.tensor(np.asarray(x, order="C")) for x in inputs))
    tensors = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    return [tensor.numpy() for tensor in tensors]


class ScheduleRule(dlight.ScheduleRule):  # type: ignore[misc]  # TVM has no types
    """A dlight rule: ``schedule(sch, blocks, lanes)`` says whether it took the function.

    What it refuses, or cannot schedule, and what calls a function that there is only of single
    numbers, keeps TVM's default schedule.
    """

    def __init__(
        self, name: str, schedule: Callable[[s_tir.Schedule, list[SBlockInfo], int], bool]
    ) -> None:
        super().__init__()
        self.name = name
        self._schedule = schedule

    def apply(self, func: Any, target: Target, _tunable: bool) -> s_tir.Schedule | None:
        if not _calls(func) <= _OF_VECTORS:
            return None
        lanes = codegen.llvm_get_vector_width(target) // _VECTOR_ELEMENT_BITS
        try:
            sch = s_tir.Schedule(func)
            blocks = normalize_prim_func(sch)
            return sch if blocks and self._schedule(sch, blocks, max(lanes, 1)) else None
        except Exception:  # TVM's, of forms it does not know, and ours of sizes that are none yet
            return None


def _calls(func: Any) -> set[str]:
    """The operators that a function calls, without their dialect's name."""
    found: set[str] = set()

    def look(call: Any) -> None:
        found.add(str(getattr(call.op, "name", call.op)).rpartition(".")[2])

    structural_walk(func.body, (tvm.ir.Call, look))
    return found


def _schedule_elementwise(sch: s_tir.Schedule, blocks: list[SBlockInfo], lanes: int) -> bool:
    if not all(block.is_injective() for block in blocks):
        return False
    for block in blocks[:-1]:
        sch.compute_inline(block.block_rv)
    _parallel_rows(sch, blocks[-1].block_rv, lanes)
    return True


def _schedule_reduction(sch: s_tir.Schedule, blocks: list[SBlockInfo], lanes: int) -> bool:
    """One reduction, what is computed before it (padding) and after it (bias, activation).

    Tiles of ``lanes`` channels by up to ``lanes`` columns: the sums of a tile stay in vector
    registers through the whole reduction. A channel is the third axis from the end, else the first.
    """
    reductions = [i for i, block in enumerate(blocks) if not block.is_injective()]
    if len(reductions) != 1:
        return False
    index = reductions[0]
    before, block, after = blocks[:index], blocks[index], blocks[index + 1 :]
    kinds = block.dom_kind()
    spatial = kinds.count("S")
    if not kinds.startswith("S") or "RS" in kinds or not kinds.endswith("R"):
        return False
    for other in (*before[:-1], *after[:-1]):
        sch.compute_inline(other.block_rv)
    if before:
        _parallel_rows(sch, before[-1].block_rv, lanes)
    last = after[-1].block_rv if after else sch.cache_write(block.block_rv, 0, "local")

    if not sch.get_loops(last):
        return False
    *outer, columns = sch.get_loops(last)
    column_tiles, vector = sch.split(columns, [None, _divisor(_extent(sch, columns), lanes)])
    tile = [vector]
    if outer:
        channel = max(len(outer) - 2, 0)
        size = _divisor(_extent(sch, outer[channel]), lanes)
        outer[channel], inner = sch.split(outer[channel], [None, size])
        tile = [inner, vector]
    sch.reorder(*outer, column_tiles, *tile)
    tiles = sch.fuse(*outer, column_tiles) if outer else column_tiles
    sch.parallel(tiles)
    sch.compute_at(block.block_rv, tiles, preserve_unit_loops=True)

    loops = sch.get_loops(block.block_rv)[-len(kinds) :]
    sums, terms = loops[:spatial], loops[spatial:]
    sch.reorder(*terms, *sums)
    if _extent(sch, vector) >= _WORTH_A_VECTOR:
        sch.vectorize(vector)
        sch.vectorize(sums[-1])
        if outer and channel < spatial - 1:
            sch.unroll(sums[channel])
    sch.decompose_reduction(block.block_rv, terms[0])
    return True


def _parallel_rows(sch: s_tir.Schedule, block: Any, lanes: int) -> None:
    """Rows on all threads, the columns of a row in vectors."""
    loops = sch.get_loops(block)
    if not loops:
        return
    *rows, columns = loops
    outer, vector = sch.split(columns, [None, _divisor(_extent(sch, columns), lanes)])
    sch.parallel(sch.fuse(*rows, outer) if rows else outer)
    if _extent(sch, vector) >= _WORTH_A_VECTOR:
        sch.vectorize(vector)


def _extent(sch: s_tir.Schedule, loop: Any) -> int:
    return int(sch.get(loop).extent)


def _divisor(n: int, limit: int) -> int:
    """The largest divisor of ``n`` up to ``limit``."""
    return max(d for d in range(1, min(n, limit) + 1) if n % d == 0)
