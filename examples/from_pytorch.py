"""A network as torchvision writes them, pruned in PyTorch, to cycles.

pip install 'zeroskip[torch]'
python examples/from_pytorch.py

With torchvision, ``torchvision.models.resnet18(weights="DEFAULT")`` in the place of ``model``, and
(1, 3, 224, 224).
"""

from collections import OrderedDict

from torch import nn
from torch.nn.utils import prune

import zeroskip

layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
model = nn.Sequential(OrderedDict(features=nn.Sequential(*layers), head=nn.Sequential(*head)))
for module in model.modules():
    if isinstance(module, nn.Conv2d):
        prune.l1_unstructured(module, "weight", amount=0.75)
network = zeroskip.compile(model, "sparse256", example=(1, 3, 32, 32))
report = zeroskip.report(network, zeroskip.Session(network).time())
for layer in report.regions[0].layers:
    print(
        f"{layer.node}: {layer.cycles:,} cycles, {layer.effectual:,} of {layer.macs:,} multiplies"
    )
print(f"{report.cycles:,} cycles on {report.target}")
