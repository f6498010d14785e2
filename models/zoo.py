"""Networks of the literature as ONNX, with seeded weights: real shapes and real arithmetic.

Weights are He-scaled normal numbers (He et al., "Delving Deep into Rectifiers", ICCV 2015), batch
normalisations have randomised statistics. Nothing is trained: these are for cycles, bits and time.

    python -m models.zoo resnet50 -o resnet50.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
from onnx import numpy_helper

from models.detector import yolox_nano
from models.gated import efficientnet_b0, mobilenet_v3
from models.multiscale import shufflenet_v2, unet, yolov5
from models.onnx_graph import Graph
from models.video import c3d, r2plus1d_18

BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BASICS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# expansion, channels, blocks, stride (Sandler et al., "MobileNetV2", CVPR 2018, table 2)
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def resnet(depth: int, *, seed: int = 0, image: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """ResNet v1.5 (He et al., CVPR 2016; the stride is in the 3x3): depth 18, 34, 50, 101, 152."""
    g = Graph(seed)
    deep = depth in BOTTLENECKS
    x = g.relu("relu1", g.norm("bn1", g.conv("conv1", "image", 3, 64, 7, 2), 64))
    x = g.node("MaxPool", "maxpool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, blocks in enumerate(BOTTLENECKS[depth] if deep else BASICS[depth]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            name = f"layer{stage + 1}.{block}"
            plan = (
                [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
                if deep
                else [(width, 3, stride), (width, 3, 1)]
            )
            x = _residual_block(g, name, x, channels, plan, stride)
            channels = plan[-1][0]
    g.pooled_classifier(x, channels, classes)
    return g.model(f"resnet{depth}", image, classes)


def _residual_block(
    g: Graph, name: str, x: str, channels: int, plan: list[tuple[int, int, int]], stride: int
) -> str:
    """Convolutions (filters, kernel, stride) with batch normalisation around a shortcut."""
    y, read = x, channels
    for index, (filters, kernel, step) in enumerate(plan, 1):
        y = g.conv(f"{name}.conv{index}", y, read, filters, kernel, step)
        last = index == len(plan)
        y = g.norm(f"{name}.bn{index}", y, filters, 0.3 if last else 1.0)
        y = y if last else g.relu(f"{name}.relu{index}", y)
        read = filters
    if stride > 1 or channels != read:
        x = g.norm(
            f"{name}.downsample.bn",
            g.conv(f"{name}.downsample.conv", x, channels, read, 1, stride),
            read,
        )
    return g.relu(f"{name}.relu", g.node("Add", f"{name}.add", y, x))


def vgg16(*, seed: int = 0, image: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """VGG-16 (Simonyan and Zisserman, ICLR 2015), configuration D."""
    g = Graph(seed)
    x, channels = "image", 3
    for stage, (filters, count) in enumerate(VGG16, 1):
        for index in range(1, count + 1):
            name = f"conv{stage}_{index}"
            x = g.relu(f"relu{stage}_{index}", g.conv(name, x, channels, filters, 3, bias=True))
            channels = filters
        x = g.node("MaxPool", f"pool{stage}", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", "flatten", x)
    x = g.relu("relu6", g.linear("fc6", x, channels * (image // 32) ** 2, 4096))
    x = g.relu("relu7", g.linear("fc7", x, 4096, 4096))
    g.linear("fc8", x, 4096, classes)
    return g.model("vgg16", image, classes)


def mobilenet_v2(*, seed: int = 0, image: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """MobileNetV2 (Sandler et al., CVPR 2018), width 1.0."""
    g = Graph(seed)
    low, high = g.tensor("relu6.low", np.array(0.0)), g.tensor("relu6.high", np.array(6.0))

    def layer(
        name: str,
        x: str,
        channels: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        linear: bool = False,
    ) -> str:
        x = g.conv(f"{name}.conv", x, channels, filters, kernel, stride, groups)
        x = g.norm(f"{name}.bn", x, filters, 0.5 if linear else 1.0)
        return x if linear else g.node("Clip", f"{name}.relu6", x, low, high)

    x, channels, number = layer("stem", "image", 3, 32, 3, 2), 32, 0
    for expansion, filters, count, first_stride in MOBILENET_V2:
        for index in range(count):
            name, stride = f"block{number}", first_stride if index == 0 else 1
            wide = expansion * channels
            y = layer(f"{name}.expand", x, channels, wide, 1) if expansion > 1 else x
            y = layer(f"{name}.depthwise", y, wide, wide, 3, stride, wide)
            y = layer(f"{name}.project", y, wide, filters, 1, linear=True)
            joined = stride == 1 and channels == filters
            x = g.node("Add", f"{name}.add", x, y) if joined else y
            channels, number = filters, number + 1
    x = layer("head", x, channels, 1280, 1)
    g.pooled_classifier(x, 1280, classes)
    return g.model("mobilenet_v2", image, classes)


def prune_unstructured(model: onnx.ModelProto, sparsity: float) -> onnx.ModelProto:
    """A copy in which each Conv's and Gemm's smallest weights are zero; depthwise ones stay.

    sparsity: the fraction of zeros in each layer, 0 <= sparsity < 1.
    """
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    read = {node.input[1] for node in pruned.graph.node if node.op_type in ("Conv", "Gemm")}
    for tensor in pruned.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in read or (values.ndim > 2 and values.shape[1] == 1):
            continue
        order = np.argsort(np.abs(values), axis=None, kind="stable")
        kept = values.reshape(-1).copy()
        kept[order[: int(sparsity * kept.size)]] = 0
        tensor.CopyFrom(numpy_helper.from_array(kept.reshape(values.shape), tensor.name))
    return pruned


MODELS: dict[str, Callable[..., onnx.ModelProto]] = {
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet_b0": efficientnet_b0,
    "shufflenet_v2": shufflenet_v2,
    "yolov5": yolov5,
    "yolox_nano": yolox_nano,
    "unet": unet,
    "c3d": c3d,
    "r2plus1d_18": r2plus1d_18,
    **{f"resnet{depth}": partial(resnet, depth) for depth in (*BASICS, *BOTTLENECKS)},
}


def main() -> None:
    """Write a model to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    onnx.save(MODELS[options.model](), options.output)


if __name__ == "__main__":
    main()
