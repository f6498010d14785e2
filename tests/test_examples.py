"""Everything in examples/ runs as its first lines say (plugin_array: test_plugin_array.py,
cpp_host: test_cpp_host.py)."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.runtime.nets import small_net
from zeroskip.accel_model.program.assembly_program import read_source
from zeroskip.runtime.cli.main import main

ROOT = Path(__file__).parent.parent
FEWER = {"compare_targets": ("--targets", "pattern256", "scnn256")}  # in the time of a test
FILES = sorted(
    path
    for path in (ROOT / "examples").rglob("*")
    if path.is_file() and path.suffix != ".pyc" and not {"plugin_array", "cpp_host"} & {*path.parts}
)
OF_KIND = {
    suffix: [path for path in FILES if path.suffix == suffix]
    for suffix in (".asm", ".py", ".ipynb", ".toml", ".md")
}


def test_every_example_is_of_a_kind_that_is_run_here() -> None:
    assert sorted(path for paths in OF_KIND.values() for path in paths) == FILES
    assert all(OF_KIND.values())


@pytest.mark.parametrize("path", OF_KIND[".asm"], ids=lambda path: path.stem)
def test_assembly(path: Path, tmp_path: Path) -> None:
    command = f"zeroskip run {path.relative_to(ROOT)} --input x.npz --output y.npz"
    text = path.read_text(encoding="utf-8")
    assert command in text
    program = read_source(text, path.name)
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "x.npz",
        allow_pickle=False,
        **{
            each.name: rng.integers(-128, 128, (1, each.channels, *each.spatial)).astype(each.dtype)
            for each in program.inputs
        },
    )
    done = CliRunner().invoke(
        main,
        ["run", str(path), "--input", str(tmp_path / "x.npz"), "--output", str(tmp_path / "y.npz")],
    )
    assert done.exit_code == 0, done.output
    with np.load(tmp_path / "y.npz") as made:
        assert set(made) == {each.name for each in program.outputs}


SLOW = {
    "sweep": pytest.mark.docs,
    "prune_torch": pytest.mark.torch,
}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=SLOW.get(path.stem, ())) for path in OF_KIND[".py"]],
    ids=lambda path: path.stem,
)
def test_python(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, path, "net.onnx", *FEWER.get(path.stem, ()))
    assert capsys.readouterr().out


@pytest.mark.torch
@pytest.mark.parametrize("path", OF_KIND[".ipynb"], ids=lambda path: path.stem)
def test_notebooks_print_what_they_show(path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    shown, again = (nbformat.read(path, 4) for _ in range(2))
    nbclient.NotebookClient(again).execute()
    printed, now = (
        [each.text for cell in book.cells for each in cell.get("outputs", ())]
        for book in (shown, again)
    )
    assert printed == now
    assert printed


def run(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> None:
    """Run a script as Python runs it by its path, in this process."""
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    monkeypatch.syspath_prepend(str(path.parent))
    runpy.run_path(str(path), run_name="__main__")


def test_the_sweep_with_fewer_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All lines of the tutorial's script, in the time of a test."""
    with np.load(ROOT / "models" / "fashion_test.npz") as test:
        np.savez(tmp_path / "test.npz", allow_pickle=False, **{k: test[k][:100] for k in test})
    text = (ROOT / "examples" / "sweep.py").read_text(encoding="utf-8")
    for whole, fewer in (
        ("Path(__file__).parent.parent", f"Path({str(ROOT)!r})"),
        ('MODELS / "fashion_test.npz"', repr(str(tmp_path / "test.npz"))),
        ('"2,4,8,16"', '"4"'),
        ('"schemes": ["dense", "unstructured"]', '"schemes": ["dense"]'),
        ("trials=12", "trials=1"),
        ("accuracy=91%", "accuracy=1%"),
        ("time=0.05ms", "time=50ms"),
    ):
        assert text.count(whole) == 1
        text = text.replace(whole, fewer)
    (tmp_path / "sweep.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, tmp_path / "sweep.py")
    printed = capsys.readouterr().out
    assert "bitmap, 0% of the weights gone" in printed
    assert "least energy" in printed


@pytest.mark.parametrize("path", OF_KIND[".toml"], ids=lambda path: path.stem)
def test_targets(path: Path, tmp_path: Path) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    done = CliRunner().invoke(
        main,
        [
            "compile",
            str(tmp_path / "net.onnx"),
            "--target",
            str(path),
            "-o",
            str(tmp_path / "net.zsk"),
        ],
    )
    assert done.exit_code == 0, done.output


def test_the_list_of_examples_is_complete() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        if path.suffix != ".md":
            assert f"`{path.relative_to(ROOT / 'examples')}`" in text
