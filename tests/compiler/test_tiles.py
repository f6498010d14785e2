"""Tiles cover what they cut, and a view's moves touch exactly its bytes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zeroskip.accel_model.isa.instructions import BLOCK, MOST_CHANNELS
from zeroskip.accel_model.program.tensor_layout import Tensor, to_dram
from zeroskip.compiler.ir.tiles import (
    Interval,
    dma_runs,
    even_intervals,
    full,
    input_tile,
    intervals,
    patches,
)
from zeroskip.compiler.ir.views import ChannelSlice, Value
from zeroskip.compiler.ir.window import Window


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 50))
def test_spans_cover_every_position_once(total: int, size: int, start: int) -> None:
    for first, cut in (
        (0, intervals(total, size)),
        (start, even_intervals(Interval(start, total), size)),
    ):
        covered = [p for span in cut for p in range(span.start, span.end)]
        assert covered == list(range(first, first + total))
        assert all(0 < span.size <= size for span in cut)


@given(*[st.integers(0, 20)] * 4)
def test_within_is_what_both_have(a: int, m: int, b: int, n: int) -> None:
    both = Interval(a, m).within(Interval(b, n))
    assert set(range(both.start, both.end)) == set(range(a, a + m)) & set(range(b, b + n))


@given(st.integers(1, 70), st.integers(1, 70), st.data())
def test_runs_bring_a_view_into_rows(channels: int, wanted: int, data: st.DataObject) -> None:
    """Carrying out the moves on bytes gives the view's channels, block by block."""
    wanted = min(wanted, channels)
    offset = data.draw(st.integers(0, channels - wanted))
    start = data.draw(st.integers(0, (wanted - 1) // 16)) * 16
    spatial = (2, 3)
    home = Tensor("t", 0, channels, spatial)
    values = np.arange(channels * 6, dtype=np.uint8).reshape(1, channels, *spatial)
    dram = to_dram(values)[0]
    view = ChannelSlice(Value("t", channels, spatial, "int8", 0), offset, wanted)
    part = Interval(start, wanted - start)
    rows = np.zeros((-(-part.size // 16), 6, 16), np.uint8)
    touched = 0
    for run in dma_runs(view, home, part):
        for index in range(run.count):
            for pixel in range(6):
                at = run.dram + index * run.dram_block + pixel * run.dram_pixel
                rows[run.block + index, pixel, run.lane : run.lane + run.size] = dram[
                    at : at + run.size
                ]
                touched += run.size
    expected = values[0, offset + start : offset + wanted].reshape(part.size, 6)
    found = rows.swapaxes(1, 2).reshape(-1, 6)[: part.size]
    assert np.array_equal(found, expected)
    assert touched == part.size * 6


def test_an_aligned_view_is_one_move_for_its_whole_blocks() -> None:
    home = Tensor("t", 0, 128, (4, 4))
    view = ChannelSlice(Value("t", 128, (4, 4), "int8", 0), 32, 64)
    assert len(dma_runs(view, home, Interval(0, 64))) == 1


@given(
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 20),
)
def test_source_is_what_the_outputs_look_at(
    size: int, kernel: int, stride: int, dilation: int, pad: int, rows: int
) -> None:
    window = Window((kernel, 1), (stride, 1), (dilation, 1), (pad, 0))
    reach = (kernel - 1) * dilation + 1
    out = (size + 2 * pad - reach) // stride + 1
    if out < 1:
        return
    for patch in patches(full((out, 1)), rows, 1):
        looked = input_tile(window, patch, (size, 1))
        wanted = {
            o * stride - pad + k * dilation
            for o in range(patch.rows.start, patch.rows.end)
            for k in range(kernel)
        }
        inside = {row for row in wanted if 0 <= row < size}
        span = looked.patch.rows
        assert inside <= set(range(span.start, span.end))
        assert looked.top == patch.rows.start * stride - pad - span.start


def test_a_run_has_as_many_blocks_as_an_instruction_counts() -> None:
    channels = 3 * MOST_CHANNELS - BLOCK
    view = ChannelSlice(Value("x", channels, (1, 1), "int8", 0), 0, channels)
    home = Tensor("x", 0, channels, (1, 1))
    runs = dma_runs(view, home, Interval(0, channels))
    assert [run.count * BLOCK for run in runs] == [MOST_CHANNELS] * 2 + [MOST_CHANNELS - BLOCK]
    assert [run.dram for run in runs] == [0, MOST_CHANNELS, 2 * MOST_CHANNELS]
