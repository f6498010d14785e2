"""Recipes as text, as TOML and as values mean the same; what is wrong is said with its place."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay_passes.float_nets import RelaxNet
from tests.relay_passes.pruning.test_masks import unsettled
from zeroskip.relay_passes.attrs import PRUNED_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.docs import manual
from zeroskip.relay_passes.pruning.schemes.blocks import BlockOptions
from zeroskip.relay_passes.pruning.schemes.channels import ChannelOptions
from zeroskip.relay_passes.pruning.schemes.n_of_m import NmOptions
from zeroskip.relay_passes.pruning.schemes.pattern import PatternOptions
from zeroskip.relay_passes.pruning.schemes.pattern_library import PatternLibrary
from zeroskip.relay_passes.pruning.schemes.recipe import SCHEMES, parse_recipe, read_recipe

MIXED = """
[[prune]]
scheme = "channels"
ratio = 0.25
layers = ["first*", "second"]

[[prune]]  # what the others left
scheme = "pattern"
connectivity = 0.5
kernel = "3x3"
skip_first = false

[[prune]]
scheme = "nm"
n = 1
kernel = [1, 1]
"""
VALUES = (
    ChannelOptions(0.25, layers=("first*", "second")),
    PatternOptions(connectivity=0.5, kernel=(3, 3), skip_first=False),
    NmOptions(n=1, kernel=(1, 1)),
)


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_text_toml_and_values_are_one(tmp_path: Path) -> None:
    path = written(tmp_path, MIXED)
    text = (
        "channels:ratio=0.25,layers=first*|second + pattern:connectivity=0.5,kernel=3x3,"
        "skip_first=no + nm:n=1,kernel=1x1"
    )
    assert read_recipe(text) == read_recipe(path) == read_recipe(str(path)) == VALUES
    assert read_recipe(VALUES) == VALUES
    assert [type(each) for each in parse_recipe(VALUES)] == [
        SCHEMES[each.scheme][1] for each in VALUES
    ]
    assert tuple(each.options for each in parse_recipe(path)) == VALUES


def test_a_library_is_found_beside_the_recipe_or_written_in_it(tmp_path: Path) -> None:
    values = [[[1, 0, 1]], [[0, 1, 1]]]
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own.toml").write_text(f"patterns = {values}")
    beside = written(tmp_path, '[[prune]]\nscheme = "pattern"\nlibrary = "lib/own.toml"')
    wanted = (PatternOptions(library=unsettled(np.array(values))),)
    assert read_recipe(beside) == wanted
    assert read_recipe(f"pattern:library={tmp_path}/lib/own.toml") == wanted
    assert (
        read_recipe(written(tmp_path, f'[[prune]]\nscheme = "pattern"\nlibrary = {values}'))
        == wanted
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '[[prune]]\nscheme = "pattern"\n\n[[prune]]\nscheme = "patern"',
            r"recipe.toml', table 2, line 4: .*did you mean 'pattern'",
        ),
        (
            '[[prune]]\nscheme = "pattern"\nconectivity = 0.5',
            r"table 1, line 1: 'conectivity' is not an option .* did you mean 'connectivity'",
        ),
        ('[[prune]]\nscheme = "pattern"\nconnectivity = 2', r"table 1, line 1: .*below 1"),
        ('[[prune]]\nscheme = "pattern"\nconnectivity = false', r"at least 0 and below 1"),
        ('[[prune]]\nscheme = "pattern"\nconnectivity = "much"', r"at least 0 and below 1"),
        ('[[prune]]\nscheme = "nm"\nn = 5', r"table 1, line 1: .*nm:n=5 must be at most m=4"),
        ('[[prune]]\nscheme = "nm"\nn = 1.5', r"whole number from 1 to 64"),
        (
            '[[prune]]\nscheme = "nm"\nn = 0x' + "f" * 9999,
            r"nm:n=0xf+\.\.\. must be a whole number",
        ),
        ('[[prune]]\nscheme = "block"\nratio = 0x' + "f" * 9999, r"at least 0 and below 1"),
        ('[[prune]]\nscheme = "' + "n" * 9999 + '"', r"'n+\.\.\.' is not known"),
        ('[[prune]]\nscheme = "nm"\nlayers = []', r"each not empty"),
        ('[[prune]]\nscheme = "block"\nblock = [16]', r"2 sizes such as 16x16"),
        ('[[prune]]\nscheme = "pattern"\nlibrary = "none.toml"', r"none.toml' cannot be read"),
        ("[[prune]]\nratio = 0.5", r"table 1, line 1: a scheme is missing"),
        ("prune = [{ratio = 0.5}]", r"table 1: a scheme is missing"),
        ("prune = [1]", r"must hold tables \[\[prune\]\]"),
        ('[prune]\nscheme = "nm"', r"must hold tables \[\[prune\]\]"),
        ('[[prune]]\nscheme = "nm"\n[other]', r"and nothing else"),
        ("", r"must hold tables"),
        ("[[prune]\n", r"is not TOML: .*line 1"),
    ],
)
def test_files_that_are_wrong(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PassError, match=sentence):
        read_recipe(written(tmp_path, text))


def test_recipes_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PassError, match="cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PassError, match="is not TOML"):
        read_recipe(tmp_path / "bytes.toml")
    with pytest.raises(PassError, match="not of str"):
        read_recipe(cast(list[Options], ["pattern"]))


@given(
    st.one_of(
        st.text(),
        st.text("paternchls:=,+.05|*", max_size=40),
        st.builds(
            "{}:{}={}".format,
            st.sampled_from(sorted(SCHEMES)),
            st.sampled_from(
                ["n", "m", "kernel", "layers", "library", "ratio", "sparsity", "block", "skip"]
            ),
            st.text(max_size=12),
        ),
    )
)
@settings(max_examples=300)
def test_any_text_is_a_recipe_or_refused(text: str) -> None:
    if not text.endswith(".toml"):
        _read_or_refuse(text)


@given(
    st.integers(0, len(MIXED)),
    st.integers(0, 9),
    st.text('[]{}"=.,#\n prunescheml0159x-+_' + chr(0) + chr(0x2028), max_size=12),
)
@settings(max_examples=300)
def test_any_file_is_a_recipe_or_refused(at: int, gone: int, text: str) -> None:
    with TemporaryDirectory() as folder:
        _read_or_refuse(written(Path(folder), MIXED[:at] + text + MIXED[at + gone :]))


def _read_or_refuse(recipe: str | Path) -> None:
    try:
        read = read_recipe(recipe)
    except PassError as refusal:
        said = str(refusal)
    else:
        assert read
        assert read_recipe(read) == read
        return
    assert 20 < len(said) < 600, "a sentence"


def net() -> tvm.IRModule:
    made = RelaxNet(1, 3, 8, 8)
    x = made.relu("r0", made.conv("first", made.x, 16))
    x = made.relu("r1", made.conv("second", x, 16))
    x = made.relu("r2", made.conv("point", x, 24, kernel=1))
    x = made.op("gap", tvm.relax.op.mean(x, axis=[2, 3], keepdims=True))
    return made.finish(made.dense("fc", made.op("flat", tvm.relax.op.reshape(x, (1, 24))), 5))


def apply(recipe: tuple[Options, ...]) -> tvm.relax.Function:
    return tvm.transform.Sequential(parse_recipe(recipe))(net())["main"]


def test_schemes_mix_and_later_ones_see_what_earlier_ones_left() -> None:
    func = apply(
        (
            ChannelOptions(0.25, layers=("/first", "/second")),
            PatternOptions(connectivity=0.5, kernel=(3, 3)),
            NmOptions(n=1, kernel=(1, 1)),
            BlockOptions(block=(5, 8), layers="/fc"),
        )
    )
    layers = {layer.node: layer.weight for layer in prunable_layers(func)}
    assert layers["/first"].shape == (12, 3, 3, 3)
    assert layers["/first"].all(), "the first layer has no patterns"
    assert layers["/second"].shape == (12, 12, 3, 3)
    assert (np.count_nonzero(layers["/second"], axis=(1, 2, 3)) == 6 * 4).all()
    assert (np.count_nonzero(layers["/point"].reshape(24, 3, 4), axis=2) == 1).all()
    assert np.count_nonzero(layers["/fc"]) == 5 * 24 - 5 * 8
    assert dict(func.attrs[PRUNED_ATTR])["/second"] == (
        "channels: 12 of 16 left; 8 patterns, connectivity 0.5: 288 of 1296 weights left"
    )


def test_every_glob_must_fit_a_layer() -> None:
    with pytest.raises(PassError, match=r"layers=/secnd .*'/second'"):
        apply((BlockOptions(layers=("/fc", "/secnd")),))
    func = apply((BlockOptions(block=(1, 1), layers=("/f*", "/point"), skip_first=False),))
    assert {layer.node for layer in prunable_layers(func) if not layer.weight.all()} == {
        "/first",
        "/fc",
        "/point",
    }


def test_the_page_in_the_repository_is_current() -> None:
    page = (Path(__file__).parents[3] / "docs" / "PRUNING.md").read_text(encoding="utf-8")
    assert manual(page) == page, "write it again: make docs"
    for options, make in SCHEMES.values():
        assert f"### {options.scheme}" in page
        assert f"`{make.__name__}`" in page
        assert options.paper
    with pytest.raises(ValueError, match="lacks the marks"):
        manual("a page")


def test_every_toml_of_the_page_is_a_recipe_or_a_library(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "PRUNING.md").read_text(encoding="utf-8")
    recipe, library = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert [each.scheme for each in read_recipe(written(tmp_path, recipe))] == [
        "channels",
        "pattern",
        "nm",
    ]
    assert PatternLibrary.read(written(tmp_path, library)).kernel == (3, 3)
    for text in re.findall(r"^    ((?:pattern|channels):\S+)$", page, re.MULTILINE):
        assert read_recipe(text)
