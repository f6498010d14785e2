"""What zeroskip runs on: versions, processor, caches, extras. For ``zeroskip doctor`` and reports
of faults."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tvm.target import codegen

import zeroskip
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.jit import code_folder
from zeroskip.accel_model.plugins import BUILT_IN, kind_named, kinds, origin_of
from zeroskip.compiler.scheduling.schedule_cache import default_folder
from zeroskip.relay_passes.relax.cpu import cpu_target

VARIABLES = (
    "DEBUG",
    "ZEROSKIP_CACHE",
    "NUMBA_CACHE_DIR",
    "TVM_NUM_THREADS",
    "OMP_NUM_THREADS",
    "SEED",
)
DEVELOPERS = "dev"  # the extra of those who change zeroskip; others may have any pytest
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?(?:==([\w.]+))?")


@dataclass(frozen=True)
class Library:
    """A library that zeroskip, or one of its extras, is made for. wanted: its version, "" if any
    is. found: the installed one; None if there is none."""

    name: str
    wanted: str
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether the version is there that was tested. A build of it, as 2.13.0+cpu, is too: a pin
        without a local label takes all of them (PEP 440)."""
        return self.found is not None and self.wanted in ("", self.found.partition("+")[0])


@dataclass(frozen=True)
class Extra:
    """An optional part. libraries: that it needs."""

    name: str
    libraries: tuple[Library, ...]

    @property
    def there(self) -> bool:
        """Whether all its libraries are installed."""
        return all(each.found is not None for each in self.libraries)


@dataclass(frozen=True)
class Folder:
    """A folder of kept work. files, bytes: what is in it. problem: why it cannot be used, or ""."""

    what: str
    path: str
    files: int
    bytes: int
    problem: str = ""


@dataclass(frozen=True)
class Environment:
    """zeroskip's version and place; Python's; the system. processor: LLVM's name of it;
    vector_bits: of the vectors that TVM's code has; cores: that this process may use. memory_bytes:
    of the computer, 0 if unknown. libraries: always needed. variables: of the environment that are
    set. plugins: kinds of arrays of other packages, each with its package, or why it cannot be
    loaded."""

    zeroskip: str
    place: str
    python: str
    system: str
    processor: str
    vector_bits: int
    cores: int
    memory_bytes: int
    libraries: tuple[Library, ...]
    extras: tuple[Extra, ...]
    folders: tuple[Folder, ...]
    variables: dict[str, str]
    plugins: dict[str, str]

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each, with its remedy."""
        return [
            *_libraries_problems(self.libraries, "pip install zeroskip"),
            *(
                problem
                for extra in self.extras
                if extra.name != DEVELOPERS
                for problem in _libraries_problems(
                    [each for each in extra.libraries if each.found is not None],
                    f"pip install 'zeroskip[{extra.name}]'",
                )
            ),
            *(
                f"{each.what} cannot be kept in {each.path}: {each.problem}"
                for each in self.folders
                if each.problem
            ),
        ]

    def to_table(self) -> dict[str, Any]:
        """For JSON: the fields, whether each extra is there, and the problems."""
        table = asdict(self)
        for extra, made in zip(self.extras, table["extras"], strict=True):
            made["there"] = extra.there
        return {**table, "problems": self.problems}


def _libraries_problems(libraries: Any, remedy: str) -> Iterator[str]:
    for each in libraries:
        if each.found is None:
            yield f"{each.name} is not installed: {remedy}"
        elif not each.fits:
            yield (
                f"{each.name} is {each.found}, and zeroskip is tested with {each.wanted}: {remedy}"
            )


def environment() -> Environment:
    """Of this process."""
    needed = _needed()
    extras = sorted({extra for _, extra in needed if extra})
    target = cpu_target()
    return Environment(
        zeroskip=zeroskip.__version__,
        place=str(Path(zeroskip.__file__).parent),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=str(codegen.llvm_get_system_cpu()),
        vector_bits=int(codegen.llvm_get_vector_width(target)),
        cores=usable_cores(),
        memory_bytes=_memory(),
        libraries=tuple(library for library, extra in needed if not extra),
        extras=tuple(
            Extra(name, tuple(library for library, extra in needed if extra == name))
            for name in extras
        ),
        folders=(
            _folder("schedules", default_folder, "*.json"),
            machine_code(),
        ),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        plugins={name: _package(name) for name in kinds() if name not in BUILT_IN},
    )


def machine_code() -> Folder:
    """Where compiled loops of the machine are kept."""
    return _folder("machine code", code_folder, "*.nb[ci]")


def _needed() -> list[tuple[Library, str]]:
    """What the package says that it needs, and for which extra, "" for none; extras that stand for
    other extras are left out."""
    found = []
    for text in metadata.requires("zeroskip") or ():
        requirement, _, marker = text.partition(";")
        match, extra = (
            _REQUIREMENT.match(requirement.strip()),
            re.search(r"'(.+)'|\"(.+)\"", marker),
        )
        if match is None or match[1] == "zeroskip":
            continue
        library = Library(match[1], match[2] or "", _version(match[1]))
        found.append((library, (extra[1] or extra[2]) if extra else ""))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _folder(what: str, place: Callable[[], Path], pattern: str) -> Folder:
    try:
        path = place()
    except (OSError, RuntimeError) as problem:
        return Folder(what, "no folder", 0, 0, str(problem))
    sizes = []
    for file in path.rglob(pattern):
        try:
            sizes.append(file.stat().st_size)
        except OSError:  # another process has removed it
            continue
    return Folder(what, str(path), len(sizes), sum(sizes), _writable(path))


def _writable(path: Path) -> str:
    """Why nothing can be written into a folder, or into the one that it would be made in; ""."""
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir():
        return f"'{path}' is no folder"
    return "" if os.access(path, os.W_OK | os.X_OK) else f"'{path}' is not this user's to write"


def _package(kind: str) -> str:
    try:
        origin = origin_of(kind)
        kind_named(kind)
    except ZeroskipError as problem:
        return str(problem)
    return "" if origin is None else f"{origin.distribution} {origin.version}"
