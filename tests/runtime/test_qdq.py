"""Models that are quantized already, against onnxruntime: on the accelerator, and its integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from tests.relay_passes.onnx_oracle import inputs_of, parse
from tests.runtime.command import zeroskip
from zeroskip import compiler, runtime
from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.pruning.detect import detect

Array = npt.NDArray[Any]
Constants = dict[str, npt.ArrayLike]
SEED = 12
RNG = np.random.default_rng(SEED)
W = RNG.standard_normal((8, 3, 3, 3)).astype(np.float32)
SW = (np.abs(W).max((1, 2, 3)) / 127).astype(np.float32)
CONSTANTS: Constants = {
    "w": W,
    "sw": SW,
    "zw": np.zeros(8, np.int8),
    "sx": np.float32(0.03),
    "zx": np.int8(3),
    "sy": np.float32(0.05),
    "zy": np.int8(-128),
    "z0": np.int8(0),
    "lo": np.int8(-8),
    "hi": np.int8(7),
    "wide": np.float32(0.5),
}
X = "float[1,3,6,6] x"
Y = "float[1,8,4,4] y"
HEAD = "q0 = QuantizeLinear(x, sx, zx) d = DequantizeLinear(q0, sx, zx)"
TAIL = "r = Relu(c) q1 = QuantizeLinear(r, sy, zy) y = DequantizeLinear(q1, sy, zy)"
WEIGHT = "qw = QuantizeLinear<axis=0>(w, sw, zw) dw = DequantizeLinear<axis=0>(qw, sw, zw)"


def network(
    body: str,
    x: str = X,
    y: str = Y,
    constants: Mapping[str, npt.ArrayLike] = {},
    *,
    opset: int = 17,
    **more: npt.ArrayLike,
) -> onnx.ModelProto:
    """A model of the nodes and of those constants that they read."""
    every = {**CONSTANTS, **constants, **more}
    names = set(re.findall(r"\w+", body))
    return parse(
        f"g ({x}) => ({y}) {{ {body} }}",
        opset=opset,
        **{name: value for name, value in every.items() if name in names},
    )


def both(
    model: onnx.ModelProto, x: Mapping[str, Array] | None = None
) -> tuple[Network, Array, Array]:
    """The compiled network, its output and onnxruntime's without its own fusions."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = inputs_of(model, SEED) if x is None else x
    [want] = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, dict(x))
    made = compiler.compile(model, "sparse256")
    return made, runtime.Session(made).run(x)["y"], want


def check_exact(model: onnx.ModelProto, cpu: int = 0) -> Network:
    made, got, want = both(model)
    assert len(made.cpu) == cpu, made.cpu
    np.testing.assert_array_equal(got, want)
    return made


