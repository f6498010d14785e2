"""Trains the committed Fashion-MNIST classifiers: dense, and pattern-pruned with its masks kept.

    python -m models.train_fashion --work FOLDER --data FOLDER --output models

Needs the ``train`` extra (torch). Data: Fashion-MNIST (Xiao et al., 2017), the Debian package
``dataset-fashion-mnist``. Dense training; then ADMM draws the kernels towards eight learned
patterns and half of the kernels to zero (PatDNN, Niu et al., ASPLOS 2020, section 4); then the
masks are fixed and training goes on with them held. Weights are chosen by nothing but the seed:
those at the end of a stage are taken, the test images are looked at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from models.fashion_nets import Classifier
from models.fashion_training import COMMITTED, FOLDER, Data, read_split, right, train
from models.torch_onnx import to_onnx
from zeroskip.relay_passes.pruning.schemes.pattern import PatternOptions
from zeroskip.relay_passes.pruning.torch_masks import Admm, hold_masks, masker, weights

PATTERNS = PatternOptions(patterns=8, connectivity=0.5)
EPOCHS = {"dense": 10, "admm": 4, "pattern": 6}
RATES = {"dense": 0.1, "admm": 0.02, "pattern": 0.05}
RHO = 0.1  # of 5e-3 four epochs leave the weights 0.9 of their norm away from the patterns
KEPT = ("dense", "pattern")  # stages that continue where they were ended; ADMM has its own state
CALIBRATION = 128


def prunable(model: nn.Module) -> list[str]:
    """Every 3x3 convolution but the first, by its parameter."""
    return [
        name
        for name, weight in weights(model).items()
        if weight.ndim == 4 and not name.startswith("stem")
    ]


def main() -> None:
    """Train, draw towards patterns, train on with masks, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = read_split(options.data)
    first = Data(data.test.images[:COMMITTED], data.test.labels[:COMMITTED])
    torch.manual_seed(options.seed)
    model = Classifier()

    def stage(
        name: str,
        penalty: Callable[[], torch.Tensor] | None = None,
        after_epoch: Callable[[], object] | None = None,
    ) -> None:
        print(f"{name}, seed {options.seed}", flush=True)
        train(
            model,
            data.train,
            EPOCHS[name],
            RATES[name],
            seed=options.seed,
            checkpoint=(
                options.work / f"fashion-{name}-{options.seed}.pt" if name in KEPT else None
            ),
            penalty=penalty,
            after_epoch=after_epoch,
        )

    def report(name: str) -> None:
        onnx.save(
            to_onnx(model, f"fashion_{name}", (1, 1, 28, 28)),
            options.output / f"fashion_{name}.onnx",
        )
        print(
            f"{name}: {right(model, data.validation):.2f} % of the validation images, "
            f"{right(model, data.test):.2f} % of the test images, "
            f"{right(model, first):.2f} % of the first {COMMITTED:,}",
            flush=True,
        )

    stage("dense")
    report("dense")
    names = prunable(model)
    admm = Admm(model, masker(PATTERNS), names, RHO)
    stage("admm", penalty=admm.penalty, after_epoch=lambda: print(f"  away {admm.update():.3f}"))
    masks = masker(PATTERNS)({name: weights(model)[name] for name in names})
    with hold_masks(model, masks):
        print(
            f"pruned, before training on: {right(model, data.validation):.2f} % of the "
            "validation images"
        )
        stage("pattern")
        report("pattern")
    print(_left(masks))
    write_data(options.output, first, data.train, options.seed)


def _left(masks: Mapping[str, np.ndarray]) -> str:
    kept, size = (
        sum(int(count(mask)) for mask in masks.values()) for count in (np.count_nonzero, np.size)
    )
    return f"{kept} of {size} weights behind the first convolution are left"


def write_data(folder: Path, test: Data, known: Data, seed: int) -> None:
    """Images with labels, as `zeroskip compare --data` takes them, and some training images to
    calibrate by."""
    np.savez_compressed(
        folder / "fashion_test.npz", image=test.images.numpy(), labels=test.labels.numpy()
    )
    chosen = np.random.default_rng(seed).choice(len(known.images), CALIBRATION, replace=False)
    np.savez_compressed(
        folder / "fashion_calibration.npz", image=known.images[torch.from_numpy(chosen)].numpy()
    )


if __name__ == "__main__":
    main()
