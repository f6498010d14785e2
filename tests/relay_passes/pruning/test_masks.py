"""Schemes of masks: what stays is of the scheme's structure, and of that the best there is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroskip.accel_model.formats import to_reduction_order
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer
from zeroskip.relay_passes.pruning.base.masks import Mask, MaskOptions, magnitude, most
from zeroskip.relay_passes.pruning.schemes.blocks import (
    BlockOptions,
    KernelGroupOptions,
    ShapeOptions,
)
from zeroskip.relay_passes.pruning.schemes.n_of_m import (
    GroupOptions,
    NmOptions,
    most_of_each,
    reduction_order,
)
from zeroskip.relay_passes.pruning.schemes.pattern import PatternOptions
from zeroskip.relay_passes.pruning.schemes.pattern_library import PatternLibrary
from zeroskip.relay_passes.pruning.schemes.unstructured import UnstructuredOptions, erk_counts

Weight = np.ndarray
T = TypeVar("T", bound=np.generic)


def layer_of(weight: Weight, groups: int = 1) -> PrunableLayer:
    return PrunableLayer("v", "node", weight, groups, False)


def keep(options: MaskOptions, *layers: PrunableLayer) -> list[Mask]:
    return options.keep(layers, [magnitude(layer.weight) for layer in layers])


def by_group(values: npt.NDArray[T], groups: int) -> npt.NDArray[T]:
    """[groups, K / groups, C / groups, taps]."""
    return values.reshape(groups, -1, values.shape[1], int(np.prod(values.shape[2:])))


def unsettled(library: npt.ArrayLike) -> PatternLibrary:
    """A library as options take it, too: their field is of the type that they settle it to."""
    return cast(PatternLibrary, library)


@st.composite
def weights(draw: st.DrawFn, ranks: tuple[int, ...] = (0, 1, 2, 3)) -> PrunableLayer:
    """A layer of any rank, grouped or not; few different values, so that some are equal."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    rank = draw(st.sampled_from(ranks))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    shape = (groups * draw(st.integers(1, 9)), draw(st.integers(1, 21)), *kernel)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    if draw(st.booleans()):
        return layer_of(rng.standard_normal(shape).astype(np.float32), groups if rank else 1)
    return layer_of(rng.integers(-3, 4, shape).astype(np.float32), groups if rank else 1)


RATIOS = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99])


# ------------------------------------------------------------------------- optimal, by brute force


def exactly(kept: int) -> Callable[[Mask], bool]:
    return lambda mask: int(mask.sum()) == kept


def whole_atoms(atoms: Callable[[Mask], list[Mask]], kept: int) -> Callable[[Mask], bool]:
    def legal(mask: Mask) -> bool:
        parts = atoms(mask)
        return (
            all(part.all() or not part.any() for part in parts)
            and sum(bool(part.any()) for part in parts) == kept
        )

    return legal


def counted(rows: Callable[[Mask], Mask], *counts: tuple[slice, int]) -> Callable[[Mask], bool]:
    return lambda mask: all(
        (rows(mask)[:, part].sum(axis=1) == count).all() for part, count in counts
    )


def patterned(kernels: int) -> Callable[[Mask], bool]:
    library = {(1, 1, 0), (0, 1, 1), (0, 0, 0)}
    return lambda mask: (
        all(tuple(kernel) in library for row in mask.tolist() for kernel in row)
        and all(sum(map(any, row)) == kernels for row in mask.tolist())
    )


OWN = np.array([[1, 1, 0], [0, 1, 1]])

BEST: dict[str, tuple[MaskOptions, tuple[int, ...], Callable[[Mask], bool]]] = {
    "unstructured": (UnstructuredOptions(sparsity=0.4), (2, 3, 2), exactly(8)),
    "shape": (
        ShapeOptions(ratio=0.5),
        (3, 2, 2),
        whole_atoms(lambda m: [m[:, c, t] for c in range(2) for t in range(2)], 2),
    ),
    "block": (
        BlockOptions(ratio=0.5, block=(2, 2)),
        (3, 3),
        whole_atoms(lambda m: [m[:2, :2], m[2:, :2], m[:2, 2:], m[2:, 2:]], 2),
    ),
    "kgs": (
        KernelGroupOptions(ratio=0.34, group=(2, 1)),
        (3, 2, 2),
        whole_atoms(
            lambda m: [
                part[:, c, t] for part in (m[:2], m[2:]) for c in range(2) for t in range(2)
            ],
            6,
        ),
    ),
    "vanilla": (
        KernelGroupOptions(ratio=0.5, group=(2, 1), form="vanilla"),
        (3, 2, 2),
        whole_atoms(lambda m: [m[:2, 0], m[:2, 1], m[2:, 0], m[2:, 1]], 2),
    ),
    "nm": (
        NmOptions(n=1, m=2),
        (2, 3, 2),
        counted(lambda m: m.transpose(0, 2, 1).reshape(-1, 3), (slice(0, 2), 1), (slice(2, 3), 1)),
    ),
    "group": (
        GroupOptions(q=2, g=4),
        (2, 3, 2),
        counted(lambda m: m.transpose(0, 2, 1).reshape(-1, 6), (slice(0, 4), 2), (slice(4, 6), 1)),
    ),
    "pattern": (PatternOptions(library=unsettled(OWN), connectivity=0.5), (2, 2, 3), patterned(1)),
}


