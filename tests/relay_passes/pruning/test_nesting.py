"""Schemes of masks are nested by themselves: what the stronger keeps, the weaker keeps too.

Levels are pruned one from the other, which nests whatever the scheme does. For all schemes but one
it is also what the stronger recipe alone gives.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm

from tests.relay_passes.pruning.test_low_rank import network, weights_of
from zeroskip.relay_passes.pruning.schemes.recipe import parse_recipe


def pruned(module: tvm.IRModule, recipe: str) -> tvm.IRModule:
    return tvm.transform.Sequential(parse_recipe(recipe))(module)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("unstructured:sparsity=0.5", "unstructured:sparsity=0.75"),
        ("unstructured:sparsity=0.5,scope=global", "unstructured:sparsity=0.8,scope=global"),
        ("unstructured:sparsity=0.5,scope=erk", "unstructured:sparsity=0.8,scope=erk"),
        ("pattern:pointwise=0.25", "pattern:connectivity=0.5"),
        ("pattern:connectivity=0.25,balance=layer", "pattern:connectivity=0.5,balance=layer"),
        ("nm:n=4,m=8", "nm:n=1,m=8"),
        ("group:q=8,g=16", "group:q=2,g=16"),
        ("shape:ratio=0.25", "shape:ratio=0.6"),
        ("block:block=4x4,ratio=0.25", "block:block=4x4,ratio=0.6"),
        ("kernel_group:ratio=0.25", "kernel_group:ratio=0.6"),
    ],
)
def test_the_stronger_keeps_some_of_what_the_weaker_keeps(weaker: str, stronger: str) -> None:
    first = pruned(network(), weaker)
    before, after = weights_of(first), weights_of(pruned(first, stronger))
    alone = weights_of(pruned(network(), stronger))
    assert sum(map(np.count_nonzero, after.values())) < sum(map(np.count_nonzero, before.values()))
    for name, weight in after.items():
        assert np.all((weight == 0) | (weight == before[name]))
        assert np.array_equal(weight, alone[name])


def test_norms_relative_to_a_layer_are_other_ones_in_a_pruned_layer() -> None:
    """Patterns with one threshold for the network: nested, but not as the stronger alone."""
    first = pruned(network(), "pattern:connectivity=0.25,balance=global")
    stronger = "pattern:connectivity=0.5,balance=global"
    before, after = weights_of(first), weights_of(pruned(first, stronger))
    alone = weights_of(pruned(network(), stronger))
    assert all(np.all((weight == 0) | (weight == before[name])) for name, weight in after.items())
    assert any(not np.array_equal(weight, alone[name]) for name, weight in after.items())
