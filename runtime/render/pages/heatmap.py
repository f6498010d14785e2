"""A heat map: networks from top to bottom, accelerators from left to right, numbers in cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zeroskip.runtime.render.pages.elements import Element, tag

CELL, ROW = (64, 26)  # width and height of a cell, pixels
LETTER, HEAD = 6.6, 84  # of a title's character at the most; of the slanted names above, pixels
FAINT, STRONG = 0.05, 0.62  # opacity of what is hardly faster, and of the fastest of all
SLOW = 0.45  # opacity of what takes twice as long or longer
BEYOND = 56  # that the last slanted name sticks out, pixels


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]
) -> tuple[tuple[float, float], list[Element]]:
    """Size in pixels, and the elements of SVG. values: ratios [row][column], coloured by their
    logarithm, above 1 and below it in another colour; NaN is left empty. The largest of each row is
    bold."""
    left = 12 + LETTER * max(map(len, rows))
    most = max((each for row in values for each in row if each > 1), default=2.0)
    found = [
        tag(
            "text",
            name,
            transform=f"translate({left + CELL * (at + 0.45):.1f} {HEAD - 8}) rotate(-40)",
            class_="label",
        )
        for at, name in enumerate(columns)
    ]
    for line, (title, row) in enumerate(zip(rows, values, strict=True)):
        y = HEAD + ROW * line
        found.append(tag("text", title, x=f"{left - 8:.1f}", y=y + 17, class_="tick end"))
        best = max((each for each in row if not math.isnan(each)), default=math.nan)
        for at, value in enumerate(row):
            if not math.isnan(value):
                tip = f"{title} on {columns[at]}: {value:.2f}x"
                found += _cell(left + CELL * at, y, value, most, tip, value == best)
    return (left + CELL * len(columns) + BEYOND, HEAD + ROW * len(rows) + 4), found


def _cell(x: float, y: float, value: float, most: float, tip: str, best: bool) -> list[Element]:
    if value >= 1:
        color, share = "faster", math.log(value) / math.log(most)
        opacity = FAINT + (STRONG - FAINT) * share
    else:
        color, opacity = "slower", SLOW * min(1.0, -math.log2(max(value, 1e-9)))
    return [
        tag(
            "rect",
            x=f"{x + 1:.1f}",
            y=f"{y + 1:.1f}",
            width=CELL - 2,
            height=ROW - 2,
            rx=3,
            fill_opacity=f"{opacity:.3f}",
            data_tip=tip,
            class_=f"cell {color}",
        ),
        tag(
            "text",
            f"{value:.2f}" if value < 10 else f"{value:.1f}",
            x=f"{x + CELL / 2:.1f}",
            y=f"{y + 17:.1f}",
            class_="number middle best" if best else "number middle",
        ),
    ]
