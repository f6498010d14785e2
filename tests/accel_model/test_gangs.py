"""Gangs of every size: what a convolution counts is what docs/ARRAYS.md says, counted by walking
through pixel groups, filter groups, fetches and outputs one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.accel_model.by_name import LANE_TARGETS, lanes, pack, with_lanes
from tests.accel_model.test_lanes import random_weight
from zeroskip.accel_model.arrays.base import Case, FilterSet
from zeroskip.accel_model.arrays.broadcast import useful_gangs
from zeroskip.accel_model.formats import (
    FORMATS,
    Shape,
    from_reduction_order,
    make_table,
    to_reduction_order,
)
from zeroskip.accel_model.memory.wgt_banks import decode
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.accel_model.timing.shape import WindowShape

SEEDS = range(6)


def random_case(rng: np.random.Generator, spec: AccelSpec, gang: int) -> Case:
    """A convolution on few or many filters, of a tile that ends within a gang."""
    kernel = [(1, 1), (3, 3), (1, 5)][rng.integers(3)]
    channels, filters = int(rng.integers(1, 40)), int(rng.choice([1, 2, 5, 8, 17, 40]))
    weight = random_weight(rng, (filters, channels, *kernel))
    kind = spec.array.kind
    table = make_table(weight) if kind == "pattern" else None
    shape = Shape(channels, kernel[0] * kernel[1])
    order = rng.permutation(filters).astype(np.int32)
    raw, _ = pack(kind, to_reduction_order(weight), channels, shape.taps, order, table)
    out, stride = (int(rng.integers(1, 9)), int(rng.integers(1, 20))), int(rng.integers(1, 3))
    size = (out[0] * stride + kernel[0], out[1] * stride + kernel[1])
    row = size[1] + int(rng.integers(0, 3))
    return Case(
        WindowShape(row, *size, -1, 0, *kernel, stride, stride, 1, 1, *out),
        decode(FORMATS[kind], raw, filters, shape, table),
        gang,
        first=bool(rng.random() < 0.5),
        last=bool(rng.random() < 0.5),
        operand_row=out[1] if rng.random() < 0.3 else None,
    )


def walked(spec: AccelSpec, case: Case) -> Counter[str]:
    """Counters of a convolution, and ``fetch``, cycles in which the fetch unit reads inputs."""
    array, window, filters = lanes(spec), case.window, case.filters
    dense, found = array.kind == "dense", Counter[str]()
    slots, granule = array.lanes >> case.mode, array.pixels << case.mode
    at_once = array.pixels * min(array.fetch_quads, 1 << case.mode)
    channel_blocks = -(-filters.shape.channels // 16)
    ends = case.last * (1 + (case.operand_row is not None))
    order = counted(spec, window, case.mode)
    for first in range(0, window.outputs, granule):
        outputs = order[first : first + granule]
        taps = [
            tap for tap in range(window.taps) if worked_on(window, outputs, tap, array.skip_padding)
        ]
        found["wgt_words"] += filters.words - sum(
            left_out(filters, n, taps, dense) // 4 for n in range(len(filters))
        )
        found["act_rows"] += ends * -(-len(filters) // 16) * len(outputs)
        for group in range(0, len(filters), slots):
            streams = range(group, min(group + slots, len(filters)))
            found["act_rows"] += channel_blocks * len(taps) * len(outputs)
            windows = 1 if dense else len(streams)
            weights = [nonzeros(filters, n, taps) for n in streams]
            found["macs"] += sum(weights) * len(outputs)
            reads = filters.shape.channels * len(taps) if dense else sum(weights)
            written = windows * filters.shape.channels * len(taps)
            found["window_bytes"] += (written + reads) * len(outputs)
            moved = (not case.first) + (not case.last)
            found["acc_rows"] += moved * -(-len(streams) // 16) * len(outputs)
            found["requantised"] += ends * len(streams) * len(outputs)
            for at in range(0, len(outputs), at_once):
                banks = Counter(
                    bank(window, n, spec.sram.act_banks) for n in outputs[at : at + at_once]
                )
                found["fetch"] += channel_blocks * len(taps) * max(banks.values())
    return found


def nonzeros(filters: FilterSet, stream: int, taps: list[int]) -> int:
    """Weights of a stream that are not zero, at some taps."""
    shape = filters.shape
    weight = from_reduction_order(
        filters.matrix[stream : stream + 1], shape.channels, (shape.taps,)
    )
    return int(np.count_nonzero(weight[0][:, taps]))


def left_out(filters: FilterSet, stream: int, taps: list[int], dense: bool) -> int:
    """Values of a stream that are stored for other taps than these."""
    shape = filters.shape
    if dense:
        return shape.channels * (shape.taps - len(taps))
    stored = filters.stored[stream : stream + 1].astype(np.int8)
    of_taps = from_reduction_order(stored, shape.channels, (shape.taps,))[0]
    return int(of_taps.sum() - of_taps[:, taps].sum())


def inside(window: WindowShape, output: int, tap: int) -> tuple[bool, bool]:
    """Whether a tap of an output is in a row, and in a column, of the image."""
    (r, c), (oy, ox) = divmod(tap, window.cols), divmod(output, window.out_width)
    y = window.top + oy * window.row_stride + r * window.row_dilation
    x = window.left + ox * window.col_stride + c * window.col_dilation
    return 0 <= y < window.height, 0 <= x < window.width


def worked_on(window: WindowShape, outputs: list[int], tap: int, skip: int) -> bool:
    """Whether a group works on a tap: any row of its outputs meets the image, and any column."""
    rows, columns = zip(*(inside(window, n, tap) for n in outputs), strict=True)
    return not skip or (any(rows) and any(columns))


def counted(spec: AccelSpec, window: WindowShape, gang: int) -> list[int]:
    """Outputs as they are counted."""
    array = lanes(spec)
    granule, at_once = array.pixels << gang, array.pixels * array.together(gang)
    column = [bank(window, n * window.out_width, spec.sram.act_banks) for n in range(at_once)]
    fetch = granule // at_once * max(map(column.count, column))
    strips: list[list[int]] = []
    before = None
    for x in range(window.out_width):
        alike = [inside(window, x, tap)[1] for tap in range(window.cols)]
        if alike != before:
            strips.append([])
        strips[-1].append(x)
        before = alike
    few = min(map(len, strips)) * window.out_height < granule
    if not array.skip_padding or few or fetch > 4:
        return list(range(window.outputs))
    down = range(window.out_height)
    return [y * window.out_width + x for strip in strips for y in down for x in strip]


def bank(window: WindowShape, output: int, banks: int) -> int:
    """Of ACT, in which the row of an output's first tap lies."""
    y, x = divmod(output, window.out_width)
    y, x = window.top + y * window.row_stride, window.left + x * window.col_stride
    return (y * window.row + x) % banks


