"""Networks with 16-bit activations, by commands and in Python, against TVM's CPU and the float
network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.zoo import MODELS
from tests.relay_passes.onnx_oracle import parse
from tests.runtime.command import refused, zeroskip
from tests.runtime.nets import small_net
from tests.runtime.test_qdq import CONSTANTS, HEAD, TAIL, WEIGHT, network
from zeroskip import compiler
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.errors import CompileError
from zeroskip.relay_passes.errors import PassError
from zeroskip.runtime.execution.validation import validate

TARGET = "sparse256_int16"
MODELS_FOLDER = Path(__file__).parents[2] / "models"
SAMPLES = MODELS_FOLDER / "fashion_calibration.npz"


def test_commands_take_it_end_to_end(compiled: Path, tmp_path: Path) -> None:
    """Two levels of sparsity in a file too, whose weights are packed again when it is opened."""
    model, file = compiled / "net.onnx", tmp_path / "net.zsk"
    words = ("--target", TARGET, "--activation-bits", "16", "--calibrate", compiled / "images.npz")
    done = zeroskip("compile", model, "-o", file, *words)
    assert done.exit_code == 0, done.output
    checked = zeroskip("validate", file, "--layers", "--input", compiled / "x.npz")
    assert checked.exit_code == 0, checked.output
    assert "1 of 1 regions bit-exact" in checked.stdout
    assert zeroskip("report", file).exit_code == 0
    emitted = zeroskip("compile", model, *words, "--emit=layers")
    assert "int16[1x16x16x16] zp=0" in emitted.stdout
    levels = ("--level", "unstructured:sparsity=0.5", "--level", "unstructured:sparsity=0.75")
    assert zeroskip("compile", model, "-o", file, *words, *levels).exit_code == 0
    for level in ("0", "1"):
        checked = zeroskip("validate", file, "--level", level, "--input", compiled / "x.npz")
        assert "1 of 1 regions bit-exact" in checked.stdout, checked.output


@pytest.mark.slow
def test_a_classifier_is_as_close_to_float_as_its_weights_are() -> None:
    """8 dB closer than with int8 activations: what is left is the noise of int8 weights, 41.1
    dB."""
    model, data = MODELS_FOLDER / "fashion_pattern.onnx", dict(np.load(SAMPLES))
    found = {}
    for bits in (8, 16):
        made = compiler.compile(model, TARGET, calibrate=SAMPLES, activation_bits=bits)
        done = validate(made, {name: values[:4] for name, values in data.items()})
        assert done.exact
        assert done.layers == done.of_layers
        found[bits] = done.snr_db["logits"]
    assert found[16] > 40 > 35 > found[8]


def test_batches_and_what_a_file_keeps(tmp_path: Path) -> None:
    images = {"x": np.random.default_rng(1).standard_normal((4, 3, 16, 16)).astype(np.float32)}
    options: Any = {"calibrate": images, "activation_bits": 16, "batch": 2}
    made = compiler.compile(small_net(cpu_node=True), TARGET, **options)
    made.save(tmp_path / "net.zsk")
    again = Network.load(tmp_path / "net.zsk")
    assert {program.activation_bits for program in again.programs.values()} == {16}
    assert len(again.programs) == 2
    assert validate(again, images).exact


@pytest.mark.slow
def test_functions_that_take_tables_stay_on_the_cpu_by_name() -> None:
    model = MODELS["efficientnet_b0"](image=24, classes=10, blocks=1)
    images = np.random.default_rng(0).standard_normal((3, 3, 24, 24)).astype(np.float32)
    made = compiler.compile(model, TARGET, calibrate={"image": images}, activation_bits=16)
    assert made.cpu
    assert {why for why in made.cpu.values() if "65536" in why}
    done = validate(made, {"image": images[:1]})
    assert done.exact, done.text()
    kinds = {layer.kind for each in made.programs.values() for layer in each.layers}
    assert "conv" in kinds
    assert not any("lookup" in kind for kind in kinds)


@pytest.mark.parametrize("extremum", ["Max", "Min"])
def test_the_larger_of_two_tensors_stays_on_the_cpu_whole(extremum: str) -> None:
    """What they differ by has 17 bits: of 8-bit ones it is uint8, which had cut it off here."""
    rng = np.random.default_rng(2)
    model = parse(
        f"g (float[1,3,9,9] x) => (float[1,8,9,9] y) {{"
        f" a = Conv<pads=[1,1,1,1]>(x, v)  b = Conv<pads=[1,1,1,1]>(x, w)  y = {extremum}(a, b) }}",
        v=rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        w=rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
    )
    images = {"x": rng.standard_normal((4, 3, 9, 9)).astype(np.float32)}
    made = compiler.compile(model, TARGET, calibrate=images, activation_bits=16)
    assert [*made.cpu] == [f"{extremum}_y"]
    done = validate(made, {"x": images["x"][:1]})
    assert done.exact
    assert done.snr_db["y"] > 35


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--target", "dense256"),
            "target 'dense256' stores activations in 8 bits: take sparse256_i",
        ),
        (
            ("--target", TARGET, "--method", "mse"),
            "method mse chooses ranges by the error of 8-bit",
        ),
        (("--target", TARGET, "--emit=tosa"), "16-bit activations have no form as TOSA"),
    ],
)
def test_a_refusal_is_one_sentence(
    words: tuple[str, ...], said: str, compiled: Path, tmp_path: Path
) -> None:
    out = () if "--emit=tosa" in words else ("-o", tmp_path / "n.zsk")
    given = ("--calibrate", compiled / "images.npz", "--activation-bits", "16")
    refused(zeroskip("compile", compiled / "net.onnx", *out, *given, *words), said)
    assert not (tmp_path / "n.zsk").exists()


def test_what_has_integers_of_its_own_is_refused() -> None:
    model = network(f"{HEAD} {WEIGHT} c = Conv(d, dw) {TAIL}", constants=CONSTANTS)
    with pytest.raises(PassError, match="the model brings scales of 8 bits"):
        compiler.compile(model, TARGET, activation_bits=16)
    with pytest.raises(CompileError, match="activations have 8 or 16 bits, not 12"):
        compiler.compile(small_net(), TARGET, activation_bits=12)
