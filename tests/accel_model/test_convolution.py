"""The sums of convolutions against integers, where float32 is close to not being enough."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accel_model import equations as eq
from zeroskip.accel_model.arrays.base import FilterSet
from zeroskip.accel_model.formats import DENSE, Shape, to_reduction_order
from zeroskip.accel_model.functional.convolution import EXACT, Convolver, exact_pieces
from zeroskip.accel_model.memory.faults import InstructionFault
from zeroskip.accel_model.memory.operand_window import OperandWindow

Array = np.ndarray


def filters_of(weight: Array, order: Array) -> FilterSet:
    """Weights int8 [F, C, rows, cols]; stream n holds channel order[n]."""
    matrix = to_reduction_order(weight[order])
    shape = Shape(weight.shape[1], weight.shape[2] * weight.shape[3])
    counts = np.zeros((len(matrix), 1), np.int32)
    return FilterSet(lambda: matrix, shape, order.astype(np.int32), counts, 0, DENSE)


def sums_of(image: Array, zero_point: int, weight: Array, taps: eq.Taps, order: Array) -> Array:
    """int64 [F, rows, cols] of an image uint8 [C, height, width], which lies in ACT from row 0."""
    channels, height, width = image.shape
    blocks = -(-channels // 16)
    act = np.zeros((blocks, height * width, 16), np.uint8)
    for channel in range(channels):
        act[channel // 16, :, channel % 16] = image[channel].reshape(-1)
    window = OperandWindow(
        0,
        width,
        height * width,
        height,
        width,
        taps.top,
        taps.left,
        0,
        zero_point,
        *taps.kernel,
        *taps.stride,
        *taps.dilation,
        *taps.out,
    )
    found = Convolver().sums(act.reshape(1, -1, 16), window, channels, filters_of(weight, order))
    sums: eq.Array = found[0].swapaxes(1, 2).reshape(-1, *taps.out)
    return sums[: len(weight)].astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 70),
    st.integers(1, 9),
)
def test_sums(
    seed: int, kernel: int, stride: int, dilation: int, channels: int, filters: int
) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 12, 2))
    out = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    top, left = (int(n) for n in rng.integers(-4, 3, 2))
    taps = eq.Taps((kernel, kernel), (stride, stride), (dilation, dilation), top, left, out)
    image = rng.integers(0, 256, (channels, height, width)).astype(np.uint8)
    weight = rng.integers(-128, 128, (filters, channels, kernel, kernel)).astype(np.int8)
    zero_point = int(rng.integers(0, 256))
    found = sums_of(image, zero_point, weight, taps, rng.permutation(filters))
    assert np.array_equal(found, eq.conv(image.astype(np.int64) - zero_point, weight, taps))


@pytest.mark.parametrize("channels", [514, 515, 516, 2048, 60000])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_extremes_are_exact(channels: int, side: int) -> None:
    """The largest products there are, and one that is odd: sums beyond 2**24 are not rounded."""
    taps = eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (side, side))
    weight = np.full((5, channels, 1, 1), -128, np.int8)
    weight[1:, 0], weight[2, 1:], weight[3, channels // 2 :] = 127, 127, 0
    image = np.full((channels, side, side), 255, np.uint8)
    found = sums_of(image, 0, weight, taps, np.arange(5))
    assert np.array_equal(found, eq.conv(image.astype(np.int64), weight, taps))
    assert channels < 515 or abs(found).max() > EXACT


@given(st.integers(0, 2**32), st.integers(1, 4000), st.integers(0, 255), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_piece_can_leave_float32(seed: int, terms: int, zero_point: int, heavy: bool) -> None:
    rng = np.random.default_rng(seed)
    weights = (
        rng.choice([-128, 127], (3, terms)) if heavy else rng.integers(-9, 10, (3, terms))
    ).astype(np.int8)
    low, high = -zero_point, 255 - zero_point
    edges = exact_pieces(weights, low, high).tolist()
    assert (edges[0], edges[-1]) == (0, terms)
    for first, end in pairwise(edges):
        piece = weights[:, first:end].astype(np.int64)
        assert first < end
        for worst in (np.where(piece > 0, high, low), np.where(piece > 0, low, high)):
            assert abs((piece * worst).sum(axis=1)).max() <= EXACT


def test_light_filters_are_one_piece() -> None:
    assert exact_pieces(np.full((4, 30000), 2, np.int8), 0, 255).tolist() == [0, 30000]


def test_a_sum_that_may_not_fit_is_refused() -> None:
    taps = eq.Taps((1, 1), (1, 1), (1, 1), 0, 0, (1, 1))
    weight, image = np.full((1, 66000, 1, 1), 128, np.uint8).view(np.int8), np.zeros((66000, 1, 1))
    with pytest.raises(InstructionFault, match="may not fit in int32"):
        sums_of(image.astype(np.uint8), 0, weight, taps, np.arange(1))
