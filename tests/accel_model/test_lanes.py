"""The fast model of the lane array against the one that steps clock by clock, to the cycle.

ZEROSKIP_TILES=n runs n random convolutions of each array kind (100 without it) and ZEROSKIP_SEED
starts the random numbers elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.accel_model.by_name import LANE_KINDS, conv_cycles, lanes, pack, unpack
from tests.accel_model.by_name import stages as format_stages
from zeroskip.accel_model.arrays.lane_geometry import LaneGeometry
from zeroskip.accel_model.formats import FORMATS, Shape, make_table, to_reduction_order
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.reference.lanes import step_conv
from zeroskip.accel_model.reference.streams import PatternMasks
from zeroskip.accel_model.spec import load_spec
from zeroskip.accel_model.timing import lane_array, lane_simulation
from zeroskip.accel_model.timing.padding import (
    every_tap,
    worked_counts,
    worked_steps,
    worked_taps,
    written_cycles,
)
from zeroskip.accel_model.timing.shape import Strips, WindowShape, counted_outputs, row_by_row

TILES = int(os.environ.get("ZEROSKIP_TILES", "100"))
SEED = int(os.environ.get("ZEROSKIP_SEED", "20260101"))
TARGETS = {"dense": "dense256", "bitmap": "sparse256", "pattern": "pattern256"}
Rng = np.random.Generator


@dataclass(frozen=True)
class LaneCase:
    """A small array and a convolution for it."""

    array: LaneGeometry
    banks: int
    weight: npt.NDArray[np.int8]
    order: npt.NDArray[np.int32]
    image: npt.NDArray[np.int64]
    row: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    top: int
    left: int
    output: tuple[int, int]
    gang: int
    last: bool
    out_blocks: int
    operand_row: int | None

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def window(self) -> WindowShape:
        _, height, width = self.image.shape
        around = (*self.kernel, *self.stride, *self.dilation, *self.output)
        return WindowShape(self.row, height, width, self.top, self.left, *around)


def some(rng: Rng, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def random_array(rng: Rng, kind: str, least_window: int) -> LaneGeometry:
    lane_count = int(some(rng, 1, 2, 4, 8, 32))
    return replace(
        lanes(load_spec(TARGETS[kind])),
        lanes=lane_count,
        pixels=int(some(rng, 1, 2, 4)),
        max_gang=int(np.log2(lane_count)),
        fetch_quads=min(int(some(rng, 1, 2, 4)), lane_count),
        drain_width=int(some(rng, 1, 2, 4, 16, 32)),
        window_entries=least_window + int(some(rng, 0, 1, 7, 40, 200)),
        pipeline_cycles=int(rng.integers(0, 12)),
    )


def random_weight(rng: Rng, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """Density 0..100 %, by weight, by kernel and by filter."""
    density = some(rng, 0.0, 0.05, 0.3, 0.6, 1.0)
    keep = rng.random(shape) < density
    if rng.random() < 0.5:
        keep &= rng.random((*shape[:2], 1, 1)) < 0.6
    keep &= rng.random((shape[0], 1, 1, 1)) < some(rng, 0.5, 1.0)
    return np.where(keep, rng.integers(-128, 128, shape), 0).astype(np.int8)


def random_case(rng: Rng, kind: str) -> LaneCase:
    kernel = some(rng, (1, 1), (1, 1), (2, 2), (3, 3), (1, 5), (5, 4))
    channels = int(some(rng, 1, 3, 8, 9, 15, 16, 17, 20, 33))
    stages = format_stages(kind, channels, kernel[0] * kernel[1])
    array = random_array(rng, kind, int(stages.window_entries.max()))
    gang = int(rng.integers(0, array.max_gang + 1))
    filters = int(rng.integers(1, 2 + 2 * (array.lanes >> gang)))
    output = (int(rng.integers(1, 5)), int(rng.integers(1, 6)))
    image = rng.integers(-128, 128, (channels, int(rng.integers(1, 7)), int(rng.integers(1, 7))))
    case = LaneCase(
        array=array,
        banks=int(some(rng, 1, 2, 4, 8)),
        weight=random_weight(rng, (filters, channels, *kernel)),
        order=rng.permutation(3 * filters)[:filters].astype(np.int32),
        image=image,
        row=image.shape[2] + int(rng.integers(0, 3)),
        stride=some(rng, (1, 1), (2, 2), (1, 3)),
        dilation=some(rng, (1, 1), (2, 1), (2, 3)),
        top=int(rng.integers(-3, 2)),
        left=int(rng.integers(-3, 2)),
        output=output,
        gang=gang,
        last=bool(rng.random() < 0.7),
        out_blocks=int(some(rng, 1, 2, 20)),
        operand_row=output[1] + int(rng.integers(0, 3)) if rng.random() < 0.4 else None,
    )
    return replace(case, array=replace(array, skip_padding=int(rng.integers(0, 2))))


def at_once(_words: int) -> int:
    """Cycles in which WGT sends words of streams, of a memory that is never waited for."""
    return 0


def step(
    case: LaneCase, kind: str, first: bool = True, send: Callable[[int], int] = at_once
) -> Outcome:
    streams, table = packed(case, kind)
    ends = np.cumsum(4 * streams[1])
    raw = streams[0].tobytes()
    return step_conv(
        case.array,
        case.banks,
        Convolution(
            image=case.image.tolist(),
            row=case.row,
            kernel=case.kernel,
            stride=case.stride,
            dilation=case.dilation,
            top=case.top,
            left=case.left,
            output=case.output,
            streams=[raw[end - 4 * size : end] for end, size in zip(ends, streams[1], strict=True)],
            table=PatternMasks(table.masks.tolist(), table.id_bits) if table else None,
            mode=case.gang,
            first=first,
            last=case.last,
            out_blocks=case.out_blocks,
            operand_row=case.operand_row,
        ),
        send,
    )


def packed(case: LaneCase, kind: str) -> Any:
    table = make_table(case.weight) if kind == "pattern" else None
    matrix = to_reduction_order(case.weight)
    taps = case.kernel[0] * case.kernel[1]
    return pack(kind, matrix, case.weight.shape[1], taps, case.order, table), table


def fast(case: LaneCase, kind: str) -> lane_array.ConvTiming:
    (raw, _), table = packed(case, kind)
    filters, channels = case.weight.shape[:2]
    taps = case.kernel[0] * case.kernel[1]
    matrix, _, order, _ = unpack(kind, raw, filters, channels, taps, table)
    shape, whole = Shape(channels, taps), format_stages(kind, channels, taps)
    skip, granule = bool(case.array.skip_padding), case.array.pixels << case.gang
    strips = Strips(granule, case.array.pixels * case.array.together(case.gang), case.banks)
    worked = (worked_taps if skip else every_tap)(case.window, strips)
    stored = FORMATS[kind].stored(matrix, shape, table)
    step_taps = FORMATS[kind].stage_taps
    work = np.maximum(worked_counts(stored, channels, step_taps, worked), 1)
    members, together = 1 << case.gang, case.array.together(case.gang)
    outputs = counted_outputs(case.window, strips if skip else None)
    cf = lane_array.quad_conflicts(
        *outputs,
        row=case.row,
        top=case.top,
        left=case.left,
        row_stride=case.stride[0],
        col_stride=case.stride[1],
        banks=case.banks,
        pixels=case.array.pixels * together,
    )
    operand = None
    if case.operand_row is not None:
        operand = lane_array.tile_fetch(
            lane_array.quad_conflicts(
                *outputs, row=case.operand_row, banks=case.banks, pixels=case.array.pixels
            ),
            members,
        )
    written = min(case.banks, max(1, case.array.drain_width // 16))
    return conv_cycles(
        case.array,
        kind,
        work,
        order,
        worked_steps(whole, step_taps, worked),
        lane_array.tile_fetch(cf, members // together),
        lane_array.group_pixels(case.window.outputs, granule),
        operand,
        case.gang,
        case.out_blocks,
        case.last,
        banks=case.banks,
        writes=written_cycles(case.window, strips, written) if skip else None,
        fetched=case.array.pixels * together,
        sets=worked.sets,
    )


def sums(case: LaneCase) -> dict[tuple[int, int], int]:
    """The convolution, straight from its definition."""
    _, height, width = case.image.shape
    out = np.zeros((len(case.weight), case.output[0] * case.output[1]), np.int64)
    for n in range(out.shape[1]):
        oy, ox = divmod(n, case.output[1])
        for r in range(case.kernel[0]):
            for s in range(case.kernel[1]):
                y = case.top + oy * case.stride[0] + r * case.dilation[0]
                x = case.left + ox * case.stride[1] + s * case.dilation[1]
                if 0 <= y < height and 0 <= x < width:
                    out[:, n] += case.weight[:, :, r, s].astype(np.int64) @ case.image[:, y, x]
    return {(int(case.order[f]), n): int(v) for (f, n), v in np.ndenumerate(out)}


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", LANE_KINDS)
def test_fast_model_agrees_with_the_stepped_one(kind: str, part: int) -> None:
    for n in range(part, TILES, 4):
        seed = SEED + n
        case = random_case(np.random.default_rng(seed), kind)
        outcome, timing = step(case, kind), fast(case, kind)
        assert timing.cycles == outcome.cycles, f"{kind} seed {seed}: {case}"
        for name in ("lane_busy", "imbalance", "fetch_wait", "drain_wait", "unused"):
            assert getattr(timing, name) == outcome.events[name], f"{kind} seed {seed} {name}"
        assert outcome.sums == sums(case), f"{kind} seed {seed}: {case}"
        spent = (
            timing.lane_busy
            + timing.imbalance
            + timing.fetch_wait
            + timing.drain_wait
            + timing.unused
        )
        assert spent == timing.cycles * case.array.lanes, f"{kind} seed {seed}: {case}"


@pytest.mark.parametrize("seed", [20260548, 20261428, 20265163])
def test_a_lane_without_a_stream_still_holds_the_stages_it_is_behind(seed: int) -> None:
    case = random_case(np.random.default_rng(seed), "bitmap")
    assert fast(case, "bitmap").cycles == step(case, "bitmap").cycles


def large_case(kind: str, seed: int, width: int = 55) -> dict[str, Any]:
    """Arguments of ``conv_cycles``: 57 rows of outputs, 100 filters, ragged in every way."""
    rng = np.random.default_rng(seed)
    array = lanes(load_spec(TARGETS[kind]))
    stages = format_stages(kind, 70, 9)
    work = np.maximum(1, rng.binomial(stages.window_entries, 0.3, (100, len(stages)))).astype(
        np.int32
    )
    if kind == "dense":
        work[:] = stages.window_entries
    cf = lane_array.quad_conflicts(
        *row_by_row(57, width), row=width + 2, top=-1, left=-1, banks=8, pixels=array.pixels
    )
    return {
        "array": array,
        "kind": kind,
        "work": work,
        "reduction_steps": stages,
        "gang": 1,
        "out_blocks": 7,
        "order": rng.permutation(100).astype(np.int32),
        "last": True,
        "operand": None,
        "fetch": lane_array.tile_fetch(cf, 2),
        "outputs": lane_array.group_pixels(57 * width, array.pixels << 1),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", LANE_KINDS)
def test_rounds_that_repeat_are_added_up_exactly(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the same recurrence stepped through every tile."""
    rng = np.random.default_rng(SEED + seed)
    case = large_case(kind, SEED + seed, width=int(some(rng, 8, 30, 57)))
    case["array"] = replace(
        case["array"],
        window_entries=int(some(rng, 160, 400, 1024)),
        drain_width=int(some(rng, 4, 16)),
    )
    if seed % 2:
        case["operand"] = case["fetch"]
    found = conv_cycles(**case)
    stepped: list[int] = []

    def tile(*arguments: Any) -> None:
        stepped.append(1)
        plain(*arguments)

    plain = lane_simulation._tile
    monkeypatch.setattr(lane_simulation, "_tile", tile)
    monkeypatch.setattr(lane_simulation, "simulate", lane_simulation.simulate.py_func)  # type: ignore[attr-defined]  # numba's
    assert conv_cycles(**case) == found
    assert len(stepped) < len(case["fetch"]) / 2
    stepped.clear()
    monkeypatch.setattr(lane_simulation, "_period", lambda tile_ft, *_: len(tile_ft))
    assert conv_cycles(**case) == found
    assert len(stepped) == len(case["fetch"])


