"""The import arrows of DESIGN: who may import whom, read from the import statements."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("accel_model", "relay_passes", "compiler", "runtime")
MAY_USE = {
    "accel_model": {"accel_model"},
    "relay_passes": {"relay_passes", "accel_model.errors", "accel_model.files"},
    "compiler": {"compiler", "relay_passes", "accel_model"},
    "runtime": {"runtime", "compiler", "relay_passes", "accel_model"},
}
# What of the model the compiler may not look at: it must not run programs. ``lanes`` is the cost.
MACHINE = {f"accel_model.{module}" for module in
           ("machine", "timing", "semantics", "walk", "state", "timeline", "run", "trace",
            "occupancy", "reference")}
# What the stepped references share with the fast model: declarations, and no other code.
DECLARATIONS = {"accel_model.isa", "accel_model.encoding", "accel_model.program",
                "accel_model.spec"}
LIBRARIES = {"accel_model": {"numpy", "numba"}}
TVM = {"tvm", "tvm_ffi"}
HEAVY = {"tvm", "tvm_ffi", "numpy", "onnx", "numba", "rich", "scipy", "networkx"}
STANDARD = sys.stdlib_module_names
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """Dotted names of all imports within, wherever they stand, types-only ones left out."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            found |= imported(node)
    return found


def own(names: set[str]) -> set[str]:
    """Of zeroskip's own, without the package's name."""
    return {name.removeprefix("zeroskip.") for name in names if name.startswith("zeroskip.")}


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    for name in own(names):
        assert any(within(name, place) for place in MAY_USE[folder]), f"{path}: {name}"
        if folder == "compiler":
            assert not any(within(name, place) for place in MACHINE), f"{path}: {name}"
    if folder in LIBRARIES:
        others = {name.split(".")[0] for name in names} - STANDARD - {"zeroskip"}
        assert others <= LIBRARIES[folder], f"{path}: {others}"
    assert not any(name.split(".")[0] in FOLDERS for name in names), f"{path}: bare folder name"


@pytest.mark.parametrize("path", sorted((ROOT / "accel_model" / "reference").glob("*.py")),
                         ids=lambda path: path.stem)
def test_references_share_no_code_with_the_fast_model(path: Path) -> None:
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert not {name.split(".")[0] for name in names} & {"numpy", "numba", "tests"}
    for name in own(names):
        shared = any(within(name, place) for place in DECLARATIONS)
        assert shared or within(name, "accel_model.reference"), name


def test_the_oracle_shares_no_code_with_compiler_and_machine() -> None:
    path = ROOT / "tests" / "compiler" / "oracle.py"
    names = own(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert names == {"compiler.graph.LayerGraph", "relay_passes.integer_layers"}


def test_the_check_sees_imports() -> None:
    source = "def f():\n    from zeroskip.compiler.driver import compile\n    import tvm.relax\n"
    assert imported(ast.parse(source)) == {"zeroskip.compiler.driver.compile", "tvm.relax"}
    assert len(SOURCES) > 40


@pytest.mark.parametrize("name", ["cli", "cli_pruning", "cli_options"])
def test_the_command_line_imports_nothing_heavy_at_its_top(name: str) -> None:
    tree = ast.parse((ROOT / "runtime" / f"{name}.py").read_text(encoding="utf-8"))
    top = {each for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
           for each in imported(ast.Module([node], []))}
    assert not {each.split(".")[0] for each in top} & HEAVY
    assert all(each == "accel_model.errors.ZeroskipError" or each.startswith("runtime.cli_")
               for each in own(top))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 420, "about 400 lines are the limit"
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "a module says what it holds"
