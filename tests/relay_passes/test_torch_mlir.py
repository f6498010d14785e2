"""TOSA of floats, as torch-mlir writes PyTorch's networks: against what torch makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.relay_passes.float_texts import MAP, const, float_module, op, quantized, quantized_text
from tests.relay_passes.integer_texts import run_layers
from tests.runtime.command import zeroskip
from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.tosa.evaluate import evaluate
from zeroskip.relay_passes.tosa.read_tosa import tosa_to_integer
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import read_module
from zeroskip.relay_passes.tosa.to_onnx import tosa_to_onnx
from zeroskip.runtime.execution.session import Session

GOLDENS = Path(__file__).parent / "torch_mlir_goldens"
Arrays = dict[str, np.ndarray]


def numbers(folder: Path = GOLDENS) -> Arrays:
    with np.load(folder / "numbers.npz") as held:
        return {name: held[name] for name in held}


def run(text: str, images: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of a text."""
    model = tosa_to_onnx(text, "net.mlir").SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return np.array([session.run(None, {given.name: each[None]})[0][0] for each in images])


def check(folder: Path) -> None:
    """Every golden is read as what torch computes."""
    held = numbers(folder)
    texts = {
        name: (folder / f"{name}.mlir").read_text() for name in ("float", "quantized", "moves")
    }
    found = run(texts["float"], held["float_x"])
    assert np.abs(found - held["float_y"]).max() < 1e-6
    found = run(texts["quantized"], held["quantized_x"])
    assert np.abs(found - held["quantized_y"]).max() < 1e-6  # no integer is another one
    module = read_module(texts["moves"], "moves.mlir")
    reader = Reader(module)
    for x, y in zip(held["moves_x"], held["moves_y"], strict=True):
        assert np.array_equal(evaluate(module, [x[None]])[0][0], y)
        assert np.array_equal(run_layers(reader, [x[None]])[0][0], y)


def test_goldens_are_read_as_what_torch_computes() -> None:
    check(GOLDENS)


def test_a_quantized_network_runs_with_its_own_scales(tmp_path: Path) -> None:
    held, network, image = numbers(), tmp_path / "net.zsk", tmp_path / "x.npz"
    done = zeroskip("compile", GOLDENS / "quantized.mlir", "-o", network)
    assert done.exit_code == 0, done.output
    np.savez(image, arg0=held["quantized_x"])
    done = zeroskip("validate", network, "--input", image)
    assert done.exit_code == 0, done.output
    assert "bit-exact" in done.output
    made = Network.load(network)
    assert made.placement.whole
    (got,) = Session(made).run({"arg0": held["quantized_x"][:1]}).values()
    values = np.unique(held["quantized_y"])
    step = np.diff(values).min()  # of the last scale
    assert np.abs(got - held["quantized_y"][:1]).max() < 1.5 * step


def test_what_quantizers_wrote_is_found_again() -> None:
    model = tosa_to_onnx(quantized_text(), "t.mlir")
    ops = [node.op_type for node in model.graph.node]
    pair = ["QuantizeLinear", "DequantizeLinear"]
    assert ops == [*pair, "DequantizeLinear", "Conv", "Relu", *pair, "Identity"]
    x = np.linspace(-3, 3, 32, dtype=np.float32).reshape(1, 2, 4, 4)
    real = (np.clip(np.round(x * 20) + 3, -128, 127) - 3) * 0.05
    weight = np.array([[1, 127], [-127, -2]]) * 0.02
    sums = np.einsum("oc,nchw->nohw", weight, real) + np.array([0.5, -0.25])[:, None, None]
    want = (np.clip(np.round(np.maximum(sums, 0) * 20) + 3, -128, 127) - 3) * 0.05
    assert np.abs(run(quantized_text(), x)[0] - want).max() < 1e-6


def test_what_is_no_rounding_to_even_is_no_quantizer() -> None:
    """Each part of it: another value in its place, and the cast is refused."""
    text = quantized_text()
    for part, other in (
        ("tosa.ceil %q0", "tosa.floor %q0"),
        ("tosa.floor %q4", "tosa.ceil %q4"),
        ("tosa.equal %q2, %half", "tosa.equal %q2, %two"),
        ("tosa.greater %half, %q2", "tosa.greater %two, %q2"),
        ("tosa.logical_or %q9, %qa", "tosa.logical_or %qa, %qa"),
        ("tosa.logical_and %q8, %q7", "tosa.logical_and %q7, %q7"),
        ("tosa.select %qb, %q1, %q3", "tosa.select %qb, %q3, %q1"),
        ("tosa.sub %q0, %q1", "tosa.sub %q1, %q0"),
    ):
        assert part in text
        with pytest.raises(FrontError, match=r"tosa\.cast is a cast of no quantizer"):
            tosa_to_onnx(text.replace(part, other, 1), "t.mlir")


