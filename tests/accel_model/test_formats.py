"""Weight formats: what is packed comes back, has the size that the definition says, and a stream
that is not one is refused."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.accel_model.by_name import LANE_KINDS, nbytes_ideal, pack, place, unpack, work_matrix
from tests.accel_model.by_name import stages as format_stages
from zeroskip.accel_model.formats import (
    FormatError,
    PatternTable,
    from_reduction_order,
    make_table,
    to_reduction_order,
)

Weight = npt.NDArray[np.int8]

KERNELS = [(), (1,), (3, 3), (1, 1), (7, 7), (2, 3, 3), (4, 4), (17,), (1, 33)]


@st.composite
def weights(draw: st.DrawFn) -> Weight:
    """Layers of every density, zero by weight and by kernel, with few masks or with many."""
    shape = (
        draw(st.integers(1, 6)),
        draw(st.sampled_from([1, 3, 8, 9, 15, 16, 17, 24, 33, 50])),
        *draw(st.sampled_from(KERNELS)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    keep = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    if draw(st.booleans()):
        masks = rng.random((draw(st.integers(1, 20)), *shape[2:])) < 0.5
        keep = masks[rng.integers(0, len(masks), shape[:2])]
    there = rng.random(shape[:2]) < draw(st.sampled_from([0.3, 1.0]))
    values = np.where(
        keep & there.reshape(*shape[:2], *[1] * (len(shape) - 2)), rng.integers(-128, 128, shape), 0
    )
    return values.astype(np.int8)


def geometry(weight: Weight) -> tuple[int, int]:
    return weight.shape[1], prod(weight.shape[2:])


def packed(kind: str, weight: Weight) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], Any]:
    table = make_table(weight) if kind == "pattern" else None
    order = np.arange(len(weight))[::-1]
    return *pack(kind, to_reduction_order(weight), *geometry(weight), order, table), table


def plain_stages(kind: str, channels: int, taps: int) -> list[tuple[range, range]]:
    """(channels, taps) of each stage, from the definition."""
    step = 16 if kind == "pattern" else 1
    return [
        (range(c, min(c + 16, channels)), range(t, min(t + step, taps)))
        for c in range(0, channels, 16)
        for t in range(0, taps, step)
    ]


def plain_stream(kind: str, flat: Any, channel: int, table: PatternTable | None) -> bytes:
    """The stream of one filter, flat[channel][tap], bit by bit from the definition."""
    stages = plain_stages(kind, len(flat), len(flat[0]))
    flags, numbers, values = b"", [], []
    for channels, taps in stages:
        there = 0
        for c in channels:
            kernel = {t: flat[c][t] for t in taps if flat[c][t]}
            if kind == "dense":
                values += [(t, c, flat[c][t]) for t in taps]
            elif kernel and kind == "bitmap":
                there |= 1 << c - channels[0]
                values += [(t, c, v) for t, v in kernel.items()]
            elif kernel:
                assert table is not None
                there |= 1 << c - channels[0]
                number, mask = covering(table, taps[0] // 16, kernel, taps)
                numbers += [number >> i & 1 for i in range(table.id_bits)]
                values += [(t, c, flat[c][t]) for t in taps if mask >> t - taps[0] & 1]
        flags += there.to_bytes(ceil(len(channels) / 8), "little") if kind != "dense" else b""
    bits = sum(bit << i for i, bit in enumerate(numbers)).to_bytes(ceil(len(numbers) / 8), "little")
    body = flags + bits + bytes(int(v) & 255 for _, _, v in values)
    body += bytes(-len(body) % 4)
    return channel.to_bytes(2, "little") + (1 + len(body) // 4).to_bytes(2, "little") + body


def covering(
    table: PatternTable, slab: int, kernel: dict[int, int], taps: range
) -> tuple[int, int]:
    """Number and mask of the smallest mask over a kernel; of equal ones the last listed."""
    need = sum(1 << t - taps[0] for t in kernel)
    fits = [
        (int(mask).bit_count(), -n, n, int(mask))
        for n, mask in enumerate(table.masks[slab])
        if mask and need & ~int(mask) == 0
    ]
    _, _, number, mask = min(fits)
    return number, mask


@pytest.mark.parametrize("kind", LANE_KINDS)
@settings(max_examples=60)
@given(weight=weights())
def test_streams_are_as_defined_and_come_back(kind: str, weight: Weight) -> None:
    raw, lengths, table = packed(kind, weight)
    channels, taps = geometry(weight)
    flat = weight.reshape(len(weight), channels, taps).tolist()
    expected = [plain_stream(kind, flat[f], len(weight) - 1 - f, table) for f in range(len(weight))]
    assert raw.tobytes() == b"".join(expected)
    assert (4 * lengths).tolist() == [len(one) for one in expected]
    matrix, work, order, nonzeros = unpack(kind, raw, len(weight), channels, taps, table)
    assert np.array_equal(from_reduction_order(matrix, channels, weight.shape[2:]), weight)
    assert order.tolist() == list(range(len(weight)))[::-1]
    assert nonzeros == np.count_nonzero(weight)
    assert np.array_equal(work, work_matrix(kind, matrix, channels, taps, table))


@pytest.mark.parametrize("kind", LANE_KINDS)
@settings(max_examples=40)
@given(weight=weights())
def test_stages_and_work(kind: str, weight: Weight) -> None:
    channels, taps = geometry(weight)
    flat = weight.reshape(len(weight), channels, taps)
    stages, plain = format_stages(kind, channels, taps), plain_stages(kind, channels, taps)
    assert stages.tap_fetches.tolist() == [len(t) for _, t in plain]
    assert stages.window_entries.tolist() == [len(c) * len(t) for c, t in plain]
    table = make_table(weight) if kind == "pattern" else None
    work = work_matrix(kind, to_reduction_order(weight), channels, taps, table)
    least = [
        [np.count_nonzero(one[c.start : c.stop, t.start : t.stop]) for c, t in plain]
        for one in flat
    ]
    if kind == "dense":
        assert work.tolist() == [stages.window_entries.tolist()] * len(weight)
    elif kind == "bitmap":
        assert np.array_equal(work, np.maximum(1, least))
    else:
        assert (work >= np.maximum(1, least)).all()
        assert (work <= stages.window_entries).all()


@pytest.mark.parametrize("kind", LANE_KINDS)
@settings(max_examples=40)
@given(weight=weights())
def test_ideal_size_is_a_lower_bound(kind: str, weight: Weight) -> None:
    raw, _, table = packed(kind, weight)
    ideal = nbytes_ideal(kind, weight, table)
    assert 0 < ideal <= len(raw)
    if kind == "dense":
        assert ideal == weight.size
    if kind == "bitmap":
        assert ideal == np.count_nonzero(weight) + ceil(weight.size / 8)


@settings(max_examples=60)
@given(weight=weights())
def test_table_holds_the_masks_or_covers_them(weight: Weight) -> None:
    table = make_table(weight)
    channels, taps = geometry(weight)
    flat = weight.reshape(len(weight) * channels, taps) != 0
    sizes = []
    for slab in range(table.slabs):
        part = flat[:, 16 * slab : 16 * slab + 16]
        masks = set((part @ (1 << np.arange(part.shape[1]))).tolist()) - {0}
        listed = set(table.masks[slab].tolist()) - {0}
        sizes.append(len(masks))
        if len(masks) <= 16:
            assert listed == masks
        assert all(any(m & ~p == 0 for p in listed) for m in masks)
    if max(sizes) <= 16:
        assert 1 << table.id_bits >= max(sizes) > (1 << table.id_bits) // 2 or max(sizes) <= 1
    again = PatternTable.from_rows(table.to_rows(), table.id_bits)
    assert np.array_equal(again.masks, table.masks)
    assert table.to_rows().shape == (2 * table.slabs, 16)


def test_a_full_layer_costs_the_pattern_format_little() -> None:
    """A layer that was never pruned has a few accidental zeros; covering them must not cost."""
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((64, 64, 3, 3)) < 0.03, 0, rng.integers(1, 128, (64, 64, 3, 3)))
    work = work_matrix(
        "pattern",
        to_reduction_order(weight.astype(np.int8)),
        64,
        9,
        make_table(weight.astype(np.int8)),
    )
    assert np.count_nonzero(weight) <= work.sum() <= 1.02 * np.count_nonzero(weight)


@pytest.mark.parametrize("patterns", [1, 4, 15, 16])
def test_up_to_16_patterns_store_nothing_outside_them(patterns: int) -> None:
    """Weights that were rounded to zero make masks of their own, more than a table holds."""
    rng = np.random.default_rng(patterns)
    library = rng.permuted(np.tile(np.arange(9) < 4, (patterns, 1)), axis=1)
    mask = library[rng.integers(0, patterns, (64, 64))] & (rng.random((64, 64)) < 0.7)[..., None]
    weight = np.where(mask, rng.integers(-60, 61, mask.shape), 0).reshape(64, 64, 3, 3)
    work = work_matrix(
        "pattern",
        to_reduction_order(weight.astype(np.int8)),
        64,
        9,
        make_table(weight.astype(np.int8)),
    )
    assert np.count_nonzero(weight) < mask.sum()
    assert work.sum() <= mask.sum()


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=70),
    gang=st.integers(0, 3),
    slots=st.sampled_from([1, 2, 8, 16]),
)
def test_place_gives_each_group_its_longest_stream(
    lengths: list[int], gang: int, slots: int
) -> None:
    total = place(np.array(lengths, np.int32), slots, gang)
    expected = [
        max(ceil(words / 2**gang) for words in lengths[at : at + slots])
        for at in range(0, len(lengths), slots)
    ]
    assert total == sum(expected)


@pytest.mark.parametrize("kind", LANE_KINDS)
@settings(max_examples=80)
@given(data=st.data())
def test_damaged_streams_are_refused_or_read_within_bounds(kind: str, data: st.DataObject) -> None:
    """Whatever the bytes, unpack ends with a FormatError or with a layer of the right shape."""
    weight = data.draw(weights())
    raw, _, table = packed(kind, weight)
    raw = raw.copy()
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.sampled_from([len(raw), len(raw), len(raw) - 1, len(raw) // 2, 0]))]
    try:
        matrix, work, order, nonzeros = unpack(kind, raw, len(weight), *geometry(weight), table)
    except FormatError:
        return
    assert matrix.shape == (len(weight), prod(geometry(weight)))
    assert nonzeros == np.count_nonzero(matrix)
    assert (work >= 1).all()
    assert (work <= format_stages(kind, *geometry(weight)).window_entries).all()
    assert ((order >= 0) & (order < 1 << 16)).all()


def sparse_layer() -> Weight:
    weight = np.zeros((2, 20, 3, 3), np.int8)
    weight[:, ::2, 0, :] = 5
    weight[:, 1::4, 1, :] = 6
    return weight


@pytest.mark.parametrize(
    ("kind", "byte", "value", "sentence"),
    [
        ("dense", 2, 0, "header asks for more words"),
        ("dense", 2, 255, "header asks for more words"),
        ("bitmap", 4 + 18, 0xFF, "bitmap weight stream 0 has a bit set for a channel"),
        ("bitmap", 4, 0xFF, "bitmap weight stream 0 (ends before|is longer)"),
        ("pattern", 4 + 2, 0xFF, "pattern weight stream 0 has a bit set for a channel"),
    ],
)
def test_each_fault_has_its_sentence(kind: str, byte: int, value: int, sentence: str) -> None:
    raw, _, table = packed(kind, sparse_layer())
    broken = raw.copy()
    broken[byte] = value
    with pytest.raises(FormatError, match=sentence):
        unpack(kind, broken, 2, 20, 9, table)


def test_padding_and_ends_are_checked() -> None:
    raw, lengths, _ = packed("dense", np.ones((2, 3, 1, 1), np.int8))
    broken = raw.copy()
    broken[7] = 1
    with pytest.raises(FormatError, match="dense weight stream 0 has bits set in its padding"):
        unpack("dense", broken, 2, 3, 1)
    with pytest.raises(FormatError, match="behind the last of 2"):
        unpack("dense", np.append(raw, raw[:8]), 2, 3, 1)
    with pytest.raises(FormatError, match="dense weight stream 0 ends before its contents do"):
        unpack("dense", np.array([0, 0, 2, 0, 1, 1, 1, 1], np.uint8), 1, 5, 1)
    with pytest.raises(FormatError, match="dense weight stream 0 is longer than its contents"):
        unpack("dense", np.array([0, 0, 3, 0] + 8 * [0], np.uint8), 1, 3, 1)
    assert lengths.tolist() == [2, 2]


def test_unused_pattern_number_is_refused() -> None:
    weight = np.zeros((1, 3, 3, 3), np.int8)
    weight[0, 0, 0], weight[0, 1, 1], weight[0, 2, 2] = 1, 2, 3
    raw, _, table = packed("pattern", weight)
    assert table.masks.tolist() == [[7, 56, 448, 0]]
    broken = raw.copy()
    broken[5] = 0b111111
    with pytest.raises(FormatError, match="has a pattern number that is not in the table"):
        unpack("pattern", broken, 1, 3, 9, table)
    broken[5] = raw[5] | 0x80
    with pytest.raises(FormatError, match="has bits set in its padding"):
        unpack("pattern", broken, 1, 3, 9, table)


def test_what_a_format_cannot_hold_is_refused() -> None:
    ones = np.ones((1, 300_000), np.int8)
    with pytest.raises(FormatError, match="more than 65535; use fewer channels"):
        pack("dense", ones, 300_000, 1, [0])
    with pytest.raises(FormatError, match=r"output channels in 0\.\.65535"):
        pack("dense", ones[:, :4], 4, 1, [65536])
    with pytest.raises(FormatError, match="a row of 8 int8"):
        pack("dense", ones[:, :4], 8, 1, [0])
    with pytest.raises(FormatError, match="need the layer's pattern table"):
        pack("pattern", ones[:, :4], 4, 1, [0])
    with pytest.raises(FormatError, match="table of 1 slabs is not one for 17 taps"):
        pack("pattern", ones[:, :17], 1, 17, [0], PatternTable(np.ones((1, 1), np.uint16)))
    with pytest.raises(FormatError, match="no mask of the pattern table covers"):
        pack("pattern", ones[:, :9], 1, 9, [0], PatternTable(np.full((1, 1), 7, np.uint16)))
