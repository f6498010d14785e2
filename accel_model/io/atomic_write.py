"""Files that appear whole or not at all, and files that may be read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError


class FileError(ZeroskipError):
    """A file that cannot be written, or is none that can be read."""


def write_whole(
    path: str | Path, write: Callable[[Any], object], check: Callable[[Path], object] | None = None
) -> None:
    """Write a file through a temporary neighbour: there is never a part of it under its name.

    ``write`` gets a file open for writing bytes. ``check`` gets the path of the whole file before
    it takes its name; what it raises leaves the name as it was. A link is followed: the file that
    it names is written. What exists and is not a regular file (a device, a pipe) stays what it is
    and is written into. FileError if the file cannot be made.
    """
    try:
        mode = _mode(Path(path))
        if mode is not None and not stat.S_ISREG(mode):
            _write_into(Path(path), mode, write)
            return
        target = Path(os.path.realpath(path))
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name[:100]}.", delete=False
        ) as out:
            try:
                write(out)
                out.flush()
                os.fsync(out.fileno())
                if check is not None:
                    check(Path(out.name))
                os.chmod(out.name, 0o666 & ~_umask())
                os.replace(out.name, target)
            except BaseException:
                os.unlink(out.name)
                raise
    except OSError as problem:
        raise FileError(f"{path}: cannot be written: {problem.strerror or problem}") from None


def refuse_irregular(path: str | Path) -> None:
    """FileError for a pipe, a device or a socket: a read of it may wait, or go on, for ever.

    What does not exist and what is a folder is left to whoever opens it.
    """
    try:
        mode = _mode(Path(path))
    except OSError:
        return
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(f"{path}: is {_kind(mode)}, which may never end; give a file on a disk")


def _mode(path: Path) -> int | None:
    """The mode of what a path leads to, links followed; None if that does not exist."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _write_into(path: Path, mode: int, write: Callable[[Any], object]) -> None:
    """Write into a device or a pipe what is whole before the first byte goes there."""
    if stat.S_ISSOCK(mode):
        raise FileError(f"{path}: is a socket; give the path of a file")
    with tempfile.TemporaryFile() as whole:
        write(whole)
        whole.seek(0)
        # Without waiting for a reader of a pipe: where there is none, opening fails.
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # a folder fails here too
        os.set_blocking(descriptor, True)
        with open(descriptor, "wb") as out:
            shutil.copyfileobj(whole, out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
