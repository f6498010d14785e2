"""The commands of docs/FLOW.md's sections on PyTorch, TFLite and TOSA, and its figures."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.compiler.mlir_texts import ROOT
from tests.relay_passes import test_tflite
from tests.relay_passes.float_texts import quantized_text
from tests.relay_passes.integer_texts import module, printed_conv
from tests.runtime.command import refused, zeroskip
from tests.runtime.nets import SHAPE, small_net

PAGE = (ROOT / "docs" / "FLOW.md").read_text(encoding="utf-8")
TORCH, KERAS = PAGE[PAGE.index("## From PyTorch") : PAGE.index("## From TFLite")].split(
    "**Keras 3**"
)
TFLITE, TOSA = PAGE[PAGE.index("## From TFLite") : PAGE.index("**What is taken.** conv2d")].split(
    "A text of TOSA is taken"
)


def commands(text: str) -> list[str]:
    return re.findall(r"^    zeroskip (.*)$", text, re.MULTILINE)


def run(text: str, folder: Path) -> None:
    """The commands of a part of the page, in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert commands(text)
        for line in commands(text):
            done = zeroskip(*shlex.split(line))
            assert done.exit_code == 0, f"{line}: {done.output}"
    finally:
        os.chdir(before)


def test_tosa(tmp_path: Path) -> None:
    (tmp_path / "net.mlir").write_text(module(printed_conv()), encoding="utf-8")
    run(TOSA, tmp_path)
    assert (tmp_path / "net.zsk").exists()


def test_torch_mlir(tmp_path: Path) -> None:
    text = PAGE[PAGE.index("## From torch-mlir") : PAGE.index("## From Relay")]
    (tmp_path / "net.mlir").write_text(quantized_text(), encoding="utf-8")
    np.savez(tmp_path / "images.npz", x=np.zeros((1, 2, 4, 4), np.float32))
    run(text, tmp_path)
    assert (tmp_path / "net.zsk").exists()


@pytest.mark.tflite
def test_tflite_commands(tmp_path: Path) -> None:
    shutil.copy(test_tflite.GOLDENS / "mobile.tflite", tmp_path / "net.tflite")
    with np.load(test_tflite.GOLDENS / "mobile.npz") as arrays:
        np.savez(tmp_path / "x.npz", image=arrays["image"][:1])
    run(TFLITE, tmp_path)


def test_the_figures_of_tflite() -> None:
    with np.load(test_tflite.GOLDENS / "mobile.npz") as arrays:
        golden = {name: arrays[name].astype(np.int64) for name in arrays}
    rows = {
        "layers here": test_tflite.outputs(golden, "layers"),
        "the text, evaluated": test_tflite.outputs(golden, "text"),
        "TFLite's default kernels": golden["xnnpack"],
    }
    for name, values in rows.items():
        (line,) = [each for each in PAGE.splitlines() if each.startswith(f"| {name} |")]
        for kernels, cell in zip(("xnnpack", "reference"), line.split("|")[2:4], strict=True):
            if not cell.strip():
                continue
            found = test_tflite.steps(values, golden[kernels])
            assert max(map(abs, found)) == 1
            off = values.size - found[0]
            assert cell.strip() == f"{found[0]} of {values.size} equal, {off} a step off"


@pytest.mark.torch
def test_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from tests.relay_passes.torch_nets import net

    example = torch.zeros(1, 3, 16, 16)
    torch.export.save(torch.export.export(net(), (example,)), tmp_path / "net.pt2")
    rng = np.random.default_rng(0)
    for name, count in (("x", 1), ("images", 4)):
        images = rng.standard_normal((count, 3, 16, 16)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", image=images)
    run(TORCH, tmp_path)


def test_an_open_batch_is_given_as_the_page_says(tmp_path: Path) -> None:
    """Keras' own export is made in test_pytorch; here what the command does with its input."""
    model = small_net()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    (line,) = commands(KERAS)
    shape = ",".join(map(str, SHAPE))
    renamed = line.replace("keras_tensor=1,16,16,3", f"{model.graph.input[0].name}={shape}")
    assert renamed != line
    onnx.save(model, tmp_path / "net.onnx")
    run(f"    zeroskip {renamed}", tmp_path)


def test_extras_are_what_the_page_says() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"zeroskip\[(\w+)\]", PAGE):
        assert re.search(rf"^{extra} = \[", text, re.MULTILINE), extra
    if find_spec("tosa_converter_for_tflite") is not None:
        from importlib.metadata import version

        assert version("tosa-converter-for-tflite").startswith("2026.2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            "compile net.mlir -o net.zsk --prune unstructured:sparsity=0.5",
            "prune the float network",
        ),
        ("compile net.mlir -o net.zsk --calibrate x.npz", "leave calibration samples out"),
        ("compile net.mlir -o net.zsk --float conv2d_a", "keep layers in float where it is"),
        ("compile net.mlir -o net.zsk --level unstructured:sparsity=0.5", "is integers already"),
        ("prune net.mlir --detect", "is integers already"),
        ("compile none.mlir -o net.zsk", "'none.mlir' does not exist"),
    ],
)
def test_what_would_be_other_integers_is_refused(
    arguments: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.mlir").write_text(module(printed_conv()), encoding="utf-8")
    np.savez("x.npz", x=np.zeros((1, 4, 4, 2), np.int8))
    assert words in refused(zeroskip(*shlex.split(arguments)))
    assert not Path("net.zsk").exists()
