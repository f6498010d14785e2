"""Calibration, at the path by which pipelines outside of this package import it."""

from zeroskip.relay_passes.quantize.calibrate import Method, Range, calibrate

__all__ = ["Method", "Range", "calibrate"]
