"""Accuracy after quantization: onnxruntime's static quantizer and ours on the same samples.

    python benchmarks/quantizers.py [--networks fashion_dense ...] [--markdown FILE]

Both get 8-bit activations and weights with a scale per output channel; onnxruntime's method is its
default, the extremes seen. What counts is signal to noise of the outputs, before a softmax, on
inputs that neither was calibrated with, against the float network; ours is computed by TVM's CPU
from the integer module, whose bits the accelerator's are. The networks of rapidocr-onnxruntime
(the ``ocr`` extra) get lines and pages of text drawn with PIL, those of ``models/zoo.py`` (whose
weights are random) random numbers.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from models.zoo import MODELS  # noqa: E402
from zeroskip.compiler.driver import import_float, ranges_of  # noqa: E402
from zeroskip.compiler.stages import apply_passes  # noqa: E402
from zeroskip.relay_passes.metrics import snr_db  # noqa: E402
from zeroskip.relay_passes.pruning.schemes.dead_channels import RemoveDeadChannels  # noqa: E402
from zeroskip.relay_passes.quantize.calibrate import METHODS  # noqa: E402
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8  # noqa: E402
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu  # noqa: E402

Floats = npt.NDArray[np.float32]
OCR = {
    "cls": ("ch_ppocr_mobile_v2.0_cls_infer", 192),
    "rec": ("ch_PP-OCRv4_rec_infer", 320),
    "det": ("ch_PP-OCRv4_det_infer", 320),
}
NETWORKS = (
    "fashion_dense",
    "fashion_pattern",
    "mobilenet_v2",
    "resnet18",
    *(f"rapidocr {name}" for name in OCR),
)
_KEEPING = ("Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Transpose")


@dataclass(frozen=True)
class CalibrationCase:
    """A network that ends before its softmax, calibration samples and others."""

    model: onnx.ModelProto
    known: Floats
    held_back: Floats

    @property
    def name(self) -> str:
        return str(self.model.graph.input[0].name)


class _SampleReader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, samples: Floats) -> None:
        self.left: Iterator[dict[str, Floats]] = iter(
            [{name: samples[at : at + 1]} for at in range(len(samples))]
        )

    def get_next(self) -> dict[str, Floats] | None:
        return next(self.left, None)


def case_of(network: str) -> CalibrationCase:
    """A network of ``NETWORKS``."""
    if network.startswith("fashion"):
        model = onnx.load(ROOT / "models" / f"{network}.onnx")
        name = model.graph.input[0].name
        known = np.load(ROOT / "models" / "fashion_calibration.npz")[name]
        return CalibrationCase(
            model, known, np.load(ROOT / "models" / "fashion_test.npz")["image"][:256]
        )
    if network in MODELS:
        images = np.random.default_rng(5).standard_normal((12, 3, 224, 224)).astype(np.float32)
        return CalibrationCase(MODELS[network](), images[:8], images[8:])
    short = network.removeprefix("rapidocr ")
    file, width = OCR[short]
    package = find_spec("rapidocr_onnxruntime")
    if package is None or package.origin is None:
        raise SystemExit("rapidocr's networks need the ocr extra: pip install -e '.[ocr]'")
    model = onnx.load(Path(package.origin).parent / "models" / f"{file}.onnx")
    before_softmax(model.graph)
    draw: Callable[[int, int], Floats] = (
        _pages if short == "det" else (lambda count, seed: _lines(count, seed, width))
    )
    return CalibrationCase(
        model, draw(8 if short == "det" else 16, 0), draw(8 if short == "det" else 16, 1)
    )


def before_softmax(graph: onnx.GraphProto) -> None:
    """Let a result that a softmax makes, reshaped or not, be what the softmax reads."""
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in _KEEPING:
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "Softmax":
            output.CopyFrom(onnx.helper.make_tensor_value_info(node.input[0], 1, None))


def _pages(count: int, seed: int) -> Floats:
    from benchmarks.pruning_pretrained import centred, draw_pages

    pages: Floats = centred(draw_pages(count, seed))
    return pages


def _lines(count: int, seed: int, width: int) -> Floats:
    """Lines of prose, 48 pixels high."""
    from PIL import Image, ImageDraw, ImageFont

    words = (ROOT / "LICENSE").read_text(encoding="utf-8").split()
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        paper, ink = int(rng.integers(200, 256)), int(rng.integers(0, 90))
        image = Image.new("RGB", (width, 48), (paper,) * 3)
        at = int(rng.integers(len(words) - 8))
        ImageDraw.Draw(image).text(
            (4, int(rng.integers(2, 12))),
            " ".join(words[at : at + 8]),
            (ink,) * 3,
            ImageFont.load_default(int(rng.integers(18, 32))),
        )
        noisy = np.asarray(image) + rng.normal(0, rng.uniform(0, 6), (48, width, 1))
        made.append((np.clip(noisy, 0, 255) / 127.5 - 1).transpose(2, 0, 1))
    return np.array(made, np.float32)


def by_onnxruntime(case: CalibrationCase) -> tuple[list[Any], float]:
    """Answers of the float network, and how near onnxruntime's int8 network comes, in dB."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(case.model, source)
        quantize_static(
            str(source),
            str(made),
            _SampleReader(case.name, case.known),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        wanted, found = (_answers(path, case) for path in (source, made))
    return wanted, snr_db(wanted, found)


def _answers(path: Path, case: CalibrationCase) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return [
        each
        for at in range(len(case.held_back))
        for each in session.run(None, {case.name: case.held_back[at : at + 1]})
    ]


def by_zeroskip(
    case: CalibrationCase, wanted: Sequence[Any], methods: Sequence[Any]
) -> list[float]:
    """How near our int8 networks come, in dB, by each method."""
    shapes = {case.name: (1, *case.known.shape[1:])}
    module = apply_passes(import_float(case.model, shapes), RemoveDeadChannels())
    found = []
    for method in methods:
        ranges = ranges_of(module, {"calibrate": {case.name: case.known}, "method": method})
        executable = compile_for_cpu(apply_passes(module, QuantizeInt8(ranges=ranges)))
        made = [
            each
            for at in range(len(case.held_back))
            for each in run_cpu(executable, "main", [case.held_back[at : at + 1]])
        ]
        found.append(snr_db(wanted, made))
    return found


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    lines = [
        "| network | onnxruntime | " + " | ".join(options.methods) + " |",
        "|" + " --- |" * (2 + len(options.methods)),
    ]
    print(f"{date.today()}, {platform.machine()}; dB\n\n" + "\n".join(lines), flush=True)
    for network in options.networks:
        case = case_of(network)
        wanted, theirs = by_onnxruntime(case)
        ours = by_zeroskip(case, wanted, options.methods)
        cells = " | ".join(f"{each:.1f}" for each in (theirs, *ours))
        lines.append(f"| {network} | {cells} |")
        print(lines[-1], flush=True)
    if options.markdown is not None:
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
