"""The CPU schedule: TVM's default results, bit for bit for integers, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax
from tvm.target import codegen

from zeroskip.relay_passes.relax.cpu import (
    ScheduleRule,
    _schedule_reduction,
    compile_for_cpu,
    cpu_target,
    run_cpu,
)

SEED = 20240607
Floats = npt.NDArray[np.float32]
Ops = Callable[[Any], Any]


def weights(*shape: int, dtype: str) -> Any:
    values = np.random.default_rng(SEED).integers(-9, 10, shape).astype(dtype)
    return relax.const(values, dtype)


def module_of(shape: tuple[int, ...], dtype: str, ops: Ops) -> tvm.IRModule:
    x = relax.Var("x", relax.TensorType(shape, dtype))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(ops(x))
        builder.emit_func_output(result)
    return builder.get()


def padded_conv(x: Any) -> Any:
    w = weights(24, 6, 3, 3, dtype="int16")
    acc = relax.op.nn.conv2d(x, w, padding=1, out_dtype="int32")
    return relax.op.nn.relu(relax.op.add(acc, weights(1, 24, 1, 1, dtype="int32")))


CASES: dict[str, tuple[tuple[int, ...], Ops]] = {
    "conv + epilogue": ((1, 6, 13, 20), padded_conv),
    "prime width": ((1, 6, 17, 17), padded_conv),
    "batch": ((3, 6, 8, 16), padded_conv),
    "depthwise": (
        (1, 12, 9, 16),
        lambda x: relax.op.nn.conv2d(x, weights(12, 1, 3, 3, dtype="int16"), groups=12),
    ),
    "strided 1-D": (
        (1, 12, 40),
        lambda x: relax.op.nn.conv1d(x, weights(16, 12, 5, dtype="int16"), strides=2),
    ),
    "matrix product": ((4, 30), lambda x: relax.op.matmul(x, weights(30, 48, dtype="int16"))),
    "max pool": ((1, 8, 16, 16), lambda x: relax.op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1))),
    "sum of all": ((1, 8, 5), relax.op.sum),
    "row sums": ((1, 8, 5), lambda x: relax.op.sum(x, axis=2)),
    "elementwise": ((1, 8, 5, 7), lambda x: relax.op.maximum(x, relax.const(3, "int16"))),
    "transpose": ((1, 8, 5, 7), lambda x: relax.op.permute_dims(x, [0, 2, 3, 1])),
    "reshape": ((1, 8, 5, 7), lambda x: relax.op.reshape(x, (8, 35))),
}


@pytest.mark.parametrize("name", CASES)
def test_integer_results_are_those_of_the_default_schedule(name: str) -> None:
    shape, ops = CASES[name]
    x = np.random.default_rng(SEED).integers(-128, 128, shape).astype(np.int16)
    module = module_of(shape, "int16", ops)
    (expected,) = run_cpu(tvm.compile(module, "llvm"), "main", [x])
    (result,) = run_cpu(compile_for_cpu(module), "main", [x])
    np.testing.assert_array_equal(result, expected)


def test_softmax_keeps_a_schedule_that_works() -> None:
    x = np.random.default_rng(SEED).standard_normal((2, 10)).astype(np.float32)
    module = module_of((2, 10), "float32", relax.op.nn.softmax)
    (result,) = run_cpu(compile_for_cpu(module), "main", [x])
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_results_come_back_in_order() -> None:
    x = relax.Var("x", relax.TensorType((4,), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            double, negative = builder.emit(relax.op.add(x, x)), builder.emit(relax.op.negative(x))
            result = builder.emit_output(relax.Tuple([double, negative]))
        builder.emit_func_output(result)
    values: npt.NDArray[np.float32] = np.arange(4, dtype=np.float32)
    first, second = run_cpu(compile_for_cpu(builder.get()), "main", [values])
    np.testing.assert_array_equal(first, values * 2)
    np.testing.assert_array_equal(second, -values)


@pytest.mark.parametrize("name", ["cosh", "sinh", "erf", "atan", "asinh", "tan", "exp", "tanh"])
def test_functions_of_floats(name: str) -> None:
    others: dict[str, Callable[[Floats], Floats]] = {
        "erf": np.vectorize(math.erf),
        "atan": np.arctan,
        "asinh": np.arcsinh,
    }
    reference = others.get(name) or getattr(np, name)
    x = np.linspace(0.1, 0.9, 96, dtype=np.float32).reshape(1, 3, 4, 8)
    module = module_of(x.shape, "float32", getattr(relax.op, name))
    [got] = run_cpu(compile_for_cpu(module), "main", [x])
    np.testing.assert_allclose(got, reference(x), rtol=2e-6)


def test_mean_over_three_axes_and_what_follows_it() -> None:
    def normalised(x: Any) -> Any:
        mean = relax.op.mean(relax.op.multiply(x, x), [1, 2, 3], keepdims=True)
        return relax.op.divide(x, relax.op.sqrt(mean))

    x = np.random.default_rng(SEED).standard_normal((2, 3, 4, 5)).astype(np.float32)
    [got] = run_cpu(compile_for_cpu(module_of(x.shape, "float32", normalised)), "main", [x])
    mean = (x * x).mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(got, x / np.sqrt(mean), rtol=1e-5)


def test_a_convolution_takes_our_schedule() -> None:
    """A mistake in the rule would leave every function to TVM's default, slowly and in silence."""
    weight = relax.const(np.ones((16, 8, 3, 3), np.float32))
    module = module_of(
        (1, 8, 16, 16), "float32", lambda x: relax.op.nn.conv2d(x, weight, padding=1)
    )
    legal = relax.transform.LegalizeOps()(module)
    (function,) = (
        func for func in legal.functions.values() if not isinstance(func, relax.Function)
    )
    with tvm.target.Target("llvm") as target:
        made = ScheduleRule("reduction", _schedule_reduction).apply(function, target, False)
    assert made is not None
    assert "T.vectorized" in made.mod.script()


@pytest.mark.parametrize(
    ("processor", "bits"),
    [
        ("skylake-avx512", 512),
        ("znver5", 512),
        ("znver3", 256),
        ("haswell", 256),
        ("sandybridge", 256),
        ("nehalem", 128),
    ],
)
def test_vectors_are_as_wide_as_the_processors(processor: str, bits: int) -> None:
    assert codegen.llvm_get_vector_width(cpu_target(processor)) == bits
