"""Layer normalisations as exporters write them: found, quantized, exact on the accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.relay_passes.integer_oracle import evaluate
from tests.relay_passes.onnx_oracle import assert_close, inputs_of, parse, reference
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.integer.fixed_point import BOUNDS, ActivationType
from zeroskip.relay_passes.integer.layers import (
    AddLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    Layer,
    LookupLayer,
    MultiplyLayer,
    QTensor,
)
from zeroskip.relay_passes.integer.relax_functions import is_integer_layer, read_layer
from zeroskip.relay_passes.quantize.float_graph import Scale
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.norm_layers import PART, squares
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import Range, scale_of
from zeroskip.relay_passes.quantize.to_integer import layers_of
from zeroskip.relay_passes.relax.decompose import DecomposeOperators
from zeroskip.relay_passes.relax.layer_norm import layer_norms
from zeroskip.relay_passes.relax.rewriting import bindings, op_name
from zeroskip.runtime.execution.validation import validate

Array = npt.NDArray[Any]

CENTRED = "m = ReduceMean <axes = [-1]> (t) d = Sub (t, m)"
MOMENTS = f"{CENTRED} s = Mul (d, d) v = ReduceMean <axes = [-1]> (s) p = Add (v, e)"
FORMS = {  # of tokens t [N, T, C]
    "an operator": "n = LayerNormalization <axis = -1> (t, g, b)",
    "an operator without an offset": "n = LayerNormalization <axis = 2> (t, g)",
    "a quotient": f"{MOMENTS} r = Sqrt (p) q = Div (d, r) o = Mul (q, g) n = Add (o, b)",
    "a power": MOMENTS.replace("Mul (d, d)", "Pow (d, two)")
    + " r = Pow (p, half) q = Div (d, r) o = Mul (q, g) n = Add (o, b)",
    "a product": f"{MOMENTS} r = Sqrt (p) i = Reciprocal (r) q = Mul (i, d) o = Mul (g, q) n = Add (b, o)",
    "no scale": f"{MOMENTS} r = Sqrt (p) n = Div (d, r)",
}
KINDS: list[type[Layer]] = [
    ConvLayer,
    AddLayer,
    LookupLayer,
    LookupLayer,
    ConcatLayer,
    ConvLayer,
    LookupLayer,
    MultiplyLayer,
]


def network(form: str, channels: int = 8, images: int = 1) -> onnx.ModelProto:
    """A convolution of one pixel, whose pixels are tokens; their normalisation, a dense layer on
    each, and what both read beside it."""
    rng = np.random.default_rng(3)
    floats: dict[str, Any] = {
        "w": rng.standard_normal((channels, 3, 1, 1)),
        "g": rng.uniform(0.5, 1.5, channels),
        "b": rng.standard_normal(channels),
        "k": rng.standard_normal((channels, channels)) / 3,
        "two": 2,
        "half": 0.5,
        "e": 1e-5,
    }
    text = f"""net (float[{images}, 3, 6, 4] x) => (float[{images}, 24, {channels}] y) {{
        c = Conv (x, w) f = Reshape (c, flat) t = Transpose <perm = [0, 2, 1]> (f)
        {form} h = MatMul (n, k) y = Add (t, h) }}"""
    constants: dict[str, Any] = {
        **{name: np.asarray(value, np.float32) for name, value in floats.items()},
        "flat": np.array([images, channels, 24], np.int64),
    }
    return parse(text, **constants)


def layers(mod: Any) -> list[Layer]:
    """The integer layers of ``main``, in order."""
    functions = {var: func for var, func in mod.functions.items() if is_integer_layer(func)}
    calls = [getattr(b.value, "op", None) for b in bindings(mod["main"])]
    return [read_layer(functions[op]) for op in calls if op in functions]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str) -> None:
    model = network(FORMS[name])
    module = import_float(model, {})
    [norm] = layer_norms(module["main"]).values()
    assert norm.over_channels
    assert norm.inverse
    assert not {"relax.matmul", "relax.permute_dims"} & set(operators(module)[:-1])
    values = inputs_of(model, 1)
    wanted = reference(model, values)
    assert_close(reference(export_onnx(module), values), wanted)


def operators(module: Any) -> list[str]:
    return [name for b in bindings(module["main"]) if (name := op_name(b.value)) is not None]


@pytest.mark.parametrize(
    ("name", "target"),
    [("an operator", "dense256"), ("a quotient", "systolic256")],
)
def test_it_is_one_region_and_exact(name: str, target: str) -> None:
    compiled = compile_network(network(FORMS[name]), target)
    assert len(compiled.programs) == 1
    assert all("Transpose" in why or "Reshape" in why for why in compiled.cpu.values())
    judged = validate(compiled, inputs_of(network(FORMS[name]), 2))
    assert judged.exact, judged.text()
    assert judged.snr_db["y"] > 25


def test_a_sum_that_reads_the_result_too_reads_a_layer() -> None:
    """Scale and offset, which the convolution alone would take in, are a depthwise convolution."""
    model = network(FORMS["an operator"].replace("(t, g, b)", "(t, g, b) u = Mul (n, half)"))
    model.graph.node[-1].input[0] = "u"
    compiled = compile_network(model, "pattern256")
    assert len(compiled.programs) == 1
    judged = validate(compiled, inputs_of(model, 2))
    assert judged.exact, judged.text()
    assert judged.snr_db["y"] > 25


def test_several_images_at_once_are_exact() -> None:
    model = network(FORMS["an operator"], images=2)
    compiled = compile_network(model, "sparse256")
    judged = validate(compiled, inputs_of(model, 2))
    assert judged.exact, judged.text()


def normalisation(shape: tuple[int, ...], axis: int, **options: Any) -> Any:
    """``main`` on x of a shape: a convolution of one pixel and ``nn.layer_norm`` behind it."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    ones = relax.const(np.ones(shape[axis], np.float32))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = x
            if len(shape) > 2:
                eye = np.eye(shape[1], dtype=np.float32).reshape(
                    shape[1], shape[1], *(1,) * (len(shape) - 2)
                )
                y = builder.emit(
                    getattr(relax.op.nn, f"conv{len(shape) - 2}d")(x, relax.const(eye))
                )
            y = builder.emit_output(relax.op.nn.layer_norm(y, ones, ones, [axis], **options))
        builder.emit_func_output(y)
    return builder.get()


