"""Networks that split, shuffle, resize and join what they compute."""

from __future__ import annotations

import onnx

from models.onnx_graph import Graph

# units and channels of each stage (Ma et al., "ShuffleNet V2", ECCV 2018, table 5, 1x)
SHUFFLENET_V2 = ((4, 116), (8, 232), (4, 464))
# channels and bottlenecks of each stage of YOLOv5 before its width and depth are scaled
YOLOV5 = ((128, 3), (256, 6), (512, 9), (1024, 3))
POOLS = (5, 9, 13)  # kernels of spatial pyramid pooling


def shufflenet_v2(*, seed: int = 0, image: int = 224, classes: int = 1000) -> onnx.ModelProto:
    """ShuffleNetV2 (Ma et al., ECCV 2018), 1x."""
    g = Graph(seed)
    x, channels = _layer(g, "stem", "image", 3, 24, 3, 2), 24
    x = g.node("MaxPool", "stem.pool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    side = image // 4
    for stage, (units, wide) in enumerate(SHUFFLENET_V2, 2):
        side //= 2
        for unit in range(units):
            name, half = f"stage{stage}.{unit}", wide // 2
            if unit:
                left, right = _halves(g, f"{name}.split", x, half)
            else:
                left = _depthwise(g, f"{name}.left.depthwise", x, channels, 2)
                left, right = _layer(g, f"{name}.left.point", left, channels, half, 1), x
            read = half if unit else channels
            right = _layer(g, f"{name}.right.point1", right, read, half, 1)
            right = _depthwise(g, f"{name}.right.depthwise", right, half, 1 if unit else 2)
            right = _layer(g, f"{name}.right.point2", right, half, half, 1)
            x = g.node("Concat", f"{name}.concat", left, right, axis=1)
            x, channels = _shuffle(g, f"{name}.shuffle", x, wide, side), wide
    x = _layer(g, "head", x, channels, 1024, 1)
    g.pooled_classifier(x, 1024, classes)
    return g.model("shufflenet_v2", image, classes)


def yolov5(
    *, seed: int = 0, image: int = 320, width: float = 0.25, depth: float = 1 / 3, classes: int = 80
) -> onnx.ModelProto:
    """YOLOv5 (Ultralytics, release 6, with the spatial pyramid pooling of He et al., TPAMI 2015;
    width and depth of its size n) up to the three heads' convolutions; ReLU where it has SiLU.

    image: a multiple of 32. Outputs small, middle and large: [1, 3 * (5 + classes), image / 8,
    ...], / 16, / 32; boxes are decoded from these on the host.
    """
    g = Graph(seed)
    x, channels = _layer(g, "stem", "image", 3, round(64 * width), 6, 2), round(64 * width)
    seen: list[tuple[str, int]] = []
    for stage, (wide, count) in enumerate(YOLOV5, 1):
        wide, count = round(wide * width), max(1, round(count * depth))
        x = _layer(g, f"down{stage}", x, channels, wide, 3, 2)
        x = _csp(g, f"stage{stage}", x, wide, wide, count)
        channels = wide
        seen.append((x, wide))
    x = _pyramid_pool(g, "spp", x, channels)
    lateral: list[tuple[str, int]] = []
    count = max(1, round(3 * depth))
    for level, (skip, wide) in enumerate(reversed(seen[1:-1]), 1):
        x = _layer(g, f"up{level}.reduce", x, channels, wide, 1)
        lateral.append((x, wide))
        x = g.node("Concat", f"up{level}.concat", g.twice(f"up{level}", x), skip, axis=1)
        x = _csp(g, f"up{level}.csp", x, 2 * wide, wide, count, shortcut=False)
        channels = wide
    heads = [(x, channels)]
    for level, (skip, wide) in enumerate(reversed(lateral), 1):
        x = _layer(g, f"out{level}.down", x, channels, channels, 3, 2)
        x = g.node("Concat", f"out{level}.concat", x, skip, axis=1)
        x = _csp(g, f"out{level}.csp", x, channels + wide, 2 * wide, count, shortcut=False)
        channels = 2 * wide
        heads.append((x, channels))
    anchors, results = 3 * (5 + classes), {}
    for (x, wide), name, stride in zip(
        heads, ("small", "middle", "large"), (8, 16, 32), strict=True
    ):
        made = g.conv(f"head.{name}", x, wide, anchors, 1, bias=True)
        results[name] = (made, (1, anchors, image // stride, image // stride))
    return g.images("yolov5", image, results)


def unet(
    *, seed: int = 0, image: int = 224, classes: int = 2, width: int = 64, levels: int = 4
) -> onnx.ModelProto:
    """U-Net (Ronneberger et al., MICCAI 2015), its convolutions padded and normalised, so that the
    result is as large as the image: "classes" [1, classes, image, image].

    width: channels of the first level; levels: halvings, which divide ``image``.
    """
    g = Graph(seed)
    x, channels, skips = "image", 3, []
    for level in range(levels + 1):
        wide = width << level
        x = _layer(g, f"down{level}.a", x, channels, wide, 3)
        x, channels = _layer(g, f"down{level}.b", x, wide, wide, 3), wide
        if level < levels:
            skips.append(x)
            x = g.node("MaxPool", f"pool{level}", x, kernel_shape=[2, 2], strides=[2, 2])
    for level in reversed(range(levels)):
        wide = width << level
        weight = g.he(f"up{level}.weight", channels, wide, 2, 2)
        bias = g.tensor(f"up{level}.bias", 0.1 * g.rng.standard_normal(wide))
        x = g.node("ConvTranspose", f"up{level}", x, weight, bias, strides=[2, 2])
        x = g.node("Concat", f"join{level}", skips[level], x, axis=1)
        x = _layer(g, f"up{level}.a", x, 2 * wide, wide, 3)
        x, channels = _layer(g, f"up{level}.b", x, wide, wide, 3), wide
    made = g.conv("classify", x, channels, classes, 1, bias=True)
    return g.images("unet", image, {"classes": (made, (1, classes, image, image))})


def _layer(
    g: Graph, name: str, x: str, channels: int, filters: int, kernel: int, stride: int = 1
) -> str:
    """Convolution, batch normalisation, ReLU. A kernel of 6 is padded by 2, as YOLOv5's first."""
    y = g.conv(f"{name}.conv", x, channels, filters, kernel, stride)
    if kernel % 2 == 0:
        for attribute in g.nodes[-1].attribute:
            if attribute.name == "pads":
                attribute.ints[:] = [kernel // 2 - 1] * 4
    return g.relu(f"{name}.relu", g.norm(f"{name}.bn", y, filters))


def _depthwise(g: Graph, name: str, x: str, channels: int, stride: int) -> str:
    """A depthwise 3x3 convolution and its normalisation."""
    return g.norm(f"{name}.bn", g.conv(name, x, channels, channels, 3, stride, channels), channels)


def _halves(g: Graph, name: str, x: str, half: int) -> tuple[str, str]:
    sizes = g.integers(f"{name}.sizes", [half, half])
    first = g.node("Split", name, x, sizes, axis=1)
    g.nodes[-1].output.append(f"{name}.right")
    return first, f"{name}.right"


def _shuffle(g: Graph, name: str, x: str, channels: int, side: int) -> str:
    """The channels of two halves in turns."""
    apart = g.integers(f"{name}.apart", [1, 2, channels // 2, side, side])
    joined = g.integers(f"{name}.joined", [1, channels, side, side])
    x = g.node("Reshape", f"{name}.groups", x, apart)
    x = g.node("Transpose", f"{name}.turn", x, perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", name, x, joined)


def _csp(
    g: Graph, name: str, x: str, channels: int, filters: int, count: int, *, shortcut: bool = True
) -> str:
    """A cross stage partial block (Wang et al., "CSPNet", CVPRW 2020), YOLOv5's C3."""
    half = filters // 2
    y = _layer(g, f"{name}.cv1", x, channels, half, 1)
    for index in range(count):
        z = _layer(g, f"{name}.m{index}.cv1", y, half, half, 1)
        z = _layer(g, f"{name}.m{index}.cv2", z, half, half, 3)
        y = g.node("Add", f"{name}.m{index}.add", y, z) if shortcut else z
    other = _layer(g, f"{name}.cv2", x, channels, half, 1)
    joined = g.node("Concat", f"{name}.concat", y, other, axis=1)
    return _layer(g, f"{name}.cv3", joined, 2 * half, filters, 1)


def _pyramid_pool(g: Graph, name: str, x: str, channels: int) -> str:
    """Maxima of several windows around each pixel, beside the pixel."""
    x = _layer(g, f"{name}.cv1", x, channels, channels // 2, 1)
    joined = g.maxima(name, x, POOLS)
    return _layer(g, f"{name}.cv2", joined, channels // 2 * (1 + len(POOLS)), channels, 1)
