"""The networks that are trained here: the demonstration's, and the two that pruning is measured on.

All read 28x28 images of one channel and give ten logits. Every convolution is followed by a
batch normalisation. In torch; ``models/torch_onnx.py`` writes them as ONNX.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # torch's own convention


def convolution(channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (of stride 1) and its batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
    )


class Classifier(nn.Module):  # type: ignore[misc]  # torch is optional
    """Residual blocks of 32, 64, 128 channels on 14x14, 7x7, 3x3 pixels, then a dense layer: the
    demonstration's network, 0.33 M weights, 10 MMAC."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(1, 32, 3, 2)
        self.block1a, self.block1b = convolution(32, 32, 3), convolution(32, 32, 3)
        self.widen1 = convolution(32, 64, 3)
        self.block2a, self.block2b = convolution(64, 64, 3), convolution(64, 64, 3)
        self.widen2 = convolution(64, 128, 3)
        self.block3 = convolution(128, 128, 3)
        self.classifier = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = F.max_pool2d(F.relu(self.block1b(F.relu(self.block1a(x))) + x), 2)
        x = F.relu(self.widen1(x))
        x = F.max_pool2d(F.relu(self.block2b(F.relu(self.block2a(x))) + x), 2)
        x = F.relu(self.widen2(x))
        x = F.relu(self.block3(x) + x)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Plain(nn.Module):  # type: ignore[misc]  # torch is optional
    """VGG's shape (Simonyan and Zisserman, ICLR 2015): 3x3 convolutions and max pooling.

    One layer of 16 channels on 28x28, one of 32 on 14x14, two of 64 on 7x7, two of 128 on 3x3
    pixels: 281 k weights behind the first layer, 5.7 MMAC.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 32, 64, 64, 128, 128)
        self.layers = nn.ModuleList(convolution(*pair, 3) for pair in pairwise(widths))
        self.pooled = {0, 1, 3}
        self.classifier = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for at, layer in enumerate(self.layers):
            x = F.relu(layer(x))
            if at in self.pooled:
                x = F.max_pool2d(x, 2)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Bottleneck(nn.Module):  # type: ignore[misc]  # torch is optional
    """1x1, 3x3 (with the stride), 1x1 to twice the width, and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.reduce = convolution(channels, width, 1)
        self.spatial = convolution(width, width, 3, stride)
        self.expand = convolution(width, 2 * width, 1)
        same = stride == 1 and channels == 2 * width
        self.shortcut = nn.Identity() if same else convolution(channels, 2 * width, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.spatial(F.relu(self.reduce(x))))
        return F.relu(self.expand(y) + self.shortcut(x))


class ResidualNet(nn.Module):  # type: ignore[misc]  # torch is optional
    """ResNet-20's shape with bottlenecks: a first layer, six blocks of three layers, a classifier.

    Blocks of width 16, 32 and 96 on 14x14, 7x7 and 4x4 pixels; three of the shortcuts are 1x1
    convolutions. About as many weights as ResNet-20 has (0.27 M).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(1, 16, 3)
        self.blocks = nn.Sequential(
            Bottleneck(16, 16, 1),
            Bottleneck(32, 16, 1),
            Bottleneck(32, 32, 2),
            Bottleneck(64, 32, 1),
            Bottleneck(64, 96, 2),
            Bottleneck(192, 96, 1),
        )
        self.classifier = nn.Linear(192, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(F.max_pool2d(F.relu(self.stem(x)), 2))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


NETS: dict[str, Callable[[], nn.Module]] = {"plain": Plain, "residual": ResidualNet}
