"""A network of TFLite, through TOSA: against what TFLite's own kernels make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.relay_passes.integer_texts import run_layers
from tests.runtime.command import zeroskip
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.read_model import read_model
from zeroskip.relay_passes.tosa.evaluate import evaluate
from zeroskip.relay_passes.tosa.read_tosa import tosa_to_integer
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import read_module
from zeroskip.relay_passes.tosa.tflite import tflite_to_tosa

GOLDENS = Path(__file__).parent / "tflite_goldens"
TEXT = (GOLDENS / "mobile.mlir").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDENS / "mobile.npz") as arrays:
        return {name: arrays[name].astype(np.int64) for name in arrays}


def steps(got: np.ndarray, want: np.ndarray) -> dict[int, int]:
    """How many outputs are how many steps off."""
    values, counts = np.unique(got - want, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def outputs(golden: dict[str, np.ndarray], how: str) -> np.ndarray:
    module = read_module(TEXT, "mobile.mlir")
    reader = Reader(module)
    images = golden["image"].astype(np.int8)[:, None]
    each = [
        evaluate(module, [x])[0] if how == "text" else run_layers(reader, [x])[0] for x in images
    ]
    return np.array([one[0] for one in each]).astype(np.int64)


def test_the_text_is_what_tflites_reference_kernels_compute(golden: dict[str, np.ndarray]) -> None:
    """TOSA rounds twice as they do; their additions and averages are their own."""
    found = steps(outputs(golden, "text"), golden["reference"])
    assert max(map(abs, found)) <= 1
    assert found[0] >= 0.99 * sum(found.values())


def test_layers_are_as_tflites_default_kernels(golden: dict[str, np.ndarray]) -> None:
    """XNNPACK, TFLite's default, rounds once, as layers here; its reference kernels round twice,
    and the two differ from each other as layers do from the latter."""
    layers = outputs(golden, "layers")
    found = steps(layers, golden["xnnpack"])
    assert max(map(abs, found)) <= 1
    assert found[0] >= 0.97 * layers.size
    own = steps(golden["xnnpack"], golden["reference"])
    found = steps(layers, golden["reference"])
    assert max(map(abs, found)) <= 1
    assert found[0] >= own[0] - 0.03 * layers.size
    assert np.array_equal(layers.argmax(axis=1), golden["reference"].argmax(axis=1))


def test_what_differs_is_said_and_the_rest_is_exact() -> None:
    """Of all pairs of bytes two are added otherwise; the pools are exact."""
    model = tosa_to_integer(TEXT, "mobile.mlir")
    told = {each.label: each.how for each in model.differences}
    kinds = {
        str(f.attrs["Composite"])
        for v, f in model.integer.functions.items()
        if v.name_hint != "main"
    }
    assert {"zeroskip.add", "zeroskip.maxpool", "zeroskip.conv"} <= kinds
    assert [how for how in told.values() if "DOUBLE_ROUND" not in how] == [
        "2 of 65,536 pairs of values round another way",
        "245 of 4,081 sums round another way",
    ]
    assert len(told) == 14
    assert [str(name) for name in model.integer["main"].attrs["zeroskip.inputs"]] == ["image"]


def test_what_is_no_tflite_is_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("cut.tflite", b"\x00" * 8, "is not a TFLite model or is cut short"),
        ("net.mlirbc", b"ML\xefR", "is MLIR bytecode: write it as text"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(FrontError, match=message):
            read_model(file)


def test_without_the_converter_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (GOLDENS / "mobile.tflite").read_bytes()
    monkeypatch.setattr(
        "zeroskip.relay_passes.tosa.tflite._CONVERT",
        "raise ImportError('No module named tosa_converter_for_tflite')",
    )
    with pytest.raises(
        FrontError, match=r"needs a converter to TOSA: pip install 'zeroskip\[tflite\]'"
    ):
        tflite_to_tosa(content, "net.tflite")


@pytest.mark.tflite
def test_the_converter_gives_the_golden_text() -> None:
    made = tflite_to_tosa((GOLDENS / "mobile.tflite").read_bytes(), "mobile.tflite")
    assert [each for each in made.splitlines() if not each.startswith("#loc")] == [
        each for each in TEXT.splitlines() if not each.startswith("#loc")
    ]


@pytest.mark.tflite
def test_a_file_of_tflite_is_compiled_and_run(
    tmp_path: Path, golden: dict[str, np.ndarray]
) -> None:
    network, image = tmp_path / "net.zsk", tmp_path / "x.npz"
    done = zeroskip("compile", GOLDENS / "mobile.tflite", "-o", network)
    assert done.exit_code == 0, done.output
    assert "layers may be a step off" in done.stderr
    np.savez(image, image=golden["image"].astype(np.int8)[:1])
    done = zeroskip("validate", network, "--input", image)
    assert done.exit_code == 0, done.output
    assert "bit-exact" in done.output


@pytest.mark.tflite
def test_what_the_converter_does_not_take_is_refused() -> None:
    with pytest.raises(FrontError, match="is not taken by the converter to TOSA"):
        tflite_to_tosa((GOLDENS / "mobile.tflite").read_bytes()[:3000], "net.tflite")
