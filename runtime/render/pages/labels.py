"""Names beside the dots of a chart, where there is room for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from zeroskip.runtime.render.pages.elements import Element, tag

WIDTH, HEIGHT = 7.0, 14.0  # of a character, pixels, at the most
STEP = 8.0  # of a line, pixels, that a box covers
GAP = 4.0  # between a dot and its name


class Box(NamedTuple):
    """A rectangle, pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


class Dot(NamedTuple):
    """A dot and its name; without one it only takes room."""

    x: float
    y: float
    radius: float
    name: str = ""

    @property
    def box(self) -> Box:
        return Box(
            self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius
        )


def along(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """Boxes that cover a line through the corners, for names to keep off."""
    found = []
    for (x1, y1), (x2, y2) in pairwise(corners):
        parts = max(1, math.ceil(max(abs(x2 - x1), abs(y2 - y1)) / STEP))
        for a, b in pairwise(number / parts for number in range(parts + 1)):
            xs, ys = (
                sorted((first + a * (last - first), first + b * (last - first)))
                for first, last in ((x1, x2), (y1, y2))
            )
            found.append(Box(xs[0] - 1, ys[0] - 1, xs[1] + 1, ys[1] + 1))
    return found


def placed(dots: Sequence[Dot], room: Box, taken: Iterable[Box] = ()) -> list[Element]:
    """The names, those of the first dots first, each right, left, above or below its dot: not on
    another dot or name nor outside the room. A name that fits nowhere is left out."""
    boxes, found = [*(dot.box for dot in dots), *taken], []
    for number, dot in enumerate(dots):
        if not dot.name:
            continue
        others = boxes[:number] + boxes[number + 1 :]
        for box in _places(dot):
            if box.within(room) and not any(map(box.meets, others)):
                boxes.append(box)
                found.append(
                    tag(
                        "text",
                        dot.name,
                        x=f"{(box.left + box.right) / 2:.1f}",
                        y=f"{(box.top + box.bottom) / 2:.1f}",
                        dy="0.35em",
                        class_="label middle",
                    )
                )
                break
    return found


def _places(dot: Dot) -> list[Box]:
    wide, away = len(dot.name) * WIDTH, dot.radius + GAP
    left, middle, right = dot.x - away - wide, dot.x - wide / 2, dot.x + away
    above, level, below = dot.y - away - HEIGHT, dot.y - HEIGHT / 2, dot.y + away
    corners = [
        (right, level),
        (left, level),
        (middle, above),
        (middle, below),
        (right, above),
        (right, below),
        (left, above),
        (left, below),
    ]
    return [Box(x, y, x + wide, y + HEIGHT) for x, y in corners]
