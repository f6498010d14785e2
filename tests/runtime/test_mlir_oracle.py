"""MLIR's JIT as a reference: layers against the dense oracle, networks against the machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SEED
from models.zoo import MODELS
from tests.campaigns.fuzz_layers import build_graph, input_data
from tests.campaigns.fuzz_random import flat_seeds, random_case
from tests.compiler.mlir_texts import ROOT, mlir_opt
from tests.compiler.oracle import evaluate_layer
from tests.compiler.test_tosa import convolution, graph
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.ir.layer_graph import LayerGraph
from zeroskip.compiler.mlir import tosa
from zeroskip.compiler.mlir.tosa import region_text
from zeroskip.relay_passes.integer.layers import BOUNDS, Layer, MaxPoolLayer, QTensor
from zeroskip.runtime.execution import mlir_oracle
from zeroskip.runtime.execution.mlir_oracle import MlirOracle
from zeroskip.runtime.execution.validation import Validation, validate

pytestmark = pytest.mark.mlir
NETWORKS = sorted((ROOT / "models").glob("*.onnx"))
FASHION = {"calibrate": ROOT / "models" / "fashion_calibration.npz"}


def equal(made: LayerGraph, data: dict[str, Any]) -> None:
    """Every layer on MLIR's JIT is the dense oracle's, from the oracle's inputs."""
    oracle, values = MlirOracle(None), dict(data)
    for node in made.ordered():
        given = [
            np.asarray(values[name]).reshape(x.shape)
            for name, x in zip(node.inputs, node.layer.inputs, strict=True)
        ]
        values[node.output] = evaluate_layer(node.layer, given)
        found = oracle.layer(node.layer, given, node.node)
        assert found.dtype == values[node.output].dtype
        assert np.array_equal(found, values[node.output]), node.node


@pytest.mark.parametrize("case", range(8))
def test_random_layers_are_those_of_the_dense_oracle(case: int) -> None:
    made = random_case(next(flat_seeds(SEED + 1000 * case)))
    drawn = build_graph(made)
    equal(drawn, input_data(made, drawn))


def ends(layer: Layer) -> list[np.ndarray]:
    """Inputs of the extremes of their type and a few zeros."""
    rng = np.random.default_rng(5)
    return [rng.choice([*BOUNDS[x.dtype], 0], x.shape).astype(x.dtype) for x in layer.inputs]


def pool(
    strides: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> MaxPoolLayer:
    """Of 2 x 2 taps, to 3 x 4 pixels."""
    return MaxPoolLayer(
        x=QTensor((1, 2, 7, 6), "uint8", 9),
        y=QTensor((1, 2, 3, 4), "uint8", 9),
        kernel=(2, 2),
        strides=strides,
        padding=padding,
        dilation=dilation,
        lo=20,
        hi=250,
    )


def rare_layers() -> dict[str, Layer]:
    return {
        "a dilated pool": pool((2, 1), (1, 0, 0, 0), (3, 2)),
        "a pool of wide padding": pool((4, 2), (2, 2, 1, 1), (1, 1)),
        "the steepest scale": convolution(
            x=QTensor((1, 1, 4, 4), "int8", 0),
            y=QTensor((1, 1, 4, 4), "int8", 0),
            mult=np.array([(1 << 31) - 1], np.int32),
            shift=np.array([1], np.int32),
        ),
        "a small multiplier": convolution(
            mult=np.array([3], np.int32), shift=np.array([2], np.int32)
        ),
        "sums that would leave int32": convolution(
            bias=np.array([2**31 - 300], np.int32), shift=np.array([20], np.int32)
        ),
        "a window of padding alone": convolution(
            x=QTensor((1, 1, 1, 1), "int8", 7), padding=(1, 1, 0, 0), strides=(2, 2)
        ),
    }


@pytest.mark.parametrize("name", rare_layers())
def test_rare_layers(name: str) -> None:
    layer = rare_layers()[name]
    given = ends(layer)
    assert np.array_equal(MlirOracle(None).layer(layer, given, name), evaluate_layer(layer, given))


def test_the_text_of_a_region_verifies_and_lowers() -> None:
    done = mlir_opt(region_text(graph()), "--inline", "--canonicalize")
    assert done.returncode == 0, done.stderr[:1000]
    assert "func.call" not in done.stdout
    assert mlir_opt(region_text(graph()), f"--pass-pipeline={mlir_oracle.PIPELINE}").returncode == 0


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_committed_networks_agree(path: Path) -> None:
    network = compile_network(path, "pattern256", **FASHION)  # type: ignore[arg-type]
    with np.load(ROOT / "models" / "fashion_test.npz") as images:
        (port,) = network.inputs
        found = validate(network, {port.name: images[port.name][:2]}, oracle="mlir")
    assert found.exact, found.text()
    assert found.layers == found.of_layers > 20
    assert "bit-exact against MLIR's JIT" in found.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_large_networks_agree(name: str) -> None:
    image = np.random.default_rng(1).standard_normal((1, 3, 224, 224)).astype(np.float32)
    found = validate(compile_network(MODELS[name](), "dense256"), {"image": image}, oracle="mlir")
    assert found.exact, found.text()
    assert found.layers == found.of_layers > 30


def found_with(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], *, cpu_node: bool = False
) -> Validation:
    """A validation whose oracle has other texts of the layers."""
    real = tosa.layer_text
    monkeypatch.setattr(mlir_oracle, "layer_text", lambda *given: change(real(*given)))
    network = compile_network(small_net(cpu_node=cpu_node), "dense256")
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    return validate(network, {"x": x}, oracle="mlir")


def test_another_rounding_of_convolutions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOSA's DOUBLE_ROUND differs where a negative sum is just below a half."""
    found = found_with(monkeypatch, lambda text: text.replace("SINGLE_ROUND", "DOUBLE_ROUND"))
    assert not found.exact
    assert "MLIR's JIT has" in str(found.mismatch)


def test_rounding_away_from_even_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addition of the network, with halves rounded up."""

    def upwards(text: str) -> str:
        return re.sub(r"value = 32767 : i64", "value = 49152 : i64", text)

    found = found_with(monkeypatch, upwards)
    assert found.mismatch is not None
    assert found.mismatch.layer == "add"


def test_a_layer_that_mlir_does_not_take_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mlir_oracle.OracleError, match="'conv0': MLIR cannot lower it"):
        found_with(monkeypatch, lambda text: text.replace("tosa.conv2d", "tosa.conv9d"))


def test_the_machine_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TVM out of it: a wrong result of a layer is a difference."""
    network = compile_network(small_net(), "dense256")
    real = MlirOracle.results

    def wrong(self: MlirOracle, region: str, arrays: list[Any]) -> list[Any]:
        results = real(self, region, arrays)
        results[1] = results[1] ^ 1
        return results

    monkeypatch.setattr(MlirOracle, "results", wrong)
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    found = validate(network, {"x": x}, oracle="mlir")
    assert found.mismatch is not None
    assert replace(found.mismatch, expected=0, got=0).layer == "conv1"
