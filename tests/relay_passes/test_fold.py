import numpy as np
import onnx
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tests.relay_passes.onnx_oracle import (
    NetBuilder,
    assert_close,
    inputs_of,
    parse,
    reference,
    run_tvm,
)
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.fold import FoldBatchNorm, FoldConstants, fold_batch_norm
from zeroskip.relay_passes.relax.rewriting import (
    bind,
    bindings,
    const_value,
    make_const,
    nodes_of,
    op_name,
)

SEED = 19


def check(model: onnx.ModelProto) -> tvm.IRModule:
    """The module after FoldBatchNorm, whose numbers are those of the model."""
    normal = normalise_onnx(model)
    mod = tvm.transform.Sequential([FoldBatchNorm()])(import_onnx(normal))
    relax.analysis.well_formed(mod)
    values = inputs_of(normal, SEED)
    assert_close(run_tvm(mod, list(values.values())), reference(normal, values))
    return mod


def calls(mod: tvm.IRModule) -> list[str]:
    names = [op_name(binding.value) for binding in bindings(mod["main"])]
    return [str(name).removeprefix("relax.").removeprefix("nn.") for name in names]


def test_batch_norm_goes_into_the_convolution() -> None:
    net = NetBuilder(SEED)
    net.conv(8)
    net.norm()
    net.add("Relu")
    mod = check(net.model())
    assert calls(mod) == ["conv2d", "add", "relu"]
    assert nodes_of(mod["main"]) == {
        "conv0_conv2d": "conv0",
        "batchnormalization1": "batchnormalization1",
        "relu2": "relu2",
    }


def test_the_folded_numbers_are_exact_in_float64() -> None:
    net = NetBuilder(SEED)
    net.conv(8, group=4)
    net.norm()
    weight, bias, gamma, beta, mean, var = map(onnx.numpy_helper.to_array, net.constants)
    conv, add = bindings(check(net.model())["main"])
    scale = gamma.astype(np.float64) / np.sqrt(var.astype(np.float64) + np.float32(1e-5))
    wanted = (weight * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(const_value(conv.value.args[1]), wanted)
    wanted = (scale * bias - mean * scale + beta).astype(np.float32).reshape(1, -1, 1, 1)
    got = const_value(add.value.args[1])
    assert got is not None
    assert_close([got], [wanted], 2e-7)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**16),
    layers=st.lists(st.sampled_from(["norm", "Add", "Sub", "Mul", "Div"]), min_size=1, max_size=4),
    group=st.sampled_from([1, 4]),
    bias=st.booleans(),
)
def test_any_chain_after_a_convolution_folds(
    seed: int, layers: list[str], group: int, bias: bool
) -> None:
    net = NetBuilder(seed, size=6)
    net.conv(4, group=group, bias=bias)
    for layer in layers:
        net.norm() if layer == "norm" else net.per_channel(layer)
    net.add("Relu")
    assert set(calls(check(net.model()))) - {"add"} == {"conv2d", "relu"}
    assert calls(check(net.model())).count("add") <= 1


def test_no_bias_is_added_where_none_is_left() -> None:
    net = NetBuilder(SEED)
    net.conv(4, bias=False)
    net.per_channel("Mul")
    net.add("Relu")
    assert calls(check(net.model())) == ["conv2d", "relu"]


def test_a_plain_bias_is_left_alone() -> None:
    net = NetBuilder(SEED)
    net.conv(4)
    net.residual()
    mod = import_onnx(normalise_onnx(net.model()))
    once = fold_batch_norm(mod["main"])
    tvm.ir.assert_structural_equal(fold_batch_norm(once), once)


def test_a_norm_after_anything_else_becomes_multiply_and_add() -> None:
    net = NetBuilder(SEED)
    net.add("Relu")
    net.norm()
    net.add("Sigmoid")
    mod = check(net.model())
    assert calls(mod) == ["relu", "multiply", "add", "sigmoid"]
    assert list(nodes_of(mod["main"]).values())[1:3] == ["batchnormalization1"] * 2


def test_arithmetic_without_a_norm_or_a_layer_is_left_alone() -> None:
    net = NetBuilder(SEED)
    net.add("Relu")
    net.per_channel("Mul")
    net.per_channel("Add")
    assert calls(check(net.model())) == ["relu", "multiply", "add"]


