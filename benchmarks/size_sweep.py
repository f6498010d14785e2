"""Area, cycles and energy of a network as a target's sizes move, one at a time.

    python benchmarks/size_sweep.py MODEL.onnx [--target sparse256] [--prune RECIPE] [--sizes ...]

Each size of on-chip memory is halved and doubled, or those that are asked for. A target that cannot
be built (a memory too slow for the clock) says so in its row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from zeroskip.accel_model.spec import AccelSpec, SpecError, load_spec, spec_from_table
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session

SIZES = (
    "sram.act_bytes",
    "sram.wgt_bytes",
    "sram.acc_bytes",
    "sram.par_bytes",
    "sram.staging_bytes",
    "array.window_entries",
)
FACTORS = (0.5, 2)


def variants(spec: AccelSpec, sizes: Sequence[str] = SIZES) -> Iterator[tuple[str, AccelSpec]]:
    """The target as it is, and with each size halved and doubled."""
    yield spec.name, spec
    for path in sizes:
        section, key = path.split(".")
        for factor in FACTORS:
            table = asdict(spec)
            table[section][key] = int(table[section][key] * factor)
            yield f"{key} x {factor:g}", spec_from_table(table, spec.name)


def row(name: str, spec: AccelSpec, model: str, prune: str | None) -> str:
    """A line of the table."""
    try:
        network = compile_model(model, spec, prune=prune)
    except SpecError as problem:
        return f"| {name} | cannot be built: {problem} ||||||"
    whole = report(network, Session(network).time())
    made = whole.efficiency
    if made is None:
        return f"| {name} | nothing ran, or no technology ||||||"
    on_chip = made.microjoules - made.energy["DRAM"] - made.energy["idle DRAM"]
    return (
        f"| {name} | {made.area_mm2:.2f} | {whole.cycles:,} | {on_chip:,.1f} | {made.energy['DRAM']:,.1f} | "
        f"{made.microjoules:,.1f} | {made.edp:,.2f} |"
    )


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description="Area, cycles and energy as sizes move.")
    asked.add_argument("model", help="an ONNX file")
    asked.add_argument("--target", default="sparse256", help="a target with [technology]")
    asked.add_argument("--prune", help="a recipe, as for zeroskip compile")
    asked.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    given = asked.parse_args()
    print("| target | mm2 | cycles | uJ on chip | uJ DRAM | uJ, idle DRAM too | uJ ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, spec in variants(load_spec(given.target), given.sizes):
        print(row(name, spec, given.model, given.prune), flush=True)


if __name__ == "__main__":
    main()
