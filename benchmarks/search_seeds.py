"""A search against an equally long random search on the demonstration's network, over ten seeds.

    python -m benchmarks.search_seeds [--store FILE] [--trials N] [--seeds N]

First the whole space is swept into a store, which takes minutes; then both searches ask for points
of it, each seed from nothing, and get what the store has. Both are told the budgets; the figure of
a search is the least energy x time of its points within them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeroskip.accel_model.io.telling import no_progress
from zeroskip.runtime.experiments.engine import Here, Work, engine_of
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.run import missing_of, run
from zeroskip.runtime.experiments.search import Found, Wish, search_with, tpe
from zeroskip.runtime.experiments.sources import source_of
from zeroskip.runtime.experiments.space import Space
from zeroskip.runtime.experiments.store import MEMORY, Outcome, Store
from zeroskip.runtime.progress import progress

MODELS = Path(__file__).parent.parent / "models"
GOAL = "edp"
BUDGETS = ("snr=12dB", "area=2.6mm2")


def space() -> Space:
    """Pruning of three kinds on arrays of three kinds with several sizes of their memories."""
    return Space.of(
        [source_of(MODELS / "fashion_dense.onnx", calibrate=MODELS / "fashion_calibration.npz")],
        targets=["sparse256"],
        settings={
            "array.kind": ["dense", "bitmap", "pattern"],
            "sram.act_bytes": {"from": "16KiB", "to": "128KiB", "times": 2},
            "sram.wgt_bytes": {"from": "32KiB", "to": "128KiB", "times": 2},
        },
        schemes=["unstructured", "nm:m=8", "pattern"],
        sparsities=[0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        reconstruct="weights",
    )


def known_points(store: Store) -> Work:
    """Measuring is looking up."""

    def make(_front: FrontPoint, _code: str, _cache: str | None) -> Outcome:
        return Outcome()

    def measure(_front: Any, point: Point, _code: str, _cache: str | None) -> Outcome:
        outcome = store.get(point.key)
        assert outcome is not None, "the whole space was swept"
        return outcome

    return Work(make, measure)


def best(found: Found) -> float:
    """The figure of a search; infinite if no point keeps the budgets."""
    values = found.best.columns[GOAL]
    return float(values[0]) if values else float("inf")


def searched(swept: Store, sampler: Any, seed: int, trials: int) -> Found:
    wish, engine = Wish.of([GOAL], BUDGETS), Here(None, known_points(swept))
    with Store(MEMORY) as own:
        return search_with(sampler, space(), wish, own, engine, trials, seed, False, no_progress)


def random_sampler(seed: int) -> Any:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("search_seeds.sqlite"))
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    points = space()
    with Store(given.store) as swept:
        missing, began = missing_of(points, swept), time.perf_counter()
        with progress("sweeping") as on_progress, engine_of(workers=given.workers) as engine:
            run(points, missing, swept, engine, on_progress)
        print(f"{len(points):,} points, {time.perf_counter() - began:.0f} s now")
        outcomes = [swept.get(point.key) for point in points]
        wish = Wish.of([GOAL], BUDGETS)
        kept = sorted(
            float(each.figures[GOAL])
            for each in outcomes
            if each is not None and each.failure is None and wish.keeps(each.figures)
        )
        print(
            f"{len(kept):,} keep {' and '.join(BUDGETS)}; the least {GOAL} of all is {kept[0]:.4f}"
        )
        samplers: dict[str, Callable[[int], Any]] = {"search": tpe, "random": random_sampler}
        print(f"| seed | {' | '.join(samplers)} |\n|---|---|---|")
        figures: dict[str, list[float]] = {name: [] for name in samplers}
        for seed in range(given.seeds):
            for name, sampler in samplers.items():
                figures[name].append(best(searched(swept, sampler(seed), seed, given.trials)))
            print(f"| {seed} | {' | '.join(f'{each[-1]:.4f}' for each in figures.values())} |")
        medians = [statistics.median(each) for each in figures.values()]
        print(f"| median | {' | '.join(f'{each:.4f}' for each in medians)} |")
        for name, values in figures.items():
            ranks = [1 + sum(other < value for other in kept) for value in values]
            print(f"{name}: rank {statistics.median(ranks):g} of {len(kept)} in the median")


if __name__ == "__main__":
    main()