@pytest.mark.parametrize("name", BEST)
@given(seed=st.integers(0, 1 << 16), few=st.booleans())
@settings(max_examples=8)
def test_no_other_set_of_the_structure_is_worth_more(name: str, seed: int, few: bool) -> None:
    options, shape, legal = BEST[name]
    rng = np.random.default_rng(seed)
    weight = rng.integers(-2, 3, shape).astype(float) if few else rng.standard_normal(shape)
    [mask] = keep(options, layer_of(weight))
    assert legal(mask)
    every = (
        np.array(bits, np.bool_).reshape(shape) for bits in product((0, 1), repeat=weight.size)
    )
    best = max(np.square(weight)[other].sum() for other in every if legal(other))
    assert np.square(weight)[mask].sum() == pytest.approx(best, rel=1e-12)


# ------------------------------------------------------------------------------ exact invariants


@given(weights(), RATIOS)
def test_unstructured_counts_and_threshold(layer: PrunableLayer, ratio: float) -> None:
    [mask] = keep(UnstructuredOptions(sparsity=ratio), layer)
    assert mask.sum() == mask.size - int(ratio * mask.size)
    scores = magnitude(layer.weight)
    assert scores[mask].min() >= scores[~mask].max(initial=0)


@given(st.lists(weights(), min_size=1, max_size=5), RATIOS)
def test_unstructured_in_all_layers_together(layers: list[PrunableLayer], ratio: float) -> None:
    masks = keep(UnstructuredOptions(sparsity=ratio, scope="global"), *layers)
    size = sum(mask.size for mask in masks)
    assert sum(mask.sum() for mask in masks) == size - int(ratio * size)
    scores = [magnitude(layer.weight) for layer in layers]
    kept, gone = (
        np.concatenate([score[mask == side] for score, mask in zip(scores, masks, strict=True)])
        for side in (True, False)
    )
    assert kept.min() >= gone.max(initial=0)


@given(st.lists(weights(), min_size=1, max_size=6), RATIOS)
def test_erk_follows_its_rule_and_keeps_the_total(
    layers: list[PrunableLayer], ratio: float
) -> None:
    masks = keep(UnstructuredOptions(sparsity=ratio, scope="erk"), *layers)
    counts = [int(mask.sum()) for mask in masks]
    sizes = np.array([mask.size for mask in masks])
    sides = np.array([sum(mask.shape) for mask in masks])
    total = sizes.sum() - int(ratio * sizes.sum())
    assert sum(counts) == total
    low, high = 0.0, float(sizes.max())  # the scale of the rule, by bisection
    for _ in range(200):
        middle = (low + high) / 2
        if np.minimum(sizes, middle * sides).sum() < total:
            low = middle
        else:
            high = middle
    wanted = np.minimum(sizes, high * sides)
    assert (np.abs(counts - wanted) < 1 + 1e-6).all()
    for layer, mask in zip(layers, masks, strict=True):
        scores = magnitude(layer.weight)
        assert scores[mask].min(initial=np.inf) >= scores[~mask].max(initial=0)


def test_erk_of_a_known_network() -> None:
    """Densities by hand: e (K + C + r + s) / (K C r s), e = 110.25; the small layer is dense."""
    shapes = [(16, 3, 3, 3), (64, 64, 3, 3), (10, 64)]
    size = 432 + 36864 + 640
    sparsity = 1 - 15500 / size
    assert erk_counts(shapes, sparsity) == [432, size - int(sparsity * size) - 432 - 640, 640]
    assert erk_counts(shapes, 0.9)[0] == 432
    assert erk_counts([], 0.5) == []


