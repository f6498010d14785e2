"""The first blocks of networks with squeeze and excite: one region, every layer TVM's bits."""

from __future__ import annotations

import numpy as np
import pytest

from models.zoo import MODELS
from zeroskip import compiler
from zeroskip.runtime.execution.validation import validate

SIDE = 24


@pytest.mark.parametrize(
    ("name", "blocks", "target"),
    [("efficientnet_b0", 1, "sparse256"), ("mobilenet_v3", 4, "systolic256")],
)
def test_activations_and_gates_stay_on_the_accelerator(name: str, blocks: int, target: str) -> None:
    """SiLU, hard-swish, sigmoid and hard-sigmoid join the layers before them; nothing is left."""
    model = MODELS[name](image=SIDE, classes=10, blocks=blocks)
    images = np.random.default_rng(0).standard_normal((3, 3, SIDE, SIDE)).astype(np.float32)
    network = compiler.compile(model, target, calibrate={"image": images})
    assert network.cpu == {}
    (program,) = network.programs.values()
    kinds = {layer.kind for layer in program.layers}
    assert {"conv+lookup", "multiply"} <= kinds
    assert "lookup" not in kinds  # none is a pass of its own
    found = validate(network, {"image": images[:1]})
    assert found.exact, found.text()
    assert found.layers == found.of_layers
    assert found.snr_db["logits"] > 20
