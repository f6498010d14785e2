"""Formats of the arrays of the literature: what is packed comes back, and what is stored."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.formats import (
    FORMATS,
    FormatError,
    Shape,
    from_reduction_order,
    to_reduction_order,
)

Weight = npt.NDArray[np.int8]
NAMES = ["step", "group2", "group4", "group8", "group16", "runs", "csc", "valued"]


@st.composite
def weights(draw: st.DrawFn) -> Weight:
    """int8 [K, C, *kernel] of any density, long empty runs among them."""
    shape = draw(
        st.tuples(st.integers(1, 4), st.sampled_from([1, 3, 15, 16, 17, 40, 300])).flatmap(
            lambda kc: st.sampled_from([(1, 1), (1, 3), (3, 3)]).map(lambda k: (*kc, *k))
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    density = draw(st.sampled_from([0.0, 0.002, 0.02, 0.25, 0.6, 1.0]))
    keep = rng.random(shape) < density
    return np.where(keep, rng.integers(-128, 128, shape), 0).astype(np.int8)


def far_apart(distance: int) -> Weight:
    """Two weights so far from each other in the order of the reduction."""
    weight = np.zeros((1, 300, 1, 1), np.int8)
    weight[0, [5, 5 + distance]] = 7
    return weight


def shape_of(weight: Weight) -> Shape:
    return Shape(weight.shape[1], prod(weight.shape[2:]))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(weight=weights())
def test_what_is_packed_comes_back(name: str, weight: Weight) -> None:
    weights, shape = FORMATS[name], shape_of(weight)
    matrix, order = to_reduction_order(weight), np.arange(len(weight))[::-1]
    raw, lengths = weights.pack(matrix, shape, order)
    unpacked = weights.unpack(raw, len(weight), shape)
    assert np.array_equal(
        from_reduction_order(unpacked.matrix, shape.channels, weight.shape[2:]), weight
    )
    assert unpacked.order.tolist() == order.tolist()
    assert unpacked.nonzeros == np.count_nonzero(weight)
    assert np.array_equal(unpacked.stored, weights.stored_counts(matrix, shape, None))
    stored = weights.stored(matrix, shape, None)
    assert (stored | (matrix == 0)).all()
    assert np.array_equal(stored.sum(axis=1), unpacked.stored.sum(axis=1))
    assert weights.least_bytes(weight, None) <= 4 * lengths.sum()
    assert np.array_equal(weights.stream_words(matrix, shape, None), lengths)


@settings(max_examples=40, deadline=None)
@given(weight=weights())
@example(weight=far_apart(255))
@example(weight=far_apart(256))
@example(weight=far_apart(257))
def test_steps_are_distances_and_placeholders_bridge_long_ones(weight: Weight) -> None:
    shape, matrix = shape_of(weight), to_reduction_order(weight)
    raw, lengths = FORMATS["step"].pack(matrix, shape, np.arange(len(weight)))
    ends = 4 * np.cumsum(lengths)
    for row, end, words in zip(matrix, ends, lengths, strict=True):
        pairs, at = [], -1
        for e in np.flatnonzero(row):
            while e - at > 256:
                pairs += [255, 0]
                at += 256
            pairs += [int(e) - at - 1, int(row[e]) & 255]
            at = int(e)
        pairs += [0] * (len(pairs) % 4)
        assert raw[end - 4 * words + 4 : end].tolist() == pairs


@pytest.mark.parametrize("group", [2, 4, 8, 16])
@settings(max_examples=25, deadline=None)
@given(weight=weights())
def test_every_group_stores_the_same_number(group: int, weight: Weight) -> None:
    shape, weights = shape_of(weight), FORMATS[f"group{group}"]
    stored = weights.stored(to_reduction_order(weight), shape, None)
    there = from_reduction_order(stored.view(np.int8), shape.channels, (shape.taps,))
    flat = weight.reshape(len(weight), shape.channels, shape.taps)
    for kernels, mask in zip(flat, there, strict=True):
        cuts = [
            slice(at, min(at + group, first + 16))
            for first in range(0, shape.channels, 16)
            for at in range(first, min(first + 16, shape.channels), group)
        ]
        most = max(int(np.count_nonzero(kernels[cut], axis=0).max()) for cut in cuts)
        for cut in cuts:
            width = len(kernels[cut])
            assert (np.count_nonzero(mask[cut], axis=0) == min(most, width)).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_streams_are_refused_or_read_within_bounds(name: str, data: st.DataObject) -> None:
    """Whatever the bytes: a FormatError, or a layer that can be packed again."""
    weight, weights = data.draw(weights_strategy), FORMATS[name]
    shape = shape_of(weight)
    raw, _ = weights.pack(to_reduction_order(weight), shape, np.arange(len(weight)))
    raw = raw.copy()
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) - 1, len(raw) // 2, 0]))]
    try:
        unpacked = weights.unpack(raw, len(weight), shape)
    except FormatError:
        return
    again, _ = weights.pack(unpacked.matrix, shape, unpacked.order)
    if name == "step":
        assert np.array_equal(again, raw)
    else:  # zeros that fill a group may stand elsewhere
        assert np.array_equal(weights.unpack(again, len(weight), shape).matrix, unpacked.matrix)


weights_strategy = weights()


@pytest.mark.parametrize(
    ("name", "channels", "body", "sentence"),
    [
        ("step", 16, [20, 1], "names a place that is not there"),
        ("step", 16, [3, 0, 1, 1], "bits set in its padding"),
        ("step", 600, [255, 0, 255, 0], "bits set in its padding"),  # ends with a placeholder
        ("group4", 16, [1, 0b01010101, 0, 0], "ends before its contents do"),
        ("group4", 16, [2, 0x44, 0x14, *[1] * 8], "names a place .* not in order"),
        ("group16", 3, [1, 0x03, 5], "names a place that is not there"),
        ("group16", 3, [1, 0x12, 5], "bits set in its padding"),
        ("group16", 16, [0, 1], "bits set in its padding"),
        ("group16", 16, [1, 0, 0], "longer than its contents"),  # no group has a weight
    ],
)
def test_each_fault_has_its_sentence(
    name: str, channels: int, body: list[int], sentence: str
) -> None:
    body = body + [0] * (-len(body) % 4)
    raw = np.array([0, 0, 1 + len(body) // 4, 0, *body], np.uint8)
    with pytest.raises(FormatError, match=f"{name} weight stream 0 .*{sentence}"):
        FORMATS[name].unpack(raw, 1, Shape(channels, 1))
