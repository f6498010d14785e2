"""Models beyond all size, empty, or full of numbers that are none: refused in one sentence."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.relay_passes.onnx_oracle import parse
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.limits import MAX_ELEMENTS, MAX_NODES, refuse_sizes
from zeroskip.relay_passes.frontend.load import load_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.relay_passes.frontend.to_relax import import_onnx

ONES = np.ones((4, 3, 3, 3), np.float32)
IMAGE = "(float[1,3,8,8] x)"


def refused(model: onnx.ModelProto, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(FrontError) as refusal:
        import_onnx(normalise_onnx(model))
    assert capfd.readouterr().err == ""
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def chain(length: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", [f"v{n}"], [f"v{n + 1}"]) for n in range(length)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])
        for name in ("v0", f"v{length}")
    ]
    return helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:]),
        ir_version=9,
        opset_imports=[helper.make_opsetid("", 17)],
    )


def nested(depth: int) -> onnx.ModelProto:
    """Functions each of which calls the next twice: 2**depth nodes from a few hundred bytes."""
    model = chain(1)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for n in range(depth):
        kind, domain = (f"f{n + 1}", "own") if n + 1 < depth else ("Neg", "")
        body = [
            helper.make_node(kind, ["a"], ["b"], domain=domain),
            helper.make_node(kind, ["b"], ["c"], domain=domain),
        ]
        model.functions.append(helper.make_function("own", f"f{n}", ["a"], ["c"], body, imports))
    model.graph.node[0].op_type, model.graph.node[0].domain = "f0", "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def test_too_many_nodes(capfd: pytest.CaptureFixture[str]) -> None:
    assert "more than 10000 nodes" in refused(chain(MAX_NODES + 1), capfd)
    assert "more than 10000 nodes" in refused(nested(60), capfd)
    assert len(normalise_onnx(nested(3)).graph.node) == 8


def test_functions_that_call_themselves(capfd: pytest.CaptureFixture[str]) -> None:
    model = nested(2)
    model.functions[1].node[0].op_type, model.functions[1].node[0].domain = "f0", "own"
    assert "functions that call themselves" in refused(model, capfd)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "float[1,3,8,8] y) { [c] y = Conv<pads = [100000, 100000, 100000, 100000]>(x, w) }",
            "Node 'c' has shape [1, 4, 200006, 200006], more than 268435456 elements",
        ),
        (
            "float[a] y) { s = Constant<value_ints = [68719476736]>() [c] v = ConstantOfShape(s) "
            "[k] y = Relu(v) }",
            "Node 'c' has shape [68719476736], more than",
        ),
        (
            "float[a] y) { l = Constant<value_float = 0.0>() h = Constant<value_float = 1e12>() "
            "d = Constant<value_float = 1.0>() [r] v = Range(l, h, d) [k] y = Relu(v) }",
            "Node 'r' has shape [999999995904], more than",
        ),
        (
            "float[a,b,c,d] y) { r = Constant<value_ints = [1, 1, 1048576, 1048576]>() "
            "[t] y = Tile(x, r) }",
            "Node 't' has shape [1, 3, 8388608, 8388608], more than",
        ),
        (
            "float[a,b,c,d] y) { [c] y = Conv(x, empty) }",
            "Node 'c' has shape [1, 0, 6, 6], which holds nothing",
        ),
        (
            "float[1,4,6,6] y) { [c] y = Conv(x, nan) }",
            "Node 'c' (Conv) has nan in its constant 'nan', not finite",
        ),
        (
            "float[1,4,6,6] y) { [c] v = Conv(x, w) [b] y = BatchNormalization(v, v4, v4, v4, minus) }",
            "Node 'b' (BatchNormalization) has -1 in its constant 'minus', a negative variance",
        ),
        (
            "float[1,3,8,8] y) { [q] v = QuantizeLinear(x, zero) [d] y = DequantizeLinear(v, zero) }",
            "Node 'q' (QuantizeLinear) has 0 in its constant 'zero', a scale that is not positive",
        ),
        (
            "float[1,2,6,6] y) { [c] y = Conv<group = 2>(x, w) }",
            "Node 'c' (Conv) cannot be imported",
        ),
    ],
)
def test_models_that_cannot_be(body: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    constants = {
        "w": ONES,
        "nan": ONES * np.nan,
        "empty": ONES[:0],
        "v4": np.ones(4, np.float32),
        "minus": -np.ones(4, np.float32),
        "zero": np.float32(0),
    }
    used = {
        name: np.asarray(value)
        for name, value in constants.items()
        if f"{name})" in body or f"{name}," in body
    }
    assert words in refused(parse(f"g {IMAGE} => ({body}", opset=17, **used), capfd)


def test_a_model_without_ends(capfd: pytest.CaptureFixture[str]) -> None:
    model = chain(1)
    del model.graph.output[:]
    assert "no output" in refused(model, capfd)
    constant = parse("g () => (float[2] y) { y = Constant<value_floats = [1.0, 2.0]>() }")
    assert "no input" in refused(constant, capfd)


def test_names_that_are_not_text(tmp_path: Path) -> None:
    raw = chain(1).SerializeToString().replace(b"Relu", b"R\xff\xfeu")
    (tmp_path / "m.onnx").write_bytes(raw)
    with pytest.raises(FrontError, match=r"m\.onnx' .* \(a name in it is not UTF-8\)"):
        load_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(("size", "fits"), [(MAX_ELEMENTS, True), (MAX_ELEMENTS + 1, False)])
def test_the_largest_tensor(size: int, fits: bool) -> None:
    model = parse(f"g (float[1,{size}] x) => (float[1,{size}] y) {{ y = Relu(x) }}")
    with nullcontext() if fits else pytest.raises(FrontError, match="more than 268435456"):
        refuse_sizes(model)
