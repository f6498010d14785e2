"""What is refused of an experiment."""

from __future__ import annotations

from zeroskip.accel_model.errors import ZeroskipError


class ExperimentError(ZeroskipError):
    """An experiment that cannot be run as it was asked for, or a store that cannot be used."""


class EngineError(ExperimentError):
    """What ends an experiment, and is no failure of the point that was measured: a scheduler that
    is not reached, workers of another version or without the files."""
