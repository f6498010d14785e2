"""A page taken apart, for what tests ask of it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "input", "br", "img"}


class Page(HTMLParser):
    """Elements in order, each with its attributes, the tags around it, and its own text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self.feed(text)
        self.close()
        assert not self._open, "an element is not closed"

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        made = {
            "tag": name,
            "text": "",
            "within": [each["tag"] for each in self._open],
            "class": "",
            **dict(attributes),
        }
        self.elements.append(made)
        if name not in VOID:
            self._open.append(made)

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop()["tag"] == name

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each["text"] += data

    def all(self, name: str, class_: str = "") -> list[dict[str, Any]]:
        return [
            each
            for each in self.elements
            if each["tag"] == name and (not class_ or class_ in each["class"].split())
        ]
