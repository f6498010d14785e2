"""Keys of a hardware description: fields of frozen dataclasses with meaning and range, and how a
table's values are checked against them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import MISSING, field, fields
from typing import Any

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.validate import field_types, is_of

LONGEST_TEXT = 200  # characters of a name or summary


class SpecError(ZeroskipError):
    """A hardware description that cannot be used; says which key and what it should hold."""


def number(
    doc: str,
    low: float = 1,
    high: float = 1 << 40,
    *,
    power_of_two: bool = False,
    multiple_of: int | None = None,
    default: float | None = None,
) -> Any:
    """A numeric key, its meaning with unit, and the range it must lie in.

    default: what a table that does not have the key means; None: it must have it.
    """
    meta = {"doc": doc, "low": low, "high": high, "pow2": power_of_two, "step": multiple_of}
    return field(metadata=meta) if default is None else field(default=default, metadata=meta)


def values_of(
    cls: type, table: dict[str, Any], where: str, prefix: str, skip: Set[str] = frozenset()
) -> dict[str, Any]:
    """The fields of ``cls`` by name from a table, each checked; a field with ``read`` in its
    metadata is a section of its own. SpecError for a key that is none, missing or out of range."""
    declared = {f.name: f for f in fields(cls) if f.name not in skip}
    for key in table:
        if key not in declared:
            raise SpecError(
                f"{where}: {prefix + key[:50]!r} is not a key of a hardware "
                f"description; the keys there are {', '.join(declared)}"
            )
    values = {}
    for key, made in declared.items():
        if "read" in made.metadata:
            values[key] = made.metadata["read"](table.get(key), where, f"{prefix}{key}")
            continue
        if key not in table and made.default is not MISSING:
            values[key] = made.default
            continue
        if key not in table:
            unit = made.metadata.get("doc", "text")
            raise SpecError(f"{where}: {prefix}{key} is missing ({unit})")
        kind = field_types(cls)[key]
        values[key] = _value(table[key], kind, made.metadata, f"{where}: {prefix}{key}")
    return values


def _value(value: Any, kind: Any, meta: Mapping[str, Any], place: str) -> Any:
    huge = isinstance(value, int) and value.bit_length() > 64
    shown = "a number beyond 2^64" if huge else repr(value)[:50]
    if kind is str:
        if not is_of(str, value) or not value.isprintable() or len(value) > LONGEST_TEXT:
            raise SpecError(
                f"{place} must be a line of text of up to {LONGEST_TEXT} characters, not {shown}"
            )
        return value
    if not is_of(kind, value):
        wanted = "a whole number" if kind is int else "a number"
        raise SpecError(f"{place} must be {wanted} without a unit ({meta['doc']}), not {shown}")
    if not meta["low"] <= value <= meta["high"]:
        raise SpecError(
            f"{place} = {shown} is outside {meta['low']:g}..{meta['high']:g} ({meta['doc']})"
        )
    if meta["pow2"] and int(value).bit_count() != 1:
        raise SpecError(f"{place} = {value} must be a power of two ({meta['doc']})")
    if meta["step"] is not None and value % meta["step"]:
        raise SpecError(f"{place} = {value} must be a multiple of {meta['step']} ({meta['doc']})")
    return kind(value)
