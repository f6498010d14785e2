"""A whole program: the order its tokens allow, the run, the audit, the trace."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroskip.accel_model.machine.machine import Machine as Machine
    from zeroskip.accel_model.machine.run import Run as Run

_HOME = {"Machine": "machine", "Run": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
