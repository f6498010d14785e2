"""What a sweep of many points costs beside its compiles: a simulation on two workers.

    python -m benchmarks.sweep_scale [--points N] [--workers N]

Compiles are stubs that give figures at once, so what is measured is all else: keys, the scheduler,
the store, the table. Per tenth of the points: milliseconds a point, and memory of this process,
which holds the scheduler too. The fronts have weights of a small network's size, so that moving
them counts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from zeroskip.runtime.experiments.engine import Work, engine_of
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.run import missing_of, run
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import Outcome, Store
from zeroskip.runtime.experiments.table import FIGURES, table_of

MODEL = Path(__file__).parent.parent / "models" / "fashion_dense.onnx"
OF_A_FRONT = 100  # points
WEIGHTS = 350_000  # of a front


def make(_front: FrontPoint, _code: str, _cache: str | None) -> Any:
    return np.ones(WEIGHTS, np.float32)


def measure(front: Any, point: Point, _code: str, _cache: str | None) -> Outcome:
    value = float(front[0]) * dict(point.settings)["dram.latency_cycles"]  # type: ignore[operator]
    return Outcome({name: value for name in FIGURES if name != "failure"}, seconds=1.0)


def space(points: int) -> Space:
    fronts = max(1, points // OF_A_FRONT)
    return Space.of(
        [source_of(MODEL)],
        targets=["sparse256"],
        settings={"dram.latency_cycles": {"from": 0, "to": OF_A_FRONT - 1, "step": 1}},
        schemes=["unstructured"],
        sparsities=[round(0.1 + 0.8 * number / fronts, 6) for number in range(fronts)],
    )


def resident() -> float:
    """MiB of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    points = space(given.points)
    total = len(points)
    marks: list[tuple[int, float, float, float]] = []

    def on_progress(_what: str, done: int, _total: int) -> None:
        if done % (total // 10) == 0:
            marks.append((done, time.perf_counter(), time.process_time(), resident()))

    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s.sqlite") as store:
        began = time.perf_counter()
        missing = missing_of(points, store)
        print(
            f"keys of {total:,} points: {(time.perf_counter() - began) / total * 1e3:.3f} ms each"
        )
        with engine_of(Work(make, measure), workers=given.workers) as engine:
            run(points, missing, store, engine, on_progress)
            marks.append((total, time.perf_counter(), time.process_time(), resident()))
        print("| points | ms a point | of that this process | MiB |\n|---:|---:|---:|---:|")
        for (done, wall, own, _), (next_done, next_wall, next_own, memory) in pairwise(marks):
            count = next_done - done
            print(
                f"| {next_done:,} | {(next_wall - wall) / count * 1e3:.2f} "
                f"| {(next_own - own) / count * 1e3:.2f} | {memory:.0f} |"
            )
        began = time.perf_counter()
        assert missing_of(points, store) == set()
        print(f"asking again: {(time.perf_counter() - began) / total * 1e3:.3f} ms a point")
        began = time.perf_counter()
        table = table_of(points, store, tuple(points.settings))
        print(f"table: {(time.perf_counter() - began) / total * 1e3:.3f} ms a point")
        began = time.perf_counter()
        table.front("time", "energy", "area")
        print(f"front of three metrics: {time.perf_counter() - began:.2f} s")
        size = (Path(folder) / "s.sqlite").stat().st_size
        print(f"store: {size / total:,.0f} bytes a point")


if __name__ == "__main__":
    main()
