"""What must be moved at least: counted element by element, and by what changes a result."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.compiler import least
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir import compulsory_traffic, ops
from zeroskip.compiler.ir.compulsory_traffic import elements, input_elements, touched
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.ir.layer_info import grouped, join_layers, layer_info
from zeroskip.compiler.ir.ops import Clip
from zeroskip.compiler.ir.views import ChannelSlice, Value
from zeroskip.compiler.ir.weight_packing import PackedWeights
from zeroskip.compiler.ir.window import Window
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import ConcatLayer, ConvLayer, QTensor


def random_op(rng: np.random.Generator) -> ops.Op:
    """A windowed operation on a part of a value, with few weights."""
    kernel, stride, dilation, pad = (
        (int(rows), int(cols))
        for rows, cols in (
            rng.integers(low, high, 2) for low, high in ((1, 4), (1, 4), (1, 3), (0, 3))
        )
    )
    window = Window(kernel, stride, dilation, pad)
    value = Value("x", 6, (int(rng.integers(4, 9)), int(rng.integers(4, 9))), "int8", 0)
    view = ChannelSlice(value, int(rng.integers(0, 3)), int(rng.integers(1, 4)))
    out = Value("y", 3, (int(rng.integers(1, 4)), int(rng.integers(1, 4))), "int8", 0)
    y = ChannelSlice(out, 0, 3)
    kind = rng.integers(3)
    if kind == 0:
        return ops.MaxPoolOp("p", view, y, window, Clip(-128, 127))
    channels = 1 if kind == 1 else view.channels
    weight = rng.integers(-2, 3, (view.channels if kind == 1 else 2, channels, *kernel))
    weight[rng.random(weight.shape) < 0.6] = 0
    ones = np.ones(3, np.int32)
    make = ops.DepthwiseOp if kind == 1 else ops.ConvOp
    return make("c", view, y, window, weight.astype(np.int8), ones, ones, ones, Clip(-128, 127))


def weighs(op: ops.ConvOp | ops.MaxPoolOp, channel: int, tap: tuple[int, ...]) -> bool:
    if isinstance(op, ops.MaxPoolOp):
        return True
    weights = op.weight[channel] if isinstance(op, ops.DepthwiseOp) else op.weight[:, channel]
    row, col = tap
    return bool(np.any(weights[:, row, col]))


def counted(op: ops.Op) -> np.ndarray:
    """By loops over every output and tap."""
    assert isinstance(op, ops.ConvOp | ops.MaxPoolOp)
    seen = np.zeros((op.x.value.channels, *op.x.value.spatial), np.bool_)
    for out in product(*map(range, op.y.value.spatial)):
        for tap in product(*map(range, op.window.kernel)):
            at = [
                o * s + t * d - p
                for o, s, t, d, p in zip(
                    out, op.window.stride, tap, op.window.dilation, op.window.pad, strict=True
                )
            ]
            if any(not 0 <= n < size for n, size in zip(at, op.x.value.spatial, strict=True)):
                continue
            for channel in range(op.x.channels):
                seen[op.x.offset + channel, *at] |= weighs(op, channel, tap)
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_touched_is_what_loops_touch(seed: int) -> None:
    op = random_op(np.random.default_rng(seed))
    assert np.array_equal(touched(op)["x"], counted(op))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 40))
@example(3456600)  # a kernel as large as the map, beside it
def test_multiplies_by_padding_are_not_counted(seed: int) -> None:
    """Of convolutions of every shape, groups and depthwise included, as they are lowered."""
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    name = f"conv{seed}"
    graph = LayerGraph(
        "net", ("x",), ("y",), (Node(name, layer, ("x",), "y"),), {"x": layer.x, "y": layer.y}
    )
    made = lower(graph).ops
    assert sum(map(compulsory_traffic.real_macs, made)) == least.real_macs(layer)
    for spec in map(load_spec, ("dense256", "sparse256", "pattern256")):
        found = None
        for op in made:
            assert isinstance(op, ops.ConvOp)
            read = touched(op)
            info = layer_info(op, "", PackedWeights(op, spec), read)
            assert 0 <= info.real_macs <= info.effectual <= info.macs
            found = info if found is None else join_layers(found, info, 0)
        assert found is not None
        assert found.macs == layer.weight.size * prod(layer.y.shape[2:])
        assert found.effectual == np.count_nonzero(layer.weight) * prod(layer.y.shape[2:])
        assert found.needs[0] == least.real_macs(layer)
        assert found.input_bytes == len(least.looked_at(layer))
        if len(made) == 1:  # bits of parts are rounded up to bytes
            assert found.weight_bytes == least.weight_bytes(layer, spec.array.kind)


def random_layer(rng: np.random.Generator) -> ConvLayer:
    """A convolution with any strides, dilations and paddings, each of an axis and a side alone."""
    kernel, strides, dilation = (
        tuple(int(n) for n in rng.integers(1, most, 2)) for most in (5, 4, 4)
    )
    padding = tuple(int(n) for n in rng.integers(0, 6, 4))
    spatial = []
    for axis in range(2):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        spatial.append(int(rng.integers(max(1, reach - padding[axis] - padding[axis + 2]), 12)))
    outputs = tuple(
        (
            spatial[axis]
            + padding[axis]
            + padding[axis + 2]
            - (kernel[axis] - 1) * dilation[axis]
            - 1
        )
        // strides[axis]
        + 1
        for axis in range(2)
    )
    groups, per_in, per_out = (int(n) for n in rng.integers(1, [6, 20, 20]))
    if rng.random() < 0.3:
        per_in = per_out = 1
    weight = rng.integers(-127, 128, (groups * per_out, per_in, *kernel)).astype(np.int8)
    weight[rng.random(weight.shape) < rng.random()] = 0
    ones = np.ones(len(weight), np.int32)
    return ConvLayer(
        x=QTensor((1, groups * per_in, *spatial), "int8", 0),
        y=QTensor((1, len(weight), *outputs), "int8", 0),
        weight=weight,
        bias=ones,
        mult=ones,
        shift=ones,
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=groups,
        lo=-128,
        hi=127,
    )


def weight_of(b: GraphBuilder) -> npt.NDArray[np.int8]:
    """Of the first layer."""
    layer = b.nodes[0].layer
    assert isinstance(layer, ConvLayer)
    return layer.weight


@pytest.mark.parametrize(("size", "real"), [(14, 40 * 40), (7, 19 * 19), (1, 1)])
def test_a_padded_layer_needs_what_its_inputs_meet(size: int, real: int) -> None:
    """3 x 3 with padding 1: along an axis of n, 3 n - 2 of the 3 n pairs are with an input."""
    b = GraphBuilder(np.random.default_rng(0), density=2)
    b.conv(b.input(64, size, size), 64, (3, 3), pad=(1,) * 4)
    weight = weight_of(b)
    weight[weight == 0] = 1
    (op,) = lower(b.graph(b.nodes[0].output)).ops
    assert isinstance(op, ops.ConvOp)
    info = layer_info(op, "", PackedWeights(op, load_spec("dense256")), touched(op))
    assert info.macs == info.effectual == 64 * 64 * 9 * size * size
    assert info.real_macs == 64 * 64 * real
    assert info.bound(256, 1 << 20) == 16 * real


def test_zeros_between_groups_are_no_weights() -> None:
    """Four groups of 4 channels lie in one matrix of 16 by 16, of which a quarter is weights."""
    b = GraphBuilder(np.random.default_rng(0), density=1)
    b.conv(b.input(16, 4, 4), 16, (3, 3), groups=4)
    (op,) = lower(b.graph(b.nodes[0].output)).ops
    assert isinstance(op, ops.ConvOp)
    assert op.weight.shape == (16, 16, 3, 3)
    assert np.array_equal(grouped(op), weight_of(b))
    info = layer_info(op, "", PackedWeights(op, load_spec("dense256")), touched(op))
    assert info.macs == 16 * 4 * 9 * 4
    assert info.weight_bytes == 16 * 4 * 9


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
def test_what_two_parts_of_a_layer_read_counts_once(target: str) -> None:
    """A concatenation of an input with itself reads it once."""
    b = GraphBuilder(np.random.default_rng(0))
    x = b.input(16, 4, 4)
    t = b.tensors[x]
    y = QTensor((1, 32, 4, 4), t.dtype, t.zero_point)
    out = b.add(ConcatLayer(xs=(t, t), y=y, axis=1), x, x)
    spec, region = load_spec(target), lower(b.graph(out))
    program = emit_region(region, spec, plan_region(region, spec))
    (layer,) = program.layers
    assert (layer.input_bytes, layer.output_bytes) == (256, 512)
    assert program.needs == (0, 256 + 512)
    Machine(spec).run(program, b.data())


def strided() -> tuple[GraphBuilder, LayerGraph]:
    """Only every fourth pixel of the input is looked at, and twice by the addition."""
    b = GraphBuilder(np.random.default_rng(0), density=1)
    x = b.conv(b.input(20, 8, 8), 5, (1, 1), stride=2)
    return b, b.graph(b.sum(x, x))


def test_an_element_counts_once() -> None:
    _, graph = strided()
    region = lower(graph)
    assert input_elements(region) == 20 * 16
    assert [elements(touched(op)) for op in region.ops] == [20 * 16, 5 * 16]


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
