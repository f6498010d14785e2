"""Loops over plain arrays, compiled to machine code once and kept on disk.

numba's own cache looks at a function's own file only, although the machine code holds the functions
of other files that were inlined and the constants that were read. Here the folder is named by a
digest of every source that any compiled function may hold, so that no edit finds stale code.
"""

from __future__ import annotations

import gc
import getpass
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from zeroskip.accel_model.io.lean_compiler import LeanDispatcher

P = ParamSpec("P")
R = TypeVar("R")

PACKAGE = Path(__file__).parent.parent
_IMPORT = re.compile(r"^from zeroskip\.accel_model(?:\.([\w.]+))? import (\([^)]*\)|.*)$", re.M)
# No way in for C, which nobody takes and which is a tenth of the time to compile. No counts of who
# holds an array: callers hold them, and compiled code makes none.
OPTIONS = {
    "nopython": True,
    "boundscheck": None,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    "_nrt": False,
}
_MARK = "from zeroskip.accel_model.io.jit import"


def njit_cached(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: numba compiles the function at its first call; its type stays what it says."""
    compiled: Callable[P, R] = _kept(LeanDispatcher(function, OPTIONS))
    return compiled


def njit_cached_scalar(function: Callable[P, R]) -> Callable[P, R]:
    """``njit_cached`` for a loop whose steps depend on each other: without vectors, of which there
    would be none, it is compiled in two thirds of the time."""
    compiled: Callable[P, R] = _kept(LeanDispatcher(function, OPTIONS, scalar=True))
    return compiled


def njit_cached_reassociating(function: Callable[P, R]) -> Callable[P, R]:
    """``njit_cached``, and sums of floats may be taken in any order."""
    compiled: Callable[P, R] = _kept(
        LeanDispatcher(function, OPTIONS | {"fastmath": {"reassoc", "contract"}})
    )
    return compiled


def _kept(dispatcher: Any) -> Any:
    """The compiled function, with machine code in ``code_folder``."""
    dispatcher._cache = _Cache(dispatcher.py_func)  # what ``enable_caching`` does with numba's own
    return dispatcher


class _Undisturbed(event.Listener):  # type: ignore[misc]  # numba has no types
    """No garbage is collected while a function is compiled: what numba makes lives until it is
    done, and to look through all of it again and again takes an eighth of the time, more in a large
    process."""

    def __init__(self) -> None:
        self._compiling, self._collects = 0, False

    def on_start(self, _event: Any) -> None:
        if not self._compiling:
            self._collects = gc.isenabled()
            gc.disable()
        self._compiling += 1

    def on_end(self, _event: Any) -> None:
        self._compiling -= 1
        if not self._compiling and self._collects:
            gc.enable()


event.register("numba:compile", _Undisturbed())


def compiled_sources(package: Path = PACKAGE) -> list[Path]:
    """The files with compiled functions, and all that these import of the package, in order."""
    found: set[Path] = set()
    left = [path for path in package.rglob("*.py") if _MARK in path.read_text(encoding="utf-8")]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += _imported(path.read_text(encoding="utf-8"), package)
    return sorted(found)


def _imported(text: str, package: Path) -> Iterator[Path]:
    """The files of the package's modules that a source imports."""
    for match in _IMPORT.finditer(text):
        base = package.joinpath(*(match[1] or "").split("."))
        names = re.findall(r"\w+", match[2])
        for place in (base, *(base / name for name in names)):
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file():
                    yield path


@cache
def code_digest() -> str:
    """SHA-256, shortened, of the sources of compiled functions with their places."""
    made = hashlib.sha256()
    for path in compiled_sources():
        made.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
    return made.hexdigest()[:20]


@cache
def code_folder() -> Path:
    """Where machine code is kept: the first of these that can be written, made if it is not there.

    ``NUMBA_CACHE_DIR`` if it is set; beside the sources; the user's cache folder; a folder of the
    user's own among the temporary ones.
    """
    places: list[Callable[[], Path]] = [
        lambda: PACKAGE / "__pycache__",
        lambda: Path.home() / ".cache" / "zeroskip",
        _temporary,
    ]
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        places.insert(0, lambda: Path(given))
    for place in places:
        try:
            folder = place() / "native" / code_digest()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except (OSError, RuntimeError):  # RuntimeError: no home
            continue
    raise OSError("no folder for compiled code can be written: set NUMBA_CACHE_DIR to one")


def _temporary() -> Path:
    """A folder that no other user can have put code into; OSError if somebody tried."""
    try:
        name = str(os.getuid())
    except AttributeError:  # Windows, where temporary folders are a user's own
        name = getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"zeroskip-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    held = folder.lstat()
    if hasattr(os, "getuid") and (
        not stat.S_ISDIR(held.st_mode) or held.st_uid != os.getuid() or held.st_mode & 0o077
    ):
        raise PermissionError(f"{folder} is not this user's own")
    return folder


class _Locator(_CacheLocator):  # type: ignore[misc]  # numba has no types
    """Says numba where the code of a function is kept, and what it is of."""

    def __init__(self, function: Any) -> None:
        place = Path(function.__code__.co_filename).relative_to(PACKAGE).with_suffix("")
        self._name = f"{'.'.join(place.parts)}-{function.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        return str(code_folder())

    def get_source_stamp(self) -> str:
        return code_digest()

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        return cls(py_func) if Path(py_file).is_relative_to(PACKAGE) else None


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]  # numba has no types
    _locator_classes = (_Locator, *CompileResultCacheImpl._locator_classes)


class _Cache(FunctionCache):  # type: ignore[misc]  # numba has no types
    _impl_class = _CacheImpl

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # a disk that fills up: it is compiled again the next time
            super().save_overload(sig, data)
