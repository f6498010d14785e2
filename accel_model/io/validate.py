"""Dataclasses out of tables that a file holds, believing nothing."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 1 << 48  # of any count or address
LONGEST = 1 << 16  # of a text, characters
TUPLES = {"tuple[int, ...]": "int", "tuple[str, ...]": "str"}


def from_table(cls: type[T], table: Any) -> T:
    """A dataclass of text, counts, finite numbers and tuples of counts or texts; ValueError if the table
    has other keys than its fields, or a value is not of its field's type."""
    declared = {each.name: str(each.type) for each in fields(cls)}  # type: ignore[arg-type]  # a dataclass
    if not isinstance(table, dict) or set(table) != set(declared):
        raise ValueError(f"a {cls.__name__} has the fields {', '.join(declared)}")
    return cls(
        **{
            name: _value(kind, table[name], f"{cls.__name__}.{name}")
            for name, kind in declared.items()
        }
    )


def _value(kind: str, value: Any, name: str) -> Any:
    if kind in TUPLES and isinstance(value, list | tuple):
        return tuple(_value(TUPLES[kind], each, name) for each in value)
    if kind == "str" and isinstance(value, str) and len(value) <= LONGEST:
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int" and number and isinstance(value, int) and -MOST < value < MOST:
        return value
    if kind == "float" and number and math.isfinite(value):
        return float(value)
    raise ValueError(f"{name} is {str(value)[:40]!r}, not {kind}")


def short_message(problem: Exception) -> str:
    """What an exception says, short enough to stand within a sentence."""
    return " ".join(str(problem).split())[:300]


def checked_text(value: Any, name: str) -> str:
    """A text that is not too long; ValueError for anything else."""
    found: str = _value("str", value, name)
    return found


def checked_int(value: Any, name: str, least: int = 0, most: int = MOST) -> int:
    """A whole number within limits; ValueError for anything else."""
    found: int = _value("int", value, name)
    if not least <= found <= most:
        raise ValueError(f"{name} = {found} is outside {least}..{most}")
    return found
