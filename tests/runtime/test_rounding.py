"""Halves go to the even neighbour, as ONNX's QuantizeLinear has it: averages, additions, scales."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from zeroskip import compiler, runtime
from zeroskip.accel_model.functional.kernels import even
from zeroskip.relay_passes.integer.relax_functions import quantize_multiplier

STEP = np.float32(2**-4)  # of the input: every number below is exact in float32
SHAPE = (1, 16, 12, 12)


def network() -> onnx.ModelProto:
    """Q/DQ layers of one input x and a second z, an output each."""
    nodes = []

    def quantized(value: str, name: str, scale: str) -> None:
        nodes.append(helper.make_node("QuantizeLinear", [value, scale, "zero"], [f"{name}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", scale, "zero"], [name]))

    quantized("x", "x_d", "step")
    quantized("z", "z_d", "step")
    for name, kernel in (("of4", [2, 2]), ("of6", [3, 2]), ("of36", [6, 6]), ("of144", [12, 12])):
        nodes.append(
            helper.make_node(
                "AveragePool", ["x_d"], [f"{name}_p"], kernel_shape=kernel, strides=kernel
            )
        )
        quantized(f"{name}_p", name, "step")
    nodes.append(helper.make_node("Add", ["x_d", "z_d"], ["sum_p"]))
    quantized("sum_p", "sum", "double")
    quantized("x_d", "half", "double")
    names = ["of4", "of6", "of36", "of144", "sum", "half"]
    constants = {"step": STEP, "double": 2 * STEP, "zero": np.int8(3)}
    graph = helper.make_graph(
        nodes,
        "rounding",
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, SHAPE) for n in ("x", "z")],
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def averages(x: np.ndarray, rows: int, cols: int) -> np.ndarray:
    shape = (*x.shape[:2], x.shape[2] // rows, rows, x.shape[3] // cols, cols)
    means: np.ndarray = x.reshape(shape).sum((3, 5)) / (rows * cols)
    return means


def test_halves_go_to_even_as_in_onnx() -> None:
    rng = np.random.default_rng(0)
    x, z = (rng.integers(-100, 100, SHAPE) for _ in range(2))
    x[0, :, :, ::2] = 2 * (x[0, :, :, ::2] // 2)  # more halves among the large windows
    session = runtime.Session(compiler.compile(network(), "dense256"))
    got = session.run({"x": (x * STEP).astype(np.float32), "z": (z * STEP).astype(np.float32)})
    exact = {
        "of4": averages(x, 2, 2),
        "of6": averages(x, 3, 2),
        "of36": averages(x, 6, 6),
        "of144": averages(x, 12, 12),
        "sum": (x + z) / 2,
        "half": x / 2,
    }
    for name, value in exact.items():
        unit = STEP * (2 if name in ("sum", "half") else 1)
        assert np.array_equal(got[name] / unit, np.rint(value)), name
    assert all((exact[name] % 1 == 0.5).any() for name in exact if name != "of144")


@pytest.mark.parametrize("area", [4, 6, 8, 9, 16, 36, 49, 64])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 2.0, 0.75])
def test_every_sum_of_a_window_rounds_as_its_exact_average(area: int, ratio: float) -> None:
    mult, shift = quantize_multiplier(ratio / area)
    sums = np.arange(-128 * area, 128 * area + 1)
    got = [even(np.int64(total) * mult, shift) for total in sums]
    assert np.array_equal(got, np.rint(sums * ratio / area))  # float64 has these halves exactly


@pytest.mark.parametrize("shift", [1, 2, 15, 16, 17, 18, 40, 62])
def test_rounding_at_every_width(shift: int) -> None:
    """The largest products do not wrap, and halves go to even with few bits as with many."""
    for whole in (0, 1, -1, 2, -3, (2**62 >> shift) - 1):
        for half, expected in ((0, whole), (1, whole + whole % 2)):
            product = (whole << shift) + (half << (shift - 1))
            if abs(product) > 2**62:  # of 2^31 inputs by a multiplier below 2^31
                continue
            assert even(np.int64(product), shift) == expected
