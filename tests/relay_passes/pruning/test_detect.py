"""What a mask is made of is found again; zeros that fall anywhere are called nothing special."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay_passes.pruning.test_masks import keep, layer_of
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.pruning.base.masks import Mask, MaskOptions
from zeroskip.relay_passes.pruning.detect import Structure, detect, structure_of
from zeroskip.relay_passes.pruning.schemes.recipe import read_recipe
from zeroskip.relay_passes.relax.fold import FoldBatchNorm

MODELS = Path(__file__).parents[3] / "models"
PLAIN = {"unstructured", "dense", "empty"}


def structure(mask: Mask, groups: int = 1) -> Structure:
    return structure_of(layer_of(mask.astype(np.float32), groups))


def pruned(recipe: str, shape: tuple[int, ...], seed: int, groups: int = 1) -> Mask:
    [options] = read_recipe(recipe)
    assert isinstance(options, MaskOptions)
    layer = layer_of(np.random.default_rng(seed).standard_normal(shape), groups)
    assert options.refusal(layer) is None
    [mask] = keep(options, layer)
    return mask


# ------------------------------------------------------------------------------ false positives

SHAPES = st.one_of(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 8), st.integers(1, 40), st.just(3), st.just(3), st.just(3)),
)


@given(SHAPES, st.integers(0, 1 << 20), st.floats(0, 1))
@settings(max_examples=150)
def test_zeros_anywhere_are_nothing_special(
    shape: tuple[int, ...], seed: int, density: float
) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    found = structure(mask)
    assert found.kind in PLAIN
    assert found.detail == ""
    assert (found.kind == "empty") == (not mask.any())
    if found.kind != "empty":
        assert (found.kind == "dense") == (mask.mean() >= 0.95)


@given(SHAPES, st.integers(0, 1 << 20), st.integers(0, 100))
@settings(max_examples=150)
def test_a_count_of_zeros_anywhere_is_nothing_special(
    shape: tuple[int, ...], seed: int, per_cent: int
) -> None:
    """As unstructured pruning leaves them: an exact number."""
    order = np.random.default_rng(seed).permutation(np.prod(shape))
    assert structure((order < per_cent / 100 * len(order)).reshape(shape)).kind in PLAIN


@given(
    st.integers(0, 1 << 20),
    st.floats(0.05, 0.9),
    st.sampled_from([(64, 48, 3, 3), (40, 96), (32, 24, 1, 3), (24, 32, 2, 2)]),
)
@settings(max_examples=60)
def test_filters_channels_and_taps_of_unequal_density_are_nothing_special(
    seed: int, density: float, shape: tuple[int, ...]
) -> None:
    """Trained weights are pruned unevenly: some filters, channels and taps lose far more."""
    rng = np.random.default_rng(seed)
    ones = (1,) * (len(shape) - 2)
    scale = (
        rng.lognormal(sigma=1, size=(shape[0], 1, *ones))
        * rng.lognormal(sigma=1, size=(1, shape[1], *ones))
        * rng.lognormal(sigma=0.7, size=(1, 1, *shape[2:]))
    )
    weight = np.abs(rng.standard_normal(shape)) * scale
    assert structure(weight > np.quantile(weight, 1 - density)).kind == "unstructured"


# ------------------------------------------------------------------------------ what is there

FOUND = [
    ("unstructured:sparsity=0.5", (64, 32, 3, 3), "unstructured"),
    ("unstructured:sparsity=0.01", (64, 32, 3, 3), "dense"),
    ("nm", (64, 32, 3, 3), "nm: 2 of every 4 channels"),
    ("nm:n=1", (10, 250), "nm: 1 of every 4 channels"),
    ("nm:n=1,m=2", (16, 18, 1, 1), "nm: 1 of every 2 channels"),
    ("group", (32, 20, 3, 3), "group: 4 of every 16 weights in reduction order"),
    ("group:q=2,g=8", (32, 32, 3, 3), "nm: 2 of every 8 channels"),
    ("shape:ratio=0.25", (64, 16, 3, 3), "shape: 108 of 144 positions"),
    ("block", (64, 64, 3, 3), "block: 8 of 16 blocks of 16x16"),
    ("block:block=8x4,ratio=0.75", (64, 60), "block: 30 of 120 blocks of 8x4"),
    ("kernel_group", (32, 16, 3, 3, 3), "kernel_group: 432 of 864 locations in groups of 4x4"),
    ("kernel_group:form=vanilla", (32, 16, 3, 3, 3), "block: 16 of 32 blocks of 4x4"),
    ("pattern", (32, 16, 3, 3), "pattern: 8 patterns of 4 of 9 taps, 100.0% of the kernels"),
    (
        "pattern:library=pconv,connectivity=0.75",
        (32, 16, 3, 3),
        "pattern: 4 patterns of 4 of 9 taps, 25.0% of the kernels",
    ),
    (
        "pattern:kernel=5x5,entries=9,patterns=3",
        (32, 16, 5, 5),
        "pattern: 3 patterns of 9 of 25 taps, 100.0% of the kernels",
    ),
    ("pattern:connectivity=0.5", (32, 16, 5, 5), "pattern: whole kernels, 50.0% of the kernels"),
]


@pytest.mark.parametrize(("recipe", "shape", "words"), FOUND)
@pytest.mark.parametrize("rounded", [False, True])
def test_every_scheme_is_found_again(
    recipe: str, shape: tuple[int, ...], words: str, rounded: bool
) -> None:
    """Also where one in a hundred of the weights that stayed happens to be zero."""
    for seed in range(3):
        mask = pruned(recipe, shape, seed)
        if rounded:
            mask = mask & (np.random.default_rng(seed).random(shape) >= 0.01)
        found = structure(mask)
        text = str(found)
        assert text == words or text.startswith(f"{words}; ")
        assert found.kept == np.count_nonzero(mask)
        assert found.size == mask.size


def test_whole_filters_and_channels() -> None:
    mask = np.ones((32, 16, 3, 3), bool)
    mask[[1, 5, 9, 10]] = False
    assert str(structure(mask)) == (
        "channels: 28 of 32 filters, 16 of 16 channels; 4 filters of zeros"
    )
    mask[:, [3, 7]] = False
    found = structure(mask)
    assert (found.filters, found.channels) == (4, 2)
    assert found.detail == "28 of 32 filters, 14 of 16 channels"
    assert str(structure(np.zeros((8, 8, 3, 3), bool))).startswith("empty")


@pytest.mark.parametrize("recipe", ["nm", "shape", "kernel_group", "block:block=4x4", "pattern"])
def test_grouped_convolutions(recipe: str) -> None:
    mask = pruned(recipe, (32, 8, 3, 3), 0, groups=4)
    assert structure(mask, 4).kind == recipe.partition(":")[0]


@given(
    st.sampled_from(["nm", "shape", "kernel_group", "block:block=8x8", "pattern:patterns=12"]),
    st.integers(0, 1 << 20),
)
@settings(max_examples=30)
def test_a_structure_pruned_further_is_not_called_by_its_name(recipe: str, seed: int) -> None:
    """Half of what a scheme kept, chosen anywhere: 2 of 4 channels is no longer all that it is, and
    no array gains more from it than from zeros anywhere."""
    mask = pruned(recipe, (48, 32, 3, 3), seed)
    further = mask & (np.random.default_rng(seed).random(mask.shape) < 0.5)
    assert structure(further).kind == "unstructured"


def test_the_committed_networks() -> None:
    def found(name: str) -> list[Structure]:
        module: tvm.IRModule = import_onnx(normalise_onnx(load_onnx(MODELS / name)))
        return detect(FoldBatchNorm()(module))

    assert {each.kind for each in found("fashion_dense.onnx")} == {"dense"}
    layers = found("fashion_pattern.onnx")
    patterned = [each for each in layers if each.kind == "pattern"]
    assert patterned
    assert all(each.density < 0.5 for each in patterned)
    assert found("fashion_pattern.onnx") == layers
