"""How tensors lie in DRAM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.program.tensor_layout import Tensor, blocks, from_dram, to_dram


@settings(max_examples=100)
@given(
    channels=st.integers(1, 70),
    spatial=st.lists(st.integers(1, 6), max_size=3),
    dtype=st.sampled_from(["int8", "uint8"]),
    seed=st.integers(0, 2**32),
)
def test_round_trip_and_addresses(channels: int, spatial: list[int], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (2, channels, *spatial), np.uint8).view(dtype)
    tensor = Tensor("x", 1000, channels, tuple(spatial), dtype)
    raw = to_dram(values)
    assert raw.dtype == np.uint8
    assert raw.shape == (2, tensor.nbytes)
    back = from_dram(raw, tensor)
    assert back.dtype == values.dtype
    assert np.array_equal(back, values)
    flat = values.view(np.uint8).reshape(2, channels, -1)
    for _ in range(5):
        c, pixel = int(rng.integers(channels)), int(rng.integers(tensor.pixels))
        address = tensor.block_address(c // 16) + pixel * tensor.block_width(c // 16) + c % 16
        assert np.array_equal(raw[:, address - 1000], flat[:, c, pixel])
    assert sum(tensor.block_width(b) for b in range(blocks(channels))) == channels


def test_three_channels_are_nhwc() -> None:
    image = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(1, 3, 4, 5)
    assert np.array_equal(to_dram(image), np.moveaxis(image, 1, -1).reshape(1, -1))


def test_slices_need_not_be_contiguous() -> None:
    image = np.arange(2 * 20 * 3 * 8, dtype=np.int16).astype(np.uint8).reshape(2, 20, 3, 8)
    part = image[1:, :, :, ::2]
    assert np.array_equal(to_dram(part), to_dram(part.copy()))


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (16, 1), (17, 2), (64, 4)])
def test_blocks(channels: int, expected: int) -> None:
    assert blocks(channels) == expected
