"""Random layer graphs: the whole operator set and its parameters, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.compiler.fields import Int8, LimitFields, ScaleFields, ScalesFields, WindowFields
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.fixed_point import SUMS
from zeroskip.relay_passes.integer.layers import DType, QTensor


@dataclass
class GraphBuilder:
    """Grows a graph layer by layer; every method returns the name of the value it made. wide: of
    activations in int16."""

    rng: np.random.Generator
    density: float = 0.5
    wide: bool = False
    tensors: dict[str, QTensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def input(self, *shape: int) -> str:
        name = f"in{len(self.inputs)}"
        self.inputs.append(name)
        self.tensors[name] = self.tensor((1, *shape))
        return name

    def tensor(self, shape: tuple[int, ...], like: QTensor | None = None) -> QTensor:
        if like is not None:
            return QTensor(shape, like.dtype, like.zero_point)
        if self.wide:
            return QTensor(shape, "int16", 0)
        dtype: DType = "uint8" if self.rng.random() < 0.3 else "int8"
        low, high = layers.BOUNDS[dtype]
        return QTensor(shape, dtype, int(self.rng.integers(low, high + 1)))

    def limits(self, y: QTensor) -> LimitFields:
        low, high = layers.BOUNDS[y.dtype]
        return {"lo": y.zero_point if self.rng.random() < 0.5 else low, "hi": high}

    def add(self, layer: layers.Layer, *inputs: str) -> str:
        name = f"v{len(self.nodes)}"
        self.tensors[name] = layer.y
        self.nodes.append(Node(f"{layer.kind}{len(self.nodes)}", layer, inputs, name))
        return name

    def scales(self, count: int, terms: int) -> ScalesFields:
        step, most = (60, 10**6) if self.wide else (20, 3000)
        real = self.rng.uniform(0.5, 2.0, count) / (step * np.sqrt(max(terms, 1)))
        bits = SUMS["int16" if self.wide else "int8"].mult_bits
        pairs = [layers.quantize_multiplier(float(r), bits) for r in real]
        return {
            "mult": np.array([m for m, _ in pairs], np.int32),
            "shift": np.array([n for _, n in pairs], np.int32),
            "bias": self.rng.integers(-most, most, count).astype(np.int32),
        }

    def weight(self, *shape: int) -> Int8:
        w = self.rng.integers(-127, 128, shape).astype(np.int8)
        w[self.rng.random(shape) >= self.density] = 0
        return w

    def conv(
        self,
        x: str,
        filters: int,
        kernel: tuple[int, int],
        *,
        stride: int = 1,
        pad: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: int = 1,
        groups: int = 1,
    ) -> str:
        t = self.tensors[x]
        weight = self.weight(filters, t.shape[1] // groups, *kernel)
        shape = tuple(
            (size + pad[axis] + pad[axis + 2] - (k - 1) * dilation - 1) // stride + 1
            for axis, (size, k) in enumerate(zip(t.shape[2:], kernel, strict=True))
        )
        y = self.tensor((1, filters, *shape))
        return self.add(
            layers.ConvLayer(
                x=t,
                y=y,
                weight=weight,
                strides=(stride, stride),
                padding=pad,
                dilation=(dilation, dilation),
                groups=groups,
                **self.scales(filters, int(weight[0].size * self.density)),
                **self.limits(y),
            ),
            x,
        )

    def dense(self, x: str, units: int) -> str:
        t = self.tensors[x]
        y = self.tensor((1, units))
        weight = self.weight(units, t.shape[1])
        return self.add(
            layers.DenseLayer(
                x=t,
                y=y,
                weight=weight,
                **self.limits(y),
                **self.scales(units, int(t.shape[1] * self.density)),
            ),
            x,
        )

    def scale(self, real: float) -> ScaleFields:
        mult, shift = layers.quantize_multiplier(real)
        return {"mult": mult, "shift": shift}

    def sum(self, a: str, b: str, sign: int = 1) -> str:
        y = self.tensor(self.tensors[a].shape)
        mult_a, mult_b = (int(m) for m in self.rng.integers(1 << 20, 1 << 30, 2))
        return self.add(
            layers.AddLayer(
                a=self.tensors[a],
                b=self.tensors[b],
                y=y,
                mult_a=mult_a,
                mult_b=sign * mult_b,
                shift=30,
                **self.limits(y),
            ),
            a,
            b,
        )

    def pool(self, x: str, kind: str, kernel: int, stride: int, pad: int = 0) -> str:
        t = self.tensors[x]
        shape = tuple((size + 2 * pad - kernel) // stride + 1 for size in t.shape[2:])
        window: WindowFields = {
            "kernel": (kernel, kernel),
            "strides": (stride, stride),
            "padding": (pad,) * 4,
        }
        if kind == "max":
            y = self.tensor((1, t.shape[1], *shape), t)
            return self.add(
                layers.MaxPoolLayer(x=t, y=y, dilation=(1, 1), **window, **self.limits(y)), x
            )
        y = self.tensor((1, t.shape[1], *shape))
        return self.add(
            layers.AvgPoolLayer(x=t, y=y, **window, **self.scale(1 / kernel**2), **self.limits(y)),
            x,
        )

    def global_pool(self, x: str) -> str:
        t = self.tensors[x]
        y = self.tensor((*t.shape[:2], 1, 1))
        area = t.shape[2] * t.shape[3]
        return self.add(
            layers.AvgPoolLayer(
                x=t,
                y=y,
                kernel=tuple(t.shape[2:]),
                strides=(1, 1),
                padding=(0,) * 4,
                **self.scale(1 / area),
                **self.limits(y),
            ),
            x,
        )

    def requantize(self, x: str, like: str | None = None) -> str:
        t = self.tensors[x]
        y = self.tensor(t.shape, None if like is None else self.tensors[like])
        return self.add(layers.RequantizeLayer(x=t, y=y, **self.scale(0.8), **self.limits(y)), x)

    def multiply(self, a: str, b: str) -> str:
        y = self.tensor(self.tensors[a].shape)
        made = layers.MultiplyLayer(
            a=self.tensors[a],
            b=self.tensors[b],
            y=y,
            **self.scale(1 / 40_000 if self.wide else 1 / 150),
            **self.limits(y),
        )
        return self.add(made, a, b)

    def lookup(self, x: str) -> str:
        """A table of random values."""
        t = self.tensors[x]
        y = self.tensor(t.shape)
        low, high = layers.BOUNDS[y.dtype]
        table = self.rng.integers(low, high + 1, 256).astype(y.dtype)
        return self.add(layers.LookupLayer(x=t, y=y, table=table), x)

    def concat(self, *xs: str) -> str:
        same = [xs[0], *(self.requantize(x, xs[0]) for x in xs[1:])]
        parts = tuple(self.tensors[x] for x in same)
        channels = sum(t.shape[1] for t in parts)
        y = self.tensor((1, channels, *parts[0].shape[2:]), parts[0])
        return self.add(layers.ConcatLayer(xs=parts, y=y, axis=1), *same)

    def reshape(self, x: str, *shape: int) -> str:
        t = self.tensors[x]
        return self.add(layers.ReshapeLayer(x=t, y=self.tensor((1, *shape), t)), x)

    def gather(self, x: str, *indices: Sequence[int] | None) -> str:
        t = self.tensors[x]
        chosen = tuple(None if at is None else tuple(at) for at in indices)
        shape = [d if at is None else len(at) for d, at in zip(t.shape[1:], chosen, strict=True)]
        return self.add(layers.GatherLayer(x=t, y=self.tensor((1, *shape), t), indices=chosen), x)

    def depth_to_space(self, x: str, *block: int) -> str:
        t = self.tensors[x]
        spatial = (size * step for size, step in zip(t.shape[2:], block, strict=True))
        y = self.tensor((1, t.shape[1] // int(np.prod(block)), *spatial), t)
        return self.add(layers.DepthToSpaceLayer(x=t, y=y, block=block), x)

    def graph(self, *outputs: str) -> LayerGraph:
        return LayerGraph("net", tuple(self.inputs), outputs, tuple(self.nodes), self.tensors)

    def data(self) -> dict[str, np.ndarray]:
        made = {}
        for name in self.inputs:
            t = self.tensors[name]
            low, high = layers.BOUNDS[t.dtype]
            made[name] = self.rng.integers(low, high + 1, t.shape).astype(t.dtype)
        return made
