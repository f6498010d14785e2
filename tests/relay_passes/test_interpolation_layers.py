"""Bilinear resizes as depthwise convolutions: ONNX's numbers, whole weights, and what stays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.relay_passes.onnx_oracle import inputs_of, parse, reference
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.integer.layers import ConvLayer
from zeroskip.relay_passes.integer.relax_functions import is_integer_layer, read_layer
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import Range
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.interpolation_layers import InterpolationLayers
from zeroskip.relay_passes.relax.rewriting import bindings, op_name
from zeroskip.runtime.execution.validation import validate


def resized(mode: str, rows: float, cols: float) -> onnx.ModelProto:
    weight = np.random.default_rng(6).standard_normal((4, 3, 1, 1)).astype(np.float32)
    return parse(
        f"""net (float[1, 3, 4, 3] x) => (float[1, 4, a, b] y) {{
          c = Conv (x, w)
          y = Resize <mode = "linear", coordinate_transformation_mode = "{mode}"> (c, , s)
        }}""",
        w=weight,
        s=np.array([1, 1, rows, cols], np.float32),
    )


@pytest.mark.parametrize(
    ("mode", "rows", "cols"),
    [
        ("half_pixel", 2, 2),
        ("half_pixel", 3, 1),
        ("half_pixel", 4, 2),
        ("asymmetric", 2, 3),
        ("pytorch_half_pixel", 1, 4),
    ],
)
def test_a_resize_by_whole_factors_is_depthwise(mode: str, rows: int, cols: int) -> None:
    model = resized(mode, rows, cols)
    made = InterpolationLayers()(import_float(model, {}))
    names = [op_name(b.value) for b in bindings(made["main"])]
    assert "relax.image.resize2d" not in names
    assert names.count("relax.nn.conv2d") == 1 + rows * cols
    values = inputs_of(model, 2)
    (got,) = run_cpu(compile_for_cpu(made), "main", list(values.values()))
    np.testing.assert_allclose(got, reference(model, values)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "rows", "cols"), [("align_corners", 2, 2), ("half_pixel", 9, 8), ("half_pixel", 1, 1)]
)
def test_other_resizes_stay(mode: str, rows: float, cols: float) -> None:
    module = import_float(resized(mode, rows, cols), {})
    made = InterpolationLayers()(module)
    assert [op_name(b.value) for b in bindings(made["main"])] == [
        op_name(b.value) for b in bindings(module["main"])
    ]


def test_the_weights_are_whole_multiples_of_a_sixteenth() -> None:
    module = InterpolationLayers()(import_float(resized("half_pixel", 2, 2), {}))
    ranges = {str(b.var.name): Range(-3.0, 3.0) for b in bindings(module["main"])}
    made = QuantizeInt8(ranges={**ranges, "x": Range(-1.0, 1.0)})(module)
    found = [read_layer(f) for f in made.functions.values() if is_integer_layer(f)]
    kernels = [
        each.weight[0, 0] for each in found if isinstance(each, ConvLayer) and each.groups == 4
    ]
    assert len(kernels) == 4
    for kernel in kernels:
        assert sorted(kernel[kernel != 0].tolist()) == [1, 3, 3, 9]


def test_it_is_one_region_and_exact() -> None:
    compiled = compile_network(resized("half_pixel", 2, 4), "sparse256")
    assert compiled.cpu == {}
    assert len(compiled.programs) == 1
    image = np.random.default_rng(1).standard_normal((1, 3, 4, 3)).astype(np.float32)
    judged = validate(compiled, {"x": image})
    assert judged.exact, judged.text()
