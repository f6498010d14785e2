"""Accuracy of pruned networks: one-shot, reconstructed, allocated, fine-tuned, on Fashion-MNIST.

    python -m models.measure_pruning --work FOLDER --output benchmarks/pruning.json

Takes the dense networks of ``models/train_nets.py`` from the same folder. A row of the output is
written when it is measured, and one that is there already is not measured again. Compression is
that of the convolutions behind the first, of each layer alike; but in the stage ``allocated``,
which is reconstructed too, a budget of weights is shared out over the layers; ``fine-tuned`` starts
from that. The first convolution and the classifier stay dense. Reconstruction and budgets look at
training images, not at labels.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
import tvm
from torch import nn

from models.fashion_nets import NETS
from models.fashion_training import FOLDER, Data, DataSplit, read_split, right, train
from models.torch_onnx import to_onnx
from zeroskip.relay_passes import FoldBatchNorm, import_onnx, read_recipe
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.pruning.apply import prune
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.budget.allocate import Budget, allocate
from zeroskip.relay_passes.pruning.torch_masks import hold_masks

BATCH = 500
RATE = 0.05
INNER = {"plain": "layers.[!0].0", "residual": "blocks.*"}  # convolutions behind the first
TAPS, KEPT = 9, 4  # of a 3x3 kernel, and of those a pattern keeps
IMAGES = 1000  # that reconstruction and budgets look at


@dataclass(frozen=True)
class PruningCase:
    """A scheme at a compression of the convolutions: 4 keeps a quarter of their weights.
    epochs: of fine-tuning."""

    scheme: str
    compression: int
    epochs: int = 2

    def recipe(self, net: str) -> str:
        """The scheme as ``zeroskip compile --prune`` takes it."""
        removed = 1 - 1 / self.compression
        kernels = max(0.0, 1 - TAPS / KEPT / self.compression)
        options = {
            "unstructured": f"sparsity={removed}",
            "nm": f"n={max(1, 4 // self.compression)},m={max(4, self.compression)}",
            "pattern": f"connectivity={kernels},pointwise={removed},balance=layer",
        }[self.scheme]
        return f"{self.scheme}:{options},layers={INNER[net]}"

    def alternatives(self, net: str) -> str:
        """What a budget may give to a layer."""
        offers = {
            "unstructured": ["criterion=saliency"],
            "nm": ["m=16,criterion=saliency"],
            "pattern": [f"entries={entries},patterns=16,balance=layer" for entries in range(2, 8)],
        }[self.scheme]
        return "+".join(f"{self.scheme}:{options},layers={INNER[net]}" for options in offers)


STAGES = ("one-shot", "reconstructed", "allocated", "fine-tuned")
CASES = [
    PruningCase("pattern", 8, epochs=16),
    *(
        PruningCase(scheme, compression)
        for compression, scheme in (
            *((4, each) for each in ("pattern", "unstructured", "nm")),
            (8, "unstructured"),
            (8, "nm"),
            (12, "pattern"),
            *((2, each) for each in ("pattern", "unstructured", "nm")),
        )
    ),
]


@dataclass(frozen=True)
class Measurement:
    """One measurement. stage: dense, one-shot, reconstructed, allocated, fine-tuned;
    accuracies in per cent.

    kept: non-zero weights of the pruned layers, of ``size``.
    """

    net: str
    seed: int
    scheme: str
    compression: int
    stage: str
    validation: float
    test: float
    kept: int
    size: int
    seconds: float

    @property
    def key(self) -> tuple[str, int, str, int, str]:
        return self.net, self.seed, self.scheme, self.compression, self.stage


class MeasurementFile:
    """The rows of a JSON file, written whole after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        known = json.loads(path.read_text()) if path.exists() else []
        self.rows = [Measurement(**each) for each in known]

    def missing(self, *key: object) -> bool:
        return all(row.key != key for row in self.rows)

    def add(self, row: Measurement) -> None:
        self.rows.append(row)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(each) for each in self.rows], indent=1) + "\n")
        partial.replace(self.path)
        print(
            f"{row.net} {row.seed} {row.scheme} {row.compression}x {row.stage}: "
            f"{row.validation:.2f} % validation, {row.test:.2f} % test, "
            f"{row.kept} of {row.size} weights, {row.seconds:.0f} s",
            flush=True,
        )


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network: in torch, and as a float module with its normalisations folded."""

    net: str
    seed: int
    model: nn.Module
    module: tvm.IRModule


def read_dense(folder: Path, net: str, seed: int) -> TrainedNetwork:
    """The end of a training run of ``models/train_nets.py``."""
    model = NETS[net]()
    model.load_state_dict(torch.load(folder / f"{net}-{seed}.pt", weights_only=True)["model"])
    onnx_model = to_onnx(model, net, (BATCH, 1, 28, 28))
    return TrainedNetwork(net, seed, model, FoldBatchNorm()(import_onnx(onnx_model)))


def inner(module: tvm.IRModule, net: str) -> list[PrunableLayer]:
    """The layers whose weights are counted."""
    return prunable_layers(module["main"], INNER[net])


def accuracy(module: tvm.IRModule, data: Data) -> float:
    """Per cent of labels that onnxruntime gets right with the module as exported."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(export_onnx(module).SerializeToString(), options)
    hits = 0
    for images, labels in zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True):
        logits: npt.NDArray[np.float32] = session.run(None, {"image": images.numpy()})[0]
        hits += int((logits.argmax(1) == labels.numpy()).sum())
    return 100 * hits / len(data.labels)


