"""A detector as its authors export it: boxes are not decoded yet."""

from __future__ import annotations

import onnx

from models.onnx_graph import Graph

# channels and bottlenecks of each stage of the backbone before its width and depth are scaled
STAGES = ((128, 3), (256, 9), (512, 9), (1024, 3))
STRIDES = (8, 16, 32)  # of the three levels
POOLS = (5, 9, 13)  # kernels of spatial pyramid pooling


def yolox_nano(
    *, seed: int = 0, image: int = 416, width: float = 0.25, depth: float = 1 / 3, classes: int = 80
) -> onnx.ModelProto:
    """YOLOX (Ge et al., arXiv:2107.08430) with depthwise convolutions; width and depth of its size
    nano. As its ``tools/export_onnx.py`` writes it: Focus, SiLU, CSPDarknet, spatial pyramid
    pooling, PAFPN and heads apart for boxes and classes.

    image: a multiple of 32. Output: "output" [1, anchors, 5 + classes], an anchor for each pixel of
    the three levels: offsets, sizes and logarithms of these, then probabilities.
    """
    g, wide = Graph(seed), [round(each * width) for each, _ in STAGES]
    first = round(64 * width)
    x = _layer(g, "stem.conv", _focus(g, "stem", image), 12, first, 3)
    seen, channels = [], first
    for stage, (_, count) in enumerate(STAGES):
        name, filters = f"dark{stage + 2}", wide[stage]
        x = _pair(g, f"{name}.down", x, channels, filters, 2)
        if stage == len(STAGES) - 1:
            x = _pyramid_pool(g, f"{name}.spp", x, filters)
        count = max(1, round(count * depth))
        x = _csp(g, f"{name}.csp", x, filters, filters, count, shortcut=stage < len(STAGES) - 1)
        seen.append(x)
        channels = filters
    _, small, middle, large = wide
    count = max(1, round(3 * depth))
    top = _layer(g, "lateral", x, large, middle, 1)
    x = g.node("Concat", "up1.concat", g.twice("up1", top), seen[2], axis=1)
    x = _csp(g, "up1.csp", x, 2 * middle, middle, count)
    between = _layer(g, "reduce", x, middle, small, 1)
    x = g.node("Concat", "up2.concat", g.twice("up2", between), seen[1], axis=1)
    levels = [_csp(g, "up2.csp", x, 2 * small, small, count)]
    for name, skip, filters in (("down1", between, small), ("down2", top, middle)):
        x = _pair(g, name, levels[-1], filters, filters, 2)
        x = g.node("Concat", f"{name}.concat", x, skip, axis=1)
        levels.append(_csp(g, f"{name}.csp", x, 2 * filters, 2 * filters, count))
    flat = []
    for stride, x, filters in zip(STRIDES, levels, (small, middle, large), strict=True):
        made = _head(g, f"head{stride}", x, filters, round(256 * width), classes)
        sizes = g.integers(f"head{stride}.sizes", [1, 5 + classes, (image // stride) ** 2])
        flat.append(g.node("Reshape", f"head{stride}.flat", made, sizes))
    x = g.node("Concat", "heads", *flat, axis=2)
    x = g.node("Transpose", "last", x, perm=[0, 2, 1])
    anchors = sum((image // stride) ** 2 for stride in STRIDES)
    return g.images("yolox_nano", image, {"output": (x, (1, anchors, 5 + classes))})


def _layer(g: Graph, name: str, x: str, channels: int, filters: int, kernel: int) -> str:
    """Convolution, batch normalisation, SiLU."""
    y = g.conv(f"{name}.conv", x, channels, filters, kernel)
    return _silu(g, name, g.norm(f"{name}.bn", y, filters))


def _silu(g: Graph, name: str, x: str) -> str:
    return g.node("Mul", f"{name}.mul", x, g.node("Sigmoid", f"{name}.sigmoid", x))


def _pair(g: Graph, name: str, x: str, channels: int, filters: int, stride: int = 1) -> str:
    """A depthwise 3x3 convolution, then one of single pixels, each with normalisation and SiLU."""
    y = g.conv(f"{name}.depthwise.conv", x, channels, channels, 3, stride, channels)
    y = _silu(g, f"{name}.depthwise", g.norm(f"{name}.depthwise.bn", y, channels))
    return _layer(g, f"{name}.point", y, channels, filters, 1)


def _focus(g: Graph, name: str, image: int) -> str:
    """Each 2x2 block of pixels as channels of one."""
    axes, steps = g.integers(f"{name}.axes", [2, 3]), g.integers(f"{name}.steps", [2, 2])
    ends = g.integers(f"{name}.ends", [image, image])
    parts = []
    for column in range(2):
        for row in range(2):
            starts = g.integers(f"{name}.starts{row}{column}", [row, column])
            part = f"{name}.slice{row}{column}"
            parts.append(g.node("Slice", part, "image", starts, ends, axes, steps))
    return g.node("Concat", f"{name}.concat", *parts, axis=1)


def _csp(
    g: Graph, name: str, x: str, channels: int, filters: int, count: int, *, shortcut: bool = False
) -> str:
    """A cross stage partial block of depthwise bottlenecks."""
    half = filters // 2
    y = _layer(g, f"{name}.conv1", x, channels, half, 1)
    other = _layer(g, f"{name}.conv2", x, channels, half, 1)
    for index in range(count):
        part = f"{name}.m{index}"
        z = _pair(g, f"{part}.conv2", _layer(g, f"{part}.conv1", y, half, half, 1), half, half)
        y = g.node("Add", f"{part}.add", y, z) if shortcut else z
    joined = g.node("Concat", f"{name}.concat", y, other, axis=1)
    return _layer(g, f"{name}.conv3", joined, 2 * half, filters, 1)


def _pyramid_pool(g: Graph, name: str, x: str, channels: int) -> str:
    """Spatial pyramid pooling (He et al., TPAMI 2015)."""
    x = _layer(g, f"{name}.conv1", x, channels, channels // 2, 1)
    joined = g.maxima(name, x, POOLS)
    return _layer(g, f"{name}.conv2", joined, channels // 2 * (1 + len(POOLS)), channels, 1)


def _head(g: Graph, name: str, x: str, channels: int, wide: int, classes: int) -> str:
    """[1, 5 + classes, H, W]: boxes, whether there is something, and of which class."""
    x = _layer(g, f"{name}.stem", x, channels, wide, 1)
    paths = {}
    for path in ("classes", "boxes"):
        y = x
        for index in range(2):
            y = _pair(g, f"{name}.{path}{index}", y, wide, wide)
        paths[path] = y
    box = g.conv(f"{name}.box", paths["boxes"], wide, 4, 1, bias=True)
    there = g.conv(f"{name}.object", paths["boxes"], wide, 1, 1, bias=True)
    which = g.conv(f"{name}.class", paths["classes"], wide, classes, 1, bias=True)
    there, which = (
        g.node("Sigmoid", f"{name}.{what}.sigmoid", y)
        for what, y in (("object", there), ("class", which))
    )
    return g.node("Concat", f"{name}.concat", box, there, which, axis=1)
