"""Networks that no image classifier is: right, or refused in one sentence that names the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.relay_passes.onnx_oracle import parse, reference
from tests.runtime.command import refused, zeroskip
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_model
from zeroskip.relay_passes.errors import FrontError, PassError
from zeroskip.relay_passes.frontend.batch import for_one_image
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

RNG = np.random.default_rng(12)
IMAGE = RNG.standard_normal((1, 3, 4, 4)).astype(np.float32)
TABLE = RNG.standard_normal((5, 8)).astype(np.float32)


def compiled(model: onnx.ModelProto, inputs: dict[str, Any], **options: Any) -> Network:
    return compile_model(model, "sparse256", calibrate=inputs, **options)


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("(float[1,3,4,4] x) => (int64[4] y) { y = Shape(x) }", {"x": IMAGE}),
        (
            "(float[1,3,4,4] x) => (float[1,3,4,4] z, int64[2] y) <int64[1] a = {2}, int64[1] e = {4}> "
            "{ z = Relu(x) s = Shape(z) y = Slice(s, a, e) }",
            {"x": IMAGE},
        ),
        (
            "(int64[2,3] x) => (float[2,3,8] y) { y = Gather(t, x) }",
            {"x": np.array([[0, 4, -1], [-5, 2, 2]])},
        ),
        (
            "(uint8[2,3] x) => (float[2,3,8] y) { y = Gather(t, x) }",
            {"x": np.array([[0, 4, 1]] * 2, np.uint8)},
        ),
        (
            "(float[1,3] x, float lo, float hi) => (float[1,3] y) { y = Clip(x, lo, hi) }",
            {"x": np.array([[-3, 0, 3]], np.float32), "lo": np.float32(-1), "hi": np.float32(2)},
        ),
        ("(float s) => (float y) { y = Exp(s) }", {"s": np.float32(0.5)}),
        (
            "(float[1,3] x) => (float[1,3] y) <float lo = {2.0}, float hi = {1.0}> "
            "{ y = Clip(x, lo, hi) }",
            {"x": np.array([[0, 1.5, 3]], np.float32)},
        ),
        (
            "(int32[1,4] a, int32[1,4] b) => (int32[1,4] y, bool[1,4] z) { y = Mul(a, b) "
            "z = Less(a, b) }",
            {"a": np.array([[1, -2, 3, 4]], np.int32), "b": np.array([[5, 6, -7, 0]], np.int32)},
        ),
        (
            "(float[1,3,4,4] x) => (float[1,3,4,4] y) { y = MeanVarianceNormalization(x) }",
            {"x": IMAGE},
        ),
        (
            "(bool[1,4] a, bool[1,4] b) => (bool[1,4] y) { y = Xor(a, b) }",
            {"a": np.array([[True, True, False, False]]), "b": np.array([[True, False] * 2])},
        ),
        (
            "(float[1,4] x) => (uint8[1,4] y) <float s = {0.5}, uint8 z = {3}> "
            "{ y = QuantizeLinear(x, s, z) }",
            {"x": np.array([[0, 1, 2, 3]], np.float32)},
        ),
        (
            "(float[1,2] x) => (int16[1,2] y) <float[2] s = {0.5, 0.25}, int16[2] z = {0, 0}> "
            "{ y = QuantizeLinear<axis = 1>(x, s, z) }",
            {"x": np.array([[1, 2]], np.float32)},
        ),
    ],
)
def test_what_is_right(text: str, inputs: dict[str, Any]) -> None:
    model = parse(f"g {text}", opset=21, **({"t": TABLE} if "t," in text else {}))
    network = compiled(model, inputs)
    found = Session(network).run(inputs)
    for port, want in zip(model.graph.output, reference(model, inputs), strict=True):
        assert found[port.name].shape == want.shape
        assert found[port.name].dtype == want.dtype
        np.testing.assert_allclose(found[port.name], want, rtol=2e-2, atol=2e-2)
    assert validate(network, inputs).exact


def test_more_inputs_than_16_bits_count_are_summed_on_the_accelerator() -> None:
    weight = RNG.standard_normal((70000, 3)).astype(np.float32)
    model = parse("g (float[1,70000] x) => (float[1,3] y) { y = MatMul(x, w) }", w=weight)
    x = RNG.standard_normal((1, 70000)).astype(np.float32)
    network = compiled(model, {"x": x})
    assert not network.cpu
    assert validate(network, {"x": x}).exact


def test_indices_beyond_the_end_read_the_last_row() -> None:
    """And not what lies behind the table in memory."""
    model = parse("g (int64[1,2] x) => (float[1,2,8] y) { y = Gather(t, x) }", t=TABLE)
    network = compiled(model, {"x": np.array([[0, 1]])})
    found = Session(network).run({"x": np.array([[1 << 40, 3]])})["y"]
    assert np.array_equal(found[0], TABLE[[4, 3]])


def test_slopes_of_an_old_model_are_those_of_channels() -> None:
    x = RNG.standard_normal((1, 4, 3, 4)).astype(np.float32)
    model = parse(
        "g (float[1,4,3,4] x) => (float[1,4,3,4] y) { [leak] y = PRelu(x, s) }",
        opset=6,
        s=np.array([0.0, 0.5, 1.0, 2.0], np.float32),
    )
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [4]))
    found = Session(compiled(model, {"x": x})).run({"x": x})["y"]
    want = np.where(x < 0, x * np.array([0, 0.5, 1, 2], np.float32).reshape(1, 4, 1, 1), x)
    assert np.abs(found - want).max() < 0.05


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "(float[2] x) => (seq(float[2]) y) { [s] y = SequenceConstruct(x) }",
            "Node 's' (SequenceConstruct) makes a sequence",
        ),
        (
            "(float[2] x) => (float[2] y) { [o] a = Optional(x) y = OptionalGetElement(a) }",
            "Node 'o' (Optional) makes an optional",
        ),
        (
            "(float[2] x) => (int4[2] y) { [four] y = Cast<to = 22>(x) }",
            "Node 'four' (Cast) makes a tensor of type INT4",
        ),
        (
            "(float[2] x) => (string[2] y) { [text] y = Cast<to = 8>(x) }",
            "Node 'text' (Cast) makes a tensor of type STRING",
        ),
        ("(string[2] x) => (float[2] y) { y = Cast<to = 1>(x) }", "Input 'x' is of type STRING"),
        (
            "(float[4] x, int64[1] s) => (float[A,B] y) { [form] y = Reshape(x, s) }",
            "Node 'form' (Reshape) depends on the values of 's', which are known only at run time",
        ),
        (
            "(float[4] x) => (int64[1,N] y) { [where] y = NonZero(x) }",
            "Node 'where' (NonZero) makes a tensor whose shape depends on values",
        ),
        (
            '(int32[2] x, int32[2] s) => (int32[2] y) { [left] y = BitShift<direction = "LEFT">(x, s) }',
            "Node 'left' (BitShift) may shift by a negative number",
        ),
        (
            "(float[1,4] x) => (float[1,0] y) <int64[1] n = {0}> { [none] y = Slice(x, n, n, k) "
            "k = Constant<value_ints = [1]>() }",
            "'none'",
        ),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    model = parse(f"g {text}", opset=21)
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    others = [node for node in model.graph.node if node.op_type != "Constant"]
    del model.graph.node[:]
    model.graph.node.extend(constants + others)
    with pytest.raises(FrontError) as refusal:
        compile_model(model, "sparse256")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_makers_operators_are_named_before_anything_is_upgraded() -> None:
    model = parse("g (float[2] x) => (float[2] y) { [trees] y = ai.onnx.ml.Scaler(x) }", opset=9)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    with pytest.raises(FrontError, match=r"Node 'trees' has operator ai\.onnx\.ml\.Scaler"):
        compile_model(model, "sparse256")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "(int64[4] x) => (int64[4] y) <int64 n = {3}> { a = Neg(x) [power] y = Pow(a, n) }",
            "Node 'power' cannot be compiled by TVM",
        ),
        (
            "(uint64[4] x) => (uint64[2] y, int64[2] z) <int64[1] n = {2}> "
            "{ a = Mul(x, x) [best] y, z = TopK(a, n) }",
            "Node 'best' cannot be run by TVM",
        ),
    ],
)
def test_what_tvm_cannot_do_is_named(text: str, words: str) -> None:
    with pytest.raises(PassError, match=words):
        compile_model(parse(f"g {text}"), "sparse256")


def test_doubles_beyond_float32_are_refused() -> None:
    model = parse("g (double[1,2] x) => (double[1,2] y) { y = Add(x, x) }")
    network = compiled(model, {"x": np.ones((1, 2))})
    with pytest.raises(Exception, match="'x' holds numbers beyond float32"):
        Session(network).run({"x": np.array([[1e200, 1.0]])})


def test_two_rows_are_no_batch_because_they_agree_by_chance() -> None:
    model = normalise_onnx(
        parse("g (int32[2,2] x, int64[2,2] i) => (int32[2] y) { y = GatherND(x, i) }")
    )
    assert for_one_image(model)[1] == 1


def test_what_onnxruntime_cannot_run_is_judged_by_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from zeroskip.relay_passes import import_check

    def cannot(*_arguments: Any) -> Any:
        raise RuntimeError("not implemented")

    monkeypatch.setattr(import_check, "_run", cannot)
    model = parse("g (float[1,3,4,4] x) => (float[1,3,4,4] y) { [e] y = Exp(x) }")
    compiled(model, {"x": IMAGE})
    monkeypatch.setattr(import_check, "ReferenceEvaluator", lambda _model: Zeros())
    with pytest.raises(FrontError, match="'e', or one before it, does not give what ONNX's refer"):
        compiled(model, {"x": IMAGE})


class Zeros:
    def run(self, names: list[str], _inputs: Any) -> list[np.ndarray]:
        return [np.zeros((1, 3, 4, 4), np.float32) for _ in names]


def test_an_opaque_node_is_called_by_its_onnx_operator() -> None:
    model = parse(
        "g (float[1,3,4,4] x) => (float[1,6,4,4] y) <int64[4] r = {1, 2, 1, 1}> "
        "{ [again] y = Tile(x, r) }"
    )
    assert compiled(model, {"x": IMAGE}).cpu == {"again": "no int8 form of Tile"}


def test_a_refusal_in_the_command_line_is_one_line(tmp_path: Path) -> None:
    """Also where TVM's own error holds half-built functions."""
    onnx.save(
        parse("g (int64[4] x) => (int64[4] y) <int64 n = {3}> { [power] y = Pow(x, n) }"),
        tmp_path / "net.onnx",
    )
    refused(zeroskip("compile", tmp_path / "net.onnx", "-o", tmp_path / "net.zsk"), "Node 'power'")


def test_casts_at_the_border_of_a_float16_network_say_what_they_are() -> None:
    model = parse("g (float16[1,3,4,4] x) => (float16[1,3,4,4] y) { [only] y = Relu(x) }")
    reasons = compile_model(model, "sparse256").cpu
    assert {why for node, why in reasons.items() if node != "only"} == {
        "it converts the type at the network's border, where the model's is not float32"
    }
