"""Tuning for the compiler, which cannot run programs itself."""

from __future__ import annotations

from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.program import Program
from zeroskip.compiler.autotune import Tuning


def tuning(count: int) -> Tuning:
    """``count`` schedules of each layer, timed on the machine: for ``compiler.compile(tune=...)``.

    CompileError if ``count`` is less than one.
    """
    machines: dict[str, Machine] = {}

    def measure(program: Program) -> int:
        machine = machines.setdefault(program.fingerprint, Machine(program.spec))
        return machine.run(program, {}, numbers=False).cycles

    return Tuning(count, measure)
