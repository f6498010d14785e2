"""Axes of charts: values to pixels, and the values that are written beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zeroskip.runtime.render.pages.elements import Element, tag

LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 40  # margins of a chart, pixels
LETTER = 6.5  # width of a digit, pixels, at the most
SPREAD = 0.06  # of the values' range is left free at both ends
NARROW = 5  # from the least to the largest value: too few powers between


@dataclass(frozen=True)
class Axis:
    """values low..high to pixels first..last."""

    low: float
    high: float
    first: float
    last: float

    @staticmethod
    def around(values: Sequence[float], first: float, last: float) -> Axis:
        """With some room on both sides of the values, and of values that are all the same."""
        low, high = min(values), max(values)
        room = SPREAD * (high - low) or 0.05 * abs(high) or 1.0
        return Axis(low - room, high + room, first, last)

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Four to nine round values."""
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True)
class LogAxis(Axis):
    """The same, logarithmic."""

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """1, 10, 100 ..., with 2 and 5 between where there is room; of less than that the values
        of a linear axis."""
        if self.high < NARROW * self.low:
            return super().ticks()
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        few = math.log10(self.high / self.low) < 2.5
        found = [step * 10.0**n for n in decades for step in ((1, 2, 5) if few else (1,))]
        return [value for value in found if self.low <= value <= self.high]


def grid(
    x: Axis,
    y: Axis,
    size: tuple[int, int],
    names: tuple[str, str],
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
) -> list[Element]:
    """Lines at both axes' ticks with their values, and the axes' names. texts: instead of the
    values."""
    width, height = size
    found, until = [], 0.0
    for number, value in enumerate(x.ticks()):
        at, text = f"{x(value):.1f}", f"{value:g}" if texts is None else texts[0][number]
        found.append(tag("line", x1=at, x2=at, y1=TOP, y2=height - BOTTOM, class_="grid"))
        half = LETTER * len(text) / 2
        if x(value) - half < until:  # it would be written into the one before
            continue
        until = x(value) + half + LETTER
        found.append(tag("text", text, x=at, y=height - BOTTOM + 15, class_="tick middle"))
    for number, value in enumerate(y.ticks()):
        at, text = f"{y(value):.1f}", f"{value:g}" if texts is None else texts[1][number]
        found += [
            tag("line", x1=LEFT, x2=width - RIGHT, y1=at, y2=at, class_="grid"),
            tag("text", text, x=LEFT - 6, y=at, dy="0.35em", class_="tick end"),
        ]
    found += [
        tag("text", names[0], x=(LEFT + width - RIGHT) / 2, y=height - 6, class_="axis middle"),
        tag(
            "text",
            names[1],
            transform=f"translate(11 {(TOP + height - BOTTOM) / 2}) rotate(-90)",
            class_="axis middle",
        ),
    ]
    return found