BYTE = MAP.replace("f32", "i8")
REFUSED = {
    "uint8": (
        float_module(*quantized("x", "y", limits="0 255"), result=BYTE),
        r"line 24: tosa\.cast casts 0\.\.255 to int8, which ends at 127: torch-mlir writes uint8 so",
    ),
    "another operator": (
        float_module(op("y", "sin", "%x", MAP, MAP)),
        r"t\.mlir line 8: tosa\.sin is not read in a network of floats: .*torch\.onnx\.export",
    ),
    "another dialect": (
        float_module(f"%y = arith.negf %x : {MAP}"),
        r"line 8: is not MLIR that can be read \(an operator of another dialect than TOSA",
    ),
    "another float": (
        float_module(op("y", "identity", "%x", MAP, MAP)).replace("f32", "f16"),
        r"has a tensor of f16: integers and f32 are read",
    ),
    "weights that are computed": (
        quantized_text().replace("tosa.conv2d %c2, %c1", "tosa.conv2d %c2, %odd").replace(
            "    %c2 =", "    %odd = tosa.exp %c1 : (tensor<2x1x1x2xf32>) -> tensor<2x1x1x2xf32>\n    %c2 ="
        ),
        r"tosa\.conv2d has a weight or a bias that is computed",
    ),
    "bytes that are not there": (
        quantized_text().partition("{-#")[0],
        r"tosa\.const has the resource 'w\.int8', whose bytes do not stand behind the module",
    ),
    "too few bytes": (
        quantized_text().replace("017F81FE", "017F81"),
        r"tosa\.const has 3 bytes for tensor<2x1x1x2xi8>",
    ),
    "a zero point of floats": (
        quantized_text().replace("values = dense<0.0> : tensor<1xf32>", "values = dense<1.0> : tensor<1xf32>"),
        r"tosa\.conv2d has a zero point of floats",
    ),
    "another shape": (
        float_module(op("y", "add", "%x, %half", f"{MAP}, tensor<1x1x1x1xf32>", MAP.replace("4x4", "4x5")), result=MAP.replace("4x4", "4x5")),
        r"line 8: tosa\.add makes tensor<1x2x4x5xf32>, which its operands do not",
    ),
    "scales that do not fit": (
        quantized_text().replace("1x1x1x1xf32", "1x1x3x1xf32"),
        r"tosa\.(cast is a cast of no quantizer|conv2d has a weight or a bias that is computed)",
    ),
    "a tensor of truth": (
        float_module(op("y", "greater", "%x, %half", f"{MAP}, tensor<1x1x1x1xf32>", "tensor<1x2x4x4xi1>"), result="tensor<1x2x4x4xi1>"),
        r"@main takes or gives a tensor<1x2x4x4xi1>: f32 and i8 are read",
    ),
    "a constant of another shape": (
        float_module(const("k", 1.0, "tensor<1x3xf32>"), op("y", "add", "%x, %k", f"{MAP}, tensor<1x3xf32>", MAP)),
        r"line 9: tosa\.add takes tensors that do not fit each other",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(FrontError) as found:
        tosa_to_onnx(text, "t.mlir")
    assert re.search(message, str(found.value)), str(found.value)
    assert "\n" not in str(found.value)


def test_integer_layers_of_floats_name_the_other_way() -> None:
    with pytest.raises(FrontError, match=r"read it as a network of floats \(tosa_to_onnx, or give"):
        tosa_to_integer(quantized_text(), "t.mlir")


@pytest.mark.torchmlir
def test_torch_mlir_writes_what_the_goldens_are(tmp_path: Path) -> None:
    pytest.importorskip("torch_mlir")
    from tests.relay_passes.torch_mlir_goldens.make import main

    main(tmp_path)
    check(tmp_path)
    for name in ("float", "quantized", "moves"):
        made, golden = ((at / f"{name}.mlir").read_text() for at in (tmp_path, GOLDENS))
        words = [re.findall(r"tosa\.[a-z_0-9]+", text) for text in (made, golden)]
        assert words[0] == words[1]
