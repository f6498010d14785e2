"""The compiler: from an ONNX model to a network that runs on an accelerator.

``compile`` does it all, ``compile_levels`` at several sparsities; ``TileAndSchedule`` and
``EmitProgram`` are passes for a TVM pipeline.
Names are loaded when they are first used, so that what does not need TVM does not import it.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "compile": "driver",
    "compile_levels": "level_driver",
    "lower": "driver",
    "Stages": "stages",
    "Network": "network",
    "Levels": "levels",
    "TileAndSchedule": "passes",
    "EmitProgram": "passes",
    "supports": "support",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
