"""Bars in parts, one a line, each with a mark: as HTML in a page, as SVG in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from zeroskip.runtime.render.pages.elements import Element, percent, tag

NAME, TRACK, NUMBER = 190, 440, 130  # widths of a line's parts, pixels
ROW, THICK, LETTER = 20, 13, 6.8  # heights of a line and a bar; width of a character at the most


class Bar(NamedTuple):
    """A line: what it is of, what is told beside the pointer, parts (class, size) that begin where
    the one before ends, the place of the mark (None: without), and the number at the end. length:
    of the parts' scale, at least 1."""

    title: str
    tip: Sequence[str]
    parts: Sequence[tuple[str, float]]
    length: float
    mark: float | None
    number: str


def html_row(bar: Bar, scale: str) -> Element:
    """A line of a list. scale: the style sheet's properties for the bar's width."""
    segments = [
        tag("i", class_=color, style=f"width:{percent(size / bar.length)}")
        for color, size in bar.parts
        if size > 0
    ]
    mark = None if bar.mark is None else tag("b", style=f"left:{percent(bar.mark / bar.length)}")
    drawn = tag("span", *segments, mark, class_="bar", style=scale)
    return tag(
        "li",
        tag("span", bar.title, class_="name"),
        tag("span", drawn, class_="track"),
        tag("span", bar.number, class_="number"),
        data_tip="\n".join(bar.tip),
    )


def svg_rows(bars: Sequence[Bar]) -> tuple[tuple[float, float], list[Element]]:
    """Size and elements of a picture of bars on one scale."""
    longest = max((bar.length for bar in bars), default=1.0)
    rows = [
        tag(
            "g",
            tag("text", _cut(bar.title), x=0, y=14),
            *_svg_bar(bar, TRACK / longest),
            tag("text", bar.number, x=NAME + TRACK + NUMBER, y=14, class_="tick end"),
            transform=f"translate(0 {ROW * number})",
            data_tip="\n".join(bar.tip),
        )
        for number, bar in enumerate(bars)
    ]
    return (NAME + TRACK + NUMBER, ROW * len(bars)), rows


def _svg_bar(bar: Bar, scale: float) -> list[Element]:
    found, at, top = [], float(NAME), (ROW - THICK) / 2
    for color, size in bar.parts:
        if size > 0:
            found.append(
                tag(
                    "rect",
                    x=f"{at:.2f}",
                    y=f"{top:g}",
                    width=f"{size * scale:.2f}",
                    height=THICK,
                    class_=color,
                )
            )
            at += size * scale
    if bar.mark is not None:
        x = f"{NAME + bar.mark * scale:.2f}"
        found.append(tag("line", x1=x, x2=x, y1=top - 2, y2=top + THICK + 2, class_="bound"))
    return found


def _cut(title: str) -> str:
    """The end of a name says more than its start."""
    most = int(NAME / LETTER)
    return title if len(title) <= most else "…" + title[1 - most :]
