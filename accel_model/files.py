"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError


class FileError(ZeroskipError):
    """A file that cannot be written."""


def write_whole(path: str | Path, write: Callable[[Any], object]) -> None:
    """Write a file through a temporary neighbour: there is never a part of it under its name.

    ``write`` gets a file open for writing bytes. FileError if the file cannot be made.
    """
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.",
                                         delete=False) as out:
            try:
                write(out)
                out.flush()
                os.fsync(out.fileno())
                os.chmod(out.name, 0o666 & ~_umask())
                os.replace(out.name, target)
            except BaseException:
                os.unlink(out.name)
                raise
    except OSError as problem:
        raise FileError(f"{path}: cannot be written: {problem.strerror or problem}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
