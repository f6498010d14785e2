"""Networks in channels last: where their Transposes go, and that the numbers stay."""

import time
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.relay_passes.keras_net import CASTS, TRANSPOSES, keras_net
from tests.relay_passes.onnx_oracle import Array, assert_close, inputs_of, parse
from tests.relay_passes.test_onnx_normalise import ops
from zeroskip import compiler
from zeroskip.relay_passes.frontend.normalise import normalise_onnx

TO_LAST, TO_FIRST = "Transpose<perm=[0,2,3,1]>", "Transpose<perm=[0,3,1,2]>"


def test_a_keras_network_is_one_region() -> None:
    """Outside it are the input's Transpose and the softmax."""
    model = keras_net()
    count = Counter(ops(model))
    assert (count["Cast"], count["Transpose"]) == (CASTS, TRANSPOSES)
    made = Counter(ops(normalise_onnx(model)))
    assert (made["Cast"], made["Transpose"], made["Reshape"], made["Pad"]) == (0, 1, 0, 0)
    net = compiler.compile(model, "dense256")  # compares with onnxruntime
    assert net.placement.regions == 1
    assert sorted(node.partition("_")[0] for node in net.cpu) == ["Softmax", "Transpose"]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        # Reductions over the axes where they are now, kept or not.
        (
            f"a = {TO_LAST}(x)  axes = Constant<value_ints=[1,2]>()  b = ReduceMean<keepdims=0>(a, axes) "
            "y = Relu(b)",
            ["ReduceMean", "Relu"],
        ),
        (
            f"a = {TO_LAST}(x)  axes = Constant<value_ints=[-2,1]>()  b = ReduceSum(a, axes) "
            f"y = {TO_FIRST}(b)",
            ["ReduceSum"],
        ),
        (f"a = {TO_LAST}(x)  b = ReduceMax<keepdims=0>(a)  y = Relu(b)", ["ReduceMax", "Relu"]),
        (f"a = {TO_LAST}(x)  b = ArgMax<axis=3>(a)  y = {TO_FIRST}(b)", ["ArgMax"]),
        # Along an axis.
        (f"a = {TO_LAST}(x)  b = Softmax(a)  y = {TO_FIRST}(b)", ["Softmax"]),
        (f"a = {TO_LAST}(x)  b = Concat<axis=-1>(a, a, c4)  y = {TO_FIRST}(b)", ["Concat"]),
        (
            f"a = {TO_LAST}(x)  p, q = Split<axis=3>(a, split)  b = Add(p, q)  y = {TO_FIRST}(b)",
            ["Split", "Add"],
        ),
        (f"a = {TO_LAST}(x)  b = Slice(a, one, two, three)  y = {TO_FIRST}(b)", ["Slice"]),
        (f"a = {TO_LAST}(x)  b = Pad(a, pads)  y = {TO_FIRST}(b)", ["Pad"]),
        (
            f'a = {TO_LAST}(x)  b = Resize<mode="nearest">(a, , scales)  y = {TO_FIRST}(b)',
            ["Resize"],
        ),
        (f"a = {TO_LAST}(x)  b = Tile(a, repeats)  y = {TO_FIRST}(b)", ["Tile"]),
        (f"a = {TO_LAST}(x)  b = Gather<axis=3>(a, picked)  y = {TO_FIRST}(b)", ["Gather"]),
        # Elementwise: constants, both sides, a factor for each channel, a slope.
        (
            f"a = {TO_LAST}(x)  b = Relu(x)  c = {TO_LAST}(b)  d = Add(c, a)  y = {TO_FIRST}(d)",
            ["Relu", "Add"],
        ),
        (
            f"a = {TO_LAST}(x)  g = GlobalAveragePool(x)  h = {TO_LAST}(g)  i = Mul(a, h) "
            f"y = {TO_FIRST}(i)",
            ["GlobalAveragePool", "Mul"],
        ),
        (
            f"a = {TO_LAST}(x)  b = PRelu(a, c4)  c = Where(mask, b, a)  y = {TO_FIRST}(c)",
            ["PRelu", "Where"],
        ),
        # Quantizers, of one scale and of one for each channel.
        (
            f"a = {TO_LAST}(x)  b = QuantizeLinear<axis=3>(a, step, zero)  c = DequantizeLinear<axis=-1>"
            f"(b, step, zero)  y = {TO_FIRST}(c)",
            ["QuantizeLinear", "DequantizeLinear"],
        ),
        (
            f"a = {TO_LAST}(x)  b = QuantizeLinear(a, one_step)  c = DequantizeLinear(b, one_step) "
            f"y = {TO_FIRST}(c)",
            ["QuantizeLinear", "DequantizeLinear"],
        ),
        (
            f"a = {TO_LAST}(x)  k = DequantizeLinear(bytes, one_step)  b = Mul(a, k)  y = {TO_FIRST}(b)",
            ["Mul"],
        ),
        # Into the dense layer behind a Flatten; both of its forms.
        (
            f"a = {TO_LAST}(x)  b = Flatten(a)  c = Relu(b)  y = MatMul(c, w)",
            ["Relu", "Reshape", "MatMul"],
        ),
        (
            f"a = {TO_LAST}(x)  b = Flatten(a)  c = Add(b, c24)  y = Gemm<transB=1>(c, v)",
            ["Add", "Reshape", "Gemm"],
        ),
        (
            f"a = {TO_LAST}(x)  b = MatMul(a, wide)  c = Add(b, c4)  y = {TO_FIRST}(c)",
            ["Conv", "Add"],
        ),
        # Moves of axes of 1 only, and chains.
        (
            "g = GlobalAveragePool(x)  a = Transpose<perm=[0,2,3,1]>(g)  s = Constant<value_ints=[1,3]>() "
            "b = Reshape(a, s)  y = Relu(b)",
            ["GlobalAveragePool", "Relu", "Reshape"],
        ),
        (
            "s = Constant<value_ints=[1,3,8]>()  a = Reshape(x, s)  b = Relu(a) "
            "t = Constant<value_ints=[1,3,2,4]>()  y = Reshape(b, t)",
            ["Relu"],
        ),
        (
            "s = Constant<value_ints=[1,3,2,2,2]>()  a = Reshape(x, s)  b = Transpose<perm=[0,2,1,3,4]>(a)"
            " c = Transpose<perm=[0,2,1,3,4]>(b)  t = Constant<value_ints=[1,3,2,4]>()  d = Reshape(c, t) "
            "y = Relu(d)",
            ["Relu"],
        ),
    ],
)
def test_transposes_vanish(body: str, left: list[str]) -> None:
    rng = np.random.default_rng(3)
    constants = {
        "c4": rng.standard_normal((1, 2, 4, 2)),
        "c24": rng.standard_normal(24),
        "wide": rng.standard_normal((3, 2)),
        "w": rng.standard_normal((24, 5)),
        "v": rng.standard_normal((5, 24)),
        "step": np.asarray([0.1, 0.2, 0.05]),
        "scales": np.asarray([1, 2, 3, 1]),
    }
    held: dict[str, npt.NDArray[Any]] = {
        name: value.astype(np.float32) for name, value in constants.items()
    }
    if "PRelu" in body:
        held["c4"] = rng.standard_normal(3).astype(np.float32)
    held |= {
        "split": np.asarray([1, 1]),
        "picked": np.asarray([2, 1]),
        "one": np.asarray([1]),
        "two": np.asarray([3]),
        "three": np.asarray([2]),
        "zero": np.asarray([1, 0, -1], np.int8),
        "bytes": np.asarray([3, -5, 100], np.int8),
        "one_step": np.asarray(0.1, np.float32),
        "pads": np.asarray([0, 1, 2, 0, 0, 0, 0, 3]),
        "repeats": np.asarray([1, 2, 1, 3]),
        "mask": rng.random((4, 1)) < 0.5,
    }
    channels = 2 if "Split" in body else 3
    text = f"g (float[1,{channels},2,4] x) => (float y) {{ {body} }}"
    if "ArgMax" in body:
        text = text.replace("(float y)", "(int64 y)")
    used = {name: value for name, value in held.items() if f"{name})" in body or f"{name}," in body}
    model = parse(text, opset=18, **used)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert ops(same_in_onnxruntime(model)) == left


