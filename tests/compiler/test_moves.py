"""Moves of pixels and channels: what becomes a view, and every bit of what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.networks import GraphBuilder
from tests.compiler.test_bits import check
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.ir import ops
from zeroskip.compiler.ir.compulsory_traffic import touched
from zeroskip.compiler.ir.views import Value, whole
from zeroskip.compiler.ir.weave import TakenRun, positions, taken_runs
from zeroskip.compiler.lowering.legality import supports
from zeroskip.compiler.lowering.lower import lower
from zeroskip.relay_passes.integer.layers import GatherLayer, QTensor


def _nearest(size: int, factor: int) -> list[int]:
    return [at // factor for at in range(size * factor)]


def _neck(b: GraphBuilder) -> list[str]:
    """A resize beside the tensor that it joins, then a convolution of both."""
    x = b.conv(b.input(20, 6, 5), 24, (3, 3), pad=(1, 1, 1, 1))
    y = b.gather(x, None, _nearest(6, 2), _nearest(5, 2))
    z = b.conv(b.input(16, 12, 10), 16, (1, 1))
    return [b.conv(b.concat(y, z), 16, (3, 3), pad=(1, 1, 1, 1)), y]


def _wide_factors(b: GraphBuilder) -> list[str]:
    x = b.input(35, 3, 4)
    return [b.gather(x, None, _nearest(3, 5), _nearest(4, 8)), b.gather(x, None, None, [0, 0, 2])]


def _between(b: GraphBuilder) -> list[str]:
    """A resize by 3/2, a pad by edge values, a pad by reflection, steps, a mirror."""
    x = b.input(17, 6, 8)
    return [
        b.gather(x, None, [0, 0, 1, 2, 2, 3, 4, 4, 5], None),
        b.gather(x, None, [0, 0, *range(6), 5], [0, *range(8), 7, 7]),
        b.gather(x, None, [2, 1, *range(6), 4], None),
        b.gather(x, None, [1, 3, 5], [0, 4]),
        b.gather(x, None, None, list(range(8))[::-1]),
    ]


def _slices(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(8, 7, 7), 48, (1, 1))
    low, high = b.gather(x, range(16), None, None), b.gather(x, range(16, 48), None, None)
    odd = b.gather(b.gather(x, range(3, 40), None, None), range(2, 26), None, None)
    return [b.conv(low, 20, (3, 3)), b.sum(b.conv(high, 24, (1, 1)), odd), odd]


def _shuffle(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(8, 6, 6), 20, (1, 1))
    mixed = b.gather(x, [g * 10 + c for c in range(10) for g in range(2)], None, None)
    part = b.gather(x, [3, 1, 19], None, [5, 5, 0])
    return [b.conv(mixed, 12, (3, 3)), mixed, part]


def _subpixels(b: GraphBuilder) -> list[str]:
    x = b.conv(b.input(9, 5, 6), 4 * 12, (1, 1))
    y = b.depth_to_space(x, 2, 2)
    z = b.depth_to_space(b.conv(y, 64, (3, 3), pad=(1, 1, 1, 1)), 4, 4)
    return [z, b.conv(b.depth_to_space(x, 3, 1), 8, (1, 1))]


def _line(b: GraphBuilder) -> list[str]:
    """Tensors of one spatial dimension."""
    x = b.input(12, 9)
    return [b.depth_to_space(x, 3), b.gather(x, None, _nearest(9, 2)), b.gather(x, [4, 2], None)]


NETWORKS = [_neck, _wide_factors, _between, _slices, _shuffle, _subpixels, _line]


@pytest.mark.parametrize("make", NETWORKS, ids=lambda f: f.__name__.strip("_"))
def test_every_bit(make: Callable[[GraphBuilder], list[str]]) -> None:
    b = GraphBuilder(np.random.default_rng(7))
    check(b.graph(*make(b)), b.data(), load_spec("sparse256"), seed=3)


def test_a_large_maximum_is_one_of_columns_then_of_rows() -> None:
    b = GraphBuilder(np.random.default_rng(3))
    x = b.input(18, 11, 9)
    graph = b.graph(b.pool(x, "max", 5, 1, 2), b.pool(x, "max", 7, 2, 3), b.pool(x, "max", 3, 1, 1))
    kernels = [op.input_window.kernel for op in lower(graph).ops]
    assert kernels == [(5, 1), (1, 5), (7, 1), (1, 7), (3, 3)]
    check(graph, b.data(), load_spec("sparse256"))


def test_a_slice_of_channels_is_a_view() -> None:
    b = GraphBuilder(np.random.default_rng(0))
    region = lower(b.graph(*_slices(b)[:2]))
    assert {type(op) for op in region.ops} == {ops.ConvOp}
    reads = [op.x.offset for op in region.ops]
    assert sorted(reads) == [0, 0, 16]


@pytest.mark.parametrize(
    ("indices", "runs"),
    [
        (_nearest(3, 2), [TakenRun(0, 2, 0, 1, 3), TakenRun(1, 2, 0, 1, 3)]),
        ([4, 5, 6], [TakenRun(0, 1, 4, 1, 3)]),
        ([0, 2, 4], [TakenRun(0, 1, 0, 2, 3)]),
        (
            [0, 0, 0, 1, 2, 2],
            [TakenRun(0, 1, 0, 0, 3), TakenRun(3, 1, 1, 1, 2), TakenRun(5, 1, 2, 0, 1)],
        ),
        (
            [0, 0, 1, 2, 2, 3, 4, 4, 5],
            [TakenRun(0, 3, 0, 2, 3), TakenRun(1, 3, 0, 2, 3), TakenRun(2, 3, 1, 2, 3)],
        ),
    ],
)
def test_the_fewest_runs(indices: list[int], runs: list[TakenRun]) -> None:
    assert list(taken_runs(indices)) == runs
    np.testing.assert_array_equal(positions(runs), indices)


def test_runs_of_any_indices_give_them_back() -> None:
    rng = np.random.default_rng(11)
    for _ in range(200):
        indices = rng.integers(0, 6, rng.integers(1, 30)).tolist()
        np.testing.assert_array_equal(positions(taken_runs(indices)), indices)


def test_a_run_within_a_span_has_its_positions() -> None:
    run = TakenRun(to=1, stride=3, start=4, step=2, count=5)
    every = {run.to + i * run.stride: run.start + i * run.step for i in range(run.count)}
    for low in range(16):
        for high in range(low + 1, 18):
            part = run.within(low, high)
            found = {
                part.to + i * part.stride: part.start + i * part.step for i in range(part.count)
            }
            assert found == {to: at for to, at in every.items() if low <= to < high}
    pieces = list(run.pieces(2))
    assert [piece.count for piece in pieces] == [2, 2, 1]
    assert [(piece.to, piece.start) for piece in pieces] == [(1, 4), (7, 8), (13, 12)]


def weave(rows: list[int], cols: list[int]) -> ops.WeaveOp:
    x, y = Value("x", 3, (5, 6), "int8", 0), Value("y", 3, (len(rows), len(cols)), "int8", 0)
    return ops.WeaveOp("n", whole(x), whole(y), taken_runs(rows), taken_runs(cols))


def test_stripes_of_a_resize_read_half_as_many_rows() -> None:
    op = weave(_nearest(5, 2), _nearest(6, 2))
    first, end = op.rows_read(np.array([0, 3, 8, 9]), np.array([3, 8, 9, 9]))
    assert first.tolist()[:3] == [0, 1, 4]
    assert end.tolist()[:3] == [2, 4, 5]


def test_only_what_is_taken_is_looked_at() -> None:
    (mask,) = touched(weave([1, 1, 3], [0, 5])).values()
    assert sorted({(int(r), int(c)) for _, r, c in np.argwhere(mask)}) == [
        (1, 0), (1, 5), (3, 0), (3, 5),
    ]  # fmt: skip
    assert mask.sum() == 3 * 4


def test_pixels_of_volumes_stay_on_the_cpu() -> None:
    x = QTensor((1, 2, 3, 4, 5), "int8", 0)
    layer = GatherLayer(x=x, y=x, indices=(None, (0, 1, 2), None, None))
    reason = supports(load_spec("sparse256"))(layer)
    assert reason == "shape (1, 2, 3, 4, 5): the accelerator moves pixels of images, not of volumes"


def test_tiles_of_small_memories_take_their_parts() -> None:
    """ACT holds a few rows: runs are cut by tiles, and the rows behind each tile are other ones."""
    b = GraphBuilder(np.random.default_rng(5))
    x = b.conv(b.input(16, 11, 9), 64, (3, 3), pad=(1, 1, 1, 1))
    y = b.gather(x, None, _nearest(11, 2), _nearest(9, 3))
    z = b.depth_to_space(b.conv(x, 64, (1, 1)), 2, 2)
    spec = load_spec("sparse256")
    small = replace(spec, sram=replace(spec.sram, act_bytes=spec.sram.act_bytes // 32))
    check(b.graph(b.conv(y, 16, (3, 3)), b.conv(z, 16, (3, 3))), b.data(), small)
