import numpy as np
import onnx
import pytest
from onnx import helper

from tests.relay_passes.onnx_oracle import assert_close, inputs_of, parse, reference
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import dimensions, opset, origin
from zeroskip.relay_passes.frontend.normalise import normalise_onnx

SEED = 7


def ops(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def check_same(model: onnx.ModelProto) -> onnx.ModelProto:
    """Normalise a static model: the numbers must not change, nor the model that was given."""
    before = model.SerializeToString(deterministic=True)
    result = normalise_onnx(model)
    assert model.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(result, full_check=True)
    values = inputs_of(model, SEED)
    assert_close(reference(result, values), reference(model, values), 1e-6)
    return result


DYNAMIC = "g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }"


def test_a_dynamic_shape_is_refused_with_the_remedy() -> None:
    with pytest.raises(FrontError) as caught:
        normalise_onnx(parse(DYNAMIC))
    assert str(caught.value) == (
        "Input 'x' has shape [?,3,?,?]; give it with --shape x=1,3,224,224"
    )


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"z": (1, 3, 8, 8)}, "'z', which is no input of the model; its inputs are: x"),
        ({"x": (1, 3, 8)}, "has 3 dimensions, but input 'x' has 4"),
        ({"x": (1, 4, 8, 8)}, "contradicts input 'x'"),
        ({"x": (1, 3, 0, 8)}, "a dimension outside 1"),
        ({"x": (1, 3, 10**20, 8)}, "a dimension outside 1"),
    ],
)
def test_wrong_shapes_are_refused(shapes: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(FrontError, match=words):
        normalise_onnx(parse(DYNAMIC), shapes)


def test_a_given_shape_reaches_every_tensor() -> None:
    result = normalise_onnx(parse(DYNAMIC), {"x": (2, 3, 8, 9)})
    assert dimensions(result.graph.input[0]) == [2, 3, 8, 9]
    assert dimensions(result.graph.output[0]) == [2, 3, 8, 9]


def test_minus_one_counts_as_unknown() -> None:
    model = parse("g (float[1,3] x) => (float[1,3] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    with pytest.raises(FrontError, match=r"\[\?,3\]"):
        normalise_onnx(model)


def test_contradicting_shapes_are_refused() -> None:
    text = "g (float[1,3,H,8] x, float[1,3,H,8] z) => (float[1,3,H,8] y) { y = Add(x, z) }"
    with pytest.raises(FrontError, match="contradict each other"):
        normalise_onnx(parse(text), {"x": (1, 3, 8, 8), "z": (1, 3, 9, 8)})


def test_a_chain_on_shapes_folds_into_a_reshape() -> None:
    text = """g (float[2,3,4,5] x) => (float[B,C] y) {
        s = Shape(x)  zero = Constant<value_ints=[0]>()  n = Gather(s, zero)
        minus = Constant<value_ints=[-1]>()  shape = Concat<axis=0>(n, minus)
        y = Reshape(x, shape) }"""
    result = check_same(parse(text))
    assert ops(result) == ["Reshape"]
    assert dimensions(result.graph.output[0]) == [2, 60]


def test_constants_fold_in_the_models_own_operator_set() -> None:
    text = """g (float[2] x) => (float[2] y) {
        c = Constant<value=float[2,3] {1,2,3,4,5,6}>()
        m = ReduceMean<axes=[1], keepdims=0>(c)  y = Add(x, m) }"""
    assert ops(check_same(parse(text, opset=17))) == ["Add"]


def test_a_constant_output_stays() -> None:
    text = """g (float[2] x) => (float[2] y, float[2] z) {
        z = Constant<value=float[2] {1,2}>()  y = Relu(x) }"""
    check_same(parse(text))


def test_quantizers_of_constants_stay() -> None:
    text = """g (float[1,2] x) => (float[1,2] y) {
        w = DequantizeLinear<axis=1>(q, s)  y = MatMul(x, w) }"""
    weight = np.array([[1, -2], [3, 4]], np.int8)
    scales = np.array([0.5, 0.25], np.float32)
    assert ops(check_same(parse(text, opset=21, q=weight, s=scales))) == [
        "DequantizeLinear",
        "MatMul",
    ]


def test_identities_and_dropouts_go() -> None:
    text = """g (float[1,4] x) => (float[1,4] y, float[1,4] same) {
        a = Identity(x)  b = Dropout(a)  c = Relu(b)  d = Identity(c)  e = Identity(d)
        f = Neg(d) y = Identity(f) same = Identity(x) }"""
    result = check_same(parse(text))
    assert ops(result) == ["Relu", "Neg", "Identity"]
    assert [item.name for item in result.graph.output] == ["y", "same"]


def test_an_identity_between_two_outputs_stays() -> None:
    text = """g (float[1,4] x) => (float[1,4] y, float[1,4] z, float[1,4] w) {
        y = Relu(x)  z = Identity(y)  n = Neg(y)  w = Identity(n) }"""
    assert ops(check_same(parse(text))) == ["Relu", "Identity", "Neg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            """g (float[1,4] x) => (float[1,4] y) { t = Constant<value=bool {1}>()
            [drop] y = Dropout(x, , t) }""",
            "'drop' \\(Dropout\\) is in training mode",
        ),
        (
            "g (float[1,4] x) => (float[1,4] y, bool[1,4] m) { [drop] y, m = Dropout(x) }",
            "'drop' \\(Dropout\\) has a mask that is read",
        ),
        (
            """g (float[1,2,3,3] x, float[2] s, float[2] b, float[2] m, float[2] v) =>
            (float[1,2,3,3] y) {
            [bn] y, rm, rv = BatchNormalization<training_mode=1>(x, s, b, m, v) }""",
            "'bn' \\(BatchNormalization\\) is in training mode",
        ),
        (
            """g (bool c, float[2] x) => (float[2] y) { [which] y = If(c) <
            then_branch = t () => (float[2] a) { a = Relu(x) },
            else_branch = e () => (float[2] b) { b = Neg(x) }> }""",
            "'which' \\(If\\) is control flow",
        ),
    ],
)
def test_what_cannot_be_normalised_names_the_node(text: str, words: str) -> None:
    with pytest.raises(FrontError, match=words):
        normalise_onnx(parse(text))


def test_old_batch_norm_that_trains_is_refused() -> None:
    text = """g (float[1,2,3,3] x, float[2] s, float[2] b, float[2] m, float[2] v) =>
        (float[1,2,3,3] y) { [bn] y, rm, rv, sm, sv = BatchNormalization(x, s, b, m, v) }"""
    with pytest.raises(FrontError, match="'bn'"):
        normalise_onnx(parse(text, opset=9))


def test_names_are_unique_and_remember_the_users() -> None:
    text = """g (float[1,4] x) => (float[1,4] y) {
        [n] a = Relu(x)  [n] b = Neg(a)  c = Abs(b)  y = Exp(c) }"""
    result = normalise_onnx(parse(text))
    assert [node.name for node in result.graph.node] == ["n", "n_1", "Abs_c", "Exp_y"]
    assert [origin(node) for node in result.graph.node] == ["n", "n", "Abs_c", "Exp_y"]


def test_an_old_model_is_upgraded_and_keeps_its_names() -> None:
    text = """g (float[1,3,8,8] x) => (float[1,3,20,20] y) {
        [act] b = Clip<min=0.0, max=6.0>(x)
        [pad] a = Pad<pads=[0,0,1,1,0,0,1,1], value=0.5>(b)
        [up] u = Upsample<mode="nearest", scales=[1.0,1.0,2.0,2.0]>(a)
        [soft] y = Softmax<axis=1>(u) }"""
    result = normalise_onnx(parse(text, opset=7))
    assert opset(result) >= 15
    assert dict.fromkeys(map(origin, result.graph.node)) == dict.fromkeys(
        ["act", "pad", "up", "soft"]
    )
    x = inputs_of(result, SEED)
    padded = np.pad(x["x"].clip(0, 6), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=0.5)
    up = np.exp(padded.repeat(2, 2).repeat(2, 3))
    assert_close(reference(result, x), [up / up.sum()])


def test_an_old_linear_upsample_stays_asymmetric() -> None:
    text = """g (float[1,1,1,2] x) => (float[1,1,1,4] y) {
        [up] y = Upsample<mode="linear", scales=[1.0,1.0,1.0,2.0]>(x) }"""
    result = normalise_onnx(parse(text, opset=7))
    [y] = reference(result, {"x": np.array([[[[0, 1]]]], np.float32)})
    np.testing.assert_allclose(y.reshape(-1), [0, 0.5, 1, 1], atol=1e-6)


def test_local_functions_are_inlined() -> None:
    model = parse("g (float[1,4] x) => (float[1,4] y) { [n] y = local.twice(x) }")
    body = helper.make_node("Add", ["a", "a"], ["b"])
    imports = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "twice", ["a"], ["b"], [body], imports))
    model.opset_import.append(helper.make_opsetid("local", 1))
    assert ops(check_same(model)) == ["Add"]


@pytest.mark.parametrize("version", [17, 18])
@pytest.mark.parametrize("operands", ["x, s", "x, s, b"])
def test_layer_normalization_whose_statistics_are_read(operands: str, version: int) -> None:
    text = f"""g (float[2,3,4] x) => (float[2,3,4] y, float[2,1,1] i) {{
        z, m, i = LayerNormalization<axis=1, epsilon=0.1>({operands})  y = Add(z, m) }}"""
    rng = np.random.default_rng(0)
    held = {"s": rng.standard_normal((3, 4)), "b": rng.standard_normal((3, 4))}
    model = parse(
        text,
        opset=version,
        **{
            name: value.astype(np.float32)
            for name, value in held.items()
            if f", {name}" in operands
        },
    )
    result = check_same(model)
    assert "LayerNormalization" not in ops(result)
    assert {origin(node) for node in result.graph.node} == {"LayerNormalization_z", "Add_y"}
