"""3-D layers are onnxruntime's: lowered to operations on frames, scheduled, run on the machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compiler import least
from tests.compiler.networks import GraphBuilder
from tests.compiler.test_bits import check
from tests.compiler.volume_layers import (
    VolumeLayer,
    VolumeWindow,
    average_layer,
    conv_layer,
    max_layer,
    wanted,
    windows,
)
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.compulsory_traffic import joined, real_macs, shared, touched
from zeroskip.compiler.ir.layer_info import join_layers, layer_info
from zeroskip.compiler.ir.tiles import Interval, dma_runs
from zeroskip.compiler.ir.views import ChannelSlice, Frames, Value
from zeroskip.compiler.ir.weight_packing import PackedWeights
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.region import plan_region
from zeroskip.relay_passes.integer.layers import MaxPoolLayer

TARGETS = ("dense256", "sparse256", "pattern256", "kang256", "scnn256", "systolic256")
PLAIN = VolumeWindow((5, 6, 7), (3, 3, 3), (1, 1, 1), (1,) * 6, (1, 1, 1))
EXAMPLES = settings(max_examples=40)

builders = st.builds(
    lambda seed, density: GraphBuilder(np.random.default_rng(seed), density),
    st.integers(0, 1 << 32),
    st.sampled_from([0.0, 0.3, 1.0]),
)


def exact(b: GraphBuilder, layer: VolumeLayer, spec: AccelSpec) -> None:
    """The layer by itself, against onnxruntime, if the accelerator takes it."""
    if (reason := supports(spec)(layer)) is not None:
        assert isinstance(layer, MaxPoolLayer)
        assert "padding alone" in reason
        return
    b.add(layer, "in0")
    graph = b.graph(b.nodes[-1].output)
    data = b.data()
    region = lower(graph)
    program = emit_region(region, spec, plan_region(region, spec))
    found = Machine(spec).run(program, data).outputs[program.outputs[0].name]
    assert np.array_equal(found.reshape(layer.y.shape), wanted(layer, data["in0"]))


@EXAMPLES
@given(builders, windows(most_padding=4), st.data())
def test_convolutions(b: GraphBuilder, window: VolumeWindow, data: st.DataObject) -> None:
    """Any strides, dilations, asymmetric padding (frames of it alone too), groups and depthwise."""
    groups, per_in, per_out = data.draw(
        st.one_of(
            st.tuples(st.just(1), st.integers(1, 40), st.integers(1, 40)),
            st.tuples(st.integers(2, 9), st.integers(1, 9), st.integers(1, 9)),
            st.tuples(st.integers(2, 40), st.just(1), st.just(1)),
        )
    )
    exact(
        b,
        conv_layer(b, window, groups, per_in, per_out),
        load_spec(data.draw(st.sampled_from(TARGETS))),
    )


@EXAMPLES
@given(builders, windows(), st.integers(1, 40), st.sampled_from(TARGETS))
def test_maxima(b: GraphBuilder, window: VolumeWindow, channels: int, target: str) -> None:
    exact(b, max_layer(b, window, channels), load_spec(target))


@EXAMPLES
@given(builders, windows(dilated=False), st.integers(1, 40), st.sampled_from(TARGETS))
def test_averages(b: GraphBuilder, window: VolumeWindow, channels: int, target: str) -> None:
    exact(b, average_layer(b, window, channels), load_spec(target))


@EXAMPLES
@given(builders, windows(most_padding=4), st.data())
def test_needs_are_those_of_the_layer(
    b: GraphBuilder, window: VolumeWindow, data: st.DataObject
) -> None:
    """Multiplies by inputs that are there, inputs looked at and weights, each once, however many
    operations a layer becomes."""
    groups = data.draw(st.sampled_from([1, 1, 2, 4]))
    layer = conv_layer(b, window, groups, *(data.draw(st.integers(1, 9)) for _ in range(2)))
    b.add(layer, "in0")
    made = lower(b.graph(b.nodes[-1].output)).ops
    assert sum(map(real_macs, made)) == least.real_macs(layer)
    spec, whole, read = load_spec("sparse256"), None, dict[str, npt.NDArray[np.bool_]]()
    for op in made:
        assert isinstance(op, ops.ConvOp)
        looked = touched(op)
        info = layer_info(op, "", PackedWeights(op, spec), looked)
        whole = info if whole is None else join_layers(whole, info, shared(read, looked))
        read = joined(read, looked)
    assert whole is not None
    assert whole.macs == layer.weight.size * np.prod(layer.y.shape[2:])
    assert whole.real_macs <= whole.effectual <= whole.macs
    assert whole.input_bytes == len(least.looked_at(layer))
    assert whole.output_bytes == np.prod(layer.y.shape)
    if groups == 1 and len(least.looked_at(replace(layer, weight=np.ones_like(layer.weight)))):
        used = _used_frames(window)
        assert whole.weight_bytes == least.weight_bytes(
            replace(layer, weight=layer.weight[:, :, used]), "bitmap"
        )


def _used_frames(window: VolumeWindow) -> list[int]:
    """Frames of the kernel that look at a frame of the input at least once."""
    starts = [frame * window.strides[0] - window.padding[0] for frame in range(window.outputs[0])]
    return [
        tap
        for tap in range(window.kernel[0])
        if any(0 <= start + tap * window.dilation[0] < window.size[0] for start in starts)
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_a_network_of_volumes(target: str) -> None:
    """What stands beside convolutions takes a volume as it lies: sums, concatenations of channels
    that are no whole blocks, changes of scale, and a dense layer on all of it."""
    b = GraphBuilder(np.random.default_rng(4))
    x = b.add(conv_layer(b, PLAIN, 1, 3, 18), "in0")
    y = b.add(_after(b, x, PLAIN, 18), x)
    z = b.requantize(b.concat(b.sum(x, y), y, x))
    flat = b.reshape(z, int(np.prod(b.tensors[z].shape)))
    check(b.graph(b.dense(flat, 7), z), b.data(), load_spec(target))


def _after(b: GraphBuilder, x: str, window: VolumeWindow, filters: int) -> VolumeLayer:
    """A convolution of the builder's value ``x``."""
    inner = GraphBuilder(b.rng)
    layer = conv_layer(inner, window, 1, b.tensors[x].shape[1], filters)
    return replace(layer, x=b.tensors[x])


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("frames", [1, 3])
def test_rows_that_lie_apart(frames: int, rows: int) -> None:
    """Of several frames they cannot take turns: the maximum goes over each frame first, and a
    depthwise convolution sums like any other."""
    window = VolumeWindow((6, 7, 5), (frames, 3, 2), (1, 2, 1), (0,) * 6, (2, rows, 1))
    for make in (
        lambda b: max_layer(b, window, 5),
        lambda b: conv_layer(b, window, 5, 1, 1),
    ):
        b = GraphBuilder(np.random.default_rng(4), 1.0)
        exact(b, make(b), load_spec("dense256"))


