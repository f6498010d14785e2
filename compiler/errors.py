"""Refusals of the compiler."""

from zeroskip.accel_model.errors import ZeroskipError


class CompileError(ZeroskipError):
    """A network or a layer that cannot be compiled for the target; names the node and why."""
