"""Cycles of networks behind a flat bus and behind rows of DRAM.

    python -m benchmarks.dram_models [--models NAME ...] [--targets sparse256 ...]

A model is one of the zoo's (its seeded weights) or an ONNX file; ``NAME@RECIPE`` prunes it first.
Schedules are searched for anew for each bus. ``rows``: cycles that layers lose to rows, where the
bus limits them (docs/GUIDE.md, "Losses").
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.zoo import MODELS
from zeroskip.accel_model.spec import AccelSpec, load_spec, spec_from_table
from zeroskip.accel_model.technology import DRAM_TIMINGS
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = {"lpddr4-3200": 2, "ddr4-2400": 1}  # that the bus of the built-in targets needs
QUEUE = 16
FASHION = tuple(str(ROOT / "models" / f"fashion_{name}.onnx") for name in ("dense", "pattern"))


def variants(target: str) -> Iterator[tuple[str, AccelSpec]]:
    """The target as it is, then with rows of each kind that ``DRAM_TIMINGS`` has."""
    spec = load_spec(target)
    yield "flat", spec
    for kind in DRAM_TIMINGS:
        table = spec.table
        table["dram"]["timing"] = {"kind": kind, "channels": CHANNELS[kind], "queue": QUEUE}
        yield kind, replace(spec_from_table(table, kind), name=target)


def model_of(text: str) -> tuple[str, Any, str | None]:
    """Name, model and recipe of ``NAME@RECIPE``."""
    name, _, recipe = text.partition("@")
    made = MODELS[name]() if name in MODELS else name
    return f"{Path(name).stem} {recipe}".strip(), made, recipe or None


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description="Cycles behind a flat bus and behind rows of DRAM.")
    asked.add_argument("--models", nargs="+", default=FASHION)
    asked.add_argument("--targets", nargs="+", default=["dense256", "sparse256", "pattern256"])
    given = asked.parse_args()
    print("| network | target | DRAM | cycles | x flat | transfers | KiB a transfer | rows |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for text in given.models:
        name, model, recipe = model_of(text)
        for target in given.targets:
            flat = 0
            for kind, spec in variants(target):
                network = compile_model(model, spec, prune=recipe)
                runs = Session(network).time()
                whole = report(network, runs)
                flat = flat or whole.cycles
                moved = [run.counters["dram_bytes"] for run in runs.values()]
                count = sum(int((each > 0).sum()) for each in moved)
                size = sum(int(each.sum()) for each in moved) / 1024 / count
                lost = sum(layer.lost.get("rows", 0) for layer in whole.layers)
                print(
                    f"| {name} | {target} | {kind} | {whole.cycles:,} | {whole.cycles / flat:.3f} "
                    f"| {count:,} | {size:.1f} | {lost:,.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