@given(weights(), RATIOS)
def test_shape_is_the_same_in_all_filters_of_a_group(layer: PrunableLayer, ratio: float) -> None:
    [mask] = keep(ShapeOptions(ratio=ratio), layer)
    grouped = by_group(mask, layer.groups)
    assert (grouped == grouped[:, :1]).all()
    positions = grouped[:, 0]
    assert positions.sum() == positions.size - int(ratio * positions.size)
    worth = by_group(magnitude(layer.weight), layer.groups).sum(axis=1)
    assert worth[positions].min() >= worth[~positions].max(initial=0)


@given(
    weights(), RATIOS, st.integers(1, 5), st.integers(1, 7), st.sampled_from(["", "kgs", "vanilla"])
)
def test_blocks_and_kernel_groups_are_whole(
    layer: PrunableLayer, ratio: float, high: int, wide: int, form: str
) -> None:
    options = (
        KernelGroupOptions(ratio=ratio, group=(high, wide), form=form)
        if form
        else BlockOptions(ratio=ratio, block=(high, wide))
    )
    [mask] = keep(options, layer)
    grouped = by_group(mask, layer.groups)
    scores = by_group(magnitude(layer.weight), layer.groups)
    kept: list[float] = []
    gone: list[float] = []
    for group, k, c in product(
        range(layer.groups), range(0, grouped.shape[1], high), range(0, grouped.shape[2], wide)
    ):
        block = np.s_[group, k : k + high, c : c + wide]
        taps = [np.s_[..., t] for t in range(grouped.shape[3])] if form == "kgs" else [np.s_[:]]
        for tap in taps:
            part = grouped[block][tap]
            assert part.all() or not part.any()
            (kept if part.all() else gone).append(scores[block][tap].sum())
    assert len(gone) == int(ratio * (len(kept) + len(gone)))
    assert min(kept) >= max(gone, default=0) * (1 - 1e-12)


