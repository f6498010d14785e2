"""How far a long step is: the callback that commands draw and libraries may leave out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, steps done, steps


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore how far a step is."""
