"""Whole networks on the three targets: compile and run times, cycles, and multiples of the bound.

    python benchmarks/networks.py [--networks resnet50 vgg16] [--targets dense256] [--markdown FILE]

Weights are seeded and real; pruning is by magnitude. The bound of a layer is max(multiplies of a
weight that is not zero by an input that is not padding / 256, compulsory bytes / 16); a program's
is the sum over its layers (docs/GUIDE.md, "Bounds"). The network's bound, which ``x network`` is
against, lets all tensors between layers stay on the chip; the reachable one holds for every
schedule with the target's SRAM (docs/SCHEDULES.md, "The reachable bound"). ``run`` is numbers and
time together, with every check of the machine on, the first run of a fresh session. Each row is a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NETWORKS = ("resnet50", "vgg16", "mobilenet_v2")
TARGETS = ("dense256", "sparse256", "pattern256")
# what is pruned: unstructured sparsity, or a recipe
SCHEMES = {
    "dense": (0.0, None),
    "50 %": (0.5, None),
    "75 %": (0.75, None),
    "pattern 8x": (0.0, "pattern:connectivity=0.71875,pointwise=0.875"),
}
COLUMNS = (
    "network",
    "target",
    "weights",
    "compile s",
    "run s",
    "time only s",
    "peak GiB",
    "cycles",
    "bound",
    "x bound",
    "x network",
    "x reachable",
    "speed-up",
)


def model(network: str, scheme: str) -> tuple[onnx.ModelProto, str | None]:
    """A network with its weights, and what is to be pruned while it is compiled."""
    from models.zoo import MODELS, prune_unstructured

    sparsity, recipe = SCHEMES[scheme]
    made = MODELS[network]()
    return (prune_unstructured(made, sparsity) if sparsity else made), recipe


def row(network: str, target: str, scheme: str) -> dict[str, float]:
    """``measure`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--row", network, target, scheme],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(network: str, target: str, scheme: str) -> dict[str, float]:
    """One row."""
    import numpy as np

    from zeroskip.compiler.driver import compile as compile_network
    from zeroskip.runtime.analysis.report import report
    from zeroskip.runtime.execution.session import Session

    made, recipe = model(network, scheme)
    started = time.perf_counter()
    compiled = compile_network(made, target, prune=recipe)
    seconds = {"compile s": time.perf_counter() - started}
    session = Session(compiled)
    started = time.perf_counter()
    runs = session.time()
    seconds["time only s"] = time.perf_counter() - started
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    started = time.perf_counter()
    session.run({"image": image})
    seconds["run s"] = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = report(compiled, runs)
    return {
        **seconds,
        "peak GiB": peak,
        "cycles": found.cycles,
        "bound": found.bound,
        "x bound": found.x_bound,
        "x network": found.x_network_bound,
        "x reachable": found.x_reachable_bound,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    base = {
        row["network"]: row["cycles"]
        for row in rows
        if (row["target"], row["weights"]) == ("dense256", "dense")
    }
    for row in rows:
        cells = []
        for column in COLUMNS:
            value = row.get(column)
            if column == "speed-up":
                first = base.get(row["network"])
                value = "" if first is None else f"{first / row['cycles']:.2f}"
            elif column in ("cycles", "bound"):
                value = f"{value:,}"
            elif isinstance(value, float):
                value = f"{value:.3f}" if column.startswith("x ") else f"{value:.1f}"
            cells.append(str(value))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the rows asked for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=TARGETS)
    parser.add_argument("--schemes", nargs="+", default=list(SCHEMES), choices=list(SCHEMES))
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(*options.row)))
        return
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for target in options.targets:
            for scheme in options.schemes:
                if scheme.startswith("pattern") and network == "mobilenet_v2":
                    continue
                rows.append(
                    {
                        "network": network,
                        "target": target,
                        "weights": scheme,
                        **row(network, target, scheme),
                    }
                )
                print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    text = f"{date.today()}, {platform.machine()}, {_cores()} cores\n\n{table(rows)}\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
