"""The nested format: every level comes out as it went in, in no more bytes than it says."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.formats import FormatError, nested


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    """values, depth, levels, granule: weights that go singly, by granules or by patterns."""
    granule = draw(st.sampled_from([1, 2, 4, 9, 25, 64]))
    count, levels = draw(st.integers(0, 40)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    there = np.ones((count, granule), np.bool_)
    depth = np.zeros((count, granule), np.uint8)
    for _ in range(levels):
        ways = [
            there,
            there & (rng.random(there.shape) < 0.6),
            there & (rng.random((count, 1)) < 0.6),
            there & (rng.random((2, granule)) < 0.5)[rng.integers(0, 2, count)],
        ]
        there = ways[draw(st.integers(0, 3))]
        depth += there
    dtype = draw(st.sampled_from(["int8", "uint8", "int16", "float32", "float64"]))
    values = rng.integers(-127, 127, depth.size).astype(dtype)
    if dtype == "float32":
        values[rng.random(values.size) < 0.1] = np.float32(-0.0)
        values[rng.random(values.size) < 0.1] = np.float32(np.nan)
    values[depth.reshape(-1) == 0] = 0
    return values, depth.reshape(-1), levels, granule


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_level_comes_back(case: tuple[np.ndarray, np.ndarray, int, int]) -> None:
    values, depth, levels, granule = case
    raw = nested.pack(values, depth, levels, granule)
    assert len(raw) == nested.nbytes(depth, levels, granule, values.itemsize)
    for level in range(levels):
        want = np.where(depth > level, values, values.dtype.type(0))
        got = nested.unpack(raw, level, values.dtype, len(values))
        assert got.dtype == values.dtype
        assert got.tobytes() == want.tobytes()
    with pytest.raises(FormatError, match="levels 0"):
        nested.unpack(raw, levels, values.dtype, len(values))


def test_a_weight_costs_its_value_and_a_bit_for_each_level_that_had_it() -> None:
    depth = np.repeat(np.array([0, 1, 2, 3], np.uint8), 800)
    values = np.where(depth > 0, 1, 0).astype(np.int8)
    # 12 of header, a byte for each level, values, then bits for 3200, 2400 and 1600 positions.
    assert len(nested.pack(values, depth, 3)) == 12 + 3 + 2400 + (3200 + 2400 + 1600) // 8


def test_what_all_levels_have_costs_nothing_more() -> None:
    values = np.ones(1000, np.float32)
    assert len(nested.pack(values, np.full(1000, 4, np.uint8), 4)) == 12 + 4 + 4000


def test_patterns_cost_their_number_and_whole_kernels_a_bit() -> None:
    rng = np.random.default_rng(0)
    patterns = np.zeros((4, 9), np.uint8)
    for row in patterns:
        row[rng.choice(9, 4, replace=False)] = 1
    depth = patterns[rng.permutation(np.repeat(np.arange(4), 200))]
    depth[rng.permutation(800)[:400]] *= 2
    values = (depth.reshape(-1) > 0).astype(np.int8)
    kernels = 800
    level0 = 1 + 4 + kernels // 8 + 4 * 2 + 2 * kernels // 8
    level1 = 1 + 4 + kernels // 8 + 1 * 2
    assert len(nested.pack(values, depth.reshape(-1), 2, 9)) == 12 + level0 + level1 + 4 * kernels


@pytest.mark.parametrize(
    ("values", "depth", "levels", "granule", "sentence"),
    [
        (np.ones(4, np.int8), np.zeros(4, np.uint8), 1, 1, "not 0"),
        (np.ones(4, np.int8), np.full(4, 3, np.uint8), 2, 1, "up to 2"),
        (np.ones(4, np.int8), np.ones(4, np.int64), 1, 1, "uint8"),
        (np.ones(4, np.int8), np.ones(4, np.uint8), 1, 3, "granules of 3"),
        (np.ones(4, np.int8), np.ones(4, np.uint8), 256, 1, "256 levels"),
        (np.ones((2, 2), np.int8), np.ones(4, np.uint8), 1, 1, "a row of numbers"),
    ],
)
def test_what_cannot_be_packed(
    values: Any, depth: Any, levels: int, granule: int, sentence: str
) -> None:
    with pytest.raises(FormatError, match=sentence):
        nested.pack(values, depth, levels, granule)


@settings(max_examples=200, deadline=None)
@given(cases(), st.data())
def test_altered_bytes_are_refused_or_are_some_weights(
    case: tuple[np.ndarray, np.ndarray, int, int], data: st.DataObject
) -> None:
    values, depth, levels, granule = case
    raw = bytearray(nested.pack(values, depth, levels, granule).tobytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        change = data.draw(st.integers(0, 2))
        if change == 0:
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == 1:
            del raw[at:]
        else:
            raw[at:at] = b"\x07\x00\xff"
        if not raw:
            break
    with suppress(FormatError):
        got = nested.unpack(np.frombuffer(bytes(raw), np.uint8), 0, values.dtype, len(values))
        assert got.shape == values.shape


def test_memory_is_that_of_what_is_expected() -> None:
    raw = nested.pack(np.zeros(0, np.int8), np.zeros(0, np.uint8), 1).copy()
    raw[4:12] = np.frombuffer((1 << 60).to_bytes(8, "little"), np.uint8)
    with pytest.raises(FormatError, match="not 8 of 1"):
        nested.unpack(raw, 0, np.int8, 8)
