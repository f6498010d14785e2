"""A network trained and pruned in PyTorch, trained on under its masks, to bits and cycles.

pip install 'zeroskip[torch]'
python examples/prune_torch.py

A minute: 800 of the committed Fashion-MNIST images teach, the other 200 judge, so accuracy is far
below what the whole data set gives; `docs/tutorials/prune_torch.md` goes through it.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

import zeroskip

# --- data ---
DATA = Path(__file__).parent.parent / "models" / "fashion_test.npz"
TEACH = 800
with np.load(DATA) as file:
    images, labels = file["image"], file["labels"]
# --- train ---
torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(
    nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Sequential(nn.Flatten(), nn.Linear(64 * 7 * 7, 10)),
)


def train(epochs: int) -> None:
    """Adam over the first images, in batches of 50."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    x, y = torch.from_numpy(images[:TEACH]), torch.from_numpy(labels[:TEACH])
    for _ in range(epochs):
        for batch in torch.randperm(TEACH).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()


def measure(title: str) -> None:
    """Compile for an accelerator, compare every bit, classify, and time."""
    network = zeroskip.compile(
        model, "sparse256", example=(1, 1, 28, 28), calibrate={"input": images[:128]}
    )
    name = network.inputs[0].name
    assert zeroskip.validate(network, {name: images[:1]}).exact
    found = zeroskip.evaluate(network, {name: images[TEACH:], "labels": labels[TEACH:]})
    made = zeroskip.report(network, zeroskip.Session(network).time())
    print(
        f"{title}: {found.accuracy.share:.1%} of {found.accuracy.samples}, {made.cycles:,} cycles"
    )


train(epochs=8)
measure("dense")
# --- prune ---
for module in model.modules():
    if isinstance(module, nn.Conv2d | nn.Linear):
        prune.l1_unstructured(module, "weight", amount=0.8)
measure("80 % pruned")
# --- tune ---
train(epochs=4)  # the masks stay: what is pruned stays zero
measure("trained on")
