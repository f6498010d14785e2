"""Relay's text and parameters: what is read, and the sentence for what is not."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.relay_passes.relay_goldens import read
from zeroskip.relay_passes import relay_to_onnx
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.read_model import read_model
from zeroskip.relay_passes.relay.lexer import tokens_of
from zeroskip.relay_passes.relay.metadata import read_metadata
from zeroskip.relay_passes.relay.ndarray import ARRAY_MAGIC, LIST_MAGIC, read_params
from zeroskip.relay_passes.relay.parser import parse_function
from zeroskip.relay_passes.relay.syntax import Item, Literal, RelayCall, TupleOf, Variable

HEAD = '#[version = "0.0.5"]\ndef @main(%x: Tensor[(1, 4, 6, 8), float32]) {\n'
WEIGHT = np.ones((2, 4, 1, 1), np.float32)


def main(body: str, params: str = "") -> str:
    """A function of ``%x`` with this body, which begins in line 3."""
    return HEAD.replace(") {", f"{params}) {{") + body + "\n}\n"


def test_the_words_of_a_text() -> None:
    kinds = [(token.kind, token.line) for token in tokens_of('%a.1: /* no */ "b"\n-1e-05f // c')]
    assert kinds == [
        ("variable", 1),
        ("mark", 1),
        ("text", 1),
        ("number", 2),
        ("end", 2),
    ]


def test_an_expression_as_values() -> None:
    text = main("  %0 = split(%x, indices_or_sections=[1, 3], axis=1);\n  (%0.1, nn.relu(2f16),)")
    function, metadata = parse_function(text)
    assert metadata == ""
    (binding,) = function.bindings
    assert isinstance(binding.value, RelayCall)
    assert (binding.value.op, binding.value.line) == ("split", 3)
    assert binding.value.attrs == {"indices_or_sections": (1, 3), "axis": 1}
    assert isinstance(function.result, TupleOf)
    first, second = function.result.fields
    assert first == Item(Variable("0"), 1, 4)
    assert isinstance(second, RelayCall)
    assert isinstance(second.args[0], Literal)
    assert second.args[0].value.dtype == np.float16


@pytest.mark.parametrize(
    ("number", "dtype", "value"),
    [
        ("1f", "float32", 1.0),
        ("-1e-07f", "float32", np.float32(-1e-7)),
        ("inff", "float32", np.inf),
        ("3", "int32", 3),
        ("-3i64", "int64", -3),
        ("2f64", "float64", 2.0),
        ("5u8", "uint8", 5),
    ],
)
def test_numbers(number: str, dtype: str, value: float) -> None:
    result = parse_function(main(f"  {number}"))[0].result
    assert isinstance(result, Literal)
    assert str(result.value.dtype) == dtype
    assert result.value == value


def test_names_and_outputs() -> None:
    text = main("  %3 = nn.relu(%x);\n  (%3, exp(%3))")
    model = relay_to_onnx(text, name="net")
    assert model.graph.name == "net"
    assert [item.name for item in model.graph.input] == ["x"]
    assert [item.name for item in model.graph.output] == ["output0", "output1"]
    assert [node.name for node in model.graph.node][:2] == ["nn.relu_3", "exp_result"]


def test_parameters_are_constants_and_the_rest_are_inputs() -> None:
    text = main("  nn.conv2d(%x, %w)", ", %w: Tensor[(2, 4, 1, 1), float32]")
    model = relay_to_onnx(text, {"w": WEIGHT})
    assert [item.name for item in model.graph.input] == ["x"]
    assert [item.name for item in model.graph.initializer] == ["w"]
    with pytest.raises(FrontError, match=r"line 3: nn\.conv2d reads its kernel from 'w'.*--params"):
        relay_to_onnx(text)
    with pytest.raises(FrontError, match=r"line 2: '%w' is .* but its array has shape \[4\]"):
        relay_to_onnx(text, {"w": np.ones(4, np.float32)})
    with pytest.raises(FrontError, match="None of the 1 parameters"):
        relay_to_onnx(text, {"other": WEIGHT})


REFUSED = {
    "let %y = nn.relu(%x); %y": r"line 3: 'let' is no part .*ToGraphNormalForm",
    "if (%x) { %x } else { %x }": "line 3: 'if' is no part of a network",
    "%0 = fn (%y: float32) { %y };\n  %0(%x)": "line 3: 'fn' is no part.*FuseOps",
    "@other(%x)": "line 3: '@other' is another function: run relay.transform.Inline",
    "%x(%x)": "line 3: '%x' is called as a function",
    "nn.relu(%y)": "line 3: nothing binds '%y' before",
    "%x = nn.relu(%x);\n  %x": "line 3: '%x' is bound in line 2 already",
    "nn.relu(%x": "line 4: '}' stands where '\\)' should",
    "nn.relu(%x) $": r"line 3: '\$' is no Relay text",
    "nn.relu(%x, %x)": "line 3: nn.relu has 2 operands where 1 should be",
    "nn.relu(%x, axis=1)": "line 3: nn.relu has an attribute 'axis' that is not known",
    "nn.relu((%x, %x))": "line 3: nn.relu has a tuple as operand 0: take a field",
    "%0 = (%x, %x);\n  %0.2": "line 4: there is no field 2",
    "nn.conv3d(%x, %x)": "line 3: nn.conv3d of .* is taken of 5 dimensions only",
    "nn.conv1d(%x, %x)": "line 3: nn.conv1d of .* is taken of 3 dimensions only",
    "nn.avg_pool1d(%x, padding=[1, 1, 1])": "line 3: nn.avg_pool1d of .* 3 dimensions only",
    "qnn.batch_matmul(%x, %x, 0, 0, 1f, 1f)": "line 3: qnn.batch_matmul multiplies two activations",
    "dyn.reshape(%x, %x)": "line 3: dyn.reshape has shapes that .*DynamicToStatic",
    "my.op(%x)": "line 3: my.op is not converted: replace it",
    "nn.relu(meta[relay.Constant][2])": r"line 3: meta\[relay.Constant\]\[2\] is not in the text",
    'nn.max_pool2d(%x, pool_size=[2, 2], layout="NCHW4c")': "line 3: .* taken are NCHW and NHWC",
    "nn.max_pool2d(%x, pool_size=[0, 2])": "line 3: .* has pool_size=.* two positive integers",
    "nn.max_pool2d(%x, pool_size=[9, 9])": "line 3: nn.max_pool2d of .* is no shape: use smaller windows",
    "concatenate((%x, %x), axis=4)": "line 3: concatenate has axis 4 of 4 dimensions",
    "reshape(%x, newshape=[5, -1])": r"line 3: reshape makes \[5, 38\] of \[1, 4, 6, 8\]",
    "add(%x, 1)": "line 3: add has operands of float32 and int32: cast one",
    'add(%x, ones(shape=[3], dtype="float32"))': "line 3: add of .* is no Add of ONNX",
    "nn.relu(%x) /* ty=Tensor[(1, 4, 6, 9), float32] */": "line 3: nn.relu makes .*6, 8.*6, 9",
    'zeros(shape=[1000000, 1000000], dtype="float32")': "line 3: a tensor of 2 dimensions and 1e",
    'qnn.quantize(%x, 0f, 0, out_dtype="int8")': "line 3: .* is not positive",
    'qnn.quantize(%x, 1f, 200, out_dtype="int8")': "line 3: .* zero point that int8 does not hold",
    'qnn.quantize(%x, 1f, 0, out_dtype="int16")': "line 3: qnn.quantize makes int16",
    "nn.relu(" * 70 + "%x" + ")" * 70: "line 3: expressions are nested deeper than 64",
    'clip(cast(%x, dtype="bool"), a_min=0f, a_max=1f)': "line 3: clip of bool has no limits",
    "clip(%x, a_min=1f, a_max=0f)": "line 3: clip has limits 1 and 0",
    "nn.relu(%x);": "line 3: ';' stands where '}' should",
    "": "line 4: '}' stands where an expression should",
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: body[:30])
def test_what_is_no_network_is_refused_by_its_line(body: str) -> None:
    with pytest.raises(FrontError, match=REFUSED[body]) as refusal:
        relay_to_onnx(main(f"  {body}"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            HEAD.replace("6, 8", "?, 8") + "%x }",
            r"line 2: %x has a dimension that is open \('\?'\)",
        ),
        (HEAD.replace("float32", "custom") + "%x }", "line 2: 'custom' is no type"),
        ("nn.relu(%x)", "line 1: 'nn.relu' stands where 'def @main' should"),
        ("", "line 1: there is no function"),
        ("free_var %x: float32; %x", "line 1: 'free_var' is no part"),
        ("def @a() { 1 }\ndef @b() { 1 }", "line 1: of @a, @b none is @main"),
    ],
)
def test_modules_that_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(FrontError, match=sentence):
        relay_to_onnx(text)


QNN = (
    '  %0 = qnn.quantize(%x, 0.1f, 0, out_dtype="int8");\n'
    "  %1 = qnn.conv2d(%0, %w, 0, 0, 0.1f, 0.02f, channels=2, kernel_size=[1, 1]);\n"
    '  qnn.requantize(%1, SCALE, 0, 0.3f, 0, axis=1, out_dtype="int8")'
)


def test_sums_of_another_scale_are_refused() -> None:
    """Six digits of each of three scales are allowed for, no more."""
    text = main(QNN, ", %w: Tensor[(2, 4, 1, 1), int8]")
    params = {"w": WEIGHT.astype(np.int8)}
    model = relay_to_onnx(text.replace("SCALE", "0.00200001f"), params)
    assert "Conv" in {node.op_type for node in model.graph.node}
    with pytest.raises(FrontError, match=r"line 5: qnn\.requantize reads sums by another scale"):
        relay_to_onnx(text.replace("SCALE", "0.0021f"), params)
    with pytest.raises(FrontError, match=r"line 5: exp reads int32 sums of a quantized layer"):
        relay_to_onnx(
            main(QNN.rpartition("\n")[0] + "\n  exp(%1)", ", %w: Tensor[(2, 4, 1, 1), int8]"),
            params,
        )


def array_bytes(array: np.ndarray, code: int = 2, bits: int = 32) -> bytes:
    head = struct.pack("<QQiiiBBH", ARRAY_MAGIC, 0, 1, 0, array.ndim, code, bits, 1)
    shape = struct.pack(f"<{array.ndim}q", *array.shape)
    return head + shape + struct.pack("<q", array.nbytes) + array.tobytes()


def list_bytes(names: list[bytes], arrays: list[bytes]) -> bytes:
    words = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    head = struct.pack("<QQQ", LIST_MAGIC, 0, len(names)) + words
    return head + struct.pack("<Q", len(arrays)) + b"".join(arrays)


def test_parameters_by_the_documented_layout() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = read_params(list_bytes([b"a", b"b"], [array_bytes(values)] * 2))
    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["b"], values)


def test_parameters_that_relay_wrote() -> None:
    saved = read.params("quantized", "uint8_nhwc")
    assert saved is not None
    arrays = read_params(saved)
    assert arrays["conv0_weight"].shape == (3, 3, 3, 8)
    assert str(arrays["conv0_bias"].dtype) == "int32"


GOOD = list_bytes([b"a"], [array_bytes(np.ones(3, np.float32))])
SPOILT = {
    "begin with another number": b"\0" * 40,
    "end early": GOOD[:-1],
    "have 1 bytes too many": GOOD + b"\0",
    "hold 1 arrays for 2 names": list_bytes([b"a", b"b"], [array_bytes(np.ones(3, np.float32))]),
    "hold a name twice": list_bytes([b"a"] * 2, [array_bytes(np.ones(3, np.float32))] * 2),
    "a name that is not UTF-8": list_bytes([b"\xff"], [array_bytes(np.ones(3, np.float32))]),
    "is of type 4 with 32 bits": list_bytes([b"a"], [array_bytes(np.ones(3, np.float32), 4)]),
    "have 12 bytes for 'a'": list_bytes([b"a"], [array_bytes(np.ones(3, np.float32), 2, 64)]),
}


@pytest.mark.parametrize("sentence", SPOILT)
def test_spoilt_parameters_are_refused(sentence: str) -> None:
    with pytest.raises(FrontError, match=f"{sentence}.*save_param_dict"):
        read_params(SPOILT[sentence])


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a table"),
        ("{}", "has no lists"),
        ('{"root": 5, "nodes": [{}], "b64ndarrays": []}', "has no 'Map' at node 5"),
        (
            '{"root": 0, "b64ndarrays": ["!"], "nodes": [{"type_key": "Map", "keys": '
            '["relay.Constant"], "data": [1]}, {"type_key": "Array", "data": [2]}, '
            '{"type_key": "relay.Constant", "attrs": {"data": "0"}}]}',
            "array 0 that is not base64",
        ),
    ],
)
def test_spoilt_metadata_are_refused(section: str, sentence: str) -> None:
    with pytest.raises(FrontError, match=f"{sentence}.*show_meta_data=True"):
        read_metadata(section)


def test_a_file_is_read_by_its_kind(tmp_path: Path) -> None:
    text = main("  nn.relu(%x)")
    for name in ("net.relay", "net.txt"):
        (tmp_path / name).write_text(text)
        model = read_model(tmp_path / name)
        assert isinstance(model, onnx.ModelProto)
        assert model.graph.name == "net"
    assert read_model(tmp_path / "net.onnx") == tmp_path / "net.onnx"
    with pytest.raises(FrontError, match="Parameters belong to Relay's text"):
        read_model(tmp_path / "net.onnx", {"w": WEIGHT})
    with pytest.raises(FrontError, match=r"none\.relay' does not exist"):
        read_model(tmp_path / "none.relay")
    with pytest.raises(FrontError, match=r"none\.params' does not exist"):
        read_model(tmp_path / "net.relay", tmp_path / "none.params")
    (tmp_path / "net.relay").write_bytes(b"\xff\xfe")
    with pytest.raises(FrontError, match="is no text in UTF-8"):
        read_model(tmp_path / "net.relay")
