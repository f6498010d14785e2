"""What low rank and channel pruning leave of multiplies and accuracy, once and without training.

    python benchmarks/low_rank.py models/fashion_dense.onnx [--data models/fashion_test.npz]

Float networks in onnxruntime, on images and their labels as `zeroskip compare --data` takes them.
"""

from __future__ import annotations

import argparse
import sys
from math import prod
from pathlib import Path

import numpy as np
import onnxruntime
import tvm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zeroskip.relay_passes import (  # noqa: E402 - found through the path above
    FoldBatchNorm,
    import_onnx,
    load_onnx,
    normalise_onnx,
    parse_recipe,
)
from zeroskip.relay_passes.frontend.from_relax import export_onnx  # noqa: E402
from zeroskip.relay_passes.pruning.base.layers import prunable_layers  # noqa: E402
from zeroskip.relay_passes.relax.rewriting import bindings  # noqa: E402

RECIPES = (
    "lowrank:energy=0.95",
    "lowrank:energy=0.9",
    "lowrank:energy=0.8",
    "lowrank:energy=0.8,form=channel",
    "lowrank:energy=0.8,form=spatial",
    "lowrank:ratio=0.5",
    "filters:ratio=0.1",
    "channels:ratio=0.1",
    "filters:ratio=0.1,scope=global",
    "channels:ratio=0.1,scope=global",
    "lowrank:energy=0.9+channels:ratio=0.1,scope=global",
    "lowrank:energy=0.9+channels:ratio=0.05,scope=global",
)


def multiplies(module: tvm.IRModule) -> int:
    """Of all convolutions and matmuls, for one image."""
    func = module["main"]
    weights = {layer.var: layer.weight for layer in prunable_layers(func)}
    shapes = {str(each.var.name): each.var.ty for each in bindings(func)}
    return sum(
        prod(weight.shape) * prod(int(size) for size in list(shapes[name].shape)[2:])
        for name, weight in weights.items()
    )


def accuracy(module: tvm.IRModule, images: np.ndarray, labels: np.ndarray) -> float:
    """Per cent of images whose largest output is at their label."""
    session = onnxruntime.InferenceSession(export_onnx(module).SerializeToString())
    given = session.get_inputs()[0]
    batches = images.reshape(-1, *given.shape)
    found = np.concatenate([session.run(None, {given.name: batch})[0] for batch in batches])
    return float((found.argmax(axis=1) == labels).mean() * 100)


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "models" / "fashion_test.npz")
    options = parser.parse_args()
    arrays = np.load(options.data)
    images, labels = arrays["image"], arrays["labels"]
    for path in options.models:
        dense = FoldBatchNorm()(import_onnx(normalise_onnx(load_onnx(path))))
        whole = multiplies(dense)
        print(
            f"\n{path.stem}: {accuracy(dense, images, labels):.2f} % of {len(labels)} images, "
            f"{whole:,} multiplies\n\n| recipe | multiplies | accuracy |\n| --- | ---: | ---: |"
        )
        for recipe in RECIPES:
            pruned = tvm.transform.Sequential(parse_recipe(recipe))(dense)
            print(
                f"| `{recipe}` | {multiplies(pruned) / whole:.3f} | "
                f"{accuracy(pruned, images, labels):.2f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
