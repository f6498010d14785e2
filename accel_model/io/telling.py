"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]  # what is being done, steps done, steps


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""
