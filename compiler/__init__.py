"""The compiler: from a model to a network that runs on an accelerator.

``compile`` does it all, ``compile_levels`` at several sparsities, ``partition_for_zeroskip`` in a
TVM module; ``TileAndSchedule`` and ``EmitProgram`` are passes for a TVM pipeline.
Names are loaded when they are first used, so that what does not need TVM does not import it. The
rooms, in the order of the flow (``driver`` is the map):

- ``ir``: layers, operations, tiles, schedules as values.
- ``lowering``: a Relax region to operations.
- ``scheduling``: the search for tiles and groups.
- ``codegen``: schedules to instructions.
- ``passes``, ``autotune``, ``dump``: the same as Relax passes, timed, as text.
- ``external``: what TVM links beside a network.
- ``mlir``: programs in a dialect of MLIR and back, layers in TOSA.
- ``artifact``: networks and their files.
- ``driver``, ``multi_level``: from a model to a network, or to nested ones.
- ``backend``: the driver by the names of TVM's backends.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "compile": "driver",
    "compile_levels": "multi_level",
    "lower": "driver",
    "Stages": "stages",
    "Network": "artifact.network",
    "Levels": "artifact.nested_file",
    "TileAndSchedule": "passes",
    "EmitProgram": "passes",
    "partition_for_zeroskip": "backend",
    "supports": "lowering.legality",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
