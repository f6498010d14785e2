"""Small compiled programs that together use every instruction and every memory, on every target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tests.compiler.fields import LimitFields, ScalesFields
from tests.compiler.networks import GraphBuilder
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import BOUNDS, QTensor

Data = dict[str, npt.NDArray[np.generic]]
TARGETS = ("dense256", "sparse256", "pattern256")
WIDE = "sparse256_int16"  # with activations of 16 bits


@dataclass(frozen=True)
class Sample:
    """A program, what it was made of, and inputs for it."""

    name: str
    graph: LayerGraph
    program: Program
    inputs: tuple[Data, ...]

    def more_inputs(self, count: int) -> Iterator[Data]:
        """Inputs of other kinds: uniform ones, extremes of either sign, few extremes among zero
        points, the same extreme in a whole channel, or in a whole row."""
        rng = np.random.default_rng(len(self.name))
        for number in range(count):
            yield {
                name: _other(rng, number % 5, self.graph.tensors[name])
                for name in self.graph.inputs
            }

    @property
    def spec(self) -> AccelSpec:
        return self.program.spec


class Lively(GraphBuilder):
    """Makes layers whose results are spread over the whole range, so that every byte matters: zero
    points near the middle, no limits within the range, and few values beyond it."""

    def tensor(self, shape: tuple[int, ...], like: QTensor | None = None) -> QTensor:
        made = super().tensor(shape, like)
        if like is not None or self.wide:
            return made
        low, high = BOUNDS[made.dtype]
        return replace(made, zero_point=(low + high) // 2 + int(self.rng.integers(-20, 21)))

    def limits(self, y: QTensor) -> LimitFields:
        low, high = BOUNDS[y.dtype]
        return {"lo": low, "hi": high}

    def scales(self, count: int, terms: int) -> ScalesFields:
        made = super().scales(count, terms)
        return {**made, "shift": made["shift"] + 3}


def _residual(b: GraphBuilder) -> LayerGraph:
    x = b.conv(b.input(20, 7, 6), 24, (3, 3), pad=(1, 1, 1, 1))
    y = b.sum(b.conv(b.conv(x, 40, (1, 1)), 24, (3, 3), pad=(1, 1, 1, 1)), x)
    return b.graph(b.dense(b.reshape(b.global_pool(y), 24), 10))


def _depthwise(b: GraphBuilder) -> LayerGraph:
    x = b.conv(b.input(18, 9, 5), 18, (3, 3), stride=2, pad=(1, 1, 1, 1), groups=18)
    y = b.sum(b.pool(x, "avg", 2, 1, 0), b.pool(x, "max", 2, 1, 0))
    y = b.conv(y, 33, (1, 1))
    return b.graph(b.requantize(y), b.pool(x, "max", 3, 2, 1))


def _joined(b: GraphBuilder) -> LayerGraph:
    x = b.input(9, 5, 5)
    left, right = b.conv(x, 13, (3, 3), pad=(1, 1, 1, 1)), b.conv(x, 20, (1, 1))
    both = b.concat(left, right, left)
    return b.graph(b.conv(both, 17, (3, 3), dilation=2, pad=(2, 2, 2, 2)), right)


def _reduction(b: GraphBuilder) -> LayerGraph:
    x = b.input(150, 4, 4)
    y = b.conv(x, 70, (3, 3), pad=(1, 1, 1, 1))
    return b.graph(b.dense(b.reshape(y, 70 * 16), 20))


def _looked_up(b: GraphBuilder) -> LayerGraph:
    """Tables behind each kind of instruction, one alone, and one of another type behind a sum."""
    x = b.lookup(b.conv(b.input(20, 7, 6), 24, (3, 3), pad=(1, 1, 1, 1)))
    y = b.lookup(b.conv(x, 24, (3, 3), pad=(1, 1, 1, 1), groups=24))
    z = b.lookup(b.sum(b.lookup(b.pool(x, "max", 3, 1, 1)), b.lookup(y)))
    z = b.sum(b.lookup(b.conv(z, 24, (1, 1))), z)  # before the addition
    return b.graph(b.dense(b.reshape(b.lookup(b.global_pool(z)), 24), 10), b.lookup(y))


def _gated(b: GraphBuilder) -> LayerGraph:
    """Products with a value for each element, for each channel and for each pixel."""
    x = b.conv(b.input(20, 7, 6), 40, (3, 3), pad=(1, 1, 1, 1))
    y = b.multiply(x, b.lookup(b.conv(b.global_pool(x), 40, (1, 1))))
    z = b.multiply(b.conv(y, 24, (1, 1)), b.conv(y, 1, (1, 1)))
    return b.graph(b.multiply(z, b.conv(x, 24, (1, 1))))


NETWORKS: dict[str, Callable[[GraphBuilder], LayerGraph]] = {
    "residual": _residual,
    "depthwise": _depthwise,
    "joined": _joined,
    "reduction": _reduction,
    "looked_up": _looked_up,
    "gated": _gated,
}
WITHOUT_TABLES = ("residual", "depthwise", "joined", "reduction")


def tiny(spec: AccelSpec) -> AccelSpec:
    """The target with memories so small that tiles are many and memory is used again and again."""
    return replace(spec, sram=replace(spec.sram, act_bytes=4096, wgt_bytes=32768, par_bytes=4096))


def samples(seed: int = 0) -> list[Sample]:
    """``each_sample``, all of them."""
    return [*each_sample(seed)]


def each_sample(seed: int = 0, targets: Sequence[str] = (*TARGETS, WIDE)) -> Iterator[Sample]:
    """Every network on every target, with its own memories and with tiny ones; those without tables
    with activations of 16 bits too."""
    for target in targets:
        for memories in ("", " tiny"):
            spec = tiny(load_spec(target)) if memories else load_spec(target)
            for name in WITHOUT_TABLES if target == WIDE else NETWORKS:
                title = f"{name}, {target}{memories}"
                yield sample(name, spec, title, seed, wide=target == WIDE)


@lru_cache(maxsize=256)
def sample(name: str, spec: AccelSpec, title: str, seed: int, *, wide: bool = False) -> Sample:
    """One of the networks compiled, with three inputs: random ones, and each value an extreme; once
    for all who ask for it.

    wide: with activations of 16 bits."""
    b = Lively(np.random.default_rng([seed, len(name)]), density=0.4, wide=wide)
    graph = NETWORKS[name](b)
    region = lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    rng = np.random.default_rng(seed)
    inputs = b.data(), b.data(), _extreme(rng, b.data())
    for values in (each for data in inputs for each in data.values()):
        values.flags.writeable = False  # they are everybody's
    return Sample(title, graph, program, inputs)


def _other(rng: np.random.Generator, kind: int, t: QTensor) -> npt.NDArray[np.generic]:
    low, high = BOUNDS[t.dtype]
    ends = np.where(rng.random(t.shape) < rng.random(), low, high)
    if kind == 0:
        ends = rng.integers(low, high + 1, t.shape)
    elif kind == 2:
        ends = np.where(rng.random(t.shape) < 0.1, ends, t.zero_point)
    elif kind > 2:
        shape = (*t.shape[:2], 1, 1) if kind == 3 else (1, *t.shape[1:3], 1)
        ends = np.broadcast_to(np.where(rng.random(shape) < rng.random(), low, high), t.shape)
    return ends.astype(t.dtype)


def _extreme(rng: np.random.Generator, data: Data) -> Data:
    limits = {name: np.iinfo(values.dtype.name) for name, values in data.items()}
    return {
        name: np.where(rng.random(values.shape) < 0.5, limits[name].min, limits[name].max).astype(
            values.dtype
        )
        for name, values in data.items()
    }
