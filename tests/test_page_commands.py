"""Every command and snippet of the pages runs: here, or in the test that ``ELSEWHERE`` names.

They run by ``make test-docs``; what runs in each quick run looks up their options. A command stands
in a line that is indented by four spaces; what is in brackets may be left out, and its options are
looked up in the command's help.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx
import pytest

from tests.markdown import FITTED, ROOT, number, text_of
from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.relay_passes.pruning.schemes.recipe import read_recipe
from zeroskip.runtime.cli.main import main
from zeroskip.runtime.execution.preprocessing import preprocessing_from

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
    "examples/README.md",
    "models/README.md",
    "benchmarks/RESULTS.md",
]
TOOLS = ("zeroskip", "python", "pip", "make", "mlir-opt", "examples/cpp_host/host", "$")
FLOW = "tests/test_flow_page*.py"
TABLES = "tests/test_tables_again.py"
# Page and how a command begins -> where it is run, or why it is not.
ELSEWHERE = {
    ("docs/FLOW.md", "python examples/cpp_host"): "tests/test_cpp_host.py",
    ("docs/FLOW.md", "make -C examples/cpp_host"): "tests/test_cpp_host.py",
    ("docs/FLOW.md", "examples/cpp_host/host"): "tests/test_cpp_host.py",
    ("docs/FLOW.md", ""): FLOW,
    ("docs/EXTENDING.md", ""): "tests/test_plugin_array.py",
    ("docs/EXPERIMENTS.md", ""): "tests/runtime/test_experiments_page.py",
    ("docs/ACCELERATORS.md", ""): TABLES,
    ("benchmarks/RESULTS.md", ""): TABLES,
    ("README.md", "zeroskip compare models/fashion_dense.onnx"): TABLES,
    ("README.md", "zeroskip compile net.pt2"): FLOW,
    ("README.md", "zeroskip compile net.relay"): FLOW,
    ("README.md", "zeroskip validate net.zsk --input x.npz --oracle=mlir"): FLOW,
    ("README.md", "make"): "what runs the tests runs in none",
    ("CONTRIBUTING.md", "make"): "what runs the tests runs in none",
    ("docs/QUICKSTART.md", "make demo"): "tests/runtime/test_demo.py",
    ("docs/GUIDE.md", "zeroskip run examples/assembly"): "tests/test_examples.py",
    ("docs/GUIDE.md", "zeroskip samples"): "tests/runtime/test_evaluate.py",  # needs Pillow
}
# What stands for what in a page, and what asks too much of a network of three layers.
FILLED = {"--data DATA": "--data DATA.npz", "RECIPE": "nm", "cycles=0.4": "cycles=0.5"}
SNIPPETS = {  # page -> where its Python is run
    "README.md": "tests/test_readme.py",
    "docs/FLOW.md": "tests/test_flow_page_tvm.py",
    "docs/EXPERIMENTS.md": "tests/runtime/test_experiments_page.py",
    "docs/tutorials/prune_torch.md": "tests/test_examples.py",
    "docs/tutorials/in_tvm.md": "tests/test_examples.py",
    "docs/tutorials/compare.md": "tests/test_examples.py",
    "docs/tutorials/sweep.md": "tests/test_examples.py",
}


@dataclass(frozen=True)
class Command:
    """A command of a page, as one line without its comment; optional: what stood in brackets."""

    page: str
    line: str
    optional: str = ""

    @property
    def elsewhere(self) -> str:
        """The test that runs it, "" for this one."""
        return next(
            (
                place
                for (page, start), place in ELSEWHERE.items()
                if page == self.page and self.line.startswith(start)
            ),
            "",
        )


def commands_of(page: str) -> list[Command]:
    """In the order of the page."""
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\\\n\s*|\n\s+(?=\[--)", " ", text)
    found = []
    for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        if line.split()[0] in TOOLS:
            kept = re.sub(r"\s+#.*$", "", line).rstrip()
            optional = " ".join(re.findall(r"\[(.*?)\]", kept)) if "python -c" not in kept else ""
            plain = kept if "python -c" in kept else re.sub(r"\s*\[.*?\]", "", kept)
            found.append(Command(page, re.sub(r"\s+", " ", plain), optional))
    return found


COMMANDS = [command for page in PAGES for command in commands_of(page)]
HERE = [command for command in COMMANDS if not command.elsewhere]


def test_every_command_is_found_and_no_exemption_is_stale() -> None:
    assert len(COMMANDS) > 60
    assert {command.page for command in HERE} >= {
        "README.md",
        "docs/GUIDE.md",
        "docs/QUICKSTART.md",
        "docs/PRUNING.md",
        "docs/LOWRANK_NESTED.md",
        "docs/tutorials/compare.md",
    }
    for page, start in ELSEWHERE:
        starts = [command.line for command in COMMANDS if command.page == page]
        assert any(line.startswith(start) for line in starts), (page, start)
    for place in {*ELSEWHERE.values(), *SNIPPETS.values()} - {"what runs the tests runs in none"}:
        assert list(ROOT.glob(place)), place


def test_every_snippet_of_python_is_run_somewhere() -> None:
    pages = {page for page in PAGES if "```python" in text_of(page)}
    assert pages - set(SNIPPETS) == {"docs/LOWRANK_NESTED.md"}  # below


@pytest.mark.parametrize("page", [page for page in PAGES if "```toml" in text_of(page)])
def test_every_toml_is_taken(page: str, tmp_path: Path) -> None:
    """As what it is: pruning recipe, pattern library, preprocessing or target; spaces of
    experiments are taken in the test of their page."""
    for place, text in enumerate(re.findall(r"```toml\n(.*?)```", text_of(page), re.DOTALL)):
        path, table = tmp_path / f"{place}.toml", tomllib.loads(text)
        path.write_text(text, encoding="utf-8")
        if "networks" in table:
            assert page in SNIPPETS
        elif "prune" in table:
            assert read_recipe(str(path))
        elif "patterns" in table:
            assert read_recipe(f"pattern:library={path}")
        elif "array" in table:
            assert text.strip() in (ROOT / "examples" / "half_bandwidth.toml").read_text("utf-8")
        else:
            assert preprocessing_from(table, page).size == (224, 224)


@pytest.mark.parametrize(
    "command",
    [each for each in COMMANDS if each.optional and each.line.startswith("zeroskip")],
    ids=lambda each: each.line[:30],
)
def test_what_may_be_left_out_is_an_option(command: Command) -> None:
    name = command.line.split()[1]
    assert isinstance(main, click.Group)
    known = {option for param in main.commands[name].params for option in param.opts}
    given = re.findall(r"--[\w-]+", command.optional)
    assert {*given} <= known
    assert given or command.optional == "options"


# ------------------------------------------------------------------------------------- running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files that the commands name."""
    made = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4, *SHAPE[1:])).astype(np.float32)
    for name in ("net", "MODEL", "NETWORK"):
        onnx.save(small_net(), made / f"{name}.onnx")
    np.savez(made / "x.npz", x=images[:1])
    for name in ("images", "samples"):
        np.savez(made / f"{name}.npz", x=images)
    for name in ("labelled", "DATA"):
        np.savez(made / f"{name}.npz", x=images, labels=np.arange(4))
    for name in ("models", "examples"):
        (made / name).symlink_to(ROOT / name)
    for name in ("net", "NETWORK"):
        done = zeroskip(
            "compile",
            made / "net.onnx",
            "-o",
            made / f"{name}.zsk",
            "--calibrate",
            made / "images.npz",
        )
        assert done.exit_code == 0, done.output
    return made


