"""Affine arithmetic behind an activation, folded into the layers that follow."""

import numpy as np
import onnx
import pytest
import tvm
from tvm import relax

from tests.relay_passes.onnx_oracle import assert_close, inputs_of, parse, reference, run_tvm
from tests.relay_passes.test_fold import calls
from zeroskip import compiler
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.fold import FoldBatchNorm
from zeroskip.relay_passes.relax.fold_forward import AffineLayers, FoldForward
from zeroskip.runtime.execution.validation import validate

RNG = np.random.default_rng(4)
SCALE, SHIFT = RNG.uniform(0.5, 2, (6, 1, 1)), RNG.standard_normal((6, 1, 1))
NEGATIVE = SCALE * np.where(np.arange(6) % 2, -1, 1).reshape(6, 1, 1)
HELD = {
    "w": RNG.standard_normal((6, 3, 3, 3)) / 5,
    "v": RNG.standard_normal((4, 6, 3, 3)) / 5,
    "d": RNG.standard_normal((6, 2, 3, 3)) / 5,
    "u": RNG.standard_normal((4, 9, 1, 1)),
    "f": RNG.standard_normal((54, 5)) / 5,
    "g": RNG.standard_normal((6, 5)),
    "e": RNG.standard_normal((4, 1, 3, 3)),
    "z": RNG.standard_normal((4, 12, 1, 1)),
    "s": SCALE,
    "t": SHIFT,
    "n": NEGATIVE,
    "m": RNG.uniform(0.5, 2, (1, 3, 1, 1)),
}


def model_of(body: str, result: str) -> onnx.ModelProto:
    used = {
        name: value.astype(np.float32)
        for name, value in HELD.items()
        if f" {name})" in body or f" {name}," in body
    }
    return parse(f"g (float[1,3,8,8] x) => (float[{result}] y) {{ {body} }}", **used)  # type: ignore[arg-type]  # opset is not among them


def check(body: str, result: str, *, layers: bool = False) -> list[str]:
    """The operators left; the numbers are those of the model."""
    model = normalise_onnx(model_of(body, result))
    passes = [FoldBatchNorm(), FoldForward(), *([AffineLayers()] if layers else [])]
    mod = tvm.transform.Sequential(passes)(import_onnx(model))
    relax.analysis.well_formed(mod)
    values = inputs_of(model, 1)
    assert_close(run_tvm(mod, list(values.values())), reference(model, values))
    return calls(mod)


STEM = "a = Conv(x, w)  r = Relu(a)"


@pytest.mark.parametrize(
    ("body", "result", "left"),
    [
        (
            f"{STEM}  b = Mul(r, n)  c = Add(b, t)  y = Conv(c, v)",
            "1,4,4,4",
            ["conv2d", "relu", "conv2d", "add"],
        ),
        (
            f"{STEM}  b = Mul(r, s)  y = Conv<pads=[1,1,1,1]>(b, v)",
            "1,4,6,6",
            ["conv2d", "relu", "conv2d"],
        ),
        (
            f"{STEM}  b = Sub(r, t)  y = Conv<group=3>(b, d)",
            "1,6,4,4",
            ["conv2d", "relu", "conv2d", "add"],
        ),
        # Two readers; averages, maxima, reshapes and concats between.
        (
            f"{STEM}  b = Mul(r, n)  c = Add(b, t)  p = Conv(c, v)  q = Conv(c, v)  y = Mul(p, q)",
            "1,4,4,4",
            ["conv2d", "relu", "conv2d", "add", "conv2d", "add", "multiply"],
        ),
        (
            f"{STEM}  b = Mul(r, n)  c = Add(b, t)  p = GlobalAveragePool(c)  q = Flatten(p) "
            "y = MatMul(q, g)",
            "1,5",
            ["conv2d", "relu", "mean", "reshape", "matmul", "add"],
        ),
        (
            f"{STEM}  b = Mul(r, s)  c = Add(b, t)  p = MaxPool<kernel_shape=[2,2],strides=[2,2]>(c) "
            "q = Flatten(p)  y = MatMul(q, f)",
            "1,5",
            ["conv2d", "relu", "max_pool2d", "reshape", "matmul", "add"],
        ),
        (
            f"{STEM}  b = Mul(r, n)  p = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(b) "
            "y = Conv(p, v)",
            "1,4,4,4",
            ["conv2d", "relu", "avg_pool2d", "conv2d"],
        ),
        (
            f"{STEM}  b = Mul(r, n)  c = Add(b, t)  i = AveragePool<kernel_shape=[3,3]>(x) "
            "j = Concat<axis=1>(i, c)  y = Conv(j, u)",
            "1,4,6,6",
            ["conv2d", "relu", "avg_pool2d", "concat", "conv2d", "add"],
        ),
        (
            f"{STEM}  b = Mul(r, s)  i = Conv(x, w)  j = Concat<axis=1>(i, b)  y = Conv(j, z)",
            "1,4,6,6",
            ["conv2d", "relu", "conv2d", "concat", "conv2d"],
        ),
        # An input's scale; a positive scale before a ReLU.
        (
            "b = Div(x, m)  p = Relu(b)  y = Conv<pads=[1,1,1,1]>(p, w)",
            "1,6,8,8",
            ["relu", "conv2d"],
        ),
    ],
)
def test_it_is_in_the_next_layer(body: str, result: str, left: list[str]) -> None:
    assert check(body, result) == left


