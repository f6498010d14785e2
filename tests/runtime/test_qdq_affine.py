"""Quantized models that keep arithmetic by channel between their quantizers, as onnxruntime makes
them of channels-last networks: one region, with the integers of onnxruntime."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.relay_passes.keras_net import keras_net
from tests.relay_passes.onnx_oracle import parse
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

RNG = np.random.default_rng(5)


def by_onnxruntime(model: onnx.ModelProto, inputs: dict[str, Any]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.asarray(session.run(None, inputs)[0])


@pytest.mark.slow
def test_a_quantized_keras_network_is_one_region(tmp_path: Path) -> None:
    from onnxruntime import quantization

    images = RNG.standard_normal((4, 1, 32, 32, 3)).astype(np.float32)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self.images: Iterator[np.ndarray] = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(({"image": image} for image in self.images), None)

    onnx.save(keras_net(), tmp_path / "net.onnx")
    quantization.quantize_static(
        tmp_path / "net.onnx",
        tmp_path / "quantized.onnx",
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
    )
    model = onnx.load(tmp_path / "quantized.onnx")
    network = compile_model(model, "sparse256")
    assert len(network.programs) == 1
    assert {why for why in network.cpu.values()} == {
        "no int8 form of Transpose",
        "no int8 form of Softmax",
    }
    assert len(network.cpu) == 2
    (found,) = Session(network).run({"image": images[0]}).values()
    np.testing.assert_allclose(found, by_onnxruntime(model, {"image": images[0]}), atol=0.02)
    assert validate(network, {"image": images[0]}).exact


def quantized(steps: str, shape: str, **constants: np.ndarray) -> onnx.ModelProto:
    """x quantized -> a convolution -> ``steps`` from a to b, each tensor between quantizers."""
    model = parse(
        f"g (float[1,4,6,6] x) => (float[{shape}] y) "
        "<float s = {0.05}, int8 z = {7}, float t = {0.01}, int8 o = {0}> {\n"
        "w = DequantizeLinear(wq, t, o)\n"
        "xq = QuantizeLinear(x, s, z)\n xd = DequantizeLinear(xq, s, z)\n"
        "c = Conv(xd, w)\n cq = QuantizeLinear(c, s, z)\n a = DequantizeLinear(cq, s, z)\n"
        f"{steps}\n yq = QuantizeLinear(b, s, z)\n y = DequantizeLinear(yq, s, z) }}"
    )
    weight = RNG.integers(-99, 99, (4, 4, 1, 1)).astype(np.int8)
    for name, value in {"wq": weight, **constants}.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return model


NUMBERS = RNG.integers(-90, 90, (4, 1, 1)).astype(np.int8)
LIST = RNG.integers(-90, 90, 4).astype(np.int8)
MEAN = (
    "m = GlobalAveragePool(a)\n mq = QuantizeLinear(m, s, z)\n md = DequantizeLinear(mq, s, z)\n"
    "f = Flatten(md)\n"
)


@pytest.mark.parametrize(
    ("steps", "shape", "constants"),
    [
        ("k = DequantizeLinear(n, s, z)\n[by] b = Add(a, k)", "1,4,6,6", {"n": NUMBERS}),
        ("k = DequantizeLinear(n, s, z)\n[by] b = Sub(k, a)", "1,4,6,6", {"n": NUMBERS}),
        ("k = DequantizeLinear(n, s, z)\n[by] b = Mul(a, k)", "1,4,6,6", {"n": NUMBERS}),
        (
            "k = DequantizeLinear(n, s, z)\n[by] e = Mul(a, k)\n eq = QuantizeLinear(e, s, z)\n"
            "ed = DequantizeLinear(eq, s, z)\n[to] b = Sub(ed, k)",
            "1,4,6,6",
            {"n": NUMBERS},
        ),
        (f"{MEAN} k = DequantizeLinear(n, s, z)\n[by] b = Add(f, k)", "1,4", {"n": LIST}),
        (
            "[pad] p = Pad(a, n)\n pq = QuantizeLinear(p, s, z)\n pd = DequantizeLinear(pq, s, z)\n"
            "b = Conv(pd, w)",
            "1,4,9,7",
            {"n": np.asarray([0, 0, 1, 0, 0, 0, 2, 1], np.int64)},
        ),
    ],
)
def test_arithmetic_by_channel_between_quantizers_is_a_layer(
    steps: str, shape: str, constants: dict[str, np.ndarray]
) -> None:
    """But for ties, which round another way: a step in a few places of a hundred, made larger by
    a product behind it."""
    model = quantized(steps, shape, **constants)
    image = {"x": RNG.standard_normal((1, 4, 6, 6)).astype(np.float32)}
    network = compile_model(model, "sparse256")
    assert network.cpu == {}
    assert len(network.programs) == 1
    found = Session(network).run(image)["y"]
    steps_off = np.rint(np.abs(found - by_onnxruntime(model, image)) / 0.05)
    assert steps_off.max() <= 5
    assert np.mean(steps_off > 0) <= 0.05
    assert validate(network, image).exact


def test_weights_and_wide_biases_keep_their_integers() -> None:
    model = quantized(
        "k = DequantizeLinear(n, s, wide)\n[by] b = Add(a, k)",
        "1,4,6,6",
        n=NUMBERS.astype(np.int32),
        wide=np.asarray(0, np.int32),
    )
    made = normalise_onnx(model)
    assert sum(node.op_type == "DequantizeLinear" for node in made.graph.node) == 5
