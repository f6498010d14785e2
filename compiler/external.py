"""Runtime modules that TVM links beside a compiled network: what its calls of programs go through.

Each is a few lines of LLVM, so that no C compiler is needed to run a network in the process that
compiled it. They call the packed function ``zeroskip.run`` of the process that runs the network;
where there is none, they say which import lacks.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import IRModule

from zeroskip.relay_passes.attrs import LINKED_ATTR, PACKED

EXTERNAL_ATTR = "external_mods"  # TVM's: runtime modules that tvm.compile links in
UNREGISTERED = (
    f"'{PACKED}', which runs the programs of this library on zeroskip's accelerator, is not "
    "registered in this process: in Python, first `import zeroskip; zeroskip.register()`; in C++, "
    "register a function of that name (docs/FLOW.md)"
)
_BYTES_POINTER = 9  # kTVMFFIByteArrayPtr of tvm/ffi/c_api.h


def with_run_module(mod: IRModule) -> IRModule:
    """The module with `run_module` among the modules that TVM links in, once."""
    attrs = mod.attrs or {}
    if LINKED_ATTR in attrs:
        return mod
    linked = [*attrs.get(EXTERNAL_ATTR, ()), run_module()]
    return mod.with_attr(EXTERNAL_ATTR, linked).with_attr(LINKED_ATTR, True)


def run_module() -> Any:
    """A runtime module whose function ``zeroskip.run`` is the one of the process; RuntimeError with
    the sentence ``UNREGISTERED`` where there is none."""
    return _loaded(_text(PACKED, None))


def region_module(symbol: str, program: bytes) -> Any:
    """A runtime module whose function ``symbol(inputs..., outputs...)`` runs a program's file."""
    return _loaded(_text(symbol, program))


def _loaded(text: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "zeroskip.ll"
        file.write_text(text, encoding="ascii")
        return tvm.runtime.load_module(str(file))


def _text(symbol: str, program: bytes | None) -> str:
    """LLVM of a function that calls ``zeroskip.run`` with its own arguments, behind the program if
    there is one. The C interface is tvm/ffi/c_api.h's: TVMFFIAny is { i32, i32, i64 }."""
    target = tvm.target.Target.current(allow_none=True) or tvm.target.Target("llvm")
    held = "" if program is None else _PROGRAM.format(size=len(program), data=_string(program))
    return _MODULE.format(
        machine=_machine(str(target.host or target)),
        name_size=len(PACKED),
        name=_string(PACKED.encode()),
        kind=_string(b"RuntimeError\0"),
        kind_size=len("RuntimeError") + 1,
        why=_string(UNREGISTERED.encode() + b"\0"),
        why_size=len(UNREGISTERED) + 1,
        held=held,
        symbol=symbol,
        more=0 if program is None else 1,
        prepend="" if program is None else _PREPEND.format(kind=_BYTES_POINTER),
    )


def _string(data: bytes) -> str:
    return "".join(f"\\{byte:02X}" for byte in data)


@cache
def _machine(target: str) -> str:
    """The lines by which TVM's own LLVM modules of a target say what machine they are for."""
    nothing = tirx.PrimFunc([], tirx.Evaluate(0)).with_attr("global_symbol", "nothing")
    built = tirx.build(IRModule({"nothing": nothing}), target=tvm.target.Target(target))
    lines = built.inspect_source("ll").splitlines()
    return "\n".join(line for line in lines if line.startswith("target "))


_PROGRAM = """
@program = private constant [{size} x i8] c"{data}"
@program_bytes = private constant {{ ptr, i64 }} {{ ptr @program, i64 {size} }}
"""

_PREPEND = """
  store %any {{ i32 {kind}, i32 0, i64 ptrtoint (ptr @program_bytes to i64) }}, ptr %all
"""

_MODULE = """{machine}
%any = type {{ i32, i32, i64 }}
@name = private constant [{name_size} x i8] c"{name}"
@name_bytes = private constant {{ ptr, i64 }} {{ ptr @name, i64 {name_size} }}
@kind = private constant [{kind_size} x i8] c"{kind}"
@why = private constant [{why_size} x i8] c"{why}"
{held}
declare i32 @TVMFFIFunctionGetGlobal(ptr, ptr)
declare i32 @TVMFFIFunctionCall(ptr, ptr, i32, ptr)
declare i32 @TVMFFIObjectDecRef(ptr)
declare void @TVMFFIErrorSetRaisedFromCStr(ptr, ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i32 @"__tvm_ffi_{symbol}"(ptr %self, ptr %args, i32 %count, ptr %result) {{
  %slot = alloca ptr
  store ptr null, ptr %slot
  %status = call i32 @TVMFFIFunctionGetGlobal(ptr @name_bytes, ptr %slot)
  %run = load ptr, ptr %slot
  %missing = icmp eq ptr %run, null
  br i1 %missing, label %refuse, label %forward
refuse:
  call void @TVMFFIErrorSetRaisedFromCStr(ptr @kind, ptr @why)
  ret i32 -1
forward:
  %number = add i32 %count, {more}
  %all = alloca %any, i32 %number
  {prepend}
  %rest = getelementptr %any, ptr %all, i32 {more}
  %items = sext i32 %count to i64
  %bytes = mul i64 %items, 16
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %args, i64 %bytes, i1 false)
  %code = call i32 @TVMFFIFunctionCall(ptr %run, ptr %all, i32 %number, ptr %result)
  %dropped = call i32 @TVMFFIObjectDecRef(ptr %run)
  ret i32 %code
}}
"""
