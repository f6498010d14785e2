"""Whole 224x224 networks on every target, bit by bit (``make test-networks``)."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.zoo import MODELS, prune_unstructured
from zeroskip.accel_model.spec import targets
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

ARRAYS = ("systolic256", "diannao256", "kang256", "nm256", "cambriconx256")
IMAGE = {"image": np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)}


@pytest.mark.slow
@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256"])
@pytest.mark.parametrize(
    "name", ["resnet50", "vgg16", "mobilenet_v2", "mobilenet_v3", "efficientnet_b0"]
)
def test_bit_exact(name: str, target: str) -> None:
    model = MODELS[name]()
    if target != "dense256":
        model = prune_unstructured(model, 0.5)
    network = compile_network(model, target)
    assert network.cpu == {}
    assert len(network.programs) == 1
    found = validate(network, IMAGE)
    assert found.exact, found.text()
    assert found.layers > 20
    assert found.snr_db["logits"] > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        *(("mobilenet_v2", target) for target in ARRAYS),
        ("resnet50", "cambriconx256"),
        ("resnet50", "kang256"),
    ],
)
def test_bit_exact_on_arrays_of_the_literature(name: str, target: str) -> None:
    network = compile_network(prune_unstructured(MODELS[name](), 0.5), target)
    assert network.cpu == {}
    found = validate(network, IMAGE)
    assert found.exact, found.text()


# Sides of the image; the arithmetic does not depend on them.
MULTISCALE = {"shufflenet_v2": 224, "yolov5": 160, "unet": 64, "yolox_nano": 64}
ON_CPU = {"yolox_nano": {"heads", "last"}}  # anchors of all levels in one list
LEAST_DB = {"yolox_nano": 10}  # of random weights in some 90 layers; the others 15


@pytest.mark.slow
@pytest.mark.parametrize("target", ["dense256", "sparse256", "pattern256", *ARRAYS, "scnn256"])
@pytest.mark.parametrize("name", MULTISCALE)
def test_what_splits_and_joins_is_one_region_and_exact(name: str, target: str) -> None:
    side = MULTISCALE[name]
    model = MODELS[name](image=side)
    if target != "dense256":
        model = prune_unstructured(model, 0.5)
    network = compile_network(model, target)
    assert network.cpu.keys() == ON_CPU.get(name, set())
    assert network.placement.regions == 1
    found = validate(network, {"image": IMAGE["image"][:, :, :side, :side]})
    assert found.exact, found.text()
    assert min(found.snr_db.values()) > LEAST_DB.get(name, 15)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("name", ["mobilenet_v3", "efficientnet_b0"])
def test_gated_networks_are_one_region_on_every_target(name: str, target: str) -> None:
    """At 64 x 64: every block, all of its layers."""
    image = {"image": np.random.default_rng(2).standard_normal((1, 3, 64, 64)).astype(np.float32)}
    network = compile_network(MODELS[name](image=64), target)
    assert network.cpu == {}
    assert len(network.programs) == 1
    found = validate(network, image)
    assert found.exact, found.text()


@pytest.mark.slow
def test_resnet50_within_its_time() -> None:
    """The promise of the first release: compile and run in a minute each."""
    started = time.perf_counter()
    network = compile_network(MODELS["resnet50"](), "sparse256")
    compiled = time.perf_counter()
    Session(network).run(IMAGE)
    print(f"compile {compiled - started:.1f} s, run {time.perf_counter() - compiled:.1f} s")
    assert compiled - started < 60
    assert time.perf_counter() - compiled < 60