@pytest.mark.parametrize("target", LANE_TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_counters_of_every_gang_are_what_walking_counts(target: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(target)])
    base = load_spec(target)
    quads, skip = int(rng.choice([1, 2, 4])), (seed + len(target)) % 2
    spec = with_lanes(base, max_gang=6, fetch_quads=quads, skip_padding=skip)
    spec = replace(spec, sram=replace(spec.sram, act_banks=int(rng.choice([4, 32]))))
    for gang in spec.kind.modes(spec.array):
        case = random_case(rng, spec, gang)
        found, wanted = spec.kind.conv(spec, case), walked(spec, case)
        fetch, macs = wanted.pop("fetch"), wanted.pop("macs")
        assert {name: found.events[name] for name in wanted} == wanted, case
        assert sum(found.slots.values()) == found.cycles * spec.array.macs
        assert found.cycles >= fetch + lanes(spec).pipeline_cycles
        _, real = case.filters.products(case.window)
        assert found.slots["multiply"] + found.slots["padding"] == macs == found.multiplies
        assert found.slots["multiply"] == real


@pytest.mark.parametrize("seed", SEEDS)
def test_more_quads_at_once_are_never_slower(seed: int) -> None:
    """On as many banks as rows are fetched, with few weights left."""
    rng = np.random.default_rng(seed)
    one = with_lanes(load_spec("sparse256"), fetch_quads=1)
    for gang in range(1, 7):
        case = random_case(rng, one, gang)
        case = replace(case, window=case.window._replace(row_stride=1, col_stride=1))
        cycles = []
        for quads in (1, 2):
            spec = with_lanes(one, fetch_quads=quads)
            case.filters.memo.clear()
            cycles.append(spec.kind.conv(spec, case).cycles)
        assert cycles[1] <= cycles[0]


@pytest.mark.parametrize(("filters", "outputs"), [(1, 3136), (8, 3136), (24, 3136), (1, 100)])
def test_larger_gangs_are_tried_where_they_take_fewer_passes(filters: int, outputs: int) -> None:
    array = lanes(with_lanes(load_spec("dense256"), max_gang=6))

    def passes(gang: int) -> int:
        return -(-filters // (64 >> gang)) * -(-outputs // (4 << gang))

    found = useful_gangs(array, filters, outputs)
    assert found[:3] == [0, 1, 2]
    for gang in range(3, 7):
        assert (gang in found) == (passes(gang) < min(map(passes, range(gang))))


def test_full_lanes_need_no_larger_gangs() -> None:
    array = lanes(with_lanes(load_spec("dense256"), max_gang=6))
    assert useful_gangs(array, 64, 12544) == useful_gangs(array, 512, 49) == [0, 1, 2]
    assert useful_gangs(array, 1, 12544) == list(range(7))