@pytest.mark.parametrize(
    ("body", "result", "left"),
    [
        # Zeros of padding are not shifted; a maximum becomes a minimum; a reader without weights;
        # an output of the network.
        (f"{STEM}  b = Sub(r, t)  y = Conv<pads=[1,1,1,1]>(b, v)", "1,4,6,6", "subtract"),
        (
            f"{STEM}  b = Mul(r, n)  p = MaxPool<kernel_shape=[2,2]>(b)  y = Conv(p, v)",
            "1,4,3,3",
            "multiply",
        ),
        (
            f"{STEM}  b = Mul(r, s)  p = Conv(b, v)  q = Conv(r, v)  o = ReduceMax(b)  y = Add(p, o)",
            "1,4,4,4",
            "multiply",
        ),
        (
            f"{STEM}  b = Add(r, t)  p = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],"
            "count_include_pad=1>(b)  y = Conv(p, v)",
            "1,4,4,4",
            "add",
        ),
        # A mean over the channels, tensors joined along pixels, a ReLU of other numbers.
        (
            f"{STEM}  b = Mul(r, s)  o = ReduceMean<axes=[1]>(b)  y = Conv(o, e)",
            "1,4,4,4",
            "multiply",
        ),
        (
            f"{STEM}  b = Mul(r, s)  j = Concat<axis=2>(b, r)  y = Conv(j, v)",
            "1,4,10,4",
            "multiply",
        ),
        (f"{STEM}  b = Sub(r, t)  p = Relu(b)  y = Conv(p, v)", "1,4,4,4", "subtract"),
        (f"{STEM}  b = Mul(r, n)  p = Relu(b)  y = Conv(p, v)", "1,4,4,4", "multiply"),
        (f"{STEM}  b = Mul(r, s)  y = Conv(b, v)", "1,6,6,6] b, float[1,4,4,4", "multiply"),
    ],
)
def test_it_stays_where_that_is_not_exact(body: str, result: str, left: str) -> None:
    assert left in check(body, result)


def test_between_layers_it_is_a_layer() -> None:
    body = f"{STEM}  b = Mul(r, n)  c = Add(b, t)  p = Conv<pads=[1,1,1,1]>(c, v) y = Relu(p)"
    assert check(body, "1,4,6,6", layers=True) == [
        "conv2d",
        "relu",
        "conv2d",
        "add",
        "conv2d",
        "relu",
    ]
    net = compiler.compile(model_of(body, "1,4,6,6"), "dense256")
    assert net.placement.regions == 1
    assert not net.cpu
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    assert validate(net, {"x": image}).exact
    # Beside what stays on the CPU it does too.
    body = f"{STEM}  b = Mul(r, n)  p = Softmax<axis=1>(b)  y = Conv(p, v)"
    assert "multiply" in check(body, "1,4,4,4", layers=True)
    body = f"{STEM}  b = Mul(r, n)  p = Conv<pads=[1,1,1,1]>(b, v)  q = Softmax<axis=1>(b)  y = Concat<axis=1>(p, q)"
    assert "multiply" in check(body, "1,10,6,6", layers=True)


def test_a_bias_of_dequantized_weights_is_no_layer() -> None:
    """As PT2E's quantizers leave it: int8 weights, a float bias, a scale behind the ReLU."""
    held = {
        "w": RNG.integers(-99, 99, (6, 3, 3, 3)).astype(np.int8),
        "v": RNG.integers(-99, 99, (4, 6, 1, 1)).astype(np.int8),
        "t": SHIFT.astype(np.float32),
        "b": RNG.standard_normal(6).astype(np.float32),
        "f": np.float32(0.01),
        "i": np.int8(3),
        "o": np.int8(0),
    }
    body = """
        xq = QuantizeLinear(x, f, i)  xr = DequantizeLinear(xq, f, i)
        wr = DequantizeLinear(w, f, o)  vr = DequantizeLinear(v, f, o)
        BIASED  r = Relu(a)  rq = QuantizeLinear(r, f, i)  rr = DequantizeLinear(rq, f, i)
        c = Conv(rr, vr)  cq = QuantizeLinear(c, f, i)  y = DequantizeLinear(cq, f, i)
    """
    for biased in ("a = Conv(xr, wr, b)", "p = Conv(xr, wr)  a = Add(p, t)"):
        text = body.replace("BIASED", biased)
        model = parse(f"g (float[1,3,8,8] x) => (float[1,4,6,6] y) {{ {text} }}", **held)  # type: ignore[arg-type]  # opset is not among them
        net = compiler.compile(model, "dense256")
        assert net.placement.whole
        image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
        assert validate(net, {"x": image}).exact
