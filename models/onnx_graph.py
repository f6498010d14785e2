"""ONNX graphs being written, with seeded weights: what the zoo's networks are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Sizes = int | tuple[int, ...]  # of each spatial axis; a number: of two alike


@dataclass
class Graph:
    """An ONNX graph being written; each method adds nodes and returns the name of their result."""

    seed: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def tensor(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Sizes, as a constant of int64."""
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [f"{name}.out"], name, **attributes))
        return f"{name}.out"

    def he(self, name: str, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:]))
        return self.tensor(name, self.rng.standard_normal(shape) * np.sqrt(2 / fan_in))

    def conv(
        self,
        name: str,
        x: str,
        channels: int,
        filters: int,
        kernel: Sizes,
        stride: Sizes = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> str:
        """A convolution padded by half of its kernel on every side."""
        sizes = _axes(kernel)
        weight = self.he(f"{name}.weight", filters, channels // groups, *sizes)
        inputs = [x, weight]
        if bias:
            inputs.append(self.tensor(f"{name}.bias", 0.1 * self.rng.standard_normal(filters)))
        return self.node(
            "Conv",
            name,
            *inputs,
            kernel_shape=sizes,
            strides=_axes(stride) if isinstance(stride, tuple) else [stride] * len(sizes),
            pads=[size // 2 for size in sizes] * 2,
            group=groups,
        )

    def norm(self, name: str, x: str, channels: int, gain: float = 1.0) -> str:
        """Batch normalisation with scale around ``gain``."""
        draw = self.rng.uniform
        return self.node(
            "BatchNormalization",
            name,
            x,
            self.tensor(f"{name}.scale", gain * draw(0.5, 1.5, channels)),
            self.tensor(f"{name}.bias", draw(-0.1, 0.1, channels)),
            self.tensor(f"{name}.mean", 0.1 * self.rng.standard_normal(channels)),
            self.tensor(f"{name}.var", draw(0.5, 1.5, channels)),
        )

    def linear(self, name: str, x: str, inputs: int, units: int) -> str:
        return self.node(
            "Gemm",
            name,
            x,
            self.he(f"{name}.weight", units, inputs),
            self.tensor(f"{name}.bias", 0.1 * self.rng.standard_normal(units)),
            transB=1,
        )

    def relu(self, name: str, x: str) -> str:
        return self.node("Relu", name, x)

    def maxima(self, name: str, x: str, kernels: Sequence[int]) -> str:
        """Maxima of several windows around each pixel, beside the pixel."""
        pooled = [
            self.node(
                "MaxPool",
                f"{name}.pool{size}",
                x,
                kernel_shape=[size] * 2,
                strides=[1, 1],
                pads=[size // 2] * 4,
            )
            for size in kernels
        ]
        return self.node("Concat", f"{name}.concat", x, *pooled, axis=1)

    def twice(self, name: str, x: str) -> str:
        """Rows and columns doubled, to the nearest."""
        return self.node(
            "Resize",
            f"{name}.resize",
            x,
            "",
            self.tensor(f"{name}.scales", np.array([1, 1, 2, 2])),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def pooled_classifier(self, x: str, channels: int, classes: int) -> str:
        x = self.node("Flatten", "flatten", self.node("GlobalAveragePool", "pool", x))
        return self.linear("classifier", x, channels, classes)

    def model(self, name: str, image: Sizes, classes: int) -> onnx.ModelProto:
        """The graph so far: image [1, 3, *image] to the last node's logits [1, classes]."""
        return self.images(name, image, {"logits": (self.nodes[-1].output[0], (1, classes))})

    def images(
        self, name: str, image: Sizes, results: Mapping[str, tuple[str, Sequence[int]]]
    ) -> onnx.ModelProto:
        """The graph so far: image [1, 3, *image] to results, by their names: which value of the
        graph each is, and its shape. No node may read these."""
        names = {value: result for result, (value, _) in results.items()}
        for node in self.nodes:
            node.output[:] = [names.get(each, each) for each in node.output]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *_axes(image)])],
            [
                helper.make_tensor_value_info(result, TensorProto.FLOAT, shape)
                for result, (_, shape) in results.items()
            ],
            self.weights,
        )
        return helper.make_model(
            graph,
            ir_version=9,
            producer_name="zeroskip.models.zoo",
            opset_imports=[helper.make_opsetid("", 17)],
        )


def _axes(sizes: Sizes) -> Sequence[int]:
    return [sizes] * 2 if isinstance(sizes, int) else list(sizes)
