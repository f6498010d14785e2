"""Trains the committed Fashion-MNIST classifiers: dense, and pattern-pruned with its masks kept.

    python models/train_fashion.py --data /usr/share/datasets/fashion-mnist --output models

Needs the ``train`` extra (torch). Data: Fashion-MNIST (Xiao et al., 2017), the Debian package
``dataset-fashion-mnist``. Patterns: PatDNN (Niu et al., ASPLOS 2020): eight 4-entry patterns are
learned from the trained kernels, then whole kernels removed, the same number in every filter,
then training goes on with the masks held.
"""

from __future__ import annotations

import argparse
import gzip
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own convention

PATTERNS = 8
CONNECTIVITY = 0.5


@dataclass(frozen=True)
class Data:
    """images float32 [n, 1, 28, 28] in [0, 1], labels int64 [n]."""

    images: torch.Tensor
    labels: torch.Tensor


def read_data(folder: Path, name: str) -> Data:
    """One of the two parts of Fashion-MNIST in IDX format: ``train`` or ``t10k``."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / f"{name}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return Data(torch.from_numpy(images / np.float32(255)), torch.from_numpy(labels.astype("i8")))


class Layer(nn.Module):  # type: ignore[misc]  # torch is optional
    """3x3 convolution and batch normalisation."""

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class Classifier(nn.Module):  # type: ignore[misc]  # torch is optional
    """Residual blocks of 32, 64, 128 channels on 14x14, 7x7, 3x3 pixels, then a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Layer(1, 32, 2)
        self.block1a, self.block1b = Layer(32, 32), Layer(32, 32)
        self.widen1 = Layer(32, 64)
        self.block2a, self.block2b = Layer(64, 64), Layer(64, 64)
        self.widen2 = Layer(64, 128)
        self.block3 = Layer(128, 128)
        self.classifier = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = F.max_pool2d(F.relu(self.block1b(F.relu(self.block1a(x))) + x), 2)
        x = F.relu(self.widen1(x))
        x = F.max_pool2d(F.relu(self.block2b(F.relu(self.block2a(x))) + x), 2)
        x = F.relu(self.widen2(x))
        x = F.relu(self.block3(x) + x)
        return self.classifier(x.mean((2, 3)))


def prunable(model: Classifier) -> dict[str, nn.Conv2d]:
    """Every 3x3 convolution but the first."""
    return {name: layer.conv for name, layer in model.named_children()
            if isinstance(layer, Layer) and name != "stem"}


def pattern_masks(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """0/1 masks of the shape of each weight [K, C, 3, 3]: patterns, then connectivity."""
    around = [tap for tap in range(9) if tap != 4]
    library = np.zeros((56, 9), np.float32)
    for row, extra in enumerate(combinations(around, 3)):
        library[row, [4, *extra]] = 1
    best = np.concatenate([(np.square(w.reshape(-1, 9)) @ library.T).argmax(1)
                           for w in weights.values()])
    chosen = library[np.argsort(-np.bincount(best, minlength=56), kind="stable")[:PATTERNS]]
    masks = {}
    for name, w in weights.items():
        kept = np.square(w.reshape(*w.shape[:2], 9)) @ chosen.T
        mask = chosen[kept.argmax(2)]
        keep = round(w.shape[1] * (1 - CONNECTIVITY))
        weakest = np.argsort(kept.max(2), axis=1)[:, : w.shape[1] - keep]
        np.put_along_axis(mask, weakest[:, :, None], 0, axis=1)
        masks[name] = mask.reshape(w.shape)
    return masks


def train(model: Classifier, data: Data, epochs: int, rate: float,
          masks: dict[str, torch.Tensor]) -> None:
    """AdamW with one cycle of the learning rate; masked weights stay exactly zero."""
    convs = prunable(model)
    size = 256
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=5e-3)
    steps = epochs * (len(data.images) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    model.train()
    for epoch in range(epochs):
        order, started, total = torch.randperm(len(data.images)), time.time(), 0.0
        for at in range(0, len(order) - size + 1, size):
            batch = order[at : at + size]
            loss = F.cross_entropy(model(augment(data.images[batch])), data.labels[batch],
                                   label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for name, mask in masks.items():
                    convs[name].weight.mul_(mask)
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total * size / len(order):.4f}, "
              f"{time.time() - started:.0f} s", flush=True)


def augment(images: torch.Tensor) -> torch.Tensor:
    """Mirrored at random and shifted by up to two pixels."""
    flipped = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
    down, right = (int(n) for n in torch.randint(0, 5, (2,)))
    return F.pad(flipped, (2, 2, 2, 2))[:, :, down : down + 28, right : right + 28]


