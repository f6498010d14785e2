"""Two workers against one on a sweep of 40 points.

    python -m benchmarks.sweep_workers [--rounds N]

Every run begins with no schedules and no store. Beside the wall clock, the processor time that each
worker took says what two cores that have nothing else to do would give: on a machine that others
use the wall clock measures them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from zeroskip.accel_model.io.telling import no_progress
from zeroskip.runtime.experiments import engine as engines
from zeroskip.runtime.experiments.engine import Cluster
from zeroskip.runtime.experiments.run import missing_of, run
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import MEMORY, Store

MODELS = Path(__file__).parent.parent / "models"


def space() -> Space:
    """Five fronts of eight points."""
    return Space.of(
        [source_of(MODELS / "fashion_dense.onnx", calibrate=MODELS / "fashion_calibration.npz")],
        targets=["sparse256"],
        settings={
            "array.kind": ["bitmap", "dense"],
            "sram.act_bytes": {"from": "32KiB", "to": "256KiB", "times": 2},
        },
        schemes=["dense", "unstructured", "nm:m=8"],
        sparsities=[0.5, 0.75],
    )


def swept(workers: int) -> tuple[float, float, list[float]]:
    """Seconds of the sweep with the start of its workers, without it, and the processor time of
    each worker, its start included."""
    from distributed import Client

    points, began = space(), time.perf_counter()
    with engines._local(workers) as cluster, Client(cluster) as client, Store(MEMORY) as store:
        client.run(_imported)
        ready = time.perf_counter()
        counts = run(points, missing_of(points, store), store, Cluster(client), no_progress)
        assert counts.measured == len(points) == 40, counts
        ended = time.perf_counter()
        taken: dict[Any, float] = client.run(time.process_time)
        return ended - began, ended - ready, sorted(taken.values())


def _imported() -> None:
    import zeroskip.runtime.experiments.front  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    print(
        "| workers | s, with their start | s | processor s of each worker |\n|---:|---:|---:|---|"
    )
    for _ in range(given.rounds):
        figures = {}
        for workers in (1, 2):
            figures[workers] = swept(workers)
            whole, alone, taken = figures[workers]
            each = ", ".join(f"{seconds:.1f}" for seconds in taken)
            print(f"| {workers} | {whole:.1f} | {alone:.1f} | {each} |", flush=True)
        one, two = figures[1], figures[2]
        print(
            f"wall {one[0] / two[0]:.2f} times, without the start {one[1] / two[1]:.2f}; by processor "
            f"time of the worker that had more {one[2][0] / two[2][-1]:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
