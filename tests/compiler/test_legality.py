"""What the accelerator takes: each number at its edge, which runs exactly, and one beyond it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.compiler.oracle import evaluate
from tests.every_target import every_target
from zeroskip.accel_model.isa.instructions import MOST_CHANNELS, MOST_SIDE
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.tensor_layout import split_images, stack_images
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.compiler.lowering.legality import (
    MAX_CHANNELS,
    MAX_COLUMNS,
    MAX_PIXELS,
    supports,
)
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import (
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    DType,
    Layer,
    MaxPoolLayer,
    QTensor,
    RequantizeLayer,
    ReshapeLayer,
    quantize_multiplier,
)

SPEC = load_spec("dense256")
refused = supports(SPEC)


def tensor(*shape: int, dtype: DType = "int8", zero_point: int = 0) -> QTensor:
    return QTensor(shape, dtype, zero_point)


def outputs(size: int, kernel: int, stride: int = 1, pads: int = 0, dilation: int = 1) -> int:
    return (size + pads - (kernel - 1) * dilation - 1) // stride + 1


def dense(bias: int) -> DenseLayer:
    one = np.ones(1, np.int32)
    return DenseLayer(
        x=tensor(1, 2),
        y=tensor(1, 1),
        weight=np.array([[100, -27]], np.int8),
        bias=one * np.int32(bias),
        mult=one << 30,
        shift=one * np.int32(54),
        lo=-128,
        hi=127,
    )


def wide_dense(inputs: int, units: int) -> DenseLayer:
    ones = np.ones(units, np.int32)
    weight = np.random.default_rng(units).integers(-9, 10, (units, inputs)).astype(np.int8)
    return DenseLayer(
        x=tensor(1, inputs, zero_point=5),
        y=tensor(1, units),
        weight=weight,
        bias=ones * np.int32(7),
        mult=ones << 30,
        shift=ones * np.int32(42),
        lo=-128,
        hi=127,
    )


def pool(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1
) -> MaxPoolLayer:
    count = outputs(size, kernel, stride, before + after, dilation)
    return MaxPoolLayer(
        x=tensor(1, 1, size),
        y=tensor(1, 1, count),
        kernel=(kernel,),
        strides=(stride,),
        padding=(before, after),
        dilation=(dilation,),
        lo=-128,
        hi=127,
    )


def conv(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> ConvLayer:
    """Of two channels; of two dimensions, the second of which has a single position."""
    weight = np.random.default_rng(kernel).integers(-9, 9, (3, 2, kernel, 1)).astype(np.int8)
    count = outputs(size, kernel, stride, dilation=dilation)
    ones = np.ones(3, np.int32)
    return ConvLayer(
        x=tensor(1, 2, size, 1),
        y=tensor(1, 3, count, 1),
        weight=weight,
        bias=5 * ones,
        mult=ones << 30,
        shift=38 * ones,
        strides=(stride, 1),
        padding=(0,) * 4,
        dilation=(dilation, 1),
        groups=1,
        lo=-128,
        hi=127,
    )


def turned(layer: ConvLayer) -> ConvLayer:
    """With rows and columns exchanged."""
    return replace(
        layer,
        x=replace(layer.x, shape=(*layer.x.shape[:2], *layer.x.shape[:1:-1])),
        y=replace(layer.y, shape=(*layer.y.shape[:2], *layer.y.shape[:1:-1])),
        weight=np.ascontiguousarray(layer.weight.swapaxes(2, 3)),
        strides=layer.strides[::-1],
        dilation=layer.dilation[::-1],
    )


def volume_pool(frames: int, rows: int, stride: int = 1) -> MaxPoolLayer:
    """Over all frames of two positions of that many rows."""
    return MaxPoolLayer(
        x=tensor(1, 1, frames, rows + stride, 1),
        y=tensor(1, 1, 1, 2, 1),
        kernel=(frames, rows, 1),
        strides=(1, stride, 1),
        padding=(0,) * 6,
        dilation=(1, 1, 1),
        lo=-128,
        hi=127,
    )


def volume_conv(channels: int, frames: int, rows: int = 1, groups: int = 1) -> ConvLayer:
    """Of as many frames as its kernel has."""
    filters, rng = max(1, groups), np.random.default_rng(channels)
    weight = rng.integers(-9, 9, (filters, channels // groups, frames, rows, 1)).astype(np.int8)
    ones = np.ones(filters, np.int32)
    return ConvLayer(
        x=tensor(1, channels, frames, rows, 1),
        y=tensor(1, filters, 1, 1, 1),
        weight=weight,
        bias=5 * ones,
        mult=ones << 30,
        shift=44 * ones,
        strides=(1, 1, 1),
        padding=(0,) * 6,
        dilation=(1, 1, 1),
        groups=groups,
        lo=-128,
        hi=127,
    )


def rescale(*shape: int, x: DType = "int8", y: DType = "int8") -> RequantizeLayer:
    return RequantizeLayer(
        x=tensor(*shape, dtype=x, zero_point=3),
        y=tensor(*shape, dtype=y),
        lo=0,
        hi=127,
        mult=1 << 30,
        shift=31,
    )


def average(kernel: int) -> AvgPoolLayer:
    """Of everything: a global pool."""
    mult, shift = quantize_multiplier(1 / kernel)
    return AvgPoolLayer(
        x=tensor(1, 2, kernel),
        y=tensor(1, 2, 1),
        kernel=(kernel,),
        strides=(1,),
        padding=(0, 0),
        mult=mult,
        shift=shift,
        lo=-128,
        hi=127,
    )


def concat(axis: int, *shape: int) -> ConcatLayer:
    x = tensor(*shape)
    joined = [size * (1 + (at == axis % len(shape))) for at, size in enumerate(shape)]
    return ConcatLayer(xs=(x, x), y=tensor(*joined), axis=axis)


def add(*shape: int) -> AddLayer:
    return AddLayer(
        a=tensor(*shape),
        b=tensor(*shape),
        y=tensor(*shape),
        mult_a=1 << 30,
        mult_b=3 << 28,
        shift=31,
        lo=-128,
        hi=127,
    )


def exact(*layers: Layer, target: str = "dense256") -> None:
    """Compile a chain of layers, the first with all its inputs, and run it with random data."""
    names = [f"in{n}" for n in range(len(layers[0].inputs))]
    nodes = [
        Node(f"node{n}", layer, tuple(names) if n == 0 else (f"v{n - 1}",), f"v{n}")
        for n, layer in enumerate(layers)
    ]
    tensors = dict(zip(names, layers[0].inputs, strict=True))
    tensors |= {node.output: node.layer.y for node in nodes}
    graph = LayerGraph("net", tuple(names), (nodes[-1].output,), tuple(nodes), tensors)
    rng = np.random.default_rng(0)
    data: dict[str, Any] = {}
    for name in names:
        limits = np.iinfo(tensors[name].dtype)
        data[name] = rng.integers(limits.min, limits.max + 1, tensors[name].shape).astype(
            tensors[name].dtype
        )
    region, spec = lower(graph), load_spec(target)
    program = emit_region(region, spec, plan_region(region, spec))
    given = {
        each.name: stack_images(data[each.name], each, len(data[each.name]))
        for each in program.inputs
    }
    (made,) = Machine(spec).run(program, given).outputs.values()
    wanted = evaluate(graph, data)[nodes[-1].output]
    assert np.array_equal(split_images(made, wanted.shape), wanted)


LAST = (1 << 31) - 1 - 127 * 255  # a bias: inputs less their zero point reach 255, weights 127

TAKEN = {
    "largest sum": dense(LAST),
    "least sum": dense(-LAST),
    "largest kernel of a pool": pool(600, 511, 1, 0, 0),
    "largest kernel of an average": average(511),
    "largest kernel of a convolution": conv(511, 511),
    "largest stride of a pool": pool(600, 2, 127, 0, 0),
    "largest stride of a convolution": conv(300, 3, stride=127),
    "largest dilation of a pool": pool(600, 2, 1, 0, 0, dilation=127),
    "largest dilation of a convolution": conv(300, 3, dilation=127),
    "padding that every window leaves": pool(4, 2, 1, 1, 1),
    "windows of a pixel behind a gap": pool(3, 2, 1, 3, 3, dilation=3),
    "most positions": rescale(1, 1, MAX_COLUMNS),
    "more rows than 16 bits count": rescale(1, 1, (1 << 16) + 9, 2),
    "most columns": rescale(1, 1, 2, MAX_COLUMNS),
    "a window over many rows of a tall image": conv(2 * MOST_SIDE, 50, dilation=127),
    "windows of more columns than a tile has": turned(conv(3 * MOST_SIDE, 5, stride=3)),
    "most channels": rescale(1, MAX_CHANNELS),
    "a sum over more channels than an instruction counts": wide_dense(MOST_CHANNELS + 35, 20),
    "more filters than a stream can name": wide_dense(3, (1 << 16) + 5),
    "bytes without a sign": rescale(1, 20, x="uint8", y="uint8"),
    "bytes with a sign made of others": rescale(1, 3, 4, x="uint8"),
    "channels joined": concat(1, 1, 5, 2, 3),
    "channels joined, counted from the end": concat(-3, 1, 20, 2, 3),
    "channels of no positions joined": concat(-1, 1, 5),
    "an addition": add(1, 4, 3),
    "a batch of two": rescale(2, 4, 3),
    "a batch of more than a tile has rows": rescale(MOST_SIDE + 5, 2, 1, 3),
    "a batch of volumes, element by element": rescale(2, 4, 3, 5, 2),
    "rows of frames of a pool": volume_pool(7, 73),
    "steps over rows of frames": volume_pool(1, 1, stride=127),
    "rows of frames of a depthwise kernel": volume_conv(2, 7, rows=73, groups=2),
    "more rows of frames, summed over channels": volume_conv(2, 8, rows=64),
    "channels of frames": volume_conv(4681, 7),
}

volume = volume_pool(2, 2)
REFUSED = {
    "a sum beyond 32 bits": dense(LAST + 1),
    "a sum beyond 32 bits, negative": dense(-LAST - 1),
    "a larger kernel of a pool": pool(600, 512, 1, 0, 0),
    "a larger kernel of an average": average(512),
    "a larger kernel of a convolution": conv(512, 512),
    "a larger stride of a pool": pool(600, 2, 128, 0, 0),
    "a larger stride of a convolution": conv(300, 3, stride=128),
    "a larger dilation of a pool": pool(600, 2, 1, 0, 0, dilation=128),
    "a larger dilation of a convolution": conv(300, 3, dilation=128),
    "windows of padding before": pool(4, 2, 1, 2, 0),
    "windows of padding behind": pool(4, 2, 1, 0, 2),
    "windows of padding around a gap": pool(2, 2, 1, 3, 3, dilation=5),
    "more positions": rescale(1, 1, MAX_COLUMNS + 1),
    "more columns": rescale(1, 1, 2, MAX_COLUMNS + 1),
    "more pixels": rescale(1, 1, MAX_PIXELS // 5 + 1, 5),
    "a window over more rows than a tile has": conv(2 * MOST_SIDE, 130, dilation=127),
    "more channels": rescale(1, MAX_CHANNELS + 1),
    "pixels of all images": rescale(8, 1, 1 << 11, 1 << 12),
    "images that become parts of one": ReshapeLayer(x=tensor(2, 4), y=tensor(1, 8)),
    "a batch of volumes": replace(volume, x=tensor(2, 1, 2, 3, 1), y=tensor(2, 1, 1, 2, 1)),
    "a batch of two of one operand": replace(
        concat(1, 1, 4, 3), xs=(tensor(1, 4, 3), tensor(2, 4, 3))
    ),
    "no channels": rescale(1),
    "four spatial dimensions": rescale(1, 2, 3, 3, 3, 3),
    "32 bits read": rescale(1, 4, x="int32"),
    "32 bits made": rescale(1, 4, y="int32"),
    "rows joined": concat(2, 1, 5, 2, 3),
    "columns joined, counted from the end": concat(-1, 1, 5, 2, 3),
    "rows of frames of a pool": volume_pool(8, 64),
    "steps over rows of frames": volume_pool(2, 1, stride=64),
    "rows of frames of a depthwise kernel": volume_conv(2, 8, rows=64, groups=2),
    "channels of frames": volume_conv(1 << 17, 8),
    "pixels of all frames": rescale(1, 1, 8, 1 << 11, 1 << 12),
}


@pytest.mark.parametrize("layer", REFUSED.values(), ids=REFUSED)
def test_one_beyond_stays_on_the_cpu(layer: Layer) -> None:
    assert refused(layer)


@pytest.mark.parametrize("layer", TAKEN.values(), ids=TAKEN)
def test_what_is_taken_runs_exactly(layer: Layer) -> None:
    assert refused(layer) is None
    exact(layer)


@every_target
def test_every_target_sums_in_parts(target: str) -> None:
    """Over more channels than an instruction counts, made and read on the chip or in DRAM."""
    inputs = MOST_CHANNELS + 20
    exact(rescale(1, inputs), replace(wide_dense(inputs, 5), x=tensor(1, inputs)), target=target)


def test_a_dense_layer_on_a_map_of_any_size_runs_exactly() -> None:
    """Read in place: one that fits in WGT as a kernel, and one that goes in parts; moved: one of a
    side that no kernel has."""
    rng, ones = np.random.default_rng(1), np.ones(20, np.int32)
    for high, wide in ((4, 4), (100, 100), (1, 512)):
        weight = rng.integers(-127, 128, (20, high * wide)).astype(np.int8)
        flat = ReshapeLayer(x=tensor(1, 1, high, wide), y=tensor(1, high * wide))
        layer = DenseLayer(
            x=flat.y,
            y=tensor(1, 20),
            weight=weight,
            bias=ones,
            mult=ones << 30,
            shift=46 * ones,
            lo=-128,
            hi=127,
        )
        assert refused(flat) is None
        assert refused(layer) is None
        exact(flat, layer)