@pytest.mark.parametrize("join", ["Max", "Concat<axis=1>"])
def test_branches_join_in_the_layout_that_most_of_them_have(join: str) -> None:
    """Two of three in the layout of the first: one is turned, not two and the result."""
    body = f"r = Relu(x)  n = Neg(x)  a = {TO_LAST}(x)  b = {TO_LAST}(r)  c = {TO_FIRST}(n)"
    text = f"{{ {body}  d = {join}(c, a, b)  y = {TO_FIRST}(d) }}"
    model = parse(f"g (float[1,3,3,3] x) => (float y) {text}", opset=18)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    left = ops(same_in_onnxruntime(model))
    assert left == ["Relu", "Neg", "Transpose", join.partition("<")[0]]


def test_a_matrix_that_a_dense_layer_turns_keeps_its_columns() -> None:
    """As many rows as columns: the order of the columns would fit the weight's rows."""
    body = (
        "a = Transpose<perm=[0,1,3,2]>(x)  s = Constant<value_ints=[4,4]>()  b = Reshape(a, s) "
        "y = Gemm<transA=1>(b, w)"
    )
    weight = np.random.default_rng(3).standard_normal((4, 5)).astype(np.float32)
    model = parse(f"g (float[1,4,2,2] x) => (float[4,5] y) {{ {body} }}", opset=18, w=weight)
    assert "Transpose" in ops(same_in_onnxruntime(model))


