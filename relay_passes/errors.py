"""Refusals of the Relax stages: one sentence naming the ONNX node or file, and the remedy."""

import tvm_ffi

from zeroskip.accel_model.errors import ZeroskipError


@tvm_ffi.register_error
class FrontError(ZeroskipError):
    """The ONNX model cannot be read, normalised or imported."""


@tvm_ffi.register_error
class PassError(ZeroskipError):
    """A pass cannot transform the module it was given."""