def accuracy(model: Classifier, data: Data) -> float:
    """Per cent of labels that are right."""
    model.eval()
    with torch.no_grad():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in
                    zip(data.images.split(500), data.labels.split(500), strict=True))
    return 100 * right / len(data.labels)


def export(model: Classifier, name: str) -> onnx.ModelProto:
    """The model as ONNX, batch normalisations as nodes of their own."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def tensor(label: str, values: torch.Tensor) -> str:
        weights.append(numpy_helper.from_array(values.detach().numpy(), label))
        return label

    def node(op: str, label: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{label}.out"], label, **attributes))
        return f"{label}.out"

    def layer(label: str, x: str) -> str:
        made = getattr(model, label)
        x = node("Conv", f"{label}.conv", x, tensor(f"{label}.weight", made.conv.weight),
                 kernel_shape=[3, 3], strides=list(made.conv.stride), pads=[1] * 4)
        norm = made.norm
        return node("BatchNormalization", f"{label}.norm", x,
                    tensor(f"{label}.scale", norm.weight), tensor(f"{label}.bias", norm.bias),
                    tensor(f"{label}.mean", norm.running_mean),
                    tensor(f"{label}.var", norm.running_var), epsilon=norm.eps)

    def relu(label: str, x: str) -> str:
        return node("Relu", f"{label}.relu", x)

    def pool(label: str, x: str) -> str:
        return node("MaxPool", label, x, kernel_shape=[2, 2], strides=[2, 2])

    x = relu("stem", layer("stem", "image"))
    y = layer("block1b", relu("block1a", layer("block1a", x)))
    x = pool("pool1", relu("block1", node("Add", "block1.add", y, x)))
    x = relu("widen1", layer("widen1", x))
    y = layer("block2b", relu("block2a", layer("block2a", x)))
    x = pool("pool2", relu("block2", node("Add", "block2.add", y, x)))
    x = relu("widen2", layer("widen2", x))
    x = relu("block3", node("Add", "block3.add", layer("block3", x), x))
    x = node("Flatten", "flatten", node("GlobalAveragePool", "pool", x))
    node("Gemm", "classifier", x, tensor("classifier.weight", model.classifier.weight),
         tensor("classifier.bias", model.classifier.bias), transB=1)
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])], weights)
    made = helper.make_model(graph, ir_version=9, producer_name="zeroskip.models.train_fashion",
                             opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made)
    return made


def main() -> None:
    """Train, prune, train on, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, nargs=2, default=(10, 5), help="dense, pruned")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    torch.manual_seed(options.seed)
    held_out, data = read_data(options.data, "t10k"), read_data(options.data, "train")
    first = Data(held_out.images[:1000], held_out.labels[:1000])

    def report(name: str, model: Classifier) -> None:
        onnx.save(export(model.eval(), f"fashion_{name}"),
                  options.output / f"fashion_{name}.onnx")
        print(f"{name}: {accuracy(model, held_out):.2f} % of 10,000, "
              f"{accuracy(model, first):.2f} % of the first 1,000", flush=True)

    started = time.time()
    model = Classifier()
    train(model, data, options.epochs[0], 4e-3, {})
    report("dense", model)
    masks = pattern_masks({name: conv.weight.detach().numpy()
                           for name, conv in prunable(model).items()})
    held = {name: torch.from_numpy(mask) for name, mask in masks.items()}
    with torch.no_grad():
        for name, conv in prunable(model).items():
            conv.weight.mul_(held[name])
    print(f"pruned, before training on: {accuracy(model, held_out):.2f} %")
    torch.manual_seed(options.seed)  # this stage depends on the dense weights and the seed alone
    train(model, data, options.epochs[1], 3e-3, held)
    report("pattern", model)
    kept = sum(int(mask.sum()) for mask in masks.values())
    print(f"{kept} of {sum(mask.size for mask in masks.values())} pruned weights left; "
          f"{time.time() - started:.0f} s")
    as_bytes = (first.images * 255).round().to(torch.uint8).numpy()
    np.savez_compressed(options.output / "fashion_test.npz", images=as_bytes,
                        labels=first.labels.numpy().astype(np.uint8))
    chosen = np.random.default_rng(options.seed).choice(len(data.images), 128, replace=False)
    np.savez_compressed(options.output / "fashion_calibration.npz",
                        image=data.images[torch.from_numpy(chosen)].numpy())


if __name__ == "__main__":
    main()
