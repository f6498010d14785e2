import warnings

import numpy as np
import onnx
import pytest
import tvm
from tvm import relax

from tests.relay_passes.onnx_oracle import (
    NetBuilder,
    assert_close,
    inputs_of,
    parse,
    reference,
    run_tvm,
)
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.relax.rewriting import bindings, const_value, nodes_of, op_name

SEED = 17


def imported(model: onnx.ModelProto) -> tvm.IRModule:
    return import_onnx(normalise_onnx(model))


def check(model: onnx.ModelProto) -> tvm.IRModule:
    """The imported module, well formed and computing what the model does."""
    normal = normalise_onnx(model)
    mod = import_onnx(normal)
    relax.analysis.well_formed(mod)
    values = inputs_of(normal, SEED)
    assert_close(run_tvm(mod, list(values.values())), reference(normal, values))
    return mod


def calls(mod: tvm.IRModule) -> list[str | None]:
    return [op_name(binding.value) for binding in bindings(mod["main"])]


def test_a_small_network() -> None:
    net = NetBuilder(SEED)
    net.conv(8, bias=False)
    net.norm()
    net.relu6()
    net.pool()
    net.residual()
    net.conv(8, group=8)
    net.head(5)
    mod = check(net.model())
    nodes = nodes_of(mod["main"])
    names = [str(binding.var.name) for binding in bindings(mod["main"])]
    assert list(nodes) == names
    assert set(nodes.values()) == {node.name for node in net.nodes}


def test_bias_is_a_constant_per_channel_and_gemm_a_plain_matmul() -> None:
    net = NetBuilder(SEED)
    net.conv(8)
    net.head(5)
    made = bindings(check(net.model())["main"])
    bias = const_value(made[1].value.args[1])
    assert bias is not None
    assert bias.shape == (1, 8, 1, 1)
    [matmul] = [item.value for item in made if op_name(item.value) == "relax.matmul"]
    weight = const_value(matmul.args[1])
    assert weight is not None
    assert weight.shape == (8, 5)
    assert "relax.permute_dims" not in [op_name(item.value) for item in made]


def test_variables_are_called_after_their_nodes() -> None:
    text = """g (float[1,2,4,4] img) => (float[1,1,4,4] out) {
        a = Conv(img, w, b)  c = Relu(a)  d, out = Split<axis=1>(c, s) }"""
    model = parse(
        text, w=np.ones((2, 2, 1, 1), np.float32), b=np.ones(2, np.float32), s=np.array([1, 1])
    )
    for node, name in zip(model.graph.node, ["/layer.1/conv", "R", "1x"], strict=True):
        node.name = name
    func = imported(model)["main"]
    assert [param.name for param in func.params] == ["img"]
    assert nodes_of(func) == {
        "layer_1_conv_conv2d": "/layer.1/conv",
        "layer_1_conv": "/layer.1/conv",
        "R_": "R",
        "n_1x_split": "1x",
        "n_1x_1": "1x",
    }


@pytest.mark.parametrize("word", ["UINT4", "STRING", "COMPLEX64", "BFLOAT16", "UNDEFINED"])
def test_an_input_of_a_type_that_no_layer_takes(word: str) -> None:
    """TVM packs four bits, which numpy's arrays do not."""
    model = parse("g (float[2] x) => (float[2] y) { y = Identity(x) }")
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DataType.Value(word)
    with pytest.raises(FrontError, match=f"Input 'x' is of type {word}, .* export it with floats"):
        import_onnx(model)


def test_input_and_output_names_are_recorded() -> None:
    model = parse(
        "g (float[2] a, float[2] b) => (float[2] y, float[2] z) { y=Add(a,b) z=Sub(a,b) }"
    )
    for item in model.graph.input:
        item.name = item.name + ".1"
    for node in model.graph.node:
        node.input[:] = ["a.1", "b.1"]
    func = check(model)["main"]
    assert [param.name for param in func.params] == ["a_1", "b_1"]
    assert list(func.attrs["zeroskip.inputs"]) == ["a.1", "b.1"]
    assert list(func.attrs["zeroskip.outputs"]) == ["y", "z"]
    assert "zeroskip.nodes" in tvm.IRModule({"main": func}).script()


