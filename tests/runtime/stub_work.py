"""What workers do in tests that are about points, engines and stores, not about compiling."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from zeroskip.runtime.experiments.engine import Work
from zeroskip.runtime.experiments.errors import EngineError
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.store import Outcome

LATENCY = "dram.latency_cycles"  # the setting that says what happens
REFUSED, STRANGE, DEADLY, OTHER = 1, 2, 3, 4


def make(front: FrontPoint, _code: str, folder: str | None) -> Any:
    """A front; leaves a file in the folder, so that a test can count how many were made."""
    if folder is not None:
        (Path(folder) / f"{front.key[:16]}.{os.getpid()}.{time.monotonic_ns()}").touch()
    return {"front": front.title}


def measure(front: Any, point: Point, _code: str, _folder: str | None) -> Outcome:
    """Figures that only this point has, or what its latency says."""
    latency = dict(point.settings).get(LATENCY)
    if latency == REFUSED:
        return Outcome(failure="refused")
    if latency == STRANGE:
        raise ValueError("strange")
    if latency == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if latency == OTHER:
        raise EngineError("another version")
    return Outcome({"recipe": front["front"], "cycles": latency, "cpu_share": 0.0})


STUB = Work(make, measure)