@given(weights(), st.integers(1, 4), st.integers(2, 6))
def test_nm_keeps_n_of_every_m_channels(layer: PrunableLayer, n: int, m: int) -> None:
    n = min(n, m)
    options = NmOptions(n=n, m=m)
    if options.refusal(layer):
        assert layer.weight.shape[1] < m
        return
    [mask] = keep(options, layer)
    rows = by_group(mask, 1)[0].swapaxes(1, 2)  # [K, taps, C]
    scores = by_group(magnitude(layer.weight), 1)[0].swapaxes(1, 2)
    channels = rows.shape[2]
    for first in range(0, channels, m):
        group = rows[..., first : first + m]
        width = group.shape[-1]
        assert (group.sum(axis=-1) == (n if width == m else -(-n * width // m))).all()
        part = scores[..., first : first + m]
        assert (np.where(group, part, np.inf).min(-1) >= np.where(group, 0, part).max(-1)).all()


def test_of_equal_weights_always_the_same_ones_stay() -> None:
    """The earlier in a group of n of m, the later among the largest of all."""
    assert most_of_each(np.ones((1, 5)), 2, 4).tolist() == [[True, True, False, False, True]]
    assert most(np.ones(4), 1).tolist() == [False, False, False, True]
    assert most(np.array([1.0, 1, 0, 2]), 2).tolist() == [False, True, False, True]


@given(weights(), st.sampled_from([(1, 8), (4, 8), (4, 16), (3, 5)]))
def test_group_keeps_q_of_every_g_in_reduction_order(
    layer: PrunableLayer, sizes: tuple[int, int]
) -> None:
    q, g = sizes
    [mask] = keep(GroupOptions(q=q, g=g), layer)
    rows = to_reduction_order(mask.reshape(*mask.shape[:2], -1).astype(np.int8))
    for first in range(0, rows.shape[1], g):
        group = rows[:, first : first + g]
        assert (group.sum(axis=1) == -(-q * group.shape[1] // g)).all()


@given(st.integers(1, 70), st.integers(1, 12))
def test_the_order_of_groups_is_the_array_s(channels: int, taps: int) -> None:
    places = np.arange(channels * taps)
    numbered = np.stack([places % 127, places // 127]).astype(np.int8).reshape(2, channels, taps)
    rows = to_reduction_order(numbered)
    assert np.array_equal(rows[0] + 127 * rows[1].astype(int), reduction_order(channels, taps))


def test_groups_of_16_channels_are_n_of_m() -> None:
    layer = layer_of(np.random.default_rng(0).standard_normal((8, 48, 3, 3)))
    for q, g in ((4, 16), (2, 8)):
        [group], [nm] = keep(GroupOptions(q=q, g=g), layer), keep(NmOptions(n=q, m=g), layer)
        assert np.array_equal(group, nm)


@given(weights(ranks=(1, 2, 3)), st.integers(1, 6), st.integers(1, 4), RATIOS)
def test_learned_patterns_of_any_kernel(
    layer: PrunableLayer, patterns: int, entries: int, ratio: float
) -> None:
    taps = int(np.prod(layer.kernel))
    if taps == 1:
        return
    entries = min(entries, taps)
    options = PatternOptions(
        kernel=layer.kernel, patterns=patterns, entries=entries, connectivity=ratio
    )
    assert options.refusal(layer) is None
    [mask] = keep(options, layer)
    kernels = mask.reshape(-1, taps)
    present = kernels[kernels.any(axis=1)]
    assert (present.sum(axis=1) == entries).all()
    assert len(np.unique(present, axis=0)) <= patterns
    if all(size % 2 for size in layer.kernel):
        assert present[:, taps // 2].all()
    channels = mask.shape[1]
    counts = kernels.any(axis=1).reshape(-1, channels).sum(axis=1)
    assert (counts == max(1, round(channels * (1 - ratio)))).all()


@given(weights(ranks=(2,)), st.integers(0, 1 << 16), st.integers(1, 5), RATIOS)
def test_a_library_of_ones_own_is_all_that_is_used(
    layer: PrunableLayer, seed: int, count: int, ratio: float
) -> None:
    taps = int(np.prod(layer.kernel))
    masks = np.random.default_rng(seed).integers(0, 2, (count, taps)).astype(np.bool_)
    masks[:, 0] |= ~masks.any(axis=1)
    library = masks.reshape(count, *layer.kernel)
    [mask] = keep(PatternOptions(library=unsettled(library), connectivity=ratio), layer)
    allowed = {*map(tuple, masks.tolist()), (False,) * taps}
    assert {tuple(kernel) for kernel in mask.reshape(-1, taps).tolist()} <= allowed


# --------------------------------------------------------------------- layers that a scheme is for


@pytest.mark.parametrize(
    "options",
    [
        UnstructuredOptions(),
        ShapeOptions(),
        BlockOptions(),
        KernelGroupOptions(),
        NmOptions(),
        GroupOptions(),
        PatternOptions(),
    ],
)
def test_depthwise_layers_are_no_concern(options: MaskOptions) -> None:
    layer = layer_of(np.ones((8, 1, 3, 3), np.float32), 8)
    assert options.concerns(layer) == "is a depthwise convolution"


def test_refusals_name_the_remedy() -> None:
    thin = layer_of(np.ones((8, 3, 1, 1), np.float32))
    assert NmOptions().refusal(thin) == ("has 3 input channels, fewer than m=4: give a smaller m")
    assert GroupOptions().refusal(thin) is None
    large = layer_of(np.ones((8, 3, 5, 5), np.float32))
    assert "kernel=5x5 to learn patterns of this size" in str(PatternOptions().refusal(large))
    assert PatternOptions(kernel=(5, 5)).refusal(large) is None
    matmul = layer_of(np.ones((8, 16), np.float32))
    assert KernelGroupOptions().concerns(matmul) == "is no convolution"
    assert BlockOptions().concerns(matmul) is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: NmOptions(n=5, m=4), "nm:n=5 must be at most m=4"),
        (lambda: GroupOptions(q=17), "group:q=17 must be at most g=16"),
        (lambda: PatternOptions(entries=10), "entries=10 must be at most 9"),
        (lambda: PatternOptions(kernel=(1, 3)), "entries=4 must be at most 3"),
        (lambda: BlockOptions(block=cast(tuple[int, int], (16,))), "2 sizes such as 16x16"),
        (lambda: BlockOptions(block=(0, 4)), "2 sizes such as 16x16"),
        (lambda: BlockOptions(ratio=True), "must be a number"),
        (lambda: PatternOptions(library=unsettled(np.full((2, 3, 3), 2))), "must be 0 and 1"),
    ],
)
def test_options_that_are_wrong(wrong: Callable[[], object], sentence: str) -> None:
    with pytest.raises(PassError, match=sentence):
        wrong()


def test_options_are_values() -> None:
    array = np.eye(3, dtype=bool)[None]
    library, layers = unsettled(array), cast(tuple[str, ...], ["a", "b"])
    assert PatternOptions(library=library) == PatternOptions(library=unsettled(array.tolist()))
    assert hash(PatternOptions(library=library, layers=layers)) == hash(
        PatternOptions(library=library, layers=("a", "b"))
    )
    assert UnstructuredOptions().with_strength(0.75) == UnstructuredOptions(sparsity=0.75)
    assert NmOptions(n=2, m=4).with_strength(0.75) == NmOptions(n=1, m=4)
    assert GroupOptions(q=2, g=8).with_strength(0.99).q == 1
