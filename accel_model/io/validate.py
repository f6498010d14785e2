"""Dataclasses out of tables that a file holds, believing nothing."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")
MOST = 1 << 48  # of any count or address
LONGEST = 1 << 16  # of a text, characters
Counts = tuple[int, ...]


@cache
def field_types(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields by name, as they are and not as they are written."""
    hints = get_type_hints(cls)
    return {each.name: hints[each.name] for each in fields(cls)}


def is_of(kind: Any, value: Any) -> bool:
    """Whether a value that a file holds is text, a whole number, a number or a list of whole numbers, as a field of type ``str``, ``int``, ``float`` or ``tuple[int, ...]`` takes it."""
    if kind == Counts:
        return isinstance(value, list | tuple) and all(is_of(int, each) for each in value)
    if kind is float:
        return is_of(int, value) or isinstance(value, float)
    return isinstance(value, kind) and not isinstance(value, bool)


def from_table(cls: type[T], table: Any) -> T:
    """A dataclass of text, counts, finite numbers and tuples of counts; ValueError if the table
    has other keys than its fields, or a value is not of its field's type."""
    declared = field_types(cls)  # type: ignore[arg-type]  # mypy takes no class for hashable
    if not isinstance(table, dict) or set(table) != set(declared):
        raise ValueError(f"a {cls.__name__} has the fields {', '.join(declared)}")
    return cls(
        **{
            name: _value(kind, table[name], f"{cls.__name__}.{name}")
            for name, kind in declared.items()
        }
    )


def _value(kind: Any, value: Any, name: str) -> Any:
    if not (is_of(kind, value) and _is_bounded(value)):
        said = "tuple[int, ...]" if kind == Counts else kind.__name__
        raise ValueError(f"{name} is {str(value)[:40]!r}, not {said}")
    return tuple(value) if kind == Counts else kind(value)


def _is_bounded(value: Any) -> bool:
    """Whether a text or a number, or each of some, is of a size that anything here has."""
    if isinstance(value, list | tuple):
        return all(map(_is_bounded, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return len(value) <= LONGEST if isinstance(value, str) else abs(value) < MOST


def short_message(problem: Exception) -> str:
    """What an exception says, short enough to stand within a sentence."""
    return " ".join(str(problem).split())[:300]


def checked_text(value: Any, name: str) -> str:
    """A text that is not too long; ValueError for anything else."""
    found: str = _value(str, value, name)
    return found


def checked_int(value: Any, name: str, least: int = 0, most: int = MOST) -> int:
    """A whole number within limits; ValueError for anything else."""
    found: int = _value(int, value, name)
    if not least <= found <= most:
        raise ValueError(f"{name} = {found} is outside {least}..{most}")
    return found
