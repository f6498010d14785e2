"""Pruned networks of videos on every array at equal resources: cycles of a clip.

    python -m benchmarks.video_table [--network c3d] [--width 0.25] [--frames 16] [--image 32]

The network is the zoo's, with seeded weights and a clip of normal numbers: for time, not accuracy.
Every scheme prunes it once, to a quarter of the weights of the layers that it takes; all targets
with the resources of dense256 have the same masks. Prints a table of docs/ACCELERATORS.md.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx

from benchmarks.cross_table import cells
from models.zoo import MODELS

DENSE_LAYERS = {"c3d": "fc*", "r2plus1d_18": "classifier"}  # kernel groups are none of these
OTHERS = "unstructured:sparsity=0.75,layers="
SCHEMES = {
    "none": "",
    "unstructured": "unstructured:sparsity=0.75",
    "kernel groups (KGS)": f"kernel_group:ratio=0.75,skip=yes+{OTHERS}",
    "whole kernel groups": f"kernel_group:ratio=0.75,form=vanilla,skip=yes+{OTHERS}",
    "q of 16 channels (Kang)": "nm:n=4,m=16,skip=yes",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=tuple(DENSE_LAYERS), default="c3d")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--image", type=int, default=32)
    args = parser.parse_args()
    model = MODELS[args.network](
        frames=args.frames, image=args.image, width=args.width, classes=101
    )
    shape = (1, 3, args.frames, args.image, args.image)
    clip = {"image": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one clip calibrates: accuracy is not asked
        path = Path(folder) / f"{args.network}.onnx"
        onnx.save(model, path)
        for scheme, recipe in SCHEMES.items():
            if recipe.endswith(OTHERS):
                recipe += DENSE_LAYERS[args.network]
            for spec, cycles, _, _ in cells(path, recipe, clip, clip):
                rows.setdefault(spec.name, {})[scheme] = cycles
    print("| target | " + " | ".join(SCHEMES) + " |")
    print("|---|" + "---:|" * len(SCHEMES))
    base = rows["dense256"]["none"]
    for target, found in rows.items():
        row = (f"{cycles:,.0f} ({base / cycles:.1f}x)" for cycles in found.values())
        print(f"| `{target}` | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
