"""Transposed convolutions, splits and resizes as what the accelerator has, in float, to the
number."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import tvm
from tvm import relax

from tests.relay_passes.onnx_oracle import inputs_of, parse, reference
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.decompose import DecomposeOperators
from zeroskip.relay_passes.relax.rewriting import bindings, op_name

Array = npt.NDArray[Any]


def operators(mod: tvm.IRModule) -> list[str]:
    return [name for b in bindings(mod["main"]) if (name := op_name(b.value)) is not None]


def transposed(x: Array, weight: Array, stride: int, dilation: int, pad: int, groups: int) -> Array:
    """ONNX's definition: each input adds the kernel, times itself, to the output."""
    channels, filters, *kernel = weight.shape
    wide = [
        (size - 1) * stride + (taps - 1) * dilation + 1
        for size, taps in zip(x.shape[2:], kernel, strict=True)
    ]
    y = np.zeros((1, filters * groups, *wide))
    for c in range(channels):
        first = c // (channels // groups) * filters
        for tap in product(*map(range, kernel)):
            where = tuple(
                slice(t * dilation, t * dilation + (size - 1) * stride + 1, stride)
                for t, size in zip(tap, x.shape[2:], strict=True)
            )
            own: Any = (c, slice(None), *tap)
            target: Any = (0, slice(first, first + filters), *where)
            y[target] += weight[own].reshape(-1, *(1,) * len(kernel)) * x[0, c]
    inside: Any = (..., *(slice(pad, size - pad) for size in wide))
    return np.asarray(y[inside])


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "pad", "groups"),
    [
        ((2, 2), 2, 1, 0, 1),
        ((3, 3), 2, 1, 1, 1),
        ((4, 5), 3, 1, 1, 2),
        ((3, 2), 2, 2, 2, 6),
        ((1, 1), 2, 1, 0, 1),
        ((5,), 2, 1, 2, 1),
        ((3, 3), 1, 1, 1, 1),
    ],
)
def test_a_transposed_convolution_is_convolutions(
    kernel: tuple[int, ...], stride: int, dilation: int, pad: int, groups: int
) -> None:
    rng, rank = np.random.default_rng(5), len(kernel)
    weight = rng.standard_normal((6, 4 if groups < 6 else 1, *kernel)).astype(np.float32)
    bias = rng.standard_normal((1, weight.shape[1] * groups, *(1,) * rank)).astype(np.float32)
    x = relax.Var("x", relax.TensorType((1, 6, 5, 4)[: 2 + rank], "float32"))
    builder = relax.BlockBuilder()
    op = getattr(relax.op.nn, f"conv{rank}d_transpose")
    with builder.function("main", [x]):
        with builder.dataflow():
            options = {"strides": stride, "padding": pad, "dilation": dilation, "groups": groups}
            y = builder.emit(op(x, relax.const(weight), **options))
            y = builder.emit(relax.op.add(y, relax.const(bias)))
            y = builder.emit_output(relax.op.nn.relu(y))
        builder.emit_func_output(y)
    made = DecomposeOperators()(builder.get())
    left = operators(made)
    assert not any("transpose" in each for each in left)
    assert left.count("relax.nn.relu") == left.count(f"relax.nn.conv{rank}d")
    data = rng.standard_normal((1, 6, 5, 4)[: 2 + rank]).astype(np.float32)
    (got,) = run_cpu(compile_for_cpu(made), "main", [data])
    want = np.maximum(transposed(data, weight, stride, dilation, pad, groups) + bias, 0)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_normalisation_behind_goes_into_the_weights() -> None:
    rng = np.random.default_rng(2)
    model = parse(
        """net (float[1, 4, 3, 5] x) => (float[1, 6, 7, 10] y) {
          a = ConvTranspose <strides = [2, 2], group = 2, pads = [0, 1, 1, 0],
            output_padding = [1, 0]> (x, w)
          b = BatchNormalization (a, g, h, m, v)
          y = Relu (b)
        }""",
        w=rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        g=rng.standard_normal(6).astype(np.float32),
        h=rng.standard_normal(6).astype(np.float32),
        m=rng.standard_normal(6).astype(np.float32),
        v=np.full(6, 2, np.float32),
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = import_float(model, {})
    assert "relax.multiply" not in operators(made)
    values = inputs_of(model, 3)
    (got,) = run_cpu(compile_for_cpu(made), "main", list(values.values()))
    (want,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, values)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric", "align_corners"])
def test_a_resize_to_the_nearest_takes_rows_and_columns(mode: str) -> None:
    model = parse(
        f"""net (float[1, 2, 4, 3] x) => (float[1, 2, 12, 6] y) {{
          y = Resize <mode = "nearest", coordinate_transformation_mode = "{mode}"> (x, , s)
        }}""",
        s=np.array([1, 1, 3, 2], np.float32),
    )
    made = import_float(model, {})
    assert set(operators(made)) == {"relax.take"}
    values = inputs_of(model, 1)
    (got,) = run_cpu(compile_for_cpu(made), "main", list(values.values()))
    np.testing.assert_array_equal(got, reference(model, values)[0])


def test_parts_of_a_split_are_slices() -> None:
    model = parse(
        """net (float[1, 7, 4, 4] x) => (float[1, 2, 4, 4] y, float[1, 5, 2, 4] z) {
          y, b = Split <axis = 1> (x, p)
          c, z = Split <axis = -2> (b, q)
        }""",
        p=np.array([2, 5], np.int64),
        q=np.array([2, 2], np.int64),
    )
    made = import_float(model, {})
    assert set(operators(made)) == {"relax.strided_slice"}
    values = inputs_of(model, 1)
    got = run_cpu(compile_for_cpu(made), "main", list(values.values()))
    for mine, theirs in zip(got, reference(model, values), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("shape", "pads"), [("1,2,4,5", "0,0,1,0,0,0,3,2"), ("1,2,5", "0,0,2,0,0,1")]
)
def test_a_pad_by_zeros_is_a_pool_of_single_pixels(shape: str, pads: str) -> None:
    """Where no window takes it; written back as ONNX it is a Pad, which onnxruntime computes."""
    unknown = ",".join("ABCD"[: shape.count(",") + 1])
    text = f"""g (float[{shape}] x) => (float[{unknown}] y) {{
        p = Constant<value_ints=[{pads}]>()  a = Pad(x, p)  y = Sigmoid(a) }}"""
    model = parse(text, opset=19)
    module = import_float(model, {})
    rank = shape.count(",") - 1
    assert operators(module) == [f"relax.nn.avg_pool{rank}d", "relax.sigmoid"]
    inputs = inputs_of(model, 1)
    (want,) = reference(model, inputs)
    (got,) = run_cpu(compile_for_cpu(module), "main", list(inputs.values()))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    session = onnxruntime.InferenceSession(export_onnx(module).SerializeToString())
    np.testing.assert_allclose(session.run(None, inputs)[0], want, rtol=1e-5)
