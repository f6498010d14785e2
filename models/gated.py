"""Networks with squeeze and excite (Hu et al., CVPR 2018): EfficientNet-B0 and
MobileNetV3-Large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from models.onnx_graph import Graph


@dataclass(frozen=True)
class Block:
    """An inverted residual: expansion, depthwise convolution, squeeze and excite, projection.

    wide: channels of the expansion. squeeze: channels between the two layers of the gate; 0: no
    gate. act: "silu", "hardswish" or "relu".
    """

    kernel: int
    wide: int
    filters: int
    stride: int
    squeeze: int
    act: str


# expansion, kernel, stride, filters, blocks (Tan and Le, "EfficientNet", ICML 2019, table 1)
EFFICIENTNET_B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# (Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1)
MOBILENET_V3 = (
    Block(3, 16, 16, 1, 0, "relu"),
    Block(3, 64, 24, 2, 0, "relu"),
    Block(3, 72, 24, 1, 0, "relu"),
    Block(5, 72, 40, 2, 24, "relu"),
    Block(5, 120, 40, 1, 32, "relu"),
    Block(5, 120, 40, 1, 32, "relu"),
    Block(3, 240, 80, 2, 0, "hardswish"),
    Block(3, 200, 80, 1, 0, "hardswish"),
    Block(3, 184, 80, 1, 0, "hardswish"),
    Block(3, 184, 80, 1, 0, "hardswish"),
    Block(3, 480, 112, 1, 120, "hardswish"),
    Block(3, 672, 112, 1, 168, "hardswish"),
    Block(5, 672, 160, 2, 168, "hardswish"),
    Block(5, 960, 160, 1, 240, "hardswish"),
    Block(5, 960, 160, 1, 240, "hardswish"),
)


def efficientnet_b0(
    *, seed: int = 0, image: int = 224, classes: int = 1000, blocks: int | None = None
) -> onnx.ModelProto:
    """EfficientNet-B0; blocks: the first so many of its inverted residuals, None: all 16."""
    plan, channels = [], 32
    for expansion, kernel, first_stride, filters, count in EFFICIENTNET_B0:
        for index in range(count):
            stride = first_stride if index == 0 else 1
            squeeze = max(1, channels // 4)
            plan.append(Block(kernel, expansion * channels, filters, stride, squeeze, "silu"))
            channels = filters
    g = Graph(seed)
    x, channels = _blocks(g, plan[:blocks], 32, "silu", "sigmoid")
    x = _layer(g, "head", x, channels, 1280, 1, act="silu")
    g.pooled_classifier(x, 1280, classes)
    return g.model("efficientnet_b0", image, classes)


def mobilenet_v3(
    *, seed: int = 0, image: int = 224, classes: int = 1000, blocks: int | None = None
) -> onnx.ModelProto:
    """MobileNetV3-Large; blocks: the first so many of its inverted residuals, None: all 15."""
    g = Graph(seed)
    x, channels = _blocks(g, MOBILENET_V3[:blocks], 16, "hardswish", "hardsigmoid")
    x = _layer(g, "head", x, channels, 960, 1, act="hardswish")
    x = g.node("Flatten", "flatten", g.node("GlobalAveragePool", "pool", x))
    x = _activation(g, "hidden.act", g.linear("hidden", x, 960, 1280), "hardswish")
    g.linear("classifier", x, 1280, classes)
    return g.model("mobilenet_v3", image, classes)


def _blocks(g: Graph, plan: Sequence[Block], filters: int, act: str, gate: str) -> tuple[str, int]:
    """The stem and the blocks; the last one's result and channels. gate: "sigmoid" or
    "hardsigmoid"."""
    x, channels = _layer(g, "stem", "image", 3, filters, 3, 2, act=act), filters
    for number, block in enumerate(plan):
        name, wide, y = f"block{number}", block.wide, x
        if wide > channels:
            y = _layer(g, f"{name}.expand", x, channels, wide, 1, act=block.act)
        stride = block.stride
        y = _layer(g, f"{name}.depthwise", y, wide, wide, block.kernel, stride, wide, block.act)
        if block.squeeze:
            y = _squeeze_excite(g, f"{name}.se", y, wide, block.squeeze, block.act, gate)
        y = _layer(g, f"{name}.project", y, wide, block.filters, 1)
        joined = stride == 1 and channels == block.filters
        x = g.node("Add", f"{name}.add", x, y) if joined else y
        channels = block.filters
    return x, channels


def _layer(
    g: Graph,
    name: str,
    x: str,
    channels: int,
    filters: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    act: str = "",
) -> str:
    """A convolution with batch normalisation and an activation."""
    x = g.conv(f"{name}.conv", x, channels, filters, kernel, stride, groups)
    x = g.norm(f"{name}.bn", x, filters, 1.0 if act else 0.5)
    return _activation(g, f"{name}.act", x, act) if act else x


def _squeeze_excite(
    g: Graph, name: str, x: str, channels: int, squeeze: int, act: str, gate: str
) -> str:
    """Every channel times a number from 0 to 1, which all channels' means decide."""
    y = g.node("GlobalAveragePool", f"{name}.pool", x)
    y = g.conv(f"{name}.reduce", y, channels, squeeze, 1, bias=True)
    y = _activation(g, f"{name}.act", y, "silu" if act == "silu" else "relu")
    y = _activation(
        g, f"{name}.gate", g.conv(f"{name}.expand", y, squeeze, channels, 1, bias=True), gate
    )
    return g.node("Mul", f"{name}.scale", x, y)


def _activation(g: Graph, name: str, x: str, kind: str) -> str:
    """In the operators that PyTorch exports."""
    if kind == "silu":
        return g.node("Mul", name, x, g.node("Sigmoid", f"{name}.sigmoid", x))
    if kind == "hardswish":
        return g.node("HardSwish", name, x)
    if kind == "hardsigmoid":
        return g.node("HardSigmoid", name, x, alpha=1 / 6, beta=0.5)
    return g.node({"relu": "Relu", "sigmoid": "Sigmoid"}[kind], name, x)