@pytest.mark.parametrize("what", ["now", "done", "size", "until"])
def test_a_state_that_comes_back_is_the_same_in_all_that_matters(what: str) -> None:
    """Two stages in the window, four slots; one time or size of them after the latest fetch."""
    state = {
        "now": np.full(6, 9),
        "done": np.full(4, 9),
        "size": np.full(3, 2),
        "until": np.full(3, 9),
    }
    state["now"][lane_simulation.FETCHED] = 5
    window = np.array([2, 0, 4])  # head, tail, held

    def found() -> list[int]:
        made = np.zeros(16, np.int64)
        lane_simulation._state(
            state["now"], state["done"], window, state["size"], state["until"], made
        )
        return made.tolist()

    before = found()
    for at in range(1, 2 if what in ("size", "until") else len(state[what])):
        state[what][at] += 1
        assert found() != before, at
        state[what][at] -= 1


@pytest.mark.parametrize("kind", LANE_KINDS)
def test_more_hardware_is_never_slower(kind: str) -> None:
    case = large_case(kind, SEED + 1)
    base = conv_cycles(**case).cycles
    for key, value in (("window_entries", 4096), ("drain_width", 64), ("pipeline_cycles", 0)):
        better = replace(case["array"], **{key: value})
        assert conv_cycles(**{**case, "array": better}).cycles <= base


