"""Schedules that were found before, on disk, by what they were found for.

An entry's name is a digest of everything its content depends on: the operations, the accelerator,
and the source of the search itself. So an entry is never wrong, only absent; several compilers may
write at once, since each writes a file of its own and renames it; an entry that cannot be read is
searched for anew and one that cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from zeroskip.accel_model import formats, physics
from zeroskip.accel_model.io.archive import seal
from zeroskip.accel_model.io.atomic_write import FileError, write_whole
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.accel_model.timing import dram_rows, lane_array, lane_simulation
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.ir.schedule import GroupPlan, group_text, read_group


def default_folder() -> Path:
    """Where schedules are kept for a user: ``ZEROSKIP_CACHE``, or by the XDG convention."""
    own = os.environ.get("ZEROSKIP_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zeroskip" / "schedules"


class PlanCache:
    """The schedules in a folder, which is made when the first one is written."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.found = 0  # entries that were there
        self.made = 0  # entries that were not

    def groups(
        self, region: Region, spec: AccelSpec, how: str, make: Callable[[], list[GroupPlan]]
    ) -> list[GroupPlan]:
        """The schedule of a region: the one that was kept, or the one that ``make`` finds.

        how: whatever else it depends on, such as the effort that was spent.
        """
        path = self._path(region, spec, how)
        known = _read(path, len(region.ops))
        if known is not None:
            self.found += 1
            return known
        groups = make()
        self.made += 1
        _write(path, [group_text(group) for group in groups])
        return groups

    def _path(self, region: Region, spec: AccelSpec, how: str) -> Path:
        key = hashlib.sha256(
            f"{_source_digest()} {spec.fingerprint} {how} {_wiring(region)}".encode()
        )
        for op in region.ops:
            _add(key, op)
        name = key.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.json"


def _wiring(region: Region) -> list[list[int]]:
    """What each operation reads and writes, and the outputs, as numbers of values."""
    numbers: dict[str, int] = {}
    named = [[*(view.value.name for view in op.reads), op.y.value.name] for op in region.ops]
    named.append([value.name for value in region.outputs])
    return [[numbers.setdefault(name, len(numbers)) for name in names] for names in named]


def _add(key: hashlib._Hash, value: object) -> None:
    """Everything that a value is, except names, which do not matter to a schedule."""
    if isinstance(value, np.ndarray):
        key.update(f"{value.dtype.str}{value.shape}".encode())
        key.update(np.ascontiguousarray(value).data)
    elif hasattr(value, "__dataclass_fields__"):
        key.update(type(value).__name__.encode())
        for name in value.__dataclass_fields__:
            if name not in ("name", "node"):
                _add(key, getattr(value, name))
    else:
        key.update(f"{value!r};".encode())


@cache
def _source_digest() -> str:
    """Of the code that a schedule comes from: another version never finds this one's entries."""
    files = [
        Path(str(lane_array.__file__)),
        Path(str(lane_simulation.__file__)),
        Path(str(dram_rows.__file__)),
        *_sources(Path(str(formats.__file__)).parent),
        *_sources(Path(str(physics.__file__)).parent),
        *_sources(Path(__file__).parent.parent),
    ]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _read(path: Path, count: int) -> list[GroupPlan] | None:
    """The groups in an entry, if it is whole and has a plan for each of ``count`` operations."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        groups = [read_group(line) for line in entry["groups"]]
        intact = (
            entry["sha256"] == seal(entry["groups"])
            and sum(len(group.plans) for group in groups) == count
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return groups if intact else None


def _write(path: Path, lines: list[str]) -> None:
    text = json.dumps({"groups": lines, "sha256": seal(lines)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda out: out.write(text.encode()))
    except (OSError, FileError):
        return  # nothing is lost but the time to search again
