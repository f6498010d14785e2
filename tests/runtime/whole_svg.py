"""What every chart's file must be: an SVG that needs nothing else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from zeroskip.runtime.render.pages.chart import Chart, svg_file

SVG = "{http://www.w3.org/2000/svg}"


def check_whole(chart: Chart) -> ElementTree.Element:
    """The parsed file, once it is seen that sizes agree and each class has a rule."""
    text = svg_file(chart)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert "var(" not in text
    assert ":is(" not in text
    assert "data-tip" not in text
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    style = next(root.iter(f"{SVG}style")).text or ""
    ruled = set(re.findall(r"\.([\w-]+)", style))
    worn = {name for each in root.iter() for name in (each.get("class") or "").split()}
    assert worn <= ruled, chart.name
    return root
