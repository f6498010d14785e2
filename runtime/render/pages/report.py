"""The report as a page, and its charts as files."""

from __future__ import annotations

from collections.abc import Mapping

from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.program.program import Program
from zeroskip.runtime.analysis.report import Report
from zeroskip.runtime.render.pages import layers, totals
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.document import document
from zeroskip.runtime.render.pages.elements import Element, tag
from zeroskip.runtime.render.pages.roofline import roofline_chart, roofline_figure
from zeroskip.runtime.render.pages.timeline import timeline_figure
from zeroskip.runtime.render.pages.timeline_chart import timeline_chart

SCRIPTS = ("tips.js", "scroll.js", "sort.js", "timeline.js")


def report_page(
    report: Report,
    runs: Mapping[str, Run],
    programs: Mapping[str, Program],
    *,
    command: str = "",
) -> str:
    """The report as HTML. runs, programs: by region, those that the report was made of. command:
    the one that made the page."""
    figures = _figures(report, runs, programs) if report.layers else []
    return document(
        f"{report.network} on {report.target}",
        [totals.headline(report), *figures, totals.cpu_list(report)],
        SCRIPTS,
        command=command,
    )


def report_charts(
    report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> list[Chart]:
    """The page's figures as files; none where nothing runs on the accelerator."""
    if not report.layers:
        return []
    roofline = roofline_chart(report)
    return [
        totals.causes_chart(report),
        *([] if roofline is None else [roofline]),
        layers.cycles_chart(report),
        layers.traffic_chart(report),
        timeline_chart(report, runs, programs),
    ]


def _figures(
    report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
) -> list[Element]:
    by_part = totals.parts_figure(report)
    return [
        totals.causes_figure(report),
        tag("div", roofline_figure(report), totals.moves_figure(report), class_="pair"),
        *([by_part] if by_part is not None else []),
        tag("div", layers.cycles_figure(report), layers.traffic_figure(report), class_="pair"),
        timeline_figure(report, runs, programs),
        totals.layers_table(report),
    ]
