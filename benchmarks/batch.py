"""Processor time of an image in a batch, against that of an image by itself.

    python benchmarks/batch.py [--networks NAME ...] [--markdown FILE]

An image of `Session.run` on N images and on one, user and system time of the whole process, each
the fastest of several runs: the demonstration's networks and MobileNetV2 at 224x224 with seeded
weights. Every network is compiled first; its outputs are compared with those of single runs.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FASHION = ROOT / "models"
NETWORKS = ("fashion_dense", "fashion_pattern", "mobilenet_v2")
COUNTS = {"fashion_dense": (16, 64, 1000), "fashion_pattern": (16, 64, 1000), "mobilenet_v2": (16,)}
COLUMNS = ("network", "target", "images", "alone ms", "together ms", "alone : together")


def made(name: str) -> tuple[Any, np.ndarray]:
    """A compiled network and images for it."""
    from models.zoo import MODELS
    from zeroskip.compiler.driver import compile as compile_network

    if name == "mobilenet_v2":
        images = np.random.default_rng(1).standard_normal((16, 3, 224, 224)).astype(np.float32)
        return compile_network(MODELS[name](), "sparse256"), images
    target = "pattern256" if name == "fashion_pattern" else "dense256"
    with np.load(FASHION / "fashion_test.npz") as test:
        images = test["image"]
    return compile_network(
        FASHION / f"{name}.onnx", target, calibrate=FASHION / "fashion_calibration.npz"
    ), images


def seconds(run: Callable[[], object], times: int) -> float:
    """Processor time of the fastest."""
    found = []
    for _ in range(times):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def rows(name: str) -> list[list[str]]:
    """A row for each number of images."""
    from zeroskip.runtime.execution.session import Session

    network, images = made(name)
    session, port = Session(network), network.inputs[0].name

    def run(first: int, end: int) -> np.ndarray:
        (found,) = session.run({port: images[first:end]}).values()
        return found

    found = []
    for count in COUNTS[name]:
        wanted = np.concatenate([run(n, n + 1) for n in range(min(count, 16))])
        if not np.array_equal(run(0, count)[: len(wanted)], wanted):
            raise SystemExit(f"{name}: {count} images together have other bits than alone")
        alone = seconds(lambda: run(0, 1), 200 if count > 16 else 20)
        together = seconds(lambda count=count: run(0, count), 5) / count  # type: ignore[misc]  # bound now
        found.append(
            [
                name,
                network.spec.name,
                f"{count:,}",
                f"{1000 * alone:.3f}",
                f"{1000 * together:.3f}",
                f"{alone / together:.2f}",
            ]
        )
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for name in options.networks:
        lines += ["| " + " | ".join(cells) + " |" for cells in rows(name)]
    text = f"{date.today()}, {platform.machine()}\n\n" + "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