def quantized(mod: Any, dtype: ActivationType = "int8") -> Any:
    """A module in which every activation lies between -4 and 4."""
    made = DecomposeOperators()(mod)
    names = ["x", *(str(b.var.name) for b in bindings(made["main"]))]
    ranges = {name: Range(-4.0, 4.0) for name in names}
    return QuantizeInt8(ranges=ranges, activation_dtype=dtype)(made)


@pytest.mark.parametrize("shape", [(2, 24), (1, 24, 3, 4), (1, 24, 2, 3, 2)])
def test_relax_over_the_channels_of_any_rank(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    mod = normalisation(shape, 1, center=False, scale=False)
    made = layers(quantized(mod))
    first = KINDS if len(shape) > 2 else [DenseLayer if k is ConvLayer else k for k in KINDS]
    assert [type(layer) for layer in made][-8:] == first
    got, wanted, _ = normalised(x)
    assert noise_db(wanted, got) > 35


def noise_db(wanted: Array, got: Array) -> float:
    return float(10 * np.log10((wanted**2).mean() / ((got - wanted) ** 2).mean()))


@settings(max_examples=40, deadline=None)
@given(
    channels=st.integers(2, 300),
    offset=st.floats(-3, 3),
    outlier=st.sampled_from([1.0, 5.0, 20.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_channel_that_stands_out_costs_the_variance_nothing(
    channels: int, offset: float, outlier: float, seed: int
) -> None:
    """The noise is that of 8 bits of what is read and of what is given."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((1, channels, 40)) + offset).astype(np.float32)
    x[:, 0] *= outlier
    got, wanted, inverse = normalised(x)
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255
    allowed = 3 * step * inverse.max() / np.sqrt(12) + 0.02 * np.abs(wanted).max()
    assert np.sqrt(((got - wanted) ** 2).mean()) < allowed


def normalised(x: Array) -> tuple[Array, Array, Array]:
    """What the integer layers make of x [N, C, ...], by their definitions; what the formula does;
    and the inverse deviations."""
    main = DecomposeOperators()(normalisation(x.shape, 1, center=False, scale=False))["main"]
    graph = read_graph(main)
    [group] = (each for each in graph.groups.values() if each.kind == "layer_norm")
    mean = x.mean(1, keepdims=True)
    centred = x - mean
    variance = (centred**2).mean(1, keepdims=True)
    inverse = 1 / np.sqrt(variance + 1e-5)
    seen = (x, mean, centred, variance, inverse, centred * inverse)
    names = (*group.inputs, *group.inner, group.output)
    scales = {
        name: scale_of(Range(float(values.min()), float(values.max())), "int8")
        for name, values in zip(names, seen, strict=True)
    }
    steps = layers_of(group, {name: graph.shape(name) for name in names}, scales)
    assert not isinstance(steps, str)
    first = scales[names[0]]
    made = [np.clip(np.rint(x / first.scale) + first.zero_point, -128, 127).astype(np.int8)]
    for step in steps:
        made.append(evaluate(step.layer, [made[at] for at in step.args]))
    last = scales[names[-1]]
    return (made[-1].astype(float) - last.zero_point) * last.scale, seen[-1], inverse


@settings(max_examples=50)
@given(zero_point=st.integers(-128, 127), scale=st.floats(1e-6, 1e3))
def test_two_bytes_of_a_square(zero_point: int, scale: float) -> None:
    high, low, unit = squares(
        QTensor((1, 4, 2), "int8", zero_point), Scale(scale, zero_point, "int8")
    )
    values = np.arange(BOUNDS["int8"][0], BOUNDS["int8"][1] + 1) - zero_point
    made = unit * (PART * high.table.astype(int) + low.table)
    assert np.abs(made - values**2).max() <= unit / 2
    assert unit <= 2.01
    if abs(values).max() <= 180:
        assert (made == values**2).all()


def test_what_else_reads_a_step_leaves_it_to_the_cpu() -> None:
    form = f"{MOMENTS} r = Sqrt (p) q = Div (d, r) n = Add (q, d)"
    module = import_float(network(form), {})
    assert not layer_norms(module["main"])


def test_another_axis_stays_on_the_cpu() -> None:
    axis = FORMS["no scale"].replace("axes = [-1]", "axes = [1]")
    compiled = compile_network(network(axis), "dense256")
    [why] = {why for why in compiled.cpu.values() if "normalises" in why}
    assert why == "it normalises over axes [2], and the accelerator over the channels"


def test_int16_has_no_tables() -> None:
    made = quantized(normalisation((1, 6, 5), 1), "int16")
    assert [type(layer) for layer in layers(made)] == [ConvLayer]
    assert any("65536 results" in str(w) for w in made["main"].attrs["zeroskip.cpu"].values())


def test_tokens_that_are_all_alike_are_zeros() -> None:
    got, _, _ = normalised(np.ones((1, 4, 5), np.float32))
    assert not got.any()


def test_sums_of_too_many_squares_stay_on_the_cpu() -> None:
    made = quantized(normalisation((1, 2**31 // (128 * 255) + 1), 1))
    assert not layers(made)
    assert any("can exceed 32 bits" in str(w) for w in made["main"].attrs["zeroskip.cpu"].values())
