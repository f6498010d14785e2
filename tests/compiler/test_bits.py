"""Compiled graphs on the machine agree with the dense integer oracle, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import AccelSpec, load_spec, targets
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region

TARGETS = ("dense256", "sparse256", "pattern256")


def check(
    graph: LayerGraph, data: dict[str, np.ndarray], spec: AccelSpec, seed: int | None = None
) -> None:
    """Every output of the graph, from the machine and from the oracle."""
    region = lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    run = Machine(spec).run(program, data, seed=seed)
    values = evaluate(graph, data)
    for name, tensor in zip(graph.outputs, program.outputs, strict=True):
        found = run.outputs[tensor.name].reshape(values[name].shape)
        assert np.array_equal(found, values[name]), name


def _plain(b: GraphBuilder) -> list[str]:
    return [b.conv(b.input(19, 13, 11), 37, (3, 3), pad=(1, 1, 1, 1))]


def _strided(b: GraphBuilder) -> list[str]:
    return [b.conv(b.input(3, 31, 29), 24, (7, 7), stride=2, pad=(3, 3, 2, 2))]


def _dilated(b: GraphBuilder) -> list[str]:
    return [b.conv(b.input(16, 17, 9), 16, (3, 2), dilation=2, pad=(2, 0, 2, 1))]


def _deep(b: GraphBuilder) -> list[str]:
    """More weights than WGT holds: the reduction goes through ACC in chunks."""
    return [b.conv(b.input(512, 7, 7), 96, (3, 3), pad=(1, 1, 1, 1))]


def _residual(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(40, 14, 14), 72, (1, 1))
    y = b.conv(b.conv(x, 40, (3, 3), pad=(1, 1, 1, 1)), 72, (1, 1))
    return [b.sum(x, y)]


def _swapped_residual(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(20, 9, 9), 20, (1, 1))
    return [b.sum(b.conv(x, 20, (3, 3), pad=(1, 1, 1, 1)), x)]


def _depthwise(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(8, 15, 15), 70, (1, 1))
    y = b.conv(x, 70, (3, 3), stride=2, pad=(1, 1, 1, 1), groups=70)
    return [b.sum(y, b.pool(x, "avg", 3, 2, 1))]


def _grouped(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(24, 8, 8), 48, (3, 3), pad=(1, 1, 1, 1), groups=2)
    return [b.conv(x, 32, (1, 1), groups=16)]


def _pools(b: GraphBuilder) -> list[str]:
    x = b.input(33, 12, 12)
    return [b.pool(x, "max", 3, 2, 1), b.pool(x, "avg", 2, 2), b.global_pool(x)]


def _concat(b: GraphBuilder) -> list[str]:
    x = b.input(24, 10, 10)
    y = b.conv(x, 21, (1, 1))
    z = b.conv(x, 35, (3, 3), pad=(1, 1, 1, 1))
    joined = b.concat(y, z, x)
    return [b.conv(joined, 16, (1, 1)), joined, y]


def _classifier(b: GraphBuilder) -> list[str]:
    x = b.pool(b.conv(b.input(16, 8, 8), 40, (3, 3)), "max", 2, 2)
    flat = b.reshape(x, 40 * 9)
    return [b.dense(b.dense(flat, 50), 10)]


def _reshapes(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(20, 6, 8), 24, (1, 1))
    y = b.conv(b.reshape(x, 12, 12, 8), 18, (1, 1))
    return [y, b.reshape(y, 18 * 96)]


def _several(b: GraphBuilder) -> list[str]:
    x, y = b.input(16, 7, 7), b.input(16, 7, 7)
    z = b.sum(x, y)
    return [z, b.requantize(z), b.conv(z, 16, (1, 1))]


def _side_by_side(b: GraphBuilder) -> list[str]:
    """Of the two operands the one that is made first cannot take the other in."""
    x = b.input(20, 6, 6)
    return [b.sum(b.conv(x, 24, (1, 1)), b.conv(x, 24, (3, 3), pad=(1, 1, 1, 1)))]


def _passed_on(b: GraphBuilder) -> list[str]:
    x = b.input(16, 4, 4)
    return [b.reshape(x, 256), b.conv(x, 8, (1, 1))]


def _tables(b: GraphBuilder) -> list[str]:
    """Behind a convolution, a sum that is fused into one, pools, parts of a grouped convolution,
    and alone: of an input, of what something else reads, and of a concatenation."""
    x = b.lookup(b.conv(b.lookup(b.input(24, 9, 7)), 40, (1, 1)))
    y = b.lookup(b.sum(b.conv(x, 40, (3, 3), pad=(1, 1, 1, 1)), x))
    z = b.lookup(b.conv(y, 48, (3, 3), pad=(1, 1, 1, 1), groups=2))
    joined = b.concat(b.lookup(b.pool(y, "max", 3, 1, 1)), b.lookup(z), z)
    return [b.lookup(joined), b.lookup(b.global_pool(y)), b.lookup(b.lookup(y))]


def _squeezed(b: GraphBuilder) -> list[str]:
    """Squeeze and excite, its factor an input, made, and of one pixel for all channels."""
    x = b.conv(b.input(24, 11, 9), 40, (1, 1))
    s = b.lookup(b.conv(b.conv(b.global_pool(x), 10, (1, 1)), 40, (1, 1)))
    y = b.conv(b.multiply(x, s), 33, (3, 3), pad=(1, 1, 1, 1))
    pixels = b.lookup(b.conv(y, 1, (1, 1)))
    z = b.lookup(b.multiply(y, pixels))
    return [z, b.multiply(z, b.input(33, 1, 1)), b.multiply(z, b.conv(b.global_pool(z), 1, (1, 1)))]


def _products(b: GraphBuilder) -> list[str]:
    x, y = b.input(24, 9, 7), b.conv(b.input(3, 9, 7), 24, (3, 3), pad=(1, 1, 1, 1))
    part = b.concat(b.conv(x, 5, (1, 1)), b.conv(x, 19, (1, 1)))
    return [b.multiply(b.multiply(x, y), part), b.multiply(x, x)]


def _difference(b: GraphBuilder) -> list[str]:
    """Of a convolution and what it reads, in both directions, and of two inputs."""
    x = b.input(24, 9, 7)
    y = b.conv(b.conv(x, 24, (1, 1)), 24, (1, 1))
    return [b.sum(y, x, sign=-1), b.sum(x, b.conv(x, 24, (1, 1)), sign=-1)]


def _spread_sums(b: GraphBuilder) -> list[str]:
    """A value for each channel, for each pixel and one, made and inputs; none joins a
    convolution."""
    x = b.conv(b.input(24, 11, 9), 40, (1, 1))
    y = b.sum(x, b.conv(b.global_pool(x), 40, (1, 1)))
    pixels = b.conv(y, 1, (1, 1))
    z = b.lookup(b.sum(b.conv(y, 40, (1, 1)), pixels, sign=-1))
    return [b.sum(z, b.input(40, 1, 1)), b.sum(z, b.conv(b.global_pool(pixels), 1, (1, 1)))]


def _tables_before_sums(b: GraphBuilder) -> list[str]:
    """A convolution's own result through a table, then added; not where the sum has one too."""
    x = b.lookup(b.conv(b.input(24, 9, 7), 40, (1, 1)))
    y = b.sum(b.lookup(b.conv(x, 40, (3, 3), pad=(1, 1, 1, 1))), x)
    z = b.sum(y, b.lookup(b.conv(y, 40, (3, 3), pad=(1, 1, 1, 1), groups=40)))
    return [
        b.lookup(b.sum(b.lookup(b.conv(z, 40, (1, 1))), z)),
        b.sum(b.lookup(b.conv(z, 40, (1, 1))), x),
    ]


