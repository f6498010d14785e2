"""Pruned networks whose graph has changed, compiled: every bit agrees with TVM on every target."""

from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.validation import validate


@pytest.mark.parametrize(
    ("target", "recipe"),
    [
        ("dense256", "lowrank:energy=0.8"),
        ("sparse256", "lowrank:energy=0.8,kernel=3x3+channels:ratio=0.3,scope=global"),
        ("pattern256", "lowrank:ratio=0.4,form=spatial,kernel=3x3+filters:ratio=0.3"),
    ],
)
def test_a_network_of_factors_agrees(target: str, recipe: str) -> None:
    network = compile_network(small_net(), target, prune=recipe)
    layers = {layer.node for program in network.programs.values() for layer in program.layers}
    assert {"conv1", "conv1.basis"} <= layers
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    assert validate(network, {"x": x}).exact
