"""Your own network on every accelerator, dense and pruned.

python examples/compare_targets.py models/fashion_dense.onnx --prune pattern:connectivity=0.5
python examples/compare_targets.py models/fashion_dense.onnx --targets sparse256 scnn256
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from zeroskip import compiler, runtime
from zeroskip.accel_model.spec import load_spec, targets


def main() -> None:
    """Compile for each target with and without pruning and print the cycles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--prune", default="unstructured:sparsity=0.75")
    parser.add_argument("--targets", nargs="+", default=targets(), metavar="TARGET")
    options = parser.parse_args()
    table = Table("target", "weights", "non-zero multiplies", "cycles", "bound", "x bound")
    for target in options.targets:
        spec = load_spec(target)
        for recipe in (None, options.prune):
            network = compiler.compile(options.model, spec, prune=recipe)
            layers = [layer for program in network.programs.values() for layer in program.layers]
            bound = sum(layer.bound(spec.array.macs, spec.dram.bytes_per_cycle) for layer in layers)
            cycles = sum(run.cycles for run in runtime.Session(network).time().values())
            table.add_row(
                target,
                recipe or "as they are",
                f"{sum(layer.effectual for layer in layers):,}",
                f"{cycles:,}",
                f"{bound:,}",
                f"{cycles / bound:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
