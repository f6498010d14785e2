"""Fashion-MNIST for training, and a training run that continues where it was ended.

The 60,000 training images are split into 55,000 to train on and 5,000 (the last) to choose by;
the 10,000 test images are for the final figures alone.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own convention

FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the Debian package dataset-fashion-mnist
BATCH = 128
VALIDATION = 5_000
COMMITTED = 1_000  # test images that the repository holds
TEMPERATURE = 2.0  # of the answers that are learned from a teacher


@dataclass(frozen=True)
class Data:
    """images float32 [n, 1, 28, 28] in [0, 1], labels int64 [n]."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class DataSplit:
    """Images to train on, to choose by, and to report."""

    train: Data
    validation: Data
    test: Data


def read_split(folder: Path) -> DataSplit:
    """The data set of ``read_data`` in three parts."""
    known, test = read_data(folder, "train"), read_data(folder, "t10k")
    return DataSplit(
        Data(known.images[:-VALIDATION], known.labels[:-VALIDATION]),
        Data(known.images[-VALIDATION:], known.labels[-VALIDATION:]),
        test,
    )


def read_data(folder: Path, name: str) -> Data:
    """One of the two parts of Fashion-MNIST in IDX format: ``train`` or ``t10k``."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return Data(torch.from_numpy(images / np.float32(255)), torch.from_numpy(labels.astype("i8")))


def augment(images: torch.Tensor) -> torch.Tensor:
    """Mirrored at random and shifted by up to two pixels."""
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
    down, right = (int(n) for n in torch.randint(0, 5, (2,)))
    return F.pad(flipped, (2, 2, 2, 2))[:, :, down : down + 28, right : right + 28]


def right(model: nn.Module, data: Data) -> float:
    """Per cent of labels that are right."""
    model.eval()
    with torch.no_grad():
        hits = sum(
            int((model(_laid_out(images)).argmax(1) == labels).sum())
            for images, labels in zip(data.images.split(500), data.labels.split(500), strict=True)
        )
    return 100 * hits / len(data.labels)


def _laid_out(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def train(
    model: nn.Module,
    data: Data,
    epochs: int,
    rate: float,
    *,
    seed: int,
    checkpoint: Path | None = None,
    teacher: nn.Module | None = None,
    half: bool = False,
    penalty: Callable[[], torch.Tensor] | None = None,
    after_epoch: Callable[[], object] | None = None,
) -> None:
    """SGD with Nesterov's momentum and one cycle of the learning rate up to ``rate``.

    teacher: a network whose answers are learned beside the labels (``distance``). half: bfloat16
    in the networks, which takes about half the time; weights stay float32. penalty: added to the
    loss. checkpoint: a file written after each epoch; where it exists, the run continues
    from it with the random numbers that it would have used.
    """
    torch.manual_seed(seed)
    model.to(memory_format=torch.channels_last)
    if teacher is not None:
        teacher.eval()
    optimiser = torch.optim.SGD(
        model.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    steps = len(data.images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * steps)
    done = _resume(checkpoint, model, optimiser, schedule)
    for epoch in range(done, epochs):
        model.train()
        order, started, total = torch.randperm(len(data.images)), time.time(), 0.0
        for batch in order[: steps * BATCH].split(BATCH):
            images = _laid_out(augment(data.images[batch]))
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = model(images)
                wanted = None if teacher is None else _answers(teacher, images)
            loss = F.cross_entropy(logits.float(), data.labels[batch], label_smoothing=0.05)
            if wanted is not None:
                loss = (loss + distance(logits.float(), wanted.float())) / 2
            optimiser.zero_grad()
            (loss if penalty is None else loss + penalty()).backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        if after_epoch is not None:
            after_epoch()
        took = time.time() - started
        print(
            f"  epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}, {took:.0f} s, "
            f"{steps * BATCH / took:.0f} images/s",
            flush=True,
        )
        if checkpoint is not None:
            save(
                checkpoint,
                {
                    "model": model.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "epochs": epoch + 1,
                    "random": torch.get_rng_state(),
                },
            )


def distance(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from a teacher's softened answers (Hinton et al., 2015)."""
    soft = F.log_softmax(logits / TEMPERATURE, 1), F.log_softmax(wanted / TEMPERATURE, 1)
    return TEMPERATURE**2 * F.kl_div(*soft, reduction="batchmean", log_target=True)


def _answers(teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        answers: torch.Tensor = teacher(images)
    return answers


def _resume(
    checkpoint: Path | None,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Take the state of a checkpoint, if there is one; how many epochs it has done."""
    if checkpoint is None or not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"])
    return int(state["epochs"])


def save(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
