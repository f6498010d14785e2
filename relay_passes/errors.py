"""Refusals of the Relax stages: one sentence naming the ONNX node or file, and the remedy."""

from zeroskip.accel_model.errors import ZeroskipError


class FrontError(ZeroskipError):
    """The ONNX model cannot be read, normalised or imported."""


class PassError(ZeroskipError):
    """A pass cannot transform the module it was given."""
