"""What the import linter does not see: libraries, heavy imports, the size of files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("accel_model", "relay_passes", "compiler", "runtime")
LIBRARIES = {"accel_model": {"numpy", "numba"}}
TVM = {"tvm", "tvm_ffi"}
HEAVY = {"tvm", "tvm_ffi", "numpy", "onnx", "numba", "rich", "scipy", "networkx"}
STANDARD = sys.stdlib_module_names
ROOMS = sorted(path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py"))
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


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_use_their_libraries_only(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    if folder in LIBRARIES:
        others = {name.split(".")[0] for name in names} - STANDARD - {"zeroskip"}
        assert others <= LIBRARIES[folder], f"{path}: {others}"
    assert not any(name.split(".")[0] in FOLDERS for name in names), f"{path}: bare folder name"


def test_rooms_do_not_lean_on_each_other_in_circles() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_package_lists_its_rooms(room: Path) -> None:
    inside = [each.name for each in room.iterdir() if (each / "__init__.py").exists()]
    words = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    assert words
    if room.parent == ROOT:
        assert [name for name in inside if f"``{name}``" not in words] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "accel_model" / "reference").glob("*.py")), ids=lambda path: path.stem
)
def test_references_use_no_arrays(path: Path) -> None:
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert not {name.split(".")[0] for name in names} & {"numpy", "numba", "tests"}


def test_the_oracle_shares_no_code_with_compiler_and_machine() -> None:
    path = ROOT / "tests" / "compiler" / "oracle.py"
    names = own(imported(ast.parse(path.read_text(encoding="utf-8"))))
    assert names == {"compiler.ir.layer_graph.LayerGraph", "relay_passes.integer.layers"}


def test_the_check_sees_imports() -> None:
    source = "def f():\n    from zeroskip.compiler.driver import compile\n    import tvm.relax\n"
    assert imported(ast.parse(source)) == {"zeroskip.compiler.driver.compile", "tvm.relax"}
    assert len(SOURCES) > 40


@pytest.mark.parametrize("name", ["main", "pruning", "options", "experiments", "doctor"])
def test_the_command_line_imports_nothing_heavy_at_its_top(name: str) -> None:
    tree = ast.parse((ROOT / "runtime" / "cli" / f"{name}.py").read_text(encoding="utf-8"))
    top = {
        each
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for each in imported(ast.Module([node], []))
    }
    assert not {each.split(".")[0] for each in top} & HEAVY
    assert all(
        each == "accel_model.errors.ZeroskipError" or each.startswith("runtime.cli.")
        for each in own(top)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 520, "about 400 lines are the limit"
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "a module says what it holds"
