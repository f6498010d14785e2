import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from tests.relay_passes.onnx_oracle import inputs_of, parse, reference, run_tvm
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import origin
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx

SEED = 13
RNG = np.random.default_rng(SEED)
UNSIGNED: dict[str, npt.ArrayLike] = {"xz": np.uint8(128), "yz": np.uint8(120)}


def check(model: onnx.ModelProto, wanted: npt.NDArray[np.generic], steps: int) -> onnx.ModelProto:
    """The normalised model, in `onnx.reference` and in TVM, is within `steps` of `wanted`."""
    result = normalise_onnx(model)
    onnx.checker.check_model(result, full_check=True)
    values = inputs_of(model, SEED)
    for [got] in (reference(result, values), run_tvm(import_onnx(result), list(values.values()))):
        assert got.dtype == wanted.dtype
        assert np.abs(got.astype(np.int64) - wanted.astype(np.int64)).max() <= steps
    return result


def quantize(real: npt.NDArray[np.float64], scale: float, zero: int) -> npt.NDArray[np.uint8]:
    return np.clip(np.round(real / scale) + zero, 0, 255).astype(np.uint8)


def integer_conv(
    x: npt.NDArray[np.integer], w: npt.NDArray[np.integer], stride: int, pad: int
) -> npt.NDArray[np.int64]:
    """A direct convolution in int64, one position at a time."""
    x = np.pad(x.astype(np.int64), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    k = w.shape[2]
    out = [(size - k) // stride + 1 for size in x.shape[2:]]
    y = np.zeros((x.shape[0], w.shape[0], *out), np.int64)
    for row in range(out[0]):
        for col in range(out[1]):
            window = x[:, :, row * stride : row * stride + k, col * stride : col * stride + k]
            y[:, :, row, col] = np.einsum("nchw,kchw->nk", window, w.astype(np.int64))
    return y


def test_qlinear_conv_keeps_its_weights_and_scales() -> None:
    weight = RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales = RNG.uniform(0.002, 0.01, 4).astype(np.float32)
    bias = RNG.integers(-500, 500, 4).astype(np.int32)
    text = """g (uint8[1,3,8,8] x) => (uint8[1,4,4,4] y) {
        [c] y = QLinearConv<pads=[1,1,1,1], strides=[2,2]>(x, xs, xz, w, ws, wz, ys, yz, b) }"""
    model = parse(
        text, opset=21, xs=np.float32(0.02), w=weight, ws=scales, wz=np.zeros(4, np.int8),
        ys=np.float32(0.05), b=bias, **UNSIGNED,
    )  # fmt: skip
    x = inputs_of(model, SEED)["x"].astype(np.int64) - 128
    acc = integer_conv(x, weight, 2, 1) + bias.reshape(-1, 1, 1)
    wanted = quantize(acc * (np.float64(0.02) * scales.reshape(-1, 1, 1)), 0.05, 120)
    result = check(model, wanted, 1)
    assert [node.op_type for node in result.graph.node] == [
        "DequantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear",
    ]  # fmt: skip
    assert {origin(node) for node in result.graph.node} == {"c"}
    kept = {item.name: item for item in result.graph.initializer}
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept["w"]), weight)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept["ws"]), scales)


def test_old_operator_sets_work_too() -> None:
    text = """g (uint8[1,2,5,5] x) => (uint8[1,3,5,5] y) {
        [c] y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz) }"""
    weight = RNG.integers(-127, 128, (3, 2, 1, 1)).astype(np.int8)
    scales = np.array([0.01, 0.02, 0.03], np.float32)
    model = parse(
        text, opset=10, xs=np.float32(0.02), w=weight, ws=scales, wz=np.zeros(3, np.int8),
        ys=np.float32(0.05), **UNSIGNED,
    )  # fmt: skip
    values = inputs_of(model, SEED)
    acc = integer_conv(values["x"].astype(np.int64) - 128, weight, 1, 0)
    wanted = quantize(acc * (np.float64(0.02) * scales.reshape(-1, 1, 1)), 0.05, 120)
    [got] = run_tvm(import_onnx(normalise_onnx(model)), list(values.values()))
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1


