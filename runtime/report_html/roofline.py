"""The roofline of the layers: multiplies a cycle against multiplies a byte, both logarithmic.

(Williams, Waterman and Patterson, "Roofline", CACM 2009.) Bytes are the compulsory ones, so how far
below the roof a dot lies is how many times its bound the layer took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zeroskip.runtime.report import LayerReport, Report
from zeroskip.runtime.report_html.elements import Element, figure, legend, tag

SIZES = {"wide": (720, 430), "narrow": (360, 340)}  # pixels, by the width of the screen
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 14, 40  # margins
KINDS = {"dense-dot": "convolutions", "depthwise-dot": "depthwise"}


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis: values low..high to pixels first..last."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """1, 10, 100 ..., with 2 and 5 between where there is room."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        few = math.log10(self.high / self.low) < 2.5
        found = [step * 10.0**n for n in decades for step in ((1, 2, 5) if few else (1,))]
        return [value for value in found if self.low <= value <= self.high]


def roofline_figure(report: Report) -> Element:
    """A dot for each layer that multiplies."""
    dots = [layer for layer in report.layers if layer.effectual]
    others = len(report.layers) - len(dots)
    note = ("A dot is a layer, its area the layer's cycles; its distance below the roof is its "
            "multiple of the bound.")
    if others:
        note += f" Without multiplies and not shown: {others}."
    if not dots:
        return figure("Roofline", note)
    shown = {_kind(layer) for layer in dots}
    return figure("Roofline", note, legend(each for each in KINDS.items() if each[0] in shown),
                  *(_chart(report, dots, name, *size) for name, size in SIZES.items()),
                  class_="roofline")


def _kind(layer: LayerReport) -> str:
    return "depthwise-dot" if "depthwise" in layer.kind else "dense-dot"


def _intensity(layer: LayerReport) -> float:
    return layer.effectual / sum(moved.compulsory for moved in layer.traffic.values())


def _chart(report: Report, dots: Sequence[LayerReport], name: str, width: int, height: int
           ) -> Element:
    peak, bus = report.macs_per_cycle, report.bytes_per_cycle
    xs, ys = [_intensity(layer) for layer in dots], [layer.effectual / layer.cycles
                                                     for layer in dots]
    ridge = peak / bus
    x = Axis(min(*xs, ridge) / 1.6, max(*xs, ridge) * 1.6, LEFT, width - RIGHT)
    y = Axis(min(*ys, peak) / 1.6, peak * 1.7, height - BOTTOM, TOP)
    roof = [(x.low, min(peak, x.low * bus)), (ridge, peak), (x.high, peak)]
    if roof[0][1] < y.low:  # the slope leaves at the bottom
        roof[0] = (y.low / bus, y.low)
    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in roof)
    return tag(
        "svg", *_grid(x, y, width, height), tag("polyline", points=line, class_="roof"),
        tag("text", f"{peak} MACs a cycle", x=width - RIGHT, y=f"{y(peak) - 6:.1f}",
            class_="roof-label end"),
        _slope_label(f"{bus} bytes a cycle", x, y, roof[0], roof[1]),
        *(_dot(layer, x(a), y(b), a, report) for layer, a, b in
          sorted(zip(dots, xs, ys, strict=True), key=lambda each: -each[0].cycles)),
        viewBox=f"0 0 {width} {height}", class_=name, role="img",
        aria_label="Roofline: multiplies a cycle against multiplies a byte; the table of layers "
                   "below holds the numbers")


def _grid(x: Axis, y: Axis, width: int, height: int) -> list[Element]:
    found = []
    for value in x.ticks():
        at = f"{x(value):.1f}"
        found += [tag("line", x1=at, x2=at, y1=TOP, y2=height - BOTTOM, class_="grid"),
                  tag("text", f"{value:g}", x=at, y=height - BOTTOM + 15, class_="tick middle")]
    for value in y.ticks():
        at = f"{y(value):.1f}"
        found += [tag("line", x1=LEFT, x2=width - RIGHT, y1=at, y2=at, class_="grid"),
                  tag("text", f"{value:g}", x=LEFT - 6, y=at, dy="0.35em", class_="tick end")]
    found += [
        tag("text", "effectual MACs per compulsory byte", x=(LEFT + width - RIGHT) / 2,
            y=height - 6, class_="axis middle"),
        tag("text", "MACs per cycle", transform=f"translate(11 {(TOP + height - BOTTOM) / 2}) "
            "rotate(-90)", class_="axis middle")]
    return found


def _slope_label(text: str, x: Axis, y: Axis, low: tuple[float, float], high: tuple[float, float]
                 ) -> Element:
    """Along the slope, above its lower end, where fewer layers are."""
    (x1, y1), (x2, y2) = ((x(a), y(b)) for a, b in (low, high))
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    return tag("text", text, dx="10", dy="-8", class_="roof-label",
               transform=f"translate({x1:.1f} {y1:.1f}) rotate({angle:.1f})")


def _dot(layer: LayerReport, x: float, y: float, intensity: float, report: Report) -> Element:
    radius = 3 + 22 * math.sqrt(layer.cycles / report.cycles)
    tip = [layer.title, f"{intensity:.3g} MACs a byte, {layer.effectual / layer.cycles:.1f} MACs "
           "a cycle", f"{layer.x_bound:.3f} x bound, {layer.cycles:,} cycles"]
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:.1f}", data_tip="\n".join(tip),
               class_=_kind(layer))
