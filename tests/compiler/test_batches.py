"""Several images in one program: the bits of each, what all need together, and weights read
once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.campaigns.programs import NETWORKS, Lively, tiny
from tests.compiler import least
from tests.compiler.batched import batched, compiled, random_data, run_batch
from tests.compiler.networks import GraphBuilder
from tests.compiler.oracle import evaluate
from tests.every_target import every_target
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import LoadWeights
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.ir.ops import MultiplyOp
from zeroskip.compiler.ir.schedule import ConvPlan
from zeroskip.compiler.ir.stripes import StripePlanner, plan_stripes
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.fusion import FusionSearch

Build = Callable[[GraphBuilder], LayerGraph]
AT_BATCH_8 = 0.3  # of the cycles of an image alone, a layer that waits for its weights


def _moved(b: GraphBuilder) -> LayerGraph:
    """Rows and columns picked, pads by edges, channels that take turns in space, and a map that
    becomes one of another shape, which a dense layer reads."""
    x = b.conv(b.input(16, 6, 5), 24, (3, 3), stride=1, pad=(1, 1, 1, 1))
    near = b.gather(x, None, [row // 2 for row in range(12)], [col // 2 for col in range(10)])
    edge = b.gather(b.pool(near, "max", 2, 2), range(3, 20), [0, *range(6), 5], [0, 1, 3])
    wide = b.depth_to_space(b.conv(x, 32, (1, 1)), 2, 2)
    turned = b.reshape(b.gather(wide, [7, 1, 4], [0, 2, 5, 9], None), 12, 10, 1)
    return b.graph(edge, b.dense(b.reshape(b.pool(turned, "max", 1, 1), 120), 9))


def _padded(b: GraphBuilder) -> LayerGraph:
    """Windows that begin or end in padding, that pass over rows, and that take columns first."""
    x = b.conv(b.input(9, 11, 7), 20, (3, 3), stride=2, pad=(0, 1, 1, 0))
    y = b.pool(b.conv(x, 20, (1, 1), stride=2), "max", 5, 1, 2)
    z = b.conv(y, 20, (3, 2), dilation=2, pad=(2, 1, 2, 1), groups=20)
    return b.graph(b.sum(z, y), b.pool(x, "avg", 3, 2, 1))


def _deep(b: GraphBuilder) -> LayerGraph:
    """More weights than WGT holds, and an addition at their end: the sums of all images wait in ACC
    while a chunk of the reduction is there."""
    x = b.input(288, 2, 2)
    side = b.conv(x, 96, (1, 1))
    return b.graph(b.sum(b.conv(x, 96, (3, 3), pad=(1, 1, 1, 1)), side))


MORE: dict[str, Build] = {**NETWORKS, "moved": _moved, "padded": _padded}


def exact(build: Build, spec: AccelSpec, images: int) -> None:
    graph = batched(build(Lively(np.random.default_rng(len(spec.name)))), images)
    data = random_data(graph, images)
    _, made = run_batch(compiled(graph, spec), graph, data)
    wanted = evaluate(graph, data)
    for name, values in made.items():
        assert np.array_equal(values, wanted[name]), (spec.name, name)


@pytest.mark.diagonal
@pytest.mark.parametrize("target", ["dense256", "sparse256"])
@pytest.mark.parametrize("name", MORE)
def test_every_image_has_its_bits(name: str, target: str) -> None:
    exact(MORE[name], load_spec(target), 2)
    exact(MORE[name], tiny(load_spec(target)), 3)


@every_target
def test_every_target_takes_a_batch(target: str) -> None:
    exact(_padded, load_spec(target), 3)
    exact(NETWORKS["reduction"], load_spec(target), 2)
    exact(_deep, load_spec(target), 3)


def _window(b: GraphBuilder, data: st.DataObject) -> str:
    """A layer with a window, of any sort."""
    x, kernel = b.input(data.draw(st.integers(1, 20)), 7, 6), data.draw(st.integers(1, 3))
    stride, pad = data.draw(st.integers(1, 3)), data.draw(st.integers(0, (kernel - 1) // 2))
    kind = data.draw(st.sampled_from(["conv", "max", "avg", "depthwise"]))
    if kind in ("max", "avg"):
        return b.pool(x, kind, kernel, stride, pad)
    channels = b.tensors[x].shape[1]
    groups = channels if kind == "depthwise" else 1
    filters = channels if groups > 1 else data.draw(st.integers(1, 20))
    return b.conv(x, filters, (kernel, kernel), stride=stride, pad=(pad,) * 4, groups=groups)


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.integers(2, 4), st.data())
def test_a_batch_needs_weights_once_and_all_else_for_each_image(
    seed: int, images: int, data: st.DataObject
) -> None:
    b = GraphBuilder(np.random.default_rng(seed), data.draw(st.sampled_from([0.0, 0.4, 1.0])))
    one = b.graph(_window(b, data))
    layer, spec = one.nodes[0].layer, load_spec("sparse256")
    (alone,), (info,) = (compiled(each, spec).layers for each in (one, batched(one, images)))
    assert info.weight_bytes == alone.weight_bytes
    for name in ("macs", "effectual", "real_macs", "input_bytes", "output_bytes"):
        assert getattr(info, name) == images * getattr(alone, name), name
    assert info.real_macs == images * least.real_macs(layer)
    assert info.input_bytes == images * len(least.looked_at(layer))


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.integers(2, 6), st.data())
def test_stripes_are_whole_images_or_parts_of_one(
    seed: int, images: int, data: st.DataObject
) -> None:
    b = GraphBuilder(np.random.default_rng(seed))
    x = _window(b, data)
    for _ in range(2):
        pad = data.draw(st.integers(0, 1))
        x = b.conv(x, 4, (1 + 2 * pad,) * 2, pad=(pad,) * 4, stride=data.draw(st.integers(1, 2)))
    steps = lower(batched(b.graph(x), images)).ops
    parts = data.draw(st.integers(1, 2))
    stripes = images * parts if parts > 1 else data.draw(st.sampled_from([1, images]))
    for plan in plan_stripes(steps, stripes).values():
        own = plan.value.image[0]
        for stripe in range(stripes):
            made = plan.span(plan.made, plan.end, stripe)
            if made.size:
                of = stripe * images // stripes
                assert of * own <= made.start
                assert made.end <= (of + max(1, images // stripes)) * own
            if (stripe + 1) % max(1, stripes // images) == 0:  # the last of an image
                assert plan.end[stripe] % own == 0


def test_a_batch_is_not_cut_between_stripes() -> None:
    b = GraphBuilder(np.random.default_rng(0))
    (op,) = lower(batched(b.graph(b.conv(b.input(3, 8, 5), 4, (1, 1))), 4)).ops
    taken = [stripes for stripes in range(1, 17) if StripePlanner(stripes).prepend(op)]
    assert taken == [1, 2, 4, 8, 12, 16]


def test_factors_are_those_of_the_images_of_a_stripe() -> None:
    b = GraphBuilder(np.random.default_rng(0))
    x = b.input(16, 6, 5)
    y = b.conv(x, 16, (1, 1))
    graph = batched(b.graph(b.multiply(y, b.conv(b.global_pool(x), 16, (1, 1)))), 4)
    op = next(op for op in lower(graph).ops if isinstance(op, MultiplyOp))
    made, end = np.array([0, 3, 6, 12]), np.array([3, 6, 12, 24])
    first, last = op.operand_rows_read(made, end)
    assert first.tolist() == [0, 0, 1, 2]
    assert last.tolist() == [1, 1, 2, 4]
    assert [each.tolist() for each in op.rows_read(made, end)] == [made.tolist(), end.tolist()]


def weight_bytes(program: Program) -> int:
    return sum(each.size for each in decode_all(program.words) if isinstance(each, LoadWeights))


def _dense(b: GraphBuilder) -> LayerGraph:
    return b.graph(b.dense(b.reshape(b.pool(b.input(512, 2, 2), "max", 1, 1), 2048), 512))


@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
def test_a_layer_that_waits_for_its_weights_gains(target: str) -> None:
    """One that WGT does not hold: its weights are read once for all images."""
    spec, one = load_spec(target), _dense(GraphBuilder(np.random.default_rng(0), 1.0))
    programs = [compiled(batched(one, images), spec) for images in (1, 8)]
    held = spec.wgt_rows * spec.wgt_banks * 4
    alone, together = map(weight_bytes, programs)
    assert 2 * held < together < 1.01 * alone  # streams of other tiles have other headers
    cycles = []
    for images, program in zip((1, 8), programs, strict=True):
        graph = batched(one, images)
        run, _ = run_batch(program, graph, random_data(graph, 1))
        assert run.cycles >= sum(
            layer.bound(spec.array.macs, spec.dram.bytes_per_cycle) for layer in program.layers
        )
        cycles.append(run.cycles)
    assert cycles[1] <= 8 * AT_BATCH_8 * cycles[0]


@pytest.mark.parametrize("target", ["dense256", "pattern256"])
def test_the_images_of_a_batch_pass_a_chunk_of_the_weights(target: str) -> None:
    """A convolution that WGT does not hold, on images that are tiles of their own: its weights too
    are read once."""
    spec = load_spec(target)
    one = _deep(GraphBuilder(np.random.default_rng(0), 1.0))
    region = lower(batched(one, 4))
    plans = [plan for group in FusionSearch(region, spec).best() for plan in group.plans]
    assert "chunks" in {plan.outer for plan in plans if isinstance(plan, ConvPlan)}
    alone, together = (compiled(batched(one, images), spec) for images in (1, 4))
    assert weight_bytes(together) < 1.05 * weight_bytes(alone)
    graph = batched(one, 4)
    cycles = [
        run_batch(program, of, random_data(of, 1))[0].cycles
        for program, of in ((alone, one), (together, graph))
    ]
    assert cycles[1] < 2 * cycles[0]  # of four images


def test_the_sums_of_all_images_fit_in_acc() -> None:
    for kib in (2, 4, 8):
        spec = load_spec("dense256")
        exact(_deep, replace(spec, sram=replace(spec.sram, acc_bytes=kib << 10)), 4)


def test_a_batch_goes_through_act_in_as_many_images_as_it_holds() -> None:
    """All of them, some of them, or parts of each."""
    b = GraphBuilder(np.random.default_rng(3))
    x = b.conv(b.input(16, 24, 24), 32, (3, 3), pad=(1, 1, 1, 1))
    graph = batched(b.graph(b.conv(x, 16, (3, 3), pad=(1, 1, 1, 1))), 4)
    region, stripes = lower(graph), set[int]()
    for kib in (12, 64, 96):
        spec = load_spec("dense256")
        spec = replace(spec, sram=replace(spec.sram, act_bytes=kib << 10))
        plans = FusionSearch(region, spec).best()
        stripes |= {plan.stripes for plan in plans if len(plan.plans) > 1}
    assert {1, 2} < stripes
    assert max(stripes) > 4
    assert all(4 % each == 0 or each % 4 == 0 for each in stripes)
