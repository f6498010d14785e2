"""A chart by itself: an SVG file for papers and slides, which needs no style sheet nor script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from zeroskip.runtime.render.pages import palette
from zeroskip.runtime.render.pages.document import asset
from zeroskip.runtime.render.pages.elements import Element, tag

EDGE, TITLE, LINE = 14, 22, 20  # margin, heights of the title and of a line of the legend, pixels
LETTER = 6.8  # width of a character of the legend, pixels, at the most
SWATCH, APART = 18, 16  # from a swatch to its text; between two entries
BASE = """svg { font: 12px system-ui, "Liberation Sans", "DejaVu Sans", sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; } .mark { fill: var(--mark); }
.plain { fill: var(--soft); }
"""


class Chart(NamedTuple):
    """name: of the file, without its ending. legend: classes and what they stand for. size: pixels
    of the picture. picture: elements of SVG within that size."""

    name: str
    title: str
    legend: Sequence[tuple[str, str]]
    size: tuple[float, float]
    picture: Sequence[Element]


def svg_file(chart: Chart) -> str:
    """The file's text, in the light colours. What a page tells beside the pointer is a
    ``title``."""
    width, height = chart.size
    lines = _legend(chart.legend, width)
    down = EDGE + TITLE + LINE * len(lines) + 4
    size = (width + 2 * EDGE, down + height + EDGE)
    style = palette.resolved(BASE + palette.fills() + asset("svg.css"))
    root = tag(
        "svg",
        tag("style", style),
        tag("rect", width=f"{size[0]:g}", height=f"{size[1]:g}", style="fill:#ffffff"),
        tag("text", chart.title, x=EDGE, y=EDGE + 14, class_="title"),
        *(
            tag("g", *entries, transform=f"translate({EDGE} {EDGE + TITLE + LINE * number})")
            for number, entries in enumerate(lines)
        ),
        tag("g", *map(_with_title, chart.picture), transform=f"translate({EDGE} {down})"),
        xmlns="http://www.w3.org/2000/svg",
        width=f"{size[0]:g}",
        height=f"{size[1]:g}",
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
    )
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _legend(entries: Sequence[tuple[str, str]], width: float) -> list[list[Element]]:
    """Swatches and texts, in as many lines as they need."""
    lines: list[list[Element]] = []
    at = width
    for color, text in entries:
        needs = SWATCH + LETTER * len(text)
        if at + needs > width:
            lines.append([])
            at = 0.0
        lines[-1] += [
            tag("rect", x=f"{at:.1f}", y=4, width=11, height=11, rx=2, class_=color),
            tag("text", text, x=f"{at + SWATCH:.1f}", y=14, class_="tick"),
        ]
        at += needs + APART
    return lines


def _with_title(element: Element) -> Element:
    """The element, and those within, with ``data-tip`` as a title."""
    attributes = dict(element.attrib)
    tip = attributes.pop("data-tip", None)
    made = ElementTree.Element(element.tag, attributes)
    made.text, made.tail = element.text, element.tail
    if tip is not None:
        made.append(tag("title", tip))
    made.extend(map(_with_title, element))
    return made