def fine_tune(
    dense: TrainedNetwork, pruned: tvm.IRModule, data: DataSplit, epochs: int
) -> tuple[float, float]:
    """Train a pruned module's weights on, its zeros held; accuracies in per cent."""
    model = unfolded(dense, pruned)
    masks = {f"{layer.node}.weight": layer.weight != 0 for layer in inner(pruned, dense.net)}
    with hold_masks(model, masks):
        train(model, data.train, epochs, RATE, seed=dense.seed, teacher=dense.model, half=True)
    named = dict(model.named_parameters())
    assert all(not named[name].detach().numpy()[~mask].any() for name, mask in masks.items())
    return right(model, data.validation), right(model, data.test)


def unfolded(dense: TrainedNetwork, pruned: tvm.IRModule) -> nn.Module:
    """The dense network with the weights of a pruned module: what folding its normalisations
    multiplied them by is divided out again. Their biases are learned anew in the first steps."""
    model = NETS[dense.net]()
    model.load_state_dict(dense.model.state_dict())
    parts = dict(model.named_modules())
    with torch.no_grad():
        for layer in inner(pruned, dense.net):
            block, _, _ = layer.node.rpartition(".")
            norm = parts[f"{block}.1"]
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            parts[layer.node].weight.copy_(
                torch.from_numpy(layer.weight.copy()) / scale.reshape(-1, 1, 1, 1)
            )
    return model


def measure(
    dense: TrainedNetwork,
    case: PruningCase,
    stages: Sequence[str],
    data: DataSplit,
    table: MeasurementFile,
) -> None:
    """The stages of one case that the table does not have."""
    recipe, samples = read_recipe(case.recipe(dense.net)), calibration(data, dense.seed)

    def reconstructed(schemes: Sequence[Options]) -> tvm.IRModule:
        return prune(dense.module, schemes, samples=samples, method="weights")

    makers: dict[str, Callable[[], tvm.IRModule]] = {
        "one-shot": lambda: prune(dense.module, recipe),
        "reconstructed": lambda: reconstructed(recipe),
        "allocated": lambda: reconstructed(shared_out(dense, case, samples)),
        "fine-tuned": lambda: reconstructed(shared_out(dense, case, samples)),
    }
    for stage in stages:
        if table.missing(dense.net, dense.seed, case.scheme, case.compression, stage):
            started = time.time()
            made = makers[stage]()
            found = (
                fine_tune(dense, made, data, case.epochs)
                if stage == "fine-tuned"
                else both(made, data)
            )
            kept, size = counts(made, dense.net)
            table.add(
                Measurement(
                    dense.net,
                    dense.seed,
                    case.scheme,
                    case.compression,
                    stage,
                    *found,
                    kept,
                    size,
                    time.time() - started,
                )
            )


def counts(module: tvm.IRModule, net: str) -> tuple[int, int]:
    """Weights of the inner layers that are not zero, and all."""
    layers = inner(module, net)
    return (
        sum(int(np.count_nonzero(layer.weight)) for layer in layers),
        sum(layer.weight.size for layer in layers),
    )


def calibration(data: DataSplit, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Some training images without their labels."""
    chosen = np.random.default_rng(seed).choice(len(data.train.images), IMAGES, replace=False)
    return {"image": data.train.images[torch.from_numpy(chosen)].numpy()}


def shared_out(
    dense: TrainedNetwork, case: PruningCase, samples: dict[str, npt.NDArray[np.float32]]
) -> tuple[Options, ...]:
    """The recipe under which the inner layers together keep what the case says."""
    _kept, size = counts(dense.module, dense.net)
    every = sum(layer.weight.size for layer in prunable_layers(dense.module["main"]))
    budget = Budget("weights", (every - size + size / case.compression) / every)
    return allocate(dense.module, budget, read_recipe(case.alternatives(dense.net)), samples).recipe


def both(module: tvm.IRModule, data: DataSplit) -> tuple[float, float]:
    """Accuracies on the validation and the test images."""
    return accuracy(module, data.validation), accuracy(module, data.test)


def summary(rows: list[Measurement]) -> str:
    """Markdown: mean and standard deviation over the seeds of the test accuracy's loss."""
    dense = {(row.net, row.seed): row.test for row in rows if row.stage == "dense"}
    lines = [f"| net | scheme | compression | {' | '.join(STAGES)} |", "| --- " * 7 + "|"]
    groups = sorted(
        {(row.net, row.scheme, row.compression) for row in rows if row.stage != "dense"}
    )
    for net, scheme, compression in groups:
        cells = []
        for stage in STAGES:
            lost = [
                row.test - dense[row.net, row.seed]
                for row in rows
                if (row.net, row.scheme, row.compression, row.stage)
                == (net, scheme, compression, stage)
            ]
            cells.append(
                f"{np.mean(lost):+.2f} ± {np.std(lost, ddof=1):.2f}" if len(lost) > 1 else "-"
            )
        lines.append(f"| {net} | {scheme} | {compression}x | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, required=True, help="folder of the dense networks")
    parser.add_argument("--output", type=Path, required=True, help="JSON file of the rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument(
        "--compressions", type=int, nargs="+", default=sorted({case.compression for case in CASES})
    )
    parser.add_argument("--nets", nargs="+", choices=sorted(NETS), default=sorted(NETS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, table = read_split(options.data), MeasurementFile(options.output)
    for case in (case for case in CASES if case.compression in options.compressions):
        for seed in options.seeds:
            for net in options.nets:
                dense = read_dense(options.work, net, seed)
                if table.missing(net, seed, "dense", 1, "dense"):
                    size = sum(layer.weight.size for layer in inner(dense.module, net))
                    table.add(
                        Measurement(
                            net, seed, "dense", 1, "dense", *both(dense.module, data), size, size, 0
                        )
                    )
                measure(dense, case, options.stages, data, table)
    print(summary(table.rows))


if __name__ == "__main__":
    main()
