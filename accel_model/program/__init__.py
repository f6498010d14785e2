"""A program as a value and a file: instructions, tensors, weights, where each comes from."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroskip.accel_model.program.program import Program as Program
    from zeroskip.accel_model.program.tensor_layout import Tensor as Tensor

_HOME = {"Program": "program", "Tensor": "tensor_layout"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
