"""QuantizeInt8 on small nets: close to float, and the very integers its layers declare."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relax
from tvm.ir import Call

from tests.relay_passes.float_nets import RelaxNet, residual_net
from tests.relay_passes.integer_oracle import evaluate
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.relax_functions import (
    AddLayer,
    AvgPoolLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    Layer,
    MaxPoolLayer,
    MultiplyLayer,
    RequantizeLayer,
    ReshapeLayer,
    is_integer_layer,
    kind_of,
    read_layer,
)
from zeroskip.relay_passes.quantize.calibrate import Range, calibrate
from zeroskip.relay_passes.quantize.float_graph import Scale
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import scale_of
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.rewriting import bindings, op_name, outputs

Array = npt.NDArray[Any]


def run(module: tvm.IRModule, *inputs: Array) -> list[Array]:
    return run_cpu(compile_for_cpu(module), "main", inputs)


def layers(module: tvm.IRModule) -> dict[str, list[Layer]]:
    """The layers that main calls, by ONNX node, in order."""
    found: dict[str, list[Layer]] = {}
    for binding in bindings(module["main"]):
        call = binding.value
        if isinstance(call, Call) and isinstance(call.op, tvm.ir.GlobalVar):
            function = module[call.op]
            found.setdefault(str(function.attrs["zeroskip.node"]), []).append(read_layer(function))
    return found


def ops(module: tvm.IRModule) -> list[str]:
    return [name for b in bindings(module["main"]) if (name := op_name(b.value)) is not None]


def cpu_reasons(module: tvm.IRModule) -> dict[str, str]:
    return {str(k): str(v) for k, v in module["main"].attrs["zeroskip.cpu"].items()}


def snr(reference: Array, result: Array) -> float:
    """Signal-to-noise ratio in dB."""
    noise = np.square(reference - result).sum()
    return float(10 * np.log10(np.square(reference).sum() / max(noise, 1e-30)))


def values_of(module: tvm.IRModule, x: Array) -> dict[str, Array]:
    """What TVM computes for every variable of main."""
    main = module["main"]
    taken = list(bindings(main))
    outs = [relax.Var(f"{b.var.name}_out", b.var.ty) for b in taken]
    copies = [relax.VarBinding(out, b.var) for out, b in zip(outs, taken, strict=True)]
    body = relax.SeqExpr([relax.DataflowBlock([*taken, *copies])], relax.Tuple(outs))
    function = relax.Function(main.params, body, body.body.ty).with_attr("global_symbol", "main")
    functions = {v: f for v, f in module.functions.items() if v.name_hint != "main"}
    watched = tvm.IRModule({**functions, module.get_global_var("main"): function})
    return dict(zip((str(b.var.name) for b in taken), run(watched, x), strict=True))


@pytest.mark.parametrize(("seed", "dtype"), [(0, "int8"), (1, "uint8"), (2, "int16")])
def test_a_residual_net_keeps_its_results_and_every_bit(seed: int, dtype: Any) -> None:
    module, samples = residual_net(seed)
    quantized = QuantizeInt8(samples=samples, activation_dtype=dtype)(module)
    kinds = [kind_of(func) for func in quantized.functions.values() if is_integer_layer(func)]
    assert len(kinds) - kinds.count("requantise") == 11
    x = samples["input"][:1]
    expected, values = values_of(module, x)["fc"], values_of(quantized, x)
    assert snr(expected, values["fc_real"]) > (35 if dtype == "int16" else 25), f"seed {seed}"
    for binding in bindings(quantized["main"]):
        call = binding.value
        if isinstance(call.op, tvm.ir.GlobalVar):
            inputs = [values[str(arg.name)] for arg in call.args]
            declared = evaluate(read_layer(quantized[call.op]), inputs)
            np.testing.assert_array_equal(values[str(binding.var.name)], declared)


def test_bias_and_activation_are_part_of_the_layer() -> None:
    module, samples = residual_net()
    quantized = QuantizeInt8(samples=samples)(module)
    found = layers(quantized)
    stem, depthwise = found["/stem"][0], found["/depthwise"][0]
    assert isinstance(stem, ConvLayer)
    assert isinstance(depthwise, ConvLayer)
    assert stem.bias.any()
    assert stem.lo == stem.y.zero_point == -128
    assert depthwise.groups == 16
    assert -128 < depthwise.lo == depthwise.y.zero_point < depthwise.hi < 127
    assert ops(quantized) == ["relax.quantize", "relax.dequantize", "relax.nn.softmax"]
    assert str(quantized["main"].attrs["zeroskip.scales"]["stem_relu"]).endswith(" zp=-128")


def test_zero_weights_stay_zero_and_channels_have_their_own_scale() -> None:
    net = RelaxNet(1, 4, 8, 8)
    weight = net.weight(3, 4, 3, 3)
    weight[np.abs(weight) < 0.2] = 0
    weight[1] *= 1e-3
    weight[2] = 0
    value = net.op("conv", relax.op.nn.conv2d(net.x, net.const(weight), padding=1))
    bias = np.reshape([0.5, 0.0, -0.25], (1, 3, 1, 1))
    module = net.finish(net.op("bias", relax.op.add(value, net.const(bias))))
    samples = net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    (layer,) = layers(quantized)["/conv"]
    assert isinstance(layer, ConvLayer)
    np.testing.assert_array_equal(layer.weight[weight == 0], 0)
    np.testing.assert_array_equal(np.abs(layer.weight[:2]).max(axis=(1, 2, 3)), 127)
    expected, result = run(module, samples["input"][:1])[0], run(quantized, samples["input"][:1])[0]
    step = (expected.max() - expected.min()) / 255
    assert np.abs(expected - result)[:, 2].max() <= step


@pytest.mark.parametrize(
    ("seen", "dtype", "width", "zero_point"),
    [
        (Range(-0.33, 1), "int8", 1.33, -65),  # 63.27 steps above -128
        (Range(-0.3, 1), "int8", 1.3, -69),  # 58.85
        (Range(-0.33, 1), "uint8", 1.33, 63),
        (Range(0.5, 2), "int8", 2, -128),
        (Range(-2, -0.5), "int8", 2, 127),
        (Range(0, 0), "int8", 255, 0),
    ],
)
def test_a_scale_spans_its_range_and_zero_is_a_step_of_it(
    seen: Range, dtype: Any, width: float, zero_point: int
) -> None:
    assert scale_of(seen, dtype) == Scale(float(np.float32(width / 255)), zero_point, dtype)


@pytest.mark.parametrize(
    ("seen", "scale"),
    [(Range(-2, 1), 2 / 32767), (Range(0.5, 3), 3 / 32767), (Range(-1, -0.5), 1 / 32767)],
)
def test_int16_is_symmetric_by_the_largest_magnitude(seen: Range, scale: float) -> None:
    assert scale_of(seen, "int16") == Scale(float(np.float32(scale)), 0, "int16")
    assert scale_of(Range(0, 0), "int16") == Scale(1.0, 0, "int16")


def test_an_average_of_int16_whose_sums_may_not_be_exact_stays_float() -> None:
    net = RelaxNet(1, 1, 257, 256)
    module = net.finish(net.op("mean", relax.op.mean(net.x, axis=[2, 3], keepdims=True)))
    samples = net.samples()
    wide = QuantizeInt8(samples=samples, activation_dtype="int16")(module)
    assert "averages 65792 values of 16 bits" in cpu_reasons(wide)["/mean"]
    assert cpu_reasons(QuantizeInt8(samples=samples)(module)) == {}


def test_weights_biases_and_bounds_are_rounded() -> None:
    """Of the third channel the bias, not the weights, decides the scale."""
    net = RelaxNet(1, 2, 6, 6)
    weight = net.weight(3, 2, 1, 1)
    weight[2] = 1e-12
    bias = np.array([0.337, -0.773, 40.0])
    value = net.op("conv", relax.op.nn.conv2d(net.x, net.const(weight)))
    value = net.op("bias", relax.op.add(value, net.const(bias.reshape(1, 3, 1, 1))))
    module = net.finish(net.op("clip", relax.op.clip(value, -0.777, 0.553)))
    (result,) = outputs(module["main"])
    ranges = {"input": Range(-1, 2), str(result.name): Range(-1, 0.9)}
    (layer,) = layers(QuantizeInt8(ranges)(module))["/conv"]
    assert isinstance(layer, ConvLayer)
    sx, sy = (float(np.float32(width / 255)) for width in (3, 1.9))
    scale = np.abs(weight.astype(np.float64)).max(axis=(1, 2, 3)) / 127
    scale[2] = 40 / (sx * 2**29)
    expected = np.rint(weight / scale.reshape(-1, 1, 1, 1))
    np.testing.assert_array_equal(layer.weight, expected)
    np.testing.assert_allclose(layer.bias, np.rint(bias / (sx * scale)), rtol=1e-6)
    assert layer.bias[:2].tolist() == np.rint(bias / (sx * scale))[:2].tolist()
    np.testing.assert_allclose(layer.mult / 2.0**layer.shift, sx * scale / sy, rtol=1e-9)
    assert (layer.y.zero_point, layer.lo, layer.hi) == (6, -98, 80)


def test_the_scales_of_a_concat_are_joined() -> None:
    net = RelaxNet(1, 4, 8, 8)
    stem = net.relu("relu", net.conv("stem", net.x, 8))
    both = [net.conv("left", stem, 4), net.conv("right", stem, 6)]
    module = net.finish(net.op("concat", relax.op.concat(both, axis=1)))
    found = layers(QuantizeInt8(samples=net.samples())(module))
    (concat,) = found["/concat"]
    assert isinstance(concat, ConcatLayer)
    assert found["/left"][0].y == concat.xs[0]

    net = RelaxNet(1, 4, 8, 8)
    stem = net.relu("relu", net.conv("stem", net.x, 8))
    left = net.conv("left", stem, 4)
    concat_var = net.op("concat", relax.op.concat([left, stem], axis=1))
    module = net.finish(concat_var, left)
    names = [str(b.var.name) for b in bindings(module["main"])]
    joined = str(outputs(module["main"])[0].name)
    for wide, kinds in (
        (4.0, ["requantise", "concat"]),
        (9.0, ["requantise", "requantise", "concat"]),
    ):
        ranges = {name: Range(-wide if name == joined else -2.0, 2.0) for name in names}
        found = layers(QuantizeInt8({**ranges, "input": Range(-1.0, 1.0)})(module))
        # left leaves the network in its own scale; the stem's is near the concat's, or not
        assert [layer.kind for layer in found["/concat"]] == kinds


def test_what_keeps_its_inputs_scale_passes_a_concats_on() -> None:
    """A pyramid of pools beside what they pool, two concats behind one another."""
    net = RelaxNet(1, 4, 8, 8)
    stem = net.relu("relu", net.conv("stem", net.x, 8))
    pools = [
        net.op(f"pool{k}", relax.op.nn.max_pool2d(stem, (k, k), padding=k // 2)) for k in (3, 5)
    ]
    first = net.op("first", relax.op.concat([stem, *pools], axis=1))
    half = net.op("half", relax.op.strided_slice(first, [1], [0], [12]))
    last = net.op("last", relax.op.concat([half, net.conv("other", net.x, 8)], axis=1))
    module = net.finish(net.conv("end", last, 4))
    found = layers(QuantizeInt8(samples=net.samples())(module))
    kinds = [layer.kind for of_node in found.values() for layer in of_node]
    assert "requantise" not in kinds
    assert kinds.count("concat") == 2


def test_a_tensor_is_quantized_and_dequantized_once() -> None:
    net = RelaxNet(1, 4, 8, 8)
    x = net.op("tanh_in", relax.op.tanh(net.x))
    y = net.op("sum", relax.op.add(net.conv("one", x, 4), net.conv("two", x, 4)))
    z = net.op("mul", relax.op.multiply(relax.op.sigmoid(y), y))
    module = net.finish(z, y)
    samples = net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    assert ops(quantized).count("relax.quantize") == 1
    assert ops(quantized).count("relax.dequantize") == 1
    for expected, result in zip(
        run(module, samples["input"][:1]), run(quantized, samples["input"][:1]), strict=True
    ):
        assert snr(expected, result) > 25


def test_pools() -> None:
    net = RelaxNet(1, 4, 10, 10)
    x = net.relu("relu", net.conv("stem", net.x, 8))
    a = net.op("ceil", relax.op.nn.max_pool2d(x, (3, 3), (2, 2), ceil_mode=True))
    b = net.op("counted", relax.op.nn.avg_pool2d(x, (2, 2), (2, 2), count_include_pad=True))
    c = net.op("areas", relax.op.nn.avg_pool2d(x, (3, 3), (2, 2), (1, 1)))
    d = net.op("mean", relax.op.mean(b, axis=[-1, -2]))
    module = net.finish(a, c, d)
    samples = net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    found = layers(quantized)
    pool, counted = found["/ceil"][0], found["/counted"][0]
    assert isinstance(pool, MaxPoolLayer)
    assert pool.padding == (0, 0, 1, 1)
    assert isinstance(counted, AvgPoolLayer)
    assert [layer.kind for layer in found["/mean"]] == ["avgpool", "reshape"]
    assert cpu_reasons(quantized) == {"/areas": "its windows divide by different areas"}
    x0 = samples["input"][:1]
    for expected, result in zip(run(module, x0), run(quantized, x0), strict=True):
        assert snr(expected, result) > 25


def test_one_dimensional_nets() -> None:
    net = RelaxNet(2, 4, 40)
    x = net.relu("relu", net.conv("stem", net.x, 8, strides=2))
    x = net.op("pool", relax.op.nn.max_pool1d(x, 2, 2))
    x = net.op(
        "flatten",
        relax.op.flatten(net.conv("two", x, 4))
        if False
        else relax.op.reshape(net.conv("two", x, 4), (2, 40)),
    )
    module = net.finish(net.dense("fc", x, 5))
    samples = net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    kinds = [layer.kind for group in layers(quantized).values() for layer in group]
    assert kinds == ["conv", "maxpool", "conv", "reshape", "dense"]
    x0 = samples["input"][:2]
    assert snr(run(module, x0)[0], run(quantized, x0)[0]) > 25


def test_what_only_moves_data_between_float_ops_stays_float() -> None:
    net = RelaxNet(1, 4, 6)
    x = net.op("reshape", relax.op.reshape(net.relu("relu", net.x), (1, 24)))
    module = net.finish(net.op("softmax", relax.op.nn.softmax(x)))
    quantized = QuantizeInt8(samples=net.samples())(module)
    assert not layers(quantized)
    assert set(cpu_reasons(quantized)) == {"/reshape", "/relu"}


def test_sums_that_could_overflow_stay_float() -> None:
    net = RelaxNet(1, 70000)
    weight = np.ones((70000, 2), np.float32)
    module = net.finish(net.op("fc", relax.op.matmul(net.x, net.const(weight))))
    quantized = QuantizeInt8(samples=net.samples(1))(module)
    assert cpu_reasons(quantized) == {"/fc": "its sums can exceed 32 bits"}
    assert "relax.matmul" in ops(quantized)


def test_without_ranges_or_scales_it_says_what_to_do() -> None:
    module, samples = residual_net()
    with pytest.raises(PassError, match="give samples"):
        QuantizeInt8()(module)
    ranges = calibrate(module, samples)
    del ranges["block_relu1"]
    with pytest.raises(PassError, match="'block_relu1'"):
        QuantizeInt8(ranges)(module)


def test_a_dead_activation_is_no_obstacle() -> None:
    net = RelaxNet(1, 4, 6, 6)
    module = net.finish(net.relu("relu", net.conv("conv", net.x, 4)))
    ranges = dict.fromkeys(calibrate(module, net.samples(1)), Range(0, 0))
    quantized = QuantizeInt8(ranges)(module)
    result = run(quantized, np.zeros((1, 4, 6, 6), np.float32))[0]
    assert np.isfinite(result).all()


# ------------------------------------------------------------------- models with their own scales


def fake_quantize(net: RelaxNet, x: Any, scale: float, zero_point: int, dtype: str) -> Any:
    constants = net.const(scale), net.const(zero_point, dtype)
    name = str(x.name)
    q = net.op(f"{name}_q", relax.op.quantize(x, *constants, axis=-1, out_dtype=dtype))
    return net.op(f"{name}_dq", relax.op.dequantize(q, *constants, axis=-1, out_dtype="float32"))


def given_weight(net: RelaxNet, weight: Array, scale: Array, axis: int) -> Any:
    zeros = np.zeros(scale.shape)
    return relax.op.dequantize(
        net.const(weight, "int8"), net.const(scale), net.const(zeros, "int8"), axis=axis
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_quantized_model_keeps_its_own_numbers(dtype: str) -> None:
    net = RelaxNet(1, 3, 9, 9, seed=5)
    zero = 10 if dtype == "uint8" else -5
    weight = net.rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8)
    scale = net.rng.uniform(0.001, 0.01, 6).astype(np.float32)
    bias = net.rng.integers(-4000, 4000, 6).astype(np.int32)
    x = fake_quantize(net, net.x, 0.02, zero, dtype)
    y = net.op("conv", relax.op.nn.conv2d(x, given_weight(net, weight, scale, 0), padding=1))
    bias_scale = net.const(np.float32(0.02) * scale)
    real = relax.op.dequantize(
        net.const(bias, "int32"), bias_scale, net.const(np.zeros(6), "int32"), axis=0
    )
    y = net.op("bias", relax.op.add(y, relax.op.reshape(real, (1, 6, 1, 1))))
    y = fake_quantize(net, net.relu("relu", y), 0.015, zero - 3, dtype)
    y = net.op("gap", relax.op.mean(y, axis=[2, 3], keepdims=True))
    y = fake_quantize(net, y, 0.004, zero + 1, dtype)
    y = net.op("flat", relax.op.reshape(y, (1, 6)))
    y = fake_quantize(net, y, 0.004, zero + 1, dtype)
    fc = net.rng.integers(-127, 128, (4, 6)).astype(np.int8)
    matrix = relax.op.permute_dims(given_weight(net, fc, np.array([0.01], np.float32), 0))
    y = fake_quantize(net, net.op("fc", relax.op.matmul(y, matrix)), 0.03, zero, dtype)
    module = net.finish(y)

    quantized = QuantizeInt8()(module)
    found = layers(quantized)
    conv, dense = found["/conv"][0], found["/fc"][0]
    assert isinstance(conv, ConvLayer)
    assert isinstance(dense, DenseLayer)
    np.testing.assert_array_equal(conv.weight, weight)
    np.testing.assert_array_equal(conv.bias, bias)
    np.testing.assert_array_equal(dense.weight, fc)
    assert (conv.x.zero_point, conv.y.zero_point, conv.lo) == (zero, zero - 3, zero - 3)
    assert conv.x.dtype == dtype
    assert isinstance(found["/flat"][0], ReshapeLayer)
    assert cpu_reasons(quantized) == {}
    before, after = compile_for_cpu(module), compile_for_cpu(quantized)
    for seed in range(3):
        data = np.random.default_rng(seed).standard_normal((1, 3, 9, 9)).astype(np.float32)
        expected, result = run_cpu(before, "main", [data])[0], run_cpu(after, "main", [data])[0]
        assert np.abs(expected - result).max() <= 0.0301, f"seed {seed}"  # one step of the output


def test_a_quantized_model_may_return_integers_and_rescale_in_between() -> None:
    net = RelaxNet(1, 3, 8, 8, seed=6)
    x = fake_quantize(net, net.x, 0.02, 3, "int8")
    pooled = net.op("pool", relax.op.nn.max_pool2d(x, (2, 2), (2, 2)))
    y = fake_quantize(net, pooled, 0.04, -7, "int8")
    weight = given_weight(
        net, net.rng.integers(-9, 9, (2, 3, 1, 1)), np.array([0.1], np.float32), 0
    )
    conv = net.op("conv", relax.op.nn.conv2d(y, weight))
    last = relax.op.quantize(conv, net.const(0.05), net.const(1, "int8"), axis=-1, out_dtype="int8")
    module = net.finish(net.op("last", last))
    quantized = QuantizeInt8()(module)
    assert [layer.kind for layer in layers(quantized)["/pool"]] == ["maxpool", "requantise"]
    assert isinstance(layers(quantized)["/pool"][1], RequantizeLayer)
    assert "relax.dequantize" not in ops(quantized)
    data = net.samples(1)["input"]
    expected, result = run(module, data)[0], run(quantized, data)[0]
    assert expected.dtype == result.dtype == np.int8
    assert np.abs(expected.astype(int) - result).max() <= 1


def test_ops_on_the_integers_of_a_quantized_model_are_layers_too() -> None:
    net = RelaxNet(1, 3, 8, 8, seed=9)
    form = net.const(0.02), net.const(3, "uint8")
    q = net.op("q", relax.op.quantize(net.x, *form, axis=-1, out_dtype="uint8"))
    pooled = net.op("pool", relax.op.nn.max_pool2d(q, (2, 2), (2, 2)))
    flat = net.op("flat", relax.op.reshape(pooled, (1, 48)))
    real = net.op("dq", relax.op.dequantize(flat, *form, axis=-1, out_dtype="float32"))
    weight = given_weight(net, net.rng.integers(-9, 9, (48, 2)), np.array([0.1], np.float32), 1)
    out = fake_quantize(net, net.op("fc", relax.op.matmul(real, weight)), 0.1, 100, "uint8")
    module = net.finish(out)
    quantized = QuantizeInt8()(module)
    kinds = [layer.kind for group in layers(quantized).values() for layer in group]
    assert kinds == ["maxpool", "reshape", "dense"]
    data = net.samples(1)["input"]
    assert np.abs(run(module, data)[0] - run(quantized, data)[0]).max() <= 0.101


def test_an_integer_input_needs_no_quantize() -> None:
    net = RelaxNet(1, 3, 8, 8, seed=10, dtype="int8")
    form = net.const(0.02), net.const(3, "int8")
    real = net.op("dq", relax.op.dequantize(net.x, *form, axis=-1, out_dtype="float32"))
    y = fake_quantize(net, net.conv("conv", real, 4), 0.05, 1, "int8")
    module = net.finish(y)
    quantized = QuantizeInt8()(module)
    assert ops(quantized) == ["relax.dequantize"]
    data = np.random.default_rng(10).integers(-128, 128, (1, 3, 8, 8)).astype(np.int8)
    assert snr(run(module, data)[0], run(quantized, data)[0]) > 25


def test_float_ops_keep_the_rounding_of_a_quantized_model() -> None:
    net = RelaxNet(1, 6)
    values = fake_quantize(net, net.op("tanh", relax.op.tanh(net.x)), 0.1, 0, "int8")
    module = net.finish(net.op("exp", relax.op.exp(values)))
    quantized = QuantizeInt8()(module)
    data = net.samples(1)["input"]
    np.testing.assert_array_equal(run(module, data)[0], run(quantized, data)[0])


def stands_for(module: tvm.IRModule, x: Array, name: str) -> Array:
    """The real values of an integer variable of main."""
    words = str(module["main"].attrs["zeroskip.scales"][name]).split()
    step, zero = (float(word.partition("=")[2]) for word in words)
    values: Array = (values_of(module, x)[name].astype(np.float64) - zero) * step
    return values


@pytest.mark.diagonal
@pytest.mark.parametrize("shape", [(1, 8, 8, 8), (1, 8, 1, 1), (1, 1, 8, 8), (1, 1, 1, 1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_product_is_scaled_by_both_scales(shape: tuple[int, ...], swapped: bool) -> None:
    """The tensor with all elements first, whichever comes first in the model."""
    net = RelaxNet(1, 8, 8, 8)
    x, factor = net.conv("whole", net.x, 8), net.conv("factor", net.x, shape[1])
    if shape[2:] == (1, 1):
        factor = net.op("mean", relax.op.mean(factor, axis=[2, 3], keepdims=True))
    pair = (factor, x) if swapped else (x, factor)
    end = net.relu("relu", net.op("product", relax.op.multiply(*pair)))
    module = net.finish(net.conv("last", end, 4))
    samples = net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    (layer,) = layers(quantized)["/product"]
    assert isinstance(layer, MultiplyLayer)
    assert (layer.a.shape, layer.b.shape) == ((1, 8, 8, 8), shape)
    assert layer.lo == layer.y.zero_point
    x = samples["input"][:1]
    assert snr(values_of(module, x)["relu"], stands_for(quantized, x, "relu")) > 20


def test_a_difference_is_an_addition() -> None:
    net = RelaxNet(1, 8, 8, 8)
    first, second = net.conv("first", net.x, 8), net.conv("second", net.x, 8)
    end = net.op("difference", relax.op.subtract(first, second))
    module, samples = net.finish(net.conv("last", end, 4)), net.samples()
    quantized = QuantizeInt8(samples=samples)(module)
    (layer,) = layers(quantized)["/difference"]
    assert isinstance(layer, AddLayer)
    assert layer.mult_b < 0 < layer.mult_a
    x = samples["input"][:1]
    assert snr(values_of(module, x)["difference"], stands_for(quantized, x, "difference")) > 25


def test_a_factor_that_neither_channels_nor_pixels_share_stays_float() -> None:
    net = RelaxNet(1, 8, 8, 8)
    rows = net.op("rows", relax.op.mean(net.conv("b", net.x, 8), axis=[3], keepdims=True))
    end = net.op("product", relax.op.multiply(net.conv("a", net.x, 8), rows))
    made = QuantizeInt8(samples=net.samples())(net.finish(net.conv("last", end, 4)))
    assert "one for each element, channel or pixel" in cpu_reasons(made)["/product"]
