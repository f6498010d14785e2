"""A small change to our own code, and the tests that must notice it."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Change:
    """``old``, once in the file, becomes ``new``.

    what: the change in words. tests: files and tests, separated by spaces, paths from ``tests`` on.
    equivalent: why nothing can notice it, "" for every change that something must notice.
    """

    file: str
    what: str
    old: str
    new: str
    tests: str
    equivalent: str = ""

    @property
    def package(self) -> str:
        return self.file.partition("/")[0]

    @property
    def nodes(self) -> list[str]:
        """The tests as pytest takes them."""
        return [f"tests/{each}" for each in self.tests.split()]

    def apply(self, root: Path) -> None:
        """Change the file in a copy of the tree."""
        path = root / self.file
        path.write_text(self.changed(path.read_text(encoding="utf-8")), encoding="utf-8")
        drop_compiled(path)

    def changed(self, text: str) -> str:
        """The file's text with the change; ValueError unless there is one place for it."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {text.count(self.old)} times")
        return text.replace(self.old, self.new)


@cache
def meaning(file: str, text: str) -> Any:
    """What a file's text says, without its form; ValueError or SyntaxError for no such text."""
    return tomllib.loads(text) if file.endswith(".toml") else ast.dump(ast.parse(text, file))


def drop_compiled(path: Path) -> None:
    """Remove Python's own compiled form of a source: it goes by size and seconds alone."""
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        old.unlink()