def test_an_average_of_padding_alone() -> None:
    """ONNX has no such pool; a quantized module may."""
    b = GraphBuilder(np.random.default_rng(4))
    window = VolumeWindow((2, 3, 3), (1, 2, 2), (1, 1, 1), (2, 2, 2) * 2, (1, 1, 1))
    b.add(average_layer(b, window, 5), "in0")
    check(b.graph(b.nodes[-1].output), b.data(), load_spec("dense256"))


def test_a_chunk_that_begins_within_a_frame() -> None:
    """The next frame's first block lies before the block that the chunk begins with."""
    value = Value("x", 32, (4 * 3, 5), "int8", 0)
    view = ChannelSlice(value, 0, 2 * 32, Frames(1, 2, 2, 3))
    home, frame = Tensor("x", 0, 32, value.spatial), 3 * 5 * 16
    found = [(run.block, run.count, run.dram) for run in dma_runs(view, home, Interval(16, 32))]
    assert found == [(0, 1, 5 * frame), (1, 1, 3 * frame)]


def test_a_piece_ends_with_its_frame() -> None:
    """Of a value's first 8 channels the next 8 in the tile are the next frame's."""
    value = Value("x", 32, (4 * 3, 5), "int8", 0)
    view = ChannelSlice(value, 0, 2 * 8, Frames(1, 2, 2, 3))
    home, frame = Tensor("x", 0, 32, value.spatial), 3 * 5 * 16
    found = [(run.lane, run.size, run.dram) for run in dma_runs(view, home, Interval(0, 16))]
    assert found == [(0, 8, frame), (8, 8, 3 * frame)]


@pytest.mark.parametrize("channels", [5, 20])
def test_a_depthwise_kernel_of_more_rows_than_frames(channels: int) -> None:
    b = GraphBuilder(np.random.default_rng(4), 1.0)
    window = replace(PLAIN, kernel=(3, 2, 3))
    exact(b, conv_layer(b, window, channels, 1, 1), load_spec("sparse256"))


def test_frames_share_their_weights() -> None:
    """Frames that look through the same frames of the kernel read one copy of its weights."""
    b = GraphBuilder(np.random.default_rng(4))
    long = replace(PLAIN, size=(12, 6, 7))
    b.add(conv_layer(b, long, 1, 16, 16), "in0")
    region, spec = lower(b.graph(b.nodes[-1].output)), load_spec("dense256")
    program = emit_region(region, spec, plan_region(region, spec))
    assert len(region.ops) == 12
    # All 27 taps of the kernel, and those of the first and of the last frame, 18 each.
    weights = 16 * 16 * (27 + 18 + 18)
    assert weights <= program.image.size < weights + 16 * 64


def test_a_reduction_in_chunks() -> None:
    """More weights than WGT holds go through the accumulators, frame by frame."""
    spec = load_spec("sparse256")
    small = replace(spec, sram=replace(spec.sram, wgt_bytes=16 << 10))
    b = GraphBuilder(np.random.default_rng(4), 1.0)
    layer = conv_layer(b, PLAIN, 1, 96, 64)
    exact(b, layer, small)
    region = lower(b.graph(b.nodes[-1].output))
    [group] = plan_region(region, small)
    assert all(
        plan.channels < op.x.channels for plan, op in zip(group.plans, region.ops, strict=True)
    )