WT = np.ascontiguousarray(W.transpose(2, 3, 1, 0))
WEIGHTS: dict[str, tuple[str, Constants]] = {
    "per channel": (WEIGHT, {}),
    "per tensor": (
        "qw = QuantizeLinear(w, sw, z0) dw = DequantizeLinear(qw, sw, z0)",
        {"sw": np.float32(0.03)},
    ),
    "unsigned": (
        "qw = QuantizeLinear(w, sw, zw) dw = DequantizeLinear(qw, sw, zw)",
        {"sw": np.float32(0.03), "zw": np.uint8(128)},
    ),
    "cast between": (
        "qw = QuantizeLinear<axis=0>(w, sw, zw) qi = Identity(qw) "
        "qc = Cast<to=3>(qi) dw = DequantizeLinear<axis=0>(qc, sw, zw)",
        {},
    ),
    "transpose between": (
        "qw = QuantizeLinear<axis=3>(w, sw, zw) "
        "qt = Transpose<perm=[3,2,0,1]>(qw) "
        "dw = DequantizeLinear<axis=0>(qt, sw, zw)",
        {"w": WT},
    ),
    "transpose behind": (
        "qw = QuantizeLinear<axis=3>(w, sw, zw) "
        "dt = DequantizeLinear<axis=3>(qw, sw, zw) "
        "dw = Transpose<perm=[3,2,0,1]>(dt)",
        {"w": WT},
    ),
    "reshape between": (
        "qw = QuantizeLinear<axis=0>(w, sw, zw) qr = Reshape(qw, shape) "
        "dw = DequantizeLinear<axis=0>(qr, sw, zw)",
        {"w": W.reshape(8, 27), "shape": np.array([8, 3, 3, 3])},
    ),
    "twice": (
        "qa = QuantizeLinear<axis=0>(w, sw, zw) da = DequantizeLinear<axis=0>(qa, sw, zw) "
        "qw = QuantizeLinear<axis=0>(da, sw, zw) dw = DequantizeLinear<axis=0>(qw, sw, zw)",
        {},
    ),
    "clipped": (
        "qa = QuantizeLinear<axis=0>(w, sw, zw) qw = Clip(qa, lo, hi) "
        "dw = DequantizeLinear<axis=0>(qw, sw, zw)",
        {"sw": SW * 16},
    ),
    "com.microsoft": (
        "qw = com.microsoft.QuantizeLinear<axis=0>(w, sw, zw) "
        "dw = com.microsoft.DequantizeLinear<axis=0>(qw, sw, zw)",
        {},
    ),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_quantized_inside_the_model_are_its_integers(kind: str) -> None:
    nodes, constants = WEIGHTS[kind]
    made = check_exact(network(f"{HEAD} {nodes} c = Conv(d, dw) {TAIL}", constants=constants))
    assert len(made.programs) == 1


def test_a_bias_may_be_quantized_inside_the_model() -> None:
    # Ten steps of the sums to one of the bias: it is held exactly.
    weight, _ = WEIGHTS["per tensor"]
    check_exact(
        network(
            f"{HEAD} {weight} qb = QuantizeLinear(b, sb, z0) db = DequantizeLinear(qb, sb, z0) "
            f"c = Conv(d, dw, db) {TAIL}",
            b=RNG.standard_normal(8).astype(np.float32),
            sw=np.float32(0.03),
            sb=np.float32(0.009),
        )
    )
    check_exact(
        network(
            f"{HEAD} {WEIGHT} bi = Cast<to=6>(b) bj = Identity(bi) "
            f"db = DequantizeLinear<axis=0>(bj, sb) c = Conv(d, dw, db) {TAIL}",
            b=RNG.integers(-500, 500, 8).astype(np.float32),
            sb=SW * np.float32(0.03),
        )
    )


def test_gemm_takes_weights_that_are_quantized_along_either_axis() -> None:
    w = RNG.standard_normal((10, 12)).astype(np.float32)
    scale = np.abs(w).max(1) / 127
    for axis, transposed in ((0, 1), (1, 0), (-1, 0)):
        check_exact(
            network(
                f"{HEAD} qw = QuantizeLinear<axis={axis}>(w, sw, zw) "
                f"dw = DequantizeLinear<axis={axis}>(qw, sw, zw) "
                f"c = Gemm<transB={transposed}>(d, dw) {TAIL}",
                "float[1,12] x",
                "float[1,10] y",
                w=w if transposed else w.T,
                sw=scale,
                zw=np.zeros(10, np.int8),
            )
        )


def test_detect_sees_the_zeros_of_quantized_weights() -> None:
    pruned = W.copy()
    pruned[:4] = 0
    made = check_exact(network(f"{HEAD} {WEIGHT} c = Conv(d, dw) {TAIL}", w=pruned))
    [structure] = detect(made.floating_module)
    assert (structure.kept, structure.filters) == (4 * 27, 4)


ACTIVATIONS = {
    "clip": "q1 = Clip(qc, lo, hi) y = DequantizeLinear(q1, wide, z0)",
    "maximum and minimum": "qm = Max(qc, lo) q1 = Min(hi, qm) y = DequantizeLinear(q1, wide, z0)",
    "relu": "q1 = Relu(qc) y = DequantizeLinear(q1, wide, z0)",
    "behind a pool": "qm = MaxPool<kernel_shape=[2,2], pads=[0,0,1,1]>(qc) q1 = Clip(qm, lo, hi) "
    "y = DequantizeLinear(q1, wide, z0)",
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_limits_between_quantizers_are_the_layers(kind: str) -> None:
    made = check_exact(
        network(
            f"{HEAD} {WEIGHT} c = Conv(d, dw) qc = QuantizeLinear(c, wide, z0) {ACTIVATIONS[kind]}"
        )
    )
    assert len(made.programs) == 1


def test_limits_on_a_quantized_input_and_with_a_zero_point() -> None:
    check_exact(
        network(
            "qx = QuantizeLinear(x, coarse, z3) q0 = Clip(qx, least, most) "
            f"d = DequantizeLinear(q0, coarse, z3) {WEIGHT} c = Conv(d, dw) {TAIL}",
            coarse=np.float32(0.2),
            z3=np.uint8(9),
            least=np.uint8(3),
            most=np.uint8(16),
        )
    )


GATED = (
    f"{HEAD} {WEIGHT} c = Conv(d, dw) q1 = QuantizeLinear(c, sy, z0) r1 = DequantizeLinear(q1, sy, z0)"
    " s = Sigmoid(r1) q2 = QuantizeLinear(s, ss, zs) r2 = DequantizeLinear(q2, ss, zs)"
)


def test_a_quantized_silu_is_one_table() -> None:
    """With the sigmoid rounded on the way to its own 8 bits, as the model says."""
    sigmoid: Constants = {"ss": np.float32(1 / 128), "zs": np.uint8(3), "z2": np.int8(-40)}
    made = check_exact(
        network(
            f"{GATED} m = Mul(r1, r2) q3 = QuantizeLinear(m, sx, z2) y = DequantizeLinear(q3, sx, z2)",
            constants=sigmoid,
        )
    )
    (program,) = made.programs.values()
    assert [layer.kind for layer in program.layers] == ["conv+lookup"]


def test_a_quantized_sigmoid_that_something_else_reads_is_its_own_table() -> None:
    sigmoid: Constants = {"ss": np.float32(1 / 128), "zs": np.uint8(3)}
    made = check_exact(network(f"{GATED} y = Identity(r2)", constants=sigmoid))
    (program,) = made.programs.values()
    assert [layer.kind for layer in program.layers] == ["conv+lookup"]


UNARY: dict[str, tuple[str, str, int]] = {
    "AveragePool": ("<kernel_shape=[2,2], strides=[2,2]>", "1,8,3,3", 0),
    "GlobalAveragePool": ("", "1,8,1,1", 0),
    "Sigmoid": ("", "1,8,6,6", 1),
    "LeakyRelu": ("<alpha=0.2>", "1,8,6,6", 1),
}
EIGHT: Constants = {
    "xs": np.float32(0.05),
    "xz": np.uint8(120),
    "ys": np.float32(0.0317),
    "yz": np.uint8(100),
}  # few ties


@pytest.mark.parametrize("kind", UNARY)
def test_qlinear_operators_are_their_float_forms(kind: str) -> None:
    attrs, shape, cpu = UNARY[kind]
    check_exact(
        network(
            f"y = com.microsoft.QLinear{kind}{attrs}(x, xs, xz, ys, yz)",
            "uint8[1,8,6,6] x",
            f"uint8[{shape}] y",
            EIGHT,
        ),
        cpu,
    )


@pytest.mark.parametrize(("opset", "axes"), [(13, (1,)), (11, (1, 2, 3))])
def test_qlinear_softmax_is_its_definition(opset: int, axes: tuple[int, ...]) -> None:
    """onnxruntime's own is a table of integers, some values a step off the numbers' definition."""
    model = network(
        f"y = com.microsoft.QLinearSoftmax<axis=1, opset={opset}>(x, xs, xz, ys, yz)",
        "uint8[1,8,6,6] x",
        "uint8[1,8,6,6] y",
        EIGHT,
        ys=np.float32(2**-8),
        yz=np.uint8(0),
    )
    x = inputs_of(model, SEED)
    _, got, theirs = both(model, x)
    real = np.float64(np.float32(0.05)) * (x["x"].astype(int) - 120)
    powers = np.exp(real - real.max(axes, keepdims=True))
    want = np.clip(np.rint(powers / powers.sum(axes, keepdims=True) * 256), 0, 255)
    np.testing.assert_array_equal(got, want)
    assert np.abs(got.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("opset", [13, 18])
def test_qlinear_reduce_mean_is_a_mean(opset: int) -> None:
    """onnxruntime's CPU has no such operator: ours is compared with the numbers' definition."""
    model = network(
        "y = com.microsoft.QLinearReduceMean<axes=[2,3], keepdims=1>(x, xs, xz, ys, yz)",
        "uint8[1,8,6,6] x",
        "uint8[1,8,1,1] y",
        EIGHT,
        opset=opset,
    )
    x = inputs_of(model, SEED)
    with pytest.warns(RuntimeWarning, match="not compared with onnxruntime"):
        made = compiler.compile(model, "sparse256")
    assert not made.cpu
    real = np.float64(np.float32(0.05)) * (x["x"].astype(int) - 120).mean((2, 3), keepdims=True)
    want = np.clip(np.rint(real / np.float64(np.float32(0.0317))) + 100, 0, 255)
    np.testing.assert_array_equal(runtime.Session(made).run(x)["y"], want)


def test_qlinear_where_and_conv_of_com_microsoft() -> None:
    check_exact(
        network(
            "y = com.microsoft.QLinearWhere(pick, x, xs, xz, b, bs, bz, ys, yz)",
            "uint8[1,8,6,6] x",
            "uint8[1,8,6,6] y",
            EIGHT,
            pick=RNG.integers(0, 2, (1, 8, 6, 6)).astype(bool),
            b=RNG.integers(0, 256, (1, 8, 6, 6)).astype(np.uint8),
            bs=np.float32(0.02),
            bz=np.uint8(9),
        ),
        cpu=1,
    )
    check_exact(
        network(
            "y = com.microsoft.QLinearConv<channels_last=0>(x, xs, xz, w, sw, z0, ys, yz)",
            "uint8[1,3,6,6] x",
            "uint8[1,8,4,4] y",
            EIGHT,
            w=RNG.integers(-127, 128, W.shape).astype(np.int8),
            sw=np.float32(0.002),
        )
    )


PART = (
    f"{HEAD} {WEIGHT} c = Conv(d, dw) r = Relu(c) q1 = QuantizeLinear(r, sy, zy) "
    "e = DequantizeLinear(q1, sy, zy) p = GlobalAveragePool(e) f = Flatten(p) "
    "[classify] y = Gemm<transB=1>(f, fc, fcb)"
)
FC: Constants = {
    "fc": RNG.standard_normal((10, 8)).astype(np.float32),
    "fcb": RNG.standard_normal(10).astype(np.float32),
}
# Far from the random inputs that stand in for samples: their ranges would hold none of these.
FAR: Constants = {"sx": np.float32(2.5), "sy": np.float32(2.0)}


def far(count: int) -> dict[str, Array]:
    rng = np.random.default_rng(SEED)
    return {"x": (rng.standard_normal((count, 3, 6, 6)) * 100 + 40).astype(np.float32)}


def test_what_a_part_quantized_model_gives_no_scale_stays_float_without_samples() -> None:
    model = network(PART, y="float[1,10] y", constants=FC | FAR)
    made, got, want = both(model, far(1))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert len(made.programs) == 1
    assert "no scale" in made.cpu["classify"]
    assert not any("Conv" in node for node in made.cpu)


def test_a_part_quantized_model_is_calibrated_with_samples_where_it_has_no_scale() -> None:
    model = network(PART, y="float[1,10] y", constants=FC | FAR)
    made = compiler.compile(model, "sparse256", calibrate=far(8))
    assert not made.cpu
    want = both(model, far(1))[2]
    noise = runtime.Session(made).run(far(1))["y"] - want
    assert 10 * np.log10((want**2).sum() / (noise**2).sum()) > 25


@pytest.mark.parametrize("domain", ["", "com.microsoft."])
@pytest.mark.parametrize("wide", [np.int16(3), np.uint16(30000)])
def test_activations_of_16_bits_stay_float_without_samples(domain: str, wide: np.generic) -> None:
    model = network(
        f"qx = {domain}QuantizeLinear(x, fine, wide) d = {domain}DequantizeLinear(qx, fine, wide) "
        f"{WEIGHT} [first] c = Conv(d, dw) {TAIL}",
        opset=17 if domain else 21,
        fine=np.float32(3e-4),
        wide=wide,
    )
    made, got, want = both(model)
    np.testing.assert_array_equal(got, want)
    assert "16 bits" in made.cpu["first"]
    samples = {"x": np.concatenate([inputs_of(model, SEED)["x"]] * 2)}
    with pytest.warns(RuntimeWarning, match="16 bits become 8 .* those of 'Deq"):
        assert "first" not in compiler.compile(model, "sparse256", calibrate=samples).cpu


def test_a_scale_behind_a_pool_a_reshape_or_a_concat_is_the_layers() -> None:
    made = check_exact(
        network(
            f"{HEAD} {WEIGHT} c = Conv(d, dw) b = Conv(d, dw) r = Relu(c) j = Concat<axis=1>(r, b) "
            "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(j) f = Flatten(p) "
            "q1 = QuantizeLinear(f, sy, zx) y = DequantizeLinear(q1, sy, zx)",
            y="float[1,64] y",
        )
    )
    assert len(made.programs) == 1


def test_compile_names_what_has_no_scale(tmp_path: Path) -> None:
    onnx.save(network(PART, y="float[1,10] y", constants=FC | FAR), tmp_path / "part.onnx")
    done = zeroskip("compile", tmp_path / "part.onnx", "--no-cache", "-o", tmp_path / "part.zsk")
    assert done.exit_code == 0, done.output
    assert "random" not in done.stderr
    assert "'classify'" in done.stderr
    assert "--calibrate" in done.stderr


INTEGERS = RNG.integers(0, 256, (8, 3, 3, 3)).astype(np.uint8)
INTEGERS.flat[:2] = 0, 255
HELD = f"{HEAD} dw = DequantizeLinear<axis=0>(w, sw, zw) [first] c = Conv(d, dw) {TAIL}"


@pytest.mark.parametrize(
    ("zero", "on_cpu"), [(128, False), (127, True), (129, True), (0, True), (200, True)]
)
def test_unsigned_weights_are_kept_or_their_layer_is_on_the_cpu(zero: int, on_cpu: bool) -> None:
    model = network(HELD, w=INTEGERS, sw=np.float32(0.01), zw=np.uint8(zero))
    made = check_exact(model, cpu=2 if on_cpu else 0)
    assert ("first" in made.cpu) == on_cpu
    if on_cpu:
        assert f"from {-zero} to {255 - zero}" in made.cpu["first"]


@pytest.mark.parametrize("target", ["dense256", "pattern256", "sparse256"])
def test_every_format_holds_minus_128(target: str) -> None:
    weight = INTEGERS.astype(np.int16) - 128
    weight.flat[:100] = -128
    model = network(HELD, w=weight.astype(np.int8), sw=np.float32(0.01), zw=np.int8(0))
    x, want = inputs_of(model, SEED), both(model)[2]
    np.testing.assert_array_equal(
        runtime.Session(compiler.compile(model, target)).run(x)["y"], want
    )


def test_signed_weights_keep_a_zero_point_for_each_channel() -> None:
    check_exact(
        network(
            HELD,
            w=RNG.integers(-100, 101, W.shape).astype(np.int8),
            sw=SW,
            zw=RNG.integers(-20, 21, 8).astype(np.int8),
        )
    )


@pytest.mark.parametrize(
    "weight",
    [
        (
            "dw = DequantizeLinear<axis=1>(w, sw3, z3)",
            RNG.integers(-99, 99, W.shape).astype(np.int8),
        ),
        (
            "dw = DequantizeLinear(w, fine, z16)",
            RNG.integers(-9999, 9999, W.shape).astype(np.int16),
        ),
    ],
    ids=["a scale for each input channel", "16 bits"],
)
def test_other_weights_are_not_quantized_anew(weight: tuple[str, Array]) -> None:
    nodes, integers = weight
    made = check_exact(
        network(
            f"{HEAD} {nodes} [first] c = Conv(d, dw) {TAIL}",
            opset=21,
            w=integers,
            sw3=np.array([0.001, 0.01, 0.03], np.float32),
            z3=np.zeros(3, np.int8),
            fine=np.float32(1e-4),
            z16=np.int16(0),
        ),
        cpu=2,
    )
    assert "quantize" in made.cpu["first"]
