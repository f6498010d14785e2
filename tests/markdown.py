"""Pages as values: their tables and the commands that they name."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Of a figure: BLAS sums in another order on another kind of processor; weights that are fitted by
# its sums, and masks that are chosen by them, are others here and there.
FITTED = 0.02


@dataclass(frozen=True)
class MarkdownTable:
    """Cells as they are written, without the marks of bold and of code."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def row(self, *first: str) -> tuple[str, ...]:
        """The one row that begins with these cells."""
        (found,) = [row for row in self.rows if row[: len(first)] == first]
        return found


def text_of(page: str) -> str:
    """A page, by its path in the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def table_of(page: str, *columns: str) -> MarkdownTable:
    """The one table of a page whose columns begin with these."""
    (found,) = [each for each in _tables(text_of(page)) if each.columns[: len(columns)] == columns]
    return found


def command_of(page: str, *first: str) -> list[str]:
    """The arguments of the one indented command of a page that begins with these words."""
    lines = re.sub(r"\\\n\s*", "", text_of(page))
    (found,) = [
        words
        for line in re.findall(r"^    (\w.*)$", lines, re.MULTILINE)
        if (words := _words(line))[: len(first)] == [*first]
    ]
    return found


def number(cell: str) -> float:
    """The first number of a cell: ``16,315 (2.9x)`` is 16315."""
    return float(re.findall(r"-?[\d,]*\.?\d+", cell)[0].replace(",", ""))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # prose, or code in another language
        return []


def _tables(text: str) -> list[MarkdownTable]:
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.MULTILINE):
        head, _, *rows = [_cells(line) for line in block.splitlines()]
        found.append(MarkdownTable(head, tuple(rows)))
    return found


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip().strip("`*") for cell in line.strip("|").split("|"))
