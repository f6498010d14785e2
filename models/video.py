"""Networks of videos: convolutions and pools over frames, rows and columns."""

from __future__ import annotations

import onnx

from models.onnx_graph import Graph

# filters and convolutions of each stage, each closed by a pool
C3D = ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2))
R2PLUS1D = (64, 128, 256, 512)


def c3d(
    *, seed: int = 0, frames: int = 16, image: int = 112, classes: int = 487, width: float = 1.0
) -> onnx.ModelProto:
    """C3D (Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV
    2015, section 3.3), with batch normalisation behind its convolutions.

    frames: at least 16, as the five pools leave one of 16. image: rows and columns. width: factor
    of all filters and hidden units.
    """
    g = Graph(seed)
    x, channels, rows, depth = "image", 3, image, frames
    for stage, (filters, count) in enumerate(C3D, 1):
        filters = round(width * filters)
        for index in range(1, count + 1):
            name = f"{stage}{'ab'[index - 1]}"
            x = g.norm(f"bn{name}", g.conv(f"conv{name}", x, channels, filters, (3, 3, 3)), filters)
            x, channels = g.relu(f"relu{name}", x), filters
        kernel = [1 if stage == 1 else 2, 2, 2]
        around = 1 if stage == len(C3D) else 0  # of rows and columns
        x = g.node(
            "MaxPool",
            f"pool{stage}",
            x,
            kernel_shape=kernel,
            strides=kernel,
            pads=[0, around, around] * 2,
        )
        rows, depth = (rows + 2 * around) // 2, depth // kernel[0]
    hidden = round(width * 4096)
    x = g.node("Flatten", "flatten", x)
    x = g.relu("relu6", g.linear("fc6", x, channels * depth * rows**2, hidden))
    x = g.relu("relu7", g.linear("fc7", x, hidden, hidden))
    g.linear("fc8", x, hidden, classes)
    return g.model("c3d", (frames, image, image), classes)


def r2plus1d_18(
    *,
    seed: int = 0,
    frames: int = 16,
    image: int = 112,
    classes: int = 400,
    width: float = 1.0,
    stages: int = 4,
) -> onnx.ModelProto:
    """R(2+1)D with 18 layers (Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
    Recognition", CVPR 2018): every convolution of t x d x d is one of 1 x d x d and one of
    t x 1 x 1 behind it, with as many filters between them as give the weights of the whole.

    frames, image: of the input. width: factor of all filters. stages: how many of the four.
    """
    g = Graph(seed)
    channels = round(width * R2PLUS1D[0])
    between = round(width * 45)
    x = g.relu(
        "stem.relu1",
        g.norm(
            "stem.bn1", g.conv("stem.conv1", "image", 3, between, (1, 7, 7), (1, 2, 2)), between
        ),
    )
    x = g.conv("stem.conv2", x, between, channels, (3, 1, 1))
    x = g.relu("stem.relu2", g.norm("stem.bn2", x, channels))
    for stage, filters in enumerate(R2PLUS1D[:stages]):
        for block in range(2):
            stride = 2 if stage and not block else 1
            name = f"layer{stage + 1}.{block}"
            x = _block(g, name, x, channels, round(width * filters), stride)
            channels = round(width * filters)
    g.pooled_classifier(x, channels, classes)
    return g.model("r2plus1d_18", (frames, image, image), classes)


def _block(g: Graph, name: str, x: str, channels: int, filters: int, stride: int) -> str:
    """Two factorised convolutions around a shortcut."""
    y = g.relu(f"{name}.relu1", _factorised(g, f"{name}.1", x, channels, filters, stride))
    y = _factorised(g, f"{name}.2", y, filters, filters, 1, gain=0.3)
    if stride > 1 or channels != filters:
        x = g.conv(f"{name}.downsample.conv", x, channels, filters, (1, 1, 1), (stride,) * 3)
        x = g.norm(f"{name}.downsample.bn", x, filters)
    return g.relu(f"{name}.relu", g.node("Add", f"{name}.add", y, x))


def _factorised(
    g: Graph, name: str, x: str, channels: int, filters: int, stride: int, gain: float = 1.0
) -> str:
    """A 3 x 3 x 3 convolution as one over rows and columns and one over frames."""
    between = 27 * channels * filters // (9 * channels + 3 * filters)
    x = g.conv(f"{name}.space", x, channels, between, (1, 3, 3), (1, stride, stride))
    x = g.relu(f"{name}.relu", g.norm(f"{name}.space.bn", x, between))
    x = g.conv(f"{name}.time", x, between, filters, (3, 1, 1), (stride, 1, 1))
    return g.norm(f"{name}.time.bn", x, filters, gain)
