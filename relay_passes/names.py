"""Names that nothing else has."""

from __future__ import annotations


def unused_name(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem` with the first number that makes it new; added to `taken`."""
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name
