"""The Python examples of the README run as they stand there; what the pages refer to exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.runtime.nets import SHAPE, small_net

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("examples", "models")),
    ROOT / "benchmarks" / "RESULTS.md",
]
FOLDERS = (
    "accel_model",
    "benchmarks",
    "compiler",
    "docs",
    "examples",
    "models",
    "relay_passes",
    "runtime",
    "tests",
)
NAMES = [
    f"/{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}"
    for path in (
        *ROOT.glob("*.*"),
        *(each for folder in FOLDERS for each in (ROOT / folder, *(ROOT / folder).rglob("*"))),
    )
]
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.docs
@pytest.mark.parametrize("code", EXAMPLES, ids=["python", "tvm"])
def test_example(code: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    onnx.save(small_net(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=rng.standard_normal(SHAPE).astype(np.float32))
    np.savez(tmp_path / "images.npz", x=rng.standard_normal((2, *SHAPE[1:])).astype(np.float32))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_commands_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, target
    for path in re.findall(r"`(\w[\w/]*(?:/[\w.]+\.\w+|\.(?:py|asm|toml)|/))`", text):
        assert (ROOT / path).exists() or any(name.endswith(f"/{path}") for name in NAMES), path
