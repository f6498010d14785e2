"""TOML files that users write: recipes, patterns, spaces, preprocessing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.atomic_write import refuse_irregular


def read_toml(path: Path, refusal: type[ZeroskipError], what: str = "") -> dict[str, Any]:
    """What is in a file. refusal: the error to raise where it cannot be read or is no TOML; what:
    the file is, in its sentence. FileError for a pipe, a device or a socket."""
    return read_toml_text(path, refusal, what)[0]


def read_toml_text(
    path: Path, refusal: type[ZeroskipError], what: str = ""
) -> tuple[dict[str, Any], str]:
    """The same with the text, for those who name lines of it."""
    refuse_irregular(path)
    named = f"{what} '{path}'".strip()
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except OSError as problem:
        raise refusal(f"{named} cannot be read: {problem.strerror or problem}") from None
    except (ValueError, RecursionError) as problem:
        raise refusal(f"{named} is not TOML: {problem}") from None