def test_two_names_that_read_alike_stay_apart() -> None:
    text = "g (float[2] x) => (float[2] y) { [p] a = Relu(x) [q] b = Neg(a) [r] y = Exp(b) }"
    model = parse(text)
    for node, name in zip(model.graph.node, ["a.b", "a/b", "x"], strict=True):
        node.name = name
    assert nodes_of(imported(model)["main"]) == {"a_b": "a.b", "a_b_1": "a/b", "x_1": "x"}


@pytest.mark.parametrize(
    ("bounds", "op", "numbers"),
    [
        ((0.0, 6.0), "relax.clip", (0.0, 6.0)),
        ((-0.5, 0.75), "relax.clip", (-0.5, 0.75)),
        ((None, 1.0), "relax.clip", (-np.inf, 1.0)),
        ((0.0, None), "relax.nn.relu", ()),
    ],
)
def test_clip_is_an_operator(
    bounds: tuple[float | None, float | None], op: str, numbers: tuple[float, ...]
) -> None:
    constants = {
        name: np.float32(bound)
        for name, bound in zip(("lo", "hi"), bounds, strict=True)
        if bound is not None
    }
    low, high = (name if name in constants else "" for name in ("lo", "hi"))
    text = f"g (float[1,3,4,4] x) => (float[1,3,4,4] y) {{ [c] y = Clip(x, {low}, {high}) }}"
    text = text.replace(", )", ")")
    [binding] = bindings(check(parse(text, opset=17, **constants))["main"])
    assert op_name(binding.value) == op
    assert tuple(float(arg.value) for arg in binding.value.args[1:]) == numbers


def test_a_clip_with_a_computed_bound_still_works() -> None:
    text = """g (float[1,3] x, float z) => (float[1,3] y) { [c] y = Clip(x, z) }"""
    model = parse(text)
    model.graph.input[1].type.tensor_type.shape.Clear()
    check(model)


@pytest.mark.parametrize(
    "text",
    [
        "g (float[1,2,4,4] x) => (float[1,2,4,4] x2) { x2 = HardSwish(x) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = HardSigmoid<alpha=0.25>(x) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = Softmax<axis=1>(x) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] z) { y = Relu(x) z = Neg(y) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] z) { y=Relu(x) z=Identity(x) }",
        "g (float[1,2,4,4] x) => (float[A,B,C,D] y) { y = Transpose<perm=[0,2,3,1]>(x) }",
        """g (float[1,2,4,4] x) => (float[A,B,C,D] y) {
            s = Constant<value=float[4] {1,1,2,2}>() y = Resize<mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s) }""",
        """g (float[1,2,4,4] x) => (float[A,B,C,D] y) {
            p = Constant<value_ints=[0,0,1,0,0,0,0,1]>() y = Pad(x, p) }""",
    ],
)
def test_other_operators(text: str) -> None:
    check(parse(text))


@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolution(bias: bool) -> None:
    rng = np.random.default_rng(SEED)
    weight = rng.standard_normal((2, 3, 3, 3)).astype(np.float32)
    operands = "x, w, b" if bias else "x, w"
    attrs = "strides=[2,2], pads=[1,0,1,1], output_padding=[1,0]"
    text = f"""g (float[1,2,4,5] x) => (float[A,B,C,D] y) {{
        [up] y = ConvTranspose<{attrs}>({operands}) }}"""
    constants = {"b": rng.standard_normal(3).astype(np.float32)} if bias else {}
    check(parse(text, opset=17, w=weight, **constants))


def test_an_unknown_operator_is_named() -> None:
    model = parse("g (float[2] x) => (float[2] y) { [odd] y = com.microsoft.NoSuch(x) }")
    with pytest.raises(FrontError) as caught:
        import_onnx(model)
    assert str(caught.value) == (
        "Node 'odd' has operator com.microsoft.NoSuch, which TVM cannot import: "
        "replace it by other ONNX operators before export."
    )


def test_a_refusal_of_tvms_is_named_and_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    text = """g (float[1,1,4] x, int64[6] p) => (float[A,B,C] y) { [pad] y = Pad(x, p) }"""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FrontError, match="Node 'pad' \\(Pad\\) depends on the values of 'p'"):
            import_onnx(normalise_onnx(parse(text)))
    assert capfd.readouterr().out == ""


def test_a_model_that_is_not_normalised_is_refused() -> None:
    model = parse("g (float[N] x) => (float[N] y) { y = Relu(x) }")
    with pytest.raises(FrontError, match="Input 'x' has no static shape"):
        import_onnx(model)