def test_qlinear_matmul() -> None:
    weight = RNG.integers(-127, 128, (6, 5)).astype(np.int8)
    scales = RNG.uniform(0.002, 0.01, 5).astype(np.float32)
    text = """g (uint8[2,6] x) => (uint8[2,5] y) {
        [m] y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz) }"""
    model = parse(
        text, opset=21, xs=np.float32(0.02), w=weight, ws=scales, wz=np.zeros(5, np.int8),
        ys=np.float32(0.05), **UNSIGNED,
    )  # fmt: skip
    x = inputs_of(model, SEED)["x"].astype(np.int64) - 128
    check(model, quantize((x @ weight.astype(np.int64)) * (0.02 * scales), 0.05, 120), 1)


def test_conv_integer_is_exact() -> None:
    weight = RNG.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8)
    text = """g (uint8[1,3,6,6] x) => (int32[1,4,6,6] y) {
        [c] y = ConvInteger<pads=[1,1,1,1]>(x, w, xz, wz) }"""
    model = parse(text, opset=21, w=weight, xz=np.uint8(3), wz=np.uint8(100))
    x = inputs_of(model, SEED)["x"].astype(np.int64) - 3
    wanted = integer_conv(x, weight.astype(np.int64) - 100, 1, 1).astype(np.int32)
    check(model, wanted, 0)


def test_matmul_integer_is_exact() -> None:
    weight = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
    text = "g (int8[2,6] x) => (int32[2,5] y) { [m] y = MatMulInteger(x, w, xz, wz) }"
    zeros = np.array([0, 1, 2, -3, 4], np.int8)
    model = parse(text, opset=21, w=weight, xz=np.int8(-7), wz=zeros)
    x = inputs_of(model, SEED)["x"].astype(np.int64) + 7
    check(model, (x @ (weight.astype(np.int64) - zeros)).astype(np.int32), 0)


SCALES: dict[str, npt.ArrayLike] = {"xs": np.float32(0.02), "ys": np.float32(0.05), **UNSIGNED}


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("QLinearAdd(x, xs, xz, z, xs, xz, ys, yz)", lambda x, z: x + z),
        ("QLinearMul(x, xs, xz, z, xs, xz, ys, yz)", lambda x, z: x * z),
        ("QLinearConcat<axis=1>(ys, yz, x, xs, xz, z, xs, xz)",
         lambda x, z: np.concatenate([x, z], 1)),
        ("QLinearGlobalAveragePool(x, xs, xz, ys, yz)",
         lambda x, z: x.mean((2, 3), keepdims=True)),
    ],
)  # fmt: skip
def test_microsofts_operators(call: str, wanted: object) -> None:
    assert callable(wanted)
    text = f"""g (uint8[1,2,4,4] x, uint8[1,2,4,4] z) => (uint8[A,B,C,D] y) {{
        [q] y = com.microsoft.{call} }}"""
    model = parse(text, opset=21, **SCALES)
    values = inputs_of(model, SEED)
    reals = [(values[name].astype(np.float64) - 128) * 0.02 for name in ("x", "z")]
    check(model, quantize(wanted(*reals), 0.05, 120), 1)


def test_qgemm() -> None:
    weight = RNG.integers(-127, 128, (5, 6)).astype(np.int8)
    scales = RNG.uniform(0.002, 0.01, 5).astype(np.float32)
    bias = RNG.integers(-500, 500, 5).astype(np.int32)
    text = """g (uint8[2,6] x) => (uint8[2,5] y) {
        [f] y = com.microsoft.QGemm<transB=1>(x, xs, xz, w, ws, wz, b, ys, yz) }"""
    model = parse(text, opset=21, w=weight, ws=scales, wz=np.zeros(5, np.int8), b=bias, **SCALES)
    x = inputs_of(model, SEED)["x"].astype(np.int64) - 128
    acc = x @ weight.astype(np.int64).T + bias
    check(model, quantize(acc * (0.02 * scales), 0.05, 120), 1)


def test_a_bias_of_unknown_scale_is_refused() -> None:
    text = """g (uint8[1,1,4,4] x, float s) => (uint8[1,1,4,4] y) {
        [c] y = QLinearConv(x, s, xz, w, ys, wz, ys, yz, b) }"""
    model = parse(
        text, opset=21, w=np.ones((1, 1, 1, 1), np.int8), wz=np.int8(0),
        b=np.zeros(1, np.int32), ys=np.float32(1), **UNSIGNED,
    )  # fmt: skip
    model.graph.input[1].type.CopyFrom(
        helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, []).type
    )
    with pytest.raises(FrontError, match="Node 'c' \\(QLinearConv\\) has a bias"):
        normalise_onnx(model)
