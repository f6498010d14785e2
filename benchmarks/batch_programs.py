"""Cycles of an image where one program computes several: ``compile --batch N``.

    python -m benchmarks.batch_programs [--networks NAME ...] [--batches 1 2 4 8] [--markdown FILE]

The demonstration's classifiers, VGG-16's dense layers (25,088 to 4,096 to 4,096 to 1,000), and
whole networks of the zoo on images so small that their last layers wait for weights. Seeded weights
but for the demonstration's. ``dense`` counts the dense layers alone. x bound is of the program:
weights once, activations of every image. Weights: KiB an image on the bus, in whole bursts.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeAlias

import onnx

from models import zoo
from models.onnx_graph import Graph
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.report import LayerReport, report
from zeroskip.runtime.execution.session import Session

MODELS = Path(__file__).resolve().parent.parent / "models"
Model: TypeAlias = str | onnx.ModelProto
COLUMNS = ("network", "target", "zeros", "layers", "batch", "cycles an image", "of batch 1")
MORE = ("x bound", "weights an image")


class Case(NamedTuple):
    """A network on a target. recipe: what it is pruned by. dense: its dense layers alone."""

    model: Callable[[], Model]
    target: str
    recipe: str = ""
    dense: bool = False


def vgg_dense() -> onnx.ModelProto:
    """VGG-16 behind its last pool (Simonyan and Zisserman, ICLR 2015)."""
    g = Graph(0)
    x = g.node("Flatten", "flatten", "image")
    x = g.relu("relu6", g.linear("fc6", x, 512 * 7 * 7, 4096))
    g.linear("fc8", g.relu("relu7", g.linear("fc7", x, 4096, 4096)), 4096, 1000)
    made = g.model("vgg16_dense", 7, 1000)
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 512
    return made


def fashion(name: str) -> Callable[[], Model]:
    return lambda: str(MODELS / f"{name}.onnx")


CASES = {
    "fashion_dense": Case(fashion("fashion_dense"), "dense256", dense=True),
    "fashion_pattern": Case(fashion("fashion_pattern"), "pattern256", dense=True),
    "vgg16": Case(vgg_dense, "dense256"),
    "vgg16 pruned": Case(vgg_dense, "sparse256", "unstructured:sparsity=0.75"),
    "resnet18 64x64": Case(lambda: zoo.resnet(18, image=64), "dense256"),
    "mobilenet_v2 64x64": Case(
        lambda: zoo.mobilenet_v2(image=64), "sparse256", "unstructured:sparsity=0.75"
    ),
}


def rows(name: str, batches: list[int]) -> Iterator[list[str]]:
    """A row for each batch, and the same of its dense layers where the case asks for them."""
    case, alone = CASES[name], dict[str, float]()
    zeros = case.recipe.partition("=")[2] or "its own"
    for batch in batches:
        network = compile_network(case.model(), case.target, prune=case.recipe or None, batch=batch)
        layers = report(network, Session(network).time()).layers
        parts = {"all": layers}
        if case.dense:
            parts["dense"] = tuple(layer for layer in layers if of_vectors(layer, batch))
        for part, chosen in parts.items():
            cycles = sum(layer.cycles for layer in chosen) / batch
            alone.setdefault(part, cycles)
            bound = sum(layer.bound for layer in chosen) / batch
            weights = sum(layer.traffic["weights"].moved for layer in chosen) / batch
            yield [
                name,
                case.target,
                zeros,
                part,
                str(batch),
                f"{cycles:,.0f}",
                f"{cycles / alone[part]:.3f}",
                f"{cycles / bound:.2f}",
                f"{weights / 1024:,.1f} KiB",
            ]


def of_vectors(layer: LayerReport, batch: int) -> bool:
    """Whether its result is a pixel of each image, with weights: of a dense layer."""
    return layer.macs > 0 and layer.shape[2:] == (batch, 1)


def main() -> None:
    """Measure and print the table."""
    asked = argparse.ArgumentParser(description="Cycles of an image in programs of several.")
    asked.add_argument("--networks", nargs="+", default=list(CASES), choices=CASES)
    asked.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8])
    asked.add_argument("--markdown", type=Path, help="also write the table to this file")
    given = asked.parse_args()
    columns = (*COLUMNS, *MORE)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for line in lines:
        print(line)
    for name in given.networks:
        for cells in rows(name, given.batches):
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    if given.markdown:
        head = f"{date.today()}, {platform.machine()}\n\n"
        given.markdown.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