def test_a_convolution_that_two_read_keeps_its_weights() -> None:
    rng = np.random.default_rng(SEED)
    text = """g (float[1,2,4,4] x) => (float[1,2,4,4] y) {
        a = Conv(x, w)  b = BatchNormalization(a, s, t, m, v)  y = Add(a, b) }"""
    vectors = {name: rng.uniform(0.5, 2, 2).astype(np.float32) for name in "stmv"}
    weight = rng.standard_normal((2, 2, 1, 1)).astype(np.float32)
    assert calls(check(parse(text, opset=17, w=weight, **vectors))) == [
        "conv2d",
        "multiply",
        "add",
        "add",
    ]


def test_hard_swish_is_left_alone() -> None:
    net = NetBuilder(SEED)
    net.conv(4)
    net.norm()
    before = net.value
    net.add("Add", net.constant(3))
    net.relu6()
    net.add("Mul", before)
    net.add("Div", net.constant(6))
    assert calls(check(net.model())) == ["conv2d", "add", "add", "clip", "multiply", "divide"]


def test_transposed_convolution_takes_a_norm() -> None:
    net = NetBuilder(SEED)
    weight = net.constant(net.rng.standard_normal((4, 4, 2, 2)))
    net.add("ConvTranspose", weight, strides=[2, 2])
    net.norm()
    assert calls(check(net.model())) == ["conv2d_transpose", "add"]


def test_norm_after_a_fully_connected_layer() -> None:
    net = NetBuilder(SEED)
    net.head(5)
    net.shape = (1, 5)
    net.norm()
    assert calls(check(net.model()))[-2:] == ["matmul", "add"]


def test_one_number_per_column_is_not_one_per_channel() -> None:
    text = "g (float[1,4,4,4] x) => (float[1,4,4,4] y) { a = Conv(x, w)  y = Mul(a, c) }"
    rng = np.random.default_rng(SEED)
    weight = rng.standard_normal((4, 4, 1, 1)).astype(np.float32)
    columns = rng.standard_normal(4).astype(np.float32)
    assert calls(check(parse(text, w=weight, c=columns))) == ["conv2d", "multiply"]


def test_a_norm_that_trains_is_left() -> None:
    x = relax.Var("x", relax.TensorType((1, 2, 4, 4), "float32"))
    numbers = [make_const(np.ones(2, np.float32))] * 4
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            norm = bind(builder, relax.op.nn.batch_norm(x, *numbers, axis=1, training=True), "n")
            y = bind(builder, relax.TupleGetItem(norm, 0), "y", output=True)
        builder.emit_func_output(y)
    func = builder.finalize()["main"]
    tvm.ir.assert_structural_equal(fold_batch_norm(func), func)


def test_constants_fold() -> None:
    rng = np.random.default_rng(SEED)
    value = rng.standard_normal((2, 3)).astype(np.float32)
    one = make_const(value)
    x = relax.Var("x", relax.TensorType((6,), "float32"))
    builder = relax.BlockBuilder()
    steps = [
        relax.op.permute_dims(one, [1, 0]),
        relax.op.reshape(relax.op.expand_dims(one, 0), (6,)),
        relax.op.astype(one, "int64"),
        relax.op.broadcast_to(relax.op.reshape(one, (1, 2, 3)), (4, 2, 3)),
        relax.op.maximum(relax.op.subtract(one, make_const(np.float32(0.5))), one),
        relax.op.sqrt(relax.op.multiply(one, one)),
    ]
    with builder.function("main", [x]):
        with builder.dataflow():
            left = [bind(builder, step, f"v{i}", output=True) for i, step in enumerate(steps)]
        builder.emit_func_output(relax.Tuple(left))
    mod = tvm.transform.Sequential([FoldConstants()])(builder.finalize())
    wanted = [
        value.T, value.reshape(6), value.astype(np.int64), np.broadcast_to(value, (4, 2, 3)),
        np.maximum(value - np.float32(0.5), value), np.sqrt(value * value),
    ]  # fmt: skip
    got = [const_value(binding.value) for binding in bindings(mod["main"])]
    for left_value, right in zip(got, wanted, strict=True):
        assert left_value is not None
        assert left_value.dtype == right.dtype
        np.testing.assert_array_equal(left_value, right)


def test_quantizers_do_not_fold() -> None:
    text = "g (float[1,2] x) => (float[1,2] y) { w = DequantizeLinear(q, s)  y = MatMul(x, w) }"
    model = parse(text, opset=21, q=np.eye(2, dtype=np.int8), s=np.float32(0.5))
    mod = import_onnx(normalise_onnx(model))
    assert calls(mod) == ["dequantize", "matmul"]
