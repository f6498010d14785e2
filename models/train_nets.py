"""Trains the two networks that pruning is measured on, several seeds of each.

    python -m models.train_nets --work FOLDER --data /usr/share/datasets/fashion-mnist

Writes ``FOLDER/<net>-<seed>.pt`` after each epoch and continues from there when started again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from models.fashion_nets import NETS
from models.fashion_training import FOLDER, read_split, right, train

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
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = read_split(options.data)
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
                "images",
                flush=True,
            )


if __name__ == "__main__":
    main()
