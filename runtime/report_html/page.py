"""The page: everything in one file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from zeroskip.accel_model.program import Program
from zeroskip.accel_model.run import Run
from zeroskip.runtime.report import Report
from zeroskip.runtime.report_html import layers, totals
from zeroskip.runtime.report_html.elements import Element, page, tag
from zeroskip.runtime.report_html.roofline import roofline_figure
from zeroskip.runtime.report_html.timeline import timeline_figure

SCRIPTS = ("tips.js", "sort.js", "timeline.js")
# Nothing may be fetched, from anywhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def report_page(report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]) -> str:
    """The report as HTML. runs, programs: by region, those that the report was made of."""
    title = f"{report.network} on {report.target}"
    head = tag(
        "head", tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{title} - zeroskip"), tag("style", _asset("style.css")))
    main = tag("main", tag("header", tag("h1", title), totals.headline(report)))
    if report.layers:
        main.extend(_figures(report, runs, programs))
    main.append(totals.cpu_list(report.cpu))
    scripts = [tag("script", _asset(name)) for name in SCRIPTS]
    return page(tag("html", head, tag("body", main, tag("div", id="tip", role="tooltip"),
                                      *scripts), lang="en"))


def _figures(report: Report, runs: Mapping[str, Run], programs: Mapping[str, Program]
             ) -> list[Element]:
    return [
        totals.causes_figure(report),
        tag("div", roofline_figure(report), totals.moves_figure(report), class_="pair"),
        tag("div", layers.cycles_figure(report), layers.traffic_figure(report), class_="pair"),
        timeline_figure(report, runs, programs), totals.layers_table(report)]


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