def test_a_dense_layer_on_rows_of_pixels_sums_over_rows() -> None:
    """As many rows as channels: the weight would fit the channels too."""
    body = "a = Transpose<perm=[0,1,3,2]>(x)  y = MatMul(a, w)"
    weight = np.random.default_rng(3).standard_normal((3, 2)).astype(np.float32)
    model = parse(f"g (float[1,3,3,4] x) => (float[1,3,4,2] y) {{ {body} }}", opset=18, w=weight)
    assert ops(same_in_onnxruntime(model)) == ["Transpose", "Conv", "Transpose"]


def test_scales_of_a_dense_layers_rows_stay_with_them() -> None:
    """Its rows do not move where each has a scale of its own."""
    body = (
        f"a = {TO_LAST}(x)  b = Flatten(a)  d = DequantizeLinear<axis=0>(bytes, steps) "
        "y = MatMul(b, d)"
    )
    rng = np.random.default_rng(3)
    held: dict[str, Any] = {
        "bytes": rng.integers(-127, 128, (24, 5)).astype(np.int8),
        "steps": rng.uniform(0.1, 1, 24).astype(np.float32),
    }
    model = parse(f"g (float[1,3,2,4] x) => (float[1,5] y) {{ {body} }}", opset=18, **held)
    assert "Transpose" in ops(same_in_onnxruntime(model))


def test_the_time_is_linear() -> None:
    """600 nodes between two Transposes: half a second of processor time, once 40."""
    nodes = "".join(f"  t{n + 1} = {'Sigmoid' if n % 2 else 'Tanh'}(t{n})" for n in range(600))
    model = parse(
        f"g (float[1,3,4,5] x) => (float[1,3,4,5] y) {{ t0 = {TO_LAST}(x) {nodes} "
        f"y = {TO_FIRST}(t600) }}"
    )
    begin = time.process_time()
    assert "Transpose" not in ops(normalise_onnx(model))
    assert time.process_time() - begin < 5


def same_in_onnxruntime(model: onnx.ModelProto) -> onnx.ModelProto:
    """The normalised model, of which onnxruntime computes what it computes of the model."""
    made = normalise_onnx(model)
    onnx.checker.check_model(made, full_check=True)
    values = inputs_of(model, 5)
    before, after = (run_onnxruntime(each, values) for each in (model, made))
    assert_close(after, before, 1e-6)
    return made


def run_onnxruntime(model: onnx.ModelProto, values: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return [np.asarray(each) for each in session.run(None, values)]


@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 2, 5, 4)])
def test_a_dense_layer_on_every_token_is_a_convolution(shape: tuple[int, ...]) -> None:
    """In the model's layout between two transposes, of which those of a chain cancel."""
    rng = np.random.default_rng(3)
    text = ",".join(map(str, shape))
    model = parse(
        f"g (float[{text}] x) => (float y) {{ a = MatMul(x, w) b = Relu(a) c = MatMul(b, v)"
        " y = Softmax<axis=-1>(c) }",
        opset=18,
        w=rng.standard_normal((4, 6)).astype(np.float32),
        v=rng.standard_normal((6, 3)).astype(np.float32),
    )
    made = ops(same_in_onnxruntime(model))
    assert made.count("Conv") == 2
    assert made.count("Transpose") == 2
    assert "MatMul" not in made


@pytest.mark.parametrize("shapes", [("2,3,5,4", "2,3,4,2"), ("1,1,2,5,4", "4,2"), ("5,4", "4,2")])
def test_other_products_stay(shapes: tuple[str, str]) -> None:
    """Of two activations, of five dimensions, of a matrix."""
    first, second = shapes
    model = parse(
        f"g (float[{first}] x, float[{second}] w) => (float y) {{ y = MatMul(x, w) }}", opset=18
    )
    if "2,3" not in first:
        del model.graph.input[1:]
        held = np.ones([int(n) for n in second.split(",")], np.float32)
        model.graph.initializer.append(numpy_helper.from_array(held, "w"))
    assert ops(same_in_onnxruntime(model)) == ["MatMul"]
