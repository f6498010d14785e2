"""What must be moved at least: counted element by element, and by what changes a result."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.compiler.networks import Builder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler import ops
from zeroskip.compiler.compulsory import bytes_read, input_bytes, touched
from zeroskip.compiler.emit_region import emit_region
from zeroskip.compiler.graph import LayerGraph
from zeroskip.compiler.lower import lower
from zeroskip.compiler.ops import Clip, Value, View, Window
from zeroskip.compiler.plan_region import plan_region


def random_op(rng: np.random.Generator) -> ops.Op:
    """A windowed operation on a part of a value, with few weights."""
    kernel, stride, dilation, pad = (
        (int(rows), int(cols)) for rows, cols in (
            rng.integers(low, high, 2) for low, high in ((1, 4), (1, 4), (1, 3), (0, 3))))
    window = Window(kernel, stride, dilation, pad)
    value = Value("x", 6, (int(rng.integers(4, 9)), int(rng.integers(4, 9))), "int8", 0)
    view = View(value, int(rng.integers(0, 3)), int(rng.integers(1, 4)))
    out = Value("y", 3, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), "int8", 0)
    y = View(out, 0, 3)
    kind = rng.integers(3)
    if kind == 0:
        return ops.MaxPool("p", view, y, window, Clip(-128, 127))
    channels = 1 if kind == 1 else view.channels
    weight = rng.integers(-2, 3, (view.channels if kind == 1 else 2, channels, *kernel))
    weight[rng.random(weight.shape) < 0.6] = 0
    ones = np.ones(3, np.int32)
    make = ops.Depthwise if kind == 1 else ops.Conv
    return make("c", view, y, window, weight.astype(np.int8), ones, ones, ones, Clip(-128, 127))


def weighs(op: ops.Conv | ops.MaxPool, channel: int, tap: tuple[int, ...]) -> bool:
    if isinstance(op, ops.MaxPool):
        return True
    weights = op.weight[channel] if isinstance(op, ops.Depthwise) else op.weight[:, channel]
    row, col = tap
    return bool(np.any(weights[:, row, col]))


def counted(op: ops.Op) -> np.ndarray:
    """By loops over every output and tap."""
    assert isinstance(op, ops.Conv | ops.MaxPool)
    seen = np.zeros((op.x.value.channels, *op.x.value.spatial), np.bool_)
    for out in product(*map(range, op.y.value.spatial)):
        for tap in product(*map(range, op.window.kernel)):
            at = [o * s + t * d - p for o, s, t, d, p in zip(
                out, op.window.stride, tap, op.window.dilation, op.window.pad, strict=True)]
            if any(not 0 <= n < size for n, size in zip(at, op.x.value.spatial, strict=True)):
                continue
            for channel in range(op.x.channels):
                seen[op.x.offset + channel, *at] |= weighs(op, channel, tap)
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_touched_is_what_loops_touch(seed: int) -> None:
    op = random_op(np.random.default_rng(seed))
    assert np.array_equal(touched(op)["x"], counted(op))


def strided() -> tuple[Builder, LayerGraph]:
    """Only every fourth pixel of the input is looked at, and twice by the addition."""
    b = Builder(np.random.default_rng(0), density=1)
    x = b.conv(b.input(20, 8, 8), 5, (1, 1), stride=2)
    return b, b.graph(b.sum(x, x))


def test_an_element_counts_once() -> None:
    _, graph = strided()
    region = lower(graph)
    assert input_bytes(region) == 20 * 16
    assert [bytes_read(op) for op in region.ops] == [20 * 16, 5 * 16]


def test_nothing_else_changes_the_result() -> None:
    b, graph = strided()
    (name,), mask = graph.inputs, touched(lower(graph).ops[0])["in0"]
    before = b.data()
    after = {name: np.where(mask[None], before[name], b.data()[name])}
    assert not np.array_equal(before[name], after[name])
    for output in graph.outputs:
        assert np.array_equal(evaluate(graph, before)[output], evaluate(graph, after)[output])


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
def test_a_program_says_what_its_inputs_need(target: str) -> None:
    b, graph = strided()
    spec, region = load_spec(target), lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    assert program.input_bytes == 20 * 16
    assert [layer.input_bytes for layer in program.layers] == [20 * 16, 5 * 16]
    Machine(spec).run(program, b.data())
