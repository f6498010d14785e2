"""What TVM is told of zeroskip: the packed function, and the names by which compilers are found."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import tvm
import tvm_ffi

from zeroskip.accel_model.spec import targets

PIPELINE = "zeroskip"


def register() -> None:
    """Make zeroskip known to TVM in this process; a second call does nothing more.

    - the packed function ``zeroskip.run``, which compiled modules and exported libraries call;
    - ``relax.get_pipeline("zeroskip", target=..., samples=...)``;
    - ``relax.ext.zeroskip``, which ``relax.transform.RunCodegen`` calls;
    - target tags ``zeroskip/<name>`` of all built-in targets.

    Only the first with a TVM that has no compiler (``TVM_USE_RUNTIME_LIB=1``).
    """
    import_module("zeroskip.runtime.execution.packed")
    if tvm.base._RUNTIME_ONLY:
        return
    pipelines = import_module("tvm.relax.pipeline")
    if PIPELINE not in pipelines.PIPELINE_MAP:
        pipelines.register_pipeline(PIPELINE)(_pipeline)
    tvm_ffi.register_global_func("relax.ext.zeroskip", _codegen, override=True)
    for name in targets():
        config = {"kind": "llvm", "keys": ["cpu", "zeroskip"], "model": name}
        tvm.target.register_tag(f"zeroskip/{name}", config, override=True)


def _pipeline(*args: Any, **options: Any) -> Any:
    return import_module("zeroskip.compiler.backend").pipeline(*args, **options)


def _codegen(*args: Any) -> Any:
    return import_module("zeroskip.compiler.backend").codegen(*args)
