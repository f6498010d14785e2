"""Exported models compute what the module computes, in onnxruntime and when imported again."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import tvm
from onnx import numpy_helper, parser
from tvm import relax

from models.zoo import MODELS
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.fold import FoldBatchNorm

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
F = "float[1,4,9,7]"

# result type, body; x is float[1,4,9,7]
BODIES = {
    "arithmetic": (
        F,
        """a = Mul(x, x) b = Sub(a, x) c = Constant<value_float = 2.0>() d = Div(b, c)
        e = Exp(d) f = Sqrt(e) g = Neg(f) h = Abs(g) i = Max(h, x) j = Min(i, a)
        y = Add(j, x)""",
    ),
    "activations": (
        F,
        """a = Relu(x) b = Sigmoid(x) c = Tanh(x) d = LeakyRelu<alpha = 0.2>(x)
        e = Add(a, b) f = Add(c, d) g = HardSwish(x) h = Add(g, e) y = Add(f, h)""",
    ),
    "clip": (
        F,
        """l = Constant<value_float = -0.5>() u = Constant<value_float = 0.25>()
        y = Clip(x, l, u)""",
    ),
    "convolutions": (
        "float[1,6,5,4]",
        """y = Conv<kernel_shape = [3, 3],
        pads = [1, 1, 1, 1], strides = [2, 2], group = 2>(x, W, B)""",
    ),
    "dilated": (
        "float[1,6,7,5]",
        """y = Conv<kernel_shape = [3, 3], pads = [1, 0, 1, 2],
        dilations = [2, 2], group = 2>(x, W)""",
    ),
    "upwards": (
        "float[1,3,18,14]",
        """
        y = ConvTranspose<kernel_shape = [2, 2], strides = [2, 2]>(x, T)""",
    ),
    "pools": (
        "float[1,4,5,4]",
        """a = MaxPool<kernel_shape = [3, 3], strides = [2, 2],
        pads = [1, 1, 1, 1]>(x) b = AveragePool<kernel_shape = [3, 3], strides = [2, 2],
        pads = [1, 1, 1, 1], count_include_pad = 1>(x)
        c = AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x)
        d = Add(a, b) y = Add(d, c)""",
    ),
    "reductions": (
        "float[1,4,1,1]",
        """a = GlobalAveragePool(x) b = ReduceMean<axes = [2, 3]>(x)
        c = ReduceMax<axes = [2, 3]>(x) n = Constant<value_ints = [2, 3]>() d = ReduceSum(x, n)
        e = Add(a, b) f = Add(c, d) y = Add(e, f)""",
    ),
    "shapes": (
        "float[2,9,14]",
        """a = Transpose<perm = [0, 2, 3, 1]>(x)
        s = Constant<value_ints = [1, 9, 28]>() b = Reshape(a, s)
        n = Constant<value_ints = [14, 14]>() c, d = Split<axis = 2>(b, n)
        y = Concat<axis = 0>(c, d)""",
    ),
    "slices": (
        "float[1,2,4,7]",
        """b = Constant<value_ints = [1, 0]>()
        e = Constant<value_ints = [3, 8]>() a = Constant<value_ints = [1, 2]>()
        s = Constant<value_ints = [1, 2]>() y = Slice(x, b, e, a, s)""",
    ),
    "resized": (
        "float[1,4,18,14]",
        """n = Constant<value_ints = [1, 4, 18, 14]>()
        y = Resize<mode = "nearest", nearest_mode = "floor",
        coordinate_transformation_mode = "asymmetric">(x, , , n)""",
    ),
    "softmax": ("float[1,4,9,7]", "y = Softmax<axis = 1>(x)"),
    "dense": ("float[1,5]", "a = Flatten(x) y = Gemm<transB = 1>(a, M, C)"),
}
SHAPES = {"W": (6, 2, 3, 3), "B": (6,), "T": (4, 3, 2, 2), "M": (5, 252), "C": (5,)}


def model(name: str) -> onnx.ModelProto:
    result, body = BODIES[name]
    weights = ", ".join(
        f"float[{','.join(map(str, shape))}] {key}" for key, shape in SHAPES.items()
    )
    made = parser.parse_model(
        f"{HEAD} agraph (float[1,4,9,7] x, {weights}) => ({result} y) {{ {body} }}"
    )
    rng = np.random.default_rng(0)
    for item in list(made.graph.input)[1:]:
        made.graph.input.remove(item)
        values = rng.standard_normal(SHAPES[item.name]).astype(np.float32)
        made.graph.initializer.append(numpy_helper.from_array(values, item.name))
    return made


def in_tvm(module: tvm.IRModule, x: np.ndarray) -> list[np.ndarray]:
    return run_cpu(compile_for_cpu(module), "main", [x])


def in_onnxruntime(made: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(made.SerializeToString())
    answers: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: x})
    return answers


def check(module: tvm.IRModule, made: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    wanted, again = in_tvm(module, x), in_tvm(import_onnx(normalise_onnx(made)), x)
    for first, second, third in zip(wanted, in_onnxruntime(made, x), again, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(third, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BODIES)
def test_operators(name: str) -> None:
    module = import_onnx(normalise_onnx(model(name)))
    made = export_onnx(module)
    assert [item.name for item in made.graph.input] == ["x"]
    assert [item.name for item in made.graph.output] == ["y"]
    check(module, made, (1, 4, 9, 7))


@pytest.mark.parametrize("name", ["resnet18", pytest.param("mobilenet_v2", marks=pytest.mark.slow)])
def test_networks_keep_their_names_and_size(name: str) -> None:
    original = MODELS[name](image=32)
    module = FoldBatchNorm()(import_onnx(normalise_onnx(original)))
    made = export_onnx(module, name)
    check(module, made, (1, 3, 32, 32))
    convolutions = [node.name for node in original.graph.node if node.op_type == "Conv"]
    exported = [node for node in made.graph.node if node.op_type == "Conv"]
    assert [node.name for node in exported] == convolutions
    assert all(len(node.input) == 3 for node in exported), "the bias is the convolution's own"
    assert len(made.graph.node) < len(original.graph.node)


def test_what_onnx_lacks_is_refused_by_name() -> None:
    x = relax.Var("x", relax.TensorType((1, 4, 8, 8), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(relax.op.nn.adaptive_avg_pool2d(x, (3, 3)))
        builder.emit_func_output(out)
    with pytest.raises(PassError, match="adaptive pooling to \\[3, 3\\]"):
        export_onnx(builder.finalize())
    with builder.function("other", [x]):
        with builder.dataflow():
            out = builder.emit_output(relax.op.cumsum(x, 1))
        builder.emit_func_output(out)
    module = tvm.IRModule({"main": builder.get()["other"].with_attr("global_symbol", "main")})
    with pytest.raises(PassError, match=r"relax.cumsum\) has no ONNX form"):
        export_onnx(module)
