"""The timeline as an SVG file: the whole run, a column of pixels each as full as its cycles are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.runtime.analysis.report import Report
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import Element, short, tag
from zeroskip.runtime.render.pages.timeline import COLORS, Table, timeline_table

Floats = npt.NDArray[np.float64]

LEFT, WIDTH = 62, 900  # pixels: of the lanes' names, of the lanes
LANE, MEMORY, GAP, AXIS = 22, 42, 7, 22  # heights, pixels
LETTER = 6.8  # width of a character, pixels, at the most


def timeline_chart(
    report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> Chart:
    """Whose cycles are whose, how busy each unit is and how full each memory."""
    table = timeline_table(report, runs, programs)
    picture, top = _owners(table), float(LANE + GAP)
    for unit, slices in table["units"].items():
        start = np.array(slices["start"], np.float64)
        busy = _means(
            table["cycles"],
            np.column_stack((start, start + slices["length"])).ravel(),
            np.tile([1.0, 0.0], len(start)),
        )
        picture += _lane(unit, top, LANE, busy, "unit")
        top += LANE + GAP
    for name, memory in table["memories"].items():
        live = _means(table["cycles"], np.array(memory["start"], np.float64), memory["live"])
        picture += _lane(name, top, MEMORY, live / memory["rows"], "memory")
        top += MEMORY + GAP
    picture.append(tag("text", "cycles", x=0, y=top + 12, class_="tick"))
    for share in np.linspace(0, 1, 6):
        at, side = LEFT + share * WIDTH, "end" if share == 1 else "middle"
        text = short(share * table["cycles"])
        picture.append(tag("text", text, x=f"{at:.1f}", y=top + 12, class_=f"tick {side}"))
    title = f"{report.network} on {report.target}: timeline and memories"
    return Chart("timeline", title, COLORS, (LEFT + WIDTH, top + AXIS), picture)


def _means(cycles: int, start: Floats, value: Sequence[float] | Floats) -> Floats:
    """float64 [WIDTH]: means over each column of a value that holds from each start on, 0
    before."""
    held = np.asarray(value, np.float64)
    steps = np.concatenate(([0.0], start, [float(max(cycles, 1))]))
    sums = np.concatenate(([0.0], np.cumsum(np.concatenate(([0.0], held)) * np.diff(steps))))
    edges = np.linspace(0, max(cycles, 1), WIDTH + 1)
    means: Floats = np.diff(np.interp(edges, steps, sums)) / (max(cycles, 1) / WIDTH)
    return means


def _lane(name: str, top: float, height: int, share: Floats, color: str) -> list[Element]:
    """A lane's name, its ground and the steps of its shares."""
    y = top + height * (1 - np.clip(share, 0, 1)).round(3)
    begins = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    line = "".join(f"H{LEFT + at}V{y[at]:.1f}" for at in begins.tolist())
    bottom = top + height
    return [
        tag("text", name, x=0, y=top + height / 2, dy="0.35em", class_="tick"),
        tag("rect", x=LEFT, y=top, width=WIDTH, height=height, class_="lane"),
        tag("path", d=f"M{LEFT} {bottom}{line}H{LEFT + WIDTH}V{bottom}Z", class_=color),
    ]


def _owners(table: Table) -> list[Element]:
    """The layers in turn, named where there is room."""
    found = [tag("text", "layer", x=0, y=LANE / 2, dy="0.35em", class_="tick")]
    owners, scale = table["owners"], WIDTH / max(table["cycles"], 1)
    for start, length, layer in zip(
        owners["start"], owners["length"], owners["layer"], strict=True
    ):
        left, width = LEFT + start * scale, length * scale
        if width < 0.5:
            continue
        title = table["layers"][layer]
        found.append(
            tag(
                "rect",
                x=f"{left:.2f}",
                y=0,
                width=f"{width:.2f}",
                height=LANE,
                class_="owner" if layer % 2 else "lane",
                data_tip=title,
            )
        )
        if LETTER * len(title) + 8 < width:
            found.append(tag("text", title, x=f"{left + 4:.1f}", y=LANE / 2, dy="0.35em"))
    return found
