"""Published networks pruned without training: how much of their output is left.

    python benchmarks/pruning_pretrained.py [--images 64] [--output TABLE.md]

The page orientation network of occular-deskew 0.5.0 and the text detector of rapidocr-onnxruntime
1.4.4 (``pip install`` both and pillow; their ONNX files are read from the installed packages).
Inputs are pages of text rendered with PIL: fitted with some, measured with 16 others. What counts
is the ratio of signal to noise of the outputs against those of the dense network, in dB.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tvm
from PIL import Image, ImageDraw, ImageFont

from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter
from zeroskip.relay_passes.pruning.apply import prune

Floats = npt.NDArray[np.float32]
SIZE = 320
MEASURED = 16  # pages that nothing is fitted to
TEXT = Path(__file__).parent.parent / "LICENSE"  # English prose to set


@dataclass(frozen=True)
class PublishedNetwork:
    """A published network. file: within its package. prepare: from pages to its inputs."""

    package: str
    file: str
    prepare: Callable[[npt.NDArray[np.uint8]], Floats]
    recipes: dict[str, str]


def imagenet(pages: npt.NDArray[np.uint8]) -> Floats:
    """As occular-deskew prepares them; one of the four orientations each."""
    turned = np.stack([np.rot90(page, at % 4) for at, page in enumerate(pages)])
    mean, deviation = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)
    return _planes((turned / np.float32(255) - mean) / deviation)


def centred(pages: npt.NDArray[np.uint8]) -> Floats:
    """As rapidocr-onnxruntime prepares them for its detector: blue first, from -1 to 1."""
    return _planes((pages[..., ::-1] / np.float32(255) - np.float32(0.5)) / np.float32(0.5))


def _planes(pages: npt.NDArray[np.floating]) -> Floats:
    return np.ascontiguousarray(pages.transpose(0, 3, 1, 2), np.float32)


CASES = {
    "orientation": PublishedNetwork(
        "occular_deskew",
        "weights/orientation_orinet_fp32.onnx",
        imagenet,
        {
            "unstructured 50 %": "unstructured:sparsity=0.5,skip_first=yes",
            "unstructured 75 %": "unstructured:sparsity=0.75,skip_first=yes",
            "2:4": "nm:n=2,m=4,layers=/body*",
            "1:4": "nm:n=1,m=4,layers=/body*",
            "pattern 56 %": "pattern:balance=layer,layers=/body*",
            "pattern 75 %": "pattern:balance=layer,connectivity=0.4375,layers=/body*",
        },
    ),
    "detector": PublishedNetwork(
        "rapidocr_onnxruntime",
        "models/ch_PP-OCRv4_det_infer.onnx",
        centred,
        {
            "unstructured 50 %": "unstructured:sparsity=0.5,skip_first=yes",
            "unstructured 75 %": "unstructured:sparsity=0.75,skip_first=yes",
        },
    ),
}


def draw_pages(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Pages of prose: a heading, one or two columns, sizes, greys, a tilt and noise at random."""
    rng = np.random.default_rng(seed)
    words = TEXT.read_text(encoding="utf-8").split()
    return np.stack([_draw_page(rng, words) for _ in range(count)])


def _draw_page(rng: np.random.Generator, words: list[str]) -> npt.NDArray[np.uint8]:
    paper, ink = int(rng.integers(215, 256)), int(rng.integers(0, 90))
    page = Image.new("RGB", (SIZE, SIZE), (paper, paper, int(paper * rng.uniform(0.9, 1))))
    draw, size = ImageDraw.Draw(page), int(rng.integers(9, 20))
    margin, columns = int(rng.integers(8, 30)), int(rng.integers(1, 3))
    top = margin
    if rng.random() < 0.6:
        at = int(rng.integers(len(words) - 3))
        draw.text(
            (margin, top),
            " ".join(words[at : at + 3]),
            (ink,) * 3,
            ImageFont.load_default(int(size * 1.8)),
        )
        top += int(size * 2.8)
    width = (SIZE - margin * (columns + 1)) // columns
    for column in range(columns):
        _set_column(draw, rng, words, (margin + column * (width + margin), top), width, size, ink)
    page = page.rotate(rng.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=(paper,) * 3)
    noise = rng.normal(0, rng.uniform(0, 8), (SIZE, SIZE, 1))
    return np.clip(np.asarray(page) + noise, 0, 255).astype(np.uint8)


def _set_column(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    words: list[str],
    corner: tuple[int, int],
    width: int,
    size: int,
    ink: int,
) -> None:
    font, at = ImageFont.load_default(size), int(rng.integers(len(words)))
    left, top = corner
    while top < SIZE - 2 * size:
        line = ""
        while draw.textlength(f"{line} {words[at % len(words)]}", font) < width:
            line, at = f"{line} {words[at % len(words)]}", at + 1
            if rng.random() < 0.02:
                break
        at += not line  # a word that is wider than the column
        draw.text((left, top), line.strip(), (ink,) * 3, font)
        top += int(size * (1.3 if rng.random() < 0.9 else 2.4))


def measure(case: PublishedNetwork, pages: int) -> list[str]:
    """Lines of a table: what the network's outputs still are after each recipe."""
    package = find_spec(case.package)
    assert package is not None, f"install {case.package}"
    assert package.origin is not None
    path = Path(package.origin).parent / case.file
    dense = import_float(path, {"x": (1, 3, SIZE, SIZE)})
    x = str(dense["main"].params[0].name)
    known, held_back = (
        {x: case.prepare(draw_pages(count, seed))} for seed, count in enumerate((pages, MEASURED))
    )
    wanted = Interpreter(dense, held_back).run()

    def quality(mod: tvm.IRModule) -> str:
        return f"{snr_db(wanted, Interpreter(mod, held_back).run()):.1f}"

    lines = []
    for name, recipe in case.recipes.items():
        cells, took = [name], 0.0
        for method in (None, "statistics", "weights"):
            started = time.process_time()
            pruned = prune(dense, recipe, samples=known, method=method)
            took = time.process_time() - started
            cells.append(quality(pruned))
        lines.append(f"| {' | '.join([path.stem, *cells, f'{took:.0f}'])} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64, help="pages to fit to")
    parser.add_argument("--output", type=Path, help="file to write the table to")
    parser.add_argument("--networks", nargs="+", choices=sorted(CASES), default=sorted(CASES))
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # squeeze-excite layers read a column a page
    lines = [
        "| network | pruned | one-shot, dB | mean and variance, dB | weights, dB | CPU s |",
        "|---|---|---|---|---|---|",
    ]
    for name in options.networks:
        lines += measure(CASES[name], options.images)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