NETWORKS: list[Callable[[GraphBuilder], list[str]]] = [
    _plain,
    _strided,
    _dilated,
    _deep,
    _residual,
    _swapped_residual,
    _depthwise,
    _grouped,
    _pools,
    _concat,
    _classifier,
    _reshapes,
    _several,
    _side_by_side,
    _passed_on,
    _tables,
    _tables_before_sums,
    _squeezed,
    _products,
    _difference,
    _spread_sums,
]


@pytest.mark.diagonal
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__.strip("_"))
def test_bits(network: Callable[[GraphBuilder], list[str]], target: str) -> None:
    b = GraphBuilder(np.random.default_rng(7))
    outputs = network(b)
    check(b.graph(*outputs), b.data(), load_spec(target))


@pytest.mark.diagonal
@pytest.mark.parametrize("target", sorted(set(targets()) - set(TARGETS)))
@pytest.mark.parametrize(
    "network",
    [_tables, _tables_before_sums, _squeezed, _spread_sums],
    ids=lambda n: n.__name__.strip("_"),
)
def test_tables_and_products_on_every_other_target(
    network: Callable[[GraphBuilder], list[str]], target: str
) -> None:
    """However its results leave the array."""
    b = GraphBuilder(np.random.default_rng(8))
    outputs = network(b)
    check(b.graph(*outputs), b.data(), load_spec(target))


@pytest.mark.parametrize("seed", range(5))
def test_any_order_the_tokens_allow_gives_the_same_bits(seed: int) -> None:
    b = GraphBuilder(np.random.default_rng(3))
    outputs = _residual(b)
    check(b.graph(*outputs), b.data(), load_spec("sparse256"), seed)


@pytest.mark.diagonal
@pytest.mark.parametrize("density", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("target", TARGETS)
def test_any_density(density: float, target: str) -> None:
    b = GraphBuilder(np.random.default_rng(5), density)
    outputs = _plain(b)
    check(b.graph(*outputs), b.data(), load_spec(target))


@pytest.mark.parametrize("acc_bytes", [64, 4096])
def test_partial_sums_take_no_more_room_than_there_is(acc_bytes: int) -> None:
    spec = load_spec("sparse256")
    b = GraphBuilder(np.random.default_rng(7))
    outputs = _deep(b)
    check(b.graph(*outputs), b.data(), replace(spec, sram=replace(spec.sram, acc_bytes=acc_bytes)))
