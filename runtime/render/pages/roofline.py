"""The roofline of the layers: multiplies a cycle against multiplies a byte, both logarithmic.

(Williams, Waterman and Patterson, "Roofline", CACM 2009.) Bytes are the compulsory ones, so how far
below the roof a dot lies is how many times its bound the layer took.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from zeroskip.runtime.analysis.report import LayerReport, Report
from zeroskip.runtime.render.pages.axes import BOTTOM, LEFT, RIGHT, TOP, Axis, LogAxis, grid
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import Element, figure, legend, tag
from zeroskip.runtime.render.pages.labels import Box, Dot, along, placed

SIZES = {"wide": (720, 430), "narrow": (360, 340)}  # pixels, by the width of the screen
NAMES = ("MACs by real inputs per compulsory byte", "MACs per cycle")
KINDS = {"filled": "convolutions", "ring": "depthwise"}
NAMED = {"wide": 6, "narrow": 3}  # layers whose names are written, at the most
FAR = 1.2  # times its bound from which on a layer may be named


def roofline_figure(report: Report) -> Element:
    """A dot for each layer that multiplies."""
    dots = [layer for layer in report.layers if layer.real_macs]
    others = len(report.layers) - len(dots)
    note = (
        "A dot is a layer, its area the layer's cycles; its distance below the roof is its "
        "multiple of the bound, which is written beside those that lose most."
    )
    if others:
        note += f" Without multiplies and not shown: {others}."
    if not dots:
        return figure("Roofline", note)
    shown = {_kind(layer) for layer in dots}
    return figure(
        "Roofline",
        note,
        legend(each for each in KINDS.items() if each[0] in shown),
        *(
            tag(
                "svg",
                *_picture(report, dots, name),
                viewBox="0 0 {} {}".format(*size),
                class_=name,
                role="img",
                aria_label="Roofline: multiplies a cycle against multiplies a byte; the table of "
                "layers below holds the numbers",
            )
            for name, size in SIZES.items()
        ),
        class_="roofline",
    )


def roofline_chart(report: Report) -> Chart | None:
    """``roofline_figure`` as a file; None if no layer multiplies."""
    dots = [layer for layer in report.layers if layer.real_macs]
    if not dots:
        return None
    shown = {_kind(layer) for layer in dots}
    return Chart(
        "roofline",
        f"{report.network} on {report.target}: roofline of the layers",
        [each for each in KINDS.items() if each[0] in shown],
        SIZES["wide"],
        _picture(report, dots, "wide"),
    )


def _kind(layer: LayerReport) -> str:
    return "ring" if "depthwise" in layer.kind else "filled"


def _intensity(layer: LayerReport) -> float:
    return layer.real_macs / sum(moved.compulsory for moved in layer.traffic.values())


def _picture(report: Report, dots: Sequence[LayerReport], name: str) -> list[Element]:
    width, height = SIZES[name]
    peak, bus = report.macs_per_cycle, report.bytes_per_cycle
    xs, ys = (
        [_intensity(layer) for layer in dots],
        [layer.real_macs / layer.cycles for layer in dots],
    )
    ridge = peak / bus
    x = LogAxis(min(*xs, ridge) / 1.6, max(*xs, ridge) * 1.6, LEFT, width - RIGHT)
    y = LogAxis(min(*ys, peak) / 1.6, peak * 1.7, height - BOTTOM, TOP)
    roof = [(x.low, min(peak, x.low * bus)), (ridge, peak), (x.high, peak)]
    if roof[0][1] < y.low:  # the slope leaves at the bottom
        roof[0] = (y.low / bus, y.low)
    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in roof)
    ranked = sorted(zip(dots, xs, ys, strict=True), key=lambda each: -each[0].cycles)
    top = Box(width - RIGHT - 110, y(peak) - 20, width - RIGHT, y(peak) - 2)
    return [
        *grid(x, y, (width, height), NAMES),
        tag("polyline", points=line, class_="roof"),
        tag(
            "text",
            f"{peak} MACs a cycle",
            x=width - RIGHT,
            y=f"{y(peak) - 6:.1f}",
            class_="roof-label end",
        ),
        _slope_label(f"{bus} bytes a cycle", x, y, roof[0], roof[1]),
        *(_dot(layer, x(a), y(b), a, report) for layer, a, b in ranked),
        *placed(
            _named([(layer, x(a), y(b)) for layer, a, b in ranked], report, NAMED[name]),
            Box(LEFT, TOP, width - RIGHT, height - BOTTOM),
            [top, *along([(x(a), y(b)) for a, b in roof])],
        ),
    ]


def _named(
    places: Sequence[tuple[LayerReport, float, float]], report: Report, most: int
) -> list[Dot]:
    """The dots, those first, by name, that lose most cycles and are far below the roof."""
    ranked = sorted(places, key=lambda each: each[0].bound - each[0].cycles)
    far = [layer for layer, _, _ in ranked if layer.x_bound >= FAR][:most]
    return [
        Dot(
            x,
            y,
            _radius(layer, report),
            f"{layer.node} {layer.x_bound:.2g}x" if layer in far else "",
        )
        for layer, x, y in ranked
    ]


def _slope_label(
    text: str, x: Axis, y: Axis, low: tuple[float, float], high: tuple[float, float]
) -> Element:
    """Along the slope, above its lower end, where fewer layers are."""
    (x1, y1), (x2, y2) = ((x(a), y(b)) for a, b in (low, high))
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    return tag(
        "text",
        text,
        dx="10",
        dy="-8",
        class_="roof-label",
        transform=f"translate({x1:.1f} {y1:.1f}) rotate({angle:.1f})",
    )


def _dot(layer: LayerReport, x: float, y: float, intensity: float, report: Report) -> Element:
    tip = [
        layer.title,
        f"{intensity:.3g} MACs a byte, {layer.real_macs / layer.cycles:.1f} MACs a cycle",
        f"{layer.x_bound:.3f} x bound, {layer.cycles:,} cycles",
    ]
    return tag(
        "circle",
        cx=f"{x:.1f}",
        cy=f"{y:.1f}",
        r=f"{_radius(layer, report):.1f}",
        data_tip="\n".join(tip),
        class_=_kind(layer),
    )


def _radius(layer: LayerReport, report: Report) -> float:
    """Pixels; beside a least one, so that small layers are seen, the area goes with the cycles."""
    return 3 + 22 * math.sqrt(layer.cycles / report.cycles)
