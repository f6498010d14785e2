"""Elements of a page, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from xml.etree import ElementTree

Element: TypeAlias = ElementTree.Element
Child: TypeAlias = Element | str | None


def tag(name: str, /, *children: Child, **attributes: object) -> Element:
    """An element. Texts are escaped when it is written, None is left out.

    Of an attribute's name a last ``_`` is dropped, others become ``-``: ``class_``, ``data_tip``.
    """
    made = Element(
        name,
        {
            key.rstrip("_").replace("_", "-"): str(value)
            for key, value in attributes.items()
            if value is not None
        },
    )
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + child
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + child
    return made


def page(root: Element) -> str:
    """The file's text."""
    return "<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="unicode", method="html")


def figure(title: str, note: str, *content: Child, class_: str = "") -> Element:
    """A section with a heading and a sentence on what is seen."""
    return tag(
        "section", tag("h2", title), tag("p", note, class_="note"), *content, class_=class_ or None
    )


def legend(entries: Iterable[tuple[str, str]]) -> Element:
    """Colours (classes of the style sheet) and what they stand for."""
    return tag(
        "ul",
        *(tag("li", tag("i", class_=f"swatch {color}"), name) for color, name in entries),
        class_="legend",
    )


def scroller(
    content: Element, *, tall: bool = False, what: str = "a table that scrolls"
) -> Element:
    """A table, or what else is wide, in a box of its own, which scrolls sideways and says so
    (``scroll.js``). tall: down too, below the columns' titles. what: it is, for those who hear
    it."""
    return tag(
        "div",
        tag(
            "div",
            content,
            class_="scroll tall" if tall else "scroll",
            tabindex="0",
            role="region",
            aria_label=what,
        ),
        tag("p", "Scroll sideways for what does not fit.", class_="hint", aria_hidden="true"),
        class_="scroller",
    )


def percent(share: float) -> str:
    """The width of a part."""
    return f"{100 * share:.3f}%"


def short(number: float) -> str:
    """Three significant digits with a suffix: 1,234 -> 1.23 k."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * size:
            scaled = number / size
            return (f"{scaled:#.3g}".rstrip(".") if scaled < 999.5 else f"{scaled:,.0f}") + suffix
    return f"{number:.3g}"


def kib(size: float) -> str:
    """Bytes in KiB or MiB."""
    return f"{size / 2**20:,.2f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
