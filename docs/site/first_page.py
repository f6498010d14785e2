"""The first page's pictures and excerpts, made of a real compile, run and report.

python -m docs.site.first_page          # writes docs/pictures/*.svg and the excerpts of
docs/index.md
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from pathlib import Path

import numpy as np

from zeroskip.accel_model.isa.assembly import disassemble
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.report import Report, report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate
from zeroskip.runtime.render.files import write_charts

ROOT = Path(__file__).parents[2]
MODELS, PAGE, PICTURES = ROOT / "models", ROOT / "docs" / "index.md", ROOT / "docs" / "pictures"
TARGET = "pattern256"
SHOWN = ("causes", "cycles", "timeline")
WIDTH = 76  # characters of a line that the machine printed
LAYER = "block1a.0"  # whose instructions are shown
_MARKS = re.compile(r"(<!-- (\w+) -->)(.*?)(<!-- /\2 -->)", re.DOTALL)


def compiled() -> Network:
    """The pattern-pruned classifier for its accelerator."""
    return compile_network(
        MODELS / "fashion_pattern.onnx", TARGET, calibrate=MODELS / "fashion_calibration.npz"
    )


def excerpts(network: Network, made: Report) -> dict[str, str]:
    """What stands between the marks of the page, by their names."""
    (program,) = network.programs.values()
    with np.load(MODELS / "fashion_test.npz") as test:
        image = test["image"][:1]
    checked = validate(network, {network.inputs[0].name: image})
    assert checked.exact
    return {
        "stream": _block(_stream(network)),
        "bits": _prose(checked.text().splitlines()[0]),
        "cycles": _prose(made.headline),
        "weights": f"{len(program.image):,}",
        "lost": _lost(made),
    }


def _stream(network: Network) -> str:
    """The instructions of one layer."""
    (program,) = network.programs.values()
    number = [layer.node for layer in program.layers].index(LAYER)
    stream = decode_all(program.words)
    own = [one for one, layer in zip(stream, program.layer_of, strict=True) if layer == number]
    return disassemble(own).rstrip("\n")


def _lost(made: Report) -> str:
    """Bound and causes of the whole network as a table that adds up to its cycles."""
    rows = [f"| bound | {made.bound:,} | the sum of what each layer needs at least |"]
    rows += [
        f"| {cause.name} | {made.lost[cause.name]:+,.0f} | {cause.sentence} |"
        for cause in made.causes
        if round(made.lost[cause.name])
    ]
    rows.append(f"| **cycles** | **{made.cycles:,}** | |")
    return "\n".join(["", "| cause | cycles | what it is |", "|---|---|---|", *rows, ""])


def _block(text: str) -> str:
    return f"\n```text\n{text}\n```\n"


def _prose(text: str) -> str:
    return _block(textwrap.fill(text, WIDTH))


def filled(page: str, parts: dict[str, str]) -> str:
    """The page with each excerpt between its marks; KeyError for a mark without an excerpt."""
    return _MARKS.sub(lambda found: f"{found[1]}{parts[found[2]]}{found[4]}", page)


def marks(page: str) -> dict[str, str]:
    """What stands between the marks now."""
    return {found[2]: found[3] for found in _MARKS.finditer(page)}


def main() -> None:
    """Write pictures and excerpts."""
    network = compiled()
    runs = Session(network).time()
    made = report(network, runs)
    with tempfile.TemporaryDirectory() as folder:
        for path in write_charts(Path(folder), made, runs, network.programs):
            if path.stem in SHOWN:
                (PICTURES / path.name).write_bytes(path.read_bytes())
    PAGE.write_text(filled(PAGE.read_text("utf-8"), excerpts(network, made)), "utf-8")


if __name__ == "__main__":
    main()
