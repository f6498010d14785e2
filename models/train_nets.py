"""Trains the two networks that pruning is measured on, several seeds of each.

    python -m models.train_nets --work FOLDER --data /usr/share/datasets/fashion-mnist
        [--onnx models]

Writes ``FOLDER/<net>-<seed>.pt`` after each epoch and continues from there when started again;
``--onnx`` also ``fashion_<net>.onnx`` of the first seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import torch

from models.fashion_nets import NETS
from models.fashion_training import COMMITTED, FOLDER, Data, read_split, right, train
from models.torch_onnx import to_onnx

EPOCHS = 10
RATE = 0.1


def main() -> None:
    """Train every net with every seed; print the accuracy on the validation images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--nets", nargs="+", choices=sorted(NETS), default=sorted(NETS))
    parser.add_argument("--onnx", type=Path, metavar="FOLDER", help="the first seed's as ONNX")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = read_split(options.data)
    first = Data(data.test.images[:COMMITTED], data.test.labels[:COMMITTED])
    for seed in range(options.seeds):
        for net in options.nets:
            torch.manual_seed(seed)
            model = NETS[net]()
            train(
                model,
                data.train,
                options.epochs,
                options.rate,
                seed=seed,
                checkpoint=options.work / f"{net}-{seed}.pt",
            )
            print(
                f"{net}, seed {seed}: {right(model, data.validation):.2f} % of the validation "
                f"images, {right(model, data.test):.2f} % of the test images, "
                f"{right(model, first):.2f} % of the first {COMMITTED:,}",
                flush=True,
            )
            if options.onnx is not None and seed == 0:
                name = f"fashion_{net}"
                onnx.save(to_onnx(model, name, (1, 1, 28, 28)), options.onnx / f"{name}.onnx")


if __name__ == "__main__":
    main()
