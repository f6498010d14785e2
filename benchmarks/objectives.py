"""Cycles, energy and their product of networks whose schedules are chosen by each objective.

    python -m benchmarks.objectives [--models NAME ...] [--targets sparse256 ...]

Models are named as in ``dram_models.py``. Energy is the machine's, of one image's time on the
accelerator, leakage and idle DRAM included (``zeroskip report``); the search goes by estimates.
"""

from __future__ import annotations

import argparse

from benchmarks.dram_models import FASHION, model_of
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.compiler.scheduling.objective import GOALS
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description="Cycles and energy by each objective.")
    asked.add_argument("--models", nargs="+", default=FASHION)
    asked.add_argument("--targets", nargs="+", default=["dense256", "sparse256", "pattern256"])
    given = asked.parse_args()
    print("| network | target | objective | cycles | uJ | of that DRAM | uJ ms |")
    print("|---|---|---|---:|---:|---:|---:|")
    for text in given.models:
        name, model, recipe = model_of(text)
        for target in given.targets:
            for goal in GOALS:
                network = compile_model(model, target, prune=recipe, objective=goal)
                whole = report(network, Session(network).time())
                made = whole.efficiency
                if made is None:
                    raise SystemExit(f"{target} names no [technology], so it has no energy")
                print(
                    f"| {name} | {target} | {goal} | {whole.cycles:,} | {made.microjoules:,.2f} "
                    f"| {made.energy['DRAM']:,.2f} | {made.edp:,.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