def test_dense_time_is_work_when_nothing_else_binds() -> None:
    array = replace(lanes(load_spec("dense256")), window_entries=4096, pipeline_cycles=5)
    stages = format_stages("dense", 64, 9)
    work = np.tile(stages.window_entries, (64, 1)).astype(np.int32)
    ones = np.ones(10, np.int32)
    timing = conv_cycles(
        array,
        "dense",
        work,
        np.arange(64, dtype=np.int32),
        stages,
        ones,
        4 * ones,
        None,
        0,
        4,
        True,
    )
    assert timing.cycles == 1 + 10 * 576 + 4 * 2 + 2 * 4 + 5  # fetch, work, drain, write-back


def test_stage_larger_than_the_window_is_refused() -> None:
    array = replace(lanes(load_spec("pattern256")), window_entries=32)
    stages = format_stages("pattern", 16, 9)
    one = np.ones(1, np.int32)
    with pytest.raises(lane_array.WindowError, match=r"window_entries = 32 .* 144 entries"):
        conv_cycles(
            array, "pattern", np.ones((1, 1), np.int32), one, stages, one, one, None, 0, 1, True
        )


@pytest.mark.parametrize("seed", range(40))
def test_quad_conflicts_count_the_busiest_bank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, pixels, banks = (
        int(v) for v in (*rng.integers(1, 9, 2), some(rng, 1, 4, 8), some(rng, 1, 4, 8))
    )
    row, top, left = (int(v) for v in (rng.integers(1, 20), *rng.integers(-9, 9, 2)))
    strides = [int(v) for v in rng.integers(1, 4, 2)]
    found = lane_array.quad_conflicts(
        *row_by_row(height, width),
        row=row,
        top=top,
        left=left,
        row_stride=strides[0],
        col_stride=strides[1],
        banks=banks,
        pixels=pixels,
    )
    address = [
        ((top + n // width * strides[0]) * row + left + n % width * strides[1]) % banks
        for n in range(height * width)
    ]
    quads = [address[at : at + pixels] for at in range(0, len(address), pixels)]
    assert found.tolist() == [max(quad.count(bank) for bank in quad) for quad in quads]
    for size in (1, 2, 4):
        assert lane_array.tile_fetch(found, size).tolist() == [
            sum(found[at : at + size]) for at in range(0, len(found), size)
        ]


@pytest.mark.parametrize("seed", range(20))
def test_simple_cycles_is_the_sum_over_blocks_and_quads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = replace(lanes(load_spec("dense256")), pipeline_cycles=int(rng.integers(0, 9)))
    outputs, blocks, taps = (int(v) for v in rng.integers(1, 40, 3))
    pixels = [min(array.pixels, outputs - at) for at in range(0, outputs, array.pixels)]
    cf, operand = rng.integers(1, 5, (2, len(pixels))).astype(np.int32)
    written = seed % 3 + 1
    rows = [-(-size // written) for size in pixels]
    expected = sum(
        max(taps * cf[q] + operand[q], rows[q]) for _ in range(blocks) for q in range(len(pixels))
    )
    assert lane_array.simple_cycles(array, blocks, taps, cf, outputs, operand, written=written) == (
        expected + rows[-1] + array.pipeline_cycles
    )
    expected = sum(max(taps * cf[q], pixels[q]) for _ in range(blocks) for q in range(len(pixels)))
    assert lane_array.simple_cycles(array, blocks, taps, cf, outputs) == (
        expected + pixels[-1] + array.pipeline_cycles
    )
