"""Machine code on disk is that of the sources as they are."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import event

from zeroskip.accel_model.io import jit, lean_compiler

# Runs a copy of the package under the name that the real one has.
_RUN = """
import importlib.util, sys, types
package = types.ModuleType("zeroskip"); package.__path__ = []
sys.modules["zeroskip"] = package
spec = importlib.util.spec_from_file_location(
    "zeroskip.accel_model", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
module = importlib.util.module_from_spec(spec)
sys.modules["zeroskip.accel_model"] = module
spec.loader.exec_module(module)
from zeroskip.accel_model.outer import outer
from zeroskip.accel_model.io.jit import code_folder
print(outer(1), code_folder())
"""
_OUTER = """from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.inner import inner
@njit_cached
def outer(x: int) -> int:
    return inner(x) + 1
"""
_INNER = """from zeroskip.accel_model.io.jit import njit_cached
from zeroskip.accel_model.constants import STEP
@njit_cached
def inner(x: int) -> int:
    return x + STEP
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two compiled functions, one of which reads a constant of a third file."""
    folder = tmp_path / "accel_model"
    folder.mkdir()
    (folder / "io").mkdir()
    (folder / "io" / "__init__.py").write_text("")
    for module in (jit, lean_compiler):
        shutil.copy(str(module.__file__), folder / "io")
    for name, text in (
        ("__init__", ""),
        ("outer", _OUTER),
        ("inner", _INNER),
        ("constants", "STEP = 10\n"),
    ):
        (folder / f"{name}.py").write_text(text)
    return folder


def run(package: Path, **environment: str) -> tuple[int, Path]:
    given = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR",)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(package)],
        text=True,
        check=True,
        capture_output=True,
        env=given | environment,
    )
    value, folder = done.stdout.split()
    return int(value), Path(folder)


def test_an_edit_elsewhere_finds_no_stale_code(package: Path) -> None:
    """Of what is inlined, and of a constant; undone, the first code serves again."""
    value, first = run(package)
    assert value == 12
    assert list(first.glob("*.nbc"))
    # Of another size: Python takes stale bytecode for a file of the same second and size.
    (package / "constants.py").write_text("STEP = 20  # edited\n")
    value, second = run(package)
    assert (value, first != second) == (22, True)
    (package / "constants.py").write_text("STEP = 10\n")
    assert run(package) == (12, first)


def test_without_a_place_of_its_own_code_goes_to_a_temporary_folder(
    package: Path, tmp_path: Path
) -> None:
    """Neither the package nor a home can be written, even by root: files stand in the way."""
    (package / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    value, folder = run(
        package,
        HOME=str(tmp_path / "file"),
        TMPDIR=str(tmp_path / "temporary"),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert value == 12
    own = tmp_path / "temporary" / f"zeroskip-{os.getuid()}"
    assert folder.is_relative_to(own)
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)  # now others may have put code there
    with pytest.raises(subprocess.CalledProcessError):
        run(package, HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path / "temporary"))


def test_code_that_the_disk_has_no_room_for_is_not_kept(package: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$0" -c "$1" "$2"', sys.executable, _RUN, str(package)],
        text=True,
        check=True,
        capture_output=True,
    )
    value, folder = done.stdout.split()
    assert int(value) == 12
    assert not list(Path(folder).glob("*.nbc"))


def test_every_compiled_source_counts() -> None:
    found = {str(path.relative_to(jit.PACKAGE)) for path in jit.compiled_sources()}
    assert {
        "memory/access_check.py",
        "memory/address_sets.py",
        "functional/kernels.py",
        "isa/instructions.py",
        "formats/stream_header.py",
        "timing/lane_simulation.py",
        "functional/convolution.py",
        "timing/timeline.py",
    } <= found


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_again_behind_a_compile(collects: bool) -> None:
    """And is not, where the caller wants none collected."""
    seen: list[bool] = []

    class Watch(event.Listener):  # type: ignore[misc]  # numba has no types
        def on_start(self, _event: object) -> None:
            seen.append(gc.isenabled())

        on_end = on_start

    if not collects:
        gc.disable()
    try:
        with event.install_listener("numba:run_pass", Watch()):
            numba.njit(lambda number: number + 1)(1)
        assert gc.isenabled() is collects
    finally:
        gc.enable()
    assert seen
    assert not any(seen)


NUMBERS = np.int32(-9), np.uint64(8), np.float32(2.5)


def _numbers(x: Any, y: Any) -> tuple[Any, ...]:
    """All that is compiled in a way of our own, and operators."""
    few = max(x, 1), min(x, 1), int(x), x + y, x * y, x - 1, -x, x < y, x == y
    return max(x, y), min(x, y), max(x, y, 1), min(1, x, y), int(y), *few


def test_numbers_are_of_the_types_and_values_that_numba_gives_them() -> None:
    """For every pair of types, with vectors and without."""
    ours, scalar = (
        lean_compiler.LeanDispatcher(_numbers, jit.OPTIONS, scalar=each) for each in (False, True)
    )
    theirs = numba.njit(_numbers)
    for x in NUMBERS:
        for y in NUMBERS:
            assert ours(x, y) == scalar(x, y) == theirs(x, y), (x, y)
            types = [each.overloads[each.signatures[-1]].signature for each in (ours, theirs)]
            assert types[0] == types[1], (x, y)


def test_an_array_is_the_callers() -> None:
    """Compiled code that would make one is refused, since nobody counts who holds it."""
    with pytest.raises(numba.core.errors.NumbaError, match="NRT required but not enabled"):
        lean_compiler.LeanDispatcher(lambda size: np.zeros(size)[0], jit.OPTIONS)(3)
    given = np.arange(4)
    part = lean_compiler.LeanDispatcher(lambda array: array[1:], jit.OPTIONS)
    with pytest.raises(numba.core.errors.NumbaError, match="returning of array"):
        part(given)
    count = sys.getrefcount(given)

    def added(array: Any) -> Any:
        rest = part(array)
        return rest[0] + len(rest)

    assert lean_compiler.LeanDispatcher(added, jit.OPTIONS)(given) == 4
    assert sys.getrefcount(given) == count