def run(command: Command, folder: Path) -> str:
    """What the command prints."""
    line = command.line.removesuffix(" | jq .cycles")
    for place, value in FILLED.items():
        line = re.sub(rf"{place}(?![\w.])", value, line)
    tool, *arguments = shlex.split(line)
    if tool == "python":
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert tool == "zeroskip", line
    before = Path.cwd()
    os.chdir(folder)
    try:
        shown = zeroskip(*arguments)
    finally:
        os.chdir(before)
    assert shown.exit_code == 0, f"{command.page}: {line}: {shown.output}"
    return shown.stdout


@pytest.mark.docs
def test_commands_of_the_readme(folder: Path) -> None:
    own = [command for command in HERE if command.page == "README.md"]
    assert len(own) > 8
    for command in own:
        run(command, folder)


@pytest.mark.docs
@pytest.mark.parametrize(
    "page", sorted({command.page for command in HERE} - {"README.md"}), ids=lambda page: page
)
def test_commands_of_a_page(folder: Path, page: str) -> None:
    """And what the ten minutes say that these print, they print; what is fitted is about that."""
    printed = [run(command, folder) for command in HERE if command.page == page]
    if page == "docs/QUICKSTART.md":
        text = "".join(printed)
        figures = re.findall(r"(About )?(\d\d,\d{3} cycles|\d\d\.\d %)", text_of(page))
        assert len(figures) == 5
        for about, figure in figures:
            form = r"[\d,]+ cycles" if figure.endswith("cycles") else r"\d\d\.\d0%"
            found = [number(each) for each in re.findall(form, text)]
            wanted, near = number(figure), FITTED if about else 0
            assert any(abs(each - wanted) <= near * wanted for each in found), figure


@pytest.mark.docs
def test_python_of_the_page_on_levels(folder: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/LOWRANK_NESTED.md"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "array" in done.stdout
